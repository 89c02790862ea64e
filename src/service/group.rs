//! Groups: made, shown, changed, deleted, and who is in them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::etag::{etag, must_match};
use super::seats::SeatsBefore;
use super::text::required_name;
use super::{Context, Read, Services, Written};
use crate::domain::access::{Actor, decide};
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::Grant;
use crate::domain::group::{self, GRANTS_MAX, Group, MEMBERS_MAX};
use crate::domain::id::{GroupId, MembershipId, OrganizationId};
use crate::domain::metadata::{Metadata, external_id};
use crate::domain::place::{Principal, ResourceKey};
use crate::store::{GroupMemberPage, Lock, Reads, Tx};

pub use crate::store::GroupMember;

/// Asks for a group.
#[derive(Clone, Debug)]
pub struct CreateGroup {
    /// Whose.
    pub organization: OrganizationId,
    /// For people.
    pub display_name: String,
    /// The product's own name for it; empty for none.
    pub external_id: String,
    /// The product's own.
    pub metadata: Metadata,
}

/// How a group is named.
#[derive(Clone, Debug)]
pub enum GroupName {
    /// By the server.
    Id(GroupId),
    /// By the product.
    External(String),
}

/// Asks for a page of groups.
#[derive(Clone, Debug)]
pub struct ListGroups {
    /// Whose.
    pub organization: OrganizationId,
    /// Only those that this member is in.
    pub member: Option<MembershipId>,
    /// At most so many.
    pub size: u32,
    /// The name key after which the page begins.
    pub after: Option<String>,
}

/// A page of groups.
#[derive(Clone, Debug)]
pub struct Groups {
    /// By name.
    pub groups: Vec<ShownGroup>,
    /// The name key after which the next page begins, if there is one.
    pub next: Option<String>,
}

/// Asks for a group to be changed; what is none stays as it is.
#[derive(Clone, Debug)]
pub struct UpdateGroup {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub id: GroupId,
    /// For people.
    pub display_name: Option<String>,
    /// The product's own name for it; empty for none.
    pub external_id: Option<String>,
    /// The product's own.
    pub metadata: Option<Metadata>,
    /// How the group must look; empty asks nothing.
    pub etag: String,
}

/// Asks for a group to be deleted.
#[derive(Clone, Debug)]
pub struct DeleteGroup {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub id: GroupId,
    /// How the group must look; empty asks nothing.
    pub etag: String,
}

/// Asks for members to come in and to go out. Nobody stands in both lists.
#[derive(Clone, Debug)]
pub struct ChangeGroupMembers {
    /// Whose.
    pub organization: OrganizationId,
    /// Which group.
    pub group: GroupId,
    /// Who comes in.
    pub add: Vec<MembershipId>,
    /// Who goes out.
    pub remove: Vec<MembershipId>,
}

/// Asks for a page of who is in a group.
#[derive(Clone, Copy, Debug)]
pub struct ListGroupMembers {
    /// Whose.
    pub organization: OrganizationId,
    /// Which group.
    pub group: GroupId,
    /// At most so many.
    pub size: u32,
    /// After whom the page begins.
    pub after: Option<MembershipId>,
}

/// A group as the caller may see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShownGroup {
    /// As it stands; private metadata only for who may change it.
    pub group: Group,
    /// Of all of it.
    pub etag: String,
}

/// What a deletion took along.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeletedGroup {
    /// How many were in the group.
    pub members: usize,
    /// How many grants it held that counted.
    pub grants: usize,
}

/// Who came in and who went out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegroupedMembers {
    /// Who is in and was not before.
    pub added: Vec<MembershipId>,
    /// Who was in and is not any more.
    pub removed: Vec<MembershipId>,
}

