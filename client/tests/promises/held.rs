//! Holding and letting go.

use guildhall_client::{Error, Question, Subject};

use crate::clock::ManualClock;
use crate::server::{Holding, ORGANIZATION, Server, question, soon, until};

#[tokio::test]
async fn the_last_holder_of_a_question_unsubscribes() {
    let mut it = Holding::start(&[("ada", true), ("ben", true)]).await;
    let again = it.client.hold(&question("ada")).unwrap();
    let clone = it.held[0].clone();
    assert!(again.is_allowed(), "it is held already");

    drop(again);
    drop(it.held.remove(0));
    assert!(clone.is_allowed());
    drop(clone);
    assert_eq!(it.stream.unsubscribed().await, [it.ids[0]]);
    until(|| it.client.held_count() == 1).await;
    assert_eq!(it.client.held_answer(&question("ada")), None);
    assert_eq!(it.client.held_answer(&question("ben")), Some(true));
}

#[tokio::test]
async fn what_is_held_at_once_goes_in_frames_of_a_thousand() {
    let (clock, mut server) = (ManualClock::new(), Server::start().await);
    let client = server.client(&clock).connect_lazy().unwrap();
    let held: Vec<_> = (0..2_500).map(|user| client.hold(&question(&user.to_string())).unwrap()).collect();
    let mut stream = server.stream().await;
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < held.len() {
        sizes.push(stream.subscribed().await.subscriptions.len());
    }
    assert!(sizes.iter().all(|size| *size <= 1_000), "{sizes:?}");
}

#[tokio::test]
async fn long_texts_do_not_make_a_frame_that_a_server_refuses() {
    let (clock, mut server) = (ManualClock::new(), Server::start().await);
    let client = server.client(&clock).connect_lazy().unwrap();
    let token = |number: usize| Subject::access_token(format!("{number:04000}"));
    let held: Vec<_> = (0..1_200)
        .map(|number| client.hold(&Question::new(ORGANIZATION, token(number), "project.view")).unwrap())
        .collect();
    let mut stream = server.stream().await;
    let mut count = 0;
    while count < held.len() {
        count += stream.subscribed().await.subscriptions.len();
    }
}

#[tokio::test]
async fn what_cannot_be_held_is_refused_before_it_ends_the_stream() {
    let (clock, server) = (ManualClock::new(), Server::start().await);
    let client = server.client(&clock).capacity(1).connect_lazy().unwrap();
    let malformed = Question::new("acme", Subject::user("ada"), "project.view");
    assert!(matches!(client.hold(&malformed), Err(Error::QuestionMalformed(_))));
    let _one = client.hold(&question("ada")).unwrap();
    assert!(matches!(client.hold(&question("ben")), Err(Error::HeldExhausted(1))));
}

#[tokio::test]
async fn the_task_ends_with_the_last_handle_and_an_end_is_waited_for() {
    let mut it = Holding::start(&[("ada", true)]).await;
    let (held, mut stream) = (it.held.remove(0), it.stream);
    drop(it.client);
    assert!(held.is_allowed(), "a guard keeps it up");
    drop(held);
    soon(stream.ended()).await;

    let it = Holding::start(&[("ada", true)]).await;
    soon(it.client.close()).await;
    assert!(it.held[0].is_allowed(), "to the end of the lease");
    it.clock.advance(crate::server::LEASE);
    assert!(!it.held[0].is_allowed());
}
