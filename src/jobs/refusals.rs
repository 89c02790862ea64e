//! Writes what was counted of refused tries.

use std::sync::Arc;
use std::time::Duration;

use super::SHORT_BOUND;
use crate::service::Services;
use crate::workers::{Job, Pulse};

/// How often it is written.
const PERIOD: Duration = Duration::from_secs(1);

/// Writes what was counted, once a second and once at the end; and logs in one line how many tries a limit refused.
pub struct Refusals(pub Arc<Services>);

impl Job for Refusals {
    const NAME: &'static str = "refusals";
    const BOUND: Duration = SHORT_BOUND;
    const ENDS_WITH_A_TURN: bool = true;

    fn first_pause(&self) -> Duration {
        PERIOD
    }

    async fn turn(&mut self, _pulse: &Pulse) -> Duration {
        if let Err(error) = self.0.write_refusals().await {
            tracing::warn!(cause = error.cause(), "refused sign-ins could not be written");
        }
        let limited = self.0.throttle.limited();
        if limited > 0 {
            tracing::warn!(limited, "tries were refused by a limit, of signing in above all");
        }
        PERIOD
    }
}
