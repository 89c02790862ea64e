//! Acts on many members, chunk by chunk: each chunk is a write of its own, and a call that broke off goes on where it was.
//!
//! What became of a chunk is remembered under a request id of its own, made of the call's and the chunk's number, with where
//! the next one begins. A call that is made again is told what was done, chunk by chunk, until there is one that was not.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::hash_of;
use crate::domain::access::{Actor, Move, may_carry_out, may_give, may_move, may_take, may_take_from, may_touch};
use crate::domain::catalog::{Catalog, PermissionId};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Grant, GrantSource, MemberState};
use crate::domain::fields::all;
use crate::domain::grant::assignment::{Act, Assignment, Before, Delta, Plan, plan};
use crate::domain::grant::cardinality::{self, Counters};
use crate::domain::id::{GrantId, GroupId, MembershipId, OrganizationId, RequestId};
use crate::domain::member::Member;
use crate::domain::member::list::{Column, Filter, Order, Position, Query};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::revision::Token;
use crate::domain::time::Timestamp;
use crate::service::apply::{Affected, apply};
use crate::service::run::Authorized;
use crate::service::seats::SeatsBefore;
use crate::service::{Authorize, Call, Context, Mutation, Replay, Services};
use crate::store::{MemberQuery, Tx};

/// Most members of a chunk.
const CHUNK_MAX: u32 = 100;

/// Acts on many members.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
/// - [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], [`Reason::OutOfRange`].
#[derive(Clone, Debug)]
pub struct BulkMembers {
    /// On whom.
    pub selection: Selection,
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
        words: Query,
        /// What else they must be, as in the list of members.
        filter: Filter,
    },
    /// These, each once.
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
    /// Before the first chunk; each is authorized anew under the lock.
    authorized: Authorized,
    request: Arc<BulkMembers>,
    number: u64,
    from: Option<Start>,
}

impl Authorize for BulkMembers {
    /// Whether the caller may do this to anybody at all.
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(self.place().as_slice()).await?;
        match &self.act {
            BulkAct::Move(_) => actor.must_hold(PermissionId::MEMBER_DISABLE, None)?,
            BulkAct::Grant(assignment) | BulkAct::Revoke(assignment) => {
                let field = if matches!(self.act, BulkAct::Grant(_)) { "grant" } else { "revoke" };
                assignment.must_be_of_a_known_type(&actor.catalog, field)?;
                let place = assignment.place.resource();
                if place.is_some() {
                    actor.must_see(place)?;
                }
                may_touch(&actor.at(place), &assignment.held, actor.now)?;
            }
        }
        if !matches!(self.selection, Selection::Listed(_)) {
            actor.must_hold(PermissionId::MEMBER_LIST, None)?;
        }
        if !self.groups().is_empty() {
            actor.must_hold(PermissionId::GROUP_LIST, None)?;
        }
        Ok(actor)
    }
}

impl BulkMembers {
    /// Returns the resource at which something is given or taken.
    fn place(&self) -> Option<ResourceKey> {
        match &self.act {
            BulkAct::Move(_) => None,
            BulkAct::Grant(assignment) | BulkAct::Revoke(assignment) => assignment.place.resource().cloned(),
        }
    }

    /// Returns the groups by which members are selected.
    fn groups(&self) -> Vec<Principal> {
        match &self.selection {
            Selection::Matching { filter, .. } => filter.groups().into_iter().map(Principal::Group).collect(),
            Selection::All | Selection::Listed(_) => Vec::new(),
        }
    }

    /// Ensures that the catalog has what the request names.
    fn must_be_possible(&self, catalog: &Catalog, now: Timestamp) -> Result<(), Error> {
        let nobody = Principal::Membership(MembershipId(Uuid::nil()));
        let act = match &self.act {
            BulkAct::Grant(assignment) => assignment.must_be_grantable(catalog, nobody, "grant", now),
            BulkAct::Revoke(assignment) => assignment.must_be_assignable(catalog, nobody, "revoke"),
            BulkAct::Move(_) => Ok(()),
        };
        let selection = match &self.selection {
            Selection::Matching { filter, .. } => filter.must_name_roles_of(catalog, "matching.filter"),
            Selection::All | Selection::Listed(_) => Ok(()),
        };
        all((act, selection))?;
        Ok(())
    }
}

impl Services {
    /// Begins an act on many members. Nothing is done before the first chunk is asked for.
    ///
    /// # Errors
    /// As [`BulkMembers`].
    pub async fn bulk_members(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: BulkMembers,
    ) -> Result<Bulk, Error> {
        let authorized = self.authorize(context, organization, &request).await?;
        let actor = &authorized.actor;
        request.must_be_possible(&actor.catalog, actor.now)?;
        self.store.reads().of(organization).principals(&request.groups()).await?;
        let (services, context, request) = (Arc::clone(self), context.clone(), Arc::new(request));
        Ok(Bulk { services, context, authorized, request, number: 0, from: Some(Start::Beginning) })
    }
}