impl Services {
    /// Makes a group.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
    /// - [`Reason::FieldRequired`], [`Reason::TextMalformed`], [`Reason::MetadataMalformed`], [`Reason::NameTaken`].
    pub async fn create_group(
        self: &Arc<Self>,
        context: &Context,
        request: CreateGroup,
    ) -> Result<Written<ShownGroup>, Error> {
        let organization = request.organization;
        self.may_call(context, organization).await?;
        let CreateGroup { display_name, external_id, metadata, .. } = request;
        let fields = Fields::judge(Some(&display_name), Some(&external_id), Some(metadata))?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            create(tx, call.clone(), organization, fields.clone())
        })
        .await
    }

    /// Shows a group.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
    /// - [`Reason::FieldRequired`], [`Reason::TextMalformed`] for what cannot be an external id.
    pub async fn group(
        &self,
        context: &Context,
        organization: OrganizationId,
        name: &GroupName,
    ) -> Result<Read<ShownGroup>, Error> {
        let token = self.token_before_reading(organization).await?;
        let actor = self.may_call(context, organization).await?;
        let reads = self.store.reads();
        let found = match name {
            GroupName::Id(id) => find(&reads, organization, *id).await?,
            GroupName::External(name) => {
                let key = external_id("external_id", name)?;
                let key = key.ok_or_else(|| Error::invalid("external_id", Reason::FieldRequired, "is required"))?;
                let found = reads.of(organization).group_by_external_id(&key).await?;
                found.ok_or_else(|| Error::not_found("group", key))?
            }
        };
        Ok(Read { value: self.show(&actor, found)?, token })
    }

    /// Lists groups by name.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
    pub async fn list_groups(&self, context: &Context, request: &ListGroups) -> Result<Read<Groups>, Error> {
        let organization = request.organization;
        let token = self.token_before_reading(organization).await?;
        let actor = self.may_call(context, organization).await?;
        let reads = self.store.reads();
        if let Some(member) = request.member {
            reads.of(organization).principals(&[Principal::Membership(member)]).await?;
        }
        let page = reads.of(organization).group_page(request.member, request.after.as_deref(), request.size).await?;
        let groups = page.groups.into_iter().map(|group| self.show(&actor, group)).collect::<Result<_, _>>()?;
        Ok(Read { value: Groups { groups, next: page.next }, token })
    }

    /// Changes a group's name, external id or metadata.
    ///
    /// # Errors
    /// - As [`Services::create_group`]; [`Reason::EtagMismatch`].
    pub async fn update_group(
        self: &Arc<Self>,
        context: &Context,
        request: UpdateGroup,
    ) -> Result<Written<ShownGroup>, Error> {
        let organization = request.organization;
        self.may_call(context, organization).await?;
        find(&self.store.reads(), organization, request.id).await?;
        let UpdateGroup { id, display_name, external_id, metadata, etag, .. } = request;
        let fields = Fields::judge(display_name.as_deref(), external_id.as_deref(), metadata)?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            update(tx, call.clone(), (organization, id), fields.clone(), etag.clone())
        })
        .await
    }

    /// Deletes a group, with what it holds and who is in it.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`], [`Reason::FeatureOff`].
    /// - [`Reason::EtagMismatch`].
    pub async fn delete_group(
        self: &Arc<Self>,
        context: &Context,
        request: DeleteGroup,
    ) -> Result<Written<DeletedGroup>, Error> {
        self.may_call(context, request.organization).await?;
        let (call, lock) = (context.clone(), Lock::Organization(request.organization));
        self.write(context, lock, move |tx| delete(tx, call.clone(), request.clone())).await
    }

    /// Brings members into a group and takes others out.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
    /// - [`Reason::RoleNotGrantable`], [`Reason::RoleNotTakeable`], [`Reason::SelfRemoval`], [`Reason::GroupFull`].
    pub async fn change_group_members(
        self: &Arc<Self>,
        context: &Context,
        request: ChangeGroupMembers,
    ) -> Result<Written<RegroupedMembers>, Error> {
        self.may_call(context, request.organization).await?;
        let (call, lock) = (context.clone(), Lock::Organization(request.organization));
        self.write(context, lock, move |tx| change_members(tx, call.clone(), request.clone())).await
    }

    /// Lists who is in a group.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
    pub async fn list_group_members(
        &self,
        context: &Context,
        request: ListGroupMembers,
    ) -> Result<Read<GroupMemberPage>, Error> {
        let token = self.token_before_reading(request.organization).await?;
        self.may_call(context, request.organization).await?;
        let reads = self.store.reads();
        find(&reads, request.organization, request.group).await?;
        let page = reads.group_member_page(request.group, request.after, request.size).await?;
        Ok(Read { value: page, token })
    }

    /// Asks that the caller may call this RPC, and then that there are groups at all.
    async fn may_call(&self, context: &Context, organization: OrganizationId) -> Result<Actor, Error> {
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        group::must_be_on(&actor.catalog)?;
        Ok(actor)
    }

    fn show(&self, actor: &Actor, mut group: Group) -> Result<ShownGroup, Error> {
        let etag = etag(&group)?;
        if !decide(&actor.at(None), PermissionId::GROUP_MANAGE, self.world.now()).is_allowed() {
            group.metadata.private.clear();
        }
        Ok(ShownGroup { group, etag })
    }
}

