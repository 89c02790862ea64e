//! Service accounts: machines as principals, and the keys they come with.

use super::id::{ApiKeyId, OrganizationId, ServiceAccountId};
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
}
