//! Acts on many members, chunk by chunk: each chunk is a write of its own, and a call that broke off goes on where it was.
//!
//! What became of a chunk is remembered under a request id of its own, made of the call's and the chunk's number, with where
//! the next one begins. A call that is made again is told what was done, chunk by chunk, until there is one that was not.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::hash_of;
use crate::domain::access::{Actor, Move, may_carry_out, may_give, may_move, may_take, may_touch};
use crate::domain::assignment::{Act, Assignment, Before, Delta, Plan, plan};
use crate::domain::cardinality::{self, Counters};
use crate::domain::catalog::{Catalog, PermissionId};
use crate::domain::error::{Error, Kind, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, MemberState};
use crate::domain::id::{GrantId, GroupId, MembershipId, OrganizationId, RequestId};
use crate::domain::member::Member;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::revision::Token;
use crate::domain::roster::{Filter, Order, Position, Query};
use crate::domain::time::Timestamp;
use crate::service::apply::{Affected, apply};
use crate::service::seats::SeatsBefore;
use crate::service::{Context, Replay, Services};
use crate::store::{Lock, RosterQuery, Tx};

/// Most members of a chunk.
const CHUNK_MAX: u32 = 100;
/// Most members that one call names.
const IDS_MAX: usize = 10_000;

/// Asks for an act on many members.
#[derive(Clone, Debug)]
pub struct BulkMembers {
    /// Whose.
    pub organization: OrganizationId,
    /// On whom.
    pub selection: Selection,
    /// What.
    pub act: BulkAct,
}

/// On whom.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Everybody who is there when their turn comes.
    All,
    /// Whoever fits, when their turn comes.
    Matching {
        /// Words, as in the list of members.
        query: String,
        /// AIP-160, as in the list of members.
        filter: String,
    },
    /// These.
    Listed(Vec<MembershipId>),
}

/// What is done to each.
#[derive(Clone, Debug)]
pub enum BulkAct {
    /// They are shut out, or let in again.
    Move(Move),
    /// They are given something.
    Grant(Assignment),
    /// Something is taken from them.
    Revoke(Assignment),
}

/// What became of one member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BulkResult {
    /// Who.
    pub id: MembershipId,
    /// Whether anything has changed.
    pub is_changed: bool,
    /// The name of the reason for which it was refused, and the same for people.
    pub refusal: Option<(String, String)>,
}

/// One chunk as it was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chunk {
    results: Vec<BulkResult>,
    /// Where the next chunk begins; nowhere if this was the last.
    next: Option<Start>,
}

/// Where a chunk begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Start {
    /// At the first member.
    Beginning,
    /// After this member, of those who fit.
    After(Position),
    /// At this place of the ids.
    At(usize),
}

/// A call under way.
#[derive(Debug)]
pub struct Bulk {
    services: Arc<Services>,
    context: Context,
    request: Arc<BulkMembers>,
    /// What is asked of the list; the ids are asked of nothing.
    roster: Option<RosterQuery>,
    number: u64,
    from: Option<Start>,
}

impl Services {
    /// Begins an act on many members. Nothing is done before the first chunk is asked for.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    /// - [`Reason::FieldRequired`], [`Reason::OutOfRange`], [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`]; what
    ///   [`Query::parse`] and [`Filter::parse`] refuse; [`Reason::QueryEmpty`] where nothing is said of who is to fit.
    pub async fn bulk_members(self: &Arc<Self>, context: &Context, request: BulkMembers) -> Result<Bulk, Error> {
        let (organization, now) = (request.organization, self.world.now());
        let reads = self.store.reads();
        let actor = reads.of(organization).actor(context.subject()?, &places(&request.act), self.world.now()).await?;
        may_begin(&actor, &request, now)?;
        context.note(organization, now);
        let mut violations = Violations::default();
        let nobody = Principal::Membership(MembershipId(Uuid::nil()));
        match &request.act {
            BulkAct::Grant(it) => violations.take(it.must_be_grantable(&actor.catalog, nobody, "grant", now))?,
            BulkAct::Revoke(it) => violations.take(it.must_be_assignable(&actor.catalog, nobody, "revoke"))?,
            BulkAct::Move(_) => None,
        };
        let roster = selected(&request.selection, &actor.catalog, now, &mut violations)?;
        violations.finish()?;
        let groups = roster.iter().flat_map(|roster| roster.filter.groups()).map(Principal::Group);
        reads.of(request.organization).principals(&groups.collect::<Vec<_>>()).await?;
        let (services, request) = (Arc::clone(self), Arc::new(request));
        Ok(Bulk { services, context: context.clone(), request, roster, number: 0, from: Some(Start::Beginning) })
    }
}

