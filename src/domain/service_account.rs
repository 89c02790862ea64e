//! Service accounts: machines as principals, and the keys they come with.

use super::error::{Error, Reason};
use super::id::{ApiKeyId, OrganizationId, ServiceAccountId};
use super::place::ResourceKey;
use super::time::Timestamp;

/// A machine's principal.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ServiceAccount {
    /// Made by the server.
    pub id: ServiceAccountId,
    /// The organization it belongs to; none for those of the installation.
    pub organization: Option<OrganizationId>,
    /// For people.
    pub display_name: String,
    /// Whether it may do anything.
    pub is_enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The resource that it lives and ends with, if it is bound to one (AX-27).
    #[serde(default)]
    pub bound_to: Option<ResourceKey>,
}

/// A credential of a service account, without its secret.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ApiKey {
    /// Made by the server.
    pub id: ApiKeyId,
    /// Whose it is.
    pub service_account: ServiceAccountId,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

impl ServiceAccount {
    /// Ensures that the account lives by itself, and is not bound to a resource.
    ///
    /// # Errors
    /// - [`Reason::ServiceAccountBound`].
    pub fn must_be_free(&self) -> Result<(), Error> {
        if self.bound_to.is_none() {
            return Ok(());
        }
        let message = "the account is bound to a resource: it has no keys, and ends with it";
        Err(Error::new(Reason::ServiceAccountBound, message).about("service_account", self.id))
    }
}

impl ApiKey {
    /// Ensures that the key is good still.
    ///
    /// # Errors
    /// - [`Reason::ApiKeyState`].
    pub fn must_be_good(&self, now: Timestamp) -> Result<(), Error> {
        if self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at) {
            return Ok(());
        }
        Err(Error::new(Reason::ApiKeyState, "the key was revoked or has expired").about("api_key", self.id))
    }
}
