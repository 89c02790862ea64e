//! Real servers with real clients, each with a database and a clock of its own.
//!
//! [`TestApp::start`] gives a server on the engine asked for; [`TestApp::found`] an organization with its owner signed
//! in. [`Caller`] speaks for one credential. Time stands still until a test moves it; nothing sleeps.

mod any_rpc;
mod caller;
mod clock;
mod database;
pub mod messages;
mod past;
pub mod proxy;
pub mod raw;
pub mod recorder;
mod traces;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use guildhall::app::{App, AppError, Parts, store_settings};
use guildhall::auth::PasswordCost;
use guildhall::changelog::Source;
use guildhall::clock::Env;
use guildhall::config::Config;
use guildhall::proto;
use guildhall::store::{SqliteHook, Store};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub use any_rpc::{Brought, messages_of};
pub use caller::{Caller, Checks};
pub use clock::{ManualClock, SeededEntropy};
pub use database::{Database, cluster_url, execute};
pub use messages::{as_member, at, project, role};
use vocabulary::Vocabulary;

/// The password that everybody in the tests has: good under every preset.
pub const PASSWORD: &str = "Correct4Horses!";
/// How long anything that must come is waited for, in real time.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Returns how many times as much is to be tried as in a short run: `GUILDHALL_SOAK`, or 1.
pub fn soak() -> u64 {
    std::env::var("GUILDHALL_SOAK").map_or(1, |soak| soak.parse().expect("GUILDHALL_SOAK is a number"))
}

/// Runs each test on both engines: `async fn name(app) { … }` becomes `name::on_sqlite` and `name::on_postgres`.
///
/// `async fn name(database: Database) { … }` starts no server, and is told the engine.
#[macro_export]
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($app:ident) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every test uses everything")]
            use super::*;

            async fn promise($app: $crate::harness::TestApp) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                promise($crate::harness::TestApp::start($crate::harness::Database::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                promise($crate::harness::TestApp::start($crate::harness::Database::Postgres).await).await;
            }
        }
    )+};
    ($($(#[$doc:meta])* async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every test uses everything")]
            use super::*;

            async fn promise($database: $crate::harness::Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                promise($crate::harness::Database::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                promise($crate::harness::Database::Postgres).await;
            }
        }
    )+};
}

/// A server, its database, and the clock it runs by.
pub struct TestApp {
    pub app: App,
    pub clock: Arc<ManualClock>,
    pub config: Config,
    channel: Channel,
    operator_key: String,
    data_dir: Arc<TempDir>,
}

/// An organization whose owner has joined.
pub struct Organization {
    pub id: String,
    /// Holds the founder roles of the preset.
    pub owner: Person,
}

/// Somebody who has signed in.
#[derive(Clone)]
pub struct Person {
    pub email: String,
    pub user_id: String,
    pub membership_id: String,
    pub call: Caller,
}

impl TestApp {
    /// Starts a server on an empty database of its own.
    pub async fn start(database: Database) -> Self {
        let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let config = database.config(data_dir.path()).await;
        Self::start_with(config, data_dir, ManualClock::new()).await.expect("a server that starts")
    }

    /// Starts a server with settings of the test's own.
    pub async fn start_with(config: Config, data_dir: Arc<TempDir>, clock: Arc<ManualClock>) -> Result<Self, AppError> {
        Self::start_over(config, data_dir, clock, |store| Arc::new(store)).await
    }

    /// Starts a server whose index follows what `source` makes of the store.
    pub async fn start_over(
        config: Config,
        data_dir: Arc<TempDir>,
        clock: Arc<ManualClock>,
        source: impl FnOnce(Store) -> Arc<dyn Source> + Send,
    ) -> Result<Self, AppError> {
        let parts = Parts { source: Box::new(source), ..parts(&config, &clock) };
        Self::start_of(config, data_dir, clock, parts).await
    }

    /// As [`TestApp::start_with`], for tests that are about what hashing a password costs.
    pub async fn start_hashing(
        config: Config,
        data_dir: Arc<TempDir>,
        clock: Arc<ManualClock>,
    ) -> Result<Self, AppError> {
        let parts = Parts { password_cost: PasswordCost::default(), ..parts(&config, &clock) };
        Self::start_of(config, data_dir, clock, parts).await
    }

