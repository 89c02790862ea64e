//! The engine by itself, over a [`ledger`] and with a clock of the test's own: what it keeps in memory and what it evicts,
//! that compaction loses nothing, and that what is pushed ends where a fresh check does.
//!
//! [`Stage`] is an engine with its ledger; a new promise of the engine that needs no wire goes beside those here.

mod client;
mod compaction;
mod exchange;
mod ledger;
mod org_cache;
mod pushes;
mod reading;
mod truth;

use std::sync::Arc;
use std::time::Duration;

use guildhall::authz::{Caller, Engine, Question, Requirement, Settings, View};
use guildhall::clock::Env;
use guildhall::domain::catalog::Catalogs;
use guildhall::domain::error::Error;
use guildhall::domain::fact::{Grant, GrantSource, Held, MemberState, OrganizationFact, OrganizationState, Scope};
use guildhall::domain::id::{GrantId, MembershipId, OrganizationId, UserId};
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};
use uuid::Uuid;

use self::ledger::{Ledger, OPERATOR};
use crate::harness::{ManualClock, SeededEntropy};

/// An engine, what it follows, and the clock it runs by.
struct Stage {
    engine: Arc<Engine>,
    ledger: Arc<Ledger>,
    clock: Arc<ManualClock>,
}

impl Stage {
    /// Starts an engine over an installation without organizations; nothing polls.
    async fn new(settings: Settings) -> Self {
        // Nothing polls: what was proven once may be as old as it becomes.
        let settings = Settings { staleness_bound: Duration::from_hours(24), ..settings };
        let (ledger, clock) = (Ledger::new(), ManualClock::still());
        let world = Env { clock: clock.clone(), entropy: Arc::new(SeededEntropy::new(1)) };
        let engine =
            Engine::start(ledger.clone(), Catalogs::default(), world, settings, 1).await.expect("an installation");
        Self { engine, ledger, clock }
    }

    /// Founds an organization of so many members, each of whom is on the list of one project.
    fn found(&self, number: u128, members: u128) -> OrganizationId {
        let id = organization(number);
        let facts = std::iter::once(OrganizationFact::Organization {
            state: OrganizationState::Active,
            catalog: "disaster-recovery".into(),
        });
        let facts = facts.chain((0..members).flat_map(|member| joined(member).into_iter().chain([listed(member)])));
        self.ledger.commit(Scope::Organization(id), facts.collect());
        id
    }

    /// Commits, as this process does.
    async fn commit(&self, id: OrganizationId, facts: Vec<OrganizationFact>) {
        let position = self.ledger.commit(Scope::Organization(id), facts);
        self.engine.committed(Some((id, position)), None).await;
    }

    /// Asks for an organization as the operator.
    async fn view(&self, id: OrganizationId) -> Result<View, Error> {
        self.engine.view(id, Requirement::MaxAge(None), operator().subject).await
    }

    /// Asserts that an organization answers as its first member's list entry says.
    async fn must_answer(&self, id: OrganizationId) {
        let view = self.view(id).await.expect("an organization");
        assert!(view.answer(&may_view(0, 0)).is_allowed());
        assert!(!view.answer(&may_view(0, 1)).is_allowed());
    }
}

fn organization(number: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(0xf_0000 + number))
}

/// The operator, whose credential is good for ever.
fn operator() -> Caller {
    Caller { subject: Subject::ServiceAccount(OPERATOR), session: None, key: None, expires_at: None }
}

fn project(number: u128) -> ResourceKey {
    ResourceKey { kind: "project".into(), id: format!("p-{number}").into() }
}

/// A member who is a user of the product, and their project.
fn joined(member: u128) -> [OrganizationFact; 3] {
    let (id, user) =
        (MembershipId(Uuid::from_u128(0xa_0000 + member)), Some(UserId(Uuid::from_u128(0xb_0000 + member))));
    let place = Place::Organization;
    [
        OrganizationFact::Resource { key: project(member), parent: None, owner: None },
        OrganizationFact::Membership { id, user, state: MemberState::Active },
        OrganizationFact::Grant(held(0xc_0000 + member, member, place, Held::Role("user".into()))),
    ]
}

/// A member's entry on the list of their project.
fn listed(member: u128) -> OrganizationFact {
    OrganizationFact::Grant(held(0xd_0000 + member, member, Place::Resource(project(member)), Held::AsMember))
}

fn held(id: u128, member: u128, place: Place, held: Held) -> Grant {
    let principal = Principal::Membership(MembershipId(Uuid::from_u128(0xa_0000 + member)));
    Grant { id: GrantId(Uuid::from_u128(id)), principal, place, held, expires_at: None, source: GrantSource::Manual }
}

/// May a member view a project?
fn may_view(member: u128, number: u128) -> Question {
    Question {
        subject: Subject::User(UserId(Uuid::from_u128(0xb_0000 + member))),
        session: None,
        permission: "project.view".into(),
        target: Some(project(number)),
    }
}
