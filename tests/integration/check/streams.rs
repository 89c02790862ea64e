//! The stream of checks: what is pushed, what is not, and when it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guildhall::domain::revision::{Position, Token};
use guildhall::proto;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use tonic::Code;

use crate::harness::messages::{change, disable, enable, grant, item, membership, register, revoke, service_account};
use crate::harness::{Database, Organization, Person, TestApp, as_member, project, reason, role};
use crate::on_both;

/// An organization with two projects, and a member who is on the list of the first.
async fn scene(app: &TestApp) -> (Organization, Person) {
    let organization = app.found().await;
    for name in ["alpha", "beta"] {
        organization.owner.call.register_resource(register(&organization.id, project(name))).await.unwrap();
    }
    let assignments = vec![role("user"), as_member(project("alpha"))];
    let bob = app.invite_and_join(&organization.id, &organization.owner.call, "bob@example.test", assignments).await;
    (organization, bob)
}

fn view(person: &Person, name: &str) -> proto::CheckItem {
    item(&person.user_id, "project.view", Some(project(name)))
}

fn allowed<const N: usize>(expected: [(u64, bool); N]) -> BTreeMap<u64, bool> {
    expected.into()
}

on_both! {
    async fn both_flips_of_a_swap_come_in_one_frame_at_one_revision(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha"), view(&bob, "beta")]).await;
        assert_eq!(stream.changes().await, allowed([(1, true), (2, false)]));

        let member = || membership(&bob.membership_id);
        let deltas =
            vec![revoke(member(), as_member(project("alpha"))), grant(member(), as_member(project("beta")))];
        let written = organization.owner.call.change_grants(change(&organization.id, deltas)).await.unwrap();
        let frame = stream.change_frame().await;

        assert_eq!(frame.changes.len(), 2);
        assert_eq!(frame.organization_id, organization.id);
        assert_eq!(at(&frame.revision), at(&written.revision));
    }

    async fn a_member_who_is_disabled_and_enabled_turns_twice(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha"), view(&bob, "beta")]).await;
        stream.changes().await;

        let owner = &organization.owner.call;
        owner.disable_member(disable(&organization.id, &bob.membership_id)).await.unwrap();
        assert_eq!(stream.changes().await, allowed([(1, false)]));
        owner.enable_member(enable(&organization.id, &bob.membership_id)).await.unwrap();
        assert_eq!(stream.changes().await, allowed([(1, true)]));
        stream.progress(1).await;
    }

    async fn an_answer_that_the_client_knows_is_not_sent_again(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        let known = |subscription_id, name, known_allowed| proto::Subscription {
            subscription_id,
            item: Some(view(&bob, name)),
            known_allowed: Some(known_allowed),
        };
        let subscriptions = vec![known(1, "alpha", true), known(2, "beta", true)];
        let organization_id = organization.id.clone();
        stream
            .send(Asked::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least: String::new() }))
            .await;

        assert_eq!(stream.changes().await, allowed([(2, false)]));
        stream.progress(1).await;
    }

    async fn what_was_asked_before_the_client_closed_its_half_is_answered(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha")]).await;
        stream.half_close();
        assert_eq!(stream.changes().await, allowed([(1, true)]));
        assert!(stream.receive().await.unwrap().is_none());
    }

    async fn a_stream_ends_with_whatever_its_client_said_last(app) {
        let (organization, bob) = scene(&app).await;
        let backend = app.backend(&organization).await;
        for round in 0..100 {
            let mut stream = backend.stream().await.unwrap();
            if round % 2 == 0 {
                stream.subscribe(&organization.id, vec![view(&bob, "alpha")]).await;
            }
            stream.send(Asked::Unsubscribe(proto::UnsubscribeFrame { subscription_ids: vec![1, 99] })).await;
            stream.half_close();
            // What was subscribed may have been answered first.
            while stream.receive().await.unwrap().is_some() {}
        }
    }

    async fn a_change_that_turns_nothing_is_not_sent_and_progress_names_its_revision(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha")]).await;
        stream.changes().await;

        let deltas = vec![grant(membership(&bob.membership_id), as_member(project("beta")))];
        let written = organization.owner.call.change_grants(change(&organization.id, deltas)).await.unwrap();
        let progress = stream.progress(7).await;

        assert_eq!(progress.organizations.len(), 1);
        assert_eq!(at(&progress.organizations[0].revision), at(&written.revision));
        assert!(progress.age_ms < progress.lease_ms, "{progress:?}");
    }

    async fn what_is_unsubscribed_is_told_no_more(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha"), view(&bob, "beta")]).await;
        stream.changes().await;
        stream.send(Asked::Unsubscribe(proto::UnsubscribeFrame { subscription_ids: vec![1, 99] })).await;
        stream.check(&organization.id, vec![view(&bob, "alpha")]).await;

        let deltas = vec![
            revoke(membership(&bob.membership_id), as_member(project("alpha"))),
            grant(membership(&bob.membership_id), as_member(project("beta"))),
        ];
        organization.owner.call.change_grants(change(&organization.id, deltas)).await.unwrap();
        assert_eq!(stream.changes().await, allowed([(2, true)]));
        stream.progress(1).await;
    }

    async fn what_does_not_exist_is_denied_and_turns_when_it_comes_to_exist(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        let owner = &organization.owner;
        stream.subscribe(&organization.id, vec![view(&bob, "gamma"), view(owner, "gamma")]).await;
        // An admin reaches any project, whether it is registered or not.
        assert_eq!(stream.changes().await, allowed([(1, false), (2, true)]));

        owner.call.register_resource(register(&organization.id, project("gamma"))).await.unwrap();
        stream.progress(1).await;
        let deltas = vec![grant(membership(&bob.membership_id), as_member(project("gamma")))];
        owner.call.change_grants(change(&organization.id, deltas)).await.unwrap();
        assert_eq!(stream.changes().await, allowed([(1, true)]));
    }

    async fn a_grant_that_expires_turns_by_itself_and_not_before(app) {
        let (organization, bob) = scene(&app).await;
        let now = app.app.services().env.now();
        let expires_at = now.plus(Duration::from_mins(1));
        let mut entry = as_member(project("beta"));
        let seconds = expires_at.as_micros() / 1_000_000;
        entry.expire_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let deltas = vec![grant(membership(&bob.membership_id), entry)];
        organization.owner.call.change_grants(change(&organization.id, deltas)).await.unwrap();

        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "beta")]).await;
        let first = stream.change_frame().await.changes.remove(0).decision.unwrap();
        assert_eq!((first.allowed, first.valid_for_ms), (true, Some(60_000)));

        app.clock.advance(Duration::from_micros(59_999_999));
        stream.progress(1).await;
        app.clock.advance(Duration::from_micros(1));
        assert_eq!(stream.changes().await, allowed([(1, false)]));
    }

    async fn a_backend_that_loses_its_right_is_told_and_hears_no_more(app) {
        let (organization, bob) = scene(&app).await;
        let owner = &organization.owner.call;
        let request = crate::harness::messages::create_service_account(&organization.id, "backend");
        let account = owner.create_service_account(request).await.unwrap().service_account.unwrap().id;
        let right = || vec![grant(service_account(&account), role("backend"))];
        owner.change_grants(change(&organization.id, right())).await.unwrap();
        let request = crate::harness::messages::create_api_key(&organization.id, &account);
        let key = owner.create_api_key(request).await.unwrap().secret;
        let mut stream = app.with(&key).stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha")]).await;
        stream.changes().await;

        let deltas = vec![revoke(service_account(&account), role("backend"))];
        owner.change_grants(change(&organization.id, deltas)).await.unwrap();
        match stream.receive().await.unwrap() {
            Some(Told::Reset(reset)) => {
                assert_eq!((reset.organization_id, reset.reason), (organization.id.clone(), "PERMISSION_MISSING".into()));
            }
            other => panic!("expected a reset, got {other:?}"),
        }
        owner.disable_member(disable(&organization.id, &bob.membership_id)).await.unwrap();
        assert!(stream.progress(1).await.organizations.is_empty());
    }

    async fn a_right_that_expires_ends_what_it_allowed(app) {
        let (organization, bob) = scene(&app).await;
        let owner = &organization.owner.call;
        let request = crate::harness::messages::create_service_account(&organization.id, "backend");
        let account = owner.create_service_account(request).await.unwrap().service_account.unwrap().id;
        let mut right = role("backend");
        let expires_at = app.app.services().env.now().plus(Duration::from_mins(1));
        right.expire_time = Some(prost_types::Timestamp { seconds: expires_at.as_micros() / 1_000_000, nanos: 0 });
        owner.change_grants(change(&organization.id, vec![grant(service_account(&account), right)])).await.unwrap();
        let request = crate::harness::messages::create_api_key(&organization.id, &account);
        let key = owner.create_api_key(request).await.unwrap().secret;
        let mut stream = app.with(&key).stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha")]).await;
        stream.changes().await;

        app.clock.advance(Duration::from_mins(1));
        match stream.receive().await.unwrap() {
            Some(Told::Reset(reset)) => assert_eq!(reset.reason, "PERMISSION_MISSING"),
            other => panic!("expected a reset, got {other:?}"),
        }
    }

    async fn a_forged_revision_moves_nobody_elses_stream(app) {
        let (organization, bob) = scene(&app).await;
        let backend = app.backend(&organization).await;
        let mut stream = backend.stream().await.unwrap();
        stream.subscribe(&organization.id, vec![view(&bob, "alpha")]).await;
        stream.changes().await;

        let outsider = app.found_by("eve@example.test").await.owner;
        let shown = bob.call.get_organization(crate::harness::messages::get_organization(&organization.id)).await;
        let mut token = token(&shown.unwrap().revision);
        for (revision, tag) in [(0, 1), (1, 0), (u64::MAX, 0)] {
            token.position.tag.0 ^= tag;
            token.position.revision.0 = token.position.revision.0.saturating_add(revision);
            for (who, expected) in [(&bob, "REVISION_VANISHED"), (&outsider, "NOT_FOUND")] {
                let refused = who.call.check(at_least(&organization.id, view(who, "alpha"), token)).await;
                assert_eq!(reason(&refused.unwrap_err()), expected);
            }
        }
        assert_eq!(stream.progress(1).await.organizations.len(), 1);
        assert_eq!(app.app.services().engine.histories_replaced(), 0);
    }

    async fn a_revision_of_ones_own_tells_nothing_of_an_organization_of_others(app) {
        let (organization, _) = scene(&app).await;
        let outsider = app.found_by("eve@example.test").await;
        let shown = outsider.owner.call.get_organization(crate::harness::messages::get_organization(&outsider.id)).await;
        let token = token(&shown.unwrap().revision);
        for id in [organization.id.as_str(), "018f4e9a-7b3c-7def-8a12-0123456789ab"] {
            let refused = outsider.owner.call.check(at_least(id, view(&outsider.owner, "alpha"), token)).await;
            assert_eq!(reason(&refused.unwrap_err()), "NOT_FOUND", "{id}");
        }
    }

    async fn who_may_not_ask_about_others_may_about_themselves(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = bob.call.stream().await.unwrap();
        assert_eq!(stream.check(&organization.id, vec![view(&bob, "alpha"), view(&bob, "beta")]).await, [true, false]);

        stream.subscribe(&organization.id, vec![view(&organization.owner, "alpha")]).await;
        match stream.receive().await.unwrap() {
            Some(Told::Reset(reset)) => assert_eq!(reset.reason, "PERMISSION_MISSING"),
            other => panic!("expected a reset, got {other:?}"),
        }
    }

    async fn a_token_that_expires_ends_its_stream(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = bob.call.stream().await.unwrap();
        stream.check(&organization.id, vec![view(&bob, "alpha")]).await;

        app.clock.advance(Duration::from_mins(10));
        let status = stream.receive().await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    }

    async fn a_write_is_in_the_answers_of_who_names_its_revision(app) {
        let (organization, bob) = scene(&app).await;
        let backend = app.backend(&organization).await;
        for turn in 0..20 {
            let delta = match turn % 2 {
                0 => grant(membership(&bob.membership_id), as_member(project("beta"))),
                _ => revoke(membership(&bob.membership_id), as_member(project("beta"))),
            };
            let written = organization.owner.call.change_grants(change(&organization.id, vec![delta])).await.unwrap();
            let at_least = proto::consistency::Requirement::AtLeast(written.revision);
            let answer = backend
                .check(proto::CheckRequest {
                    organization_id: organization.id.clone(),
                    item: Some(view(&bob, "beta")),
                    consistency: Some(proto::Consistency { requirement: Some(at_least) }),
                })
                .await
                .unwrap();
            assert_eq!(answer.decision.unwrap().allowed, turn % 2 == 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_replica_is_pushed_on_another_by_the_poll_alone() {
    let app = TestApp::start(Database::Postgres).await;
    let (organization, bob) = scene(&app).await;
    let key = app.backend(&organization).await.credential.unwrap();
    let other = app.replica().await;
    let mut stream = other.with(&key).stream().await.unwrap();
    stream.subscribe(&organization.id, vec![view(&bob, "alpha")]).await;
    assert_eq!(stream.changes().await, allowed([(1, true)]));

    for turn in 0..6 {
        let owner = &organization.owner.call;
        let is_back = turn % 2 == 1;
        if is_back {
            owner.enable_member(enable(&organization.id, &bob.membership_id)).await.unwrap();
        } else {
            owner.disable_member(disable(&organization.id, &bob.membership_id)).await.unwrap();
        }
        assert_eq!(stream.changes().await, allowed([(1, is_back)]));
    }
}

/// Returns the part of a revision token that names the organization's revision; the installation's may differ.
/// Returns which commit of the organization a revision names.
pub fn at(text: &str) -> Position {
    token(text).position
}

fn token(text: &str) -> Token {
    Token::from_bytes(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn at_least(organization: &str, item: proto::CheckItem, token: Token) -> proto::CheckRequest {
    let at_least = proto::consistency::Requirement::AtLeast(URL_SAFE_NO_PAD.encode(token.to_bytes()));
    proto::CheckRequest {
        organization_id: organization.into(),
        item: Some(item),
        consistency: Some(proto::Consistency { requirement: Some(at_least) }),
    }
}