/// Reads whom a request selects.
fn selected(
    selection: &Selection,
    catalog: &Catalog,
    now: Timestamp,
    violations: &mut Violations,
) -> Result<Option<RosterQuery>, Error> {
    match selection {
        Selection::Listed(ids) => {
            if ids.is_empty() || ids.len() > IDS_MAX {
                violations.add("listed.members", Reason::OutOfRange, format!("must be from 1 to {IDS_MAX}"));
            }
            let mut seen = std::collections::HashSet::new();
            for (index, _) in ids.iter().enumerate().filter(|(_, id)| !seen.insert(**id)) {
                let field = format!("listed.members[{index}].membership_id");
                violations.add(field, Reason::OutOfRange, "stands in the list before");
            }
            Ok(None)
        }
        Selection::All => Ok(Some(in_order(Query::default(), Filter::default(), now)?)),
        Selection::Matching { query, filter } => {
            let words = Query::parse("matching.query", query).and_then(|words| words.must_have_words("matching.query"));
            let words = violations.take(words)?;
            let filter = Filter::parse("matching.filter", filter)
                .and_then(|filter| filter.must_name_roles_of(catalog, "matching.filter").map(|()| filter));
            let filter = violations.take(filter)?;
            let Some((words, filter)) = words.zip(filter) else { return Ok(None) };
            if words.is_empty() && filter.is_empty() {
                // What was left out by mistake must not mean everyone.
                let message = "has neither a query nor a filter; everyone is selected by `all: true`";
                violations.add("matching", Reason::QueryEmpty, message);
            }
            in_order(words, filter, now).map(Some)
        }
    }
}

/// Asks for the members in the order in which they were made, a chunk at a time.
fn in_order(words: Query, filter: Filter, now: Timestamp) -> Result<RosterQuery, Error> {
    Ok(RosterQuery { words, filter, order: Order::parse("", "create_time")?, now, size: CHUNK_MAX, after: None })
}

/// Asks whether the caller may do this to anybody at all.
fn may_begin(actor: &Actor, request: &BulkMembers, now: Timestamp) -> Result<(), Error> {
    let organization = request.organization;
    actor.must_see(None)?;
    match &request.act {
        BulkAct::Move(_) => actor.must_hold(PermissionId::MEMBER_DISABLE, None)?,
        BulkAct::Grant(assignment) | BulkAct::Revoke(assignment) => {
            let field = if matches!(request.act, BulkAct::Grant(_)) { "grant" } else { "revoke" };
            assignment.must_be_of_a_known_type(&actor.catalog, field)?;
            let place = assignment.place.resource();
            if place.is_some() {
                actor.must_see(place)?;
            }
            may_touch(&actor.at(place), &assignment.held, now)?;
        }
    }
    match &request.selection {
        Selection::Matching { filter, .. } => {
            actor.must_hold(PermissionId::MEMBER_LIST, None)?;
            // What cannot be read is refused for that, where all that is wrong is told.
            let asks_for_groups = Filter::parse("", filter).is_ok_and(|filter| !filter.groups().is_empty());
            if asks_for_groups { actor.must_hold(PermissionId::GROUP_LIST, None) } else { Ok(()) }
        }
        Selection::All => actor.must_hold(PermissionId::MEMBER_LIST, None),
        Selection::Listed(_) => Ok(()),
    }
}

impl Bulk {
    /// Does the next chunk, or tells what was done of it before; `None` at the end.
    ///
    /// # Errors
    /// - [`Reason::RequestIdReused`]; what taking the organization's lock and committing fail with. What was done stays.
    pub async fn next(&mut self) -> Result<Option<(Vec<BulkResult>, Option<Token>)>, Error> {
        let Some(from) = self.from.take() else { return Ok(None) };
        let mut context = self.context.clone();
        context.replay = context.replay.map(|replay| part(&replay, self.number));
        self.number += 1;

        let organization = self.request.organization;
        let remembered = match &context.replay {
            Some(replay) => self.services.store.reads().replayed(replay, self.services.world.now()).await?,
            None => None,
        };
        let (ids, next) = match remembered {
            // The write finds it again, after the caller is authorized.
            Some(_) => (Vec::new(), None),
            None => self.select(from).await?,
        };
        let is_known = context.replay.is_some();
        if ids.is_empty() && !is_known {
            return Ok(None);
        }
        let (call, request) = (context.clone(), Arc::clone(&self.request));
        let written = self
            .services
            .write(&context, Lock::Organization(organization), move |tx| {
                act(tx, call.clone(), Arc::clone(&request), (ids.clone(), next.clone()))
            })
            .await?;
        let Chunk { results, next } = written.value;
        self.from = next;
        // An end that was remembered is an end.
        Ok((!results.is_empty()).then_some((results, written.token)))
    }

