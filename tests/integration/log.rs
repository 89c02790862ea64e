//! The log: every revision once, in order, whoever writes at the same time; and what derives from it is what stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use guildhall::authz::{InstallationIndex, OrganizationIndex, Requirement};
use guildhall::changelog::{Cursor, Reading, Source};
use guildhall::clock::{Clock, SystemClock};
use guildhall::domain::fact::{Commit, InstallationFact, MemberState, OrganizationFact, Scope};
use guildhall::domain::grant::cardinality::Counters;
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::{Place, Principal};
use guildhall::domain::revision::Position;
use guildhall::store::Store;

use crate::harness::messages::{
    change, create_member, disable, enable, grant, membership, new_member, register, remove, revoke,
};
use crate::harness::{Organization, Person, TestApp, as_member, project, role, soak};
use crate::on_both;
use crate::rule::index::standing;
use crate::rule::rng::Rng;

/// Writers at the same time.
const WRITERS: usize = 6;
/// What each of them writes.
const WRITES: usize = 6;

/// Returns the id of an organization.
pub fn id_of(organization: &Organization) -> OrganizationId {
    OrganizationId::parse("id", &organization.id).unwrap()
}

/// Reads the whole log of an organization.
pub async fn organization_log(store: &Store, id: OrganizationId) -> Vec<Commit<OrganizationFact>> {
    whole(|from| store.organization_commits(id, from)).await
}

/// Reads the whole log of the installation.
pub async fn installation_log(store: &Store) -> Vec<Commit<InstallationFact>> {
    whole(|from| store.installation_commits(from)).await
}

async fn whole<'a, F>(read: impl Fn(Position) -> Reading<'a, Vec<Commit<F>>>) -> Vec<Commit<F>> {
    let mut commits: Vec<Commit<F>> = Vec::new();
    loop {
        let from = commits.last().map(|commit| commit.position).unwrap_or_default();
        let mut more = read(from).await.unwrap();
        more.retain(|commit| commit.position.revision > from.revision);
        if more.is_empty() {
            return commits;
        }
        commits.extend(more);
    }
}

