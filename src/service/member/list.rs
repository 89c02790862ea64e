//! Members shown: listed, found, and one's own places in organizations.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::domain::access::Actor;
use crate::domain::catalog::{Catalog, PermissionId, Reach};
use crate::domain::email::Email;
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::fact::{Grant, Held, MemberState};
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::member::list::{Filter, Order, Position, Query as Words};
use crate::domain::member::{Belonging, Listed, Management, Member};
use crate::domain::metadata::Metadata;
use crate::domain::place::{Place, Principal, ResourceKey, Subject};
use crate::service::sought::Sought;
use crate::service::{Authorize, Call, Context, Query, Read, Services};
use crate::store::{MemberPage, MemberQuery, MemberRow, OrgReads, PageBuilder};

/// Most places that one row names.
const PLACES_MAX: usize = 20;

/// Lists the members of an organization (AX-10, 11, 13 to 16; CE-02).
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleUnknown`].
/// - [`Reason::IndexStale`], and what [`Engine::view`](crate::authz::Engine::view) fails with, for a caller who does not see
///   every resource.
#[derive(Clone, Debug)]
pub struct ListMembers {
    /// Words that begin in their name or address.
    pub words: Words,
    /// What else they must be.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// At most so many.
    pub size: u32,
    /// Where the page begins; the first if nothing.
    pub after: Option<Position>,
}

/// A page of members.
#[derive(Clone, Debug)]
pub struct Members {
    pub members: Vec<Listed>,
    /// Whether the caller may see the private part of their metadata.
    pub shows_private: bool,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
    /// How many members there are, on the first page of a list of all.
    pub total: Option<u64>,
}

/// A member, as the caller may see them.
#[derive(Clone, Debug)]
pub struct FoundMember {
    /// The member.
    pub listed: Listed,
    /// Whether the caller may see the private part of their metadata.
    pub shows_private: bool,
}

/// Shows a member; oneself everyone may see.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct GetMember {
    pub id: MembershipId,
}

/// Shows a member by another name than their id.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct LookUpMember {
    pub name: MemberName,
}

/// How a member is looked up.
#[derive(Clone, Debug)]
pub enum MemberName {
    /// By the product's own id.
    ExternalId(String),
    /// By the address of the membership.
    Email(Email),
    /// By the user behind it.
    User(UserId),
}

/// A page of the caller's organizations.
#[derive(Clone, Debug)]
pub struct MyMemberships {
    /// By membership, the oldest first.
    pub memberships: Vec<Belonging>,
    /// Where the next page begins, if there is one.
    pub next: Option<MembershipId>,
}

impl Authorize for ListMembers {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.permitted().await?;
        if !self.filter.groups().is_empty() {
            actor.must_hold(PermissionId::GROUP_LIST, None)?;
        }
        Ok(actor)
    }
}

impl ListMembers {
    /// Reads the rows of the page, some at a time: what the product keeps with one may be large.
    async fn rows(self, call: &Call<'_>, catalog: &Catalog) -> Result<MemberPage, Error> {
        self.filter.must_name_roles_of(catalog, "filter")?;
        let groups: Vec<Principal> = self.filter.groups().into_iter().map(Principal::Group).collect();
        if !groups.is_empty() {
            call.reads.principals(&groups).await?;
        }
        let Self { words, filter, order, size, after } = self;
        let mut query = MemberQuery { words, filter, order, now: call.now, size, after };
        let mut filling = PageBuilder::new(size);
        loop {
            query.size = filling.step();
            let page = call.reads.member_page(&query).await?;
            // One that comes short has gone through as much as it may.
            let is_end = page.rows.len() < query.size as usize || page.next.is_none();
            for row in page.rows {
                if !filling.take(row, |row| row.member.metadata.weight()) {
                    let rows = filling.rows;
                    let next = rows.last().map(|row| row.position.clone());
                    return Ok(MemberPage { rows, next });
                }
            }
            if is_end || filling.is_full() {
                return Ok(MemberPage { rows: filling.rows, next: page.next });
            }
            query.after = page.next;
        }
    }
}

impl Authorize for GetMember {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(&[]).await?;
        if actor.standing.membership() != Some(self.id) {
            actor.must_hold(PermissionId::MEMBER_LIST, None)?;
        }
        Ok(actor)
    }
}

impl Query for GetMember {
    type Output = FoundMember;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<FoundMember, Error> {
        find(call.reads, &actor, self.id).await
    }
}

impl Authorize for LookUpMember {}

impl Query for LookUpMember {
    type Output = FoundMember;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<FoundMember, Error> {
        let (found, called) = match &self.name {
            MemberName::Email(email) => (call.reads.membership_by_email(email).await?, email.text().to_owned()),
            MemberName::User(user) => (call.reads.membership_by_user(*user).await?, user.to_string()),
            MemberName::ExternalId(id) => {
                (call.reads.memberships_under(&[], std::slice::from_ref(id)).await?.pop(), id.clone())
            }
        };
        let member = found.ok_or_else(|| Error::not_found("member", called))?;
        find(call.reads, &actor, member.id).await
    }
}

async fn find(reads: OrgReads<'_>, actor: &Actor, id: MembershipId) -> Result<FoundMember, Error> {
    let row = reads.member_row(id).await?.ok_or_else(|| Error::not_found("member", id))?;
    let listed = complete(reads, actor, vec![row], &Sought::Anywhere).await?.pop();
    let listed = listed.ok_or_else(|| Error::internal("a row that was lost"))?;
    Ok(FoundMember { listed, shows_private: may_update(actor) })
}

impl Services {
    /// Lists members, with what they hold where the index knows that the caller sees something.
    ///
    /// # Errors
    /// As [`ListMembers`].
    pub async fn list_members(
        &self,
        context: &Context,
        organization: OrganizationId,
        request: ListMembers,
    ) -> Result<Read<Members>, Error> {
        let token = self.token_before_reading(organization).await?;
        let call = self.call(context).of(organization);
        let actor = request.authorize(&call).await?;
        let is_first_of_all = request.after.is_none() && request.words.is_empty() && request.filter.is_empty();
        let page = request.rows(&call, &actor.catalog).await?;
        let total = if is_first_of_all { Some(call.reads.member_count().await?) } else { None };
        let sought = self.sought(&actor, token).await?;
        let members = complete(call.reads, &actor, page.rows, &sought).await?;
        let value = Members { members, shows_private: may_update(&actor), next: page.next, total };
        Ok(Read { value, token })
    }

    /// Lists where whoever is signed in belongs, or is offered to belong at an address that they have proven.
    pub async fn my_memberships(
        &self,
        context: &Context,
        after: Option<MembershipId>,
        size: u32,
    ) -> Result<MyMemberships, Error> {
        let Subject::User(user) = context.subject()? else {
            return Ok(MyMemberships { memberships: Vec::new(), next: None });
        };
        let (reads, mut filling, mut from) = (self.store.reads(), PageBuilder::new(size), after);
        loop {
            let step = filling.step();
            let places = reads.places_of_user(user, self.env.now(), from, step).await?;
            let is_end = places.len() < step as usize;
            for mut place in places {
                from = Some(place.member.id);
                // It is not shown here, and may be large.
                (place.organization.metadata, place.member.metadata) = (Metadata::default(), Metadata::default());
                if !filling.take(place, |_| 0) {
                    let memberships = filling.rows;
                    let next = memberships.last().map(|place| place.member.id);
                    return Ok(MyMemberships { memberships, next });
                }
            }
            if is_end {
                return Ok(MyMemberships { memberships: filling.rows, next: None });
            }
        }
    }
}

fn may_update(actor: &Actor) -> bool {
    actor.holds(PermissionId::MEMBER_UPDATE, None)
}

/// Adds to the rows of a page what they hold, and whose identity is whose.
async fn complete(
    reads: OrgReads<'_>,
    actor: &Actor,
    rows: Vec<MemberRow>,
    sought: &Sought<'_>,
) -> Result<Vec<Listed>, Error> {
    let mut principals: Vec<Principal> = rows.iter().map(|row| Principal::Membership(row.member.id)).collect();
    principals.push(Principal::Everyone);
    let members: Vec<MembershipId> = rows.iter().map(|row| row.member.id).collect();
    let mut groups: HashMap<MembershipId, Vec<Principal>> = HashMap::new();
    for (member, group) in reads.groups_of(&members).await? {
        groups.entry(member).or_default().push(Principal::Group(group));
    }
    let in_use: HashSet<Principal> = groups.values().flatten().copied().collect();
    principals.extend(in_use);
    let grants = sought.grants_of(reads, &principals, actor.now).await?;
    let seen = seen_places(reads, actor, &grants).await?;
    let made_here: Vec<UserId> =
        rows.iter().filter(|row| row.member.is_made_here).filter_map(|row| row.member.user).collect();
    let elsewhere = reads.users_elsewhere(&made_here).await?;

    let mut held: HashMap<Principal, Vec<&Grant>> = HashMap::new();
    for grant in &grants {
        held.entry(grant.principal).or_default().push(grant);
    }
    let of = |principal| held.get(&principal).map(Vec::as_slice).unwrap_or_default();
    let listed = rows.into_iter().map(|MemberRow { mut member, last_active_at, position }| {
        let mine = of(Principal::Membership(member.id));
        let groups = groups.get(&member.id).map(Vec::as_slice).unwrap_or_default();
        let shared =
            groups.iter().copied().chain([Principal::Everyone]).filter(|_| member.state == MemberState::Active);
        let places: BTreeSet<&ResourceKey> =
            mine.iter().filter_map(|grant| grant.place.resource()).filter(|key| seen.shows(key)).collect();
        member.roles = role_names(mine);
        Listed {
            management: management(&member, &elsewhere),
            last_active_at,
            place_count: u32::try_from(places.len()).unwrap_or(u32::MAX),
            places: places.into_iter().take(PLACES_MAX).cloned().collect(),
            all_of: all_of(actor, mine.iter().chain(shared.flat_map(of)).copied()),
            position,
            member,
        }
    });
    Ok(listed.collect())
}

fn management(member: &Member, elsewhere: &HashSet<UserId>) -> Option<Management> {
    let is_managed = |user| member.is_made_here && !elsewhere.contains(&user);
    member.user.map(|user| if is_managed(user) { Management::Managed } else { Management::Guest })
}

fn role_names(grants: &[&Grant]) -> Vec<String> {
    let at_organization = grants.iter().filter(|grant| grant.place == Place::Organization);
    let names: BTreeSet<String> = at_organization
        .filter_map(|grant| match &grant.held {
            Held::Role(name) => Some(name.to_string()),
            Held::AsMember => None,
        })
        .collect();
    names.into_iter().collect()
}

/// Names the types all of whose resources are seen by a role at the organization, in the order of the catalog.
fn all_of<'a>(actor: &Actor, grants: impl Iterator<Item = &'a Grant>) -> Vec<Arc<str>> {
    let roles: Vec<_> = grants
        .filter(|grant| grant.place == Place::Organization)
        .filter_map(|grant| match &grant.held {
            Held::Role(name) => actor.catalog.role_id(name),
            Held::AsMember => None,
        })
        .map(|id| actor.catalog.role(id))
        .collect();
    let sees = |permission| roles.iter().any(|role| role.reach(permission).has(Reach::Any));
    let kinds = actor.catalog.resource_types().filter(|(_, kind)| sees(kind.visible_by));
    kinds.map(|(_, kind)| Arc::clone(&kind.name)).collect()
}

/// Which places the reader of a list sees: all of some types, and these.
struct Seen {
    types: HashSet<Arc<str>>,
    keys: HashSet<ResourceKey>,
}

impl Seen {
    fn shows(&self, key: &ResourceKey) -> bool {
        self.types.contains(&key.kind) || self.keys.contains(key)
    }
}

/// Finds out which of the places of some grants the caller sees (CM-13). What they see all of needs no looking.
async fn seen_places(reads: OrgReads<'_>, actor: &Actor, grants: &[Grant]) -> Result<Seen, Error> {
    let kinds = actor.catalog.resource_types().filter(|(_, kind)| actor.holds(kind.visible_by, None));
    let types: HashSet<Arc<str>> = kinds.map(|(_, kind)| Arc::clone(&kind.name)).collect();
    let unsure: BTreeSet<&ResourceKey> =
        grants.iter().filter_map(|grant| grant.place.resource()).filter(|key| !types.contains(&key.kind)).collect();
    let unsure: Vec<ResourceKey> = unsure.into_iter().cloned().collect();
    let nearer = reads.widened(actor.clone(), &unsure).await?;
    let keys = unsure.into_iter().filter(|key| nearer.sees(Some(key))).collect();
    Ok(Seen { types, keys })
}
