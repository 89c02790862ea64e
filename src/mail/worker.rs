//! Carries mails from the outbox to the transport, turn by turn.
//!
//! A mail is sent at least once: whoever dies between sending it and saying so leaves it to be sent again when its
//! lease has lapsed. Any number of workers share an outbox.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use uuid::Uuid;

use super::message::{Mail, MailError};
use super::template;
use super::transport::{MailTransport, TransportError};
use crate::auth::Sealer;
use crate::clock::{Backoff, Monotonic, World};
use crate::domain::error::Error;
use crate::store::{OutboxMail, Store};
use crate::workers::Pulse;

/// How the worker goes about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most mails taken, and sent side by side, at a time; 16.
    pub batch: u64,
    /// How long a mail that was taken is left to whoever took it; longer than `send_timeout`; 60 s.
    pub lease: Duration,
    /// How long sending one mail may take; 30 s.
    pub send_timeout: Duration,
    /// About how often the outbox is looked at unasked; 5 s.
    pub poll: Duration,
    /// About how long a mail waits that could not be sent; 1 s to 1 h.
    pub retry: Backoff,
    /// How old a mail is when it is given up; 7 days.
    pub give_up_after: Duration,
    /// About how often what has lapsed is deleted; 1 h.
    pub sweep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: 16,
            lease: Duration::from_mins(1),
            send_timeout: Duration::from_secs(30),
            poll: Duration::from_secs(5),
            retry: Backoff { first: Duration::from_secs(1), most: Duration::from_hours(1) },
            give_up_after: Duration::from_hours(7 * 24),
            sweep: Duration::from_hours(1),
        }
    }
}

/// Sends what is in the outbox, and sweeps the tables of what has lapsed.
pub struct Worker {
    store: Store,
    sealer: Sealer,
    transport: MailTransport,
    world: World,
    settings: Settings,
    next_sweep: Monotonic,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the mail in the outbox is of no use")]
    Mail(#[from] MailError),
    #[error("sending the mail")]
    Transport(#[from] TransportError),
    #[error("sending the mail took too long")]
    TimedOut,
}

impl Worker {
    /// Returns a worker; it does nothing but in its [turns](Self::turn).
    #[must_use]
    pub fn new(store: Store, sealer: Sealer, transport: MailTransport, world: World, settings: Settings) -> Self {
        let next_sweep = world.clock.monotonic();
        Self { store, sealer, transport, world, settings, next_sweep }
    }

    /// Sends the mails that are due, as many as one turn takes, and returns whether there were any: then there may be more, and
    /// a mail that was sent may have put one that reports it in its place. What fails is logged and tried again.
    pub async fn turn(&mut self, pulse: &Pulse) -> bool {
        self.sweep().await;
        let worker = &*self;
        let taken = match worker.take().await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the outbox could not be read");
                Vec::new()
            }
        };
        let is_busy = !taken.is_empty();
        let deliver = async |mail| {
            worker.deliver(mail).await;
            pulse.beat();
        };
        futures_util::stream::iter(taken).for_each_concurrent(None, deliver).await;
        is_busy
    }

