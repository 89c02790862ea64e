//! Resources by pages: by the words of their names, and by their keys.

use std::sync::Arc;

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::resource;
use crate::domain::error::Error;
use crate::domain::place::ResourceKey;
use crate::domain::resource::Resource;
use crate::domain::words::{Query, words};
use crate::store::OrgReads;
use crate::store::entity::{resource_words, resources};
use crate::store::place::by_kind;

/// A row after which a page begins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct BrowseKey {
    /// The word that was found, with a query; empty without.
    pub word: String,
    /// Which resource.
    pub key: ResourceKey,
}

/// Resources that a query found, in order.
#[derive(Clone, Debug)]
pub struct FoundResources {
    /// Each with its place in the order.
    pub rows: Vec<(BrowseKey, Resource)>,
    /// After which row there may be more.
    pub next: Option<BrowseKey>,
}

impl OrgReads<'_> {
    /// Reads the resources of some types whose names a query finds, from after `after` on, going through at most `rows` words.
    pub async fn resources_found(
        &self,
        query: &Query,
        kinds: &[&str],
        after: Option<&BrowseKey>,
        rows: u64,
    ) -> Result<FoundResources, Error> {
        use resource_words::Column;
        let mut words_found = resource_words::Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::Kind.is_in(kinds.iter().copied()))
            .filter(Column::Word.gte(query.leading()))
            // The last of all characters: no word that begins so is behind it.
            .filter(Column::Word.lt(format!("{}{}", query.leading(), char::MAX)));
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
            .limit(rows)
            .all(&self.db)
            .await?;
        let is_full = words_found.len() as u64 == rows;
        let places: Vec<BrowseKey> = words_found
            .into_iter()
            .map(|row| BrowseKey { word: row.word, key: ResourceKey { kind: row.kind.into(), id: row.id.into() } })
            .collect();
        let keys: Vec<ResourceKey> = places.iter().map(|place| place.key.clone()).collect();
        let named = self.resources_named(&keys).await?;
        let next = places.last().filter(|_| is_full).cloned();
        let rows = places.into_iter().filter_map(|place| {
            let resource = named.iter().find(|resource| resource.key == place.key)?;
            query.finds_at(&words(&resource.display_name), &place.word).then(|| (place, resource.clone()))
        });
        Ok(FoundResources { rows: rows.collect(), next })
    }

    /// Reads how the resources with these keys are called, those that there are, in no order.
    pub async fn resource_names(&self, keys: &[ResourceKey]) -> Result<Vec<(ResourceKey, String)>, Error> {
        let mut found = Vec::new();
        for (kind, ids) in by_kind(keys) {
            let rows: Vec<(String, String)> = resources::Entity::find()
                .select_only()
                .columns([resources::Column::Id, resources::Column::DisplayName])
                .filter(resources::Column::OrganizationId.eq(self.organization.0))
                .filter(resources::Column::Kind.eq(kind))
                .filter(resources::Column::Id.is_in(ids))
                .into_tuple()
                .all(&self.db)
                .await?;
            let kind: Arc<str> = kind.into();
            let named = |(id, name): (String, String)| (ResourceKey { kind: Arc::clone(&kind), id: id.into() }, name);
            found.extend(rows.into_iter().map(named));
        }
        Ok(found)
    }

    /// Reads the resources with these keys, those that there are, in no order.
    pub async fn resources_named(&self, keys: &[ResourceKey]) -> Result<Vec<Resource>, Error> {
        let mut found = Vec::new();
        for (kind, ids) in by_kind(keys) {
            let rows = resources::Entity::find()
                .filter(resources::Column::OrganizationId.eq(self.organization.0))
                .filter(resources::Column::Kind.eq(kind))
                .filter(resources::Column::Id.is_in(ids));
            found.extend(rows.all(&self.db).await?.into_iter().map(resource).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }
}
