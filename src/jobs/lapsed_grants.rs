//! Sweeps grants that have expired.

use std::sync::Arc;
use std::time::Duration;

use crate::service::Services;
use crate::workers::{Job, Pulse};

/// About how often grants are looked for that have expired.
const PERIOD: Duration = Duration::from_mins(10);

/// Sweeps what expired more than a day ago, about every 10 minutes.
pub struct LapsedGrants(pub Arc<Services>);

impl Job for LapsedGrants {
    const NAME: &'static str = "grants";
    /// The pause is up to 15 minutes, and a turn sweeps up to a thousand organizations.
    const BOUND: Duration = Duration::from_mins(30);

    fn first_pause(&self) -> Duration {
        self.0.env.jittered(PERIOD)
    }

    async fn turn(&mut self, _pulse: &Pulse) -> Duration {
        if let Err(error) = self.0.sweep_grants().await {
            tracing::warn!(cause = error.cause(), reason = error.reason.name(), "expired grants could not be swept");
        }
        self.0.env.jittered(PERIOD)
    }
}
