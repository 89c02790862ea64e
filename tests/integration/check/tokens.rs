//! An access token as the subject of a check: signature, expiry, session and permission in one answer.

use guildhall::config::{ACCESS_TOKEN_LIFETIME, SESSION_LIFETIME};
use guildhall::domain::fact::{InstallationFact, UserState};
use guildhall::domain::id::UserId;
use guildhall::proto::{self, DecisionReason};
use tonic::Code;

use super::{change_of, reset_of, scene, subscribe_to};
use crate::harness::messages::{bearer, change, check, fresh, grant, item_about, membership, revoke};
use crate::harness::{Caller, Organization, Person, TestApp, as_member, assert_refused, project};
use crate::on_both;
use crate::session::commit;

fn token(person: &Person) -> String {
    person.call.credential.clone().unwrap()
}

fn view_by(token: &str, name: &str) -> proto::CheckItem {
    item_about(bearer(token), "project.view", Some(project(name)))
}

/// Asks one item in every way there is, which must agree: alone, in a batch, on a stream, and as a subscription.
async fn asked(by: &Caller, organization: &Organization, item: proto::CheckItem) -> (bool, DecisionReason) {
    let id = organization.id.as_str();
    let decision = by.check(check(id, item.clone())).await.unwrap().decision.unwrap();
    let request = proto::BatchCheckRequest {
        organization_id: id.into(),
        items: vec![item.clone(), item.clone()],
        consistency: Some(fresh()),
    };
    for other in by.batch_check(request).await.unwrap().decisions {
        assert_eq!(other, decision, "in a batch");
    }
    let mut stream = by.stream().await.unwrap();
    assert_eq!(stream.check(id, vec![item.clone()]).await, [decision.allowed], "on a stream");
    subscribe_to(&stream, id, 1, item, None, "").await;
    assert_eq!(change_of(&mut stream).await, (1, decision), "as a subscription");
    (decision.allowed, decision.reason())
}

/// Ends the session that a token belongs to, as a sign-out does.
async fn end_session(app: &TestApp, person: &Person) {
    let session = app.app.services().bearer(&token(person)).unwrap().session.unwrap();
    let expires_at = app.app.services().env.now().plus(SESSION_LIFETIME);
    commit(app, InstallationFact::SessionEnded { id: session, expires_at }).await;
}

