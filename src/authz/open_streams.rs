//! The streams that are open: what each must look at again, and the bell that wakes it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::id::{ApiKeyId, OrganizationId};

/// All open streams of this process. What ends a credential may end any of them.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    opened: AtomicU64,
    open: Mutex<HashMap<StreamId, OpenStream>>,
    /// Keys that were good in a history that is no more.
    lost_keys: ArcSwap<HashSet<ApiKeyId>>,
}

/// The inbox of a stream, and the API key that it was opened with, if it was one.
type OpenStream = (Arc<Inbox>, Option<ApiKeyId>);

impl OpenStreams {
    /// Numbers a new stream, which is woken from now on when its caller's credential may have ended.
    pub fn open(&self, inbox: &Arc<Inbox>, key: Option<ApiKeyId>) -> StreamId {
        let id = StreamId(self.opened.fetch_add(1, Ordering::Relaxed));
        self.open.lock().insert(id, (Arc::clone(inbox), key));
        id
    }

    /// Forgets a stream.
    pub fn close(&self, id: StreamId) {
        self.open.lock().remove(&id);
    }

    /// Wakes every stream, so that it looks at its caller's credential and reports how far the installation has come.
    pub fn wake_all(&self) {
        self.open.lock().values().for_each(|(inbox, _)| inbox.wake());
    }

    /// Returns the keys by which streams were opened.
    pub fn keys(&self) -> HashSet<ApiKeyId> {
        self.open.lock().values().filter_map(|(_, key)| *key).collect()
    }

    /// Takes in that keys which were good are not in the database: they are refused, and streams end with them.
    pub fn lose_keys(&self, keys: &HashSet<ApiKeyId>) {
        self.lost_keys.rcu(|lost| lost.union(keys).copied().collect::<HashSet<_>>());
        self.wake_all();
    }

    /// Takes in that a key is in the database.
    pub fn find_key(&self, key: ApiKeyId) {
        if self.is_key_lost(key) {
            self.lost_keys.rcu(|lost| lost.iter().copied().filter(|other| *other != key).collect::<HashSet<_>>());
        }
    }

    /// Returns whether a key was good in a history that is no more, and was not found since.
    pub fn is_key_lost(&self, key: ApiKeyId) -> bool {
        self.lost_keys.load().contains(&key)
    }
}

/// A number that no other stream of this process has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct StreamId(pub u64);

/// What one stream must look at again. Which of its subscriptions, the registry of the organization knows.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    marked: Mutex<Marked>,
    bell: Notify,
}

/// What has been marked since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Organizations in which an answer may have changed.
    pub organizations: BTreeSet<OrganizationId>,
    /// Organizations whose history was replaced.
    pub replaced: BTreeSet<OrganizationId>,
}

impl Inbox {
    /// Marks an organization in which an answer may have changed, and wakes the stream.
    pub fn mark(&self, organization: OrganizationId) {
        self.marked.lock().organizations.insert(organization);
        self.bell.notify_one();
    }

    /// Marks an organization of which the stream has sent answers from a history that is no more.
    pub fn mark_replaced(&self, organization: OrganizationId) {
        self.marked.lock().replaced.insert(organization);
        self.bell.notify_one();
    }

    /// Wakes the stream, so that it looks at its caller's credential.
    pub fn wake(&self) {
        self.bell.notify_one();
    }

    /// Takes what is marked.
    pub fn take(&self) -> Marked {
        std::mem::take(&mut *self.marked.lock())
    }

    /// Returns whether nothing is marked.
    pub fn is_empty(&self) -> bool {
        let marked = self.marked.lock();
        marked.organizations.is_empty() && marked.replaced.is_empty()
    }

    /// Waits until something was marked since the last wait.
    pub async fn wait(&self) {
        self.bell.notified().await;
    }
}
