//! Invitations. Tokens are kept as SHA-256 hashes and found by them.

mod barred;

use std::collections::HashSet;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};
use uuid::Uuid;

use super::encoding::{is_live, state, subject, subject_columns};
use super::entity::{grants, invitations};
use super::error::one_row;
use super::{OrgReads, Reads, Tx};
use crate::changelog::{Change, scope_key};
use crate::domain::catalog::InvitationKind;
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::{GrantSource, InvitationState, OrganizationFact, Scope};
use crate::domain::id::{InvitationId, MembershipId, OrganizationId};
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::Member;
use crate::domain::place::Subject;
use crate::domain::time::Timestamp;

/// How many links are read at once: each brings up to 100 assignments.
const LINKS_AT_ONCE: u64 = 100;

impl OrgReads<'_> {
    /// Finds an invitation to a mailbox that is open at `now`, and not a founder's; if `without_role`, one that brings
    /// no role at the organization.
    pub async fn open_mailed_invitation(
        &self,
        without_role: bool,
        now: Timestamp,
    ) -> Result<Option<InvitationId>, Error> {
        let mut open = open_invitations(self.organization, InvitationKind::Email, now)
            .filter(invitations::Column::IsFounding.eq(false));
        if without_role {
            let with_role = grants::Entity::find()
                .select_only()
                .column(grants::Column::PrincipalId)
                .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
                .filter(grants::Column::PrincipalKind.eq("membership"))
                .filter(grants::Column::PlaceKind.eq("organization"))
                .filter(grants::Column::Source.eq(GrantSource::Invitation.word()))
                .filter(is_live(now));
            open = open.filter(invitations::Column::MembershipId.not_in_subquery(with_role.into_query()));
        }
        Ok(open.order_by_asc(invitations::Column::Id).one(&self.db).await?.map(|row| row.id.into()))
    }

    /// Shows `look` every link of an organization that is open at `now`, oldest first, until it fails.
    ///
    /// # Errors
    /// What `look` fails with.
    pub async fn each_open_link(
        &self,
        now: Timestamp,
        mut look: impl FnMut(Invitation) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        loop {
            let page = open_links(self.organization, now).filter(invitations::Column::Id.gt(after));
            let page = page.order_by_asc(invitations::Column::Id).limit(LINKS_AT_ONCE).all(&self.db).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            page.into_iter().map(invitation).try_for_each(|link| look(link?))?;
        }
    }

    /// Finds an invitation.
    pub async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error> {
        let found =
            invitations::Entity::find_by_id(id.0).filter(invitations::Column::OrganizationId.eq(self.organization.0));
        found.one(&self.db).await?.map(invitation).transpose()
    }

    /// Returns those of some memberships that an invitation offers, or offered.
    pub async fn invited_among(&self, members: &[Member]) -> Result<HashSet<MembershipId>, Error> {
        if members.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = invitations::Entity::find()
            .select_only()
            .column(invitations::Column::MembershipId)
            .filter(invitations::Column::OrganizationId.eq(self.organization.0))
            .filter(invitations::Column::MembershipId.is_in(members.iter().map(|member| member.id.0)))
            .into_tuple::<Uuid>();
        Ok(rows.all(&self.db).await?.into_iter().map(MembershipId).collect())
    }

    /// Finds the open invitations of an organization that somebody answers for, in the order in which they were made,
    /// at most `limit` of them, from after `after` on.
    pub async fn invitations_sponsored(
        &self,
        sponsor: Subject,
        now: Timestamp,
        after: Option<InvitationId>,
        limit: u64,
    ) -> Result<Vec<Invitation>, Error> {
        let (kind, id) = subject_columns(sponsor);
        let after = after.map(|after| invitations::Column::Id.gt(after.0));
        let rows = invitations::Entity::find()
            .filter(invitations::Column::OrganizationId.eq(self.organization.0))
            .filter(invitations::Column::SponsorKind.eq(kind))
            .filter(invitations::Column::SponsorId.eq(id))
            .filter(invitations::Column::State.eq(InvitationState::Open.word()))
            .filter(invitations::Column::ExpiresAt.gt(now.as_micros()))
            .filter(Condition::all().add_option(after))
            .order_by_asc(invitations::Column::Id)
            .limit(limit)
            .all(&self.db)
            .await?;
        rows.into_iter().map(invitation).collect()
    }
}

impl Reads<'_> {
    /// Finds the invitation whose token has this hash.
    pub async fn invitation_by_token(&self, token_hash: &[u8; 32]) -> Result<Option<Invitation>, Error> {
        let row = invitations::Entity::find()
            .filter(invitations::Column::TokenHash.eq(token_hash.to_vec()))
            .one(&self.db)
            .await?;
        row.map(invitation).transpose()
    }
}

