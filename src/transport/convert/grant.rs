//! Grants, assignments and deltas.

use super::{instant, optional_key, resource_ref, timestamp};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::fields::all;
use crate::domain::grant::assignment::{Act, Assignment, Delta};
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
///
/// # Errors
/// - [`Reason::FieldRequired`], [`Reason::OutOfRange`], and what the resource is refused with.
pub fn assignment(field: &str, assignment: &proto::Assignment) -> Result<Assignment, Error> {
    let expire_time = format!("{field}.expire_time");
    let (resource, held, expires_at) = all((
        optional_key(&format!("{field}.resource"), assignment.resource.as_ref()),
        held(&format!("{field}.held"), assignment.held.as_ref()),
        assignment.expire_time.as_ref().map(|at| instant(&expire_time, at)).transpose(),
    ))?;
    Ok(Assignment { place: resource.map_or(Place::Organization, Place::Resource), held, expires_at })
}

/// Reads what is held.
///
/// # Errors
/// - [`Reason::FieldRequired`].
pub fn held(field: &str, held: Option<&ProtoHeld>) -> Result<Held, Error> {
    match held {
        Some(ProtoHeld::Role(role)) if !role.is_empty() => Ok(Held::Role(role.as_str().into())),
        Some(ProtoHeld::AsMember(_)) => Ok(Held::AsMember),
        Some(ProtoHeld::Role(_)) | None => Err(Error::invalid(field, Reason::FieldRequired, "is required")),
    }
}

/// Reads one delta.
///
/// # Errors
/// - [`Reason::FieldRequired`], and as [`principal`] and [`assignment`].
pub fn delta(field: &str, delta: &proto::GrantDelta) -> Result<Delta, Error> {
    let act = match &delta.act {
        Some(ProtoAct::Grant(it)) => assignment(&format!("{field}.grant"), it).map(|it| (Act::Grant, it)),
        Some(ProtoAct::Revoke(it)) => {
            let it = proto::Assignment { expire_time: None, ..it.clone() };
            assignment(&format!("{field}.revoke"), &it).map(|it| (Act::Revoke, it))
        }
        None => Err(Error::invalid(format!("{field}.act"), Reason::FieldRequired, "is required")),
    };
    let (principal, (act, assignment)) =
        all((principal(&format!("{field}.principal"), delta.principal.as_ref()), act))?;
    Ok(Delta { principal, assignment, act })
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
///
/// # Errors
/// - [`Reason::FieldRequired`], [`Reason::IdMalformed`].
pub fn installation_delta(field: &str, delta: &proto::InstallationGrantDelta) -> Result<InstallationDelta, Error> {
    use proto::installation_grant_delta::Subject as By;
    let subject = match &delta.subject {
        Some(By::UserId(id)) => UserId::parse(&format!("{field}.user_id"), id).map(Subject::User),
        Some(By::ServiceAccountId(id)) => {
            ServiceAccountId::parse(&format!("{field}.service_account_id"), id).map(Subject::ServiceAccount)
        }
        None => Err(Error::invalid(format!("{field}.subject"), Reason::FieldRequired, "is required")),
    };
    let role = match delta.role.as_str() {
        "" => Err(Error::invalid(format!("{field}.role"), Reason::FieldRequired, "is required")),
        role => Ok(role.into()),
    };
    let (subject, role) = all((subject, role))?;
    let place =
        if delta.product.is_empty() { Place::Installation } else { Place::Product(delta.product.as_str().into()) };
    Ok(InstallationDelta { subject, place, role, is_grant: !delta.revoke })
}
