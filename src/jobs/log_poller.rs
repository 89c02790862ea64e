//! Keeps memory current with the log.

use std::time::Duration;

use crate::authz::Poller;
use crate::workers::{Job, Pulse};

/// Polls the log, about every 250 ms.
#[derive(Debug)]
pub struct LogPoller(pub Poller);

impl Job for LogPoller {
    const NAME: &'static str = "log";
    /// Sixty pauses: what is older than the staleness bound allows nothing any more.
    const BOUND: Duration = Duration::from_secs(15);

    fn first_pause(&self) -> Duration {
        self.0.pause()
    }

    async fn turn(&mut self, pulse: &Pulse) -> Duration {
        self.0.turn(pulse).await;
        self.0.pause()
    }
}
