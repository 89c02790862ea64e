//! Clocks that are set, while a server runs and between its runs.
//!
//! A server's wall clock is libfaketime's here. Its monotonic one is the machine's, as it is where a wall clock is set.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use guildhall::clock::{Clock, SystemClock};
use guildhall::domain::time::Timestamp;
use guildhall::proto;
use tempfile::TempDir;
use tonic::Code;

use super::program::{Server, Site};
use super::refusals::execute;
use crate::harness::messages::{
    as_member, change, create_api_key, create_service_account, get_organization, grant, invite, list_members, look_up,
    membership, register, role, service_account,
};
use crate::harness::{Caller, Database, Organization, Person, assert_refused, eventually, project};
use crate::on_both;

/// Longer than anything lives that these tests make.
const EIGHT_DAYS: i64 = 8 * 86_400;

/// The wall clock of a process, off the machine's by as much as a file says.
struct Wall {
    directory: TempDir,
    library: PathBuf,
}

impl Wall {
    fn new() -> Self {
        let found = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
        let mut found = found.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).filter(|it| it.exists());
        let library = found.next().expect("libfaketime is installed: scripts/setup test does that");
        let wall = Self { directory: TempDir::new().unwrap(), library };
        wall.set(0);
        wall
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("offset")
    }

    /// Sets the clock so many seconds off the machine's.
    fn set(&self, seconds: i64) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, format!("{seconds:+}s\n")).unwrap();
        // In one step, for whoever is just reading it.
        std::fs::rename(&new, self.file()).unwrap();
    }

    async fn serve(&self, site: &Site) -> Server {
        self.serve_with(site, &[]).await
    }

    async fn serve_with(&self, site: &Site, arguments: &[&str]) -> Server {
        let (library, file) = (self.library.display().to_string(), self.file().display().to_string());
        let environment = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        site.serve_in(&environment, arguments).await
    }
}

/// One of each that expires within eight days.
struct Things {
    organization: Organization,
    bob: Person,
    /// A key of the account that holds the role `backend`, without an end.
    key: String,
    /// A key that expires in five minutes.
    brief_key: String,
    token: String,
    invitation: String,
    page_token: String,
}

impl Things {
    async fn make(server: &Server, operator_key: &str) -> Self {
        let organization = server.found(operator_key, "ada@example.test").await;
        let (id, owner) = (organization.id.clone(), organization.owner.call.clone());
        let bob = server.invite_and_join(&organization, "bob@example.test").await;
        owner.create_invitation(invite(&id, "cy@example.test", vec![])).await.unwrap();
        let invitation = server.token_mailed_to("cy@example.test").await;

        let soon = Some(protobuf(SystemClock.now().plus(Duration::from_mins(5))));
        let account = owner.create_service_account(create_service_account(&id, "backend")).await.unwrap();
        let account = account.service_account.unwrap().id;
        let entry = proto::Assignment { expire_time: soon, ..as_member(project("alpha")) };
        owner.register_resource(register(&id, project("alpha"))).await.unwrap();
        let deltas = vec![
            grant(service_account(&account), role("backend")),
            grant(membership(&bob.membership_id), role("user")),
            grant(membership(&bob.membership_id), entry),
        ];
        owner.change_grants(change(&id, deltas)).await.unwrap();
        let key = owner.create_api_key(create_api_key(&id, &account)).await.unwrap().secret;
        let brief = proto::CreateApiKeyRequest { expire_time: soon, ..create_api_key(&id, &account) };
        let brief_key = owner.create_api_key(brief).await.unwrap().secret;

        let page = proto::ListMembersRequest { page_size: 1, ..list_members(&id) };
        let page_token = owner.list_members(page).await.unwrap().next_page_token;
        let token = owner.credential.clone().unwrap();
        Self { organization, bob, key, brief_key, token, invitation, page_token }
    }

