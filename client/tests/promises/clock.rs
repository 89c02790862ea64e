//! A clock that stands still until a test moves it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use guildhall_client::{Clock, Moment};
use tokio::sync::watch;

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<Moment>>);

impl ManualClock {
    /// Begins some way from the origin, so that nothing passes because it is zero.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Moment::new(Duration::from_secs(1_000)))))
    }

    pub fn advance(&self, duration: Duration) {
        self.0.send_modify(|now| *now = now.plus(duration));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let until = self.now().plus(duration);
        let mut now = self.0.subscribe();
        Box::pin(async move {
            // The clock lives as long as anybody waits on it.
            let _ = now.wait_for(|now| *now >= until).await;
        })
    }
}

/// Returns `count` milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
