//! The three limits, and whose word counts for where a user sits.

use std::time::Duration;

use super::{WRONG, attempt, fail, get_in, limited, number, start};
use crate::harness::{Database, PASSWORD, eventually_finds};
use crate::on_both;

const WINDOW: Duration = Duration::from_mins(15);
const SECOND: Duration = Duration::from_secs(1);

on_both! {
    async fn ten_refusals_from_one_source_end_the_tries_of_that_address_from_there_alone(app) {
        app.found_by("ada@example.test").await;
        app.found_by("eve@example.test").await;
        let (here, there) = (app.operator().from("203.0.113.7"), app.operator().from("198.51.100.9"));
        for _ in 0..10 {
            fail(&here, "ada@example.test").await;
        }

        assert_eq!(limited(attempt(&here, "ada@example.test", PASSWORD).await), ("source".into(), WINDOW));
        get_in(&here, "eve@example.test").await;
        assert_eq!(limited(attempt(&there, "ada@example.test", PASSWORD).await), ("address".into(), SECOND));
        app.clock.advance(SECOND);
        get_in(&there, "ada@example.test").await;
        // Who got in elsewhere has ended the row, and not what this source has done.
        assert_eq!(limited(attempt(&here, "ada@example.test", PASSWORD).await).0, "source");
        app.clock.advance(WINDOW.saturating_sub(SECOND));
        get_in(&here, "ada@example.test").await;
    }

    async fn one_password_over_many_addresses_ends_after_fifty(app) {
        app.found_by("ada@example.test").await;
        let (here, there) = (app.operator().from("2001:db8:1:2::1"), app.operator().from("2001:db8:1:3::1"));
        for number in 0..50 {
            fail(&here, &format!("nobody-{number}@example.test")).await;
        }

        let known = limited(attempt(&here, "ada@example.test", PASSWORD).await);
        assert_eq!(known, ("source".into(), WINDOW));
        assert_eq!(limited(attempt(&here, "nobody-50@example.test", WRONG).await), known);
        // Whoever has one address of a network has all of them.
        let beside = app.operator().from("2001:db8:1:2:ffff::9");
        assert_eq!(limited(attempt(&beside, "ada@example.test", PASSWORD).await), known);
        for other in [&there, &app.operator(), &app.anyone()] {
            get_in(other, "ada@example.test").await;
        }
        app.clock.advance(WINDOW);
        get_in(&here, "ada@example.test").await;
    }

    async fn nobody_names_a_source_who_is_not_believed(app) {
        app.found_by("ada@example.test").await;
        for number in 0..10 {
            fail(&app.anyone().from(&format!("203.0.113.{number}")), "ada@example.test").await;
        }
        // Whom they say they are counts for nothing, good or bad.
        for source in ["203.0.113.1", "198.51.100.9"] {
            let refused = attempt(&app.anyone().from(source), "ada@example.test", PASSWORD).await;
            assert_eq!(limited(refused), ("address".into(), SECOND));
        }
        for number in 0..60 {
            fail(&app.anyone().from("203.0.113.7"), &format!("nobody-{number}@example.test")).await;
        }
    }

    async fn an_operator_is_believed_for_as_long_as_it_is_one(app) {
        let organization = app.found_by("ada@example.test").await;
        let backend = app.backend(&organization).await.from("203.0.113.7");
        for _ in 0..10 {
            fail(&backend, "ada@example.test").await;
        }
        assert_eq!(limited(attempt(&backend, "ada@example.test", PASSWORD).await).0, "address");
    }
}

