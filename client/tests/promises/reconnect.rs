//! What comes when a stream is lost.

use std::time::Duration;

use guildhall_client::Guildhall;
use tonic::Status;

use crate::clock::ms;
use crate::proto::Decision;
use crate::server::{Holding, LEASE, ORGANIZATION, Stream, question, soon, until};

fn lost() -> Status {
    Status::unavailable("gone")
}

/// Ends the stream, and takes the next one once the client may open it.
async fn reconnect(it: &mut Holding, status: Status) -> Stream {
    it.stream.end(status).await;
    // The lease is taken from everything when the end is heard.
    until(|| it.client.lease_left().is_zero()).await;
    it.clock.advance(ms(100));
    it.server.stream().await
}

#[tokio::test]
async fn a_new_stream_is_told_what_is_known_and_the_newest_revision() {
    let mut it = Holding::start(&[("ada", true), ("ben", false), ("eve", true)]).await;
    it.stream.answer("r2", &[(it.ids[1], true), (it.ids[2], false)]).await;
    until(|| it.held[1].is_allowed() && !it.held[2].is_allowed()).await;

    let mut stream = reconnect(&mut it, lost()).await;
    assert_eq!(stream.credential.as_deref(), Some("Bearer key"));
    let subscribed = stream.subscribed().await;
    assert_eq!((subscribed.organization_id.as_str(), subscribed.at_least.as_str()), (ORGANIZATION, "r2"));
    let known: Vec<_> = subscribed.subscriptions.iter().map(|it| it.known_allowed).collect();
    assert_eq!(known, [Some(true), Some(true), None], "the last one is to tell that the frame was taken in");
}

#[tokio::test]
async fn silence_about_what_is_known_counts_once_the_frame_is_surely_taken_in() {
    let mut it = Holding::start(&[("ada", true), ("ben", true)]).await;
    let mut stream = reconnect(&mut it, lost()).await;
    let ids: Vec<_> = stream.subscribed().await.subscriptions.iter().map(|it| it.subscription_id).collect();
    it.clock.advance(ms(50));
    let ping = stream.ping(2).await;

    // A server that reads pings before it has looked at a frame that was sent earlier.
    stream.progress(ping, Duration::ZERO, LEASE).await;
    until(|| it.client.lease_left() == LEASE).await;
    // The end of the first stream's lease; the new one's goes on for 150 ms.
    it.clock.advance(LEASE - ms(150));
    assert_eq!(it.held[0].answer(), None, "the echo proves nothing of what may not be subscribed to yet");
    assert!(it.client.lease_left() > Duration::ZERO);

    // Now it has, and says so by the answer that is owed.
    stream.answer("r2", &[(ids[1], false)]).await;
    until(|| it.held[1].answer() == Some(Err(guildhall_client::DenialReason::NotGranted))).await;
    assert_eq!(it.held[0].answer(), None, "an echo has to follow");
    let ping = stream.ping(3).await;
    stream.progress(ping, Duration::ZERO, LEASE).await;
    until(|| it.held[0].is_allowed()).await;
}

#[tokio::test]
async fn an_echo_of_a_ping_that_was_sent_before_the_frame_does_not_cover_its_silence() {
    let mut it = Holding::start(&[("ada", true), ("ben", true)]).await;
    let mut stream = reconnect(&mut it, lost()).await;
    let ids: Vec<_> = stream.subscribed().await.subscriptions.iter().map(|it| it.subscription_id).collect();
    stream.answer("r2", &[(ids[1], false)]).await;
    stream.progress(1, Duration::ZERO, LEASE).await;
    until(|| it.client.lease_left() == LEASE).await;
    it.clock.advance(LEASE - ms(100));
    assert_eq!(it.held[0].answer(), None);
    assert!(it.client.lease_left() > Duration::ZERO);
}

#[tokio::test]
async fn what_an_old_stream_allowed_counts_to_the_end_of_its_own_lease() {
    let mut it = Holding::start(&[("ada", true), ("ben", true)]).await;
    let mut stream = reconnect(&mut it, lost()).await;
    assert!(it.held[0].is_allowed(), "100 ms after the stream was lost");

    // The new stream is proven and says nothing of ada.
    it.clock.advance(ms(800));
    stream.subscribed().await;
    let ping = stream.ping(2).await;
    stream.progress(ping, Duration::ZERO, LEASE).await;
    until(|| it.client.lease_left() == LEASE).await;
    it.clock.advance(LEASE - ms(900));
    assert!(!it.held[0].is_allowed());
    assert!(it.client.lease_left() > Duration::ZERO);
}

#[tokio::test]
async fn an_echo_of_the_old_stream_lengthens_nothing_of_the_new_one() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    // Five pings on the old stream, of which the newest is old.
    for number in 3..=5 {
        it.clock.advance(ms(800));
        it.stream.ping(number).await;
    }
    it.stream.progress(5, Duration::ZERO, LEASE).await;
    until(|| it.client.lease_left() == LEASE).await;
    let mut stream = reconnect(&mut it, lost()).await;
    let ids: Vec<_> = stream.subscribed().await.subscriptions.iter().map(|it| it.subscription_id).collect();

    stream.answer("r2", &[(ids[0], true), (ids[1], true)]).await;
    stream.progress(5, Duration::ZERO, LEASE).await;
    Holding::heard(&stream, ids[1], &it.held[1]).await;
    assert!(it.client.lease_left().is_zero(), "ping 5 was not sent on this stream");
}

