//! How long a held "allow" counts.

use std::time::Duration;

use crate::clock::{ManualClock, ms};
use crate::proto::Decision;
use crate::server::{Holding, LEASE, Server, question, soon, until};

/// What the smallest step of the clock is.
const NANO: Duration = Duration::from_nanos(1);

#[tokio::test]
async fn an_allow_counts_to_the_last_nanosecond_of_the_lease_and_no_longer() {
    let it = Holding::start(&[("ada", true)]).await;

    it.clock.advance(LEASE - NANO);
    assert_eq!(it.client.held_answer(&question("ada")), Some(true));
    it.clock.advance(NANO);
    assert_eq!(it.client.held_answer(&question("ada")), None);
    assert!(!it.held[0].is_allowed(), "what is not known is denied");
}

#[tokio::test]
async fn a_denial_counts_after_the_lease() {
    let it = Holding::start(&[("ada", false)]).await;
    it.clock.advance(LEASE * 1_000);
    assert_eq!(it.client.held_answer(&question("ada")), Some(false));
}

#[tokio::test]
async fn the_lease_is_counted_from_when_the_ping_was_sent_less_the_age() {
    let mut it = Holding::start(&[("ada", true)]).await;
    it.clock.advance(ms(800));
    let ping = it.stream.ping(3).await;
    // The echo is two seconds on its way, and of something that is 300 ms old.
    it.clock.advance(ms(2_000));
    it.stream.progress(ping, ms(300), LEASE).await;
    until(|| it.client.lease_left() == LEASE - ms(2_300)).await;

    it.clock.advance(LEASE - ms(2_300) - NANO);
    assert!(it.held[0].is_allowed());
    it.clock.advance(NANO);
    assert!(!it.held[0].is_allowed());
}

#[tokio::test]
async fn the_margin_is_taken_off() {
    let (clock, mut server) = (ManualClock::new(), Server::start().await);
    let client = server.client(&clock).lease_margin(ms(200)).lease_max(ms(3_000)).connect().await.unwrap();
    let _held = client.hold(&question("ada")).unwrap();
    let mut stream = server.stream().await;
    let ping = stream.ping(1).await;
    stream.progress(ping, Duration::ZERO, Duration::from_hours(1)).await;
    until(|| client.lease_left() > Duration::ZERO).await;
    assert_eq!(client.lease_left(), ms(2_800), "nor is any lease taken that is longer than this client takes");
}

#[tokio::test]
async fn an_echo_that_was_told_before_or_was_never_asked_for_proves_nothing() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    it.clock.advance(ms(800));
    it.stream.ping(3).await;
    it.clock.advance(ms(800));
    it.stream.ping(4).await;
    it.stream.progress(4, Duration::ZERO, LEASE).await;
    until(|| it.client.lease_left() == LEASE).await;
    it.clock.advance(ms(100));

    // Older, again, and of a ping that this client has not sent.
    for number in [3, 4, 99] {
        it.stream.progress(number, Duration::ZERO, LEASE * 2).await;
    }
    Holding::heard(&it.stream, it.ids[1], &it.held[1]).await;
    assert_eq!(it.client.lease_left(), LEASE - ms(100));
}

#[tokio::test]
async fn an_allow_does_not_count_before_the_first_echo_and_a_denial_does() {
    let (clock, mut server) = (ManualClock::new(), Server::start().await);
    let client = server.client(&clock).connect().await.unwrap();
    let held = [client.hold(&question("ada")).unwrap(), client.hold(&question("ben")).unwrap()];
    let mut stream = server.stream().await;
    let subscribed = stream.subscribed().await;
    let ids: Vec<_> = subscribed.subscriptions.iter().map(|it| it.subscription_id).collect();

    stream.answer("r1", &[(ids[0], true), (ids[1], false)]).await;
    until(|| held[1].answer().is_some()).await;
    assert_eq!(held[0].answer(), None);
    stream.progress(stream.pings, Duration::ZERO, LEASE).await;
    until(|| held[0].is_allowed()).await;
}

