//! Resources by pages: under a parent, of a type, or by the words of their names.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Reads;
use super::entity::{resource_words, resources};
use super::resource::resource;
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::domain::resource::{Resource, Under};
use crate::domain::words::{Query, words};

/// A row after which a page begins.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct BrowseKey {
    /// The word that was found, with a query; empty without.
    pub word: String,
    /// Which resource.
    pub key: ResourceKey,
}

/// Rows in order, and after which the next page begins.
#[derive(Clone, Debug)]
pub struct Browsed {
    /// Each with its place in the order.
    pub rows: Vec<(BrowseKey, Resource)>,
    /// After which row there may be more.
    pub next: Option<BrowseKey>,
}

impl Reads<'_> {
    /// Reads resources of an organization from after `after` on, going through at most `rows` rows: those that
    /// `under` says, of one type, found by a query.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn resource_page(
        &self,
        organization: OrganizationId,
        under: &Under,
        kind: Option<&str>,
        query: Option<&Query>,
        after: Option<&BrowseKey>,
        rows: u32,
    ) -> Result<Browsed, Error> {
        let is_there = |resource: &Resource| {
            under.takes(resource.parent.as_ref()) && kind.is_none_or(|kind| *resource.key.kind == *kind)
        };
        match query {
            None => self.resource_rows(organization, under, kind, after, rows).await,
            Some(query) => {
                let mut page = self.found_rows(organization, query, kind, after, rows).await?;
                page.rows.retain(|(_, resource)| is_there(resource));
                Ok(page)
            }
        }
    }

    async fn resource_rows(
        &self,
        organization: OrganizationId,
        under: &Under,
        kind: Option<&str>,
        after: Option<&BrowseKey>,
        rows: u32,
    ) -> Result<Browsed, Error> {
        let mut query = resources::Entity::find().filter(resources::Column::OrganizationId.eq(organization.0));
        query = match under {
            Under::Anything => query,
            Under::Organization => query.filter(resources::Column::ParentType.is_null()),
            Under::Resource(parent) => query
                .filter(resources::Column::ParentType.eq(&*parent.kind))
                .filter(resources::Column::ParentId.eq(&*parent.id)),
        };
        if let Some(kind) = kind {
            query = query.filter(resources::Column::Kind.eq(kind));
        }
        if let Some(BrowseKey { key, .. }) = after {
            let later_id =
                Condition::all().add(resources::Column::Kind.eq(&*key.kind)).add(resources::Column::Id.gt(&*key.id));
            query = query.filter(Condition::any().add(resources::Column::Kind.gt(&*key.kind)).add(later_id));
        }
        let query = query.order_by_asc(resources::Column::Kind).order_by_asc(resources::Column::Id);
        let found = query.limit(u64::from(rows)).all(&self.db).await?;
        let is_full = found.len() == rows as usize;
        let place = |row: resources::Model| {
            let resource = resource(row)?;
            Ok((BrowseKey { word: String::new(), key: resource.key.clone() }, resource))
        };
        let found = found.into_iter().map(place).collect::<Result<Vec<_>, Error>>()?;
        let next = found.last().filter(|_| is_full).map(|(key, _)| key.clone());
        Ok(Browsed { rows: found, next })
    }

    async fn found_rows(
        &self,
        organization: OrganizationId,
        query: &Query,
        kind: Option<&str>,
        after: Option<&BrowseKey>,
        rows: u32,
    ) -> Result<Browsed, Error> {
        use resource_words::Column;
        let mut words_found = resource_words::Entity::find()
            .filter(Column::OrganizationId.eq(organization.0))
            .filter(Column::Word.gte(query.leading()))
            // The last of all characters: no word that begins so is behind it.
            .filter(Column::Word.lt(format!("{}{}", query.leading(), char::MAX)));
        if let Some(kind) = kind {
            words_found = words_found.filter(Column::Kind.eq(kind));
        }
        if let Some(BrowseKey { word, key }) = after {
            let later_id = Condition::all().add(Column::Kind.eq(&*key.kind)).add(Column::Id.gt(&*key.id));
            let later_key = Condition::any().add(Column::Kind.gt(&*key.kind)).add(later_id);
            let later = Condition::all().add(Column::Word.eq(word.as_str())).add(later_key);
            words_found = words_found
                .filter(Column::Word.gte(word.as_str()))
                .filter(Condition::any().add(Column::Word.gt(word.as_str())).add(later));
        }
        let words_found = words_found
            .order_by_asc(Column::Word)
            .order_by_asc(Column::Kind)
            .order_by_asc(Column::Id)
            .limit(u64::from(rows))
            .all(&self.db)
            .await?;
        let is_full = words_found.len() == rows as usize;
        let places: Vec<BrowseKey> = words_found
            .into_iter()
            .map(|row| BrowseKey { word: row.word, key: ResourceKey { kind: row.kind.into(), id: row.id.into() } })
            .collect();
        let keys: Vec<ResourceKey> = places.iter().map(|place| place.key.clone()).collect();
        let named = self.resources_named(organization, &keys).await?;
        let next = places.last().filter(|_| is_full).cloned();
        let rows = places.into_iter().filter_map(|place| {
            let resource = named.iter().find(|resource| resource.key == place.key)?;
            query.finds_at(&words(&resource.display_name), &place.word).then(|| (place, resource.clone()))
        });
        Ok(Browsed { rows: rows.collect(), next })
    }

    async fn resources_named(
        &self,
        organization: OrganizationId,
        keys: &[ResourceKey],
    ) -> Result<Vec<Resource>, Error> {
        let mut found = Vec::new();
        for (kind, ids) in super::subtree::by_kind(keys) {
            let rows = resources::Entity::find()
                .filter(resources::Column::OrganizationId.eq(organization.0))
                .filter(resources::Column::Kind.eq(kind))
                .filter(resources::Column::Id.is_in(ids));
            found.extend(rows.all(&self.db).await?.into_iter().map(resource).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }
}
