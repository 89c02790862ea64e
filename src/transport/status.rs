//! The one exhaustive match from our error to a gRPC status.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use super::put_off;
use crate::domain::error::{Error, Kind, Reason};

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "guildhall";

/// Most violations that go over the wire: details stand in a trailer, and clients take 8 to 16 KiB of them.
const VIOLATIONS_MAX: usize = 20;
/// Most bytes of a name or path that a caller gave, for the same reason.
const NAME_BYTES_MAX: usize = 200;
/// Most bytes of a message.
const MESSAGE_BYTES_MAX: usize = 1_500;

/// Turns an error into a status with `ErrorInfo` and what its class calls for. A bug is logged here, once, under the
/// call's id; the caller gets a fixed text and that id. What was put off is logged once a second.
pub(super) fn status(error: &Error, rpc: &'static str, call_id: Uuid) -> Status {
    let code = code(error.kind());
    let message = match error.kind() {
        Kind::Internal => {
            tracing::error!(%call_id, rpc, cause = error.cause(), "a call failed by a bug");
            format!("internal error, call {call_id}")
        }
        Kind::Unavailable if error.reason != Reason::Draining => {
            put_off::log(error, rpc, call_id);
            error.message.clone()
        }
        _ => {
            tracing::debug!(%call_id, rpc, reason = error.reason.name(), "a call was refused");
            clipped(&error.message, MESSAGE_BYTES_MAX)
        }
    };
    let subject = error.subject.as_ref().map(|(kind, name)| (*kind, clipped(name, NAME_BYTES_MAX)));

    let metadata = error.metadata.iter().map(|(key, value)| ((*key).to_owned(), clipped(value, NAME_BYTES_MAX)));
    let metadata: HashMap<String, String> = metadata.collect();
    let mut details = ErrorDetails::with_error_info(error.reason.name(), DOMAIN, metadata);
    for violation in error.violations.iter().take(VIOLATIONS_MAX) {
        let message = clipped(&violation.message, NAME_BYTES_MAX);
        details.add_bad_request_violation(
            clipped(&violation.field, NAME_BYTES_MAX),
            format!("{}: {message}", violation.reason.name()),
        );
    }
    match (error.kind(), &subject) {
        (Kind::FailedPrecondition, subject) => {
            let subject = subject.as_ref().map(|(kind, name)| format!("{kind}/{name}")).unwrap_or_default();
            details.add_precondition_failure_violation(error.reason.name(), subject, &message);
        }
        (Kind::NotFound | Kind::AlreadyExists | Kind::PermissionDenied, Some((kind, name))) => {
            details.set_resource_info(*kind, name, "", &message);
        }
        (Kind::ResourceExhausted, subject) => {
            let name = subject.as_ref().map_or("", |(_, name)| name.as_str());
            details.add_quota_failure_violation(name, &message);
        }
        _ => {}
    }
    if let Some(delay) = error.retry_after {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code, message, details)
}

/// Returns the beginning of a text that would not fit.
fn clipped(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", &text[..end])
}

const fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::Aborted => Code::Aborted,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::error::Reason;
    use crate::proto::ErrorReason;

    #[test]
    fn every_reason_stands_in_the_contract_and_none_else() {
        for reason in Reason::ALL {
            let name = format!("ERROR_REASON_{}", reason.name());
            assert!(ErrorReason::from_str_name(&name).is_some(), "{name} is not in error_reason.proto");
        }
        let declared = (1..1_000).filter(|number| ErrorReason::try_from(*number).is_ok()).count();
        assert_eq!(declared, Reason::ALL.len(), "error_reason.proto has reasons that are never given");
    }
}
