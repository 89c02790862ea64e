//! Checks and their answers.

use std::time::Duration;

use super::{duration, parse_token, resource_key};
use crate::authz::{Answer, Denial, Item, Question, Requirement};
use crate::domain::error::{Error, Reason};
use crate::domain::id::{ServiceAccountId, UserId};
use crate::domain::place::Subject;
use crate::domain::time::Timestamp;
use crate::proto;
use crate::proto::consistency::Requirement as ProtoRequirement;
use crate::proto::subject::Kind;

/// Longest name of a permission: a type, a dot and a verb.
pub const PERMISSION_BYTES_MAX: usize = 129;

/// Reads one item. What is wrong with it is its own answer.
pub fn item(item: &proto::CheckItem) -> Item {
    question(item).ok_or(Denial::Malformed)
}

/// Reads the items of a frame or a batch.
pub fn items(items: &[proto::CheckItem]) -> Vec<Item> {
    items.iter().map(item).collect()
}

fn question(item: &proto::CheckItem) -> Option<Question> {
    let subject = match item.subject.as_ref()?.kind.as_ref()? {
        Kind::UserId(id) => Subject::User(UserId::parse("", id).ok()?),
        Kind::ServiceAccountId(id) => Subject::ServiceAccount(ServiceAccountId::parse("", id).ok()?),
        Kind::AccessToken(_) => return None,
    };
    let target = match &item.resource {
        Some(reference) => Some(resource_key("", reference).ok()?),
        None => None,
    };
    if item.permission.is_empty() || item.permission.len() > PERMISSION_BYTES_MAX {
        return None;
    }
    Some(Question { subject, permission: item.permission.as_str().into(), target })
}

/// Reads how fresh an answer must be; `bound` is the oldest that the server allows.
///
/// # Errors
/// - [`Reason::OutOfRange`], [`Reason::RevisionInvalid`].
pub fn consistency(consistency: Option<&proto::Consistency>, bound: Duration) -> Result<Requirement, Error> {
    match consistency.and_then(|it| it.requirement.as_ref()) {
        None | Some(ProtoRequirement::Fresh(false)) => Ok(Requirement::MaxAge(None)),
        Some(ProtoRequirement::Fresh(true)) => Ok(Requirement::Fresh),
        Some(ProtoRequirement::AtLeast(text)) => Ok(Requirement::AtLeast(parse_token("consistency.at_least", text)?)),
        Some(ProtoRequirement::MaxAge(max_age)) => {
            let max_age = duration("consistency.max_age", max_age)?;
            if max_age < Duration::from_millis(1) || max_age > bound {
                let message = format!("must be from 1 ms to {} ms", bound.as_millis());
                return Err(Error::invalid("consistency.max_age", Reason::OutOfRange, message));
            }
            Ok(Requirement::MaxAge(Some(max_age)))
        }
    }
}

/// Writes an answer that was given `now`.
pub fn answer(answer: Answer, now: Timestamp) -> proto::Decision {
    match answer {
        Answer::Allowed { until } => proto::Decision {
            allowed: true,
            reason: proto::DecisionReason::Unspecified.into(),
            valid_for_ms: until.map(|until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX)),
        },
        Answer::Denied(denial) => {
            let reason = match denial {
                Denial::NotGranted => proto::DecisionReason::NotGranted,
                Denial::PermissionUnknown => proto::DecisionReason::PermissionUnknown,
                Denial::ResourceTypeUnknown => proto::DecisionReason::ResourceTypeUnknown,
                Denial::Malformed => proto::DecisionReason::ItemMalformed,
                Denial::Stale => proto::DecisionReason::IndexStale,
            };
            proto::Decision { allowed: false, reason: reason.into(), valid_for_ms: None }
        }
    }
}
