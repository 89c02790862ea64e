//! What is in memory: within its budget, loaded within bounds, and what does not exist is not asked for again and
//! again.

use std::sync::Arc;
use std::time::Duration;

use guildhall::authz::{Item, OrganizationIndex, Output, Requirement, Settings, Stream, Update, View};
use guildhall::domain::catalog::Catalogs;
use guildhall::domain::error::{Error, Kind, Reason};
use guildhall::domain::fact::{OrganizationFact, Scope};
use guildhall::domain::id::{OrganizationId, ServiceAccountId};
use guildhall::domain::place::Subject;
use guildhall::domain::revision::{Position, Token};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Stage, joined, listed, may_view, operator, organization};
use crate::harness::eventually;
use crate::rule::index::standing;

/// Members of each organization.
const MEMBERS: u128 = 20;
/// How many organizations the budget has room for.
const ROOM: usize = 10;

/// How long lies between two uses at the least, for one to count as the later.
const A_WHILE: Duration = Duration::from_secs(1);

/// Returns how many bytes an organization takes.
async fn size() -> usize {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, MEMBERS);
    stage.must_answer(id).await;
    stage.engine.bytes()
}

/// An engine with room for ten organizations and some change, and more of them than that.
async fn narrow(organizations: u128) -> (Stage, Vec<OrganizationId>) {
    let size = size().await;
    let stage = Stage::new(Settings { bytes_max: size * ROOM + size / 2, ..Settings::default() }).await;
    let ids = (0..organizations).map(|number| stage.found(number, MEMBERS)).collect();
    (stage, ids)
}

/// Subscribes a stream to the first member's own project, under the organization's number.
async fn subscribe(stream: &mut Stream<Vec<Item>>, number: usize, id: OrganizationId) -> Output {
    let subscriptions = vec![(number as u64, Ok(may_view(0, 0)), None)];
    stream.take(Update::Subscribe { organization: id, subscriptions, at_least: None }).unwrap();
    stream.next().await.unwrap()
}

#[tokio::test]
async fn above_the_budget_what_was_asked_about_least_recently_goes_and_answers_again_when_asked() {
    let (stage, ids) = narrow(30).await;
    for id in &ids[..ROOM] {
        stage.must_answer(*id).await;
        stage.clock.advance(A_WHILE);
    }
    assert_eq!((stage.engine.organizations(), stage.engine.evictions()), (ROOM, 0));
    stage.must_answer(ids[0]).await;
    stage.clock.advance(A_WHILE);

    stage.must_answer(ids[ROOM]).await;
    assert!(stage.engine.evictions() > 0 && stage.engine.bytes() <= stage.engine.settings().bytes_max);
    for (id, loads) in [(ids[0], 1), (ids[1], 2), (ids[9], 1), (ids[10], 1)] {
        stage.must_answer(id).await;
        assert_eq!(stage.ledger.loads(id), loads, "{id}");
    }
    for id in ids.iter().chain(&ids) {
        stage.must_answer(*id).await;
        stage.clock.advance(A_WHILE);
        assert!(stage.engine.bytes() <= stage.engine.settings().bytes_max);
    }
}

#[tokio::test]
async fn an_organization_larger_than_the_budget_is_kept_alone() {
    let (stage, ids) = narrow(3).await;
    for id in &ids {
        stage.must_answer(*id).await;
    }
    let large = stage.found(99, MEMBERS * 40);
    stage.must_answer(large).await;
    stage.must_answer(large).await;
    assert!(stage.engine.bytes() > stage.engine.settings().bytes_max, "it is larger");
    assert_eq!((stage.engine.organizations(), stage.ledger.loads(large)), (1, 1));
}

#[tokio::test]
async fn what_grows_past_the_budget_is_counted_as_it_is() {
    let (stage, ids) = narrow(1).await;
    stage.must_answer(ids[0]).await;
    let before = stage.engine.bytes();
    let facts = (MEMBERS..MEMBERS * 20).flat_map(|member| joined(member).into_iter().chain([listed(member)]));
    stage.commit(ids[0], facts.collect()).await;
    assert!(stage.engine.bytes() > 4 * before, "{} after {before}", stage.engine.bytes());
    eventually("a compaction", || (stage.engine.compactions() > 0).then_some(())).await;
    let alone = stage.view(ids[0]).await.unwrap().organization.bytes();
    assert_eq!(stage.engine.bytes(), alone);
}

