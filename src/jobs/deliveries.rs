//! Carries deliveries out after their commits, each by the way of its kind, and sweeps what has lapsed.
//!
//! A delivery is made at least once: a process that dies between making it and noting so leaves it to be made again when
//! its lease has lapsed. Any number of replicas share the table, and each takes the kinds that it knows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;

use super::SHORT_BOUND;
use crate::clock::{Backoff, Env, Monotonic};
use crate::domain::error::Error;
use crate::mail::{SendError, Sender};
use crate::store::{Delivery, DeliveryKind, NewDelivery, Store};
use crate::workers::{Job, Pulse};

/// How deliveries are carried out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most deliveries taken, and made side by side, at a time; 16.
    pub batch: u64,
    /// How long a delivery is left to the replica that took it; longer than `timeout`; 60 s.
    pub lease: Duration,
    /// How long making one may take; 30 s.
    pub timeout: Duration,
    /// About how often the table is read unasked; 5 s.
    pub poll: Duration,
    /// About how long a delivery waits that could not be made; 1 s to 1 h.
    pub retry: Backoff,
    /// How old a delivery is when it is given up; 7 days.
    pub give_up_after: Duration,
    /// About how often what has lapsed is deleted; 1 h.
    pub sweep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: 16,
            lease: Duration::from_mins(1),
            timeout: Duration::from_secs(30),
            poll: Duration::from_secs(5),
            retry: Backoff { first: Duration::from_secs(1), most: Duration::from_hours(1) },
            give_up_after: Duration::from_hours(7 * 24),
            sweep: Duration::from_hours(1),
        }
    }
}

/// Carries out what is due, at once when a commit here has made a delivery, and otherwise about every 5 seconds.
pub struct Deliveries {
    store: Store,
    mails: Sender,
    env: Env,
    settings: Settings,
    next_sweep: Monotonic,
    /// Notified by a commit that has made a delivery.
    nudge: Arc<Notify>,
}

/// Why a delivery was not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Mail(#[from] SendError),
    #[error("it took too long")]
    TimedOut,
}

impl Job for Deliveries {
    const NAME: &'static str = "deliveries";
    const BOUND: Duration = SHORT_BOUND;

    fn first_pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Makes the deliveries that are due, as many as one turn takes. Where there were any there may be more, and one that was
    /// made may have put another in its place: then the next turn follows at once.
    async fn turn(&mut self, pulse: &Pulse) -> Duration {
        self.sweep().await;
        let job = &*self;
        let taken = match job.take().await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the deliveries could not be read");
                Vec::new()
            }
        };
        let is_busy = !taken.is_empty();
        let deliver = async |delivery| {
            job.deliver(delivery).await;
            pulse.beat();
        };
        futures_util::stream::iter(taken).for_each_concurrent(None, deliver).await;
        if is_busy { Duration::ZERO } else { self.env.jittered(self.settings.poll) }
    }

    async fn woken(&self) {
        self.nudge.notified().await;
    }
}

impl Deliveries {
    /// Returns the job; it does nothing but in its turns.
    #[must_use]
    pub fn new(store: Store, mails: Sender, env: Env, settings: Settings, nudge: Arc<Notify>) -> Self {
        let next_sweep = env.clock.monotonic();
        Self { store, mails, env, settings, next_sweep, nudge }
    }

    async fn take(&self) -> Result<Vec<Delivery>, Error> {
        let now = self.env.now();
        self.store.deliveries_due(&DeliveryKind::ALL, now, now.plus(self.settings.lease), self.settings.batch).await
    }

    /// Makes one delivery and notes what became of it. What fails is logged and tried again.
    async fn deliver(&self, taken: Delivery) {
        let noted = match self.make(&taken).await {
            Ok(follow_up) => self.store.delivery_end(taken.id, follow_up).await,
            Err(failure) => self.put_off(&taken, &failure).await,
        };
        if let Err(error) = noted {
            // Its lease lapses, then it is taken again.
            tracing::warn!(
                delivery = %taken.id,
                kind = ?taken.kind,
                error = &error as &dyn std::error::Error,
                "what became of a delivery could not be kept",
            );
        }
    }

    /// Makes a delivery by the way of its kind, and returns the one that follows upon it.
    async fn make(&self, taken: &Delivery) -> Result<Option<NewDelivery>, Failure> {
        let made = async {
            match taken.kind {
                DeliveryKind::Mail => self.mails.send(taken.id, &taken.sealed).await.map_err(Failure::Mail),
            }
        };
        tokio::select! {
            made = made => made,
            () = self.env.clock.sleep(self.settings.timeout) => Err(Failure::TimedOut),
        }
    }

    async fn put_off(&self, taken: &Delivery, failure: &Failure) -> Result<(), Error> {
        let Delivery { id, kind, attempts, .. } = *taken;
        let now = self.env.now();
        if now.since(taken.created_at) >= self.settings.give_up_after {
            tracing::error!(
                delivery = %id,
                ?kind,
                attempts,
                error = failure as &dyn std::error::Error,
                "a delivery was given up",
            );
            return self.store.delivery_end(id, None).await;
        }
        let delay = self.env.jittered(self.settings.retry.after(attempts));
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            delivery = %id,
            ?kind,
            attempts,
            delay_ms,
            error = failure as &dyn std::error::Error,
            "a delivery could not be made and was put off",
        );
        self.store.delivery_put_off(id, now.plus(delay)).await
    }

    async fn sweep(&mut self) {
        let now = self.env.clock.monotonic();
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = Monotonic(now.0.saturating_add(self.env.jittered(self.settings.sweep)));
        if let Err(error) = self.store.lapsed_delete().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what has lapsed could not be deleted");
        }
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("mails", &self.mails).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
