//! Devices on which somebody has signed in before.

use std::time::Duration;

use super::{WRONG, attempt, attempt_on, fail, get_in, limited, number, start};
use crate::harness::{PASSWORD, TestApp};
use crate::on_both;

const ADA: &str = "ada@example.test";
const DAY: Duration = Duration::from_hours(24);

/// Has strangers try until an address has to wait.
async fn strangers(app: &TestApp, email: &str) {
    for _ in 0..10 {
        fail(&app.anyone(), email).await;
    }
    assert_eq!(limited(attempt(&app.anyone(), email, PASSWORD).await).0, "address");
}

on_both! {
    async fn strangers_do_not_lock_out_whom_the_device_has_signed_in_before(app) {
        app.found_by(ADA).await;
        app.found_by("eve@example.test").await;
        let ada = get_in(&app.anyone(), ADA).await.device_token;
        let eve = get_in(&app.anyone(), "eve@example.test").await.device_token;
        assert!(ada.starts_with("ghd_") && ada.len() == 47 && ada != eve);
        strangers(&app, ADA).await;

        let again = attempt_on(&app.anyone(), &ada, ADA, PASSWORD).await.expect("a known device");
        assert_eq!(again.device_token, ada, "it stays known by the same token");
        // Nobody else's token helps, nor what is none.
        let nobodys = format!("ghd_{}", "A".repeat(43));
        for strange in [eve.as_str(), nobodys.as_str(), "ghd_", "", &again.access_token, &ada[1..]] {
            assert_eq!(limited(attempt_on(&app.anyone(), strange, ADA, PASSWORD).await).0, "address", "{strange}");
        }
        // It signs nobody in, and is no credential.
        assert_eq!(attempt_on(&app.anyone(), &ada, ADA, "").await.unwrap_err().code(), tonic::Code::Unauthenticated);
        let refused = app.with(&ada).sign_in(crate::harness::messages::sign_in(ADA, PASSWORD)).await;
        crate::harness::assert_refused(refused, tonic::Code::Unauthenticated, "CREDENTIAL_INVALID");
    }

    async fn on_a_known_device_its_own_tries_count_and_no_others(app) {
        app.found_by(ADA).await;
        let device = get_in(&app.anyone(), ADA).await.device_token;
        for _ in 0..10 {
            attempt_on(&app.anyone(), &device, ADA, WRONG).await.expect_err("a wrong password");
        }
        let refused = limited(attempt_on(&app.anyone(), &device, ADA, PASSWORD).await);
        assert_eq!(refused, ("token".into(), Duration::from_mins(15)));
        get_in(&app.anyone(), ADA).await;
        app.clock.advance_short_of(Duration::from_mins(15));
        assert_eq!(limited(attempt_on(&app.anyone(), &device, ADA, PASSWORD).await).0, "token");
        app.clock.tick();
        attempt_on(&app.anyone(), &device, ADA, PASSWORD).await.expect("the window has passed");
    }

    async fn a_device_is_known_for_ninety_days_from_its_last_sign_in_on(app) {
        app.found_by(ADA).await;
        let device = get_in(&app.anyone(), ADA).await.device_token;
        app.clock.advance(89 * DAY);
        assert_eq!(attempt_on(&app.anyone(), &device, ADA, PASSWORD).await.unwrap().device_token, device);
        app.clock.advance_short_of(90 * DAY);
        strangers(&app, ADA).await;
        assert!(attempt_on(&app.anyone(), &device, ADA, WRONG).await.unwrap_err().message().contains("do not fit"));
        app.clock.tick();
        assert_eq!(limited(attempt_on(&app.anyone(), &device, ADA, PASSWORD).await).0, "address");
        app.clock.advance(Duration::from_secs(1));
        let new = attempt_on(&app.anyone(), &device, ADA, PASSWORD).await.unwrap().device_token;
        assert_ne!(new, device, "one that has expired is not known again");
        app.app.services().store.lapsed_delete().await.unwrap();
        assert_eq!(number(&app, "select count(*) from devices").await, 1);
    }
}

on_both! {
    async fn a_device_that_was_refused_too_often_in_a_row_is_known_no_more(database: Database) {
        let app = start(database, |config| config.limits.sign_in_refusals_in_a_row = 20).await;
        app.found_by(ADA).await;
        let device = get_in(&app.anyone(), ADA).await.device_token;
        for _ in 0..2 {
            for _ in 0..10 {
                attempt_on(&app.anyone(), &device, ADA, WRONG).await.expect_err("a wrong password");
            }
            app.clock.advance(Duration::from_mins(15));
        }
        let app = app.restart().await;
        strangers(&app, ADA).await;
        assert_eq!(limited(attempt_on(&app.anyone(), &device, ADA, PASSWORD).await).0, "address");
    }
}

on_both! {
    async fn a_user_has_twenty_devices_and_those_used_last_are_kept(app) {
        app.found_by(ADA).await;
        let mut devices = Vec::new();
        for _ in 0..21 {
            app.clock.advance(Duration::from_secs(1));
            devices.push(get_in(&app.anyone(), ADA).await.device_token);
        }
        assert_eq!(number(&app, "select count(*) from devices").await, 20);
        strangers(&app, ADA).await;
        for kept in [&devices[2], &devices[20]] {
            attempt_on(&app.anyone(), kept, ADA, PASSWORD).await.expect("a known device");
        }
        assert_eq!(limited(attempt_on(&app.anyone(), &devices[0], ADA, PASSWORD).await).0, "address");
    }
}
