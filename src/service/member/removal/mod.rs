//! Removing a member, or leaving: previewed, decided, acknowledged by the product, and then for good.
//!
//! Access is gone with the first commit. What the member owned is cleared in slices, and the membership ends last, once
//! nobody is waited for: here at once if there is nobody, else by [`keep_removals`].

mod feed;
mod finish;
mod inventory;
mod remove;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::Member;
use crate::domain::removal::{Assets, Inventory};

/// Asks for a member to be removed.
#[derive(Clone, Debug)]
pub struct RemoveMember {
    /// Whose.
    pub organization: OrganizationId,
    /// Who; the caller if nobody is named, who leaves.
    pub membership: Option<MembershipId>,
    /// What becomes of what they own.
    pub assets: Assets,
    /// That of the preview; empty asks nothing.
    pub etag: String,
    /// Why; may be empty.
    pub reason: String,
}

/// What a removal would touch.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Who, as they stand.
    pub member: Member,
    /// What.
    pub inventory: Inventory,
    /// Stands for all of it.
    pub etag: String,
}

/// A member who is removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Removed {
    /// As they last stood.
    pub member: Member,
    /// Who of the product has yet to acknowledge.
    pub awaiting: Vec<Arc<str>>,
    /// Whether the account went with the membership.
    pub user_deleted: bool,
}
