//! Looks for the API keys in use: one that went with a part of the history is refused.

use std::sync::Arc;
use std::time::Duration;

use super::SHORT_BOUND;
use crate::service::Services;
use crate::workers::{Job, Pulse};

/// About how often they are looked for.
const PERIOD: Duration = Duration::from_secs(10);
/// The same after a failure.
const PERIOD_FAILED: Duration = Duration::from_secs(1);

/// Looks for the keys at once when a history is found to be no more, and about every 10 seconds.
pub struct ApiKeys(pub Arc<Services>);

impl Job for ApiKeys {
    const NAME: &'static str = "keys";
    const BOUND: Duration = SHORT_BOUND;

    fn first_pause(&self) -> Duration {
        self.0.env.jittered(PERIOD)
    }

    async fn turn(&mut self, _pulse: &Pulse) -> Duration {
        let period = match self.0.look_for_keys().await {
            Ok(()) => PERIOD,
            Err(error) => {
                tracing::debug!(cause = error.cause(), "the keys in use could not be looked for");
                PERIOD_FAILED
            }
        };
        self.0.env.jittered(period)
    }

    async fn woken(&self) {
        self.0.engine.broken_off().await;
    }
}
