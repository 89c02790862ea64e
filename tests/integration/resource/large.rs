//! Subtrees that are deleted in several commits, whatever hangs on them, and what stands between two of these commits.

use guildhall::proto;
use tonic::Code;

use super::{asset, person, put, schedule};
use crate::harness::messages::{
    add_contact, change, create_role, custom_role, delete, grant, membership, service_account, set_owner,
};
use crate::harness::{Caller, Person, TestApp, assert_refused, at};
use crate::on_both;
use crate::refusals::NOBODY;

/// The facts of one commit.
const COMMIT: i64 = 10_000;
/// More than these.
const MANY: usize = 10_500;
/// Resources with a hundred contacts each, which come to more facts than one commit takes.
const BELOW: usize = 101;

/// Puts resources below a top one, with a hundred contacts each, past the server: through it that takes minutes.
async fn put_many_contacts(app: &TestApp, by: &Caller, organization: &str) {
    by.add_contact(add_contact(organization, asset("top"), "contact@example.test")).await.expect("a contact");
    let past = app.past().await;
    let number = "cast(i as text)";
    past.run(&format!(
        "{} insert into resources (organization_id, type, id, parent_type, parent_id, created_at) \
         select organization_id, type, 'below-' || {number}, type, id, created_at \
         from resources cross join n where type = 'asset' and id = 'top'",
        past.numbers(BELOW),
    ))
    .await;
    past.run(&format!(
        "{} insert into contacts (id, organization_id, resource_type, resource_id, email_key, email, created_at) \
         select {}, organization_id, resource_type, 'below-' || {}, email_key || {number}, email, \
         created_at from contacts cross join n where resource_id = 'top'",
        past.numbers(BELOW * 100),
        past.id(),
        "cast((i % 101 + 1) as text)",
    ))
    .await;
    assert!(past.number("select count(*) from contacts").await > COMMIT);
}

/// Lets somebody own a resource with all that [`put_many_contacts`] puts below it.
async fn owning_many(app: &TestApp, owner: &Caller, organization: &str, who: &Person) {
    put(owner, organization, asset("top"), None).await.expect("a resource");
    put_many_contacts(app, owner, organization).await;
    let owned = set_owner(organization, asset("top"), Some(membership(&who.membership_id)));
    owner.set_resource_owner(owned).await.expect("an owner");
}

