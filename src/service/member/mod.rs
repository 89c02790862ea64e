//! Members: made without an invitation, edited, shut out, let in again.

mod bulk;
mod list;
mod removal;

pub use bulk::{Bulk, BulkAct, BulkMembers, BulkResult, Selection};
pub use list::{FoundMember, ListMembers, MemberName, Members, MyMemberships};
pub use removal::{Preview, RemoveMember, Removed};

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::access::{Actor, Move, decide, may_move, plan_joining};
use crate::domain::assignment::Assignment;
use crate::domain::cardinality;
use crate::domain::catalog::PermissionId;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, Held, MemberState};
use crate::domain::id::{GroupId, MembershipId, OrganizationId};
use crate::domain::member::{Member, must_be_free};
use crate::domain::metadata::{Metadata, external_id};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::service::seats::SeatsBefore;
use crate::service::{Context, Services, Written, etag};
use crate::store::{Lock, Tx};

/// Most members of a batch.
const BATCH_MAX: usize = 100;
/// Most assignments of one new member.
const ASSIGNMENTS_MAX: usize = 100;

/// A member to be made.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Where they can be reached.
    pub email: String,
    /// How they are called; may be empty.
    pub display_name: String,
    /// The product's own id; empty for none.
    pub external_id: String,
    /// What the product keeps with it.
    pub metadata: Metadata,
    /// What they will hold.
    pub assignments: Vec<Assignment>,
}

/// Members that were made, and what they hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedMembers {
    /// PENDING, in the order of the request.
    pub members: Vec<Member>,
    /// What they hold from the day they come.
    pub grants: Vec<Grant>,
    /// Whether the caller may see the private part of their metadata.
    pub shows_private: bool,
}

/// Members that were changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangedMembers {
    /// As they stand, in the order of the request.
    pub members: Vec<Member>,
    /// Whether the caller may see the private part of their metadata.
    pub shows_private: bool,
}

/// Edits a member; what is nothing stays.
#[derive(Clone, Debug)]
pub struct UpdateMember {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub id: MembershipId,
    /// How they are called.
    pub display_name: Option<String>,
    /// The product's own id; empty for none.
    pub external_id: Option<String>,
    /// What the product keeps with it.
    pub metadata: Option<Metadata>,
    /// As it was told before; whatever it is if empty.
    pub etag: String,
}

/// Who is to be made, read and checked as far as that goes without the organization.
#[derive(Clone)]
struct Joining {
    email: Email,
    display_name: String,
    external_id: Option<String>,
    metadata: Metadata,
    assignments: Vec<Assignment>,
}

