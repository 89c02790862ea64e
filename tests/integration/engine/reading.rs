//! A client that reads late: it costs nobody else anything, and is told what is true when it reads.

use std::sync::Arc;
use std::time::Duration;

use guildhall::authz::{Answer, Item, Output, Requirement, Settings, Stream, Update};
use guildhall::clock::Clock;
use guildhall::domain::fact::{Grant, Held, OrganizationFact, Scope};
use guildhall::domain::place::Place;

use super::{Stage, may_view, operator};
use crate::harness::PATIENCE;

/// Asks for a check on a stream that nobody reads beyond the beginning of the answer.
async fn asked_and_not_read(stage: &Stage, requirement: Requirement) -> Stream<Vec<Item>> {
    let mut stream = Stream::new(Arc::clone(&stage.engine), operator());
    let questions = vec![Ok(may_view(0, 0))];
    stream.take(Update::Check { frame: 1, organization: super::organization(0), questions, requirement }).unwrap();
    tokio::select! {
        biased;
        output = stream.next() => panic!("{output:?} came at once"),
        () = std::future::ready(()) => {}
    }
    stream
}

#[tokio::test]
async fn who_stops_reading_while_an_answer_is_made_holds_up_nobody() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, 4);
    stage.must_answer(id).await;
    stage.ledger.hesitate(3);
    let unread =
        [asked_and_not_read(&stage, Requirement::Fresh).await, asked_and_not_read(&stage, Requirement::Fresh).await];
    let others = async {
        for member in 10..40 {
            stage.commit(id, super::joined(member).to_vec()).await;
            stage.engine.view(id, Requirement::Fresh, operator().subject).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, others).await.expect("others go on");

    // Whoever reads again is not told what was true when they stopped.
    let head = stage.ledger.state(Scope::Organization(id)).position;
    for mut stream in unread {
        match stream.next().await.unwrap() {
            Output::Decisions { answers: Ok((answers, view)), .. } => {
                assert!(answers[0].is_allowed());
                assert_eq!(view.token().position, head);
            }
            other => panic!("expected decisions, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_reached_for_a_slow_reader_and_replaced_meanwhile_is_told_to_have_vanished() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, 4);
    let scope = Scope::Organization(id);
    let before = stage.ledger.state(scope).facts;
    stage.must_answer(id).await;
    stage.commit(id, super::joined(50).to_vec()).await;
    let token = stage.view(id).await.unwrap().token();
    stage.ledger.hesitate(3);
    let mut stream = asked_and_not_read(&stage, Requirement::AtLeast(token)).await;
    // It is reached while nobody reads.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let other = super::joined(60).to_vec();
    let after = before.into_iter().chain(other.clone()).collect();
    let position = stage.ledger.rewrite(scope, 1, other, after, |_| {});
    stage.engine.committed(Some((id, position)), None).await;

    match stream.next().await.unwrap() {
        Output::Decisions { answers: Err(error), .. } => {
            assert_eq!(error.reason, guildhall::domain::error::Reason::RevisionVanished);
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn an_end_that_is_gone_by_the_time_it_comes_is_told_to_be_gone() {
    let stage = Stage::new(Settings::default()).await;
    let id = stage.found(0, 4);
    let now = stage.clock.now();
    let minute = Duration::from_mins(1);
    let entry = |number, expires_at| {
        OrganizationFact::Grant(Grant {
            expires_at,
            ..super::held(number, 0, Place::Resource(super::project(3)), Held::AsMember)
        })
    };
    stage.commit(id, vec![entry(0xe_0000, Some(now.plus(minute)))]).await;
    let mut stream: Stream<Vec<Item>> = Stream::new(Arc::clone(&stage.engine), operator());
    let subscriptions = vec![(1, Ok(may_view(0, 3)), None)];
    stream.take(Update::Subscribe { organization: id, subscriptions, at_least: None }).unwrap();
    let until = async |stream: &mut Stream<Vec<Item>>| match stream.next().await.unwrap() {
        Output::Changes { changes, .. } => changes[0].1,
        other => panic!("expected a change, got {other:?}"),
    };
    assert_eq!(until(&mut stream).await, Answer::Allowed { until: Some(now.plus(minute)) });

    // Nobody reads while it is listed for good, and while the end that was told passes.
    stage.commit(id, vec![entry(0xe_0001, None)]).await;
    stage.clock.advance(minute);
    stream.take(Update::Ping(1)).unwrap();
    assert_eq!(until(&mut stream).await, Answer::Allowed { until: None });
}