/// What a request writes of a group, judged.
#[derive(Clone)]
struct Fields {
    display_name: Option<String>,
    external_id: Option<ExternalId>,
    metadata: Option<Metadata>,
}

/// What the product calls a group; nothing, if it calls it nothing.
#[derive(Clone)]
struct ExternalId(Option<String>);

impl Fields {
    /// Judges what is to be written; tells everything that is wrong at once.
    fn judge(display_name: Option<&str>, external: Option<&str>, metadata: Option<Metadata>) -> Result<Self, Error> {
        let mut violations = Violations::default();
        let display_name = display_name.map(|text| violations.take(required_name("display_name", text))).transpose()?;
        let external = external.map(|text| violations.take(external_id("external_id", text))).transpose()?;
        if let Some(metadata) = &metadata {
            violations.take(metadata.must_fit("metadata"))?;
        }
        violations.finish()?;
        let external_id = external.flatten().map(ExternalId);
        Ok(Self { display_name: display_name.flatten(), external_id, metadata })
    }

    fn write(self, group: &mut Group) {
        let Self { display_name, external_id, metadata } = self;
        group.display_name = display_name.unwrap_or_else(|| std::mem::take(&mut group.display_name));
        if let Some(ExternalId(external_id)) = external_id {
            group.external_id = external_id;
        }
        group.metadata = metadata.unwrap_or_else(|| std::mem::take(&mut group.metadata));
    }
}

async fn create(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    fields: Fields,
) -> Result<(Tx, ShownGroup), Error> {
    may_still_call(&tx, &context, organization, &[]).await?;
    let metadata = Metadata::default();
    let mut made =
        Group { id: tx.id(), display_name: String::new(), external_id: None, metadata, created_at: tx.now() };
    fields.write(&mut made);
    must_be_free(&tx, &made).await?;
    tx.group_insert(&made).await?;
    Ok((tx, ShownGroup { etag: etag(&made)?, group: made }))
}

async fn update(
    mut tx: Tx,
    context: Context,
    (organization, id): (OrganizationId, GroupId),
    fields: Fields,
    expected: String,
) -> Result<(Tx, ShownGroup), Error> {
    may_still_call(&tx, &context, organization, &[]).await?;
    let before = find(&tx.above(), organization, id).await?;
    must_match(&expected, &before)?;
    let mut after = before.clone();
    fields.write(&mut after);
    must_be_free(&tx, &after).await?;
    if after != before {
        tx.group_update(&after).await?;
    }
    Ok((tx, ShownGroup { etag: etag(&after)?, group: after }))
}

