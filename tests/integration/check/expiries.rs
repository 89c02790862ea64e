//! What hangs on an expiry turns at its instant, by a timer, and says how long it is good.

use std::time::Duration;

use super::{change_of, for_a_while, scene, subscribe_to};
use crate::harness::messages::{change, check, grant, item, membership, revoke};
use crate::harness::{as_member, project};
use crate::on_both;

const MINUTE: Duration = Duration::from_mins(1);

on_both! {
    async fn a_grant_is_good_strictly_before_its_expiry_and_every_answer_says_how_long(app) {
        let (organization, bob) = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.change_grants(change(id, vec![for_a_while(&app, &bob, "gamma", MINUTE)])).await.unwrap();
        let backend = app.backend(&organization).await;
        let gamma = || item(&bob.user_id, "project.view", Some(project("gamma")));
        let mut stream = backend.stream().await.unwrap();
        subscribe_to(&stream, id, 1, gamma(), None, "").await;
        let (_, told) = change_of(&mut stream).await;
        assert_eq!((told.allowed, told.valid_for_ms), (true, Some(60_000)));

        app.clock.advance(Duration::from_secs(59));
        let told = backend.check(check(id, gamma())).await.unwrap().decision.unwrap();
        assert_eq!((told.allowed, told.valid_for_ms), (true, Some(1_000)));
        app.clock.advance_short_of(Duration::from_secs(1));
        let told = backend.check(check(id, gamma())).await.unwrap().decision.unwrap();
        assert_eq!((told.allowed, told.valid_for_ms), (true, Some(0)));
        stream.progress(1).await;
        app.clock.tick();
        let (_, told) = change_of(&mut stream).await;
        assert_eq!((told.allowed, told.valid_for_ms), (false, None));
        assert!(!backend.check(check(id, gamma())).await.unwrap().decision.unwrap().allowed);
    }

    async fn an_expiry_that_moved_away_turns_nothing_and_the_later_one_does(app) {
        let (organization, bob) = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.change_grants(change(id, vec![for_a_while(&app, &bob, "gamma", MINUTE)])).await.unwrap();
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        let gamma = || item(&bob.user_id, "project.view", Some(project("gamma")));
        subscribe_to(&stream, id, 1, gamma(), None, "").await;
        assert_eq!(change_of(&mut stream).await.1.valid_for_ms, Some(60_000));

        let entry = as_member(project("gamma"));
        let deltas = vec![
            revoke(membership(&bob.membership_id), entry),
            for_a_while(&app, &bob, "gamma", MINUTE * 3),
        ];
        owner.change_grants(change(id, deltas)).await.unwrap();
        let (_, told) = change_of(&mut stream).await;
        assert_eq!((told.allowed, told.valid_for_ms), (true, Some(180_000)), "the end that moved is told");
        app.clock.advance(MINUTE);
        stream.progress(2).await;
        app.clock.advance_short_of(MINUTE * 2);
        stream.progress(3).await;
        app.clock.tick();
        assert!(!change_of(&mut stream).await.1.allowed);
    }

    async fn what_another_grant_allows_besides_does_not_turn(app) {
        let (organization, bob) = scene(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.change_grants(change(id, vec![for_a_while(&app, &bob, "beta", MINUTE)])).await.unwrap();
        let mut stream = app.backend(&organization).await.stream().await.unwrap();
        // Listed there for a while, and above it for good.
        let beta = item(&bob.user_id, "project.view", Some(project("beta")));
        subscribe_to(&stream, id, 1, beta, None, "").await;
        let (_, told) = change_of(&mut stream).await;
        assert_eq!((told.allowed, told.valid_for_ms), (true, None));
        app.clock.advance(MINUTE);
        stream.progress(1).await;

        // For good is until it is taken; then what is left by the clock counts.
        let ada = app.sign_in(&organization.owner.email, "").await.call;
        let deltas = vec![
            revoke(membership(&bob.membership_id), as_member(project("alpha"))),
            for_a_while(&app, &bob, "alpha", MINUTE),
        ];
        ada.change_grants(change(id, deltas)).await.unwrap();
        let (_, told) = change_of(&mut stream).await;
        assert_eq!((told.allowed, told.valid_for_ms), (true, Some(60_000)));
        app.clock.advance(MINUTE);
        assert!(!change_of(&mut stream).await.1.allowed);
        ada.change_grants(change(id, vec![grant(membership(&bob.membership_id), as_member(project("beta")))])).await.unwrap();
        assert!(change_of(&mut stream).await.1.allowed);
    }
}
