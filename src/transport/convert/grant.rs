//! Grants, assignments and deltas.

use super::{instant, resource_key, resource_ref, timestamp};
use crate::domain::assignment::{Act, Assignment, Delta};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::id::{MembershipId, ServiceAccountId};
use crate::domain::place::{Place, Principal};
use crate::proto;
use crate::proto::assignment::Held as ProtoHeld;
use crate::proto::grant_delta::Act as ProtoAct;
use crate::proto::principal::Kind;

/// Writes a grant of an organization.
pub fn grant(grant: Grant) -> proto::Grant {
    let source = match grant.source {
        GrantSource::Manual => proto::GrantSource::Manual,
        GrantSource::Invitation => proto::GrantSource::Invitation,
    };
    let kind = match grant.principal {
        Principal::Membership(id) => Some(Kind::MembershipId(id.to_string())),
        Principal::ServiceAccount(id) => Some(Kind::ServiceAccountId(id.to_string())),
        Principal::Group(_) | Principal::Everyone | Principal::User(_) => None,
    };
    let held = match grant.held {
        Held::Role(role) => ProtoHeld::Role(role.to_string()),
        Held::AsMember => ProtoHeld::AsMember(proto::AsMember {}),
    };
    proto::Grant {
        id: grant.id.to_string(),
        principal: Some(proto::Principal { kind }),
        assignment: Some(proto::Assignment {
            resource: grant.place.resource().map(resource_ref),
            held: Some(held),
            expire_time: grant.expires_at.map(timestamp),
        }),
        source: source.into(),
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

fn principal(field: &str, principal: Option<&proto::Principal>) -> Result<Principal, Error> {
    match principal.and_then(|principal| principal.kind.as_ref()) {
        Some(Kind::MembershipId(id)) => {
            Ok(Principal::Membership(MembershipId::parse(&format!("{field}.membership_id"), id)?))
        }
        Some(Kind::ServiceAccountId(id)) => {
            Ok(Principal::ServiceAccount(ServiceAccountId::parse(&format!("{field}.service_account_id"), id)?))
        }
        None => Err(Error::invalid(field, Reason::FieldRequired, "is required")),
    }
}