on_both! {
    async fn a_token_is_answered_as_its_user_and_whatever_is_none_is_invalid(app) {
        let (organization, bob) = scene(&app).await;
        let (key, backend) = (app.operator_key(), app.backend(&organization).await);
        let mut broken = token(&bob);
        broken.pop();
        for (who, name, expected) in [
            (token(&bob), "alpha", (true, DecisionReason::Unspecified)),
            (token(&bob), "beta", (true, DecisionReason::Unspecified)),
            (token(&bob), "gamma", (false, DecisionReason::NotGranted)),
            (token(&organization.owner), "gamma", (true, DecisionReason::Unspecified)),
            (broken, "alpha", (false, DecisionReason::TokenInvalid)),
            (key.to_owned(), "alpha", (false, DecisionReason::TokenInvalid)),
            (backend.credential.clone().unwrap(), "alpha", (false, DecisionReason::TokenInvalid)),
            ("x".into(), "alpha", (false, DecisionReason::TokenInvalid)),
            (String::new(), "alpha", (false, DecisionReason::TokenInvalid)),
        ] {
            assert_eq!(asked(&backend, &organization, view_by(&who, name)).await, expected, "{name}");
        }
    }

    async fn a_token_that_expires_turns_its_subscription_by_the_clock_and_says_so_before(app) {
        let (organization, bob) = scene(&app).await;
        let backend = app.backend(&organization).await;
        let mut stream = backend.stream().await.unwrap();
        subscribe_to(&stream, &organization.id, 7, view_by(&token(&bob), "alpha"), None, "").await;
        let (_, first) = change_of(&mut stream).await;
        let lifetime = u64::try_from(ACCESS_TOKEN_LIFETIME.as_millis()).unwrap();
        assert_eq!((first.allowed, first.valid_for_ms), (true, Some(lifetime)));

        app.clock.advance_short_of(ACCESS_TOKEN_LIFETIME);
        stream.progress(1).await;
        assert_eq!(asked(&backend, &organization, view_by(&token(&bob), "alpha")).await.1, DecisionReason::Unspecified);
        app.clock.tick();
        let (number, turned) = change_of(&mut stream).await;
        assert_eq!((number, turned.allowed, turned.reason()), (7, false, DecisionReason::TokenExpired));
        let again = asked(&backend, &organization, view_by(&token(&bob), "alpha")).await;
        assert_eq!(again, (false, DecisionReason::TokenExpired));
        // The user by id is as before, and so is the next token.
        let fresh = app.sign_in(&bob.email, &bob.membership_id).await;
        assert!(asked(&backend, &organization, view_by(&token(&fresh), "alpha")).await.0);
    }

    async fn a_session_that_is_ended_turns_what_hangs_on_its_token_and_nothing_else(app) {
        let (organization, bob) = scene(&app).await;
        let second = app.sign_in(&bob.email, &bob.membership_id).await;
        let backend = app.backend(&organization).await;
        let mut stream = backend.stream().await.unwrap();
        for (number, person) in [(1, &bob), (2, &second)] {
            subscribe_to(&stream, &organization.id, number, view_by(&token(person), "alpha"), None, "").await;
            assert!(change_of(&mut stream).await.1.allowed);
        }
        end_session(&app, &bob).await;
        let (number, turned) = change_of(&mut stream).await;
        assert_eq!((number, turned.allowed, turned.reason()), (1, false, DecisionReason::SessionEnded));
        stream.progress(1).await;
        let again = asked(&backend, &organization, view_by(&token(&bob), "alpha")).await;
        assert_eq!(again, (false, DecisionReason::SessionEnded));
        assert!(asked(&backend, &organization, view_by(&token(&second), "alpha")).await.0);

        // Rights that come do not bring a dead session back.
        let delta = grant(membership(&bob.membership_id), as_member(project("gamma")));
        subscribe_to(&stream, &organization.id, 3, view_by(&token(&second), "gamma"), None, "").await;
        subscribe_to(&stream, &organization.id, 4, view_by(&token(&bob), "gamma"), Some(false), "").await;
        assert!(!change_of(&mut stream).await.1.allowed);
        organization.owner.call.change_grants(change(&organization.id, vec![delta])).await.unwrap();
        let (number, turned) = change_of(&mut stream).await;
        assert_eq!((number, turned.allowed), (3, true));
        stream.progress(2).await;
    }

    async fn a_right_that_is_taken_or_a_user_who_is_shut_out_turns_a_token_too(app) {
        let (organization, bob) = scene(&app).await;
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        subscribe_to(&stream, &organization.id, 1, view_by(&token(&bob), "beta"), None, "").await;
        assert!(change_of(&mut stream).await.1.allowed);
        let entry = || as_member(project("alpha"));
        let member = || membership(&bob.membership_id);
        let owner = &organization.owner.call;
        owner.change_grants(change(&organization.id, vec![revoke(member(), entry())])).await.unwrap();
        let (_, turned) = change_of(&mut stream).await;
        assert_eq!((turned.allowed, turned.reason()), (false, DecisionReason::NotGranted));
        owner.change_grants(change(&organization.id, vec![grant(member(), entry())])).await.unwrap();
        assert!(change_of(&mut stream).await.1.allowed);

        let id = UserId::parse("", &bob.user_id).unwrap();
        commit(&app, InstallationFact::User { id, state: UserState::Disabled }).await;
        let (_, turned) = change_of(&mut stream).await;
        assert_eq!((turned.allowed, turned.reason()), (false, DecisionReason::NotGranted));
        commit(&app, InstallationFact::User { id, state: UserState::Active }).await;
        assert!(change_of(&mut stream).await.1.allowed);
    }

    async fn a_token_of_somebody_else_is_somebody_else(app) {
        let (organization, bob) = scene(&app).await;
        let id = organization.id.as_str();
        let own = bob.call.check(check(id, view_by(&token(&bob), "alpha"))).await.unwrap();
        assert!(own.decision.unwrap().allowed, "about oneself everybody may ask");
        let others = || view_by(&token(&organization.owner), "alpha");
        let refused = bob.call.check(check(id, others())).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let mut stream = bob.call.stream().await.unwrap();
        subscribe_to(&stream, id, 1, others(), None, "").await;
        assert_eq!(reset_of(&mut stream).await, "PERMISSION_MISSING");
    }
}
