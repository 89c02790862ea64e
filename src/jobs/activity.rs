//! Writes when users were last active.

use std::sync::Arc;
use std::time::Duration;

use super::SHORT_BOUND;
use crate::service::Services;
use crate::workers::{Job, Pulse};

/// About how long a note waits to be written.
const PERIOD: Duration = Duration::from_secs(20);

/// Writes what was noted, about every 20 seconds, and once at the end.
pub struct Activity(pub Arc<Services>);

impl Job for Activity {
    const NAME: &'static str = "activity";
    const BOUND: Duration = SHORT_BOUND;
    const ENDS_WITH_A_TURN: bool = true;

    fn first_pause(&self) -> Duration {
        self.0.env.jittered(PERIOD)
    }

    async fn turn(&mut self, _pulse: &Pulse) -> Duration {
        if let Err(error) = self.0.write_activity().await {
            tracing::warn!(cause = error.cause(), "when users were last active could not be written");
        }
        self.0.env.jittered(PERIOD)
    }
}
