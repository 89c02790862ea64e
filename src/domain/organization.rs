//! Organizations: the tenants.

use std::sync::Arc;

use super::fact::OrganizationState;
use super::id::OrganizationId;
use super::time::Timestamp;

/// A tenant.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Organization {
    /// Made by the server.
    pub id: OrganizationId,
    /// For people.
    pub display_name: String,
    /// The catalog it follows.
    pub catalog: Arc<str>,
    /// Where it stands.
    pub state: OrganizationState,
    /// When it was made.
    pub created_at: Timestamp,
}
