//! Sessions, and the devices on which they begin.

mod device;

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::entity::sessions;
use super::error::of_autocommit;
use super::tx::WRITING;
use super::{Reads, Store, Tx};
use crate::domain::error::Error;
use crate::domain::fact::InstallationFact;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// How long a session is kept past its end.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// A session to begin, and the device that it begins on.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    pub user: UserId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Hash of the token by which the device is known from now on.
    pub device: [u8; 32],
    /// When the device is forgotten.
    pub device_expires_at: Timestamp,
}

impl Reads<'_> {
    /// Returns whether a session was ended before its time.
    pub async fn session_is_ended(&self, id: SessionId) -> Result<bool, Error> {
        let row = sessions::Entity::find_by_id(id.0).one(&self.db).await?;
        Ok(row.is_some_and(|row| row.ended_at.is_some()))
    }
}

impl Store {
    /// Begins a session, and knows its device from then on.
    ///
    /// # Errors
    /// - [`CommitUnknown`](crate::domain::error::Reason::CommitUnknown): the session may have begun, and nobody has its token.
    pub async fn session_begin(&self, session: &NewSession) -> Result<(), Error> {
        let row = sessions::ActiveModel {
            id: Set(session.id.0),
            user_id: Set(session.user.0),
            created_at: Set(self.env.now().as_micros()),
            expires_at: Set(session.expires_at.as_micros()),
            ended_at: Set(None),
        };
        let db = self.writer.begin(WRITING, self.in_transaction).await?;
        sessions::Entity::insert(row).exec_without_returning(&db).await?;
        device::keep(&db, session).await?;
        db.commit().await.map_err(of_autocommit)
    }

    /// Deletes the sessions that ended a day ago.
    pub(super) async fn sessions_forget(&self, now: Timestamp) -> Result<(), Error> {
        let ended = sessions::Column::ExpiresAt.lte(now.minus(KEPT_FOR).as_micros());
        sessions::Entity::delete_many().filter(ended).exec(&self.writer).await?;
        Ok(())
    }
}

impl Tx {
    /// Ends the sessions of a user.
    pub(super) async fn sessions_end(&mut self, user: UserId) -> Result<(), Error> {
        let now = self.now().as_micros();
        let live = sessions::Entity::find()
            .filter(sessions::Column::UserId.eq(user.0))
            .filter(sessions::Column::EndedAt.is_null())
            .filter(sessions::Column::ExpiresAt.gt(now))
            .all(&self.db)
            .await?;
        sessions::Entity::update_many()
            .col_expr(sessions::Column::EndedAt, Expr::value(now))
            .filter(sessions::Column::UserId.eq(user.0))
            .filter(sessions::Column::EndedAt.is_null())
            .exec(&self.db)
            .await?;
        for row in live {
            let expires_at = Timestamp::from_micros(row.expires_at);
            self.change_installation(InstallationFact::SessionEnded { id: row.id.into(), expires_at });
        }
        Ok(())
    }
}
