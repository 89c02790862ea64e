//! The tree as one caller sees it, page by page.
//!
//! The index proposes and the tables decide: candidates come from what the caller holds, so that a page costs by what it
//! shows; each is evaluated from the tables before it is returned.

use std::collections::HashMap;

use super::ResourceView;
use crate::authz::{Requirement, Seen, View};
use crate::domain::access::Actor;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::resource::{Resource, Under};
use crate::domain::time::Timestamp;
use crate::domain::words::Query;
use crate::service::{Authorize, Call, Context, Read, Services};
use crate::store::{BrowseKey, OrgReads, WEIGHT_MAX};

/// How many rows are read at once.
const ROWS_MAX: usize = 1_000;
/// How often more is proposed for one page, where the tables do not agree with the index or names that are found stand
/// elsewhere.
const CHUNKS_MAX: usize = 40;
/// How many rows are read at a time for a page: what the product keeps with one may be large.
const STEP: usize = 128;

/// Shows a page of the resources that the caller sees.
///
/// # Errors
/// - [`Reason::NotFound`] for the organization and the parent; [`Reason::ResourceTypeUnknown`].
/// - [`Reason::IndexStale`], and what [`Engine::view`](crate::authz::Engine::view) fails with.
#[derive(Clone, Debug)]
pub struct BrowseResources {
    /// What they stand directly under.
    pub under: Under,
    /// Of which type, if only of one.
    pub kind: Option<String>,
    /// What their names must say.
    pub query: Option<Query>,
    /// At most so many.
    pub size: u32,
    /// After which row the page begins; the first if nothing.
    pub after: Option<BrowseKey>,
}

/// A page of resources.
#[derive(Clone, Debug)]
pub struct BrowsedResources {
    /// By type and id; with a query, by the word that was found first. Each with the row after which a page begins that
    /// follows it.
    pub resources: Vec<(BrowseKey, ResourceView)>,
    /// After which row the next page begins, if there is one.
    pub next: Option<BrowseKey>,
}

impl Authorize for BrowseResources {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let parent = if let Under::Resource(key) = &self.under { Some(key) } else { None };
        let actor = call.visitor(parent.map_or(&[], std::slice::from_ref)).await?;
        actor.must_see(parent)?;
        if self.kind.as_ref().is_some_and(|kind| actor.catalog.resource_type(kind).is_none()) {
            let message = "is not declared by the organization's catalog";
            return Err(Error::invalid("resource_type", Reason::ResourceTypeUnknown, message));
        }
        Ok(actor)
    }
}

impl Services {
    /// Browses resources. The index is asked at the revision that the answer bears.
    ///
    /// # Errors
    /// As [`BrowseResources`].
    pub async fn browse_resources(
        &self,
        context: &Context,
        organization: OrganizationId,
        request: &BrowseResources,
    ) -> Result<Read<BrowsedResources>, Error> {
        let token = self.token_before_reading(organization).await?;
        let call = self.call(context).of(organization);
        let Actor { subject, now, .. } = request.authorize(&call).await?;
        let view = self.engine.view(organization, Requirement::AtLeast(token), subject).await?;
        self.must_be_fresh(&view)?;
        let seen = view.seen(subject);
        let browsing = Browsing { request, subject, now, reads: call.reads, view, seen };
        let value = match &request.query {
            None => browsing.by_key().await?,
            Some(query) if query.is_wordless() => Filling::default().end(None),
            Some(query) => browsing.by_name(query).await?,
        };
        Ok(Read { value, token })
    }
}

/// One page in the making.
struct Browsing<'a> {
    request: &'a BrowseResources,
    subject: Subject,
    now: Timestamp,
    reads: OrgReads<'a>,
    view: View,
    seen: Seen,
}

/// A candidate: where it stands in the list, and what it is if that was read already.
type Row = (BrowseKey, Option<Resource>);

/// What is on the page so far.
#[derive(Default)]
struct Filling {
    resources: Vec<(BrowseKey, ResourceView)>,
    /// About how many bytes they take as they go out.
    weight: usize,
    /// Whether something that is seen follows: only then the page has a token (CM-13).
    is_full: bool,
}

