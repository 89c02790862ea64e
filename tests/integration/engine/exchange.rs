//! Another database answers than before, and no poll fails: what is in memory is compared with it before anything is
//! proven current, or within half the hard bound where nothing tells of it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use guildhall::authz::{Engine, Item, Output, Requirement, Settings, Stream, Update};
use guildhall::clock::Env;
use guildhall::domain::catalog::Catalogs;
use guildhall::domain::error::Reason;
use guildhall::domain::fact::{Held, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::Place;
use guildhall::domain::revision::{Position, Token};
use guildhall::jobs::LogPoller;
use guildhall::workers::{Pulse, drive};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ledger::{Copy, Ledger, Names, OPERATOR};
use super::{Stage, held, listed, may_view, operator, project};
use crate::harness::{ManualClock, SeededEntropy, eventually};

/// The longest pause between two polls.
const PAUSE: Duration = Duration::from_millis(375);
/// Heads of organizations that are compared with each poll.
const SLICE: usize = 1_000;

/// A stage whose poller polls when it is told to.
struct Followed {
    stage: Stage,
    _stop: DropGuard,
}

impl Deref for Followed {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Followed {
    async fn new(settings: Settings) -> Self {
        let (ledger, clock) = (Ledger::new(), ManualClock::counting(Duration::MAX));
        let world = Env { clock: clock.clone(), entropy: Arc::new(SeededEntropy::new(1)) };
        let engine =
            Engine::start(ledger.clone(), Catalogs::default(), world, settings, 1).await.expect("an installation");
        let stop = CancellationToken::new();
        let pulse = Pulse::new("log", Duration::MAX, clock.clone());
        tokio::spawn(drive(LogPoller(engine.poller()), clock.clone(), pulse, stop.clone()));
        let this = Self { stage: Stage { engine, ledger, clock }, _stop: stop.drop_guard() };
        this.clock.pauses().wait_for(|pauses| *pauses == 1).await.expect("a poller that waits");
        this
    }

    /// Lets the poller poll once, to the end. Returns how many heads of organizations were compared.
    async fn poll(&self) -> usize {
        self.ledger.heads_read();
        let mut pauses = self.clock.pauses();
        let before = *pauses.borrow();
        self.clock.advance(PAUSE);
        pauses.wait_for(|pauses| *pauses > before).await.expect("a poller that goes on");
        // The installation's is always among them.
        self.ledger.heads_read().into_iter().sum::<usize>().saturating_sub(1)
    }

    /// Founds so many organizations, and asks about each.
    async fn load(&self, count: u128) -> Vec<OrganizationId> {
        let ids: Vec<OrganizationId> = (0..count).map(|number| self.found(number, 1)).collect();
        for id in &ids {
            self.view(*id).await.expect("an organization");
        }
        ids
    }

    /// Returns whether the one member may view a project that is not theirs.
    async fn allows(&self, id: OrganizationId) -> bool {
        self.view(id).await.expect("an organization").answer(&may_view(0, 1)).is_allowed()
    }

    /// Says why an organization cannot be looked at.
    async fn refuses(&self, id: OrganizationId, requirement: Requirement) -> Reason {
        let view = self.engine.view(id, requirement, operator().subject).await;
        view.map(|_| ()).expect_err("a refusal").reason
    }
}

/// The one member of an organization is listed on a project that is not theirs.
fn lost() -> Vec<OrganizationFact> {
    let entry = held(0xe_0000, 0, Place::Resource(project(1)), Held::AsMember);
    vec![OrganizationFact::Resource { key: project(1), parent: None, owner: None }, OrganizationFact::Grant(entry)]
}

/// A stage with some organizations, in the last of which something was given that the copy of the ledger lacks.
async fn with_a_lost_part(settings: Settings, count: u128) -> (Followed, OrganizationId, Copy) {
    let stage = Followed::new(settings).await;
    let ids = stage.load(count).await;
    let id = ids[ids.len() - 1];
    stage.poll().await;
    let copy = stage.ledger.copy();
    stage.ledger.commit(Scope::Organization(id), lost());
    stage.poll().await;
    assert!(stage.allows(id).await);
    (stage, id, copy)
}

#[tokio::test]
async fn another_history_or_a_lower_position_is_compared_before_anything_is_proven() {
    for (names, ahead) in [(Names::History(2), 0), (Names::History(2), 1_000), (Names::History(1), 0)] {
        // More than one poll compares: all of it is, because it is told.
        let (stage, id, copy) = with_a_lost_part(Settings::default(), 1_500).await;
        let before = stage.engine.breaks();
        stage.ledger.exchange(&copy, names, ahead);
        stage.poll().await;
        assert!(!stage.allows(id).await, "{names:?} and {ahead} more");
        assert_eq!((stage.engine.databases_exchanged(), stage.engine.histories_replaced()), (1, 1));
        assert!(stage.engine.breaks() > before, "what was learned before counts no more");

        // And that is all: the history goes on.
        stage.poll().await;
        assert_eq!((stage.engine.databases_exchanged(), stage.engine.histories_replaced()), (1, 1));
        stage.ledger.commit(Scope::Organization(id), lost());
        stage.poll().await;
        assert!(stage.allows(id).await);
    }
}

#[tokio::test]
async fn a_copy_under_the_same_name_whose_counter_has_overtaken_is_found_by_comparing() {
    let (stage, id, copy) = with_a_lost_part(Settings::default(), 3).await;
    stage.ledger.exchange(&copy, Names::History(1), 1_000);
    stage.poll().await;
    assert!(!stage.allows(id).await);
    assert_eq!((stage.engine.databases_exchanged(), stage.engine.histories_replaced()), (0, 1));
}

#[tokio::test]
async fn rounds_take_a_thousand_heads_with_each_poll_and_find_what_nothing_tells_of() {
    let (stage, id, copy) = with_a_lost_part(Settings::default(), 2_500).await;
    // From the beginning of a round.
    while stage.poll().await == SLICE {}
    stage.ledger.exchange(&copy, Names::History(1), 10_000);
    assert_eq!([stage.poll().await, stage.poll().await, stage.poll().await], [SLICE, SLICE, 500]);
    assert!(!stage.allows(id).await);
    assert_eq!((stage.engine.databases_exchanged(), stage.engine.histories_replaced()), (0, 1));
    assert_eq!(stage.engine.round_age(), PAUSE * 2);
}

#[tokio::test]
async fn a_round_takes_more_with_each_poll_where_the_bound_asks_for_it() {
    let bound = Duration::from_secs(4);
    let settings = Settings { staleness_bound: bound, ..Settings::default() };
    let (stage, id, copy) = with_a_lost_part(settings, 4_500).await;
    // To the end of a round, just after it was compared.
    while stage.engine.round_age() != PAUSE * 3 {
        stage.poll().await;
    }
    stage.ledger.exchange(&copy, Names::History(1), 10_000);
    let mut most = 0;
    for _ in 0..bound.as_millis() / PAUSE.as_millis() {
        most = most.max(stage.poll().await);
    }
    assert!(most > SLICE && most < 4_500, "{most} at once");
    assert!(!stage.allows(id).await);
}

#[tokio::test]
async fn past_the_hard_bound_without_a_round_nothing_is_allowed_and_the_next_poll_mends_it() {
    let (stage, id, _) = with_a_lost_part(Settings::default(), 1_500).await;
    while stage.poll().await == SLICE {}
    let round_age = stage.engine.round_age();
    assert!(!round_age.is_zero());
    stage.ledger.go_away(true);
    let bound = stage.engine.settings().staleness_bound;
    stage.clock.advance(bound.saturating_sub(round_age));
    assert!(stage.allows(id).await);
    stage.clock.tick();
    assert!(stage.engine.log_age() < bound, "what the polls have proven is young enough");
    assert!(!stage.allows(id).await && stage.engine.is_stale());

    // As after the machine was suspended: all at once, whatever a round may take.
    stage.ledger.go_away(false);
    assert_eq!(stage.poll().await, 1_500);
    assert!(stage.allows(id).await && !stage.engine.is_stale());
    assert!(stage.engine.round_age().is_zero());
}

#[tokio::test]
async fn where_the_name_is_withheld_only_comparing_proves_anything() {
    let (stage, id, copy) = with_a_lost_part(Settings::default(), 2_500).await;
    stage.ledger.name(Names::Withheld);
    // That it is withheld from now on may mean that another database answers: all is compared, once.
    assert_eq!(stage.poll().await, 2_500);
    assert!(stage.engine.is_history_withheld() && stage.engine.log_age().is_zero());

    let mut ages = Vec::new();
    for _ in 0..3 {
        stage.poll().await;
        ages.push(stage.engine.log_age());
    }
    assert_eq!(ages, [PAUSE, PAUSE * 2, PAUSE * 2], "a poll alone proves nothing, a round what it began with");

    stage.ledger.exchange(&copy, Names::Withheld, 10_000);
    for _ in 0..3 {
        stage.poll().await;
    }
    assert!(!stage.allows(id).await);
    assert_eq!(stage.engine.histories_replaced(), 1);
}

#[tokio::test]
async fn a_database_without_any_order_of_commits_is_followed_by_comparing_alone() {
    let stage = Followed::new(Settings::default()).await;
    stage.ledger.name(Names::Nothing);
    let ids = stage.load(2).await;
    stage.poll().await;
    stage.ledger.commit(Scope::Organization(ids[1]), lost());
    assert!(!stage.allows(ids[1]).await);
    stage.poll().await;
    assert!(stage.allows(ids[1]).await && !stage.allows(ids[0]).await);
    assert_eq!(stage.engine.histories_replaced(), 0);

    // What counts everywhere is compared as well.
    let facts = vec![InstallationFact::ServiceAccount { id: OPERATOR, is_enabled: true }];
    let position = stage.ledger.commit(Scope::Installation, facts);
    stage.poll().await;
    assert_eq!(stage.engine.installation().position(), position);
}

#[tokio::test]
async fn what_was_founded_in_the_lost_part_is_gone_and_what_was_not_there_is_found() {
    let stage = Followed::new(Settings::default()).await;
    let kept = stage.load(1).await[0];
    stage.poll().await;
    let without = stage.ledger.copy();
    let id = stage.found(7, 1);
    stage.view(id).await.expect("an organization");
    let mut stream = Stream::<Vec<Item>>::new(Arc::clone(&stage.engine), operator());
    let subscriptions = vec![(1, Ok(may_view(0, 0)), None)];
    stream.take(Update::Subscribe { organization: id, subscriptions, at_least: None }).unwrap();
    assert!(matches!(stream.next().await.unwrap(), Output::Changes { .. }));
    stage.poll().await;
    let with = stage.ledger.copy();

    for (names, ahead) in [(Names::History(2), 0), (Names::History(2), 1_000)] {
        stage.ledger.exchange(&without, names, ahead);
        stage.poll().await;
        for requirement in [Requirement::MaxAge(None), Requirement::Fresh] {
            assert_eq!(stage.refuses(id, requirement).await, Reason::NotFound);
        }
        stage.must_answer(kept).await;

        // It was remembered that there is none, but not of this history.
        stage.ledger.exchange(&with, Names::History(3), ahead + 1_000);
        stage.poll().await;
        stage.must_answer(id).await;
    }
    match stream.next().await.unwrap() {
        Output::Reset { organization, reason } => assert_eq!((organization, reason), (id, Reason::RevisionVanished)),
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.engine.organizations(), 2);
}

#[tokio::test]
async fn who_asks_freshly_notices_that_the_organization_is_gone_before_any_poll() {
    let stage = Followed::new(Settings::default()).await;
    let without = stage.ledger.copy();
    let id = stage.found(0, 1);
    stage.must_answer(id).await;
    assert!(stage.engine.bytes() > 0);
    stage.ledger.exchange(&without, Names::History(1), 1_000);
    assert_eq!(stage.refuses(id, Requirement::Fresh).await, Reason::NotFound);
    assert_eq!((stage.engine.bytes(), stage.engine.organizations()), (0, 0), "nothing of it is kept");
}

#[tokio::test]
async fn a_revision_of_the_history_that_stands_is_reached_by_a_memory_of_another() {
    let (stage, id, copy) = with_a_lost_part(Settings::default(), 1).await;
    stage.ledger.exchange(&copy, Names::History(1), 1_000);
    // Committed by another server: memory has a revision of this number, on another way.
    let position = stage.ledger.commit(Scope::Organization(id), vec![listed(0)]);
    let token = Token { epoch: 1, organization: id, position, installation: Position::default() };
    let view = stage.engine.view(id, Requirement::AtLeast(token), operator().subject).await.expect("it stands");
    assert_eq!(view.token().position, position);
    assert!(!view.answer(&may_view(0, 1)).is_allowed());
}

#[tokio::test]
async fn a_history_that_is_set_back_while_an_organization_is_read_is_loaded_as_it_stands() {
    let stage = Followed::new(Settings::default()).await;
    let id = stage.found(0, 1);
    stage.poll().await;
    let copy = stage.ledger.copy();
    for number in 0..3 {
        stage.ledger.commit(Scope::Organization(id), if number == 0 { lost() } else { vec![listed(0)] });
    }
    stage.ledger.hold(true);
    let engine = Arc::clone(&stage.engine);
    let viewing = tokio::spawn(async move { engine.view(id, Requirement::MaxAge(None), operator().subject).await });
    eventually("a load under way", || (stage.ledger.loading().0 == 1).then_some(())).await;
    // Told of the later history, and then of the one that was set back.
    stage.poll().await;
    stage.ledger.exchange(&copy, Names::History(2), 1_000);
    stage.poll().await;
    stage.ledger.hold(false);
    let view = viewing.await.unwrap().expect("an organization");
    assert_eq!(view.token().position, stage.ledger.state(Scope::Organization(id)).position);
    assert!(!view.answer(&may_view(0, 1)).is_allowed());
}

#[tokio::test]
async fn a_raised_epoch_is_another_history() {
    let stage = Followed::new(Settings::default()).await;
    let id = stage.load(1).await[0];
    let before = stage.view(id).await.unwrap().token();
    stage.ledger.raise_epoch(2);
    stage.poll().await;
    assert_eq!((stage.engine.epoch(), stage.engine.databases_exchanged()), (2, 1));
    assert_eq!(stage.refuses(id, Requirement::AtLeast(before)).await, Reason::RevisionVanished);
    let now = Requirement::AtLeast(stage.view(id).await.unwrap().token());
    stage.engine.view(id, now, operator().subject).await.expect("a revision of this epoch");
}