#[tokio::test]
async fn what_is_allowed_past_its_own_validity_is_not_said_to_be_known() {
    let mut it = Holding::start(&[("ada", false), ("ben", false)]).await;
    let allowed =
        |valid_for_ms| Decision { allowed: true, reason: 0, valid_for_ms: Some(valid_for_ms), malformed_field: 0 };
    it.stream.change("r2", Duration::ZERO, vec![(it.ids[0], allowed(50)), (it.ids[1], allowed(10_000))]).await;
    until(|| it.held[1].is_allowed()).await;
    // 100 ms pass meanwhile.
    let mut stream = reconnect(&mut it, lost()).await;
    let _also = it.client.hold(&question("eve")).unwrap();
    let subscribed = stream.subscribed().await;
    assert_eq!(subscribed.subscriptions[0].known_allowed, None);
}

#[tokio::test]
async fn a_vanished_history_is_forgotten_with_its_answers() {
    use tonic_types::{ErrorDetails, StatusExt};
    let mut it = Holding::start(&[("ada", true), ("ben", false)]).await;
    let details = ErrorDetails::with_error_info("REVISION_VANISHED", "guildhall", []);
    let status = Status::with_error_details(tonic::Code::FailedPrecondition, "vanished", details);
    let mut stream = reconnect(&mut it, status).await;
    assert!(it.held.iter().all(|held| held.answer().is_none()));
    let subscribed = stream.subscribed().await;
    assert_eq!(subscribed.at_least, "");
    assert!(subscribed.subscriptions.iter().all(|it| it.known_allowed.is_none()));
}

#[tokio::test]
async fn two_revisions_of_which_either_may_be_newer_are_both_named() {
    let mut it = Holding::start(&[("ada", true), ("ben", true), ("fence", true)]).await;
    it.stream.answer("r7", &[(it.ids[1], false)]).await;
    it.clock.advance(ms(800));
    let ping = it.stream.ping(3).await;
    it.stream.progress_at(ping, Duration::ZERO, LEASE, "r6").await;
    until(|| it.client.lease_left() == LEASE).await;

    let mut stream = reconnect(&mut it, lost()).await;
    let first = stream.subscribed().await;
    assert_eq!((first.at_least.as_str(), first.subscriptions.len()), ("r7", 1));
    let all = stream.subscribed().await;
    assert_eq!((all.at_least.as_str(), all.subscriptions.len()), ("r6", 3));
    // The first was made for the revision only.
    let only = first.subscriptions[0].subscription_id;
    stream.answer("r8", &[(only, true)]).await;
    assert_eq!(stream.unsubscribed().await, [only]);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let mut it = Holding::start(&[("ada", true)]).await;
    it.clock.advance(ms(8_000));
    soon(it.stream.ended()).await;
    it.clock.advance(ms(100));
    let mut stream = it.server.stream().await;
    assert_eq!(stream.subscribed().await.subscriptions.len(), 1);
}

#[tokio::test]
async fn a_server_that_refuses_is_not_asked_all_the_time() {
    let mut it = Holding::start(&[("ada", true)]).await;
    it.stream.end(Status::unauthenticated("revoked")).await;
    until(|| it.client.lease_left().is_zero()).await;
    it.clock.advance(ms(4_000));
    assert!(it.held[0].is_allowed() && !it.server.has_stream(), "the lease of what is held goes on");
    it.clock.advance(ms(6_000));
    it.server.stream().await;
}

#[tokio::test]
async fn a_server_that_reads_slowly_costs_no_memory_and_loses_nothing() {
    let mut it = Holding::start(&[("ada", true)]).await;
    // Far more than the windows of a connection hold, while the server reads nothing.
    let long = "x".repeat(120);
    let questions = (0..40_000).map(|number| question("ben").on("document", format!("{long}{number}")));
    let mut held: Vec<_> = questions.map(|question| it.client.hold(&question).unwrap()).collect();
    it.clock.advance(ms(800));
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    // What is let go before it was sent is never sent.
    let kept = held.split_off(20_000);
    drop(held);
    until(|| it.client.held_count() == 20_001).await;

    let mut subscribed = std::collections::BTreeSet::new();
    while !kept.iter().all(|held| subscribed.contains(held.question().resource().unwrap().1)) {
        match it.stream.read().await.unwrap() {
            crate::proto::stream_checks_request::Frame::Subscribe(frame) => {
                assert!(frame.subscriptions.len() <= 1_000);
                let ids = frame.subscriptions.into_iter().map(|it| it.item.unwrap().resource.unwrap().id);
                subscribed.extend(ids);
            }
            crate::proto::stream_checks_request::Frame::Ping(_)
            | crate::proto::stream_checks_request::Frame::Unsubscribe(_) => {}
            frame @ crate::proto::stream_checks_request::Frame::Check(_) => panic!("{frame:?}"),
        }
    }
    assert!(subscribed.len() < 40_000, "what was let go meanwhile is not");
}

#[tokio::test]
async fn a_client_that_cannot_connect_says_so() {
    let error = Guildhall::builder("http://127.0.0.1:1").connect().await.unwrap_err();
    assert!(matches!(error, guildhall_client::Error::Connect(_)));
    let error = Guildhall::builder("not a uri").connect_lazy().unwrap_err();
    assert!(matches!(error, guildhall_client::Error::Connect(_)));
    let error = Guildhall::builder("http://127.0.0.1:1").credential("a\nb").connect_lazy().unwrap_err();
    assert!(matches!(error, guildhall_client::Error::CredentialMalformed));
}
