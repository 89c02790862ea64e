//! Invitations. Their tokens are kept as SHA-256 hashes and found by them.

use sea_orm::{ActiveValue::Set, ColumnTrait, DbErr, EntityTrait, QueryFilter};

use super::encoding::{state, subject, subject_columns};
use super::entity::invitations;
use super::{Reads, Tx};
use crate::changelog::Change;
use crate::domain::catalog::InvitationKind;
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::{Fact, InvitationState};
use crate::domain::id::InvitationId;
use crate::domain::invitation::{Invitation, Offered};
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
    /// Makes an invitation to the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn invitation_insert(&mut self, invitation: &Invitation, token_hash: &[u8; 32]) -> Result<(), Error> {
        let (membership, email, assignments) = match &invitation.offered {
            Offered::Mailbox { membership, email } => (Some(*membership), Some(Email::parse("email", email)?), None),
            Offered::Link { assignments } => (None, None, Some(serde_json::to_string(assignments))),
        };
        let (sponsor_kind, sponsor_id) = subject_columns(invitation.sponsor);
        let row = invitations::ActiveModel {
            id: Set(invitation.id.0),
            organization_id: Set(self.organization().0),
            kind: Set(kind_column(invitation.offered.kind()).to_owned()),
            membership_id: Set(membership.map(|membership| membership.0)),
            email_key: Set(email.as_ref().map(|email| email.key().to_owned())),
            email: Set(email.as_ref().map(|email| email.text().to_owned())),
            assignments: Set(assignments.transpose().map_err(Error::internal)?),
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
        let fact = |membership| {
            let Invitation { id, state, expires_at, .. } = *invitation;
            Change::of(Fact::Invitation { id, membership, state, expires_at })
        };
        self.change(match &invitation.offered {
            Offered::Mailbox { membership, email } => {
                fact(Some(*membership)).about(membership.0, serde_json::json!({ "email": email }))
            }
            Offered::Link { .. } => fact(None),
        });
    }
}

/// Gives the word that is stored.
fn kind_column(kind: InvitationKind) -> &'static str {
    match kind {
        InvitationKind::Email => "email",
        InvitationKind::Link => "link",
    }
}

fn invitation(row: invitations::Model) -> Result<Invitation, Error> {
    let offered = match (row.membership_id, row.email, row.assignments) {
        (Some(membership), Some(email), None) => Offered::Mailbox { membership: membership.into(), email },
        (None, None, Some(assignments)) => {
            Offered::Link { assignments: serde_json::from_str(&assignments).map_err(Error::internal)? }
        }
        _ => return Err(Error::internal(DbErr::Custom("an invitation that offers nothing that is known".to_owned()))),
    };
    Ok(Invitation {
        id: row.id.into(),
        organization: row.organization_id.into(),
        offered,
        sponsor: subject(&row.sponsor_kind, row.sponsor_id)?,
        state: state(InvitationState::from_word, &row.state)?,
        expires_at: Timestamp::from_micros(row.expires_at),
        created_at: Timestamp::from_micros(row.created_at),
    })
}
