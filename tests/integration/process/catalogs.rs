//! Catalogs of operators, met by processes that did not put them.

use super::program::Site;
use crate::catalog::{SHOP, shelf, shop_with};
use crate::harness::messages::{
    as_member, create_role, custom_role, get_organization, item, put_catalog, register, set_catalog,
};
use crate::harness::{Database, role};
use crate::on_both;

/// The second version, in which helpers fill the shelves that they look after.
fn helpers_fill() -> String {
    shop_with(&[
        ("version: 1", "version: 2"),
        (
            "    permissions: {shelf.view: SHARED}\n\n  guest",
            "    permissions: {shelf.view: SHARED, shelf.fill: SHARED}\n\n  guest",
        ),
    ])
}

on_both! {
    async fn a_server_that_starts_knows_the_catalogs_that_are_followed(database: Database) {
        let site = Site::new(database).await;
        let server = site.serve().await;
        let key = server.operator_key.clone().expect("the first start tells it");
        server.with(&key).put_catalog(put_catalog(SHOP)).await.unwrap();
        let shop = server.found_under(&key, "shop", "ada@example.test").await;
        let (owner, id, token) = (&shop.owner.call, shop.id.as_str(), shop.owner.call.credential.clone().unwrap());
        owner.register_resource(register(id, shelf("tea"))).await.unwrap();
        owner.create_role(create_role(id, custom_role("auditor", &["shelf.audit"]))).await.unwrap();
        assert_eq!(server.stop().await.code, Some(0));

        let server = site.serve().await;
        let owner = server.with(&token);
        assert!(owner.allows(id, &shop.owner.user_id, "shelf.audit", Some(shelf("tea"))).await);
        let organization = owner.get_organization(get_organization(id)).await.unwrap().organization.unwrap();
        assert_eq!((organization.catalog.as_str(), organization.catalog_version), ("shop", 1));
        server.with(&key).put_catalog(put_catalog(&helpers_fill())).await.unwrap();
        assert_eq!(server.stop().await.code, Some(0));

        // And writes to what nobody has asked about yet.
        let server = site.serve().await;
        server.with(&key).set_organization_catalog(set_catalog(id, "shop")).await.unwrap();
        let owner = server.with(&token);
        owner.create_role(create_role(id, custom_role("filler", &["shelf.fill"]))).await.unwrap();
        assert!(owner.allows(id, &shop.owner.user_id, "shelf.fill", Some(shelf("tea"))).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_follows_to_a_catalog_that_it_has_not_met() {
    let site = Site::new(Database::Postgres).await;
    let first = site.serve().await;
    let key = first.operator_key.clone().expect("the first start tells it");
    let second = site.serve().await;
    let operator = first.with(&key);
    operator.put_catalog(put_catalog(SHOP)).await.unwrap();
    let shop = first.found_under(&key, "shop", "ada@example.test").await;
    let (owner, id) = (&shop.owner.call, shop.id.as_str());
    owner.register_resource(register(id, shelf("tea"))).await.unwrap();
    owner
        .create_invitation(crate::harness::messages::invite(
            id,
            "bob@example.test",
            vec![role("helper"), as_member(shelf("tea"))],
        ))
        .await
        .unwrap();
    let bob = first.join("bob@example.test").await;

    let ask = || {
        vec![item(&bob.user_id, "shelf.view", Some(shelf("tea"))), item(&bob.user_id, "shelf.fill", Some(shelf("tea")))]
    };
    let mut stream = second.with(owner.credential.as_ref().unwrap()).stream().await.unwrap();
    stream.subscribe(id, ask()).await;
    assert_eq!(stream.changes().await, [(1, true), (2, false)].into());
    operator.put_catalog(put_catalog(&helpers_fill())).await.unwrap();
    operator.set_organization_catalog(set_catalog(id, "shop")).await.unwrap();
    assert_eq!(stream.changes().await, [(2, true)].into());
    let owner = second.with(owner.credential.as_ref().unwrap());
    owner
        .create_role(create_role(id, custom_role("filler", &["shelf.fill"])))
        .await
        .expect("what it knows, it writes by");
    assert!(owner.allows(id, &bob.user_id, "shelf.fill", Some(shelf("tea"))).await);
}
