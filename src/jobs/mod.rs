//! The background jobs of a server: what each does in a turn stands with its noun, when it does it stands here, a file a job.
//! `workers` drives them. The next job is a file and a line in [`start`]. May import `service`, `mail`, `authz`, `clock`, `store`.

mod activity;
mod api_keys;
mod deliveries;
mod lapsed_grants;
mod log_poller;
mod oversight;
mod refusals;
mod removals;
mod time;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::time::unrecorded;
pub use deliveries::{Deliveries, Settings as DeliverySettings};
pub use log_poller::LogPoller;

use crate::service::Services;
use crate::workers::Workers;

/// The bound of a job whose pause and turn are short.
const SHORT_BOUND: Duration = Duration::from_mins(2);

/// Starts all of them, until `stop`.
pub fn start(
    workers: &Arc<Workers>,
    services: &Arc<Services>,
    deliveries: Deliveries,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let services = || Arc::clone(services);
    vec![
        workers.start(LogPoller(services().engine.poller()), stop),
        workers.start(deliveries, stop),
        workers.start(activity::Activity(services()), stop),
        workers.start(removals::Removals(services()), stop),
        workers.start(api_keys::ApiKeys(services()), stop),
        workers.start(refusals::Refusals(services()), stop),
        workers.start(lapsed_grants::LapsedGrants(services()), stop),
        workers.start(self::time::Time::new(services()), stop),
        tokio::spawn(oversight::oversee(Arc::clone(workers), services(), stop.clone())),
    ]
}