impl Bulk {
    /// Does the next chunk, or returns what was done of it before; `None` at the end.
    ///
    /// # Errors
    /// - [`Reason::RequestIdReused`]; what taking the organization's lock and committing fail with. What was done stays.
    pub async fn next(&mut self) -> Result<Option<(Vec<BulkResult>, Option<Token>)>, Error> {
        let Some(from) = self.from.take() else { return Ok(None) };
        let mut context = self.context.clone();
        context.replay = context.replay.map(|replay| part(&replay, self.number));
        self.number += 1;

        let remembered = match &context.replay {
            Some(replay) => self.services.store.reads().replayed(replay, self.services.env.now()).await?,
            None => None,
        };
        let (ids, next) = match remembered {
            // The commit finds it again.
            Some(_) => (Vec::new(), None),
            None => self.select(from).await?,
        };
        let is_known = context.replay.is_some();
        if ids.is_empty() && !is_known {
            return Ok(None);
        }
        let chunk = ActOnChunk { request: Arc::clone(&self.request), ids, next };
        let written = self.services.commit_in(&context, &self.authorized, chunk).await?;
        let Chunk { results, next } = written.value;
        self.from = next;
        // An end that was remembered is an end.
        Ok((!results.is_empty()).then_some((results, written.token)))
    }

    /// Finds the members of a chunk, and where the one after it begins.
    async fn select(&self, mut from: Start) -> Result<(Vec<MembershipId>, Option<Start>), Error> {
        let (words, filter) = match &self.request.selection {
            Selection::Listed(ids) => {
                let begin = if let Start::At(at) = from { at } else { 0 };
                let end = ids.len().min(begin + CHUNK_MAX as usize);
                return Ok((ids[begin..end].to_vec(), (end < ids.len()).then_some(Start::At(end))));
            }
            Selection::Matching { words, filter } => (words.clone(), filter.clone()),
            Selection::All => (Query::default(), Filter::default()),
        };
        let reads = self.services.store.reads().of(self.authorized.actor.organization);
        let order = Order { by: Column::Created, is_descending: false };
        let now = self.services.env.now();
        let mut query = MemberQuery { words, filter, order, now, size: CHUNK_MAX, after: None };
        loop {
            query.after = if let Start::After(position) = from { Some(position) } else { None };
            let page = reads.member_page(&query).await?;
            let next = page.next.map(Start::After);
            match next {
                // Nobody fits so far.
                Some(next) if page.rows.is_empty() => from = next,
                next => return Ok((page.rows.into_iter().map(|row| row.member.id).collect(), next)),
            }
        }
    }
}

/// Returns the request id under which a chunk is remembered.
fn part(replay: &Replay, number: u64) -> Replay {
    let digest = hash_of(&format!("{}/{number}", replay.request.0));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Replay { request: RequestId(uuid::Builder::from_custom_bytes(bytes).into_uuid()), ..*replay }
}

/// Acts on the members of one chunk.
struct ActOnChunk {
    request: Arc<BulkMembers>,
    ids: Vec<MembershipId>,
    /// Where the chunk after it begins.
    next: Option<Start>,
}

impl Authorize for ActOnChunk {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        self.request.authorize(call).await
    }
}

impl Mutation for ActOnChunk {
    type Output = Chunk;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Chunk, Error> {
        let (act, ids) = (&self.request.act, &self.ids);
        let members = tx.reads().memberships(ids, actor.now).await?;
        let members: HashMap<MembershipId, Member> = members.into_iter().map(|member| (member.id, member)).collect();
        let staying = members.values().filter(|member| member.state != MemberState::Removing);
        let principals: Vec<Principal> = staying.map(|member| Principal::Membership(member.id)).collect();
        let mut affected = Affected::read(tx, &actor.catalog, &principals).await?;
        if matches!(act, BulkAct::Move(_)) {
            affected.add_groups(tx, ids).await?;
        }
        let held_at = affected.held.iter().filter_map(|grant| grant.place.resource().cloned());
        let mut places: Vec<ResourceKey> = self.request.place().into_iter().chain(held_at).collect();
        places.sort();
        places.dedup();
        let actor = tx.reads().widened(actor, &places).await?;

        let mut judge = Judge::new(&actor, affected.before(actor.now), tx.counters().clone());
        let results = ids.iter().map(|id| judge.result(act, *id, members.get(id))).collect::<Result<_, _>>()?;
        let Judge { counters, moved, plan, .. } = judge;
        match act {
            BulkAct::Move(_) if moved.is_empty() => {}
            BulkAct::Move(act) => {
                let (_, to, verb) = act.states();
                let ids: Vec<MembershipId> = moved.iter().map(|member| member.id).collect();
                let seats = SeatsBefore::of_members(tx, &actor.catalog, &ids, &places).await?;
                *tx.counters() = counters;
                tx.memberships_move(&moved, to, verb).await?;
                seats.must_suffice(tx, &actor.catalog).await?;
            }
            BulkAct::Grant(_) | BulkAct::Revoke(_) => {
                apply(tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "act").await?;
            }
        }
        Ok(Chunk { results, next: self.next.clone() })
    }
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

    /// Evaluates the act on one member, if they are there. What is refused of it is a result, too.
    fn result(&mut self, act: &BulkAct, id: MembershipId, member: Option<&Member>) -> Result<BulkResult, Error> {
        let found = member.ok_or_else(|| Error::not_found("member", id));
        match found.and_then(|member| self.one(act, member)) {
            Ok(is_changed) => Ok(BulkResult { id, is_changed, refusal: None }),
            Err(error) if error.kind() == Kind::Internal => Err(error),
            Err(error) => {
                let refusal = Some((error.reason.name().to_owned(), error.message));
                Ok(BulkResult { id, is_changed: false, refusal })
            }
        }
    }

    /// Evaluates the act on one member; returns whether it changes anything.
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
            Act::Revoke => {
                may_take_from(actor, principal)?;
                may_take(&place, &assignment.held, now)?;
            }
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
