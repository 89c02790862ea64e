//! Service accounts: shut out, ended, their keys taken back; and those that are bound to a resource.

use guildhall::proto;
use tonic::Code;

use super::{asset, person, put, schedule};
use crate::harness::messages::{
    change, create_api_key, create_service_account, delete, delete_account, disable_account, enable_account,
    get_account, get_organization, grant, list_accounts, list_keys, revoke_key, rotate_key, service_account, set_owner,
};
use crate::harness::{Database, TestApp, assert_refused, role};
use crate::on_both;

on_both! {
    async fn a_key_that_is_taken_back_is_refused_at_once(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let (account, by_first) = app.backend_account(&organization).await;
        assert!(by_first.get_organization(get_organization(id)).await.is_ok());
        let first = owner.list_api_keys(list_keys(id, &account)).await.unwrap().api_keys.pop().unwrap();
        assert_eq!(first.revoke_time, None);

        let rotated = owner.rotate_api_key(rotate_key(id, &account, &first.id)).await.unwrap();
        let by_second = app.with(&rotated.secret);
        assert_refused(by_first.get_organization(get_organization(id)).await, Code::Unauthenticated, "KEY_REVOKED");
        assert!(by_second.get_organization(get_organization(id)).await.is_ok());
        assert_refused(
            owner.rotate_api_key(rotate_key(id, &account, &first.id)).await,
            Code::FailedPrecondition,
            "API_KEY_STATE",
        );
        let second = rotated.api_key.unwrap().id;
        let revoked = owner.revoke_api_key(revoke_key(id, &account, &second)).await.unwrap();
        let again = owner.revoke_api_key(revoke_key(id, &account, &second)).await.unwrap();
        assert_eq!(revoked.api_key, again.api_key);
        assert_refused(by_second.get_organization(get_organization(id)).await, Code::Unauthenticated, "KEY_REVOKED");
        let keys = owner.list_api_keys(list_keys(id, &account)).await.unwrap().api_keys;
        assert!(keys.len() == 2 && keys.iter().all(|key| key.revoke_time.is_some()), "{keys:?}");
        assert_refused(
            owner.revoke_api_key(revoke_key(id, &account, crate::refusals::NOBODY)).await,
            Code::NotFound,
            "NOT_FOUND",
        );
    }

    async fn an_account_is_shut_out_let_in_again_and_ended(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let (account, by_key) = app.backend_account(&organization).await;
        let shown = async || owner.get_service_account(get_account(id, &account)).await.unwrap().service_account.unwrap();
        assert!(shown().await.enabled);

        owner.disable_service_account(disable_account(id, &account)).await.unwrap();
        assert!(!shown().await.enabled);
        assert_refused(
            by_key.get_organization(get_organization(id)).await,
            Code::Unauthenticated,
            "SERVICE_ACCOUNT_DISABLED",
        );
        for (answer, code, reason) in [
            (
                owner.disable_service_account(disable_account(id, &account)).await.map(drop),
                Code::FailedPrecondition,
                "SERVICE_ACCOUNT_STATE",
            ),
            (
                owner.create_api_key(create_api_key(id, &account)).await.map(drop),
                Code::FailedPrecondition,
                "SERVICE_ACCOUNT_STATE",
            ),
        ] {
            assert_refused(answer, code, reason);
        }
        owner.enable_service_account(enable_account(id, &account)).await.unwrap();
        assert!(by_key.get_organization(get_organization(id)).await.is_ok());

        let before = app.traces().await;
        owner.delete_service_account(delete_account(id, &account)).await.unwrap();
        assert_eq!(before.rows["grants"] - app.traces().await.rows["grants"], 1);
        assert_refused(by_key.get_organization(get_organization(id)).await, Code::Unauthenticated, "KEY_REVOKED");
        assert_refused(owner.get_service_account(get_account(id, &account)).await, Code::NotFound, "NOT_FOUND");
        assert!(owner.list_service_accounts(list_accounts(id)).await.unwrap().service_accounts.is_empty());
        let delta = grant(service_account(&account), role("backend"));
        assert_refused(owner.change_grants(change(id, vec![delta])).await, Code::NotFound, "NOT_FOUND");
    }

    async fn the_keys_of_a_disabled_account_say_so_whether_or_not_the_server_knows_them(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let (account, known) = app.backend_account(&organization).await;
        known.get_organization(get_organization(id)).await.expect("a key that is remembered from now on");
        let unknown = app.with(&owner.create_api_key(create_api_key(id, &account)).await.unwrap().secret);
        let made = owner.create_api_key(create_api_key(id, &account)).await.unwrap();
        let revoked = app.with(&made.secret);
        owner.revoke_api_key(revoke_key(id, &account, &made.api_key.unwrap().id)).await.unwrap();
        let mut stream = known.stream().await.unwrap();
        stream.progress(1).await;

        owner.disable_service_account(disable_account(id, &account)).await.unwrap();
        assert_refused(stream.receive().await, Code::Unauthenticated, "SERVICE_ACCOUNT_DISABLED");
        let answers = async |app: &TestApp| {
            let mut reasons = Vec::new();
            for caller in [&known, &unknown, &revoked, &unknown] {
                let answer = app.with(caller.credential.as_deref().unwrap()).get_organization(get_organization(id)).await;
                reasons.push(answer.map_or_else(|status| crate::harness::reason(&status), |_| "fine".to_owned()));
            }
            reasons
        };
        let disabled = ["SERVICE_ACCOUNT_DISABLED", "SERVICE_ACCOUNT_DISABLED", "KEY_REVOKED", "SERVICE_ACCOUNT_DISABLED"];
        assert_eq!(answers(&app).await, disabled);
        let owner_token = owner.credential.clone().unwrap();
        let app = app.restart().await;
        assert_eq!(answers(&app).await, disabled, "after a restart");

        app.with(&owner_token).enable_service_account(enable_account(id, &account)).await.unwrap();
        assert_eq!(answers(&app).await, ["fine", "fine", "KEY_REVOKED", "fine"]);
    }

    async fn what_owns_something_hands_it_over_first(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        let made = admin.create_service_account(create_service_account(id, "machine")).await.unwrap();
        let account = made.service_account.unwrap().id;
        put(admin, id, asset("a"), None).await.unwrap();
        admin.set_resource_owner(set_owner(id, asset("a"), Some(service_account(&account)))).await.unwrap();
        assert_refused(
            admin.delete_service_account(delete_account(id, &account)).await,
            Code::FailedPrecondition,
            "SERVICE_ACCOUNT_OWNS",
        );
        admin.set_resource_owner(set_owner(id, asset("a"), None)).await.unwrap();
        admin.delete_service_account(delete_account(id, &account)).await.unwrap();
    }

    async fn a_bound_account_has_no_keys_ends_with_its_resource_and_is_seen_with_it(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (admin, id) = (&organization.owner.call, organization.id.as_str());
        let una = person(&app, &organization, "una", &["default"]).await;
        let made = put(&una.call, id, schedule(""), None).await.unwrap();
        let (key, account) = (made.resource.unwrap(), made.service_account_id);
        let shown = admin.get_service_account(get_account(id, &account)).await.unwrap().service_account.unwrap();
        assert_eq!((shown.resource, shown.enabled), (Some(key.clone()), true));

        for answer in [
            admin.create_api_key(create_api_key(id, &account)).await.map(drop),
            admin.delete_service_account(delete_account(id, &account)).await.map(drop),
        ] {
            assert_refused(answer, Code::FailedPrecondition, "SERVICE_ACCOUNT_BOUND");
        }
        // An admin switches it off, and on again (AX-27).
        admin.disable_service_account(disable_account(id, &account)).await.unwrap();
        admin.enable_service_account(enable_account(id, &account)).await.unwrap();

        una.call.delete_resource(delete(id, key)).await.unwrap();
        assert_refused(admin.get_service_account(get_account(id, &account)).await, Code::NotFound, "NOT_FOUND");
    }

    async fn accounts_come_by_pages_in_the_order_in_which_they_were_made(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let mut made = Vec::new();
        for at in 0..5 {
            let account = owner.create_service_account(create_service_account(id, &format!("machine {at}"))).await;
            made.push(account.unwrap().service_account.unwrap().id);
            app.clock.advance(std::time::Duration::from_millis(1));
        }
        let (mut listed, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = proto::ListServiceAccountsRequest { page_size: 2, page_token, ..list_accounts(id) };
            let page = owner.list_service_accounts(request).await.unwrap();
            listed.extend(page.service_accounts.into_iter().map(|account| account.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, made);
    }
}

/// What one server disables another refuses for that, though it has the key in mind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_disabled_on_every_server() {
    let app = TestApp::start(Database::Postgres).await;
    let organization = app.found().await;
    let (owner, id) = (&organization.owner.call, organization.id.as_str());
    let (account, by_key) = app.backend_account(&organization).await;
    let replica = app.replica().await;
    let there = replica.with(by_key.credential.as_deref().unwrap());
    assert!(there.get_organization(get_organization(id)).await.is_ok());
    let mut stream = there.stream().await.unwrap();
    stream.progress(1).await;

    owner.disable_service_account(disable_account(id, &account)).await.unwrap();
    assert_refused(stream.receive().await, Code::Unauthenticated, "SERVICE_ACCOUNT_DISABLED");
    assert_refused(
        there.get_organization(get_organization(id)).await,
        Code::Unauthenticated,
        "SERVICE_ACCOUNT_DISABLED",
    );
}

/// What one server revokes another refuses, though it has the key in mind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_taken_back_on_every_server() {
    let app = TestApp::start(Database::Postgres).await;
    let organization = app.found().await;
    let (owner, id) = (&organization.owner.call, organization.id.as_str());
    let (account, by_key) = app.backend_account(&organization).await;
    let replica = app.replica().await;
    let there = replica.with(by_key.credential.as_deref().unwrap());
    assert!(there.get_organization(get_organization(id)).await.is_ok());

    let key = owner.list_api_keys(list_keys(id, &account)).await.unwrap().api_keys.pop().unwrap().id;
    owner.revoke_api_key(revoke_key(id, &account, &key)).await.unwrap();
    let refused = crate::harness::eventually_finds("the refusal", async || {
        there.get_organization(get_organization(id)).await.err()
    });
    assert_refused::<()>(Err(refused.await), Code::Unauthenticated, "KEY_REVOKED");
}