    /// Finds the members of a chunk, and where the one after it begins.
    async fn select(&self, mut from: Start) -> Result<(Vec<MembershipId>, Option<Start>), Error> {
        if let Selection::Listed(ids) = &self.request.selection {
            let begin = if let Start::At(at) = from { at } else { 0 };
            let end = ids.len().min(begin + CHUNK_MAX as usize);
            return Ok((ids[begin..end].to_vec(), (end < ids.len()).then_some(Start::At(end))));
        }
        let roster = self.roster.clone().ok_or_else(|| Error::internal("a selection that was not read"))?;
        loop {
            let after = if let Start::After(position) = from { Some(position) } else { None };
            let query = RosterQuery { after, now: self.services.world.now(), ..roster.clone() };
            let page = self.services.store.reads().of(self.request.organization).roster_page(&query).await?;
            let next = page.next.map(Start::After);
            match next {
                // Nobody fits so far.
                Some(next) if page.rows.is_empty() => from = next,
                next => return Ok((page.rows.into_iter().map(|row| row.member.id).collect(), next)),
            }
        }
    }
}

/// Gives the request id under which a chunk is remembered.
fn part(replay: &Replay, number: u64) -> Replay {
    let digest = hash_of(&format!("{}/{number}", replay.request.0));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Replay { request: RequestId(uuid::Builder::from_custom_bytes(bytes).into_uuid()), ..*replay }
}

async fn act(
    mut tx: Tx,
    context: Context,
    request: Arc<BulkMembers>,
    (ids, next): (Vec<MembershipId>, Option<Start>),
) -> Result<(Tx, Chunk), Error> {
    let (organization, now) = (request.organization, tx.now());
    let members = tx.reads().memberships(&ids, now).await?;
    let members: HashMap<MembershipId, Member> = members.into_iter().map(|member| (member.id, member)).collect();
    let staying = members.values().filter(|member| member.state != MemberState::Removing);
    let principals: Vec<Principal> = staying.map(|member| Principal::Membership(member.id)).collect();
    let catalog = tx.reads().actor(context.subject()?, &[], tx.now()).await?.catalog;
    let mut affected = Affected::read(&tx, &catalog, &principals).await?;
    if matches!(request.act, BulkAct::Move(_)) {
        affected.add_groups(&tx, &ids).await?;
    }
    let mut places = places(&request.act);
    places.extend(affected.held.iter().filter_map(|grant| grant.place.resource().cloned()));
    places.sort();
    places.dedup();
    let actor = tx.reads().actor(context.subject()?, &places, tx.now()).await?;
    may_begin(&actor, &request, now)?;

    let mut judge = Judge::new(&actor, affected.before(now), tx.counters().clone());
    let mut results = Vec::new();
    for id in ids {
        let done = match members.get(&id) {
            Some(member) => judge.one(&request.act, member),
            None => Err(Error::not_found("member", id)),
        };
        let (is_changed, refusal) = match done {
            Ok(is_changed) => (is_changed, None),
            Err(error) if error.kind() == Kind::Internal => return Err(error),
            Err(error) => (false, Some((error.reason.name().to_owned(), error.message))),
        };
        results.push(BulkResult { id, is_changed, refusal });
    }

    let Judge { counters, moved, plan, .. } = judge;
    match &request.act {
        BulkAct::Move(_) if moved.is_empty() => {}
        BulkAct::Move(act) => {
            let (_, to, verb) = act.states();
            let ids: Vec<MembershipId> = moved.iter().map(|member| member.id).collect();
            let seats = SeatsBefore::of_members(&tx, &actor.catalog, &ids, &places).await?;
            *tx.counters() = counters;
            tx.memberships_move(&moved, to, verb).await?;
            seats.must_suffice(&tx, &actor.catalog).await?;
        }
        BulkAct::Grant(_) | BulkAct::Revoke(_) => {
            apply(&mut tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "act").await?;
        }
    }
    Ok((tx, Chunk { results, next }))
}

/// Judges the act on one member after another, and keeps what it comes to. What is refused leaves nothing behind.
struct Judge<'a> {
    actor: &'a Actor,
    now: Timestamp,
    /// What each member holds, then what the groups hold that they are in.
    held: HashMap<Principal, Vec<&'a Grant>>,
    groups: HashMap<MembershipId, Vec<GroupId>>,
    counters: Counters,
    moved: Vec<Member>,
    plan: Plan,
}