impl Services {
    /// Makes a member without inviting them: PENDING, and able to hold grants at once (CE-03 to CE-06).
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::NotFound`].
    /// - [`Reason::MemberExists`], [`Reason::InvitationPending`], [`Reason::NameTaken`].
    /// - [`Reason::EmailMalformed`], [`Reason::TextMalformed`], [`Reason::MetadataMalformed`], [`Reason::RoleUnknown`],
    ///   [`Reason::RoleNotAssignable`], [`Reason::OutOfRange`].
    /// - [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`].
    pub async fn create_member(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        member: NewMember,
    ) -> Result<Written<CreatedMembers>, Error> {
        self.make_members(context, organization, vec![member], |_| "member.".to_owned()).await
    }

    /// Makes up to 100 members, all or none.
    ///
    /// # Errors
    /// - As [`Services::create_member`], under `requests[i]`; [`Reason::FieldRequired`], [`Reason::OutOfRange`].
    pub async fn create_members(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        members: Vec<NewMember>,
    ) -> Result<Written<CreatedMembers>, Error> {
        self.make_members(context, organization, members, |index| format!("requests[{index}].")).await
    }

    async fn make_members(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        members: Vec<NewMember>,
        path: fn(usize) -> String,
    ) -> Result<Written<CreatedMembers>, Error> {
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let joining = read_members(members, path)?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            make(tx, call.clone(), organization, joining.clone(), path)
        })
        .await
    }

    /// Edits a member: member.update, or one's own name.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::IdentityNotManaged`], [`Reason::EtagMismatch`].
    /// - [`Reason::TextMalformed`], [`Reason::MetadataMalformed`], [`Reason::NameTaken`].
    pub async fn update_member(
        self: &Arc<Self>,
        context: &Context,
        mut request: UpdateMember,
    ) -> Result<Written<ChangedMembers>, Error> {
        let actor =
            self.store.reads().of(request.organization).actor(context.subject()?, &[], self.world.now()).await?;
        may_edit(&actor, &request, self.world.now())?;
        let mut violations = Violations::default();
        if let Some(name) = request.display_name.take() {
            request.display_name = violations.take(text::name("display_name", &name))?;
        }
        violations.take(external_id("external_id", request.external_id.as_deref().unwrap_or_default()))?;
        if let Some(metadata) = &request.metadata {
            violations.take(metadata.must_fit("metadata"))?;
        }
        violations.finish()?;

        let call = context.clone();
        self.write(context, Lock::Organization(request.organization), move |tx| edit(tx, call.clone(), request.clone()))
            .await
    }

    /// Shuts ACTIVE members out, all or none. What they hold is kept, and does not count.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`].
    /// - [`Reason::SelfRemoval`], [`Reason::MemberState`], [`Reason::RoleCardinality`], [`Reason::OutOfRange`].
    pub async fn disable_members(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        ids: Vec<MembershipId>,
    ) -> Result<Written<ChangedMembers>, Error> {
        self.move_members(context, organization, ids, Move::Disable).await
    }

    /// Lets DISABLED members in again, all or none, with what they held.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::MemberState`],
    ///   [`Reason::OutOfRange`].
    pub async fn enable_members(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        ids: Vec<MembershipId>,
    ) -> Result<Written<ChangedMembers>, Error> {
        self.move_members(context, organization, ids, Move::Enable).await
    }

    async fn move_members(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        ids: Vec<MembershipId>,
        act: Move,
    ) -> Result<Written<ChangedMembers>, Error> {
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        must_be_a_batch(ids.len())?;
        must_be_distinct(&ids)?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            move_state(tx, call.clone(), organization, ids.clone(), act)
        })
        .await
    }
}

/// Reads who is to be made, all that is wrong at once.
fn read_members(members: Vec<NewMember>, path: fn(usize) -> String) -> Result<Vec<Joining>, Error> {
    must_be_a_batch(members.len())?;
    let (mut violations, mut joining) = (Violations::default(), Vec::new());
    let (mut emails, mut external_ids) = (HashSet::new(), HashSet::new());
    for (index, member) in members.into_iter().enumerate() {
        let field = |name: &str| format!("{}{name}", path(index));
        let email = violations.take(Email::parse(&field("email"), &member.email))?;
        let display_name = violations.take(text::name(&field("display_name"), &member.display_name))?;
        let external_id = violations.take(external_id(&field("external_id"), &member.external_id))?;
        violations.take(member.metadata.must_fit(&field("metadata")))?;
        if member.assignments.len() > ASSIGNMENTS_MAX {
            let message = format!("must be at most {ASSIGNMENTS_MAX}");
            violations.add(field("assignments"), Reason::OutOfRange, message);
        }
        let (Some(email), Some(display_name), Some(external_id)) = (email, display_name, external_id) else { continue };
        if !emails.insert(email.key().to_owned()) {
            violations.add(field("email"), Reason::OutOfRange, "stands in the batch before");
        }
        if external_id.as_ref().is_some_and(|id| !external_ids.insert(id.clone())) {
            violations.add(field("external_id"), Reason::OutOfRange, "stands in the batch before");
        }
        let (metadata, assignments) = (member.metadata, member.assignments);
        joining.push(Joining { email, display_name, external_id, metadata, assignments });
    }
    violations.finish()?;
    Ok(joining)
}

