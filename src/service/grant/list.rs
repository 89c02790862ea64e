//! What is held: listed, and summed up over several principals and places.

use std::collections::HashSet;

use crate::domain::access::is_visible;
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held};
use crate::domain::id::{GrantId, OrganizationId};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::service::sought::Sought;
use crate::service::{Context, Read, Services};
use crate::store::GrantPage;

/// How many grants are read at once, and how often for one page: a page stays short only after very many that are not shown.
const CHUNK: u32 = 500;
const CHUNKS_MAX: usize = 40;

/// Asks for a page of grants.
#[derive(Clone, Debug)]
pub struct ListGrants {
    /// Whose.
    pub organization: OrganizationId,
    /// Only what this one holds itself.
    pub principal: Option<Principal>,
    /// Only what is held at this place itself.
    pub place: Option<Place>,
    /// How many are looked at.
    pub size: u32,
    /// After which grant the page begins.
    pub after: Option<GrantId>,
}

/// Asks who of some hold one thing at some places.
#[derive(Clone, Debug)]
pub struct SummarizeGrants {
    /// Whose.
    pub organization: OrganizationId,
    /// Who, each once.
    pub principals: Vec<Principal>,
    /// Where, each once.
    pub places: Vec<Place>,
    /// What.
    pub held: Held,
}

/// Who of those asked about hold it at one place.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Where.
    pub place: Place,
    /// Who, in the order in which they were asked about.
    pub holders: Vec<Principal>,
}

impl Services {
    /// Lists grants that count, at places that the caller sees. One's own everybody may list, others' with member.list.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    /// - [`Reason::IndexStale`], and what [`Engine::view`](crate::authz::Engine::view) fails with, for others' grants at no
    ///   place in particular.
    pub async fn list_grants(&self, context: &Context, request: ListGrants) -> Result<Read<GrantPage>, Error> {
        let ListGrants { organization, principal, place, size, after } = request;
        let (subject, now) = (context.subject()?, self.world.now());
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let resource = place.as_ref().and_then(Place::resource);
        let named: Vec<ResourceKey> = resource.into_iter().cloned().collect();
        let actor = reads.of(organization).actor(subject, &named, self.world.now()).await?;
        actor.must_see(None)?;
        if resource.is_some() {
            actor.must_see(resource)?;
        }
        let is_oneself = principal.is_some_and(|principal| actor.standing.is_alone(principal));
        if !is_oneself {
            actor.must_hold(PermissionId::MEMBER_LIST, None)?;
        }
        reads.of(organization).principals(principal.as_slice()).await?;
        let sought = match &place {
            Some(place) => Sought::At(place),
            None if is_oneself => Sought::Anywhere,
            None => self.sought(&actor, token).await?,
        };

        // A page ends where a grant that is shown follows, so that its token tells of no other (CM-13).
        let (mut shown, mut from): (Vec<Grant>, _) = (Vec::new(), after);
        for _ in 0..CHUNKS_MAX {
            let page = sought.page(reads.of(organization), principal, now, from, CHUNK.max(size)).await?;
            let actor = reads.of(organization).actor(subject, &places(&page.grants), self.world.now()).await?;
            let is_shown = |place: &Place| match place.resource() {
                Some(key) => actor.knows(key) && is_visible(&actor.at(Some(key)), now),
                None => true,
            };
            for grant in page.grants.into_iter().filter(|grant| is_shown(&grant.place)) {
                if shown.len() == size as usize {
                    let next = shown.last().map(|grant| grant.id);
                    return Ok(Read { value: GrantPage { grants: shown, next }, token });
                }
                shown.push(grant);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(Read { value: GrantPage { grants: shown, next: from }, token })
    }

    /// Tells who of some hold one thing at each of some places.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleUnknown`].
    pub async fn summarize_grants(
        &self,
        context: &Context,
        request: &SummarizeGrants,
    ) -> Result<Read<Vec<Summary>>, Error> {
        let SummarizeGrants { organization, principals, places, held } = request;
        let (organization, now) = (*organization, self.world.now());
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let resources: Vec<ResourceKey> = places.iter().filter_map(Place::resource).cloned().collect();
        let actor = reads.of(organization).actor(context.subject()?, &resources, self.world.now()).await?;
        actor.must_see(None)?;
        resources.iter().try_for_each(|key| actor.must_see(Some(key)))?;
        context.authorize(&actor, None, "")?;
        reads.of(organization).principals(principals).await?;
        if let Held::Role(name) = held
            && actor.catalog.role_id(name).is_none()
        {
            return Err(Error::invalid("role", Reason::RoleUnknown, "names no role of the catalog"));
        }

        let grants = reads.of(organization).grants_of_one(principals, places, held, now).await?;
        let pairs: HashSet<(&Place, Principal)> = grants.iter().map(|grant| (&grant.place, grant.principal)).collect();
        let summary = |place: &Place| {
            let holders = principals.iter().copied().filter(|principal| pairs.contains(&(place, *principal)));
            Summary { place: place.clone(), holders: holders.collect() }
        };
        Ok(Read { value: places.iter().map(summary).collect(), token })
    }
}

fn places(grants: &[Grant]) -> Vec<ResourceKey> {
    let places: HashSet<&ResourceKey> = grants.iter().filter_map(|grant| grant.place.resource()).collect();
    places.into_iter().cloned().collect()
}
