//! Creating members without inviting them: PENDING, and able to hold grants at once (CE-03 to CE-06).

use serde::{Deserialize, Serialize};

use super::external_id_taken;
use crate::domain::access::{Actor, plan_joining};
use crate::domain::catalog::PermissionId;
use crate::domain::email::Email;
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::fact::{Grant, GrantSource, MemberState};
use crate::domain::grant::assignment::Assignment;
use crate::domain::grant::cardinality;
use crate::domain::id::MembershipId;
use crate::domain::member::{Member, must_be_free};
use crate::domain::metadata::Metadata;
use crate::domain::place::{Principal, resources_among};
use crate::service::seats::SeatsBefore;
use crate::service::{Authorize, Mutation};
use crate::store::Tx;

/// Creates members, all or none.
///
/// # Errors
/// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::NotFound`].
/// - [`Reason::MemberExists`], [`Reason::InvitationPending`], [`Reason::NameTaken`].
/// - [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], under the path of the member.
/// - [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`], [`Reason::SeatsExhausted`].
#[derive(Debug)]
pub struct CreateMembers {
    /// Who; no address and no external id stands twice.
    pub members: Vec<NewMember>,
    /// Returns how the path of the violations of one begins, as in `requests[3].`.
    pub path: fn(usize) -> String,
}

/// A member to be created.
#[derive(Debug)]
pub struct NewMember {
    /// Where they can be reached.
    pub email: Email,
    /// What they are called; may be empty.
    pub display_name: String,
    /// The product's own id, if it has one.
    pub external_id: Option<String>,
    /// What the product keeps with it.
    pub metadata: Metadata,
    /// What they will hold.
    pub assignments: Vec<Assignment>,
}

/// Members that were created, and what they hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedMembers {
    /// PENDING, in the order of the request.
    pub members: Vec<Member>,
    /// What they hold from the day they come.
    pub grants: Vec<Grant>,
    /// Whether the caller may see the private part of their metadata.
    pub shows_private: bool,
}

impl Authorize for CreateMembers {}

impl Mutation for CreateMembers {
    type Output = CreatedMembers;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<CreatedMembers, Error> {
        let places =
            resources_among(self.members.iter().flat_map(|new| &new.assignments).map(|assignment| &assignment.place));
        let actor = tx.reads().widened(actor, &places).await?;
        let (mut members, mut plans) = (Vec::new(), Vec::new());
        for (index, new) in self.members.iter().enumerate() {
            let id: MembershipId = tx.id();
            let plan = plan_joining(&actor, Principal::Membership(id), &new.assignments, &(self.path)(index))?;
            members.push(Member {
                external_id: new.external_id.clone(),
                metadata: new.metadata.clone(),
                roles: plan.role_names(),
                ..Member::pending(id, &new.email, new.display_name.clone(), tx.now())
            });
            plans.push(plan);
        }
        self.must_be_new(tx).await?;

        let seats = SeatsBefore::of_members(tx, &actor.catalog, &[], &places).await?;
        let emails = self.members.iter().map(|new| new.email.clone());
        let rows: Vec<(Member, Email)> = members.iter().cloned().zip(emails).collect();
        tx.memberships_insert(&rows).await?;
        let (before, mut grants) = (tx.counters().clone(), Vec::new());
        for (principal, assignment) in plans.iter().flat_map(|plan| &plan.granted) {
            let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Manual);
            tx.counters().count(&actor.catalog, &grant, MemberState::Pending, 1);
            grants.push(grant);
        }
        tx.grants_insert(&grants).await?;
        cardinality::judge(&actor.catalog, &before, tx.counters())?;
        seats.must_suffice(tx, &actor.catalog).await?;
        Ok(CreatedMembers { members, grants, shows_private: actor.holds(PermissionId::MEMBER_UPDATE, None) })
    }
}

impl CreateMembers {
    /// Ensures that nobody is here under the addresses and external ids.
    async fn must_be_new(&self, tx: &Tx) -> Result<(), Error> {
        let emails: Vec<Email> = self.members.iter().map(|new| new.email.clone()).collect();
        let external_ids: Vec<String> = self.members.iter().filter_map(|new| new.external_id.clone()).collect();
        let found = tx.reads().memberships_under(&emails, &external_ids).await?;
        let invited = tx.reads().invited_among(&found).await?;
        for member in &found {
            let email = Email::parse("email", &member.email)?;
            if emails.iter().any(|other| other.key() == email.key()) {
                must_be_free(Some(member), &invited)?;
            }
        }
        // Who is left has one of the external ids.
        found.first().map_or(Ok(()), |member| Err(external_id_taken(member)))
    }
}