async fn make(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    joining: Vec<Joining>,
    path: fn(usize) -> String,
) -> Result<(Tx, CreatedMembers), Error> {
    let now = tx.now();
    let places: Vec<ResourceKey> = places(joining.iter().flat_map(|joining| &joining.assignments));
    let actor = tx.reads().actor(context.subject()?, &places, tx.now()).await?;
    context.authorize(&actor, None, "")?;

    let (mut members, mut plans) = (Vec::new(), Vec::new());
    for (index, Joining { email, display_name, external_id, metadata, assignments }) in joining.into_iter().enumerate()
    {
        let id: MembershipId = tx.id();
        let principal = Principal::Membership(id);
        let plan = plan_joining(&actor, principal, &assignments, &path(index))?;
        let member = Member { external_id, metadata, ..Member::pending(id, &email, display_name, now) };
        members.push((Member { roles: plan.role_names(), ..member }, email));
        plans.push(plan);
    }
    must_be_new(&tx, &members).await?;

    let seats = SeatsBefore::of_members(&tx, &actor.catalog, &[], &places).await?;
    tx.memberships_insert(&members).await?;
    let (before, mut grants) = (tx.counters().clone(), Vec::new());
    for (principal, assignment) in plans.iter().flat_map(|plan| &plan.granted) {
        let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Manual);
        tx.counters().count(&actor.catalog, &grant, MemberState::Pending, 1);
        grants.push(grant);
    }
    tx.grants_insert(&grants).await?;
    cardinality::judge(&actor.catalog, &before, tx.counters())?;
    seats.must_suffice(&tx, &actor.catalog).await?;
    let members = members.into_iter().map(|(member, _)| member).collect();
    Ok((tx, CreatedMembers { members, grants, shows_private: may_update(&actor, now) }))
}

/// Asks that nobody is here under the addresses and external ids of new members.
async fn must_be_new(tx: &Tx, members: &[(Member, Email)]) -> Result<(), Error> {
    let emails: Vec<Email> = members.iter().map(|(_, email)| email.clone()).collect();
    let external_ids: Vec<String> = members.iter().filter_map(|(member, _)| member.external_id.clone()).collect();
    let found = tx.reads().memberships_under(&emails, &external_ids).await?;
    let invited = tx.above().invited_among(&found).await?;
    for member in &found {
        let email = Email::parse("email", &member.email)?;
        if emails.iter().any(|other| other.key() == email.key()) {
            must_be_free(Some(member), &invited)?;
        }
    }
    // Whoever is left has one of the external ids.
    found.first().map_or(Ok(()), |member| Err(external_id_taken(member)))
}

fn external_id_taken(by: &Member) -> Error {
    Error::new(Reason::NameTaken, "another member has this external id").about("member", by.id)
}

/// Asks that the caller may make these edits; whose identity it is, is asked when the member is known.
fn may_edit(actor: &Actor, request: &UpdateMember, now: Timestamp) -> Result<(), Error> {
    actor.must_see(None)?;
    let is_own_name = is_oneself(actor, request.id) && request.external_id.is_none() && request.metadata.is_none();
    if is_own_name { Ok(()) } else { actor.must_hold(PermissionId::MEMBER_UPDATE, None) }
}

fn is_oneself(actor: &Actor, id: MembershipId) -> bool {
    actor.standing.membership() == Some(id)
}

async fn edit(mut tx: Tx, context: Context, request: UpdateMember) -> Result<(Tx, ChangedMembers), Error> {
    let (_organization, now) = (request.organization, tx.now());
    let actor = tx.reads().actor(context.subject()?, &[], tx.now()).await?;
    may_edit(&actor, &request, now)?;
    let member = tx.reads().membership(request.id, now).await?;
    let mut member = member.ok_or_else(|| Error::not_found("member", request.id))?;
    etag::must_match(&request.etag, &member.tagged())?;
    let before = member.clone();

    if let Some(display_name) = request.display_name.filter(|name| *name != member.display_name) {
        if !is_oneself(&actor, member.id) {
            must_be_managed(&tx, &member).await?;
        }
        member.display_name = display_name;
    }
    if let Some(id) = request.external_id {
        member.external_id = external_id("external_id", &id)?;
        if let Some(id) = &member.external_id {
            let found = tx.reads().memberships_under(&[], std::slice::from_ref(id)).await?.pop();
            if let Some(other) = found.filter(|other| other.id != member.id) {
                return Err(external_id_taken(&other));
            }
        }
    }
    if let Some(metadata) = request.metadata {
        member.metadata = metadata;
    }
    if member != before {
        tx.membership_update(&member, "updated").await?;
    }
    Ok((tx, ChangedMembers { members: vec![member], shows_private: may_update(&actor, now) }))
}

