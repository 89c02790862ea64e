//! Finishes removals for which nobody is waited any more.

use std::sync::Arc;
use std::time::Duration;

use crate::service::Services;
use crate::workers::{Job, Pulse};

/// About how often removals are looked for whose grace has ended.
const PERIOD: Duration = Duration::from_secs(30);

/// Finishes removals, about every 30 seconds.
pub struct Removals(pub Arc<Services>);

impl Job for Removals {
    const NAME: &'static str = "removals";
    /// A turn finishes up to a hundred removals, each slice by slice.
    const BOUND: Duration = Duration::from_mins(10);

    fn first_pause(&self) -> Duration {
        self.0.env.jittered(PERIOD)
    }

    async fn turn(&mut self, _pulse: &Pulse) -> Duration {
        if let Err(error) = self.0.finish_removals().await {
            tracing::warn!(cause = error.cause(), reason = error.reason.name(), "removals could not be finished");
        }
        self.0.env.jittered(PERIOD)
    }
}
