//! Signing in: the one read that a password is held against, and the session that begins.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
};
use uuid::Uuid;

use super::encoding::state;
use super::entity::{devices, sessions};
use super::error::of_autocommit;
use super::tx::WRITING;
use super::{Reads, Store};
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::UserState;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// Most devices of one user; of more those are forgotten that were used longest ago.
const DEVICES_MAX: u64 = 20;

/// What a sign-in with a password is held against.
#[derive(Clone)]
pub struct Credential {
    /// Whose.
    pub user: UserId,
    /// Whether they may sign in at all.
    pub state: UserState,
    /// The password's hash as a PHC string, if one was set (CE-15).
    pub password_hash: Option<String>,
    /// Whether the device has signed this user in before.
    pub knows_device: bool,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A session to begin, and the device that it begins on.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Hash of the token by which the device is known from now on.
    pub device: [u8; 32],
    /// When the device is forgotten.
    pub device_expires_at: Timestamp,
}

impl Reads<'_> {
    /// Finds what a sign-in with `email` is held against, in one statement, the same whether or not anybody has the address
    /// and whether or not a device shows a token.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn credential_by_email(
        &self,
        email: &Email,
        device: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Credential>, Error> {
        let sql = "select u.id, u.state, p.hash, d.expires_at as device_expires_at from user_emails e \
                   join users u on u.id = e.user_id \
                   left join passwords p on p.user_id = u.id \
                   left join devices d on d.token_hash = $2 and d.user_id = u.id and d.expires_at > $3 \
                   where e.email_key = $1";
        let values: [Value; 3] = [email.key().into(), device.to_vec().into(), now.as_micros().into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let Some(row) = self.db.query_one_raw(statement).await? else { return Ok(None) };
        let word: String = row.try_get("", "state")?;
        Ok(Some(Credential {
            user: row.try_get::<Uuid>("", "id")?.into(),
            state: state(UserState::from_word, &word)?,
            password_hash: row.try_get("", "hash")?,
            knows_device: row.try_get::<Option<i64>>("", "device_expires_at")?.is_some(),
        }))
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
            created_at: Set(self.world.now().as_micros()),
            expires_at: Set(session.expires_at.as_micros()),
            ended_at: Set(None),
        };
        let device = devices::ActiveModel {
            token_hash: Set(session.device.to_vec()),
            user_id: Set(session.user.0),
            expires_at: Set(session.device_expires_at.as_micros()),
        };
        let of_user = devices::Column::UserId.eq(session.user.0);
        let db = self.writer.begin(WRITING, self.in_transaction).await?;
        sessions::Entity::insert(row).exec_without_returning(&db).await?;
        let known = devices::Entity::update_many()
            .set(devices::ActiveModel { expires_at: device.expires_at.clone(), ..Default::default() })
            .filter(devices::Column::TokenHash.eq(session.device.to_vec()))
            .filter(of_user.clone())
            .exec(&db)
            .await?;
        if known.rows_affected == 0 {
            devices::Entity::insert(device).exec_without_returning(&db).await?;
            let too_many = devices::Entity::find()
                .filter(of_user)
                .filter(devices::Column::TokenHash.ne(session.device.to_vec()))
                .order_by_desc(devices::Column::ExpiresAt)
                .offset(DEVICES_MAX - 1)
                .limit(DEVICES_MAX)
                .all(&db)
                .await?;
            let forgotten = too_many.into_iter().map(|device| device.token_hash);
            devices::Entity::delete_many().filter(devices::Column::TokenHash.is_in(forgotten)).exec(&db).await?;
        }
        db.commit().await.map_err(of_autocommit)
    }

    /// Deletes the devices that are known no more.
    ///
    /// # Errors
    /// Only what the database says.
    pub(super) async fn devices_forget(&self, now: Timestamp) -> Result<(), Error> {
        devices::Entity::delete_many()
            .filter(devices::Column::ExpiresAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}
