//! The handle.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tonic::Status;
use tonic::transport::Endpoint;

use crate::answer::Answer;
use crate::builder::Builder;
use crate::call::{Checked, Freshness};
use crate::clock::Moment;
use crate::connect::Dial;
use crate::error::Error;
use crate::guard::{Call, GuardLayer};
use crate::held::{Entry, Held};
use crate::question::Question;
use crate::shared::Shared;

/// A client of Guildhall. Cheap to clone; all clones share one stream, and what they hold. With the last clone and the
/// last
/// [`Held`] its background task ends.
#[derive(Clone)]
pub struct Guildhall(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    dial: Dial,
    call_timeout: Duration,
    max_age: Option<Duration>,
    /// Dropped or sent, it ends the task.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl fmt::Debug for Guildhall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guildhall")
            .field("held", &self.held_count())
            .field("lease_left", &self.lease_left())
            .finish_non_exhaustive()
    }
}

impl Guildhall {
    /// Begins to build a client: the URI of a server, as in `http://127.0.0.1:50051`, or an [`Endpoint`] with settings
    /// of its own. What is wrong with it is told when it connects.
    pub fn builder<E>(endpoint: E) -> Builder
    where
        E: TryInto<Endpoint>,
        E::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Builder::new(endpoint)
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        dial: Dial,
        call_timeout: Duration,
        max_age: Option<Duration>,
        (stop, ended): (oneshot::Sender<()>, oneshot::Receiver<()>),
    ) -> Self {
        let (stop, ended) = (Mutex::new(Some(stop)), Mutex::new(Some(ended)));
        Self(Arc::new(Inner { shared, dial, call_timeout, max_age, stop, ended }))
    }

    /// Returns whether the subject may: from memory if an answer is held that counts, by a call otherwise.
    ///
    /// # Errors
    /// - [`Error::Call`]: there is no answer. Whoever cannot ask again denies.
    pub async fn is_allowed(&self, question: &Question) -> Result<bool, Error> {
        self.ask(question).await.map(|answer| answer.is_ok())
    }

    /// Answers `question`: from memory if an answer is held that counts, by a call otherwise.
    ///
    /// # Errors
    /// - [`Error::Call`]: there is no answer. Whoever cannot ask again denies.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Error> {
        if let Some(answer) = self.held(question) {
            return Ok(answer);
        }
        self.0.shared.table.hold_on_use(question);
        self.check(question, Freshness::Default).await.map(|checked| checked.answer)
    }

    /// Asks the server, and tells at which revision it answered. Held answers are not looked at.
    ///
    /// A call that is answered UNAVAILABLE is made again, twice at the most and within [`Builder::call_timeout`].
    ///
    /// # Errors
    /// - [`Error::Call`], with the server's status; `DEADLINE_EXCEEDED` if it did not answer in time.
    pub async fn check(&self, question: &Question, freshness: Freshness<'_>) -> Result<Checked, Error> {
        let inner = &self.0;
        let freshness = match (freshness, inner.max_age) {
            (Freshness::Default, Some(age)) => Freshness::MaxAge(age),
            (freshness, _) => freshness,
        };
        crate::call::check(&inner.dial, &*inner.shared.clock, inner.call_timeout, question, freshness).await
    }

    /// Returns whether the subject may, if an answer is held that counts. Takes no lock that is held for long and never
    /// waits: tens of nanoseconds for a question that is asked often, some hundreds for one of very many.
    ///
    /// `None`: the question is not held, not answered yet, or was allowed and the lease has run out. Ask, or deny.
    #[inline]
    #[must_use]
    pub fn held_answer(&self, question: &Question) -> Option<bool> {
        self.held(question).map(|answer| answer.is_ok())
    }

    /// As [`Guildhall::held_answer`], with the reason of a denial.
    #[inline]
    #[must_use]
    pub fn held(&self, question: &Question) -> Option<Answer> {
        let shared = &*self.0.shared;
        let read = |entry: &Arc<Entry>| {
            entry.used();
            entry.read(&shared.lease, &*shared.clock)
        };
        shared.table.with(question, read).flatten()
    }

    /// Holds `question` as long as the guard lives: its answer is kept current by pushes.
    ///
    /// # Errors
    /// - [`Error::QuestionMalformed`] if the organization is no id, or a text is longer than 4096 bytes.
    /// - [`Error::HeldExhausted`] if as many are held as [`Builder::capacity`] says.
    pub fn hold(&self, question: &Question) -> Result<Held, Error> {
        let entry = self.0.shared.table.hold(question)?;
        Ok(Held::new(self.clone(), entry))
    }

    /// Guards a tonic service: `ask` says what a call needs (`None`: nothing, as for health checks) or refuses it, and
    /// only what is allowed gets to the service. See [`GuardLayer`].
    pub fn guard<F>(&self, ask: F) -> GuardLayer<F>
    where
        F: Fn(&Call<'_>) -> Result<Option<Question>, Status> + Clone,
    {
        GuardLayer::new(self.clone(), ask)
    }

    /// Counts the questions that are held.
    pub fn held_count(&self) -> usize {
        self.0.shared.table.count()
    }

    /// Tells for how long what is held would be trusted if the server were heard no more: zero without a stream. For
    /// metrics.
    pub fn lease_left(&self) -> Duration {
        self.0.shared.lease.get().since(self.0.shared.clock.now())
    }

    /// Ends the background task and waits for its end. What is held is no longer kept current, and what was allowed
    /// counts until the lease has run out.
    pub async fn close(&self) {
        drop(self.0.stop.lock().take());
        let ended = self.0.ended.lock().take();
        if let Some(ended) = ended {
            // An error says that the task has ended otherwise: its runtime is gone.
            let _ = ended.await;
        }
    }

    pub(crate) fn read(&self, entry: &Entry) -> Option<Answer> {
        entry.read(&self.0.shared.lease, &*self.0.shared.clock)
    }

    pub(crate) fn counts_until(&self, entry: &Entry) -> Option<Moment> {
        entry.counts_until(&self.0.shared.lease)
    }

    pub(crate) fn renewed(&self) -> &Notify {
        &self.0.shared.renewed
    }

    pub(crate) async fn sleep_until(&self, moment: Moment) {
        let clock = &self.0.shared.clock;
        clock.sleep(moment.since(clock.now())).await;
    }

    pub(crate) fn hold_again(&self, entry: &Arc<Entry>) {
        self.0.shared.table.hold_again(entry);
    }

    pub(crate) fn let_go(&self, entry: &Arc<Entry>) {
        self.0.shared.table.release(entry);
    }
}
