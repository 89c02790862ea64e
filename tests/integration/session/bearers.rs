//! What is remembered of credentials, and what one of them may have under way.

use std::sync::Arc;

use guildhall::changelog::{Author, Change, append, head_lock};
use guildhall::domain::error::Reason;
use guildhall::domain::fact::{InstallationFact, Scope, UserState};
use guildhall::domain::id::UserId;
use guildhall::domain::place::Subject;
use guildhall::rpc::Rpc;
use prost::Message;
use sea_orm::{Database as Connection, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::messages::{get_organization, item};
use crate::harness::{
    Caller, Database, ManualClock, Person, TestApp, assert_refused, eventually, eventually_finds, raw, reason,
};
use crate::on_both;

/// Commits a fact to the installation's log, as whoever ends sessions and disables users does.
pub async fn commit(app: &TestApp, fact: InstallationFact) {
    let db = Connection::connect(app.config.database_url()).await.unwrap();
    let at_once = TransactionOptions {
        sqlite_transaction_mode: app.config.is_embedded().then_some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = db.begin_with_options(at_once).await.unwrap();
    let log = head_lock(&tx, Scope::Installation).await.unwrap().unwrap();
    let author = Author { actor: None, rpc: "test", call_id: uuid::Uuid::nil(), reason: None };
    let now = guildhall::clock::Clock::now(&*app.clock);
    let position = append(&tx, &log, &author, &[Change::of(fact)], now).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await.unwrap();
    app.app.services().engine.committed(None, Some(position)).await;
}

fn token(person: &Person) -> String {
    person.call.credential.clone().unwrap()
}

/// Asserts that a token is refused in either place: by a call, and as the subject of a check.
async fn assert_dead(app: &TestApp, organization: &str, person: &Person, expected: Reason) {
    let answer = person.call.get_organization(get_organization(organization)).await;
    assert_refused(answer, Code::Unauthenticated, expected.name());
    assert_eq!(app.app.services().bearer(&token(person)).unwrap_err().reason, expected);
}

on_both! {
    async fn an_ended_session_is_refused_at_once_though_its_token_is_remembered(app) {
        let organization = app.found().await;
        let (first, id) = (&organization.owner, organization.id.as_str());
        let second = app.sign_in(&first.email, &first.membership_id).await;
        let services = Arc::clone(app.app.services());
        let mut stream = first.call.stream().await.unwrap();
        stream.subscribe(id, vec![item(&first.user_id, "member.list", None)]).await;
        stream.changes().await;

        // Verified once: then the same entry again, which the calls and the checks share.
        let verified = services.authenticate(&token(first)).await.unwrap();
        assert!(Arc::ptr_eq(&verified, &services.authenticate(&token(first)).await.unwrap()));
        assert_eq!(services.bearer(&token(first)).unwrap(), *verified.caller());
        let session = verified.caller().session.unwrap();

        let expires_at = guildhall::clock::Clock::now(&*app.clock).plus(guildhall::config::SESSION_LIFETIME);
        commit(&app, InstallationFact::SessionEnded { id: session, expires_at }).await;

        assert_dead(&app, id, first, Reason::SessionEnded).await;
        assert_dead(&app, id, first, Reason::SessionEnded).await;
        assert_refused(stream.receive().await, Code::Unauthenticated, "SESSION_ENDED");
        second.call.get_organization(get_organization(id)).await.expect("another session of the same person");
    }

    async fn a_disabled_user_is_refused_at_once_in_every_session_and_let_in_again(app) {
        let organization = app.found().await;
        let (first, id) = (&organization.owner, organization.id.as_str());
        let second = app.sign_in(&first.email, &first.membership_id).await;
        for person in [first, &second] {
            person.call.get_organization(get_organization(id)).await.expect("a token that is remembered from now on");
        }
        let user = UserId::parse("", &first.user_id).unwrap();

        commit(&app, InstallationFact::User { id: user, state: UserState::Disabled }).await;
        assert_dead(&app, id, first, Reason::UserDisabled).await;
        assert_dead(&app, id, &second, Reason::UserDisabled).await;

        commit(&app, InstallationFact::User { id: user, state: UserState::Active }).await;
        first.call.get_organization(get_organization(id)).await.expect("the state that counts is today's");
    }

    async fn the_bearer_of_a_token_is_found_without_a_call_and_a_key_is_no_token(app) {
        let organization = app.found().await;
        let services = app.app.services();
        let caller = services.bearer(&token(&organization.owner)).unwrap();
        assert_eq!(caller.subject, Subject::User(UserId::parse("", &organization.owner.user_id).unwrap()));

        app.operator().get_organization(get_organization(&organization.id)).await.expect("a key that is remembered");
        for wrong in [app.operator_key(), "", "a.b.c", &token(&organization.owner)[1..]] {
            assert_eq!(services.bearer(wrong).unwrap_err().reason, Reason::CredentialInvalid, "{wrong}");
        }
        app.clock.advance(guildhall::config::ACCESS_TOKEN_LIFETIME);
        assert_eq!(services.bearer(&token(&organization.owner)).unwrap_err().reason, Reason::TokenExpired);
    }
}

/// Starts a server where a credential may have so many calls under way, and so many streams open.
async fn limited(calls: u32, streams: u32) -> TestApp {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let mut config = Database::Sqlite.config(data_dir.path()).await;
    (config.calls_per_credential, config.streams_per_credential) = (calls, streams);
    TestApp::start_with(config, data_dir, ManualClock::new()).await.unwrap()
}

/// Asserts that a refusal says what is too much, and that waiting helps.
#[track_caller]
fn assert_limited(refused: &Status) {
    assert_eq!((refused.code(), reason(refused).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"), "{refused:?}");
    let details = refused.get_error_details();
    assert!(details.retry_info().and_then(|it| it.retry_delay).is_some_and(|delay| !delay.is_zero()), "{refused:?}");
    assert!(details.quota_failure().is_some_and(|it| it.violations[0].subject == "credential"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_has_only_so_many_calls_under_way_and_others_do_not_feel_it() {
    let app = limited(2, 1).await;
    let organization = app.found().await;
    let id = organization.id.as_str();
    let (owner, message) = (&organization.owner.call, get_organization(id));
    let get = async |caller: &Caller| caller.get_organization(message.clone()).await;

    // Calls whose message is still on its way.
    let bearer = format!("Bearer {}", token(&organization.owner));
    let headers: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
    let begin = || raw::begin(app.app.grpc_address, Rpc::GetOrganization.path(), &headers);
    let entry = app.app.services().authenticate(&token(&organization.owner)).await.unwrap();
    let under_way = async |count: u32| {
        eventually("so many calls", || (entry.calls() == count).then_some(())).await;
    };
    let first = begin().await;
    under_way(1).await;
    get(owner).await.expect("the second of two");
    let second = begin().await;
    under_way(2).await;
    assert_limited(&get(owner).await.unwrap_err());
    get(&app.operator()).await.expect("a caller of its own");

    let body = raw::framed(&message.encode_to_vec());
    assert_eq!(first.finish(body.clone()).await.code(), Code::Ok);
    get(owner).await.expect("a place that was given back");
    // A client that goes away gives its place back, too.
    drop(second);
    under_way(0).await;
    let third = begin().await;
    under_way(1).await;
    get(owner).await.expect("the second of two");
    assert_eq!(third.finish(body).await.code(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_has_only_so_many_streams_open() {
    let app = limited(64, 2).await;
    let organization = app.found().await;
    let owner = &organization.owner.call;
    let (mut first, mut second) = (owner.stream().await.unwrap(), owner.stream().await.unwrap());
    first.progress(1).await;

    assert_limited(&owner.stream().await.err().expect("a refusal"));
    app.operator().stream().await.unwrap().progress(1).await;
    owner.get_organization(get_organization(&organization.id)).await.expect("streams are not calls");

    first.half_close();
    assert!(first.receive().await.unwrap().is_none());
    let mut third = eventually_finds("a place", async || owner.stream().await.ok()).await;
    third.progress(1).await;
    second.progress(1).await;
}
