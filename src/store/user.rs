//! Users: people, global to the installation, with their proven addresses and passwords.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement, Value};
use uuid::Uuid;

use super::encoding::state;
use super::entity::{passwords, user_emails, users};
use super::{Reads, Tx};
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::{InstallationFact, UserState};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// What a sign-in with a password is held against.
#[derive(Clone)]
pub struct Credential {
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

impl Reads<'_> {
    /// Finds what a sign-in with `email` is held against, in one statement, the same whether or not anybody has the address
    /// and whether or not a device shows a token.
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

    /// Finds the user who has proven an address.
    pub async fn user_by_email(&self, email: &Email) -> Result<Option<UserId>, Error> {
        let row = user_emails::Entity::find_by_id(email.key()).one(&self.db).await?;
        Ok(row.map(|row| row.user_id.into()))
    }

    /// Finds where a user stands.
    pub async fn user_state(&self, user: UserId) -> Result<Option<UserState>, Error> {
        let row = users::Entity::find_by_id(user.0).one(&self.db).await?;
        row.map(|row| state(UserState::from_word, &row.state)).transpose()
    }

    /// Finds how a user is called.
    pub async fn user_display_name(&self, user: UserId) -> Result<Option<String>, Error> {
        Ok(users::Entity::find_by_id(user.0).one(&self.db).await?.map(|row| row.display_name))
    }

    /// Finds the address of a user at which they can be told something: of several, the one proven first.
    pub async fn user_email(&self, user: UserId) -> Result<Option<String>, Error> {
        let row = user_emails::Entity::find()
            .filter(user_emails::Column::UserId.eq(user.0))
            .order_by_asc(user_emails::Column::VerifiedAt)
            .order_by_asc(user_emails::Column::EmailKey)
            .one(&self.db)
            .await?;
        Ok(row.map(|row| row.email))
    }

    /// Finds every address that a user has proven.
    pub async fn user_emails(&self, user: UserId) -> Result<Vec<String>, Error> {
        let rows = user_emails::Entity::find().filter(user_emails::Column::UserId.eq(user.0)).all(&self.db).await?;
        Ok(rows.into_iter().map(|row| row.email).collect())
    }
}

impl Tx {
    /// Makes an ACTIVE user with a proven address and a password.
    ///
    /// # Errors
    /// - [`ConcurrentUpdate`](crate::domain::error::Reason::ConcurrentUpdate) if the address has just been proven by
    ///   somebody else.
    pub async fn user_insert(
        &mut self,
        id: UserId,
        display_name: &str,
        email: &Email,
        password_hash: &str,
    ) -> Result<(), Error> {
        let now = self.now().as_micros();
        let user = users::ActiveModel {
            id: Set(id.0),
            display_name: Set(display_name.to_owned()),
            state: Set(UserState::Active.word().to_owned()),
            created_at: Set(now),
        };
        users::Entity::insert(user).exec_without_returning(&self.db).await?;
        let address = user_emails::ActiveModel {
            email_key: Set(email.key().to_owned()),
            user_id: Set(id.0),
            email: Set(email.text().to_owned()),
            verified_at: Set(now),
        };
        user_emails::Entity::insert(address).exec_without_returning(&self.db).await?;
        let password =
            passwords::ActiveModel { user_id: Set(id.0), hash: Set(password_hash.to_owned()), changed_at: Set(now) };
        passwords::Entity::insert(password).exec_without_returning(&self.db).await?;
        self.change_installation(InstallationFact::User { id, state: UserState::Active });
        Ok(())
    }

    /// Ends a user: their name, addresses and password are forgotten, their sessions end.
    pub async fn user_delete(&mut self, id: UserId) -> Result<(), Error> {
        passwords::Entity::delete_by_id(id.0).exec(&self.db).await?;
        user_emails::Entity::delete_many().filter(user_emails::Column::UserId.eq(id.0)).exec(&self.db).await?;
        self.devices_delete(id).await?;
        let user = users::ActiveModel {
            id: Set(id.0),
            display_name: Set(String::new()),
            state: Set(UserState::Deleted.word().to_owned()),
            ..Default::default()
        };
        users::Entity::update(user).exec(&self.db).await?;
        self.sessions_end(id).await?;
        self.change_installation(InstallationFact::User { id, state: UserState::Deleted });
        Ok(())
    }
}