/// Asks that the organization may edit who the person is (X13): nobody has come yet, or they are managed here.
async fn must_be_managed(tx: &Tx, member: &Member) -> Result<(), Error> {
    let Some(user) = member.user else { return Ok(()) };
    let is_elsewhere = !tx.reads().users_elsewhere(&[user]).await?.is_empty();
    if member.is_made_here && !is_elsewhere {
        return Ok(());
    }
    let message = "the person is a guest, and edits their name themselves";
    Err(Error::new(Reason::IdentityNotManaged, message).about("member", member.id))
}

async fn move_state(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    ids: Vec<MembershipId>,
    act: Move,
) -> Result<(Tx, ChangedMembers), Error> {
    let belongings = tx.reads().groups_of(&ids).await?;
    let groups: BTreeSet<GroupId> = belongings.iter().map(|(_, group)| *group).collect();
    let themselves = ids.iter().map(|id| Principal::Membership(*id));
    let principals: Vec<Principal> = themselves.chain(groups.into_iter().map(Principal::Group)).collect();
    let grants = tx.reads().grants_of(&principals, tx.now()).await?.live;
    let judged = grants.iter().filter(|grant| act == Move::Enable || matches!(grant.held, Held::Role(_)));
    let mut places: Vec<ResourceKey> = judged.filter_map(|grant| grant.place.resource().cloned()).collect();
    places.sort();
    places.dedup();
    let actor = tx.reads().actor(context.subject()?, &places, tx.now()).await?;
    context.authorize(&actor, None, "")?;
    let mut found = tx.reads().memberships(&ids, tx.now()).await?;
    found.sort_by_key(|member| ids.iter().position(|id| *id == member.id));
    if let Some(id) = ids.iter().find(|id| !found.iter().any(|member| member.id == **id)) {
        return Err(Error::not_found("member", id));
    }
    for id in &ids {
        let is_theirs = |grant: &&Grant| match grant.principal {
            Principal::Group(group) => belongings.contains(&(*id, group)),
            principal => principal == Principal::Membership(*id),
        };
        let held: Vec<&Grant> = grants.iter().filter(is_theirs).collect();
        may_move(&actor, *id, &held, act, tx.now())?;
    }
    let (from, to, verb) = act.states();
    let seats = SeatsBefore::of_members(&tx, &actor.catalog, &ids, &places).await?;
    let before = tx.counters().clone();
    for member in &mut found {
        member.must_be(from, verb)?;
        member.state = to;
    }
    tx.counters().move_state(&actor.catalog, &grants, from, to);
    cardinality::judge(&actor.catalog, &before, tx.counters())?;
    tx.memberships_move(&found, to, verb).await?;
    seats.must_suffice(&tx, &actor.catalog).await?;
    let shows_private = may_update(&actor, tx.now());
    Ok((tx, ChangedMembers { members: found, shows_private }))
}

fn may_update(actor: &Actor, now: Timestamp) -> bool {
    decide(&actor.at(None), PermissionId::MEMBER_UPDATE, now).is_allowed()
}

fn must_be_a_batch(count: usize) -> Result<(), Error> {
    match count {
        0 => Err(Error::invalid("requests", Reason::FieldRequired, "is required")),
        1..=BATCH_MAX => Ok(()),
        _ => Err(Error::invalid("requests", Reason::OutOfRange, format!("must be at most {BATCH_MAX}"))),
    }
}

fn must_be_distinct(ids: &[MembershipId]) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (index, id) in ids.iter().enumerate() {
        if ids[..index].contains(id) {
            let field = format!("requests[{index}].membership_id");
            violations.add(field, Reason::OutOfRange, "stands in the batch before");
        }
    }
    violations.finish()
}

fn places<'a>(assignments: impl Iterator<Item = &'a Assignment>) -> Vec<ResourceKey> {
    let mut places: Vec<ResourceKey> =
        assignments.filter_map(|assignment| assignment.place.resource().cloned()).collect();
    places.sort();
    places.dedup();
    places
}
