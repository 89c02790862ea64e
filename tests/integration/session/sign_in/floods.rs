//! What many tries cost: no write, no lock, and no more hashes than there is time for.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use super::{WRONG, attempt, attempt_on, fail, get_in, limited, number, start_by, start_hashing};
use crate::harness::messages::{
    accept, add_contact, change, invite, membership, notify, register, revoke, unsubscribe,
};
use crate::harness::{
    ManualClock, PASSWORD, assert_refused, eventually_finds, mails_in, reason, role, unsubscribe_token_in,
};
use crate::on_both;

on_both! {
    async fn of_a_flood_all_is_refused_at_once_but_what_there_is_time_to_hash(database: Database) {
        let app = start_hashing(database, |config| {
            config.password_concurrency = 1;
            config.password_wait = Duration::from_millis(100);
            // However many there is time to hash, on however busy a machine, none is refused for their number.
            config.limits.sign_in_addresses_per_source = 1_000;
        })
        .await;
        app.found_by("ada@example.test").await;
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..300 {
            let call = app.anyone();
            tries.spawn(async move {
                let refused = attempt(&call, &format!("nobody-{number}@example.test"), WRONG).await.unwrap_err();
                let waits = refused.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some());
                (refused.code(), reason(&refused), waits)
            });
        }
        let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(refused) = tries.join_next().await {
            let (code, reason, waits) = refused.unwrap();
            if reason == "PASSWORDS_BUSY" {
                assert_eq!((code, waits), (Code::Unavailable, true));
            }
            *refusals.entry(reason).or_default() += 1;
        }
        let busy = refusals.remove("PASSWORDS_BUSY").unwrap_or_default();
        let evaluated = refusals.remove("SIGN_IN_REFUSED").unwrap_or_default();
        assert!(refusals.is_empty(), "{refusals:?}");
        assert!(evaluated > 0 && busy > 0, "{evaluated} were evaluated, {busy} put off");
        // What was put off has left nothing.
        let counted = "select cast(sum(in_a_row) as bigint) from refusals";
        let evaluated = i64::try_from(evaluated).unwrap();
        eventually_finds("the counts", async || (number(&app, counted).await == evaluated).then_some(())).await;
        get_in(&app.anyone(), "ada@example.test").await;
    }

    async fn a_refused_try_writes_nothing_and_a_second_of_them_is_one_write(database: Database) {
        let clock = ManualClock::still();
        let app = start_by(clock.clone(), database, |_| {}).await;
        app.found_by("ada@example.test").await;
        let rows = "select count(*) from refusals";
        for number in 0..5 {
            fail(&app.operator().from("203.0.113.7"), &format!("nobody-{number}@example.test")).await;
        }
        for _ in 0..10 {
            fail(&app.anyone(), "ada@example.test").await;
        }
        assert_eq!(limited(attempt(&app.anyone(), "ada@example.test", PASSWORD).await).0, "address");
        assert_eq!(number(&app, rows).await, 0);
        clock.advance(Duration::from_secs(1));
        eventually_finds("the counts", async || (number(&app, rows).await == 11).then_some(())).await;
        let same = "select count(*) from refusals where in_a_row = 10 and in_window = 10";
        assert_eq!(number(&app, same).await, 1);
    }
}

on_both! {
    async fn what_is_counted_by_is_no_address_and_no_token(app) {
        app.found_by("ada@example.test").await;
        let device = get_in(&app.anyone(), "ada@example.test").await.device_token;
        fail(&app.operator().from("203.0.113.7"), "ada@example.test").await;
        attempt_on(&app.anyone(), &device, "ada@example.test", WRONG).await.unwrap_err();
        let rows = "select count(*) from refusals";
        eventually_finds("the counts", async || (number(&app, rows).await == 3).then_some(())).await;
        let hash = guildhall::auth::hash_of;
        for known in [hash("ada@example.test"), hash("203.0.113.7"), hash(&device)] {
            let hex: String = known[..16].iter().map(|byte| format!("{byte:02x}")).collect();
            let sql = if app.config.is_embedded() {
                format!("select count(*) from refusals where lower(hex(subject)) = '{hex}' or lower(hex(address)) = '{hex}'")
            } else {
                format!("select count(*) from refusals where encode(subject, 'hex') = '{hex}' or encode(address, 'hex') = '{hex}'")
            };
            assert_eq!(number(&app, &sql).await, 0);
        }
        let long = "select count(*) from refusals where length(subject) <> 16 or length(address) <> 16";
        assert_eq!(number(&app, long).await, 0);
    }

    async fn the_token_of_an_invitation_has_ten_passwords_hashed_and_no_more(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("admin")]).await;
        for email in ["bob@example.test", "max@example.test"] {
            eve.call.create_invitation(invite(id, email, vec![])).await.unwrap();
        }
        let (bob, max) = (app.token_mailed_to("bob@example.test").await, app.token_mailed_to("max@example.test").await);
        owner.change_grants(change(id, vec![revoke(membership(&eve.membership_id), role("admin"))])).await.unwrap();
        for _ in 0..10 {
            assert_refused(app.accept(&bob).await, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
        }
        assert_eq!(limited(app.accept(&bob).await), ("token".into(), Duration::from_mins(15)));
        // What needs no hash is answered as ever, and so is everybody else.
        let simple = app.anyone().accept_invitation(accept(&bob, "too simple")).await;
        assert_refused(simple, Code::InvalidArgument, "PASSWORD_TOO_SIMPLE");
        assert_refused(app.accept(&max).await, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
        app.clock.advance(Duration::from_mins(15));
        assert_refused(app.accept(&bob).await, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
    }

    async fn a_link_of_a_notification_writes_ten_times_and_no_more(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        let asset = || guildhall::proto::ResourceRef { r#type: "asset".into(), id: "a".into() };
        admin.register_resource(register(id, asset())).await.unwrap();
        admin.add_contact(add_contact(id, asset(), "out@example.test")).await.unwrap();
        admin.notify_resource(notify(id, asset(), "News")).await.unwrap();
        app.mail_to("out@example.test").await;
        let token = unsubscribe_token_in(&mails_in(&app.config.mail_dir(), "out@example.test")[0]);
        let set = async |undo| {
            let request = guildhall::proto::UnsubscribeRequest { undo, ..unsubscribe(&token) };
            app.anyone().unsubscribe(request).await
        };
        for turn in 0..10 {
            assert_eq!(set(turn % 2 == 1).await.unwrap().unsubscribed, turn % 2 == 0);
        }
        // What is so already needs no write.
        assert!(!set(true).await.unwrap().unsubscribed);
        assert_eq!(limited(set(false).await).0, "token");
        app.clock.advance(Duration::from_mins(15));
        assert!(set(false).await.unwrap().unsubscribed);
    }
}
