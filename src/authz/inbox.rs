//! What one stream must look at again, and the bell that wakes it.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::id::OrganizationId;

/// What one stream must look at again. Which of its subscriptions, the registry of the organization knows.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    marked: Mutex<Marked>,
    bell: Notify,
}

/// What has been marked since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Organizations in which something may have turned.
    pub organizations: BTreeSet<OrganizationId>,
    /// Organizations whose history was replaced.
    pub replaced: BTreeSet<OrganizationId>,
}

impl Inbox {
    /// Tells that something may have turned, and wakes the stream.
    pub fn mark(&self, organization: OrganizationId) {
        self.marked.lock().organizations.insert(organization);
        self.bell.notify_one();
    }

    /// Tells that what was said about an organization came from a history that is no more.
    pub fn mark_replaced(&self, organization: OrganizationId) {
        self.marked.lock().replaced.insert(organization);
        self.bell.notify_one();
    }

    /// Wakes the stream, so that it looks at its caller's credential.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Takes what is marked.
    pub fn take(&self) -> Marked {
        std::mem::take(&mut *self.marked.lock())
    }

    /// Says whether nothing is marked.
    pub fn is_empty(&self) -> bool {
        let marked = self.marked.lock();
        marked.organizations.is_empty() && marked.replaced.is_empty()
    }

    /// Waits until something was marked since the last wait.
    pub async fn wait(&self) {
        self.bell.notified().await;
    }
}

/// A number that no other stream of this process has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct StreamId(pub u64);