async fn delete(mut tx: Tx, context: Context, request: DeleteGroup) -> Result<(Tx, DeletedGroup), Error> {
    let DeleteGroup { organization, id, etag } = request;
    let grants = tx.reads().grants_of(&[Principal::Group(id)], tx.now()).await?;
    let actor = may_still_call(&tx, &context, organization, &grants.live).await?;
    let found = find(&tx.above(), organization, id).await?;
    group::may_take_out(&actor, id, &grants.live, tx.now())?;
    must_match(&etag, &found)?;

    let members = tx.above().group_members(id).await?;
    // What has expired goes untold: nobody asked whether the caller sees where it was held.
    let held = grants.live.len();
    tx.grants_delete(&grants.rows(GRANTS_MAX)).await?;
    tx.group_members_delete(id, &members).await?;
    tx.group_delete(&found).await?;
    Ok((tx, DeletedGroup { members: members.len(), grants: held }))
}

async fn change_members(
    mut tx: Tx,
    context: Context,
    request: ChangeGroupMembers,
) -> Result<(Tx, RegroupedMembers), Error> {
    let ChangeGroupMembers { organization, group: id, add, remove } = request;
    let grants = tx.reads().grants_of(&[Principal::Group(id)], tx.now()).await?.live;
    let actor = may_still_call(&tx, &context, organization, &grants).await?;
    find(&tx.above(), organization, id).await?;
    let named: Vec<MembershipId> = add.iter().chain(&remove).copied().collect();
    let principals: Vec<Principal> = named.iter().copied().map(Principal::Membership).collect();
    tx.reads().principals(&principals).await?;
    if !add.is_empty() {
        group::may_add(&actor, id, &grants, &add, tx.now())?;
    }
    if !remove.is_empty() {
        group::may_take_out(&actor, id, &grants, tx.now())?;
    }
    if actor.standing.membership().is_some_and(|me| remove.contains(&me)) {
        return Err(Error::new(Reason::SelfRemoval, "nobody takes themselves out of a group"));
    }

    let places = grants.iter().filter_map(|grant| grant.place.resource().cloned()).map(Some).collect();
    let seats = SeatsBefore::count(&tx, &actor.catalog, organization, places).await?;
    let (inside, count) = tx.above().group_members_among(id, &named).await?;
    let added: Vec<_> = add.into_iter().filter(|member| !inside.contains(member)).collect();
    let removed: Vec<_> = remove.into_iter().filter(|member| inside.contains(member)).collect();
    if !added.is_empty() {
        group::must_have_room(id, count - removed.len(), added.len(), MEMBERS_MAX)?;
        tx.group_members_insert(id, &added).await?;
    }
    if !removed.is_empty() {
        tx.group_members_delete(id, &removed).await?;
    }
    seats.must_suffice(&tx, &actor.catalog, organization).await?;
    Ok((tx, RegroupedMembers { added, removed }))
}

/// Asks again under the lock, before the places of `grants`.
async fn may_still_call(
    tx: &Tx,
    context: &Context,
    organization: OrganizationId,
    grants: &[Grant],
) -> Result<Actor, Error> {
    let mut places: Vec<ResourceKey> = grants.iter().filter_map(|grant| grant.place.resource().cloned()).collect();
    places.sort();
    places.dedup();
    let actor = tx.reads().actor(context.subject()?, &places, tx.now()).await?;
    context.authorize(&actor, None, "")?;
    group::must_be_on(&actor.catalog)?;
    Ok(actor)
}

async fn find(reads: &Reads<'_>, organization: OrganizationId, id: GroupId) -> Result<Group, Error> {
    reads.of(organization).group(id).await?.ok_or_else(|| Error::not_found("group", id))
}

/// Asks that no other group has this one's name or external id.
async fn must_be_free(tx: &Tx, group: &Group) -> Result<(), Error> {
    let named = tx.reads().group_by_name(&group.name_key()).await?;
    let called = match &group.external_id {
        Some(external_id) => tx.reads().group_by_external_id(external_id).await?,
        None => None,
    };
    for (what, other) in [("name", named), ("external id", called)] {
        if let Some(other) = other.filter(|other| other.id != group.id) {
            let message = format!("another group has this {what}");
            return Err(Error::new(Reason::NameTaken, message).about("group", other.id));
        }
    }
    Ok(())
}
