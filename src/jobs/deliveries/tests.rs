//! Deliveries on an embedded database, by a clock that tests move.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::auth::{InstallationKey, Purpose, Sealer};
use crate::clock::SystemEntropy;
use crate::clock::testing::ManualClock;
use crate::domain::catalog::Catalogs;
use crate::domain::time::Timestamp;
use crate::mail::{Mail, MailTransport};
use crate::store;
use crate::workers::drive;

struct Post {
    clock: Arc<ManualClock>,
    env: Env,
    store: Store,
    directory: tempfile::TempDir,
}

impl Post {
    async fn open() -> Self {
        // What is longer than a poll is the time that sending may take.
        let clock = ManualClock::counting(Duration::from_secs(10));
        let env = Env { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
        let directory = tempfile::tempdir().expect("a directory");
        let settings = store::Settings {
            url: format!("sqlite://{}", directory.path().join("guildhall.db").display()).into(),
            beginning: store::Beginning::Anywhere,
            connections_max: 2,
            patience: Duration::from_secs(5),
            write_wait: Duration::from_secs(5),
            sqlite_hook: None,
        };
        let store = Store::open(&settings, env.clone(), Catalogs::default()).await.expect("a database");
        Self { clock, env, store, directory }
    }

    fn sealer() -> Sealer {
        let key = InstallationKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        Sealer::new(&key.expect("a key"))
    }

    fn job(&self) -> Deliveries {
        self.job_with(Arc::default())
    }

    fn job_with(&self, nudge: Arc<Notify>) -> Deliveries {
        let transport = MailTransport::directory(&self.mails(), "guildhall@example.test", self.env.clone());
        let transport = transport.expect("a transport");
        transport.prepare().expect("a directory");
        let mails = Sender::new(Self::sealer(), transport, self.env.clone());
        Deliveries::new(self.store.clone(), mails, self.env.clone(), Settings::default(), nudge)
    }

    fn run(&self, nudge: Arc<Notify>, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let pulse = Pulse::new(Deliveries::NAME, Duration::MAX, self.clock.clone());
        drive(self.job_with(nudge), self.clock.clone(), pulse, stop)
    }

    fn mails(&self) -> PathBuf {
        self.directory.path().join("mails")
    }

    fn sent(&self) -> Vec<String> {
        let text = |path: &Path| std::fs::read_to_string(path).expect("a file");
        let entries = std::fs::read_dir(self.mails()).expect("a directory");
        entries.map(|entry| text(&entry.expect("an entry").path())).collect()
    }

    async fn put(&self, delivery: NewDelivery) {
        // A delivery that follows upon none is a new one.
        self.store.delivery_end(Uuid::nil(), Some(delivery)).await.expect("kept");
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
        self.put(mail.delivery(&Self::sealer(), &self.env)).await;
    }

    /// Waits until the job has had nothing to do so many times.
    async fn idle(&self, times: u64) {
        self.clock.pauses().wait_for(|pauses| *pauses >= times).await.expect("a clock");
    }

    fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

async fn take(job: &Deliveries) -> Vec<Delivery> {
    job.take().await.expect("read")
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
    assert!(take(&post.job()).await.is_empty());
}

#[tokio::test]
async fn a_mail_that_was_taken_is_left_to_whoever_took_it_while_the_lease_lasts() {
    let post = Post::open().await;
    post.invite().await;
    let job = post.job();
    assert_eq!(take(&job).await.len(), 1);
    assert!(take(&job).await.is_empty());
    post.advance(job.settings.lease);
    assert_eq!(take(&job).await.len(), 1);
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_is_tried_again_and_given_up_after_a_week() {
    let post = Post::open().await;
    post.invite().await;
    let job = post.job();
    std::fs::remove_dir(post.mails()).expect("removed");

    for attempts in [1, 2, 3] {
        let taken = take(&job).await.pop().expect("a mail that is due");
        assert_eq!(taken.attempts, attempts);
        job.deliver(taken).await;
        assert!(take(&job).await.is_empty(), "not due at once");
        post.advance(job.settings.retry.after(attempts) * 2);
    }

    post.advance(job.settings.give_up_after);
    let taken = take(&job).await.pop().expect("a mail that is due");
    job.deliver(taken).await;
    post.advance(job.settings.give_up_after);
    assert!(take(&job).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_opened_does_not_stop_the_others() {
    let post = Post::open().await;
    for sealed in [vec![1, 2, 3], Post::sealer().seal(Purpose::OutboxMail, b"{}", &post.env)] {
        post.put(NewDelivery { id: post.env.id(), kind: DeliveryKind::Mail, sealed }).await;
    }
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
    assert!(settings.lease > settings.timeout);
}
