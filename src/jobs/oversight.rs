//! Looks at the workers, and at whether anything is allowed at all.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::Services;
use crate::workers::Workers;

/// How often the workers are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Logs once what the readiness detail says until it is over: that a task makes no progress, that nothing is allowed.
pub async fn oversee(workers: Arc<Workers>, services: Arc<Services>, stop: CancellationToken) {
    let clock = &services.env.clock;
    let (mut looked_at, mut was_stale) = (clock.monotonic(), false);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(LOOK_PERIOD) => {}
        }
        let now = clock.monotonic();
        let has_slept = now.since(std::mem::replace(&mut looked_at, now)) > LOOK_PERIOD * 4;
        if has_slept {
            // The machine was suspended or had no time for anybody: let the others have a turn first.
            continue;
        }
        workers.tell();
        let is_stale = services.engine.is_stale();
        match (std::mem::replace(&mut was_stale, is_stale), is_stale) {
            (false, true) => tracing::error!(
                log_age = ?services.engine.log_age(),
                round_age = ?services.engine.round_age(),
                "nothing is allowed: too long nothing was proven current",
            ),
            (true, false) => tracing::info!("memory is proven current again"),
            _ => {}
        }
    }
}
