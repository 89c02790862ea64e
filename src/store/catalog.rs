//! Catalogs: the presets of the binary, and those that operators have put.

use std::sync::Arc;

use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::catalogs;
use super::{Reads, Tx};
use crate::domain::catalog::presets::preset;
use crate::domain::catalog::{Catalog, is_name};
use crate::domain::error::Error;
use crate::domain::fact::{InstallationFact, OrganizationFact};
use crate::domain::time::Timestamp;

/// A catalog that an operator has put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogRow {
    /// What organizations name it by.
    pub key: Arc<str>,
    /// Of all its versions.
    pub name: String,
    /// Of this text.
    pub version: u32,
    /// As it was put.
    pub yaml: String,
    /// When it was put.
    pub created_at: Timestamp,
}

impl Reads<'_> {
    /// Returns the catalog that stands under a key.
    ///
    /// # Errors
    /// Only what the database says; a key that nothing stands under is INTERNAL.
    pub async fn catalog(&self, key: &str) -> Result<Arc<Catalog>, Error> {
        if let Some(catalog) = self.catalogs.find(key) {
            return Ok(catalog);
        }
        let row = catalogs::Entity::find_by_id(key).one(&self.db).await?;
        let row = row.ok_or_else(|| Error::internal(format!("no catalog {key}")))?;
        self.catalogs.learn(key, &row.yaml).map_err(Error::internal)
    }

    /// Returns the catalog that a row holds.
    ///
    /// # Errors
    /// - [`Internal`](crate::domain::error::Reason::Internal) for a text that this binary cannot read.
    pub fn catalog_of_row(&self, row: &CatalogRow) -> Result<Arc<Catalog>, Error> {
        self.catalogs.learn(&row.key, &row.yaml).map_err(Error::internal)
    }

    /// Learns every catalog that some facts name, so that whoever is given them knows it.
    pub(super) async fn catalogs_learn(&self, facts: impl Iterator<Item = &OrganizationFact>) -> Result<(), Error> {
        for fact in facts {
            if let OrganizationFact::Organization { catalog, .. } = fact {
                self.catalog(catalog).await?;
            }
        }
        Ok(())
    }

    /// Finds a catalog by its name, with its key: a preset, or an operator's, the newest version if none is named.
    pub async fn catalog_named(
        &self,
        name: &str,
        version: Option<u32>,
    ) -> Result<Option<(Arc<str>, Arc<Catalog>)>, Error> {
        if let Some(preset) = preset(name) {
            let is_meant = version.is_none_or(|version| version == preset.version());
            return Ok(is_meant.then(|| (Arc::clone(preset.name()), preset)));
        }
        let row = if is_name(name) { self.catalog_row(name, version).await? } else { None };
        let Some(row) = row else { return Ok(None) };
        let catalog = self.catalog_of_row(&row)?;
        Ok(Some((row.key, catalog)))
    }

    /// Finds an operator's catalog; the newest version if none is named.
    pub async fn catalog_row(&self, name: &str, version: Option<u32>) -> Result<Option<CatalogRow>, Error> {
        let mut query = catalogs::Entity::find().filter(catalogs::Column::Name.eq(name));
        if let Some(version) = version {
            query = query.filter(catalogs::Column::Version.eq(i64::from(version)));
        }
        let row = query.order_by_desc(catalogs::Column::Version).one(&self.db).await?;
        row.map(catalog_row).transpose()
    }

    /// Reads operators' catalogs by name and version, at most `size` of them, from after `after` on.
    pub async fn catalog_page(&self, after: Option<&(String, u32)>, size: u32) -> Result<Vec<CatalogRow>, Error> {
        let mut query = catalogs::Entity::find();
        if let Some((name, version)) = after {
            let later = Condition::all()
                .add(catalogs::Column::Name.eq(name))
                .add(catalogs::Column::Version.gt(i64::from(*version)));
            query = query.filter(Condition::any().add(catalogs::Column::Name.gt(name)).add(later));
        }
        let query = query.order_by_asc(catalogs::Column::Name).order_by_asc(catalogs::Column::Version);
        let rows = query.limit(u64::from(size)).all(&self.db).await?;
        rows.into_iter().map(catalog_row).collect()
    }
}

impl Tx {
    /// Puts a catalog of an operator's.
    pub async fn catalog_insert(&mut self, row: &CatalogRow) -> Result<(), Error> {
        let model = catalogs::ActiveModel {
            catalog_key: Set(row.key.to_string()),
            name: Set(row.name.clone()),
            version: Set(i64::from(row.version)),
            yaml: Set(row.yaml.clone()),
            created_at: Set(row.created_at.as_micros()),
        };
        catalogs::Entity::insert(model).exec_without_returning(&self.db).await?;
        self.change_installation(InstallationFact::Catalog { key: Arc::clone(&row.key) });
        Ok(())
    }
}

fn catalog_row(row: catalogs::Model) -> Result<CatalogRow, Error> {
    Ok(CatalogRow {
        key: row.catalog_key.into(),
        name: row.name,
        version: u32::try_from(row.version).map_err(Error::internal)?,
        yaml: row.yaml,
        created_at: Timestamp::from_micros(row.created_at),
    })
}
