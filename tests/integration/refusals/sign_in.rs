//! Signing in: who tries does not learn which half was wrong, nor how often they may try.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::blotted;
use crate::harness::messages::{invite, sign_in};
use crate::harness::{PASSWORD, TestApp, assert_refused, reason};
use crate::on_both;

const WRONG: &str = "Wrong4Horse!";

async fn attempt(app: &TestApp, email: &str, password: &str) -> Result<(), Status> {
    app.anyone().sign_in(sign_in(email, password)).await.map(drop)
}

on_both! {
    async fn an_unknown_address_and_a_wrong_password_answer_alike(app) {
        let organization = app.found().await;
        let request = invite(&organization.id, "bob@example.test", vec![]);
        organization.owner.call.create_invitation(request).await.unwrap();

        let wrong = attempt(&app, "ada@example.test", WRONG).await.unwrap_err();
        assert_eq!((wrong.code(), reason(&wrong).as_str()), (Code::Unauthenticated, "SIGN_IN_REFUSED"));
        for (email, password) in [
            ("nobody@example.test", WRONG),
            ("nobody@example.test", ""),
            ("bob@example.test", PASSWORD), // Invited, and has no account yet.
            ("ada@example.test", ""),
            ("ada@example.test", &"x".repeat(8_000)), // About as much as a message without a credential holds.
            ("ada@example.test", &PASSWORD.to_lowercase()),
        ] {
            let status = attempt(&app, email, password).await.unwrap_err();
            assert_eq!(blotted(&status, "\u{0}"), blotted(&wrong, "\u{0}"), "{email}");
            assert_eq!(status.metadata().len(), wrong.metadata().len());
        }
        attempt(&app, " ADA@Example.Test ", PASSWORD).await.expect("any spelling of the address");
    }

    async fn after_ten_refusals_the_eleventh_waits_whoever_it_is(app) {
        app.found().await;
        app.found_by("eve@example.test").await;
        for address in ["ada@example.test", "nobody@example.test"] {
            for spelling in 0..10 {
                let email = if spelling % 2 == 0 { address.to_owned() } else { address.to_uppercase() };
                assert_refused(attempt(&app, &email, WRONG).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
            }
        }

        let known = attempt(&app, "ada@example.test", WRONG).await.unwrap_err();
        assert_eq!((known.code(), reason(&known).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
        let delay = known.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert_eq!(delay, Duration::from_secs(1));
        let unknown = attempt(&app, "nobody@example.test", WRONG).await.unwrap_err();
        assert_eq!(blotted(&known, "\u{0}"), blotted(&unknown, "\u{0}"));
        assert_refused(attempt(&app, "ada@example.test", PASSWORD).await, Code::ResourceExhausted, "RATE_LIMITED");
        attempt(&app, "eve@example.test", PASSWORD).await.expect("another address");

        app.clock.advance_short_of(delay);
        assert_refused(attempt(&app, "ada@example.test", PASSWORD).await, Code::ResourceExhausted, "RATE_LIMITED");
        app.clock.tick();
        attempt(&app, "ada@example.test", PASSWORD).await.expect("the wait is over");
        assert_refused(attempt(&app, "ada@example.test", WRONG).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    }

    async fn who_gets_in_has_ten_tries_again(app) {
        app.found().await;
        for _ in 0..2 {
            for _ in 0..9 {
                assert_refused(
                    attempt(&app, "ada@example.test", WRONG).await,
                    Code::Unauthenticated,
                    "SIGN_IN_REFUSED",
                );
            }
            attempt(&app, "ada@example.test", PASSWORD).await.unwrap();
        }
    }
}