    /// As [`TestApp::start_with`], with a hook that every connection to SQLite runs as it opens.
    pub async fn start_hooked(
        config: Config,
        data_dir: Arc<TempDir>,
        clock: Arc<ManualClock>,
        hook: SqliteHook,
    ) -> Result<Self, AppError> {
        let database = guildhall::store::Settings { sqlite_hook: Some(hook), ..store_settings(&config) };
        let parts = Parts { database, ..parts(&config, &clock) };
        Self::start_of(config, data_dir, clock, parts).await
    }

    async fn start_of(
        config: Config,
        data_dir: Arc<TempDir>,
        clock: Arc<ManualClock>,
        parts: Parts<'_>,
    ) -> Result<Self, AppError> {
        let app = App::start_of(&config, parts).await?;
        let endpoint = Endpoint::from_shared(format!("http://{}", app.grpc_address)).expect("an address");
        let channel = endpoint.tcp_nodelay(true).connect().await.expect("a server that listens");
        let operator_key = app.operator_key.as_ref().map(|key| key.text().to_owned()).unwrap_or_default();
        let this = Self { app, clock, config, channel, operator_key, data_dir };
        // Whoever starts on what is there finds them there.
        if !this.operator_key.is_empty() {
            this.put_instead_of_presets().await;
        }
        Ok(this)
    }

    /// Puts the catalogs by which this run replaces presets.
    async fn put_instead_of_presets(&self) {
        for text in Vocabulary::of_this_run().map_or(&[][..], Vocabulary::texts) {
            let request = proto::PutCatalogRequest { yaml: text.clone(), ..Default::default() };
            self.operator().put_catalog(request).await.expect("a catalog in the place of a preset");
        }
    }

    /// Stops the server and starts another on the same data; the operator's key stays.
    pub async fn restart(self) -> Self {
        let Self { app, clock, config, operator_key, data_dir, .. } = self;
        app.stop().await;
        let mut again = Self::start_with(config, data_dir, clock).await.expect("a server that starts again");
        again.operator_key = operator_key;
        again
    }

    /// As [`TestApp::restart`] and [`TestApp::start_hooked`].
    pub async fn restart_hooked(self, hook: SqliteHook) -> Self {
        let Self { app, clock, config, operator_key, data_dir, .. } = self;
        app.stop().await;
        let again = Self::start_hooked(config, data_dir, clock, hook).await;
        Self { operator_key, ..again.expect("a server that starts again") }
    }

    /// Starts another server on the same database: a second replica (PostgreSQL only).
    pub async fn replica(&self) -> Self {
        self.replica_with(self.config.clone()).await
    }

    /// As [`TestApp::replica`], with settings of its own: another way to the database, say.
    pub async fn replica_with(&self, config: Config) -> Self {
        let mut again = Self::start_with(config, Arc::clone(&self.data_dir), Arc::clone(&self.clock))
            .await
            .expect("a second replica");
        again.operator_key.clone_from(&self.operator_key);
        again
    }

    /// Calls without a credential.
    pub fn anyone(&self) -> Caller {
        Caller::new(self.channel.clone(), None)
    }

    /// Calls with a credential.
    pub fn with(&self, credential: &str) -> Caller {
        Caller::new(self.channel.clone(), Some(credential.to_owned()))
    }

    /// Calls as the operator of the installation.
    pub fn operator(&self) -> Caller {
        self.with(&self.operator_key)
    }

    /// Returns the operator's API key.
    pub fn operator_key(&self) -> &str {
        &self.operator_key
    }

    /// Makes an organization whose owner joins and signs in.
    pub async fn found(&self) -> Organization {
        self.found_by("ada@example.test").await
    }

    /// Makes an organization that follows a preset, whose founder joins and signs in.
    pub async fn found_under(&self, preset: &str) -> Organization {
        self.found_under_by(preset, "ada@example.test").await
    }

    /// Makes an organization that follows a preset with a founder of this address.
    pub async fn found_under_by(&self, preset: &str, email: &str) -> Organization {
        self.found_with(messages::create_organization_under(preset, "Example", email)).await
    }

