//! How the server is reached.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::rt::Executor;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

/// A task of the client or of one of its connections.
pub type Spawned = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the client's tasks and those of its connections.
#[derive(Clone)]
pub(crate) struct Spawner(Arc<dyn Fn(Spawned) + Send + Sync>);

impl Spawner {
    pub(crate) fn new(spawn: impl Fn(Spawned) + Send + Sync + 'static) -> Self {
        Self(Arc::new(spawn))
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.0)(Box::pin(task));
    }
}

impl Executor<Spawned> for Spawner {
    fn execute(&self, task: Spawned) {
        (self.0)(task);
    }
}

/// How the server is reached, and as whom.
#[derive(Clone)]
pub(crate) struct Dial {
    /// For single checks. It reconnects by itself.
    pub(crate) calls: Channel,
    stream: Arc<dyn Fn() -> Channel + Send + Sync>,
    pub(crate) credential: Option<MetadataValue<Ascii>>,
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

impl Dial {
    pub(crate) fn new(
        calls: Channel,
        stream: Arc<dyn Fn() -> Channel + Send + Sync>,
        credential: Option<MetadataValue<Ascii>>,
    ) -> Self {
        Self { calls, stream, credential }
    }

    /// Returns a channel for a new stream. A connection of its own where that is possible: the next one may lead to
    /// another replica, which is what a draining one asks for.
    pub(crate) fn stream(&self) -> Channel {
        (self.stream)()
    }
}