impl Tx {
    /// Makes an invitation to the locked organization.
    pub async fn invitation_insert(&mut self, invitation: &Invitation, token_hash: &[u8; 32]) -> Result<(), Error> {
        let (membership, email, assignments) = match &invitation.offered {
            Offered::Mailbox { membership, email } => (Some(*membership), Some(Email::parse("email", email)?), None),
            Offered::Link { assignments } => (None, None, Some(serde_json::to_string(assignments))),
        };
        let assignments = assignments.transpose().map_err(Error::internal)?;
        let (sponsor_kind, sponsor_id) = subject_columns(invitation.sponsor);
        let row = invitations::ActiveModel {
            id: Set(invitation.id.0),
            organization_id: Set(self.organization().0),
            kind: Set(kind_column(invitation.offered.kind()).to_owned()),
            membership_id: Set(membership.map(|membership| membership.0)),
            email_key: Set(email.as_ref().map(|email| email.key().to_owned())),
            email: Set(email.as_ref().map(|email| email.text().to_owned())),
            assignments: Set(assignments),
            token_hash: Set(token_hash.to_vec()),
            sponsor_kind: Set(sponsor_kind.to_owned()),
            sponsor_id: Set(sponsor_id),
            state: Set(invitation.state.word().to_owned()),
            is_founding: Set(invitation.is_founding),
            created_at: Set(invitation.created_at.as_micros()),
            expires_at: Set(invitation.expires_at.as_micros()),
            revision: Set(self.revision()),
        };
        invitations::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.invitation_change(invitation);
        Ok(())
    }

    /// Writes an invitation's state, and what it brings if it is a link, as they are in `invitation`.
    pub async fn invitation_update(&mut self, invitation: &Invitation) -> Result<(), Error> {
        let mut row = invitations::ActiveModel { state: Set(invitation.state.word().to_owned()), ..Default::default() };
        if let Offered::Link { assignments } = &invitation.offered {
            row.assignments = Set(Some(serde_json::to_string(assignments).map_err(Error::internal)?));
        }
        let updated = invitations::Entity::update_many()
            .set(row)
            .filter(invitations::Column::Id.eq(invitation.id.0))
            .filter(invitations::Column::OrganizationId.eq(self.organization().0))
            .exec(&self.db)
            .await?;
        one_row(&updated)?;
        self.invitation_change(invitation);
        Ok(())
    }

    /// Withdraws what is still offered to a membership of the locked organization.
    pub async fn invitations_revoke(&mut self, membership: MembershipId) -> Result<(), Error> {
        let organization = self.organization().0;
        let open = invitations::Entity::find()
            .filter(invitations::Column::OrganizationId.eq(organization))
            .filter(invitations::Column::MembershipId.eq(membership.0))
            .filter(invitations::Column::State.eq(InvitationState::Open.word()))
            .all(&self.db)
            .await?;
        for row in open {
            let (id, expires_at) = (InvitationId(row.id), Timestamp::from_micros(row.expires_at));
            invitations::Entity::update_many()
                .col_expr(invitations::Column::State, Expr::value(InvitationState::Revoked.word()))
                .filter(invitations::Column::Id.eq(row.id))
                .filter(invitations::Column::OrganizationId.eq(organization))
                .exec(&self.db)
                .await?;
            let (state, membership) = (InvitationState::Revoked, Some(membership));
            self.change(Change::of(OrganizationFact::Invitation { id, membership, state, expires_at }));
        }
        Ok(())
    }

    /// Returns the number of the organization's last commit before this one.
    fn revision(&self) -> i64 {
        self.position().map_or(0, |position| position.revision.0.cast_signed())
    }

    fn invitation_change(&mut self, invitation: &Invitation) {
        let fact = |membership| {
            let Invitation { id, state, expires_at, .. } = *invitation;
            Change::of(OrganizationFact::Invitation { id, membership, state, expires_at })
        };
        self.change(match &invitation.offered {
            Offered::Mailbox { membership, email } => {
                fact(Some(*membership)).about(membership.0, serde_json::json!({ "email": email }))
            }
            Offered::Link { .. } => fact(None),
        });
    }
}

fn open_links(organization: OrganizationId, now: Timestamp) -> Select<invitations::Entity> {
    open_invitations(organization, InvitationKind::Link, now)
}

fn open_invitations(organization: OrganizationId, kind: InvitationKind, now: Timestamp) -> Select<invitations::Entity> {
    invitations::Entity::find()
        .filter(invitations::Column::OrganizationId.eq(organization.0))
        .filter(invitations::Column::Kind.eq(kind_column(kind)))
        .filter(invitations::Column::State.eq(InvitationState::Open.word()))
        .filter(invitations::Column::ExpiresAt.gt(now.as_micros()))
}

/// Returns the word that is stored.
fn kind_column(kind: InvitationKind) -> &'static str {
    match kind {
        InvitationKind::Email => "email",
        InvitationKind::Link => "link",
    }
}

/// Reads a row.
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
        is_founding: row.is_founding,
        state: state(InvitationState::from_word, &row.state)?,
        expires_at: Timestamp::from_micros(row.expires_at),
        created_at: Timestamp::from_micros(row.created_at),
    })
}