    /// Makes an organization with an owner of this address.
    pub async fn found_by(&self, email: &str) -> Organization {
        self.found_as("Example", email).await
    }

    /// Makes an organization of this name with an owner of this address.
    pub async fn found_as(&self, name: &str, email: &str) -> Organization {
        self.found_with(messages::create_organization(name, email)).await
    }

    async fn found_with(&self, request: proto::CreateOrganizationRequest) -> Organization {
        let email = request.founder_email.clone();
        let created = self.operator().create_organization(request).await.expect("an organization");
        let id = created.organization.expect("it is in the answer").id;
        Organization { id, owner: self.join(&email).await }
    }

    /// Takes somebody who was invited, and has no account, from the mail to a session.
    pub async fn join(&self, email: &str) -> Person {
        let token = self.token_mailed_to(email).await;
        let accepted = self.accept(&token).await.expect("an invitation that can be accepted");
        self.sign_in(email, &accepted.member.expect("it is in the answer").id).await
    }

    /// Invites an address as `by`, and takes the person from the mail to a session.
    pub async fn invite_and_join(
        &self,
        organization: &str,
        by: &Caller,
        email: &str,
        assignments: Vec<proto::Assignment>,
    ) -> Person {
        by.create_invitation(messages::invite(organization, email, assignments)).await.expect("an invitation");
        self.join(email).await
    }

    /// Makes somebody who has an account, and a place in an organization of their own alone.
    pub async fn somebody(&self, email: &str) -> Person {
        self.found_as(&format!("Home of {email}"), email).await.owner
    }

    /// Makes a link as `by`, by which somebody who has an account comes in.
    pub async fn join_by_link(
        &self,
        organization: &str,
        by: &Caller,
        email: &str,
        assignments: Vec<proto::Assignment>,
    ) -> Person {
        let person = self.somebody(email).await;
        let made = by.create_invitation(messages::invite_by_link(organization, assignments)).await.expect("a link");
        let accepted = person.call.accept_invitation(messages::accept(&token_in(&made.link), "")).await;
        let member = accepted.expect("a link that lets in").member.expect("it is in the answer");
        Person { membership_id: member.id, ..person }
    }

    /// Accepts an invitation with the password of the tests.
    pub async fn accept(&self, token: &str) -> Result<proto::AcceptInvitationResponse, Status> {
        self.anyone().accept_invitation(messages::accept(token, PASSWORD)).await
    }

    /// Signs in with the password of the tests.
    pub async fn sign_in(&self, email: &str, membership_id: &str) -> Person {
        let answer = self.anyone().sign_in(messages::sign_in(email, PASSWORD)).await.expect("a sign-in");
        let Some(proto::sign_in_response::Outcome::SignedIn(signed_in)) = answer.outcome else {
            panic!("the sign-in asks for more")
        };
        Person {
            email: email.to_owned(),
            user_id: signed_in.user_id,
            membership_id: membership_id.to_owned(),
            call: self.with(&signed_in.access_token),
        }
    }

    /// Makes a service account that may check, and calls with its key.
    pub async fn backend(&self, organization: &Organization) -> Caller {
        self.backend_account(organization).await.1
    }

    /// As [`TestApp::backend`]; the account's id comes first.
    pub async fn backend_account(&self, organization: &Organization) -> (String, Caller) {
        self.backend_account_by(&organization.owner.call, &organization.id).await
    }

    /// As [`TestApp::backend_account`], made as `by`.
    pub async fn backend_account_by(&self, by: &Caller, organization: &str) -> (String, Caller) {
        self.machine(by, organization, vec![role("backend")]).await
    }

    /// Makes a service account that holds these, as `by`; gives its id, and calls with its key.
    pub async fn machine(
        &self,
        by: &Caller,
        organization: &str,
        assignments: Vec<proto::Assignment>,
    ) -> (String, Caller) {
        let request = messages::create_service_account(organization, "backend");
        let account = by.create_service_account(request).await.expect("a service account");
        let account = account.service_account.expect("it is in the answer").id;
        let grant = |assignment| messages::grant(messages::service_account(&account), assignment);
        let deltas: Vec<_> = assignments.into_iter().map(grant).collect();
        if !deltas.is_empty() {
            by.change_grants(messages::change(organization, deltas)).await.expect("the roles");
        }
        let key = by.create_api_key(messages::create_api_key(organization, &account)).await.expect("a key");
        (account, self.with(&key.secret))
    }

