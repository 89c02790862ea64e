//! Invitations. Their tokens are kept as SHA-256 hashes and found by them.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::encoding::{state, subject, subject_columns};
use super::entity::invitations;
use super::{Reads, Tx};
use crate::changelog::Change;
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::{Fact, InvitationState};
use crate::domain::id::InvitationId;
use crate::domain::invitation::Invitation;
use crate::domain::time::Timestamp;

impl Reads<'_> {
    /// Finds the invitation whose token has this hash.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn invitation_by_token(&self, token_hash: &[u8; 32]) -> Result<Option<Invitation>, Error> {
        let row = invitations::Entity::find()
            .filter(invitations::Column::TokenHash.eq(token_hash.to_vec()))
            .one(&self.db)
            .await?;
        row.map(invitation).transpose()
    }

    /// Finds an invitation.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error> {
        invitations::Entity::find_by_id(id.0).one(&self.db).await?.map(invitation).transpose()
    }
}

impl Tx {
    /// Makes an invitation to a membership of the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn invitation_insert(
        &mut self,
        invitation: &Invitation,
        email: &Email,
        token_hash: &[u8; 32],
    ) -> Result<(), Error> {
        let (sponsor_kind, sponsor_id) = subject_columns(invitation.sponsor);
        let row = invitations::ActiveModel {
            id: Set(invitation.id.0),
            organization_id: Set(self.organization().0),
            membership_id: Set(invitation.membership.0),
            email_key: Set(email.key().to_owned()),
            email: Set(email.text().to_owned()),
            token_hash: Set(token_hash.to_vec()),
            sponsor_kind: Set(sponsor_kind.to_owned()),
            sponsor_id: Set(sponsor_id),
            state: Set(invitation.state.word().to_owned()),
            created_at: Set(invitation.created_at.as_micros()),
            expires_at: Set(invitation.expires_at.as_micros()),
        };
        invitations::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.invitation_change(invitation);
        Ok(())
    }

    /// Writes an invitation's state as it is in `invitation`.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn invitation_update(&mut self, invitation: &Invitation) -> Result<(), Error> {
        let row = invitations::ActiveModel {
            id: Set(invitation.id.0),
            state: Set(invitation.state.word().to_owned()),
            ..Default::default()
        };
        invitations::Entity::update(row).exec(&self.db).await?;
        self.invitation_change(invitation);
        Ok(())
    }

    fn invitation_change(&mut self, invitation: &Invitation) {
        let fact = Fact::Invitation {
            id: invitation.id,
            membership: invitation.membership,
            state: invitation.state,
            expires_at: invitation.expires_at,
        };
        let fields = serde_json::json!({ "email": invitation.email });
        self.change(Change::of(fact).about(invitation.membership.0, fields));
    }
}

fn invitation(row: invitations::Model) -> Result<Invitation, Error> {
    Ok(Invitation {
        id: row.id.into(),
        organization: row.organization_id.into(),
        membership: row.membership_id.into(),
        email: row.email,
        sponsor: subject(&row.sponsor_kind, row.sponsor_id)?,
        state: state(InvitationState::from_word, &row.state)?,
        expires_at: Timestamp::from_micros(row.expires_at),
        created_at: Timestamp::from_micros(row.created_at),
    })
}
