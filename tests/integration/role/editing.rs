//! Roles made, changed and deleted by whoever may.

use std::time::Duration;

use futures_util::future::join_all;
use guildhall::proto::{self, HolderKind, Reach};
use prost_types::FieldMask;
use tonic::Code;

use super::{any, asset, change, give, make, named, shown, subset, workspace};
use crate::harness::messages::{
    create_role, custom_role, delete_role, get_organization, item, list_roles, reaching, revoke, update_role,
};
use crate::harness::{Caller, assert_refused, messages, role};
use crate::on_both;

const REQUEST_ID: &str = "018f4e9a-0000-7000-8000-000000000001";

async fn revision(call: &Caller, organization: &str) -> String {
    call.get_organization(get_organization(organization)).await.expect("an organization").revision
}

fn until(app: &crate::harness::TestApp, duration: Duration) -> prost_types::Timestamp {
    use guildhall::clock::Clock;
    let micros = app.clock.now().plus(duration).as_micros();
    prost_types::Timestamp { seconds: micros / 1_000_000, nanos: i32::try_from(micros % 1_000_000 * 1_000).unwrap() }
}

fn effective(role: &proto::Role) -> Vec<&str> {
    role.effective_permissions.iter().map(|held| held.permission.as_str()).collect()
}

on_both! {
    async fn ax_23_a_role_is_made_shown_and_held(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let written = proto::Role {
            description: "Looks after what is published.".into(),
            includes: vec!["shared-viewer".into()],
            permissions: vec![reaching("schedule.view", Reach::Own), reaching("asset.share", Reach::Any)],
            may_grant: Some(subset()),
            ..custom_role("curator", &[])
        };
        let made = make(owner, id, written).await.unwrap();
        assert!(made.is_custom && made.etag.len() == 16);
        assert_eq!((made.at.as_slice(), made.to.as_slice()), (&["organization".to_owned()][..], &[1][..]));
        assert_eq!(made.permissions, [reaching("asset.share", Reach::Any), reaching("schedule.view", Reach::Own)]);
        assert_eq!(effective(&made), ["project.view", "asset.view", "asset.share", "schedule.view"]);
        assert_eq!((made.may_grant.clone(), made.may_take.clone()), (Some(subset()), None));
        assert_eq!(shown(owner, id, "curator").await.unwrap(), made);
        let listed = owner.list_roles(list_roles(id)).await.unwrap().roles;
        let names: Vec<_> = listed.iter().map(|it| (it.name.as_str(), it.is_custom)).collect();
        let catalog = ["asset-reader", "backend", "default", "shared-viewer", "workspace-admin"].map(|name| (name, false));
        assert_eq!(names, catalog.into_iter().chain([("curator", true)]).collect::<Vec<_>>());
        assert_eq!(listed.last(), Some(&made));
        assert!(listed.iter().all(|it| it.is_custom || it.etag.is_empty()));

        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("curator")]).await;
        assert!(owner.allows(id, &bob.user_id, "asset.share", Some(asset("plan"))).await);
        assert!(!owner.allows(id, &bob.user_id, "asset.view", Some(asset("plan"))).await, "on no list");
        assert_eq!(shown(&bob.call, id, "curator").await.unwrap(), made, "whoever is in the organization");
        for nobody in ["no-such", "operator", ""] {
            assert_refused(shown(owner, id, nobody).await, Code::NotFound, "NOT_FOUND");
        }
        let other = app.found_as("Other", "oz@example.test").await;
        assert_refused(shown(&other.owner.call, id, "curator").await, Code::NotFound, "NOT_FOUND");
        assert_refused(shown(&other.owner.call, &other.id, "curator").await, Code::NotFound, "NOT_FOUND");
        let app = app.restart().await;
        let owner = app.sign_in("ada@example.test", "").await.call;
        assert_eq!(shown(&owner, id, "curator").await.unwrap(), made);
        assert!(owner.allows(id, &bob.user_id, "asset.share", Some(asset("plan"))).await);
    }

    async fn a_change_holds_at_once_for_whoever_holds_the_role(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        make(owner, id, custom_role("reader", &["asset.view"])).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("reader")]).await;
        let mut stream = app.backend(&workspace).await.stream().await.unwrap();
        let ask = |permission| item(&bob.user_id, permission, Some(asset("plan")));
        stream.subscribe(id, vec![ask("asset.view"), ask("asset.update"), ask("asset.delete")]).await;
        assert_eq!(stream.changes().await, [(1, true), (2, false), (3, false)].into());

        let wider = change(owner, id, custom_role("reader", &["asset.view", "asset.update"])).await.unwrap();
        assert_eq!(effective(&wider), ["asset.view", "asset.update"]);
        assert_eq!(stream.changes().await, [(2, true)].into());
        assert!(owner.allows(id, &bob.user_id, "asset.update", Some(asset("plan"))).await);

        let other = custom_role("reader", &["asset.delete"]);
        let written = owner.update_role(update_role(id, other)).await.unwrap();
        let frame = stream.change_frame().await;
        assert_eq!(frame.changes.len(), 3, "what goes and what comes at one revision: {frame:?}");
        assert_eq!(crate::check::streams::at(&frame.revision), crate::check::streams::at(&written.revision));
        assert!(!owner.allows(id, &bob.user_id, "asset.view", Some(asset("plan"))).await);

        // By the list: a role that puts its holders on every list, and one that does no longer.
        let listing = proto::Role {
            permissions: vec![reaching("asset.view", Reach::Shared)],
            as_member: true,
            ..custom_role("reader", &[])
        };
        let mask = |paths: &[&str]| Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() });
        let admin = app.operator();
        let request = proto::UpdateRoleRequest {
            update_mask: mask(&["permissions", "as_member"]),
            ..update_role(id, listing.clone())
        };
        admin.update_role(request.clone()).await.expect("an operator may give any role");
        assert_eq!(stream.changes().await, [(1, true), (3, false)].into());
        let unlisted = proto::Role { as_member: false, ..listing };
        let request = proto::UpdateRoleRequest { role: Some(unlisted), ..request };
        admin.update_role(request).await.unwrap();
        assert_eq!(stream.changes().await, [(1, false)].into());
        stream.progress(1).await;
    }

    async fn a_mask_says_what_is_written_and_an_etag_what_it_is_written_over(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let first = proto::Role { description: "first".into(), ..custom_role("reader", &["asset.view"]) };
        let first = make(owner, id, first).await.unwrap();
        let masked = |role: proto::Role, paths: &[&str]| {
            let paths = paths.iter().map(|&path| path.to_owned()).collect();
            proto::UpdateRoleRequest { update_mask: Some(FieldMask { paths }), ..update_role(id, role) }
        };
        let named_only = proto::Role { name: "reader".into(), ..Default::default() };
        let before = revision(owner, id).await;

        // Nothing is set: nothing is written, and nothing happens.
        assert_eq!(change(owner, id, named_only.clone()).await.unwrap(), first);
        assert_eq!(change(owner, id, first.clone()).await.unwrap(), first);
        assert_eq!(revision(owner, id).await, before);

        let other = proto::Role { description: "second".into(), ..custom_role("reader", &["asset.update"]) };
        let second = owner.update_role(masked(other.clone(), &["description"])).await.unwrap().role.unwrap();
        assert_eq!((second.description.as_str(), &second.permissions), ("second", &first.permissions));
        assert_ne!(second.etag, first.etag);
        let stale = proto::Role { etag: first.etag.clone(), ..other.clone() };
        assert_refused(change(owner, id, stale).await, Code::Aborted, "ETAG_MISMATCH");
        let fresh = proto::Role { etag: second.etag.clone(), ..other };
        let third = change(owner, id, fresh).await.unwrap();
        assert_eq!(effective(&third), ["asset.update"]);

        let emptied = owner.update_role(masked(named_only.clone(), &["permissions", "description"])).await.unwrap();
        let emptied = emptied.role.unwrap();
        assert_eq!((emptied.description.as_str(), emptied.permissions.len(), effective(&emptied).len()), ("", 0, 0));
        assert_eq!(emptied.at, ["organization"]);
        for path in ["name", "etag", "is_custom", "effective_permissions", "holders_least", "role.at", ""] {
            let refused = owner.update_role(masked(named_only.clone(), &[path])).await;
            assert_refused(refused, Code::InvalidArgument, "UPDATE_MASK_INVALID");
        }
        let no_place = owner.update_role(masked(named_only.clone(), &["*"])).await;
        assert_refused(no_place, Code::InvalidArgument, "OUT_OF_RANGE");
        assert_refused(change(owner, id, custom_role("no-such", &[])).await, Code::NotFound, "NOT_FOUND");
        assert_refused(change(owner, id, custom_role("default", &[])).await, Code::NotFound, "NOT_FOUND");
        let request = proto::DeleteRoleRequest { etag: first.etag, ..delete_role(id, "reader") };
        assert_refused(owner.delete_role(request).await, Code::Aborted, "ETAG_MISMATCH");
        let request = proto::DeleteRoleRequest { etag: emptied.etag, ..delete_role(id, "reader") };
        owner.delete_role(request).await.unwrap();
    }

    async fn a_role_that_is_held_is_deleted_only_with_another_in_its_place(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        make(owner, id, custom_role("reader", &["asset.view"])).await.unwrap();
        make(owner, id, custom_role("writer", &["asset.update"])).await.unwrap();
        let join = async |email, held| app.invite_and_join(id, owner, email, held).await;
        let (bob, eve) = (join("bob@example.test", vec![]).await, join("eve@example.test", vec![role("writer")]).await);
        let (max, zoe) = (join("max@example.test", vec![]).await, join("zoe@example.test", vec![]).await);
        let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
        let for_some = |name: &str, time| proto::Assignment { expire_time: Some(until(&app, time)), ..role(name) };
        give(owner, id, &bob, role("reader")).await.unwrap();
        // One holds the other role for longer, one for shorter, and one will hold it for as long as this one.
        give(owner, id, &eve, for_some("reader", day)).await.unwrap();
        give(owner, id, &max, for_some("reader", day)).await.unwrap();
        give(owner, id, &max, for_some("writer", hour)).await.unwrap();
        give(owner, id, &zoe, for_some("reader", hour)).await.unwrap();
        let pia = owner.create_invitation(messages::invite(id, "pia@example.test", vec![role("reader")])).await.unwrap();
        let before = revision(owner, id).await;

        assert_refused(owner.delete_role(delete_role(id, "reader")).await, Code::FailedPrecondition, "ROLE_IN_USE");
        let moving = |to: &str| proto::DeleteRoleRequest { move_holders_to: to.into(), ..delete_role(id, "reader") };
        for (to, reason) in [("no-such", "ROLE_UNKNOWN"), ("reader", "ROLE_UNKNOWN"), ("backend", "ROLE_NOT_ASSIGNABLE")] {
            assert_refused(owner.delete_role(moving(to)).await, Code::InvalidArgument, reason);
        }
        let dry = proto::DeleteRoleRequest { validate_only: true, ..moving("writer") };
        let told = owner.delete_role(dry).await.unwrap();
        assert_eq!((told.granted.len(), told.revoked.len(), told.revision.as_str()), (4, 6, ""));
        assert_eq!(revision(owner, id).await, before);

        let mut stream = app.backend(&workspace).await.stream().await.unwrap();
        let ask = |permission| item(&bob.user_id, permission, Some(asset("plan")));
        stream.subscribe(id, vec![ask("asset.view"), ask("asset.update")]).await;
        assert_eq!(stream.changes().await, [(1, true), (2, false)].into());
        let moved = owner.delete_role(moving("writer")).await.unwrap();
        assert_eq!((moved.granted.len(), moved.revoked.len()), (4, 6));
        assert_eq!(stream.changes().await, [(1, false), (2, true)].into());
        assert_refused(shown(owner, id, "reader").await, Code::NotFound, "NOT_FOUND");
        let granted = |member: &str| {
            let is_it = |it: &&proto::Grant| it.principal == Some(proto::Principal { kind: Some(messages::membership(member)) });
            moved.granted.iter().find(is_it).and_then(|it| it.assignment.clone())
        };
        assert_eq!(granted(&bob.membership_id), Some(role("writer")));
        assert_eq!(granted(&eve.membership_id), None, "she holds it without an end");
        assert_eq!(granted(&max.membership_id).unwrap().expire_time, Some(until(&app, day)));
        assert_eq!(granted(&zoe.membership_id).unwrap().expire_time, Some(until(&app, hour)));
        assert_eq!(granted(&pia.member.unwrap().id), Some(role("writer")));
        let pia = app.join("pia@example.test").await;

        app.clock.advance(hour + Duration::from_secs(1));
        let ada = app.sign_in("ada@example.test", "").await.call;
        let mut may = Vec::new();
        for person in [&bob, &eve, &max, &zoe, &pia] {
            may.push(ada.allows(id, &person.user_id, "asset.update", Some(asset("plan"))).await);
        }
        assert_eq!(may, [true, true, true, false, true]);
        app.clock.advance(day);
        let ada = app.sign_in("ada@example.test", "").await.call;
        assert!(!ada.allows(id, &max.user_id, "asset.update", Some(asset("plan"))).await);
        assert!(ada.allows(id, &eve.user_id, "asset.update", Some(asset("plan"))).await);

        // What has run out is held by nobody: it gives nothing, goes, and is not told.
        let emptied = proto::DeleteRoleRequest { move_holders_to: "default".into(), ..delete_role(id, "writer") };
        let told = ada.delete_role(emptied).await.unwrap();
        assert_eq!((told.granted.len(), told.revoked.len()), (3, 3));
        make(&ada, id, custom_role("reader", &["asset.delete"])).await.expect("the name is free again");
        assert!(!ada.allows(id, &bob.user_id, "asset.delete", Some(asset("plan"))).await, "nobody holds the new one");
    }

    async fn a_dry_run_writes_nothing_and_a_request_id_makes_a_retry_safe(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let before = revision(owner, id).await;
        let reader = || custom_role("reader", &["asset.view"]);
        let dry = proto::CreateRoleRequest { validate_only: true, ..create_role(id, reader()) };
        let told = owner.create_role(dry).await.unwrap();
        assert_eq!((told.revision.as_str(), effective(told.role.as_ref().unwrap())), ("", vec!["asset.view"]));
        assert_refused(shown(owner, id, "reader").await, Code::NotFound, "NOT_FOUND");
        assert_eq!(revision(owner, id).await, before);

        let named = |role| proto::CreateRoleRequest { request_id: REQUEST_ID.into(), ..create_role(id, role) };
        let first = owner.create_role(named(reader())).await.unwrap();
        let again = owner.create_role(named(reader())).await.unwrap();
        assert_eq!(again.role, first.role);
        let reused = owner.create_role(named(custom_role("reader", &[]))).await;
        assert_refused(reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
        let after = revision(owner, id).await;
        let dry = proto::UpdateRoleRequest {
            validate_only: true,
            ..update_role(id, custom_role("reader", &["asset.update"]))
        };
        let told = owner.update_role(dry).await.unwrap().role.unwrap();
        assert_eq!(effective(&told), ["asset.update"]);
        assert_eq!(shown(owner, id, "reader").await.unwrap(), first.role.unwrap());
        assert_eq!(revision(owner, id).await, after);
    }

    /// Of each field, what it does not take; all of it at once.
    async fn a_role_that_says_what_cannot_be_is_refused_field_by_field(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        make(owner, id, custom_role("reader", &[])).await.unwrap();
        let before = revision(owner, id).await;
        let good = || custom_role("another", &["asset.view"]);
        let reserved = |reach| proto::Role { permissions: vec![reaching("member.list", reach)], ..good() };
        let reaches = |reaches: &[Reach]| {
            let reaches = reaches.iter().map(|&reach| reach.into()).collect();
            vec![proto::RolePermission { permission: "asset.view".into(), reaches }]
        };
        let long: Vec<String> = (0..513).map(|number| format!("role-{number}")).collect();
        let twice = vec![reaching("asset.view", Reach::Any), reaching("asset.view", Reach::Own)];
        let cases: Vec<(proto::Role, &str, &str)> = vec![
            (proto::Role { name: "Another".into(), ..good() }, "role.name", "TEXT_MALFORMED"),
            (proto::Role { name: "x".repeat(65), ..good() }, "role.name", "TEXT_MALFORMED"),
            (proto::Role { name: String::new(), ..good() }, "role.name", "FIELD_REQUIRED"),
            (proto::Role { description: "x".repeat(1_001), ..good() }, "role.description", "TEXT_MALFORMED"),
            (proto::Role { at: vec![], ..good() }, "role.at", "OUT_OF_RANGE"),
            (proto::Role { at: vec!["product".into()], ..good() }, "role.at[0]", "RESOURCE_TYPE_UNKNOWN"),
            (proto::Role { at: vec!["asset".into(), "book".into()], ..good() }, "role.at[1]", "RESOURCE_TYPE_UNKNOWN"),
            (proto::Role { to: vec![HolderKind::Unspecified.into()], ..good() }, "role.to[0]", "OUT_OF_RANGE"),
            (proto::Role { to: vec![1, 9], ..good() }, "role.to[1]", "OUT_OF_RANGE"),
            (proto::Role { includes: vec!["no-such".into()], ..good() }, "role.includes[0]", "ROLE_UNKNOWN"),
            (proto::Role { includes: vec!["operator".into()], ..good() }, "role.includes[0]", "ROLE_UNKNOWN"),
            (proto::Role { includes: vec!["reader".into()], ..good() }, "role.includes[0]", "ROLE_UNKNOWN"),
            (proto::Role { includes: vec!["workspace-admin".into()], ..good() }, "role.includes[0]", "ROLE_NOT_ASSIGNABLE"),
            (custom_role("another", &["book.view"]), "role.permissions[book.view]", "PERMISSION_UNKNOWN"),
            (reserved(Reach::Shared), "role.permissions[member.list]", "OUT_OF_RANGE"),
            (reserved(Reach::Own), "role.permissions[member.list]", "OUT_OF_RANGE"),
            (proto::Role { permissions: reaches(&[]), ..good() }, "role.permissions[0].reaches", "OUT_OF_RANGE"),
            (proto::Role { permissions: reaches(&[Reach::Unspecified]), ..good() }, "role.permissions[0].reaches", "OUT_OF_RANGE"),
            (proto::Role { permissions: reaches(&[Reach::Any, Reach::Own]), ..good() }, "role.permissions[0].reaches", "OUT_OF_RANGE"),
            (proto::Role { permissions: twice, ..good() }, "role.permissions[1].permission", "OUT_OF_RANGE"),
            (proto::Role { may_grant: Some(named(&["reader"])), ..good() }, "role.may_grant", "ROLE_UNKNOWN"),
            (proto::Role { may_take: Some(named(&["operator"])), ..good() }, "role.may_take", "ROLE_UNKNOWN"),
        ];
        for (role, field, reason) in cases {
            let status = make(owner, id, role).await.expect_err(field);
            let told = crate::harness::violations(&status);
            assert_eq!(told, [(field.to_owned(), reason.to_owned())], "{status:?}");
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        }
        let status = make(owner, id, proto::Role { includes: long.clone(), ..good() }).await.unwrap_err();
        assert!(crate::harness::violations(&status).contains(&("role.includes".into(), "OUT_OF_RANGE".into())));
        let both = proto::Role { name: "A".into(), includes: vec!["no-such".into()], may_take: Some(any()), ..good() };
        let status = make(owner, id, both).await.unwrap_err();
        assert_eq!(crate::harness::violations(&status).len(), 2, "{status:?}");
        assert_refused(Err::<(), _>(status), Code::InvalidArgument, "REQUEST_INVALID");
        let huge = proto::Role { permissions: vec![reaching(&"x".repeat(200_000), Reach::Any)], ..good() };
        assert_refused(make(owner, id, huge).await, Code::InvalidArgument, "PERMISSION_UNKNOWN");
        let missing = proto::CreateRoleRequest { role: None, ..create_role(id, good()) };
        assert_refused(owner.create_role(missing).await, Code::InvalidArgument, "FIELD_REQUIRED");
        for taken in ["default", "operator", "reader"] {
            assert_refused(make(owner, id, custom_role(taken, &[])).await, Code::AlreadyExists, "NAME_TAKEN");
        }
        assert_eq!(revision(owner, id).await, before);
    }

    async fn where_and_by_whom_a_role_is_held_it_stays_holdable(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let both = || proto::Role { at: vec!["organization".into(), "asset".into()], ..custom_role("reader", &["asset.view"]) };
        make(owner, id, both()).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        give(owner, id, &bob, crate::harness::at(asset("plan"), "reader")).await.unwrap();
        assert!(owner.allows(id, &bob.user_id, "asset.view", Some(asset("plan"))).await);

        let elsewhere = proto::Role { at: vec!["organization".into()], ..both() };
        assert_refused(change(owner, id, elsewhere.clone()).await, Code::FailedPrecondition, "ROLE_IN_USE");
        let by_machines = proto::Role { to: vec![HolderKind::ServiceAccount.into()], ..both() };
        assert_refused(change(owner, id, by_machines.clone()).await, Code::FailedPrecondition, "ROLE_IN_USE");
        let less = proto::Role { at: vec!["asset".into()], ..both() };
        change(owner, id, less).await.expect("nobody holds it at the organization");
        let refused = give(owner, id, &bob, role("reader")).await;
        assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");

        let gone = revoke(messages::membership(&bob.membership_id), crate::harness::at(asset("plan"), "reader"));
        owner.change_grants(messages::change(id, vec![gone])).await.unwrap();
        change(owner, id, elsewhere).await.unwrap();
        change(owner, id, by_machines).await.unwrap();
    }

    async fn an_organization_has_256_roles_of_its_own_at_the_most_whoever_makes_them_at_once(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        for number in 0..240 {
            make(owner, id, custom_role(&format!("role-{number}"), &["asset.view"])).await.unwrap();
        }
        let names: Vec<String> = (0..30).map(|number| format!("late-{number}")).collect();
        let answers = join_all(names.iter().map(|name| make(owner, id, custom_role(name, &["asset.view"])))).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((made.len(), refused.len()), (16, 14));
        for refused in refused {
            assert_refused(refused, Code::InvalidArgument, "OUT_OF_RANGE");
        }
        let custom = owner.list_roles(list_roles(id)).await.unwrap().roles.into_iter().filter(|it| it.is_custom);
        assert_eq!(custom.count(), 256);
        owner.delete_role(delete_role(id, "role-7")).await.unwrap();
        let answers = join_all(names.iter().map(|name| make(owner, id, custom_role(name, &[])))).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((made.len(), refused.len()), (1, 29), "the names of the sixteen are taken, the thirteen are too many");
    }
}
