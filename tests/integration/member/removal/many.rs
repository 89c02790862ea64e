//! Somebody who holds more than one commit takes is removed all the same, and at once.

use guildhall::proto::principal::Kind;
use tonic::Code;

use super::{WORKSPACE, asset, own, worker};
use crate::harness::messages::{
    create_service_account, delete_account, get_organization, membership, remove, service_account, share,
};
use crate::harness::{Organization, TestApp, assert_refused, reason};
use crate::on_both;

/// More than the facts of a commit.
const MANY: usize = 10_500;

on_both! {
    async fn who_holds_more_than_a_commit_takes_is_removed_at_once_and_what_they_held_is_gone(app) {
        let organization = app.found_under(WORKSPACE).await;
        let owner = &organization.owner.call;
        let bob = worker(&app, &organization, "bob").await;
        hold_many(&app, &organization, membership(&bob.membership_id)).await;

        owner.remove_member(remove(&organization.id, &bob.membership_id)).await.expect("a removal");
        assert_refused(bob.call.get_organization(get_organization(&organization.id)).await, Code::Unauthenticated, "SESSION_ENDED");
        assert_eq!(held(&app).await, 0);
    }

    async fn what_cannot_be_cut_into_commits_is_refused_and_nothing_is_half_done(app) {
        let organization = app.found_under(WORKSPACE).await;
        let owner = &organization.owner.call;
        let account = owner.create_service_account(create_service_account(&organization.id, "machine")).await.unwrap();
        let id = account.service_account.unwrap().id;
        hold_many(&app, &organization, service_account(&id)).await;
        let before = held(&app).await;

        let refused = owner.delete_service_account(delete_account(&organization.id, &id)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CHANGE_TOO_LARGE"));
        assert_eq!(held(&app).await, before);
    }
}

/// Lets `principal` hold a role at more assets than a commit takes, past the server: through it that takes minutes.
async fn hold_many(app: &TestApp, organization: &Organization, principal: Kind) {
    let owner = &organization.owner;
    own(&owner.call, organization, asset("0"), &owner.membership_id, None).await;
    owner.call.share_resource(share(&organization.id, asset("0"), vec![principal])).await.expect("a share");

    let past = app.past().await;
    let (numbers, number, id) = (past.numbers(MANY), "cast(i as text)", past.id());
    let shared = "place_kind = 'resource' and place_type = 'asset' and place_id = '0'";
    for sql in [
        format!(
            "{numbers} insert into resources (organization_id, type, id, created_at, owner_kind, owner_id) \
             select organization_id, type, {number}, created_at, owner_kind, owner_id \
             from resources cross join n where type = 'asset' and id = '0'"
        ),
        format!(
            "{numbers} insert into grants (id, scope, principal_kind, principal_id, place_kind, place_type, place_id, \
             role, source, created_at) select {id}, scope, principal_kind, principal_id, place_kind, place_type, \
             {number}, role, source, created_at from grants cross join n where {shared}"
        ),
    ] {
        past.run(&sql).await;
    }
    assert!(held(app).await > 10_000);
}

/// Returns how many grants there are at assets.
async fn held(app: &TestApp) -> i64 {
    app.past().await.number("select count(*) from grants where place_type = 'asset'").await
}
