//! Questions that are held, and the guard by which somebody holds one.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use crate::answer::Answer;
use crate::client::Guildhall;
use crate::question::Question;

mod entry;
mod table;

pub(crate) use entry::{Entry, Known, Lease};
pub(crate) use table::Table;

/// Holds a question: its answer is kept current by pushes. Dropped, it lets go; the last holder of a question
/// unsubscribes.
///
/// Holding the same question many times is one subscription.
pub struct Held {
    client: Guildhall,
    entry: Arc<Entry>,
    seen: Option<Answer>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("question", &self.entry.question)
            .field("answer", &self.answer())
            .finish_non_exhaustive()
    }
}

impl Held {
    pub(crate) fn new(client: Guildhall, entry: Arc<Entry>) -> Self {
        Self { client, entry, seen: None }
    }

    /// Returns the question.
    pub fn question(&self) -> &Question {
        &self.entry.question
    }

    /// Returns whether the subject may, at this moment: denies as long as nothing is known, and once the lease has run
    /// out.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.answer(), Some(Ok(())))
    }

    /// Returns the answer; `None` as long as nothing is known, and for what was allowed once the lease has run out.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        self.client.read(&self.entry)
    }

    /// Waits until there is an answer that counts, and gives it. Safe to drop while it waits.
    ///
    /// # Errors
    /// A denial is no failure: its reason is the answer.
    pub async fn answered(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.answer() {
                self.seen = Some(answer);
                return answer;
            }
            self.changed().await;
        }
    }

    /// Waits until the answer is another than this guard gave last from here or from [`Held::answered`], and gives it.
    /// At first that is none, so that the first answer is given too.
    ///
    /// `None` says that what was allowed counts no more, because the server has not been heard for the time of the
    /// lease: whoever keeps a session open by this guard ends it, or asks. Turns that follow each other closely may be
    /// given as one. Safe to drop while it waits.
    pub async fn changed(&mut self) -> Option<Answer> {
        loop {
            let turned = self.entry.turned.notified();
            let renewed = self.client.renewed().notified();
            tokio::pin!(turned, renewed);
            // From here on no turn is missed.
            turned.as_mut().enable();
            renewed.as_mut().enable();
            let answer = self.answer();
            if answer != self.seen {
                self.seen = answer;
                return answer;
            }
            let lapse = async {
                match (answer, self.client.counts_until(&self.entry)) {
                    (Some(Ok(())), Some(until)) => self.client.sleep_until(until).await,
                    _ => pending().await,
                }
            };
            tokio::select! {
                () = turned => {}
                () = renewed => {}
                () = lapse => {}
            }
        }
    }
}

impl Clone for Held {
    /// Holds the same question once more.
    fn clone(&self) -> Self {
        self.client.hold_again(&self.entry);
        Self { client: self.client.clone(), entry: Arc::clone(&self.entry), seen: self.seen }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.client.let_go(&self.entry);
    }
}
