//! What is answered.

use std::fmt;

use crate::proto::{self, DecisionReason};

/// An answer: it may, or why not.
pub type Answer = Result<(), DenialReason>;

/// Why something is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DenialReason {
    /// No grant allows it; or a newer server tells a reason that this client does not know.
    NotGranted,
    /// The catalog declares no such permission.
    PermissionUnknown,
    /// The catalog declares no such resource type.
    ResourceTypeUnknown,
    /// The permission is of another type, none of which can stand under the target.
    PermissionNotAskedHere,
    /// The question lacks a field, or an id in it is malformed.
    ItemMalformed,
    /// The access token that is the subject is none of this installation.
    TokenInvalid,
    /// The access token that is the subject has expired.
    TokenExpired,
    /// The session of the access token that is the subject has ended.
    SessionEnded,
    /// The service that asks may not be told: it lost its right to check in the organization, or no longer sees it.
    Refused,
}

impl DenialReason {
    /// Returns all of them.
    const ALL: [Self; 9] = [
        Self::NotGranted,
        Self::PermissionUnknown,
        Self::ResourceTypeUnknown,
        Self::PermissionNotAskedHere,
        Self::ItemMalformed,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::SessionEnded,
        Self::Refused,
    ];

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::NotGranted)
    }

    /// Returns whether the access token that is the subject is the reason: the end user has to sign in again.
    pub fn is_about_token(self) -> bool {
        matches!(self, Self::TokenInvalid | Self::TokenExpired | Self::SessionEnded)
    }
}

impl fmt::Display for DenialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => "no grant allows it",
            Self::PermissionUnknown => "the catalog declares no such permission",
            Self::ResourceTypeUnknown => "the catalog declares no such resource type",
            Self::PermissionNotAskedHere => "the permission is not asked of such a target",
            Self::ItemMalformed => "the question is malformed",
            Self::TokenInvalid => "the access token is not valid",
            Self::TokenExpired => "the access token has expired",
            Self::SessionEnded => "the session has ended",
            Self::Refused => "the asking service may not be told",
        })
    }
}

/// Reads a decision; `None` if it says that there is none: what would be allowed is not proven fresh enough.
pub(crate) fn read(decision: &proto::Decision) -> Option<Answer> {
    let denial = match decision.reason() {
        _ if decision.allowed => return Some(Ok(())),
        DecisionReason::IndexStale => return None,
        DecisionReason::Unspecified | DecisionReason::NotGranted => DenialReason::NotGranted,
        DecisionReason::PermissionUnknown => DenialReason::PermissionUnknown,
        DecisionReason::ResourceTypeUnknown => DenialReason::ResourceTypeUnknown,
        DecisionReason::PermissionNotAskedHere => DenialReason::PermissionNotAskedHere,
        DecisionReason::ItemMalformed => DenialReason::ItemMalformed,
        DecisionReason::TokenInvalid => DenialReason::TokenInvalid,
        DecisionReason::TokenExpired => DenialReason::TokenExpired,
        DecisionReason::SessionEnded => DenialReason::SessionEnded,
    };
    Some(Err(denial))
}
