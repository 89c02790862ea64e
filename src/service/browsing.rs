//! The tree as one caller sees it, page by page.

use super::context::see;
use super::shown::{Shown, show};
use super::{Context, Read, Services};
use crate::domain::access::{decide, is_visible};
use crate::domain::catalog::ResourceType;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::domain::resource::Under;
use crate::domain::words::Query;
use crate::store::BrowseKey;

/// How many rows are read at once, and how often for one page: it comes back short only after very many that are not seen.
const ROWS_MAX: u32 = 1_000;
const CHUNKS_MAX: usize = 40;

/// Asks for a page of resources.
#[derive(Clone, Debug)]
pub struct BrowseResources {
    /// Whose.
    pub organization: OrganizationId,
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
    /// By type and id; with a query, by the word that was found first.
    pub resources: Vec<Shown>,
    /// After which row the next page begins, if there is one.
    pub next: Option<BrowseKey>,
}

impl Services {
    /// Gives a page of the resources that the caller sees.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the organization and the parent; [`Reason::ResourceTypeUnknown`].
    pub async fn browse_resources(
        &self,
        context: &Context,
        request: BrowseResources,
    ) -> Result<Read<BrowsedResources>, Error> {
        let BrowseResources { organization, under, kind, query, size, after } = request;
        let token = self.token_before_reading(organization).await?;
        let (reads, now) = (self.store.reads(), self.world.now());
        let parent = if let Under::Resource(key) = &under { Some(key) } else { None };
        let actor = reads.actor(organization, context.subject()?, parent.map_or(&[], std::slice::from_ref)).await?;
        see(&actor, organization, parent, now)?;
        if kind.as_ref().is_some_and(|kind| actor.catalog.resource_type(kind).is_none()) {
            let message = "is not declared by the organization's catalog";
            return Err(Error::invalid("resource_type", Reason::ResourceTypeUnknown, message));
        }

        // What stands under something that the caller does not see stands at the top for them.
        let is_top = matches!(under, Under::Organization);
        let sees_all = |(_, kind): (_, &ResourceType)| decide(&actor.at(None), kind.visible_by, now).is_allowed();
        let read =
            if is_top && !actor.catalog.resource_types().all(sees_all) { Under::Anything } else { under.clone() };
        let (mut resources, mut last, mut from) = (Vec::new(), None, after);
        for _ in 0..CHUNKS_MAX {
            let page = reads
                .resource_page(organization, &read, kind.as_deref(), query.as_ref(), from.as_ref(), ROWS_MAX.max(size))
                .await?;
            let keys: Vec<ResourceKey> = page.rows.iter().map(|(_, resource)| resource.key.clone()).collect();
            let actor = reads.actor(organization, context.subject()?, &keys).await?;
            for (key, resource) in page.rows {
                if !actor.knows(&resource.key) || !is_visible(&actor.at(Some(&resource.key)), now) {
                    continue;
                }
                let shown = show(&actor, resource, now)?;
                if is_top && shown.resource.parent.is_some() {
                    continue;
                }
                // A page ends where something that is seen follows, so that its token tells of nothing else (CM-13).
                if resources.len() == size as usize {
                    return Ok(Read { value: BrowsedResources { resources, next: last }, token });
                }
                resources.push(shown);
                last = Some(key);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(Read { value: BrowsedResources { resources, next: from }, token })
    }
}