    async fn bob_is_listed(&self, server: &Server) -> bool {
        let (organization, user) = (&self.organization.id, &self.bob.user_id);
        server.with(&self.key).allows(organization, user, "project.view", Some(project("alpha"))).await
    }

    /// Asserts that everything is good.
    async fn assert_good(&self, server: &Server) {
        assert!(self.bob_is_listed(server).await);
        let organization = get_organization(&self.organization.id);
        for credential in [&self.token, &self.brief_key] {
            server.with(credential).get_organization(organization.clone()).await.expect("a credential that is good");
        }
        server.anyone().look_up_invitation(look_up(&self.invitation)).await.expect("an open invitation");
        let listed = server.with(&self.token).list_members(self.next_page()).await;
        listed.expect("a page token that is good");
    }

    /// Asserts that everything has expired, for whoever signs in now, too.
    async fn assert_expired(&self, server: &Server) {
        assert!(!self.bob_is_listed(server).await, "the grant");
        let organization = get_organization(&self.organization.id);
        for credential in [&self.token, &self.brief_key] {
            let refused = server.with(credential).get_organization(organization.clone()).await;
            assert_refused(refused, Code::Unauthenticated, "TOKEN_EXPIRED");
        }
        let refused = server.anyone().look_up_invitation(look_up(&self.invitation)).await;
        assert_refused(refused, Code::FailedPrecondition, "INVITATION_EXPIRED");
        let owner: Caller = server.sign_in("ada@example.test", "").await.call;
        owner.get_organization(organization).await.expect("a token of now");
        let refused = owner.list_members(self.next_page()).await.unwrap_err();
        assert_eq!(crate::harness::violations(&refused), [("page_token".into(), "PAGE_TOKEN_INVALID".into())]);
    }

    fn next_page(&self) -> proto::ListMembersRequest {
        let page_token = self.page_token.clone();
        proto::ListMembersRequest { page_size: 1, page_token, ..list_members(&self.organization.id) }
    }
}

fn protobuf(instant: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: instant.as_micros() / 1_000_000, nanos: 0 }
}

/// Waits until the log of a server says this.
async fn said(server: &Server, words: &str) {
    eventually(words, || server.process.errors_so_far().contains(words).then_some(())).await;
}

/// Returns what the readiness detail says of the clock.
fn warning(server: &Server) -> Option<String> {
    server.get("/readyz").1.lines().find(|line| line.contains("clock")).map(str::to_owned)
}