impl Browsing<'_> {
    /// Fills the page in the order of types and ids.
    async fn by_key(&self) -> Result<BrowsedResources, Error> {
        let BrowseResources { under, kind, size, after, .. } = self.request;
        let mut filling = Filling::default();
        let mut from = after.as_ref().map(|after| after.key.clone());
        for _ in 0..CHUNKS_MAX {
            let wanted = (*size as usize + 1 - filling.resources.len()).min(STEP);
            let seen = (&self.seen, &self.seen);
            let proposed = self.view.organization.candidates(seen, under, kind.as_deref(), from.as_ref(), wanted);
            let is_last = proposed.keys.len() < wanted;
            from = proposed.keys.last().cloned();
            let found = self.reads.resources_named(&proposed.keys).await?;
            let mut found: HashMap<ResourceKey, Resource> =
                found.into_iter().map(|resource| (resource.key.clone(), resource)).collect();
            let rows = proposed.keys.into_iter().filter_map(|key| {
                let resource = found.remove(&key)?;
                Some((BrowseKey { word: String::new(), key }, Some(resource)))
            });
            self.fill(&mut filling, rows.collect()).await?;
            if is_last || filling.is_full {
                return Ok(filling.end(None));
            }
        }
        Ok(filling.end(from.map(|key| BrowseKey { word: String::new(), key })))
    }

    /// Fills the page with what a query finds. Of types that the caller sees whole, the table of words is searched; of
    /// others, the names of what they see.
    async fn by_name(&self, query: &Query) -> Result<BrowsedResources, Error> {
        let BrowseResources { kind, after, .. } = self.request;
        let whole: Vec<&str> = self.seen.whole().filter(|name| kind.as_ref().is_none_or(|kind| kind == name)).collect();
        let mut named = self.named_in_part(query).await?;
        let (mut filling, mut from) = (Filling::default(), after.clone());
        for _ in 0..CHUNKS_MAX {
            let page = self.reads.resources_found(query, &whole, from.as_ref(), ROWS_MAX as u64).await?;
            let later = match &page.next {
                Some(next) => named.split_off(named.partition_point(|key| key <= next)),
                None => Vec::new(),
            };
            let in_part = std::mem::replace(&mut named, later).into_iter().map(|key| (key, None));
            let mut rows: Vec<Row> = page.rows.into_iter().map(|(key, resource)| (key, Some(resource))).collect();
            rows.extend(in_part);
            rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            self.fill(&mut filling, rows).await?;
            from = page.next;
            if from.is_none() || filling.is_full {
                return Ok(filling.end(None));
            }
        }
        Ok(filling.end(from))
    }

    /// Returns what a query finds among the resources of types that the caller sees in part, after where the page begins.
    /// They may be many, so they are only named.
    async fn named_in_part(&self, query: &Query) -> Result<Vec<BrowseKey>, Error> {
        let BrowseResources { under, kind, after, .. } = self.request;
        let in_part = self.seen.in_part();
        let seen = (&in_part, &self.seen);
        let keys = self.view.organization.candidates(seen, under, kind.as_deref(), None, usize::MAX).keys;
        let mut found = Vec::new();
        for keys in keys.chunks(ROWS_MAX) {
            for (key, name) in self.reads.resource_names(keys).await? {
                let Some(word) = query.found_in(&name) else { continue };
                let key = BrowseKey { word, key };
                if after.as_ref().is_none_or(|after| key > *after) {
                    found.push(key);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Adds those of some rows that the caller sees, until the page is full.
    async fn fill(&self, filling: &mut Filling, rows: Vec<Row>) -> Result<(), Error> {
        let BrowseResources { under, size, .. } = self.request;
        for rows in rows.chunks(STEP) {
            let keys: Vec<ResourceKey> = rows.iter().map(|(place, _)| place.key.clone()).collect();
            let actor = self.reads.actor(self.subject, &keys, self.now).await?;
            let unread = rows.iter().filter(|(_, resource)| resource.is_none()).map(|(place, _)| place.key.clone());
            let read = self.reads.resources_named(&unread.collect::<Vec<_>>()).await?;
            let read: HashMap<&ResourceKey, &Resource> =
                read.iter().map(|resource| (&resource.key, resource)).collect();
            for (place, resource) in rows {
                let found = resource.as_ref().or_else(|| read.get(&place.key).copied());
                let Some(resource) = found else { continue };
                if !actor.sees(Some(&place.key)) {
                    continue;
                }
                let is_there = match under {
                    // What stands under something that the caller does not see stands at the top for them.
                    Under::Organization => true,
                    under => under.takes(resource.parent.as_ref()),
                };
                let view = ResourceView::of(&actor, resource.clone())?;
                if !is_there || (*under == Under::Organization && view.resource.parent.is_some()) {
                    continue;
                }
                filling.weight += view.resource.metadata.weight();
                let is_heavy = filling.weight > WEIGHT_MAX && !filling.resources.is_empty();
                if is_heavy || filling.resources.len() == *size as usize {
                    filling.is_full = true;
                    return Ok(());
                }
                filling.resources.push((place.clone(), view));
            }
        }
        Ok(())
    }
}

impl Filling {
    /// Ends the page. `from` is where it goes on if it is short for another reason than the end of the list.
    fn end(self, from: Option<BrowseKey>) -> BrowsedResources {
        let next = if self.is_full { self.resources.last().map(|(place, _)| place.clone()) } else { from };
        BrowsedResources { resources: self.resources, next }
    }
}
