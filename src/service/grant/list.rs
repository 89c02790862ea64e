//! What is held: listed, and summed up over several principals and places.

use std::collections::HashSet;

use crate::domain::access::Actor;
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held};
use crate::domain::id::{GrantId, OrganizationId};
use crate::domain::place::{Place, Principal, ResourceKey, resources_among};
use crate::service::sought::Sought;
use crate::service::{Authorize, Call, Context, Query, Read, Services};
use crate::store::GrantPage;

/// How many grants are read at once, and how often for one page: a page stays short only after very many that are not shown.
const CHUNK: u32 = 500;
const CHUNKS_MAX: usize = 40;

/// Lists grants that count, at places that the caller sees. One's own everybody may list, others' with member.list.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
/// - [`Reason::IndexStale`], and what [`Engine::view`](crate::authz::Engine::view) fails with, for others' grants at no
///   place in particular.
#[derive(Clone, Debug)]
pub struct ListGrants {
    /// Only what this one holds itself.
    pub principal: Option<Principal>,
    /// Only what is held at this place itself.
    pub place: Option<Place>,
    /// At most so many.
    pub size: u32,
    /// After which grant the page begins.
    pub after: Option<GrantId>,
}

impl ListGrants {
    fn is_about(&self, actor: &Actor) -> bool {
        self.principal.is_some_and(|principal| actor.standing.is_alone(principal))
    }
}

impl Authorize for ListGrants {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let resource = self.place.as_ref().and_then(Place::resource);
        let actor = call.visitor(resource.map_or(&[], std::slice::from_ref)).await?;
        if resource.is_some() {
            actor.must_see(resource)?;
        }
        if !self.is_about(&actor) {
            actor.must_hold(PermissionId::MEMBER_LIST, None)?;
        }
        Ok(actor)
    }
}

impl Services {
    /// Lists grants where the index knows that the caller sees something.
    ///
    /// # Errors
    /// As [`ListGrants`].
    pub async fn list_grants(
        &self,
        context: &Context,
        organization: OrganizationId,
        request: &ListGrants,
    ) -> Result<Read<GrantPage>, Error> {
        let token = self.token_before_reading(organization).await?;
        let call = self.call(context).of(organization);
        let actor = request.authorize(&call).await?;
        call.reads.principals(request.principal.as_slice()).await?;
        let sought = match &request.place {
            Some(place) => Sought::At(place),
            None if request.is_about(&actor) => Sought::Anywhere,
            None => self.sought(&actor, token).await?,
        };
        Ok(Read { value: request.page(&call, &actor, &sought).await?, token })
    }
}

impl ListGrants {
    async fn page(&self, call: &Call<'_>, actor: &Actor, sought: &Sought<'_>) -> Result<GrantPage, Error> {
        let size = self.size as usize;
        // A page ends where a grant that is shown follows, so that its token names no other (CM-13).
        let (mut shown, mut from): (Vec<Grant>, _) = (Vec::new(), self.after);
        for _ in 0..CHUNKS_MAX {
            let page = sought.page(call.reads, self.principal, call.now, from, CHUNK.max(self.size)).await?;
            let there = call
                .reads
                .widened(actor.clone(), &resources_among(page.grants.iter().map(|grant| &grant.place)))
                .await?;
            let is_shown = |grant: &Grant| grant.place.resource().is_none_or(|key| there.sees(Some(key)));
            for grant in page.grants.into_iter().filter(is_shown) {
                if shown.len() == size {
                    let next = shown.last().map(|grant| grant.id);
                    return Ok(GrantPage { grants: shown, next });
                }
                shown.push(grant);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(GrantPage { grants: shown, next: from })
    }
}

/// Returns who of some hold one thing at each of some places.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleUnknown`].
#[derive(Clone, Debug)]
pub struct SummarizeGrants {
    /// Who, each once.
    pub principals: Vec<Principal>,
    /// Where, each once.
    pub places: Vec<Place>,
    pub held: Held,
}

/// Who of those asked about hold it at one place.
#[derive(Clone, Debug)]
pub struct Summary {
    pub place: Place,
    /// Who, in the order in which they were asked about.
    pub holders: Vec<Principal>,
    /// Whether that is all of them.
    pub is_all: bool,
}

impl Authorize for SummarizeGrants {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let resources: Vec<ResourceKey> = self.places.iter().filter_map(Place::resource).cloned().collect();
        let actor = call.visitor(&resources).await?;
        resources.iter().try_for_each(|key| actor.must_see(Some(key)))?;
        call.may(&actor, None, "")?;
        Ok(actor)
    }
}

impl Query for SummarizeGrants {
    type Output = Vec<Summary>;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<Vec<Summary>, Error> {
        let Self { principals, places, held } = self;
        call.reads.principals(principals).await?;
        if let Held::Role(name) = held
            && actor.catalog.role_id(name).is_none()
        {
            return Err(Error::invalid("role", Reason::RoleUnknown, "names no role of the catalog"));
        }

        let grants = call.reads.grants_of_one(principals, places, held, call.now).await?;
        let pairs: HashSet<(&Place, Principal)> = grants.iter().map(|grant| (&grant.place, grant.principal)).collect();
        let summary = |place: &Place| {
            let holders = principals.iter().copied().filter(|principal| pairs.contains(&(place, *principal)));
            let holders: Vec<Principal> = holders.collect();
            Summary { place: place.clone(), is_all: holders.len() == principals.len(), holders }
        };
        Ok(places.iter().map(summary).collect())
    }
}