on_both! {
    async fn a_subtree_with_more_contacts_than_a_commit_takes_goes_whole(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        put(owner, id, asset("top"), None).await.unwrap();
        put_many_contacts(&app, owner, id).await;

        let before = app.traces().await;
        let request = proto::DeleteResourceRequest { request_id: NOBODY.into(), ..delete(id, asset("top")) };
        let deleted = owner.delete_resource(request.clone()).await.expect("a deletion");
        assert_eq!(usize::try_from(deleted.deleted_count).unwrap(), BELOW + 1);
        let after = app.traces().await;
        assert_eq!((after.rows["resources"], after.rows["contacts"]), (0, 0));
        assert!(after.rows["commits"] - before.rows["commits"] >= 2, "several commits");
        assert_eq!(owner.delete_resource(request).await.expect("the same answer").deleted, deleted.deleted);
    }

    async fn what_a_bound_account_holds_and_owns_elsewhere_goes_with_it_however_much_it_is(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        put(owner, id, asset("0"), None).await.unwrap();
        let account = put(owner, id, schedule("s"), None).await.unwrap().service_account_id;
        let held = grant(service_account(&account), at(asset("0"), "asset-reader"));
        owner.change_grants(change(id, vec![held])).await.unwrap();
        let past = app.past().await;
        let (numbers, number) = (past.numbers(MANY), "cast(i as text)");
        past.run(&format!(
            "{numbers} insert into resources (organization_id, type, id, created_at, owner_kind, owner_id) \
             select organization_id, type, {number}, created_at, 'service_account', {} \
             from resources cross join n where type = 'asset' and id = '0'",
            past.known(&account),
        ))
        .await;
        past.run(&format!(
            "{numbers} insert into grants (id, scope, principal_kind, principal_id, place_kind, place_type, place_id, \
             role, source, created_at) select {}, scope, principal_kind, principal_id, place_kind, place_type, {number}, \
             role, source, created_at from grants cross join n where place_type = 'asset' and place_id = '0'",
            past.id(),
        ))
        .await;

        owner.delete_resource(delete(id, schedule("s"))).await.expect("a deletion");
        let held = format!("select count(*) from grants where principal_id = {}", past.known(&account));
        assert_eq!(past.number(&held).await, 0);
        let owned = format!("select count(*) from resources where owner_id = {}", past.known(&account));
        assert_eq!(past.number(&owned).await, 0);
        assert_eq!(past.number("select count(*) from resources where type = 'asset'").await, i64::try_from(MANY).unwrap() + 1);
        assert_eq!(past.number("select count(*) from resources where type = 'schedule'").await, 0);
    }

    /// What the caller may is held at the resource itself, and goes last with it.
    async fn who_may_by_what_is_held_at_the_resource_may_until_it_is_gone(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        put(owner, id, asset("top"), None).await.unwrap();
        let remover = proto::Role { at: vec!["asset".into()], ..custom_role("remover", &["asset.view", "asset.delete"]) };
        owner.create_role(create_role(id, remover)).await.unwrap();
        let bob = person(&app, &organization, "bob", &[]).await;
        let held = grant(membership(&bob.membership_id), at(asset("top"), "remover"));
        owner.change_grants(change(id, vec![held])).await.unwrap();
        let past = app.past().await;
        past.run(&format!(
            "{} insert into grants (id, scope, principal_kind, principal_id, place_kind, place_type, place_id, \
             role, source, created_at) select {new}, scope, principal_kind, {new}, place_kind, place_type, place_id, \
             role, source, created_at from grants cross join n where place_type = 'asset' and place_id = 'top'",
            past.numbers(MANY),
            new = past.id(),
        ))
        .await;

        bob.call.delete_resource(delete(id, asset("top"))).await.expect("a deletion");
        assert_eq!(past.number("select count(*) from resources").await, 0);
        assert_eq!(past.number("select count(*) from grants where place_type = 'asset'").await, 0);
    }

    /// Refused means that nothing of it is there: once a part is gone, whatever keeps the rest is no refusal.
    async fn whatever_comes_after_a_part_is_gone_is_no_refusal_and_the_call_goes_on_when_it_is_repeated(app) {
        let organization = app.found_under("analytics-workspace").await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = person(&app, &organization, "bob", &["default"]).await;
        owning_many(&app, owner, id, &bob).await;
        let past = app.past().await;
        let state = |state| {
            format!("update memberships set state = '{state}' where id = {}", past.known(&bob.membership_id))
        };
        let request = proto::DeleteResourceRequest { request_id: NOBODY.into(), ..delete(id, asset("top")) };

        // With the first part of it bob loses all that he may.
        past.with_every_commit(&state("disabled")).await;
        assert_refused(bob.call.delete_resource(request.clone()).await, Code::Unavailable, "COMMIT_UNKNOWN");
        past.without_more().await;
        let left = past.number("select count(*) from contacts").await;
        assert!(left > 0 && left < COMMIT, "a part of it went, and {left} are left");
        assert_refused(bob.call.delete_resource(request.clone()).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(past.number("select count(*) from contacts").await, left, "what is refused leaves nothing");

        past.run(&state("active")).await;
        let deleted = bob.call.delete_resource(request.clone()).await.expect("the rest of it");
        assert!(deleted.deleted.contains(&asset("top")));
        assert_eq!(past.number("select count(*) from resources").await, 0);
        assert_eq!(past.number("select count(*) from contacts").await, 0);
        assert_eq!(bob.call.delete_resource(request).await.expect("the same answer").deleted, deleted.deleted);
    }
}