    /// Returns how long to wait, about, before the outbox is read again.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.world.jittered(self.settings.poll)
    }

    async fn take(&self) -> Result<Vec<OutboxMail>, Error> {
        let now = self.world.now();
        self.store.mails_due(now, now.plus(self.settings.lease), self.settings.batch).await
    }

    /// Sends one mail and says so in the outbox.
    async fn deliver(&self, taken: OutboxMail) {
        let noted = match self.send(&taken).await {
            Ok(mail) => {
                let follow_up = mail.follow_up().map(|mail| (self.world.id(), mail.seal(&self.sealer, &self.world)));
                self.store.mail_sent(taken.id, follow_up).await
            }
            Err(failure) => self.put_off(&taken, &failure).await,
        };
        if let Err(error) = noted {
            // Its lease lapses, then it is taken again.
            tracing::warn!(
                mail = %taken.id,
                error = &error as &dyn std::error::Error,
                "what became of a mail could not be kept",
            );
        }
    }

    async fn send(&self, taken: &OutboxMail) -> Result<Mail, Failure> {
        let mail = Mail::open(&self.sealer, &taken.sealed)?;
        let letter = template::render(&mail);
        tokio::select! {
            sent = self.transport.send(taken.id, &letter) => sent?,
            () = self.world.clock.sleep(self.settings.send_timeout) => return Err(Failure::TimedOut),
        }
        Ok(mail)
    }

    async fn put_off(&self, taken: &OutboxMail, failure: &Failure) -> Result<(), Error> {
        let id: Uuid = taken.id;
        let attempts = taken.attempts;
        let now = self.world.now();
        if now.since(taken.created_at) >= self.settings.give_up_after {
            tracing::error!(mail = %id, attempts, error = failure as &dyn std::error::Error, "a mail was given up");
            return self.store.mail_sent(id, None).await;
        }
        let delay = self.world.jittered(self.settings.retry.after(attempts));
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            mail = %id,
            attempts,
            delay_ms,
            error = failure as &dyn std::error::Error,
            "a mail could not be sent and was put off",
        );
        self.store.mail_put_off(id, now.plus(delay)).await
    }

    async fn sweep(&mut self) {
        let now = self.world.clock.monotonic();
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = Monotonic(now.0.saturating_add(self.world.jittered(self.settings.sweep)));
        if let Err(error) = self.store.lapsed_delete().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what has lapsed could not be deleted");
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("transport", &self.transport).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::auth::{InstallationKey, Purpose};
    use crate::clock::SystemEntropy;
    use crate::clock::testing::ManualClock;
    use crate::domain::time::Timestamp;
    use crate::store;
    use crate::workers::drive;

    struct Post {
        clock: Arc<ManualClock>,
        world: World,
        store: Store,
        directory: tempfile::TempDir,
    }

    impl Post {
        async fn open() -> Self {
            // What is longer than a poll is the time that sending may take.
            let clock = ManualClock::counting(Duration::from_secs(10));
            let world = World { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
            let directory = tempfile::tempdir().expect("a directory");
            let settings = store::Settings {
                url: format!("sqlite://{}", directory.path().join("guildhall.db").display()).into(),
                beginning: store::Beginning::Anywhere,
                connections_max: 2,
                patience: Duration::from_secs(5),
                write_wait: Duration::from_secs(5),
                sqlite_hook: None,
            };
            let store = Store::open(&settings, world.clone()).await.expect("a database");
            Self { clock, world, store, directory }
        }

        fn sealer() -> Sealer {
            let key = InstallationKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
            Sealer::new(&key.expect("a key"))
        }

        fn worker(&self) -> Worker {
            let transport = MailTransport::directory(&self.mails(), "guildhall@example.test", self.world.clone());
            let transport = transport.expect("a transport");
            transport.prepare().expect("a directory");
            Worker::new(self.store.clone(), Self::sealer(), transport, self.world.clone(), Settings::default())
        }

        fn run(&self, nudge: Arc<Notify>, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
            let pulse = Pulse::new("mail", Duration::MAX, self.clock.clone());
            drive(crate::jobs::Mails { worker: self.worker(), nudge }, self.clock.clone(), pulse, stop)
        }

        fn mails(&self) -> PathBuf {
            self.directory.path().join("mails")
        }

        fn sent(&self) -> Vec<String> {
            let text = |path: &Path| std::fs::read_to_string(path).expect("a file");
            let entries = std::fs::read_dir(self.mails()).expect("a directory");
            entries.map(|entry| text(&entry.expect("an entry").path())).collect()
        }

        async fn put(&self, sealed: Vec<u8>) {
            // A mail that follows upon none is a new one.
            self.store.mail_sent(Uuid::nil(), Some((self.world.id(), sealed))).await.expect("kept");
        }

        async fn invite(&self) {
            let mail = Mail::Invitation {
                to: "ada@example.test".to_owned(),
                organization: "Analytical Engines".to_owned(),
                invited_by: None,
                link: "https://guildhall.example.test/x".to_owned(),
                expires_at: Timestamp::from_micros(0),
                tell: Some("charles@example.test".to_owned()),
            };
            self.put(mail.seal(&Self::sealer(), &self.world)).await;
        }

        /// Waits until the worker has had nothing to do so many times.
        async fn idle(&self, times: u64) {
            self.clock.pauses().wait_for(|pauses| *pauses >= times).await.expect("a clock");
        }

        fn advance(&self, duration: Duration) {
            self.clock.advance(duration);
        }
    }

    async fn take(worker: &Worker) -> Vec<OutboxMail> {
        worker.take().await.expect("read")
    }

    #[tokio::test]
    async fn ce_08_a_mail_goes_out_and_then_the_one_that_tells_of_it() {
        let post = Post::open().await;
        post.invite().await;
        let (nudge, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let running = tokio::spawn(post.run(nudge.clone(), stop.clone()));

        post.idle(1).await;
        let sent = post.sent();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent.iter().filter(|mail| mail.contains("To: ada@example.test")).count(), 1);
        assert_eq!(sent.iter().filter(|mail| mail.contains("To: charles@example.test")).count(), 1);

        post.invite().await;
        nudge.notify_one();
        post.idle(2).await;
        assert_eq!(post.sent().len(), 4);

        stop.cancel();
        running.await.expect("no panic");
        post.advance(Duration::from_hours(1));
        assert!(take(&post.worker()).await.is_empty());
    }

    #[tokio::test]
    async fn a_mail_that_was_taken_is_left_to_whoever_took_it_while_the_lease_lasts() {
        let post = Post::open().await;
        post.invite().await;
        let worker = post.worker();
        assert_eq!(take(&worker).await.len(), 1);
        assert!(take(&worker).await.is_empty());
        post.advance(worker.settings.lease);
        assert_eq!(take(&worker).await.len(), 1);
    }

    #[tokio::test]
    async fn a_mail_that_cannot_be_sent_is_tried_again_and_given_up_after_a_week() {
        let post = Post::open().await;
        post.invite().await;
        let worker = post.worker();
        std::fs::remove_dir(post.mails()).expect("removed");

        for attempts in [1, 2, 3] {
            let taken = take(&worker).await.pop().expect("a mail that is due");
            assert_eq!(taken.attempts, attempts);
            worker.deliver(taken).await;
            assert!(take(&worker).await.is_empty(), "not due at once");
            post.advance(worker.settings.retry.after(attempts) * 2);
        }

        post.advance(worker.settings.give_up_after);
        let taken = take(&worker).await.pop().expect("a mail that is due");
        worker.deliver(taken).await;
        post.advance(worker.settings.give_up_after);
        assert!(take(&worker).await.is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_opened_does_not_stop_the_others() {
        let post = Post::open().await;
        post.put(vec![1, 2, 3]).await;
        post.put(Post::sealer().seal(Purpose::OutboxMail, b"{}", &post.world)).await;
        post.invite().await;
        let stop = CancellationToken::new();
        let running = tokio::spawn(post.run(Arc::new(Notify::new()), stop.clone()));

        post.idle(1).await;
        assert_eq!(post.sent().len(), 2);
        stop.cancel();
        running.await.expect("no panic");
    }

    #[test]
    fn a_mail_waits_twice_as_long_after_each_failure_up_to_an_hour() {
        let settings = Settings::default();
        let waits = [1, 2, 3, 4, 12, 13, 100, u32::MAX].map(|attempts| settings.retry.after(attempts).as_secs());
        assert_eq!(waits, [1, 2, 4, 8, 2_048, 3_600, 3_600, 3_600]);
    }

    #[test]
    fn a_lease_outlasts_the_attempt() {
        let settings = Settings::default();
        assert!(settings.lease > settings.send_timeout);
    }
}
