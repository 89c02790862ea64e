//! Folding: the same state, laid out anew beside all that goes on.

use std::sync::{Arc, mpsc};

use guildhall::authz::{OrganizationIndex, Settings};
use guildhall::domain::catalog::Catalogs;
use guildhall::domain::fact::{Held, OrganizationFact, Scope};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::Place;

use super::{Stage, held, joined, listed, may_view, project};
use crate::harness::eventually;
use crate::rule::index::standing;
use crate::rule::rng::Rng;

/// Members of the organization at the beginning.
const MEMBERS: u128 = 200;

/// Asserts that the index that lived through it all says what one says that is loaded now.
async fn must_stand(stage: &Stage, id: OrganizationId) {
    let now = stage.ledger.state(Scope::Organization(id));
    let loaded = OrganizationIndex::load(now.position, &now.facts, &Catalogs::default(), 3).unwrap();
    let lived = stage.view(id).await.unwrap().organization;
    assert_eq!(lived.position(), loaded.position());
    assert_eq!(standing(&lived), standing(&loaded));
}

/// Facts enough for a compaction: newcomers, each with their list entry.
fn many(from: u128) -> Vec<OrganizationFact> {
    (from..from + 100).flat_map(|member| joined(member).into_iter().chain([listed(member)])).collect()
}

async fn compacted(stage: &Stage, count: u64) {
    eventually("a compaction", || (stage.engine.compactions() >= count).then_some(())).await;
}

/// Runs a test on a runtime with one thread for what takes long, so that the test can hold it.
fn alone(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(test);
}

/// Begins a compaction, which is built once what this gives is dropped.
async fn begin_compaction(stage: &Stage, id: OrganizationId) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || released.recv());
    stage.commit(id, many(1_000)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    release
}

#[test]
fn what_is_committed_while_a_compaction_is_under_way_is_in_what_it_puts_in_place() {
    alone(committed_while_a_compaction_is_under_way());
}

async fn committed_while_a_compaction_is_under_way() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, MEMBERS);
    stage.must_answer(id).await;
    let release = begin_compaction(&stage, id).await;
    for member in 0..150 {
        let OrganizationFact::Grant(entry) = listed(member) else { unreachable!() };
        stage.commit(id, vec![OrganizationFact::GrantGone(entry)]).await;
    }
    assert_eq!(stage.engine.compactions(), 0, "it is under way");
    drop(release);
    compacted(&stage, 1).await;
    must_stand(&stage, id).await;
    let view = stage.view(id).await.unwrap();
    let answers = [0, 149, 150, 1_050].map(|member| view.answer(&may_view(member, member)).is_allowed());
    assert_eq!(answers, [false, false, true, true]);
}

#[test]
fn a_compaction_of_a_history_that_was_replaced_meanwhile_is_dropped() {
    alone(replaced_while_a_compaction_is_under_way());
}

async fn replaced_while_a_compaction_is_under_way() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, MEMBERS);
    stage.must_answer(id).await;
    let scope = Scope::Organization(id);
    let before = stage.ledger.state(scope).facts;
    let release = begin_compaction(&stage, id).await;

    let newcomer = joined(5_000).to_vec();
    let after = before.into_iter().chain(newcomer.clone()).collect();
    let position = stage.ledger.rewrite(scope, 1, newcomer, after, |_| {});
    drop(release);
    stage.engine.committed(Some((id, position)), None).await;
    assert_eq!(stage.engine.histories_replaced(), 1);
    must_stand(&stage, id).await;
    stage.engine.compacted().await;
    assert_eq!(stage.engine.compactions(), 0);
    must_stand(&stage, id).await;
    assert!(!stage.view(id).await.unwrap().answer(&may_view(1_050, 1_050)).is_allowed());

    // And the history that stands is compacted as ever.
    stage.commit(id, many(2_000)).await;
    compacted(&stage, 1).await;
    must_stand(&stage, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folds_beside_a_storm_of_commits_lose_nothing() {
    const SEED: u64 = 7;
    println!("seed {SEED}");
    let mut rng = Rng::new(SEED);
    let stage = Arc::new(Stage::new(Settings::default()).await);
    let id = stage.found(0, MEMBERS);
    stage.must_answer(id).await;
    let (mut standing, mut made) = (Vec::new(), 0x10_0000);
    for _ in 0..1_500 {
        let mut facts = Vec::new();
        for _ in 0..=rng.below(4) {
            if rng.percent(40) && !standing.is_empty() {
                facts.push(OrganizationFact::GrantGone(standing.swap_remove(rng.below(standing.len()))));
            } else {
                made += 1;
                let (member, at) = (rng.below(200) as u128, rng.below(300) as u128);
                let entry = held(made, member, Place::Resource(project(at)), Held::AsMember);
                facts.push(OrganizationFact::Grant(entry.clone()));
                standing.push(entry);
            }
        }
        stage.commit(id, facts).await;
    }
    assert!(stage.engine.compactions() > 0, "nothing was compacted");
    must_stand(&stage, id).await;
    stage.engine.compacted().await;
    must_stand(&stage, id).await;
    println!("{} compactions", stage.engine.compactions());
}
