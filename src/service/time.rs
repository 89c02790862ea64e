//! The time that this process has come to, put on record: a clock that is set back brings nothing back that has expired,
//! also over a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Services;
use crate::clock::World;
use crate::workers::Pulse;

/// About how often it is put on record.
const PERIOD: Duration = Duration::from_secs(10);
/// The same while the clock is behind: each start adds what may be unrecorded, and many must not lead far ahead.
const PERIOD_BEHIND: Duration = Duration::from_secs(1);

fn period(world: &World) -> Duration {
    if world.clock.health().is_behind() { PERIOD_BEHIND } else { PERIOD }
}

/// Returns by how much time may go on before it is put on record again: a pause is jittered up to one and a half of its
/// length, and the rest is for a machine that is busy.
#[must_use]
pub fn unrecorded(world: &World) -> Duration {
    period(world) * 2
}

/// Puts the time on record, about every 10 seconds until `stop`, and once more then. At the start `app` has done it.
pub async fn keep_time(services: Arc<Services>, pulse: Pulse, stop: CancellationToken) {
    let mut has_failed = false;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = services.world.clock.sleep(services.world.jittered(period(&services.world))) => {}
        }
        pulse.beat();
        match services.store.time_keep(services.world.now(), unrecorded(&services.world)).await {
            Ok(()) => has_failed = false,
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(cause = error.cause(), "the time could not be put on record");
                }
            }
        }
    }
}
