//! In which order a stream speaks: a ping is answered after what was subscribed to before it, and `progress` names what
//! has moved.

use guildhall::proto;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;

use super::{position, scene, subscribe_to};
use crate::harness::messages::{change, disable, grant, item, membership};
use crate::harness::{as_member, project};
use crate::on_both;

on_both! {
    async fn a_ping_is_answered_after_what_was_subscribed_to_before_it_was_evaluated(app) {
        let (organization, bob) = scene(&app).await;
        let others = [app.found_as("One", "one@example.test").await, app.found_as("Two", "two@example.test").await];
        let operator = app.operator();
        // A server that has none of them in memory.
        let app = app.restart().await;
        let mut stream = app.with(operator.credential.as_ref().unwrap()).stream().await.unwrap();
        let organizations = [&organization.id, &others[0].id, &others[1].id];
        for (number, id) in (1..).zip(organizations) {
            let item = item(&bob.user_id, "project.view", Some(project("alpha")));
            subscribe_to(&stream, id, number, item, None, "").await;
            stream.send(Asked::Ping(proto::Ping { number })).await;
        }
        let (mut answered, mut pinged) = (0, 0);
        while pinged < 3 {
            match stream.receive().await.unwrap().unwrap() {
                Told::Changes(frame) => {
                    answered += 1;
                    assert_eq!(frame.changes[0].subscription_id, answered);
                }
                Told::Progress(progress) => {
                    assert!(progress.ping_number > pinged, "progress does not go back");
                    pinged = progress.ping_number;
                    assert!(answered >= pinged, "{pinged} was answered after {answered} changes");
                    assert!(!progress.organizations.is_empty());
                }
                other => panic!("expected changes and progress, got {other:?}"),
            }
        }
    }

    async fn progress_names_what_has_moved_and_nothing_else(app) {
        let (organization, bob) = scene(&app).await;
        let other = app.found_by("eve@example.test").await;
        let operator = app.operator();
        let mut stream = operator.stream().await.unwrap();
        for (number, id) in [(1, &organization.id), (2, &other.id)] {
            let item = item(&bob.user_id, "project.view", Some(project("gamma")));
            subscribe_to(&stream, id, number, item, None, "").await;
            stream.change_frame().await;
        }
        let named = |progress: proto::Progress| {
            let mut ids: Vec<String> = progress.organizations.into_iter().map(|it| it.organization_id).collect();
            ids.sort_unstable();
            ids
        };
        let mut both = vec![organization.id.clone(), other.id.clone()];
        both.sort_unstable();
        assert_eq!(named(stream.progress(1).await), both, "the first names all");
        assert_eq!(named(stream.progress(2).await), Vec::<String>::new());

        // What turns nothing moves the revision all the same.
        let delta = grant(membership(&bob.membership_id), as_member(project("beta")));
        let owner = &organization.owner.call;
        let written = owner.change_grants(change(&organization.id, vec![delta])).await.unwrap();
        let progress = stream.progress(3).await;
        assert_eq!(position(&progress.organizations[0].revision), position(&written.revision));
        assert_eq!(named(progress), std::slice::from_ref(&organization.id));
        assert_eq!(named(stream.progress(4).await), Vec::<String>::new());

        // What was let go is named no more.
        stream.send(Asked::Unsubscribe(proto::UnsubscribeFrame { subscription_ids: vec![1] })).await;
        owner.disable_member(disable(&organization.id, &bob.membership_id)).await.unwrap();
        assert_eq!(named(stream.progress(5).await), Vec::<String>::new());
    }
}
