//! Killed in the middle of writing: what was answered is there, and nothing is half there.
//!
//! `GUILDHALL_SOAK=10` kills ten times as often; `GUILDHALL_SEED` picks other moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guildhall::app::store_settings;
use guildhall::changelog::Source;
use guildhall::clock::Env;
use guildhall::domain::catalog::Catalogs;
use guildhall::domain::fact::Commit;
use guildhall::domain::revision::{Position, Token};
use guildhall::proto::{self, consistency};
use guildhall::store::Store;
use tokio::task::JoinSet;
use tonic::Status;

use super::program::{Server, Site};
use crate::harness::messages::{change, get_resource, grant, item, membership, register, revoke};
use crate::harness::{Caller, Organization, Person, as_member, eventually, project, soak};
use crate::log::{Standing, id_of, installation_log, organization_log};
use crate::on_both;
use crate::rule::rng::Rng;

/// Kills in one run.
const ROUNDS: usize = 5;
/// Clients that register resources.
const REGISTRARS: usize = 2;
/// Clients that walk a person from one project to the next, in one batch of two deltas.
const WALKERS: usize = 3;
/// Projects that a person goes around.
const STATIONS: usize = 5;

/// What has been acknowledged, and so must be there for ever.
#[derive(Default)]
struct Ledger {
    resources: Vec<String>,
    /// How far each person has walked.
    steps: [usize; WALKERS],
    positions: Vec<Position>,
}

