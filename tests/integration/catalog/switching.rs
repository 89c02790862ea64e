//! An organization that comes to follow another catalog, or another version of the one it follows.

use guildhall::domain::revision::Position;
use guildhall::proto;
use tonic::Code;
use tonic_types::StatusExt;

use super::{SHOP, create_under, found_shop, put, shelf, shop_with};
use crate::check::streams::at as at_revision;
use crate::harness::messages::{
    as_member, change, check, create_group, create_role, custom_role, disable, get_organization, get_role, grant, item,
    list_permissions, list_roles, membership, reaching, register, revoke, set_catalog, user,
};
use crate::harness::{Caller, Organization, Person, TestApp, assert_refused, at, role};
use crate::on_both;

const REQUEST_ID: &str = "018f4e9a-0000-7000-8000-000000000001";
/// The second version, in which helpers fill the shelves that they look after.
const HELPERS_FILL: [(&str, &str); 2] = [
    ("version: 1", "version: 2"),
    (
        "    permissions: {shelf.view: SHARED}\n\n  guest",
        "    permissions: {shelf.view: SHARED, shelf.fill: SHARED}\n\n  guest",
    ),
];

/// A shop with a shelf and a helper who is on its list.
async fn scene(app: &TestApp) -> (Organization, Person) {
    let shop = found_shop(app).await;
    let owner = &shop.owner.call;
    owner.register_resource(register(&shop.id, shelf("tea"))).await.unwrap();
    let assignments = vec![role("helper"), as_member(shelf("tea"))];
    let bob = app.invite_and_join(&shop.id, owner, "bob@example.test", assignments).await;
    (shop, bob)
}

/// Returns how far the organization's own log has come.
async fn revision(call: &Caller, organization: &str) -> Position {
    at_revision(&call.get_organization(get_organization(organization)).await.expect("an organization").revision)
}

/// Puts a catalog of another name and has the shop follow it, as the operator.
async fn follow(app: &TestApp, shop: &Organization, changes: &[(&str, &str)]) -> Result<(), tonic::Status> {
    let text = shop_with(changes);
    let name = format!("name: other-{}", mark_of(&text));
    put(app, &text.replace("name: shop", &name)).await;
    app.operator().set_organization_catalog(set_catalog(&shop.id, &name["name: ".len()..])).await.map(drop)
}

/// Tells one text from another.
fn mark_of(text: &str) -> String {
    let hash = guildhall::auth::hash_of(text);
    format!("{:016x}", u64::from_be_bytes(*hash.first_chunk().expect("32 bytes")))
}

