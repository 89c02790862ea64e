//! The time that this process has come to, put on record: a clock that is set back brings nothing back that has expired,
//! also over a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Services;
use crate::clock::UNRECORDED;
use crate::workers::Pulse;

/// About how often it is put on record.
const PERIOD: Duration = Duration::from_secs(10);

// A pause is jittered up to one and a half of it.
const _: () = assert!(PERIOD.as_millis() * 3 / 2 < UNRECORDED.as_millis());

/// Puts the time on record, about every 10 seconds until `stop`, and once more then. At the start `app` has done it.
pub async fn keep_time(services: Arc<Services>, pulse: Pulse, stop: CancellationToken) {
    let mut has_failed = false;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = services.world.clock.sleep(services.world.jittered(PERIOD)) => {}
        }
        pulse.beat();
        match services.store.time_keep(services.world.now()).await {
            Ok(()) => has_failed = false,
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(cause = error.cause(), "the time could not be put on record");
                }
            }
        }
    }
}