/// Returns the value of one metric.
fn metric(server: &Server, name: &str) -> f64 {
    let (_, metrics) = server.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expired_before_a_restart_does_not_count_again_when_the_clock_was_set_back_meanwhile() {
    let (site, wall) = (Site::new(Database::Sqlite).await, Wall::new());
    let server = wall.serve(&site).await;
    let things = Things::make(&server, server.operator_key.as_ref().unwrap()).await;
    things.assert_good(&server).await;
    assert_eq!(server.stop().await.code, Some(0));

    // It makes no commit, and can put nothing on record at its end.
    wall.set(EIGHT_DAYS);
    let server = wall.serve(&site).await;
    assert!(!things.bob_is_listed(&server).await);
    assert_eq!(warning(&server), None);
    assert!(!server.process.errors_so_far().contains("clock"), "{}", server.process.errors_so_far());
    server.process.kill();

    wall.set(0);
    let server = wall.serve(&site).await;
    things.assert_expired(&server).await;
    assert_eq!(server.get("/readyz").0, 200);
    assert!(warning(&server).unwrap().ends_with("s before the newest commit"));
    assert!(metric(&server, "guildhall_clock_deviation_seconds") < -600_000.0);
    let errors = server.stop().await.errors;
    assert!(errors.contains("the clock is before the newest commit: time goes on from there"), "{errors}");

    let server = wall.serve_with(&site, &["--allow-clock-back"]).await;
    things.assert_good(&server).await;
    assert!(warning(&server).unwrap().ends_with("s before the newest commit"));
    let errors = server.stop().await.errors;
    assert!(errors.contains("followed as was asked for"), "{errors}");

    wall.set(EIGHT_DAYS + 3_600);
    let server = wall.serve(&site).await;
    things.assert_expired(&server).await;
    assert_eq!(warning(&server), None);
    assert!(!server.stop().await.errors.contains("clock"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "it waits for a minute of the machine's")]
async fn a_clock_that_is_set_forward_is_followed_after_a_minute_and_one_that_is_set_back_is_not() {
    let (site, wall) = (Site::new(Database::Sqlite).await, Wall::new());
    let server = wall.serve(&site).await;
    let things = Things::make(&server, server.operator_key.as_ref().unwrap()).await;

    wall.set(EIGHT_DAYS);
    said(&server, "the clock was set forward: followed once it has said so for a minute").await;
    things.assert_good(&server).await;
    assert!(warning(&server).unwrap().starts_with("the clock was set forward by 69"));
    wall.set(0);
    said(&server, "the step forward was taken back").await;
    things.assert_good(&server).await;
    assert_eq!(warning(&server), None);

    wall.set(EIGHT_DAYS);
    let set_at = Instant::now();
    eventually("the step", || (metric(&server, "guildhall_clock_steps_forward") > 1.5).then_some(())).await;
    while !server.process.errors_so_far().contains("the step forward is followed") {
        assert!(set_at.elapsed() < Duration::from_secs(90), "a step forward that is not followed");
        assert!(things.bob_is_listed(&server).await || set_at.elapsed() >= Duration::from_mins(1), "before a minute");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(set_at.elapsed() >= Duration::from_mins(1));
    things.assert_expired(&server).await;

    wall.set(0);
    said(&server, "the clock was set back: not followed").await;
    things.assert_expired(&server).await;
    assert!((metric(&server, "guildhall_clock_steps_back") - 1.0).abs() < 0.5);
    assert!(warning(&server).unwrap().starts_with("the clock was set back by 69"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_the_databases_clock_counts_and_a_machines_is_of_no_consequence() {
    let (site, wall) = (Site::new(Database::Postgres).await, Wall::new());
    wall.set(-30 * 86_400);
    let server = wall.serve(&site).await;
    let things = Things::make(&server, server.operator_key.as_ref().unwrap()).await;
    let ada = things.organization.owner.call.member(&things.organization.id, "ada@example.test").await;
    let age = SystemClock.now().as_micros() / 1_000_000 - ada.create_time.unwrap().seconds;
    assert!((-60..=60).contains(&age), "made {age} s ago");

    wall.set(EIGHT_DAYS);
    let polled = metric(&server, "guildhall_log_age_seconds");
    eventually("another poll", || (metric(&server, "guildhall_log_age_seconds") < polled).then_some(())).await;
    things.assert_good(&server).await;
    assert_eq!(warning(&server), None);
    assert!(metric(&server, "guildhall_clock_deviation_seconds").abs() < 5.0);
    assert!(!server.stop().await.errors.contains("clock"));

    let server = wall.serve(&site).await;
    things.assert_good(&server).await;
    assert_eq!(warning(&server), None);
}

on_both! {
    async fn a_start_before_the_newest_commit_goes_on_from_there_and_says_so(database: Database) {
        let site = Site::new(database).await;
        let server = site.serve().await;
        let things = Things::make(&server, server.operator_key.as_ref().unwrap()).await;
        things.assert_good(&server).await;
        server.stop().await;

        let newest = SystemClock.now().plus(Duration::from_secs(EIGHT_DAYS.unsigned_abs())).as_micros();
        execute(&site, &format!("update commits set committed_at = {newest}")).await;
        let server = site.serve().await;
        things.assert_expired(&server).await;
        assert!(warning(&server).unwrap().ends_with("s before the newest commit"));
        let errors = server.stop().await.errors;
        assert!(errors.contains("the clock is before the newest commit"), "{errors}");
    }
}