on_both! {
    async fn an_organization_takes_its_names_along_to_another_product_where_they_are_free(app) {
        let shop = found_shop(&app).await;
        put(&app, &SHOP.replace("name: shop", "name: mall")).await;
        let there = app.found_under_by("mall", "eve@example.test").await;
        let named = |id: &str, slug: &str| proto::UpdateOrganizationRequest {
            organization_id: id.into(),
            slug: slug.into(),
            ..Default::default()
        };
        let operator = app.operator();
        for id in [&shop.id, &there.id] {
            operator.update_organization(named(id, "acme")).await.expect("another product's");
        }
        let switched = operator.set_organization_catalog(set_catalog(&shop.id, "mall")).await;
        assert_refused(switched, Code::AlreadyExists, "NAME_TAKEN");
        operator.update_organization(named(&there.id, "acme-2")).await.unwrap();
        operator.set_organization_catalog(set_catalog(&shop.id, "mall")).await.unwrap();

        let look_up = |catalog: &str| proto::LookUpOrganizationRequest {
            name: Some(proto::look_up_organization_request::Name::Slug("acme".into())),
            catalog: catalog.into(),
        };
        let found = operator.look_up_organization(look_up("mall")).await.unwrap();
        assert_eq!(found.organization.unwrap().id, shop.id);
        assert_refused(operator.look_up_organization(look_up("shop")).await, Code::NotFound, "NOT_FOUND");
        assert_refused(operator.update_organization(named(&there.id, "acme")).await, Code::AlreadyExists, "NAME_TAKEN");
    }

    async fn checks_lists_and_subscriptions_follow_the_switch(app) {
        let (shop, bob) = scene(&app).await;
        let (owner, id) = (&shop.owner.call, shop.id.as_str());
        let fills = || item(&bob.user_id, "shelf.fill", Some(shelf("tea")));
        let views = || item(&bob.user_id, "shelf.view", Some(shelf("tea")));
        let mut stream = app.backend(&shop).await.stream().await.unwrap();
        stream.subscribe(id, vec![fills(), views(), item(&bob.user_id, "shelf.sell", Some(shelf("tea")))]).await;
        assert_eq!(stream.changes().await, [(1, false), (2, true), (3, false)].into());

        put(&app, &shop_with(&HELPERS_FILL)).await;
        assert!(!owner.allows(id, &bob.user_id, "shelf.fill", Some(shelf("tea"))).await);
        stream.progress(1).await;
        let switched = app.operator().set_organization_catalog(set_catalog(id, "shop")).await.unwrap();
        assert_eq!((switched.name.as_str(), switched.version), ("shop", 2));
        assert_eq!(at_revision(&switched.revision), revision(owner, id).await);
        assert_eq!(stream.changes().await, [(1, true)].into());
        assert!(owner.allows(id, &bob.user_id, "shelf.fill", Some(shelf("tea"))).await);
        let held = owner.list_permissions(list_permissions(id, user(&bob.user_id), Some(shelf("tea")))).await.unwrap();
        assert!(held.permissions.iter().any(|held| held.permission == "shelf.fill"), "{held:?}");
        let helper = owner.get_role(get_role(id, "helper")).await.unwrap().role.unwrap();
        assert_eq!(helper.effective_permissions.len(), 2);
        let shown = owner.get_organization(get_organization(id)).await.unwrap().organization.unwrap();
        assert_eq!((shown.catalog.as_str(), shown.catalog_version), ("shop", 2));

        // A third version moves the numbers of everything, and declares what was asked about before it was.
        let moved = [
            ("version: 1", "version: 3"),
            ("types:\n", "types:\n  aisle: {}\n"),
            ("permissions: [shelf.fill, shelf.audit]", "permissions: [aisle.sweep, shelf.sell, shelf.audit, shelf.fill]"),
            ("roles:\n  keeper", "roles:\n  another: {at: [organization], permissions: {aisle.sweep: ANY}}\n  keeper"),
            (
                "    permissions: {shelf.view: SHARED}\n\n  guest",
                "    permissions: {shelf.view: SHARED, shelf.sell: SHARED}\n\n  guest",
            ),
        ];
        put(&app, &shop_with(&moved)).await;
        app.operator().set_organization_catalog(set_catalog(id, "shop")).await.unwrap();
        assert_eq!(stream.changes().await, [(1, false), (3, true)].into());
        assert!(owner.allows(id, &bob.user_id, "shelf.view", Some(shelf("tea"))).await);
        assert!(!bob.call.allows(id, &bob.user_id, "aisle.sweep", None).await);

        // And back: to the second, which the server has known for long.
        let back = proto::SetOrganizationCatalogRequest { version: 2, ..set_catalog(id, "shop") };
        app.operator().set_organization_catalog(back).await.unwrap();
        assert_eq!(stream.changes().await, [(1, true), (3, false)].into());
        stream.progress(2).await;

        let app = app.restart().await;
        let owner = app.sign_in("ada@example.test", "").await.call;
        assert!(owner.allows(id, &bob.user_id, "shelf.fill", Some(shelf("tea"))).await);
        assert!(!owner.allows(id, &bob.user_id, "shelf.sell", Some(shelf("tea"))).await);
    }

    async fn what_is_followed_already_is_no_change_and_what_is_not_there_is_told(app) {
        let (shop, _) = scene(&app).await;
        let (owner, operator, id) = (&shop.owner.call, app.operator(), shop.id.as_str());
        let before = revision(owner, id).await;
        let same = operator.set_organization_catalog(set_catalog(id, "shop")).await.unwrap();
        assert_eq!((same.name.as_str(), same.version), ("shop", 1));
        assert_eq!(revision(owner, id).await, before);

        for (name, version) in [("no-such", 0), ("shop", 2), ("disaster-recovery", 7), ("", 0)] {
            let request = proto::SetOrganizationCatalogRequest { version, ..set_catalog(id, name) };
            let refused = operator.set_organization_catalog(request).await;
            assert_refused(refused, Code::InvalidArgument, "CATALOG_UNKNOWN");
        }
        let nobody = operator.set_organization_catalog(set_catalog(crate::refusals::NOBODY, "shop")).await;
        assert_refused(nobody, Code::NotFound, "NOT_FOUND");

        put(&app, &shop_with(&HELPERS_FILL)).await;
        let dry = proto::SetOrganizationCatalogRequest { validate_only: true, ..set_catalog(id, "shop") };
        let told = operator.set_organization_catalog(dry).await.unwrap();
        assert_eq!((told.version, told.revision.as_str()), (2, ""));
        assert_eq!(revision(owner, id).await, before);

        let request_id = REQUEST_ID.to_owned();
        let named = || proto::SetOrganizationCatalogRequest { request_id: request_id.clone(), ..set_catalog(id, "shop") };
        let first = operator.set_organization_catalog(named()).await.unwrap();
        let again = operator.set_organization_catalog(named()).await.unwrap();
        assert_eq!((again.name, again.version), (first.name, first.version));
        assert_eq!(revision(owner, id).await, at_revision(&first.revision));
    }

    /// Each catalog lacks one thing that the organization has. Nothing changes, and it is told what is missing.
    async fn a_catalog_without_a_place_for_what_is_there_is_refused(app) {
        let (shop, bob) = scene(&app).await;
        let (owner, id) = (&shop.owner.call, shop.id.as_str());
        let of_two = proto::Role { includes: vec!["spare".into()], ..custom_role("filler", &["shelf.fill"]) };
        owner.create_role(create_role(id, of_two)).await.unwrap();
        owner.create_role(create_role(id, custom_role("auditor", &["shelf.audit"]))).await.unwrap();
        let until = Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 });
        let mut deltas = vec![grant(membership(&bob.membership_id), at(shelf("tea"), "guest"))];
        deltas.push(grant(membership(&bob.membership_id), proto::Assignment { expire_time: until, ..role("guest") }));
        deltas.push(grant(membership(&bob.membership_id), role("usher")));
        owner.change_grants(change(id, deltas)).await.unwrap();
        let before = revision(owner, id).await;

        let helper = "  helper:\n    at: [organization]";
        let guest = "  guest:\n    at: [organization, shelf]";
        let spare = "  spare:\n";
        let sets = |set: &str| format!("sets: {{s: [{set}]}}\nroles:\n  keeper");
        let (two, with_an_end) = (sets("helper, usher"), sets("keeper, guest"));
        let incompatible: &[(&str, &[(&str, &str)])] = &[
            ("role helper,", &[("  helper:", "  assistant:"), ("includes: [helper]", "includes: [assistant]")]),
            ("role guest,", &[(guest, "  guest:\n    at: [organization]")]),
            ("role helper,", &[(helper, "  helper:\n    at: [organization]\n    to: [service_account]")]),
            ("role helper,", &[("  helper:\n    at: [organization]\n", "  helper:\n")]),
            ("list entry shelf,", &[("shelf: {list: true}", "shelf: {}")]),
            ("feature custom_roles,", &[("custom_roles: true", "custom_roles: false")]),
            ("permissions[shelf.audit]", &[(", shelf.audit]", "]"), ("      shelf.audit: ANY\n", "")]),
            ("auditor.name", &[("roles:\n  keeper", "roles:\n  auditor: {at: [organization]}\n  keeper")]),
            ("filler.includes[0]", &[(spare, "  spare:\n    at: [organization]\n    holders: {most: 9}\n")]),
            ("until when", &[("roles:\n  keeper", &with_an_end)]),
            ("of the set s", &[("roles:\n  keeper", &two), ("includes: [helper]", "includes: []")]),
            ("helper without one", &[(helper, "  helper:\n    requires: [keeper]\n    at: [organization]")]),
        ];
        for (missing, changes) in incompatible {
            let status = follow(&app, &shop, changes).await.expect_err(missing);
            assert!(status.message().contains(missing), "{missing}: {}", status.message());
            assert_refused::<()>(Err(status), Code::FailedPrecondition, "CATALOG_INCOMPATIBLE");
            assert_eq!(revision(owner, id).await, before, "{missing}");
        }
        let no_shelves = app.operator().set_organization_catalog(set_catalog(id, "disaster-recovery")).await;
        assert_refused(no_shelves, Code::FailedPrecondition, "CATALOG_INCOMPATIBLE");
        assert!(owner.allows(id, &bob.user_id, "shelf.view", Some(shelf("tea"))).await);

        follow(&app, &shop, &[("shelves", "racks"), ("Shelves", "Racks")]).await.expect("one that lacks nothing");
        assert!(owner.allows(id, &bob.user_id, "shelf.view", Some(shelf("tea"))).await);
        let roles = owner.list_roles(list_roles(id)).await.unwrap().roles;
        let custom: Vec<&str> = roles.iter().filter(|it| it.is_custom).map(|it| it.name.as_str()).collect();
        assert_eq!(custom, ["auditor", "filler"]);
    }

    async fn where_things_may_stand_and_what_can_be_asked_of_them_follows_the_switch(app) {
        let (shop, _) = scene(&app).await;
        let (owner, operator, id) = (&shop.owner, app.operator(), shop.id.as_str());
        let inner = proto::RegisterResourceRequest { parent: Some(shelf("tea")), ..register(id, shelf("green")) };
        owner.call.register_resource(inner).await.unwrap();
        let aisles = |types: &str| {
            let changes = [
                ("  shelf: {list: true}", types),
                ("shelf.audit]", "shelf.audit, aisle.sweep]"),
                ("      shelf.audit: ANY\n", "      shelf.audit: ANY\n      aisle.sweep: ANY\n"),
            ];
            changes.map(|(from, to)| (from.to_owned(), to.to_owned()))
        };
        let turn_to = async |types: &str| {
            let changes = aisles(types);
            let changes: Vec<(&str, &str)> = changes.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
            follow(&app, &shop, &changes).await
        };

        turn_to("  aisle: {}\n  shelf: {list: true}").await.expect("anything under anything");
        let sweeps = || item(&owner.user_id, "aisle.sweep", Some(shelf("tea")));
        let mut stream = app.backend(&shop).await.stream().await.unwrap();
        stream.subscribe(id, vec![sweeps()]).await;
        assert_eq!(stream.changes().await, [(1, true)].into(), "an aisle could stand under a shelf");

        let before = revision(&owner.call, id).await;
        for (types, parent) in [
            ("  aisle: {}\n  shelf: {list: true, under: [organization]}", "shelf"),
            ("  aisle: {}\n  shelf: {list: true, under: [aisle, shelf]}", "organization"),
        ] {
            let status = turn_to(types).await.unwrap_err();
            let metadata = status.get_details_error_info().unwrap().metadata;
            assert_eq!((metadata["type"].as_str(), metadata["parent"].as_str()), ("shelf", parent));
            assert_refused::<()>(Err(status), Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
            assert_eq!(revision(&owner.call, id).await, before);
            let name = shop_with(&aisles(types).each_ref().map(|(from, to)| (from.as_str(), to.as_str())));
            let name = format!("other-{}", mark_of(&name));
            let dry = proto::SetOrganizationCatalogRequest { validate_only: true, ..set_catalog(id, &name) };
            let refused = operator.set_organization_catalog(dry).await;
            assert_refused(refused, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
        }

        turn_to("  aisle: {under: [organization]}\n  shelf: {list: true, under: [organization, aisle, shelf]}").await.unwrap();
        assert_eq!(stream.changes().await, [(1, false)].into());
        let told = owner.call.check(check(id, sweeps())).await.unwrap().decision.unwrap();
        assert_eq!(told.reason(), proto::DecisionReason::PermissionNotAskedHere);
        assert!(owner.call.allows(id, &owner.user_id, "aisle.sweep", None).await);
        let aisle = proto::ResourceRef { r#type: "aisle".into(), id: "one".into() };
        let below = proto::RegisterResourceRequest { parent: Some(shelf("tea")), ..register(id, aisle) };
        let refused = operator.register_resource(below).await;
        assert_refused(refused, Code::FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
    }

    async fn groups_go_only_where_there_are_groups(app) {
        let (shop, _) = scene(&app).await;
        let (operator, id) = (app.operator(), shop.id.as_str());
        let no_groups = [("groups: true", "groups: false")];
        follow(&app, &shop, &no_groups).await.expect("there are none");
        follow(&app, &shop, &[]).await.unwrap();
        operator.create_group(create_group(id, "Buyers")).await.unwrap();
        let status = follow(&app, &shop, &no_groups).await.unwrap_err();
        assert!(status.message().contains("groups"), "{}", status.message());
        assert_refused::<()>(Err(status), Code::FailedPrecondition, "CATALOG_INCOMPATIBLE");
    }

    /// CV-09: where the other catalog says that one role of a set is held, each member has one, or gets it by default.
    async fn a_set_that_must_be_held_is_held_by_every_member_from_the_switch_on(app) {
        let (shop, bob) = scene(&app).await;
        let (owner, id) = (&shop.owner.call, shop.id.as_str());
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![]).await;
        let before = revision(owner, id).await;
        let sets = "sets: {s: {of: [keeper, helper, usher], required: true}}\nroles:\n  keeper";
        let sets = [("roles:\n  keeper", sets), ("includes: [helper]", "includes: []")];
        let status = follow(&app, &shop, &sets).await.unwrap_err();
        assert!(status.message().contains("no role of the set s"), "{}", status.message());
        assert_refused::<()>(Err(status), Code::FailedPrecondition, "CATALOG_INCOMPATIBLE");
        assert_eq!(revision(owner, id).await, before);
        assert_eq!(owner.member(id, &eve.email).await.roles, [""; 0]);

        let with_default = [sets[0], sets[1], ("founder_roles", "default_role: usher\nfounder_roles")];
        follow(&app, &shop, &with_default).await.expect("eve holds the default role then");
        assert_eq!(owner.member(id, &eve.email).await.roles, ["usher"]);
        assert_eq!(owner.member(id, &bob.email).await.roles, ["helper"]);
        assert_eq!(owner.member(id, &shop.owner.email).await.roles, ["keeper"]);
    }

    async fn a_grant_without_an_end_may_stand_in_a_set_of_the_other_catalog(app) {
        let (shop, _) = scene(&app).await;
        let sets = "sets: {s: [keeper, guest]}\nroles:\n  keeper";
        follow(&app, &shop, &[("roles:\n  keeper", sets)]).await.expect("nobody holds two of them");
    }

    /// Whatever the bounds were before, and whether or not there were any.
    async fn the_bounds_of_the_other_catalog_hold_from_the_switch_on(app) {
        let (shop, bob) = scene(&app).await;
        let (owner, id) = (&shop.owner.call, shop.id.as_str());
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("helper")]).await;
        let helper = "  helper:\n    at: [organization]\n";
        let included = ("includes: [helper]", "includes: []");
        let bounded = |bounds: &str| format!("{helper}    holders: {{{bounds}}}\n");
        let (one, two, three) = (bounded("most: 1"), bounded("most: 2"), bounded("least: 3"));
        let refuse = async |changes: &[(&str, &str)]| {
            let before = revision(owner, id).await;
            let refused = follow(&app, &shop, changes).await;
            assert_refused(refused, Code::FailedPrecondition, "ROLE_CARDINALITY");
            assert_eq!(revision(owner, id).await, before);
        };
        refuse(&[included, (helper, &one)]).await;
        refuse(&[included, (helper, &three)]).await;
        follow(&app, &shop, &[included, (helper, &two)]).await.expect("two hold it, and may");
        refuse(&[included, (helper, &one)]).await;
        refuse(&[included, (helper, &three)]).await;

        // Counted from here on.
        let more = app.invite_and_join(id, owner, "max@example.test", vec![role("guest")]).await;
        let third = || change(id, vec![grant(membership(&more.membership_id), role("helper"))]);
        assert_refused(owner.change_grants(third()).await, Code::FailedPrecondition, "ROLE_CARDINALITY");
        let exactly = bounded("least: 2, most: 2");
        follow(&app, &shop, &[included, (helper, &exactly)]).await.expect("two hold it, and must");
        let fewer = owner.change_grants(change(id, vec![revoke(membership(&eve.membership_id), role("helper"))])).await;
        assert_refused(fewer, Code::FailedPrecondition, "ROLE_CARDINALITY");
        let out = owner.disable_member(disable(id, &bob.membership_id)).await;
        assert_refused(out, Code::FailedPrecondition, "ROLE_CARDINALITY");
        follow(&app, &shop, &[]).await.expect("no bounds at all");
        owner.change_grants(third()).await.unwrap();
        let last = owner.change_grants(change(id, vec![revoke(membership(&shop.owner.membership_id), role("keeper"))]));
        assert_refused(last.await, Code::FailedPrecondition, "SELF_REMOVAL");
    }

    async fn an_organization_whose_founder_has_not_come_may_follow_another_catalog(app) {
        put(&app, SHOP).await;
        let made = app.operator().create_organization(create_under("shop", 0)).await.unwrap();
        let id = made.organization.unwrap().id;
        put(&app, &shop_with(&HELPERS_FILL)).await;
        app.operator().set_organization_catalog(set_catalog(&id, "shop")).await.expect("nobody holds it yet");
        let ada = app.join("ada@example.test").await;
        assert!(ada.call.allows(&id, &ada.user_id, "shelf.audit", None).await);
    }

    /// A custom role is compiled against what is followed: what it includes holds there what it holds there.
    async fn custom_roles_go_along_and_hold_what_their_names_stand_for_now(app) {
        let (shop, bob) = scene(&app).await;
        let (owner, id) = (&shop.owner.call, shop.id.as_str());
        let lookout = proto::Role {
            includes: vec!["guest".into()],
            permissions: vec![reaching("shelf.audit", proto::Reach::Any)],
            ..custom_role("lookout", &[])
        };
        owner.create_role(create_role(id, lookout)).await.unwrap();
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("lookout")]).await;
        let may = async |permission| owner.allows(id, &eve.user_id, permission, Some(shelf("tea"))).await;
        assert!(may("shelf.audit").await && !may("shelf.view").await && !may("shelf.fill").await);

        let changes = [
            ("permissions: [shelf.fill, shelf.audit]", "permissions: [shelf.audit, shelf.dust, shelf.fill]"),
            ("shelf]\n    permissions: {shelf.view: SHARED}", "shelf]\n    permissions: {shelf.view: ANY, shelf.dust: ANY}"),
        ];
        follow(&app, &shop, &changes).await.unwrap();
        assert!(may("shelf.audit").await && may("shelf.view").await && may("shelf.dust").await && !may("shelf.fill").await);
        assert!(owner.allows(id, &bob.user_id, "shelf.view", Some(shelf("tea"))).await);

        let app = app.restart().await;
        let owner = app.sign_in("ada@example.test", "").await.call;
        assert!(owner.allows(id, &eve.user_id, "shelf.dust", Some(shelf("tea"))).await);
        assert!(!owner.allows(id, &eve.user_id, "shelf.fill", Some(shelf("tea"))).await);
    }
}