/// What one client was answered until the server was killed.
enum Answered {
    Registered(Vec<String>, Vec<Position>),
    Walked(usize, usize, Vec<Position>),
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn position(revision: &str) -> Position {
    Token::from_bytes(&URL_SAFE_NO_PAD.decode(revision).unwrap()).unwrap().position
}

fn station(walker: usize, steps: usize) -> proto::ResourceRef {
    project(&format!("station-{walker}-{}", steps % STATIONS))
}

/// The server is gone; it has not refused.
fn assert_cut_off(status: &Status) {
    assert!(status.details().is_empty(), "a write was refused: {status:?}");
}

async fn register_on_and_on(call: Caller, id: String, prefix: String, count: Arc<AtomicUsize>) -> Answered {
    let (mut names, mut positions) = (Vec::new(), Vec::new());
    loop {
        let name = format!("{prefix}-{}", names.len());
        match call.register_resource(register(&id, project(&name))).await {
            Ok(answer) => positions.push(position(&answer.revision)),
            Err(status) => {
                assert_cut_off(&status);
                return Answered::Registered(names, positions);
            }
        }
        names.push(name);
        count.fetch_add(1, Ordering::SeqCst);
    }
}

async fn walk_on_and_on(
    call: Caller,
    id: String,
    who: String,
    walker: usize,
    begin: usize,
    count: Arc<AtomicUsize>,
) -> Answered {
    let (mut steps, mut positions) = (begin, Vec::new());
    loop {
        let deltas = vec![
            grant(membership(&who), as_member(station(walker, steps + 1))),
            revoke(membership(&who), as_member(station(walker, steps))),
        ];
        match call.change_grants(change(&id, deltas)).await {
            Ok(answer) => positions.push(position(&answer.revision)),
            Err(status) => {
                assert_cut_off(&status);
                return Answered::Walked(walker, steps, positions);
            }
        }
        steps += 1;
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Has everybody write, kills the server once so many writes were answered, and enters what was answered.
async fn write_until_killed(
    server: Server,
    organization: &Organization,
    people: &[Person],
    (round, writes): (usize, usize),
    ledger: &mut Ledger,
) {
    let owner = server.sign_in(&organization.owner.email, "").await.call;
    let (count, mut clients) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for registrar in 0..REGISTRARS {
        let prefix = format!("resource-{round}-{registrar}");
        clients.spawn(register_on_and_on(owner.clone(), organization.id.clone(), prefix, Arc::clone(&count)));
    }
    for (walker, person) in people.iter().enumerate() {
        let (id, who) = (organization.id.clone(), person.membership_id.clone());
        clients.spawn(walk_on_and_on(owner.clone(), id, who, walker, ledger.steps[walker], Arc::clone(&count)));
    }
    eventually("enough writes", || (count.load(Ordering::SeqCst) >= writes).then_some(())).await;
    server.process.kill();
    for answered in clients.join_all().await {
        match answered {
            Answered::Registered(names, positions) => {
                ledger.resources.extend(names);
                ledger.positions.extend(positions);
            }
            Answered::Walked(walker, steps, positions) => {
                ledger.steps[walker] = steps;
                ledger.positions.extend(positions);
            }
        }
    }
}

/// Asserts that a log has no holes and no half commits up to a position.
fn whole_log<F>(mut commits: Vec<Commit<F>>, position: Position) -> Vec<Commit<F>> {
    // PostgreSQL may still have been at the last commit when the tables were read.
    commits.retain(|commit| commit.position.revision <= position.revision);
    let revisions: Vec<u64> = commits.iter().map(|commit| commit.position.revision.0).collect();
    assert_eq!(revisions, (1..=position.revision.0).collect::<Vec<_>>(), "a hole in the log");
    assert!(commits.iter().all(|commit| !commit.facts.is_empty()), "half a commit");
    commits
}

/// Holds the log against the tables and against what was answered, with no server running.
async fn audit(site: &Site, organization: &Organization, ledger: &Ledger) {
    let store = Store::open(&store_settings(&site.config), Env::system(), Catalogs::default())
        .await
        .expect("a database that is free");
    let tables = store.organization(id_of(organization)).await.unwrap().unwrap();
    let commits = whole_log(organization_log(&store, id_of(organization)).await, tables.position);
    let (mut from_log, mut from_tables) = (Standing::default(), Standing::default());
    commits.iter().flat_map(|commit| &commit.facts).for_each(|fact| from_log.apply(fact));
    tables.facts.iter().for_each(|fact| from_tables.apply(fact));
    assert_eq!(from_log, from_tables, "the log says one thing and the tables another");
    for answered in &ledger.positions {
        let at = usize::try_from(answered.revision.0).unwrap() - 1;
        assert_eq!(commits.get(at).map(|commit| commit.position), Some(*answered), "an answered commit is gone");
    }
    let above = store.installation().await.unwrap().unwrap();
    whole_log(installation_log(&store).await, above.position);
    store.close().await;
}

/// Asks the server that runs again for everything that was answered.
async fn inspect(server: &Server, organization: &Organization, people: &[Person], ledger: &mut Ledger) {
    let owner = server.sign_in(&organization.owner.email, "").await.call;
    for name in &ledger.resources {
        let answer = owner.get_resource(get_resource(&organization.id, project(name))).await;
        assert!(answer.is_ok(), "{name} was answered and is gone: {answer:?}");
    }
    for (walker, person) in people.iter().enumerate() {
        let stations = (0..STATIONS).map(|at| item(&person.user_id, "project.view", Some(station(walker, at))));
        let fresh = proto::Consistency { requirement: Some(consistency::Requirement::Fresh(true)) };
        let organization_id = organization.id.clone();
        let request = proto::BatchCheckRequest { organization_id, items: stations.collect(), consistency: Some(fresh) };
        let decisions = owner.batch_check(request).await.unwrap().decisions;
        let at: Vec<usize> = (0..STATIONS).filter(|station| decisions[*station].allowed).collect();

        // The last step may have been done and not answered; then it was done whole.
        let answered = ledger.steps[walker];
        if at == [(answered + 1) % STATIONS] {
            ledger.steps[walker] += 1;
        } else {
            assert_eq!(at, [answered % STATIONS], "after {answered} steps");
        }
    }
}

on_both! {
    async fn what_was_answered_survives_a_kill_and_nothing_is_half_there(database: Database) {
        let seed = setting("GUILDHALL_SEED", 1);
        println!("GUILDHALL_SEED={seed}");
        let mut rng = Rng::new(seed as u64);
        let site = Site::new(database).await;
        let mut server = site.serve().await;
        let organization = server.found(&server.operator_key.clone().unwrap(), "ada@example.test").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let mut people = Vec::new();
        for walker in 0..WALKERS {
            for at in 0..STATIONS {
                owner.register_resource(register(id, station(walker, at))).await.unwrap();
            }
            let person = server.invite_and_join(&organization, &format!("person-{walker}@example.test")).await;
            let begin = grant(membership(&person.membership_id), as_member(station(walker, 0)));
            owner.change_grants(change(id, vec![begin])).await.unwrap();
            people.push(person);
        }

        let mut ledger = Ledger::default();
        for round in 0..ROUNDS * usize::try_from(soak()).unwrap() {
            let writes = 1 + rng.below(150);
            println!("round {round}: killed after {writes} writes");
            write_until_killed(server, &organization, &people, (round, writes), &mut ledger).await;
            audit(&site, &organization, &ledger).await;
            server = site.serve().await;
            inspect(&server, &organization, &people, &mut ledger).await;
        }
        assert_eq!(server.stop().await.code, Some(0));
    }
}