#[tokio::test]
async fn what_subscriptions_hold_stays_and_is_followed_and_fills_four_fifths_at_the_most() {
    let (stage, ids) = narrow(40).await;
    let mut stream = Stream::new(Arc::clone(&stage.engine), operator());
    let kept = ROOM / 5 * 4;
    for (number, id) in ids[..kept].iter().enumerate() {
        assert!(matches!(subscribe(&mut stream, number, *id).await, Output::Changes { .. }));
    }
    match subscribe(&mut stream, kept, ids[kept]).await {
        Output::Reset { organization, reason } => assert_eq!((organization, reason), (ids[kept], Reason::IndexFull)),
        other => panic!("expected a reset, got {other:?}"),
    }
    // Whoever only asks finds room all the same, and pushes nobody out who is held.
    for id in ids[kept..].iter().chain(&ids) {
        stage.clock.advance(A_WHILE);
        stage.must_answer(*id).await;
        assert!(stage.engine.bytes() <= stage.engine.settings().bytes_max);
    }
    assert!(ids[..kept].iter().all(|id| stage.ledger.loads(*id) == 1), "one that is held was given up");
    stage.commit(ids[3], vec![gone(0)]).await;
    match stream.next().await.unwrap() {
        Output::Changes { organization, changes, .. } => {
            assert_eq!((organization, changes[0].0, changes[0].1.is_allowed()), (ids[3], 3, false));
        }
        other => panic!("expected a change, got {other:?}"),
    }

    // What is let go makes room for others: by word, and by the end of a stream.
    stream.take(Update::Unsubscribe(vec![0])).unwrap();
    assert!(matches!(subscribe(&mut stream, kept, ids[kept]).await, Output::Changes { .. }));
    let mut second = Stream::new(Arc::clone(&stage.engine), operator());
    assert!(matches!(subscribe(&mut second, 1, ids[20]).await, Output::Reset { reason: Reason::IndexFull, .. }));
    // One that is held already takes no more room for a second stream.
    assert!(matches!(subscribe(&mut second, 1, ids[kept]).await, Output::Changes { .. }));
    drop(stream);
    assert!(matches!(subscribe(&mut second, 2, ids[20]).await, Output::Changes { .. }));
}

/// The end of a member's list entry.
fn gone(member: u128) -> OrganizationFact {
    match listed(member) {
        OrganizationFact::Grant(grant) => OrganizationFact::GrantGone(grant),
        other => panic!("{other:?} is no grant"),
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_asked_for_again_for_a_moment() {
    let stage = Stage::new(Settings::default()).await;
    let (nobody, absence) = (organization(7), stage.engine.settings().absence);
    let ask = async |requirement| {
        let refused = stage.engine.view(nobody, requirement, operator().subject).await.unwrap_err();
        assert_eq!((refused.reason, stage.ledger.loads(nobody)), (Reason::NotFound, 0));
        stage.ledger.relations(nobody)
    };
    let token =
        Token { epoch: 1, organization: nobody, position: Position::default(), installation: Position::default() };
    assert_eq!(ask(Requirement::MaxAge(None)).await, 1);
    assert_eq!(ask(Requirement::MaxAge(Some(Duration::from_secs(1)))).await, 1);
    stage.clock.advance_short_of(absence);
    assert_eq!(ask(Requirement::MaxAge(None)).await, 1);
    stage.clock.tick();
    assert_eq!(ask(Requirement::MaxAge(None)).await, 2);

    // Who must not miss what another server may have founded asks in any case.
    assert_eq!(ask(Requirement::Fresh).await, 3);
    assert_eq!(ask(Requirement::AtLeast(token)).await, 4);
    assert_eq!(ask(Requirement::MaxAge(None)).await, 4);
    // And what this server has founded itself is there at once.
    let id = stage.found(7, 2);
    stage.engine.committed(Some((id, stage.ledger.state(Scope::Organization(id)).position)), None).await;
    stage.must_answer(id).await;
}

/// Asks for an organization beside the test.
fn asking(stage: &Stage, id: OrganizationId, caller: u128) -> JoinHandle<Result<View, Error>> {
    let (engine, caller) = (Arc::clone(&stage.engine), machine(caller));
    tokio::spawn(async move { engine.view(id, Requirement::MaxAge(None), caller).await })
}

fn machine(number: u128) -> Subject {
    Subject::ServiceAccount(ServiceAccountId(Uuid::from_u128(number)))
}

async fn loads_under_way(stage: &Stage, count: usize) {
    eventually("so many loads", || (stage.ledger.loading().0 == count).then_some(())).await;
}

#[tokio::test]
async fn only_so_many_wait_for_loads_and_only_so_many_of_one_caller() {
    let settings = Settings { loads_max: 9, load_waiters_max: 3, load_waiters_each_max: 2, ..Settings::default() };
    let stage = Stage::new(settings).await;
    let ids: Vec<_> = (0..8).map(|number| stage.found(number, 2)).collect();
    let refused = async |id: OrganizationId, caller: u128| {
        let error = asking(&stage, id, caller).await.unwrap().unwrap_err();
        assert_eq!((error.reason, error.kind()), (Reason::IndexLoading, Kind::Unavailable));
    };
    stage.ledger.hold(true);
    let mut waiting = vec![asking(&stage, ids[0], 1), asking(&stage, ids[1], 1)];
    loads_under_way(&stage, 2).await;
    refused(ids[2], 1).await;
    refused(ids[0], 1).await;
    waiting.push(asking(&stage, ids[2], 2));
    loads_under_way(&stage, 3).await;
    refused(ids[3], 2).await;
    refused(ids[3], 3).await;

    stage.ledger.hold(false);
    for call in waiting {
        call.await.unwrap().expect("an organization");
    }
    for id in ids {
        stage.must_answer(id).await;
    }
}

#[tokio::test]
async fn no_more_than_so_many_are_loaded_at_once_and_the_others_have_their_turn() {
    let stage = Stage::new(Settings { loads_max: 2, ..Settings::default() }).await;
    let ids: Vec<_> = (0..6).map(|number| stage.found(number, 2)).collect();
    stage.ledger.hold(true);
    let waiting: Vec<_> = ids.iter().map(|id| asking(&stage, *id, 1)).collect();
    // Of those who want the same one, one loads.
    let same: Vec<_> = (0..4).map(|_| asking(&stage, ids[0], 2)).collect();
    loads_under_way(&stage, 2).await;
    stage.ledger.hold(false);
    for call in waiting.into_iter().chain(same) {
        call.await.unwrap().expect("an organization");
    }
    assert_eq!(stage.ledger.loading(), (0, 2));
    assert!(ids.iter().all(|id| stage.ledger.loads(*id) == 1));
}

#[tokio::test]
async fn a_load_that_fails_leaves_nothing_and_the_next_finds_it() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, 2);
    stage.ledger.fail(id);
    assert_eq!(stage.view(id).await.unwrap_err().reason, Reason::DatabaseUnavailable);
    assert_eq!((stage.engine.organizations(), stage.engine.bytes()), (0, 0));
    stage.must_answer(id).await;

    // Nor does it fail who waited for it meanwhile.
    let other = stage.found(1, 2);
    stage.ledger.hold(true);
    stage.ledger.fail(other);
    let calls = [asking(&stage, other, 1), asking(&stage, other, 2)];
    loads_under_way(&stage, 1).await;
    stage.ledger.hold(false);
    let mut refused = 0;
    for call in calls {
        refused += usize::from(call.await.unwrap().is_err());
    }
    assert_eq!((refused, stage.engine.organizations()), (1, 2));
}

