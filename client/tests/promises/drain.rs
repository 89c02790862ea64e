//! A stream that drains, and the one that follows it.

use std::time::Duration;

use guildhall_client::Held;

use crate::clock::ms;
use crate::server::{Holding, LEASE, Stream, soon, until};

/// Has the server drain its stream, and gives the next one with the ids of its subscriptions.
async fn drain(it: &mut Holding) -> (Stream, Vec<u64>) {
    it.stream.draining(Duration::from_secs(8)).await;
    Holding::heard(&it.stream, *it.ids.last().unwrap(), it.held.last().unwrap()).await;
    it.clock.advance(ms(1_000));
    let mut next = it.server.stream().await;
    let subscribed = next.subscribed().await;
    (next, subscribed.subscriptions.iter().map(|it| it.subscription_id).collect())
}

fn is_denied(held: &Held) -> bool {
    held.answer().is_some_and(|answer| answer.is_err())
}

#[tokio::test]
async fn the_next_stream_is_opened_beside_and_the_old_one_then_let_go() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    let (mut next, ids) = drain(&mut it).await;

    // The old one works as before.
    let ping = it.stream.ping(3).await;
    it.stream.progress(ping, Duration::ZERO, LEASE).await;
    until(|| it.client.lease_left() == LEASE).await;

    it.clock.advance(ms(50));
    let ping = next.ping(2).await;
    next.answer("n1", &[(ids[1], false), (ids[0], true)]).await;
    next.progress(ping, Duration::ZERO, LEASE).await;
    soon(it.stream.ended()).await;
    assert!(it.held[0].is_allowed() && is_denied(&it.held[1]));
    until(|| it.client.lease_left() == LEASE).await;

    next.answer("n2", &[(ids[0], false)]).await;
    assert!(soon(it.held[0].changed()).await.unwrap().is_err());
}

#[tokio::test]
async fn an_echo_of_the_next_stream_lengthens_nothing_of_the_old_one() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    let (mut next, ids) = drain(&mut it).await;
    it.clock.advance(ms(50));
    let ping = next.ping(2).await;
    // It has not looked at ada yet.
    next.progress(ping, Duration::ZERO, LEASE).await;
    next.answer("n1", &[(ids[1], false)]).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(it.client.lease_left(), LEASE - ms(1_050), "since the last echo of the old one");
}

#[tokio::test]
async fn what_the_next_stream_denies_is_denied_at_once() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    let (next, ids) = drain(&mut it).await;
    next.answer("n1", &[(ids[0], false)]).await;
    until(|| is_denied(&it.held[0])).await;
}

#[tokio::test]
async fn what_turns_on_the_old_stream_is_asked_anew_of_the_next() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    let (mut next, ids) = drain(&mut it).await;
    it.stream.answer("r9", &[(it.ids[0], false)]).await;
    until(|| is_denied(&it.held[0])).await;

    assert_eq!(next.unsubscribed().await, [ids[0]]);
    let again = next.subscribed().await;
    assert_eq!(again.at_least, "r9");
    assert_eq!(again.subscriptions[0].known_allowed, Some(false));
}

#[tokio::test]
async fn the_next_stream_takes_over_if_the_old_one_ends_before_it_is_ready() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    let (mut next, ids) = drain(&mut it).await;
    it.stream.end(tonic::Status::unavailable("drained")).await;
    until(|| it.client.lease_left().is_zero()).await;
    assert!(it.held[0].is_allowed(), "by what was left of the old lease");

    it.clock.advance(ms(50));
    let ping = next.ping(2).await;
    next.answer("n1", &[(ids[1], true), (ids[0], true)]).await;
    next.progress(ping, Duration::ZERO, LEASE).await;
    until(|| it.held[1].is_allowed()).await;
    it.clock.advance(LEASE - ms(1));
    assert!(it.held[0].is_allowed(), "by the new lease");
}

#[tokio::test]
async fn a_following_stream_that_is_lost_is_opened_again_while_the_old_one_lives() {
    let mut it = Holding::start(&[("ada", true), ("fence", true)]).await;
    let (mut next, _) = drain(&mut it).await;
    next.end(tonic::Status::unavailable("drains as well")).await;
    soon(next.ended()).await;
    it.clock.advance(ms(100));
    let mut third = it.server.stream().await;
    assert_eq!(third.subscribed().await.subscriptions.len(), 2);
    assert!(it.held[0].is_allowed());
}
