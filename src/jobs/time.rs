//! Puts the time that this process has come to on record: a clock that is set back brings nothing back that has expired, also
//! over a restart.

use std::sync::Arc;
use std::time::Duration;

use super::SHORT_BOUND;
use crate::clock::Env;
use crate::service::Services;
use crate::workers::{Job, Pulse};

/// About how often it is put on record.
const PERIOD: Duration = Duration::from_secs(10);
/// The same while the clock is behind: each start adds what may be unrecorded, and many must not lead far ahead.
const PERIOD_BEHIND: Duration = Duration::from_secs(1);

/// Puts the time on record, about every 10 seconds, and once at the end. At the start `app` has done it.
pub struct Time {
    services: Arc<Services>,
    has_failed: bool,
}

impl Time {
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, has_failed: false }
    }

    fn pause(&self) -> Duration {
        self.services.env.jittered(period(&self.services.env))
    }
}

impl Job for Time {
    const NAME: &'static str = "time";
    const BOUND: Duration = SHORT_BOUND;
    const ENDS_WITH_A_TURN: bool = true;

    fn first_pause(&self) -> Duration {
        self.pause()
    }

    async fn turn(&mut self, _pulse: &Pulse) -> Duration {
        let env = &self.services.env;
        match self.services.store.time_keep(env.now(), unrecorded(env)).await {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(cause = error.cause(), "the time could not be put on record");
                }
            }
        }
        self.pause()
    }
}

fn period(env: &Env) -> Duration {
    if env.clock.health().is_behind() { PERIOD_BEHIND } else { PERIOD }
}

/// Returns by how much time may go on before it is put on record again: a pause is jittered up to one and a half of its
/// length, and the rest is for a machine that is busy.
#[must_use]
pub fn unrecorded(env: &Env) -> Duration {
    period(env) * 2
}