#[tokio::test]
async fn a_load_outlives_its_first_caller_and_is_there_for_the_next() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, 2);
    stage.ledger.hold(true);
    let call = asking(&stage, id, 1);
    loads_under_way(&stage, 1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    stage.ledger.hold(false);
    stage.must_answer(id).await;
    assert_eq!(stage.ledger.loads(id), 1);
}

#[tokio::test]
async fn what_is_committed_or_replaced_while_it_is_read_is_loaded_as_it_stands_in_the_end() {
    for (commits_before, is_replaced, commits_after) in
        [(0, false, 3), (1, true, 0), (1, true, 1), (1, true, 20), (3, true, 0)]
    {
        let stage = Stage::new(Settings::default()).await;
        let id = stage.found(0, MEMBERS);
        let scope = Scope::Organization(id);
        let before = stage.ledger.state(scope).facts;
        for member in 0..commits_before {
            stage.ledger.commit(scope, joined(100 + member).to_vec());
        }
        stage.ledger.hold(true);
        let call = asking(&stage, id, 1);
        loads_under_way(&stage, 1).await;
        if is_replaced {
            let back = usize::try_from(commits_before).unwrap();
            let (other, mut after) = (joined(200).to_vec(), before);
            after.extend(other.clone());
            let position = stage.ledger.rewrite(scope, back, other, after, |_| {});
            stage.engine.committed(Some((id, position)), None).await;
        }
        for member in 0..commits_after {
            stage.commit(id, joined(300 + member).to_vec()).await;
        }
        stage.ledger.hold(false);
        let loaded = call.await.unwrap().unwrap().organization;
        let now = stage.ledger.state(scope);
        let fresh = OrganizationIndex::load(now.position, &now.facts, &Catalogs::default(), 3).unwrap();
        let case = format!("{commits_before} before, {is_replaced}, {commits_after} after");
        assert_eq!((loaded.position(), standing(&loaded)), (fresh.position(), standing(&fresh)), "{case}");
    }
}

#[tokio::test]
async fn who_asks_freshly_notices_a_head_that_went_back() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, MEMBERS);
    let scope = Scope::Organization(id);
    let before = stage.ledger.state(scope).facts;
    for member in 0..5 {
        stage.ledger.commit(scope, joined(100 + member).to_vec());
    }
    stage.must_answer(id).await;
    let (other, mut after) = (joined(200).to_vec(), before);
    after.extend(other.clone());
    let position = stage.ledger.rewrite(scope, 5, other, after, |_| {});
    let view = stage.engine.view(id, Requirement::Fresh, operator().subject).await.unwrap();
    assert_eq!(view.token().position, position);
    assert_eq!(stage.engine.histories_replaced(), 1);
}
