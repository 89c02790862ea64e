//! Members: found, made, edited, listed, and when they were last active; and the organizations they are in.

mod activity;
mod bulk;
mod editing;
mod listing;
mod making;
mod mine;
mod organizations;
mod removal;
mod texts;

use std::time::Duration;

use guildhall::clock::Clock;

use crate::harness::TestApp;

/// Tells an instant by the server's clock.
fn later(app: &TestApp, duration: Duration) -> prost_types::Timestamp {
    let micros = app.clock.now().plus(duration).as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("less than a second");
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}
