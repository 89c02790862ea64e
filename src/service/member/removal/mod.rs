//! Removing a member, or leaving: previewed, decided, acknowledged by the product, and then for good.
//!
//! Access is gone with the first commit. What the member owned is cleared in slices, and the membership ends last, once
//! nobody is waited for: here at once if there is nobody, else by `jobs::removals`.

mod feed;
mod finish;
mod inventory;
mod remove;

pub use feed::{AcknowledgeRemoval, ListRemovals, Removals};
pub use inventory::{PreviewRemoval, RemovalPreview};
pub use remove::{RemoveMember, Removed};
