//! The log as it is followed: what an index is loaded from, what moved since, and a look at one organization that stands still.

pub(super) mod polling;
mod snapshot;
mod source;

pub use snapshot::Snapshot;
