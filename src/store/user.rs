//! Users: people, global to the installation, with their proven addresses and passwords.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::encoding::state;
use super::entity::{passwords, user_emails, users};
use super::{Reads, Tx};
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::{Fact, UserState};
use crate::domain::id::UserId;

impl Reads<'_> {
    /// Finds the user who has proven an address.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn user_by_email(&self, email: &Email) -> Result<Option<UserId>, Error> {
        let row = user_emails::Entity::find_by_id(email.key()).one(&self.db).await?;
        Ok(row.map(|row| row.user_id.into()))
    }

    /// Says whether a user has proven an address.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn user_has_email(&self, user: UserId, email: &Email) -> Result<bool, Error> {
        let row = user_emails::Entity::find_by_id(email.key())
            .filter(user_emails::Column::UserId.eq(user.0))
            .one(&self.db)
            .await?;
        Ok(row.is_some())
    }

    /// Finds where a user stands.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn user_state(&self, user: UserId) -> Result<Option<UserState>, Error> {
        let row = users::Entity::find_by_id(user.0).one(&self.db).await?;
        row.map(|row| state(UserState::from_word, &row.state)).transpose()
    }

    /// Finds how a user is called.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn user_display_name(&self, user: UserId) -> Result<Option<String>, Error> {
        Ok(users::Entity::find_by_id(user.0).one(&self.db).await?.map(|row| row.display_name))
    }

    /// Finds the address of a user at which they can be told something: of several, the one proven first.
    ///
    /// # Errors
    /// Only what the database says.
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
    ///
    /// # Errors
    /// Only what the database says.
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
        self.change_installation(Fact::User { id, state: UserState::Active });
        Ok(())
    }
}
