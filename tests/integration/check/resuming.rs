//! Resubscribing with the answers that are held: only differences come, on any server, and never from behind.

use guildhall::proto;
use guildhall::proto::stream_checks_request::Frame as Asked;

use super::{position, scene};
use crate::harness::messages::{change, grant, item, membership, revoke};
use crate::harness::{Checks, Database, Organization, Person, TestApp, as_member, project};
use crate::on_both;

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// Subscribes to what a person may view, with the answers that are held.
async fn resume(stream: &Checks, organization: &str, person: &Person, known: [Option<bool>; 3], at_least: &str) {
    let subscriptions = (1..).zip(NAMES.into_iter().zip(known)).map(|(subscription_id, (name, known_allowed))| {
        let item = Some(item(&person.user_id, "project.view", Some(project(name))));
        proto::Subscription { subscription_id, item, known_allowed }
    });
    let (subscriptions, organization_id) = (subscriptions.collect(), organization.to_owned());
    let at_least = at_least.to_owned();
    stream.send(Asked::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least })).await;
}

/// Takes a list entry away while nobody listens, and gives another; tells the revision.
async fn swap(organization: &Organization, bob: &Person) -> String {
    let member = || membership(&bob.membership_id);
    let deltas = vec![revoke(member(), as_member(project("alpha"))), grant(member(), as_member(project("gamma")))];
    organization.owner.call.change_grants(change(&organization.id, deltas)).await.unwrap().revision
}

/// Resumes on `app` what was held on another stream, as often as this goes both ways.
async fn must_resume(app: &TestApp, key: &str, organization: &Organization, bob: &Person, swapped: &str) {
    let mut stream = app.with(key).stream().await.unwrap();
    resume(&stream, &organization.id, bob, [Some(true), Some(true), Some(false)], swapped).await;
    let frame = stream.change_frame().await;
    assert!(position(&frame.revision).revision >= position(swapped).revision, "from behind what was named");
    let told: Vec<_> =
        frame.changes.iter().map(|it| (it.subscription_id, it.decision.as_ref().unwrap().allowed)).collect();
    assert_eq!(told, [(1, false), (2, false), (3, true)]);
    stream.progress(1).await;

    // With what is right nothing comes, and what turns after does.
    let mut stream = app.with(key).stream().await.unwrap();
    resume(&stream, &organization.id, bob, [Some(false), Some(false), Some(true)], swapped).await;
    let progress = stream.progress(1).await;
    assert!(position(&progress.organizations[0].revision).revision >= position(swapped).revision);
    // Of some it is known, of others it is not.
    let mut stream = app.with(key).stream().await.unwrap();
    resume(&stream, &organization.id, bob, [Some(true), None, Some(true)], swapped).await;
    assert_eq!(stream.changes().await, [(1, false), (2, false)].into());
    stream.progress(1).await;
}

on_both! {
    async fn after_a_break_only_what_differs_is_sent(app) {
        let (organization, bob) = scene(&app).await;
        let key = app.backend(&organization).await.credential.unwrap();
        let mut stream = app.with(&key).stream().await.unwrap();
        resume(&stream, &organization.id, &bob, [None; 3], "").await;
        assert_eq!(stream.changes().await, [(1, true), (2, true), (3, false)].into());
        drop(stream);
        let swapped = swap(&organization, &bob).await;
        must_resume(&app, &key, &organization, &bob, &swapped).await;
    }

    async fn a_number_that_is_in_use_is_answered_anew_whatever_is_known_of_it(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        resume(&stream, &organization.id, &bob, [None; 3], "").await;
        stream.changes().await;
        // A change may be under way while the client says what it knows: what it knows is then not what it holds.
        resume(&stream, &organization.id, &bob, [Some(true), Some(true), Some(false)], "").await;
        assert_eq!(stream.changes().await, [(1, true), (2, true), (3, false)].into());
        stream.progress(1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_resumes_and_never_from_behind_the_revision_that_is_named() {
    let app = TestApp::start(Database::Postgres).await;
    let (organization, bob) = scene(&app).await;
    let key = app.backend(&organization).await.credential.unwrap();
    let other = app.replica().await;
    // It has the organization in memory, as of now.
    let mut stream = other.with(&key).stream().await.unwrap();
    resume(&stream, &organization.id, &bob, [None; 3], "").await;
    assert_eq!(stream.changes().await, [(1, true), (2, true), (3, false)].into());
    drop(stream);
    for _ in 0..3 {
        let swapped = swap(&organization, &bob).await;
        // At once: no poll has told it.
        must_resume(&other, &key, &organization, &bob, &swapped).await;
        let member = || membership(&bob.membership_id);
        let deltas = vec![revoke(member(), as_member(project("gamma"))), grant(member(), as_member(project("alpha")))];
        organization.owner.call.change_grants(change(&organization.id, deltas)).await.unwrap();
    }
}
