//! Devices that have signed a user in before, known by a token of theirs.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::NewSession;
use crate::domain::error::Error;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::store::database::pool::Transaction;
use crate::store::entity::devices;
use crate::store::{Store, Tx};

/// Most devices of one user; of more those are forgotten that were used longest ago.
const DEVICES_MAX: u64 = 20;

/// Keeps the device on which a session begins.
pub(super) async fn keep(db: &Transaction, session: &NewSession) -> Result<(), Error> {
    let device = devices::ActiveModel {
        token_hash: Set(session.device.to_vec()),
        user_id: Set(session.user.0),
        expires_at: Set(session.device_expires_at.as_micros()),
    };
    let of_user = devices::Column::UserId.eq(session.user.0);
    let known = devices::Entity::update_many()
        .set(devices::ActiveModel { expires_at: device.expires_at.clone(), ..Default::default() })
        .filter(devices::Column::TokenHash.eq(session.device.to_vec()))
        .filter(of_user.clone())
        .exec(db)
        .await?;
    if known.rows_affected > 0 {
        return Ok(());
    }
    devices::Entity::insert(device).exec_without_returning(db).await?;
    let too_many = devices::Entity::find()
        .filter(of_user)
        .filter(devices::Column::TokenHash.ne(session.device.to_vec()))
        .order_by_desc(devices::Column::ExpiresAt)
        .offset(DEVICES_MAX - 1)
        .limit(DEVICES_MAX)
        .all(db)
        .await?;
    let forgotten = too_many.into_iter().map(|device| device.token_hash);
    devices::Entity::delete_many().filter(devices::Column::TokenHash.is_in(forgotten)).exec(db).await?;
    Ok(())
}

impl Tx {
    /// Forgets the devices of a user.
    pub(in crate::store) async fn devices_delete(&mut self, user: UserId) -> Result<(), Error> {
        devices::Entity::delete_many().filter(devices::Column::UserId.eq(user.0)).exec(&self.db).await?;
        Ok(())
    }
}

impl Store {
    /// Deletes the devices that are known no more.
    pub(in crate::store) async fn devices_forget(&self, now: Timestamp) -> Result<(), Error> {
        devices::Entity::delete_many()
            .filter(devices::Column::ExpiresAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}
