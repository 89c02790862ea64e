//! Identifiers, one type for each noun, so that two of them cannot be swapped.

use std::fmt;

use uuid::Uuid;

use super::error::{Error, Reason};

/// Declares a newtype over a UUIDv7 made by the server.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $noun:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Parses the canonical, hyphenated form; `field` names the request field in the violation.
            ///
            /// # Errors
            /// - [`Reason::IdMalformed`] for anything else.
            pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
                parse_uuid(text)
                    .map(Self)
                    .ok_or_else(|| Error::invalid(field, Reason::IdMalformed, concat!("is not the id of ", $noun)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

ids! {
    /// A tenant.
    OrganizationId = "an organization";
    /// One person, global to the installation.
    UserId = "a user";
    /// A machine's principal.
    ServiceAccountId = "a service account";
    /// One credential of a service account.
    ApiKeyId = "an API key";
    /// One person's place in one organization.
    MembershipId = "a membership";
    /// A named set of memberships of one organization.
    GroupId = "a group";
    /// An offer of a membership.
    InvitationId = "an invitation";
    /// One fact that gives access.
    GrantId = "a grant";
    /// One signed-in presence of a user.
    SessionId = "a session";
    /// A bare address on a resource.
    ContactId = "a contact";
    /// What a caller names a mutation by, so that it happens once.
    RequestId = "a request";
}

/// Parses the 36 characters of a hyphenated UUID and nothing else.
fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let text = "018f4e9a-7b3c-7def-8a12-0123456789ab";
        assert!(UserId::parse("user_id", text).is_ok());
        for wrong in ["", "018f4e9a7b3c7def8a120123456789ab", "{018f4e9a-7b3c-7def-8a12-0123456789ab}", "x"] {
            assert!(UserId::parse("user_id", wrong).is_err(), "{wrong:?}");
        }
    }
}