on_both! {
    async fn trusted_proxies_are_believed_and_the_limits_are_settings(database: Database) {
        let app = start(database, |config| {
            config.limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            config.limits.sign_in_tries = 2;
            config.limits.sign_in_addresses_per_source = 3;
            config.limits.sign_in_window = Duration::from_mins(1);
        })
        .await;
        app.found_by("ada@example.test").await;
        // A proxy adds whom it was called by behind what it was told.
        let here = app.anyone().from("198.51.100.1, 203.0.113.7");
        let there = app.anyone().from("203.0.113.7, 198.51.100.1");
        for _ in 0..2 {
            fail(&here, "ada@example.test").await;
        }
        let refused = limited(attempt(&here, "ada@example.test", PASSWORD).await);
        assert_eq!(refused, ("source".into(), Duration::from_mins(1)));
        fail(&here, "nobody@example.test").await;
        fail(&here, "anybody@example.test").await;
        assert_eq!(limited(attempt(&here, "somebody@example.test", WRONG).await).0, "source");
        get_in(&there, "ada@example.test").await;
    }

    async fn an_address_waits_longer_with_each_refusal_and_longest_after_so_many_in_a_row(database: Database) {
        let app = start(database, |config| config.limits.sign_in_refusals_in_a_row = 24).await;
        app.found_by("ada@example.test").await;
        let (mut waits, mut refusals) = (Vec::new(), 0);
        while refusals < 24 {
            // From another source each time: strangers have many.
            let call = app.operator().from(&format!("203.0.113.{refusals}"));
            let refused = attempt(&call, "ada@example.test", WRONG).await;
            if refused.as_ref().is_err_and(|status| status.code() == tonic::Code::Unauthenticated) {
                refusals += 1;
                continue;
            }
            let (limit, wait) = limited(refused);
            assert_eq!(limit, "address");
            waits.push(wait);
            app.clock.advance(wait);
        }
        assert_eq!(waits.len(), 14, "from the tenth on each try waits");
        assert!(waits.is_sorted() && waits[0] == SECOND, "{waits:?}");

        let hour = limited(attempt(&app.anyone(), "ada@example.test", PASSWORD).await);
        assert_eq!(hour, ("address".into(), Duration::from_hours(1)));
        let unknown = app.anyone();
        app.clock.advance_short_of(hour.1);
        assert_eq!(limited(attempt(&unknown, "ada@example.test", PASSWORD).await).0, "address");
        app.clock.tick();
        get_in(&unknown, "ada@example.test").await;
        fail(&unknown, "ada@example.test").await;
    }
}

on_both! {
    async fn what_was_refused_outlives_a_restart(app) {
        app.found_by("ada@example.test").await;
        let source = "203.0.113.7";
        for _ in 0..10 {
            fail(&app.operator().from(source), "ada@example.test").await;
        }
        let app = app.restart().await;
        let here = app.operator().from(source);
        assert_eq!(limited(attempt(&here, "ada@example.test", PASSWORD).await), ("source".into(), WINDOW));
        app.clock.advance(SECOND);
        get_in(&app.anyone(), "ada@example.test").await;
        let app = app.restart().await;
        for _ in 0..9 {
            fail(&app.anyone(), "ada@example.test").await;
        }
        get_in(&app.anyone(), "ada@example.test").await;
    }

    async fn what_is_forgotten_is_deleted(app) {
        for email in ["nobody@example.test", "anybody@example.test"] {
            fail(&app.operator().from("203.0.113.7"), email).await;
        }
        for _ in 0..9 {
            fail(&app.anyone(), "anybody@example.test").await;
        }
        let rows = "select count(*) from refusals";
        let all = "select cast(sum(in_a_row) as bigint) from refusals";
        eventually_finds("the counts", async || (number(&app, all).await == 13).then_some(())).await;
        let store = &app.app.services().store;
        store.lapsed_delete().await.unwrap();
        assert_eq!(number(&app, rows).await, 4);
        app.clock.advance(Duration::from_hours(24));
        store.lapsed_delete().await.unwrap();
        assert_eq!(number(&app, all).await, 10, "an address with a long row");
        app.clock.advance(Duration::from_hours(29 * 24));
        store.lapsed_delete().await.unwrap();
        assert_eq!(number(&app, rows).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_count_together_and_forgive_together() {
    let app = crate::harness::TestApp::start(Database::Postgres).await;
    app.found_by("ada@example.test").await;
    let replica = app.replica().await;
    for call in [app.anyone(), replica.anyone()] {
        for _ in 0..5 {
            fail(&call, "ada@example.test").await;
        }
    }
    let in_a_row = "select max(in_a_row) from refusals";
    eventually_finds("both counts", async || (number(&app, in_a_row).await == 10).then_some(())).await;
    for call in [app.anyone(), replica.anyone()] {
        assert_eq!(limited(attempt(&call, "ada@example.test", PASSWORD).await), ("address".into(), SECOND));
    }

    app.clock.advance(SECOND);
    get_in(&app.anyone(), "ada@example.test").await;
    eventually_finds("no count", async || (number(&app, in_a_row).await == 0).then_some(())).await;
    for _ in 0..10 {
        fail(&replica.anyone(), "ada@example.test").await;
    }
    assert_eq!(limited(attempt(&replica.anyone(), "ada@example.test", PASSWORD).await).0, "address");
}
