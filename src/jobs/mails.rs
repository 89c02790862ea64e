//! Carries mails out of the outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::SHORT_BOUND;
use crate::mail::Worker;
use crate::workers::{Job, Pulse};

/// Sends what is due, at once when a mail was committed here, and otherwise about every 5 seconds.
#[derive(Debug)]
pub struct Mails {
    /// What does it.
    pub worker: Worker,
    /// Notified by a commit that put a mail into the outbox.
    pub nudge: Arc<Notify>,
}

impl Job for Mails {
    const NAME: &'static str = "mail";
    const BOUND: Duration = SHORT_BOUND;

    fn first_pause(&self) -> Duration {
        Duration::ZERO
    }

    async fn turn(&mut self, pulse: &Pulse) -> Duration {
        if self.worker.turn(pulse).await { Duration::ZERO } else { self.worker.pause() }
    }

    async fn woken(&self) {
        self.nudge.notified().await;
    }
}
