//! CM-13 by non-interference: two installations that differ in a hidden account alone, with all that hangs on it, and somebody
//! without access to it who makes every call in both. What they are told must be the same, but for ids and times.
//!
//! `world` builds the installations, `script` holds the calls, `told` makes answers comparable. The next RPC needs its calls
//! in the script.

mod script;
mod told;
mod world;

use std::collections::BTreeSet;

use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::rpc::Rpc;

use crate::harness::messages::item;
use crate::harness::{Checks, Database};
use crate::on_both;
use script::SCRIPT;
use told::Told;
use world::{Actor, ESTATE, MSP, Product, World};

/// How many differences a failure shows.
const SHOWN: usize = 12;

/// Makes every call of the script as an actor, in the order of the script; gives what was told.
async fn play(world: &mut World, actor: &Actor) -> Vec<String> {
    let mut told = Told::default();
    for step in SCRIPT {
        for ask in world.asks(actor, step) {
            world.pass_time();
            told.exchange(&actor.call, step.rpc, &ask).await;
        }
        if let Some((name, field)) = step.keep {
            world.name(name, told.last(field));
        }
    }
    told.lines
}

/// Subscribes to decisions, has something change that the actor sees nothing of, and then something that they do.
async fn watch(world: &World, actor: &Actor) -> Vec<String> {
    let mut told = Told::default();
    let mut stream = actor.call.stream().await.unwrap();
    let view = format!("{}.view", world.product.kind);
    let places = ["south", "cellar", "north", "west"].map(|name| Some(world.place(name)));
    let items = places.map(|place| item(&actor.user_id, &view, place)).to_vec();
    stream.subscribe(&world.organization, items).await;
    told.frame(stream.receive().await.unwrap());
    world.change_unseen().await;
    settle(&mut stream, 1, &mut told).await;
    world.change_seen(actor).await;
    told.frame(stream.receive().await.unwrap());
    settle(&mut stream, 2, &mut told).await;
    told.lines
}

/// Has the stream say all that there is to be said.
async fn settle(stream: &mut Checks, number: u64, told: &mut Told) {
    stream.send(Asked::Ping(guildhall::proto::Ping { number })).await;
    told.frame(stream.receive().await.unwrap());
}

/// Plays and watches as each actor in both worlds.
async fn compare(database: Database, product: &'static Product) {
    let mut transcripts = Vec::new();
    for has_hidden in [false, true] {
        let mut world = World::build(database, product, has_hidden).await;
        let mut lines = Vec::new();
        for actor in world.actors() {
            lines.extend(watch(&world, &actor).await);
            lines.extend(play(&mut world, &actor).await);
        }
        transcripts.push(lines);
    }
    let [without, with] = transcripts.as_slice() else { unreachable!() };
    let differences: Vec<String> = without
        .iter()
        .zip(with)
        .filter(|(one, other)| one != other)
        .map(|(one, other)| format!("without: {one}\n   with: {other}\n"))
        .collect();
    let shown = differences.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {} answers differ:\n{shown}", differences.len(), with.len());
    assert_eq!(without.len(), with.len());
    // That something was done, and not all refused alike.
    let done = with.iter().filter(|line| !line.contains("=> refused")).count();
    assert!(done > with.len() / 8, "{done} of {} were answered", with.len());
}

#[test]
fn every_rpc_is_called() {
    let called: BTreeSet<&str> = SCRIPT.iter().map(|step| step.rpc.path()).collect();
    let missing: Vec<&str> = Rpc::ALL.iter().map(|rpc| rpc.path()).filter(|path| !called.contains(path)).collect();
    assert!(missing.is_empty(), "no call of {missing:?} in the script");
}

on_both! {
    async fn cm_13_with_a_hidden_account_and_without_it_all_is_told_alike(database: Database) {
        compare(database, &MSP).await;
    }

    /// Where there are lists, groups, roles of the organization's own, machines and owners, too.
    async fn with_a_hidden_place_and_without_it_all_is_told_alike_in_a_product_that_has_everything(database: Database) {
        compare(database, &ESTATE).await;
    }
}
