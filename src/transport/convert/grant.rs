//! Grants, assignments and deltas.

use super::{instant, resource_key, resource_ref, timestamp};
use crate::domain::assignment::{Act, Assignment, Delta};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::id::{GroupId, MembershipId, ServiceAccountId, UserId};
use crate::domain::place::{Place, Principal, Subject};
use crate::proto;
use crate::proto::assignment::Held as ProtoHeld;
use crate::proto::grant_delta::Act as ProtoAct;
use crate::proto::principal::Kind;
use crate::service::InstallationDelta;

/// Writes a grant of an organization.
pub fn grant(grant: Grant) -> proto::Grant {
    let source = match grant.source {
        GrantSource::Manual => proto::GrantSource::Manual,
        GrantSource::Invitation => proto::GrantSource::Invitation,
    };
    let Grant { place, held, expires_at, .. } = grant;
    proto::Grant {
        id: grant.id.to_string(),
        principal: Some(principal_out(grant.principal)),
        assignment: Some(assignment_out(Assignment { place, held, expires_at })),
        source: source.into(),
    }
}

/// Writes a principal of an organization.
pub fn principal_out(principal: Principal) -> proto::Principal {
    let kind = match principal {
        Principal::Membership(id) => Some(Kind::MembershipId(id.to_string())),
        Principal::ServiceAccount(id) => Some(Kind::ServiceAccountId(id.to_string())),
        Principal::Group(id) => Some(Kind::GroupId(id.to_string())),
        Principal::Everyone => Some(Kind::Everyone(proto::Everyone {})),
        Principal::User(_) => None,
    };
    proto::Principal { kind }
}

/// Writes what is held, and where.
pub fn assignment_out(assignment: Assignment) -> proto::Assignment {
    let held = match assignment.held {
        Held::Role(role) => ProtoHeld::Role(role.to_string()),
        Held::AsMember => ProtoHeld::AsMember(proto::AsMember {}),
    };
    proto::Assignment {
        resource: assignment.place.resource().map(resource_ref),
        held: Some(held),
        expire_time: assignment.expires_at.map(timestamp),
    }
}

/// Reads what is held, and where.
pub fn assignment(field: &str, assignment: &proto::Assignment) -> Result<Assignment, Error> {
    let mut violations = Violations::default();
    let place = match &assignment.resource {
        None => Some(Place::Organization),
        Some(reference) => violations.take(resource_key(&format!("{field}.resource"), reference))?.map(Place::Resource),
    };
    let held = match &assignment.held {
        Some(ProtoHeld::Role(role)) if !role.is_empty() => Some(Held::Role(role.as_str().into())),
        Some(ProtoHeld::AsMember(_)) => Some(Held::AsMember),
        Some(ProtoHeld::Role(_)) | None => {
            violations.add(format!("{field}.held"), Reason::FieldRequired, "is required");
            None
        }
    };
    let expires_at = match &assignment.expire_time {
        None => None,
        Some(at) => violations.take(instant(&format!("{field}.expire_time"), at))?,
    };
    violations.finish()?;
    match (place, held) {
        (Some(place), Some(held)) => Ok(Assignment { place, held, expires_at }),
        _ => Err(Error::internal("a field without a value or a violation")),
    }
}

/// Reads one delta.
pub fn delta(field: &str, delta: &proto::GrantDelta) -> Result<Delta, Error> {
    let mut violations = Violations::default();
    let principal = violations.take(principal(&format!("{field}.principal"), delta.principal.as_ref()))?;
    let act = match &delta.act {
        Some(ProtoAct::Grant(it)) => {
            violations.take(assignment(&format!("{field}.grant"), it))?.map(|it| (Act::Grant, it))
        }
        Some(ProtoAct::Revoke(it)) => {
            let it = proto::Assignment { expire_time: None, ..it.clone() };
            violations.take(assignment(&format!("{field}.revoke"), &it))?.map(|it| (Act::Revoke, it))
        }
        None => {
            violations.add(format!("{field}.act"), Reason::FieldRequired, "is required");
            None
        }
    };
    violations.finish()?;
    match (principal, act) {
        (Some(principal), Some((act, assignment))) => Ok(Delta { principal, assignment, act }),
        _ => Err(Error::internal("a field without a value or a violation")),
    }
}

/// Reads who is to hold or own something.
///
/// # Errors
/// - [`Reason::FieldRequired`], [`Reason::IdMalformed`].
pub fn principal(field: &str, principal: Option<&proto::Principal>) -> Result<Principal, Error> {
    match principal.and_then(|principal| principal.kind.as_ref()) {
        Some(Kind::MembershipId(id)) => {
            Ok(Principal::Membership(MembershipId::parse(&format!("{field}.membership_id"), id)?))
        }
        Some(Kind::ServiceAccountId(id)) => {
            Ok(Principal::ServiceAccount(ServiceAccountId::parse(&format!("{field}.service_account_id"), id)?))
        }
        Some(Kind::GroupId(id)) => Ok(Principal::Group(GroupId::parse(&format!("{field}.group_id"), id)?)),
        Some(Kind::Everyone(_)) => Ok(Principal::Everyone),
        None => Err(Error::invalid(field, Reason::FieldRequired, "is required")),
    }
}

/// Writes a grant above organizations.
pub fn installation_grant(grant: &Grant) -> proto::InstallationGrant {
    use proto::installation_grant::Subject as By;
    let subject = match grant.principal {
        Principal::User(id) => Some(By::UserId(id.to_string())),
        Principal::ServiceAccount(id) => Some(By::ServiceAccountId(id.to_string())),
        Principal::Membership(_) | Principal::Group(_) | Principal::Everyone => None,
    };
    let product = match &grant.place {
        Place::Product(name) => name.to_string(),
        Place::Installation | Place::Organization | Place::Resource(_) => String::new(),
    };
    let role = match &grant.held {
        Held::Role(name) => name.to_string(),
        Held::AsMember => String::new(),
    };
    proto::InstallationGrant { id: grant.id.to_string(), subject, product, role }
}

/// Reads one delta above organizations.
pub fn installation_delta(field: &str, delta: &proto::InstallationGrantDelta) -> Result<InstallationDelta, Error> {
    use proto::installation_grant_delta::Subject as By;
    let mut violations = Violations::default();
    let subject = match &delta.subject {
        Some(By::UserId(id)) => violations.take(UserId::parse(&format!("{field}.user_id"), id))?.map(Subject::User),
        Some(By::ServiceAccountId(id)) => {
            let id = violations.take(ServiceAccountId::parse(&format!("{field}.service_account_id"), id))?;
            id.map(Subject::ServiceAccount)
        }
        None => {
            violations.add(format!("{field}.subject"), Reason::FieldRequired, "is required");
            None
        }
    };
    if delta.role.is_empty() {
        violations.add(format!("{field}.role"), Reason::FieldRequired, "is required");
    }
    violations.finish()?;
    let subject = subject.ok_or_else(|| Error::internal("a field without a value or a violation"))?;
    let place =
        if delta.product.is_empty() { Place::Installation } else { Place::Product(delta.product.as_str().into()) };
    Ok(InstallationDelta { subject, place, role: delta.role.as_str().into(), is_grant: !delta.revoke })
}
