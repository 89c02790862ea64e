//! Single checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use guildhall_client::{DenialReason, Error, Freshness, Question, Subject};
use tonic::{Code, Status};

use crate::clock::{ManualClock, ms};
use crate::proto::consistency::Requirement;
use crate::proto::subject::Kind;
use crate::proto::{CheckResponse, Decision};
use crate::server::{Holding, LEASE, Server, decision, question, soon};

fn answer(decision: Decision) -> CheckResponse {
    CheckResponse { decision: Some(decision), revision: "r1".into(), age_ms: 7 }
}

/// Allows what is asked about users that begin with an a.
async fn server(count: &Arc<AtomicUsize>) -> Server {
    let count = Arc::clone(count);
    Server::start_with(move |request, metadata| {
        count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(metadata.get("authorization").unwrap(), "Bearer key");
        assert!(metadata.contains_key("grpc-timeout"));
        let Some(Kind::UserId(user)) = request.item.clone().unwrap().subject.unwrap().kind else { panic!() };
        Ok(answer(decision(user.starts_with('a'))))
    })
    .await
}

#[tokio::test]
async fn what_is_not_held_is_asked() {
    let count = Arc::default();
    let (clock, server) = (ManualClock::new(), server(&count).await);
    let client = server.client(&clock).connect().await.unwrap();
    assert!(client.is_allowed(&question("ada")).await.unwrap());
    assert_eq!(client.ask(&question("ben")).await.unwrap(), Err(DenialReason::NotGranted));
    let checked = client.check(&question("ada"), Freshness::Default).await.unwrap();
    assert_eq!((checked.answer, checked.revision.as_str(), checked.age), (Ok(()), "r1", ms(7)));
    assert_eq!(client.held_count(), 0);
}

#[tokio::test]
async fn what_is_held_is_not_asked_until_the_lease_runs_out() {
    let it = Holding::start(&[("ada", true), ("ben", false)]).await;
    assert!(it.client.is_allowed(&question("ada")).await.unwrap());
    it.clock.advance(LEASE);
    assert!(!it.client.is_allowed(&question("ben")).await.unwrap(), "a denial counts on");
    let error = it.client.is_allowed(&question("ada")).await.unwrap_err();
    assert!(matches!(error, Error::Call(status) if status.code() == Code::PermissionDenied), "the call is refused");
}

#[tokio::test]
async fn what_is_asked_for_again_and_again_comes_to_be_held_within_the_bound() {
    let count = Arc::default();
    let (clock, mut server) = (ManualClock::new(), server(&count).await);
    let client = server.client(&clock).hold_on_use(2).connect().await.unwrap();
    assert!(client.is_allowed(&question("ada")).await.unwrap());
    let mut stream = server.stream().await;
    let id = stream.subscribed().await.subscriptions[0].subscription_id;
    stream.answer("r1", &[(id, true)]).await;
    stream.progress(stream.pings, Duration::ZERO, LEASE).await;
    crate::server::until(|| client.held_answer(&question("ada")) == Some(true)).await;

    assert!(client.is_allowed(&question("ada")).await.unwrap());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    for user in ["alf", "ann", "amy"] {
        assert!(client.is_allowed(&question(user)).await.unwrap());
        assert!(client.held_count() <= 2);
    }
}

#[tokio::test]
async fn freshness_goes_over_the_wire() {
    let server = Server::start_with(|request, _| {
        let requirement = request.consistency.clone().and_then(|it| it.requirement);
        let allowed = match requirement {
            Some(Requirement::MaxAge(age)) => age.nanos == 250_000_000,
            Some(Requirement::AtLeast(revision)) => revision == "r9",
            Some(Requirement::Fresh(fresh)) => fresh,
            None => false,
        };
        Ok(answer(decision(allowed)))
    })
    .await;
    let client = server.client(&ManualClock::new()).connect().await.unwrap();
    for freshness in [Freshness::MaxAge(ms(250)), Freshness::AtLeast("r9"), Freshness::Fresh] {
        assert_eq!(client.check(&question("ada"), freshness).await.unwrap().answer, Ok(()), "{freshness:?}");
    }
    assert!(!client.is_allowed(&question("ada")).await.unwrap());
    let client = server.client(&ManualClock::new()).max_age(ms(250)).connect().await.unwrap();
    assert!(client.is_allowed(&question("ada")).await.unwrap());
}

#[tokio::test]
async fn an_unavailable_server_is_asked_again_and_no_other_error_is() {
    let count = Arc::new(AtomicUsize::new(0));
    let calls = Arc::clone(&count);
    let server = Server::start_with(move |request, _| {
        let Some(Kind::AccessToken(_)) = request.item.clone().unwrap().subject.unwrap().kind else {
            return Err(Status::not_found("no such organization"));
        };
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(Status::unavailable("loading")),
            _ => Ok(answer(decision(true))),
        }
    })
    .await;
    let clock = ManualClock::new();
    let client = server.client(&clock).connect().await.unwrap();
    let token = Question::new(crate::server::ORGANIZATION, Subject::access_token("t"), "project.view");
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.is_allowed(&token).await }
    });
    for calls in 1..=2 {
        crate::server::until(|| count.load(Ordering::SeqCst) == calls).await;
        while count.load(Ordering::SeqCst) == calls {
            clock.advance(ms(50));
            tokio::task::yield_now().await;
        }
    }
    assert!(soon(asking).await.unwrap().unwrap());
    let error = client.is_allowed(&question("ada")).await.unwrap_err();
    assert!(matches!(error, Error::Call(status) if status.code() == Code::NotFound));
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends_in_time() {
    let clock = ManualClock::new();
    let (listener, client) = {
        // Takes connections, and says nothing.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        (listener, guildhall_client::Guildhall::builder(uri).clock(clock.clone()).connect_lazy().unwrap())
    };
    let asking = tokio::spawn(async move { client.is_allowed(&question("ada")).await });
    let _connection = soon(listener.accept()).await.unwrap();
    clock.advance(Duration::from_secs(2));
    let error = soon(asking).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Call(status) if status.code() == Code::DeadlineExceeded));
}
