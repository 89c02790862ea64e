//! Invitations: what one offers, to whom, and when it can be accepted.
//!
//! What an open one offers is treated as held: whoever changes what a role or a catalog says finds a place for it, too.
//! What is offered to a mailbox is held by its membership; what a link offers nobody holds yet, and stands in the link.

use std::sync::Arc;

use super::catalog::{Catalog, InvitationKind, InvitationPolicy};
use super::error::{Error, Kind, Reason, Violations};
use super::fact::{Held, InvitationState};
use super::grant::assignment::{Assignment, plan_member};
use super::id::{InvitationId, MembershipId, OrganizationId};
use super::place::{Place, Principal, Subject};
use super::time::Timestamp;

/// An offer of membership.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Invitation {
    /// Made by the server.
    pub id: InvitationId,
    /// Whose place is offered.
    pub organization: OrganizationId,
    /// What is offered, and to whom.
    pub offered: Offered,
    /// Who last made or changed it, and answers for what it brings.
    pub sponsor: Subject,
    /// Whether it came with the organization, for its founder: no policy opens that, so none closes it.
    pub is_founding: bool,
    /// Where it stands.
    pub state: InvitationState,
    /// It can be accepted strictly before this instant.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an invitation offers, and to whom (X2).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offered {
    /// To one mailbox, and once: a membership that is there and PENDING. What it brings are ordinary grants on that.
    Mailbox {
        membership: MembershipId,
        /// Where the invitation was sent, as written.
        email: String,
    },
    /// To everybody who holds the link and is signed in: a membership made at each acceptance, with these.
    Link {
        /// What each comes to hold.
        assignments: Vec<Assignment>,
    },
}

/// Ensures that a policy opens invitations of this kind which bring `assignments`; `prefix` is how the path of its
/// violations begins.
///
/// # Errors
/// - [`Reason::InvitationKindUnavailable`], [`Reason::FieldRequired`] for a role that is missing.
pub fn must_be_open_here(
    policy: &InvitationPolicy,
    kind: InvitationKind,
    assignments: &[Assignment],
    prefix: &str,
) -> Result<(), Error> {
    let mut violations = Violations::default();
    if !policy.kinds.contains(&kind) {
        let message = "is not open in this organization";
        violations.add(format!("{prefix}kind"), Reason::InvitationKindUnavailable, message);
    }
    let is_role_here = |it: &Assignment| it.place == Place::Organization && matches!(it.held, Held::Role(_));
    if policy.role_required && !assignments.iter().any(is_role_here) {
        violations.add(format!("{prefix}assignments"), Reason::FieldRequired, "must name a role at the organization");
    }
    violations.finish()
}

impl Offered {
    /// Returns which kind of invitation offers this.
    #[must_use]
    pub fn kind(&self) -> InvitationKind {
        match self {
            Self::Mailbox { .. } => InvitationKind::Email,
            Self::Link { .. } => InvitationKind::Link,
        }
    }
}

impl Invitation {
    /// Returns what each who accepts a link comes to hold at `now`; nothing for another kind, whose membership holds
    /// it.
    pub fn brought(&self, now: Timestamp) -> impl Iterator<Item = &Assignment> {
        let assignments = match &self.offered {
            Offered::Link { assignments } => assignments.as_slice(),
            Offered::Mailbox { .. } => &[],
        };
        assignments.iter().filter(move |it| it.expires_at.is_none_or(|end| now < end))
    }

    /// Returns where a link brings `role` at `now`.
    pub fn brought_as<'a>(&'a self, role: &'a str, now: Timestamp) -> impl Iterator<Item = &'a Assignment> {
        self.brought(now).filter(move |it| matches!(&it.held, Held::Role(name) if **name == *role))
    }

    /// Ensures that what an open link offers could be offered anew under `catalog`, to `somebody` who holds nothing.
    ///
    /// # Errors
    /// - [`Reason::CatalogIncompatible`], about the invitation.
    pub fn must_fit(&self, catalog: &Catalog, somebody: Principal, now: Timestamp) -> Result<(), Error> {
        let Offered::Link { assignments } = &self.offered else { return Ok(()) };
        let brought: Vec<Assignment> = self.brought(now).cloned().collect();
        let fits = must_be_open_here(catalog.invitation(), InvitationKind::Link, assignments, "")
            .and_then(|()| brought.iter().try_for_each(|it| it.must_be_assignable(catalog, somebody, "assignments")))
            .and_then(|()| plan_member(catalog, somebody, &brought).map(drop));
        match fits {
            Err(error) if error.kind() != Kind::Internal => {
                let message =
                    format!("the organization has an open link for which the catalog has no place: {}", error.message);
                Err(Error::new(Reason::CatalogIncompatible, message).about("invitation", self.id))
            }
            fits => fits,
        }
    }

    /// Returns the link as it is when it brings the role `instead` wherever it brought `role`, for as long, or for as
    /// long as it brings that one there already if that is longer.
    #[must_use]
    pub fn moved(&self, role: &str, instead: &Arc<str>) -> Self {
        let Offered::Link { assignments } = &self.offered else { return self.clone() };
        let mut moved: Vec<Assignment> = Vec::new();
        for assignment in assignments {
            let mut assignment = assignment.clone();
            if matches!(&assignment.held, Held::Role(name) if **name == *role) {
                assignment.held = Held::Role(Arc::clone(instead));
            }
            let same = |it: &&mut Assignment| it.place == assignment.place && it.held == assignment.held;
            match moved.iter_mut().find(same) {
                Some(known) => {
                    known.expires_at = known.expires_at.zip(assignment.expires_at).map(|(one, other)| one.max(other));
                }
                None => moved.push(assignment),
            }
        }
        Self { offered: Offered::Link { assignments: moved }, ..self.clone() }
    }

    /// Ensures that the invitation can be accepted `now`.
    ///
    /// # Errors
    /// - [`Reason::InvitationAccepted`] once it was used (CE-10).
    /// - [`Reason::InvitationRevoked`] once it was withdrawn.
    /// - [`Reason::InvitationExpired`] once `now >= expires_at` (CE-10).
    pub fn must_be_open(&self, now: Timestamp) -> Result<(), Error> {
        let refusal = match self.state {
            InvitationState::Accepted => (Reason::InvitationAccepted, "the invitation was used already"),
            InvitationState::Revoked => (Reason::InvitationRevoked, "the invitation was withdrawn"),
            InvitationState::Open if now >= self.expires_at => (Reason::InvitationExpired, "the invitation has lapsed"),
            InvitationState::Open => return Ok(()),
        };
        Err(Error::new(refusal.0, refusal.1).about("invitation", self.id))
    }
}
