//! The installation itself: which one it is, and the keys it signs with.

mod time;

use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};
use uuid::Uuid;

use super::entity::{installation, signing_keys};
use super::{Reads, Tx};
use crate::changelog;
use crate::domain::error::Error;
use crate::domain::fact::Scope;

pub use self::time::TimeOnRecord;

/// Which installation this is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstallationRow {
    /// Counts restores that revision tokens must not survive.
    pub epoch: u32,
    /// A known text sealed with the installation key, so that a wrong key is told at start.
    pub key_check: Vec<u8>,
}

/// A key that signs access tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// Stands in the tokens' header as `kid`.
    pub id: Uuid,
    /// 32 bytes of Ed25519.
    pub public_key: Vec<u8>,
    /// The private half, sealed with the installation key.
    pub sealed_private_key: Vec<u8>,
}

impl std::fmt::Debug for SigningKeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeyRow").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Reads<'_> {
    /// Reads which installation this is; `None` before the first start.
    pub async fn installation(&self) -> Result<Option<InstallationRow>, Error> {
        let row = installation::Entity::find_by_id(1).one(&self.db).await?;
        Ok(row.map(|row| InstallationRow {
            epoch: u32::try_from(row.epoch).unwrap_or(u32::MAX),
            key_check: row.key_check,
        }))
    }

    /// Reads the signing keys, newest first.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, Error> {
        let rows = signing_keys::Entity::find().order_by_desc(signing_keys::Column::Id).all(&self.db).await?;
        let key = |row: signing_keys::Model| SigningKeyRow {
            id: row.id,
            public_key: row.public_key,
            sealed_private_key: row.sealed_private_key,
        };
        Ok(rows.into_iter().map(key).collect())
    }
}

impl Tx {
    /// Makes the installation, and starts its log.
    ///
    /// # Errors
    /// - [`ConcurrentUpdate`](crate::domain::error::Reason::ConcurrentUpdate) if another process has just made it.
    pub async fn installation_insert(&mut self, row: &InstallationRow) -> Result<(), Error> {
        let model = installation::ActiveModel {
            id: Set(1),
            epoch: Set(i64::from(row.epoch)),
            key_check: Set(row.key_check.clone()),
            reached_at: Set(self.now().as_micros()),
            unrecorded_us: Set(0),
            created_at: Set(self.now().as_micros()),
        };
        installation::Entity::insert(model).exec_without_returning(&self.db).await?;
        changelog::head_insert(&self.db, Scope::Installation).await?;
        Ok(())
    }

    /// Keeps a signing key.
    pub async fn signing_key_insert(&mut self, key: &SigningKeyRow) -> Result<(), Error> {
        let model = signing_keys::ActiveModel {
            id: Set(key.id),
            public_key: Set(key.public_key.clone()),
            sealed_private_key: Set(key.sealed_private_key.clone()),
            created_at: Set(self.now().as_micros()),
        };
        signing_keys::Entity::insert(model).exec_without_returning(&self.db).await?;
        Ok(())
    }
}