    /// Waits for the newest mail to an address and gives its text.
    pub async fn mail_to(&self, email: &str) -> String {
        self.mails_to(email, 1).await.pop().expect("at least one")
    }

    /// Waits until `count` mails to an address have gone out and gives their texts, oldest first.
    pub async fn mails_to(&self, email: &str, count: usize) -> Vec<String> {
        let mail_dir = self.config.mail_dir();
        eventually("the mail", || {
            let mails = mails_in(&mail_dir, email);
            (mails.len() >= count).then_some(mails)
        })
        .await
    }

    /// Counts the mails that have gone out to an address so far.
    pub fn mails_so_far(&self, email: &str) -> usize {
        mails_in(&self.config.mail_dir(), email).len()
    }

    /// Waits for the newest invitation to an address and takes the token out of its link.
    pub async fn token_mailed_to(&self, email: &str) -> String {
        token_in(&self.mail_to(email).await)
    }

    /// Waits for the invitation of an address to the organization of this name and takes the token out of its link: for
    /// addresses that get other mails besides.
    pub async fn token_mailed_by(&self, organization: &str, email: &str) -> String {
        let subject = format!("Subject: Invitation to join {organization}");
        let mail_dir = self.config.mail_dir();
        let is_it = |mail: &String| mail.lines().any(|line| line == subject);
        token_in(&eventually("the invitation", || mails_in(&mail_dir, email).into_iter().find(is_it)).await)
    }
}

/// Returns the parts of a test's server, which hashes passwords at the least cost.
fn parts(config: &Config, clock: &Arc<ManualClock>) -> Parts<'static> {
    Parts { password_cost: PasswordCost::LEAST, ..Parts::of(config, world(clock)) }
}

/// Returns the clock of a test, and randomness from a seed.
fn world(clock: &Arc<ManualClock>) -> Env {
    Env { clock: clock.clone(), entropy: Arc::new(SeededEntropy::new(clock.start())) }
}

/// Takes the token out of an invitation's mail, or out of a link.
pub fn token_in(mail: &str) -> String {
    let (_, rest) = mail.split_once("#token=").expect("a link with a token");
    rest.split_whitespace().next().expect("a token").to_owned()
}

/// Takes the token out of the link by which the address of a notification wants no more of them.
pub fn unsubscribe_token_in(mail: &str) -> String {
    let (_, rest) = mail.split_once("\r\n\r\n").expect("a text");
    let (_, rest) = rest.split_once("?token=").expect("a link with a token");
    rest.split_whitespace().next().expect("a token").to_owned()
}

/// Returns the texts of the mails to an address that lie in a directory, oldest first.
pub fn mails_in(directory: &Path, email: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    // Named by UUIDv7s: in the order in which they were made.
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .filter(|mail| mail.lines().any(|line| line.strip_prefix("To: ").is_some_and(|to| to.contains(email))))
        .collect()
}

/// Waits in real time until `look` finds something that another task brings about; fails loudly if it never does.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    eventually_finds(what, async || look()).await
}

/// As [`eventually`], for what is looked up asynchronously.
#[expect(clippy::disallowed_methods, reason = "the one place where tests wait for what they cannot be told")]
pub async fn eventually_finds<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began_at = std::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began_at.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Returns the machine-readable reason of a refusal.
pub fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "guildhall");
    info.reason
}

/// Asserts that a call was refused with this code and reason.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, expected: &str) {
    let status = result.expect_err("a refusal");
    assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{status:?}");
}

/// Returns the field and the reason of every violation that a refusal names.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    let details = status.get_details_bad_request().map(|request| request.field_violations).unwrap_or_default();
    details
        .into_iter()
        .map(|violation| {
            let reason = violation.description.split(':').next().unwrap_or_default().to_owned();
            (violation.field, reason)
        })
        .collect()
}