impl<'a> Judge<'a> {
    fn new(actor: &'a Actor, before: Before<'a>, counters: Counters) -> Self {
        let (mut held, mut groups) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for grant in before.grants {
            held.entry(grant.principal).or_default().push(grant);
        }
        for (member, group) in before.groups {
            groups.entry(*member).or_default().push(*group);
        }
        Self { actor, now: before.now, held, groups, counters, moved: Vec::new(), plan: Plan::default() }
    }

    /// Judges the act on one member; says whether it changes anything.
    fn one(&mut self, act: &BulkAct, member: &Member) -> Result<bool, Error> {
        if member.state == MemberState::Removing {
            let message = "the member is being removed";
            return Err(Error::new(Reason::MemberState, message).about("member", member.id));
        }
        match act {
            BulkAct::Move(act) => self.move_one(*act, member).map(|()| true),
            BulkAct::Grant(assignment) => self.change_one(Act::Grant, assignment, member),
            BulkAct::Revoke(assignment) => self.change_one(Act::Revoke, assignment, member),
        }
    }

    fn move_one(&mut self, act: Move, member: &Member) -> Result<(), Error> {
        let held = self.held.get(&Principal::Membership(member.id)).cloned().unwrap_or_default();
        let groups = self.groups.get(&member.id).map(Vec::as_slice).unwrap_or_default();
        let by_groups = groups.iter().filter_map(|group| self.held.get(&Principal::Group(*group))).flatten();
        let all: Vec<&Grant> = held.iter().chain(by_groups).copied().collect();
        may_move(self.actor, member.id, &all, act, self.now)?;
        let (from, to, verb) = act.states();
        member.must_be(from, verb)?;
        let mut counters = self.counters.clone();
        for grant in held {
            counters.count(&self.actor.catalog, grant, from, -1);
            counters.count(&self.actor.catalog, grant, to, 1);
        }
        self.keep(counters)?;
        self.moved.push(Member { state: to, ..member.clone() });
        Ok(())
    }

    fn change_one(&mut self, act: Act, assignment: &Assignment, member: &Member) -> Result<bool, Error> {
        let (actor, now, principal) = (self.actor, self.now, Principal::Membership(member.id));
        let place = actor.at(assignment.place.resource());
        match act {
            Act::Grant => may_give(&place, &assignment.held, principal, now)?,
            Act::Revoke if actor.standing.is_alone(principal) => {
                return Err(Error::new(Reason::SelfRemoval, "nobody takes from themselves"));
            }
            Act::Revoke => may_take(&place, &assignment.held, now)?,
        }
        let groups = self.groups.get(&member.id).map(Vec::as_slice).unwrap_or_default();
        let holders = std::iter::once(principal).chain(groups.iter().map(|group| Principal::Group(*group)));
        let grants: Vec<Grant> =
            holders.filter_map(|holder| self.held.get(&holder)).flatten().map(|grant| (*grant).clone()).collect();
        let groups: Vec<(MembershipId, GroupId)> = groups.iter().map(|group| (member.id, *group)).collect();
        let before = Before { grants: &grants, groups: &groups, now };
        let plan = plan(&actor.catalog, before, &[Delta { principal, assignment: assignment.clone(), act }])?;
        may_carry_out(actor, &plan, now)?;

        let mut counters = self.counters.clone();
        for grant in plan.gone() {
            counters.count(&actor.catalog, grant, member.state, -1);
        }
        for (to, assignment) in &plan.granted {
            let grant = assignment.to_grant(GrantId(Uuid::nil()), *to, GrantSource::Manual);
            counters.count(&actor.catalog, &grant, member.state, 1);
        }
        self.keep(counters)?;
        let is_changed = !plan.is_empty();
        self.plan.granted.extend(plan.granted);
        self.plan.revoked.extend(plan.revoked);
        self.plan.cleared.extend(plan.cleared);
        self.plan.left.extend(plan.left);
        Ok(is_changed)
    }

    /// Keeps how many hold each bounded role, if as many may.
    fn keep(&mut self, counters: Counters) -> Result<(), Error> {
        cardinality::judge(&self.actor.catalog, &self.counters, &counters)?;
        self.counters = counters;
        Ok(())
    }
}

fn places(act: &BulkAct) -> Vec<ResourceKey> {
    match act {
        BulkAct::Move(_) => Vec::new(),
        BulkAct::Grant(assignment) | BulkAct::Revoke(assignment) => {
            assignment.place.resource().cloned().into_iter().collect()
        }
    }
}