#[tokio::test]
async fn a_change_is_applied_before_the_echo_that_follows_it() {
    let mut it = Holding::start(&[("ada", true)]).await;
    it.stream.answer("r2", &[(it.ids[0], false)]).await;
    assert!(soon(it.held[0].changed()).await.unwrap().is_err());
    it.stream.answer("r3", &[(it.ids[0], true)]).await;
    assert!(soon(it.held[0].changed()).await.unwrap().is_ok(), "it counts under the echo before it");
}

#[tokio::test]
async fn an_allow_that_is_older_than_the_echo_before_it_shortens_the_lease() {
    let mut it = Holding::start(&[("ada", false)]).await;
    it.stream.change("r2", ms(1_500), vec![(it.ids[0], Decision { allowed: true, ..Decision::default() })]).await;
    assert!(soon(it.held[0].changed()).await.unwrap().is_ok());
    assert_eq!(it.client.lease_left(), LEASE - ms(1_500));
}

#[tokio::test]
async fn the_validity_of_an_answer_is_counted_from_the_ping_that_was_echoed_before_it() {
    let mut it = Holding::start(&[("ada", false)]).await;
    // Computed at any time after the ping that is echoed; now, for all that the client knows.
    it.clock.advance(ms(400));
    let allowed = Decision { allowed: true, reason: 0, valid_for_ms: Some(1_000), malformed_field: 0 };
    it.stream.change("r2", Duration::ZERO, vec![(it.ids[0], allowed)]).await;
    assert!(soon(it.held[0].changed()).await.unwrap().is_ok());

    it.clock.advance(ms(600) - NANO);
    assert!(it.held[0].is_allowed());
    it.clock.advance(NANO);
    assert_eq!(it.held[0].answer(), None, "though the lease goes on for seconds");
    assert!(it.client.lease_left() > ms(3_000));
}

#[tokio::test]
async fn what_was_prolonged_is_asked_for_anew_once_its_validity_has_passed() {
    let mut it = Holding::start(&[("ada", false)]).await;
    let allowed = Decision { allowed: true, reason: 0, valid_for_ms: Some(600), malformed_field: 0 };
    it.stream.change("r2", Duration::ZERO, vec![(it.ids[0], allowed)]).await;
    assert!(soon(it.held[0].changed()).await.unwrap().is_ok());
    it.clock.advance(ms(600));
    assert!(soon(it.held[0].changed()).await.is_none());

    it.clock.advance(ms(1_000));
    assert_eq!(it.stream.unsubscribed().await, [it.ids[0]]);
    let again = it.stream.subscribed().await.subscriptions.remove(0);
    assert_ne!(again.subscription_id, it.ids[0], "an answer that is on its way must not be taken for the new one's");
    assert_eq!(again.known_allowed, None);
    it.stream.answer("r3", &[(again.subscription_id, true)]).await;
    assert!(soon(it.held[0].changed()).await.unwrap().is_ok());
}

#[tokio::test]
async fn who_waits_for_a_turn_is_told_when_the_lease_runs_out_and_when_it_begins_again() {
    let mut it = Holding::start(&[("ada", true)]).await;
    let mut held = it.held.remove(0);
    let waiting = tokio::spawn(async move { (held.changed().await, held) });
    it.clock.advance(LEASE);
    let (lapsed, mut held) = soon(waiting).await.unwrap();
    assert_eq!(lapsed, None);

    let waiting = tokio::spawn(async move { held.changed().await });
    let ping = it.stream.ping(3).await;
    it.stream.progress(ping, Duration::ZERO, LEASE).await;
    assert_eq!(soon(waiting).await.unwrap(), Some(Ok(())));
}

#[tokio::test]
async fn what_is_not_proven_fresh_enough_is_no_answer() {
    let mut it = Holding::start(&[("ada", true)]).await;
    let stale = Decision { allowed: false, reason: 5, valid_for_ms: None, malformed_field: 0 };
    it.stream.change("r2", Duration::ZERO, vec![(it.ids[0], stale)]).await;
    assert!(soon(it.held[0].changed()).await.is_none());
}