/// Has many write at once, each in a way of its own and with pauses of its own.
async fn storm(organization: &Organization, people: &[Person]) {
    println!("seeds 0..{WRITERS}");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (id, owner) = (organization.id.clone(), organization.owner.call.clone());
        let person = people[writer % people.len()].clone();
        let mut rng = Rng::new(writer as u64);
        writers.spawn(async move {
            for number in 0..WRITES * usize::try_from(soak()).unwrap() {
                SystemClock.sleep(Duration::from_millis(rng.draw() % 4)).await;
                let name = format!("p-{writer}-{number}");
                let leaver = create_member(&id, new_member(&format!("{name}@example.test"), vec![]));
                let leaver = owner.create_member(leaver).await.unwrap().member.unwrap().id;
                owner.register_resource(register(&id, project(&name))).await.unwrap();
                let member = || membership(&person.membership_id);
                let deltas = match number % 3 {
                    0 => vec![grant(member(), as_member(project(&name)))],
                    1 => vec![grant(member(), role("admin")), grant(member(), role("user"))],
                    _ => vec![revoke(member(), as_member(project(&format!("p-{writer}-{}", number - 2))))],
                };
                owner.change_grants(change(&id, deltas)).await.unwrap();
                owner.remove_member(remove(&id, &leaver)).await.unwrap();
                // Two writers share a person: one of them is too late, and that is fine.
                let _ = owner.disable_member(disable(&id, &person.membership_id)).await;
                let _ = owner.enable_member(enable(&id, &person.membership_id)).await;
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
}

async fn people(app: &TestApp, organization: &Organization) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 0..4 {
        let email = format!("person-{number}@example.test");
        people.push(app.invite_and_join(&organization.id, &organization.owner.call, &email, vec![role("user")]).await);
    }
    people
}

on_both! {
    async fn a_reader_sees_every_revision_once_and_in_order(app) {
        let organization = Arc::new(app.found().await);
        let people = people(&app, &organization).await;
        let store = app.app.services().store.clone();
        let id = id_of(&organization);
        let scope = Scope::Organization(id);
        let begun_at = store.positions(&[scope], None).await.unwrap()[0].1;

        // A reader that follows by the poll alone while the storm goes on.
        let is_over = Arc::new(AtomicBool::new(false));
        let reader = tokio::spawn({
            let (store, is_over) = (store.clone(), Arc::clone(&is_over));
            let world = app.app.services().env.clone();
            async move {
                let (mut cursor, mut seen, mut at) = (Cursor::default(), Vec::new(), begun_at);
                loop {
                    let is_last = is_over.load(Ordering::SeqCst);
                    let moved = store.moved_since(cursor).await.unwrap();
                    cursor = moved.cursor;
                    let target = moved.scopes.iter().find(|(other, _)| *other == scope).map(|(_, position)| *position);
                    if target.is_some_and(|target| target.revision > at.revision) {
                        for commit in store.organization_commits(id, at).await.unwrap().into_iter().skip(1) {
                            at = commit.position;
                            seen.push(commit);
                        }
                    }
                    if is_last {
                        return seen;
                    }
                    world.clock.sleep(world.jittered(Duration::from_millis(4))).await;
                }
            }
        });
        storm(&organization, &people).await;
        is_over.store(true, Ordering::SeqCst);
        let seen = reader.await.unwrap();

        let all = organization_log(&store, id).await;
        let revisions: Vec<u64> = all.iter().map(|commit| commit.position.revision.0).collect();
        assert_eq!(revisions, (1..=all.len() as u64).collect::<Vec<_>>(), "no hole and no repetition");
        let since: Vec<Commit<OrganizationFact>> =
            all.into_iter().filter(|commit| commit.position.revision > begun_at.revision).collect();
        assert!(since.len() >= WRITERS * WRITES, "{} commits", since.len());
        assert_eq!(seen, since, "the reader has missed or repeated something");
    }

    async fn an_index_rebuilt_from_the_log_is_the_tables(app) {
        let organization = app.found().await;
        let people = people(&app, &organization).await;
        let store = app.app.services().store.clone();
        let id = id_of(&organization);
        let engine = &app.app.services().engine;
        let caller = app.app.services().authenticate(app.operator_key()).await.unwrap().caller().subject;
        engine.view(id, Requirement::MaxAge(None), caller).await.expect("it lives from here on");
        storm(&organization, &people).await;

        let loaded = store.organization(id).await.unwrap().unwrap();
        let commits = organization_log(&store, id).await;
        let mut from_log = Standing::default();
        commits.iter().flat_map(|commit| &commit.facts).for_each(|fact| from_log.apply(fact));
        let mut from_tables = Standing::default();
        loaded.facts.iter().for_each(|fact| from_tables.apply(fact));
        assert_eq!(from_log, from_tables);
        assert_eq!(commits.last().unwrap().position, loaded.position);

        // And so is the one that lived through it all, which followed the log while it was written.
        let fresh = OrganizationIndex::load(loaded.position, &loaded.facts, store.catalogs(), 0).unwrap();
        let lived = engine.view(id, Requirement::Fresh, caller).await.unwrap().organization;
        assert_eq!((lived.position(), standing(&lived)), (fresh.position(), standing(&fresh)));
        assert_eq!(engine.histories_replaced(), 0);
        let rebuilt = {
            let mut index = OrganizationIndex::empty(Arc::clone(fresh.catalog()));
            index.apply_all(&commits);
            index
        };
        assert_eq!(standing(&rebuilt), standing(&fresh));

        let above = store.installation().await.unwrap().unwrap();
        let rebuilt = installation_log(&store).await.iter().fold(InstallationIndex::default(), |mut index, it| {
            index.apply(it);
            index
        });
        assert_eq!(rebuilt.position(), above.position);
    }

    async fn the_counters_on_the_head_are_what_a_recount_gives(app) {
        let organization = app.found().await;
        let people = people(&app, &organization).await;
        storm(&organization, &people).await;
        let store = app.app.services().store.clone();
        let id = id_of(&organization);

        let facts = store.organization(id).await.unwrap().unwrap().facts;
        let catalog = guildhall::domain::catalog::presets::preset("disaster-recovery").unwrap();
        let mut recount = Counters::default();
        for fact in &facts {
            let OrganizationFact::Grant(held) = fact else { continue };
            let Principal::Membership(membership) = held.principal else { continue };
            let state = facts.iter().find_map(|fact| match fact {
                OrganizationFact::Membership { id, state, .. } if *id == membership => Some(*state),
                _ => None,
            });
            recount.count(&catalog, held, state.unwrap_or(MemberState::Disabled), 1);
        }
        let author = guildhall::changelog::Author { actor: None, rpc: "test", call_id: uuid::Uuid::nil(), reason: None };
        let mut tx = store.begin(guildhall::store::Lock::Organization(id), Vec::new(), author, false).await.unwrap();
        assert_eq!(*tx.counters(), recount);
        assert_eq!(recount.of("owner").active, 1);
        tx.rollback().await.unwrap();
    }

    async fn a_commit_names_its_author_and_carries_no_personal_data(app) {
        let organization = app.found().await;
        people(&app, &organization).await;
        let store = app.app.services().store.clone();

        let here = format!("{:?}", organization_log(&store, id_of(&organization)).await);
        let above = format!("{:?}", installation_log(&store).await);
        for text in [here, above] {
            assert!(!text.contains("example.test"), "{text}");
            assert!(!text.contains("ghi_") && !text.contains("ghk_"), "{text}");
        }
    }
}

/// What stands once facts are applied, whatever their order of arrival.
#[derive(Debug, Default, PartialEq)]
pub struct Standing {
    memberships: std::collections::BTreeMap<String, String>,
    resources: std::collections::BTreeMap<String, String>,
    grants: std::collections::BTreeMap<String, String>,
    roles: std::collections::BTreeMap<String, String>,
    others: std::collections::BTreeMap<String, String>,
}

impl Standing {
    /// Takes a fact in.
    pub fn apply(&mut self, fact: &OrganizationFact) {
        let text = format!("{fact:?}");
        match fact {
            OrganizationFact::Membership { id, .. } => self.memberships.insert(id.to_string(), text),
            OrganizationFact::Resource { key, .. } => self.resources.insert(key.to_string(), text),
            OrganizationFact::ResourceGone { key } => self.resources.remove(&key.to_string()),
            OrganizationFact::Grant(grant) => {
                assert!(!matches!(grant.place, Place::Installation | Place::Product(_)));
                self.grants.insert(grant.id.to_string(), text)
            }
            OrganizationFact::GrantGone(grant) => self.grants.remove(&grant.id.to_string()),
            OrganizationFact::Role(role) => self.roles.insert(role.name.to_string(), text),
            OrganizationFact::RoleGone { name } => self.roles.remove(&**name),
            OrganizationFact::Organization { .. } => self.others.insert("organization".into(), text),
            OrganizationFact::ServiceAccount { id, .. } => self.others.insert(id.to_string(), text),
            // Not part of what a load gives.
            OrganizationFact::Invitation { .. }
            | OrganizationFact::ApiKey { .. }
            | OrganizationFact::Contact { .. }
            | OrganizationFact::Group { .. }
            | OrganizationFact::GroupGone { .. }
            | OrganizationFact::RemovalAwaiting { .. }
            | OrganizationFact::SeatLimit { .. } => None,
            OrganizationFact::MembershipGone { id } => self.memberships.remove(&id.to_string()),
            OrganizationFact::ServiceAccountGone { id } => self.others.remove(&id.to_string()),
            OrganizationFact::GroupMember { group, membership, is_in: true } => {
                self.others.insert(format!("{membership} in {group}"), text)
            }
            OrganizationFact::GroupMember { group, membership, is_in: false } => {
                self.others.remove(&format!("{membership} in {group}"))
            }
        };
    }
}
