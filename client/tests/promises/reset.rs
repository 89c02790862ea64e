//! What is dropped when the server says that the subscriptions of an organization are gone.

use std::time::Duration;

use guildhall_client::{DenialReason, Question, Subject};

use crate::clock::ms;
use crate::server::{Holding, LEASE, ORGANIZATION, OTHER_ORGANIZATION, soon, until};

#[tokio::test]
async fn without_the_right_to_be_told_all_is_denied_and_asked_for_again_slowly() {
    let mut it = Holding::start(&[("ada", true)]).await;
    it.stream.reset(ORGANIZATION, "PERMISSION_MISSING").await;
    assert_eq!(soon(it.held[0].changed()).await, Some(Err(DenialReason::Refused)));
    assert_eq!(it.stream.unsubscribed().await, [it.ids[0]]);

    for number in 3..22 {
        it.clock.advance(ms(1_000));
        let ping = it.stream.ping(number).await;
        it.stream.progress(ping, Duration::ZERO, LEASE).await;
        until(|| it.client.lease_left() == LEASE).await;
    }
    assert_eq!(it.held[0].answer(), Some(Err(DenialReason::Refused)), "an echo brings nothing back");
    it.clock.advance(ms(1_000));
    let again = it.stream.subscribed().await.subscriptions.remove(0);
    assert_eq!(again.known_allowed, None);
    it.stream.answer("r2", &[(again.subscription_id, true)]).await;
    assert_eq!(soon(it.held[0].changed()).await, Some(Ok(())));
}

#[tokio::test]
async fn after_a_vanished_history_it_begins_from_nothing_at_once() {
    let mut it = Holding::start(&[("ada", true), ("ben", false)]).await;
    it.stream.reset(ORGANIZATION, "REVISION_VANISHED").await;
    assert_eq!(soon(it.held[0].changed()).await, None);
    assert_eq!(it.held[1].answer(), None);

    assert_eq!(it.stream.unsubscribed().await, it.ids);
    let again = it.stream.subscribed().await;
    assert_eq!(again.at_least, "");
    assert!(again.subscriptions.iter().all(|it| it.known_allowed.is_none()));

    // What is still on its way to the old ones is nobody's.
    it.stream.answer("r1", &[(it.ids[0], true)]).await;
    it.stream.answer("r2", &[(again.subscriptions[1].subscription_id, false)]).await;
    until(|| it.held[1].answer().is_some()).await;
    assert_eq!(it.held[0].answer(), None);
}

#[tokio::test]
async fn a_reset_for_want_of_an_index_is_tried_again_soon_and_less_and_less_often() {
    let mut it = Holding::start(&[("ada", true)]).await;
    for longest in [100, 200, 400] {
        it.stream.reset(ORGANIZATION, "INDEX_LOADING").await;
        until(|| it.held[0].answer().is_none()).await;
        it.stream.unsubscribed().await;
        it.clock.advance(ms(longest));
        let again = it.stream.subscribed().await;
        assert_eq!((again.at_least.as_str(), again.subscriptions[0].known_allowed), ("r1", None));
    }
}

#[tokio::test]
async fn other_organizations_are_left_alone() {
    let mut it = Holding::start(&[("ada", true)]).await;
    let other = Question::new(OTHER_ORGANIZATION, Subject::user("ada"), "project.view");
    let mut other = it.client.hold(&other).unwrap();
    let subscribed = it.stream.subscribed().await;
    assert_eq!(subscribed.organization_id, OTHER_ORGANIZATION);
    it.stream.answer("o1", &[(subscribed.subscriptions[0].subscription_id, false)]).await;
    assert!(soon(other.answered()).await.is_err());

    it.stream.reset(OTHER_ORGANIZATION, "INDEX_STALE").await;
    assert_eq!(soon(other.changed()).await, None);
    assert!(it.held[0].is_allowed());
}
