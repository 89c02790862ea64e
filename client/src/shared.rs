//! What the handles and the stream's task share.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::held::{Lease, Table};

/// What the handles and the stream's task share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: Table,
    /// Of the current stream.
    pub(crate) lease: Lease,
    /// Rung when a lease begins again after it has lapsed, or ends earlier than it was to.
    pub(crate) renewed: Notify,
    pub(crate) clock: Arc<dyn Clock>,
}
