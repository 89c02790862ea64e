//! Ids that are none: every field that takes one refuses what is malformed, and names itself.
//!
//! The next field that takes an id needs its row in `fields` and its place in `requests`.

mod fields;
mod requests;

use guildhall::proto;
use tonic::Code;

use super::{assert_violates, revision_of};
use crate::harness::messages::{
    change, create_organization, create_organization_under, create_role, create_service_account, custom_role,
    delete_role, get_catalog, get_resource, get_role, grant, invite, list_members, membership, put_catalog, register,
    service_account, set_catalog, sign_in, update_role,
};
use crate::harness::{as_member, assert_refused, project, reason, role};
use crate::on_both;
use fields::FIELDS;
use requests::{Spoiler, send};

/// Texts that are no UUID in its canonical form.
const NO_UUIDS: &[&str] = &[
    "",
    "x",
    "018f4e9a7b3c7def8a120123456789ab",
    "{018f4e9a-7b3c-7def-8a12-0123456789ab}",
    "urn:uuid:018f4e9a-7b3c-7def-8a12-0123456789ab",
    "018f4e9a-7b3c-7def-8a12-0123456789abc",
    "018f4e9a-7b3c-7def-8a12-0123456789a",
    "018f4e9a-7b3c-7def-8a12-0123456789ag",
    " 18f4e9a-7b3c-7def-8a12-0123456789ab",
    "018f4e9a-7b3c-7def-8a12-0123456789\u{e4}",
    "018f4e9a-7b3c-7def-8a12-0123456789a\n",
    "00000000-0000-0000-0000-00000000000\u{0}",
];

on_both! {
    async fn a_malformed_uuid_is_refused_in_every_field(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
        let before = revision_of(owner, &organization.id).await;

        for (field, path) in FIELDS {
            for bad in NO_UUIDS {
                // Empty, it is not there: nobody has to name a request, nor a member whose groups alone are listed, nor who
                // loses a role.
                let may_be_left_out = ["request_id", "from_membership_id"].contains(path);
                if !(bad.is_empty() && (may_be_left_out || *field == "ListGroupsRequest.membership_id")) {
                    let answer = send(&app, &organization, &Spoiler { field, bad }).await;
                    let status = answer.expect_err(&format!("{field} takes {bad:?}"));
                    assert_violates::<()>(Err(status), &[(path, "ID_MALFORMED")]);
                }
            }
        }
        assert_eq!(revision_of(owner, &organization.id).await, before);
        assert_eq!(app.mails_so_far("new@example.test"), 0);
    }

    async fn a_resource_is_named_by_1_to_128_bytes_without_control_characters(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let (long, wide) = ("x".repeat(129), "\u{e4}".repeat(65));
        let before = revision_of(owner, &organization.id).await;
        let delta = || grant(membership(&organization.owner.membership_id), role("user"));

        for bad in ["", &long, &wide, "a\nb", "a\r", "\t", "a\u{0}b", "\u{7f}", "\u{85}", "\u{1b}[2J"] {
            let id = |field: &'static str| [(field, "RESOURCE_ID_MALFORMED")];
            let at_it = as_member(project(bad));
            // Left empty, the server makes one.
            if !bad.is_empty() {
                let answer = owner.register_resource(register(&organization.id, project(bad))).await;
                assert_violates(answer, &id("resource.id"));
            }
            let under = proto::RegisterResourceRequest {
                parent: Some(project(bad)),
                ..register(&organization.id, project("x"))
            };
            assert_violates(owner.register_resource(under).await, &id("parent.id"));
            let answer = owner.get_resource(get_resource(&organization.id, project(bad))).await;
            assert_violates(answer, &id("resource.id"));
            let bad_delta = grant(membership(&organization.owner.membership_id), at_it.clone());
            let answer = owner.change_grants(change(&organization.id, vec![delta(), bad_delta])).await;
            assert_violates(answer, &id("deltas[1].grant.resource.id"));
            let answer = owner.create_invitation(invite(&organization.id, "new@example.test", vec![at_it])).await;
            assert_violates(answer, &id("assignments[0].resource.id"));
        }
        for kind in ["", &"x".repeat(65), "proj\nect", "\u{0}"] {
            let reference = proto::ResourceRef { r#type: kind.into(), id: "alpha".into() };
            let answer = owner.register_resource(register(&organization.id, reference)).await;
            assert_violates(answer, &[("resource.type", "RESOURCE_TYPE_MALFORMED")]);
        }
        assert_eq!(revision_of(owner, &organization.id).await, before);

        for good in ["x".repeat(128), "\u{e4}".repeat(64), "a b/c:d'e\"f%20;--".into(), "\u{1f600}\u{202e}".into()] {
            owner.register_resource(register(&organization.id, project(&good))).await.unwrap();
            let found = owner.get_resource(get_resource(&organization.id, project(&good))).await.unwrap();
            assert_eq!(found.resource.unwrap().resource.unwrap().id, good);
        }
    }

    async fn everything_that_is_wrong_is_told_at_once(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let bad = || proto::ResourceRef { r#type: String::new(), id: "\n".into() };

        let request = proto::RegisterResourceRequest { parent: Some(bad()), ..register(&organization.id, bad()) };
        assert_violates(
            owner.register_resource(request).await,
            &[
                ("resource.type", "RESOURCE_TYPE_MALFORMED"),
                ("resource.id", "RESOURCE_ID_MALFORMED"),
                ("parent.type", "RESOURCE_TYPE_MALFORMED"),
                ("parent.id", "RESOURCE_ID_MALFORMED"),
            ],
        );
        let deltas = vec![
            grant(membership("x"), proto::Assignment::default()),
            proto::GrantDelta { principal: None, act: None },
            grant(service_account("y"), as_member(bad())),
        ];
        assert_violates(
            owner.change_grants(change(&organization.id, deltas)).await,
            &[
                ("deltas[0].principal.membership_id", "ID_MALFORMED"),
                ("deltas[0].grant.held", "FIELD_REQUIRED"),
                ("deltas[1].principal", "FIELD_REQUIRED"),
                ("deltas[1].act", "FIELD_REQUIRED"),
                ("deltas[2].principal.service_account_id", "ID_MALFORMED"),
                ("deltas[2].grant.resource.type", "RESOURCE_TYPE_MALFORMED"),
                ("deltas[2].grant.resource.id", "RESOURCE_ID_MALFORMED"),
            ],
        );
        let request = create_organization("\u{0}", "nobody");
        let request = proto::CreateOrganizationRequest { catalog: "no-such".into(), ..request };
        assert_violates(
            app.operator().create_organization(request).await,
            &[("display_name", "TEXT_MALFORMED"), ("founder_email", "EMAIL_MALFORMED"), ("catalog", "CATALOG_UNKNOWN")],
        );
    }

    /// PostgreSQL keeps no zero byte: none may get that far.
    async fn a_zero_byte_is_refused_or_unknown_wherever_a_text_is_taken(app) {
        let organization = app.found().await;
        let (owner, id, nul) = (&organization.owner.call, organization.id.as_str(), "a\u{0}b");
        let before = revision_of(owner, id).await;
        let kind = |id: &str| proto::ResourceRef { r#type: nul.into(), id: id.into() };
        let member = || membership(&organization.owner.membership_id);
        let named =
            proto::CreateInvitationRequest { display_name: nul.into(), ..invite(id, "new@example.test", vec![]) };
        let catalog =
            proto::CreateOrganizationRequest { catalog: nul.into(), ..create_organization("New", "new@example.test") };
        let with_roles = create_organization_under("analytics-workspace", "Roles", "roles@example.test");
        let with_roles = app.operator().create_organization(with_roles).await.unwrap();
        let roles = &with_roles.organization.unwrap().id;
        let described = proto::Role { description: nul.into(), ..custom_role("described", &[]) };
        let page = proto::ListMembersRequest { page_token: nul.into(), ..list_members(id) };

        for (name, answer) in [
            ("page token", owner.list_members(page).await.map(drop)),
            ("role", owner.change_grants(change(id, vec![grant(member(), role(nul))])).await.map(drop)),
            (
                "role invited to",
                owner.create_invitation(invite(id, "new@example.test", vec![role(nul)])).await.map(drop),
            ),
            ("name invited", owner.create_invitation(named).await.map(drop)),
            ("address invited", owner.create_invitation(invite(id, "a\u{0}b@example.test", vec![])).await.map(drop)),
            ("type", owner.register_resource(register(id, kind("x"))).await.map(drop)),
            ("name of a machine", owner.create_service_account(create_service_account(id, nul)).await.map(drop)),
            ("catalog followed", app.operator().create_organization(catalog).await.map(drop)),
            ("catalog switched to", app.operator().set_organization_catalog(set_catalog(id, nul)).await.map(drop)),
            ("catalog put", app.operator().put_catalog(put_catalog("name: a\u{0}b\nversion: 1\n")).await.map(drop)),
            ("catalog shown", app.operator().get_catalog(get_catalog(nul)).await.map(drop)),
            ("role shown", owner.get_role(get_role(id, nul)).await.map(drop)),
            ("role made", app.operator().create_role(create_role(roles, custom_role(nul, &[]))).await.map(drop)),
            ("role described", app.operator().create_role(create_role(roles, described)).await.map(drop)),
            ("role changed", app.operator().update_role(update_role(roles, custom_role(nul, &[]))).await.map(drop)),
            ("role deleted", app.operator().delete_role(delete_role(roles, nul)).await.map(drop)),
            ("invitation", app.accept(nul).await.map(drop)),
            ("address signed in", app.anyone().sign_in(sign_in(nul, nul)).await.map(drop)),
            ("password", app.anyone().sign_in(sign_in("x@example.test", nul)).await.map(drop)),
        ] {
            let status = answer.expect_err(name);
            assert!(!matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable), "{name}: {status:?}");
            assert_ne!(reason(&status), "INTERNAL", "{name}");
        }
        assert_eq!(revision_of(owner, id).await, before);
        assert_refused(
            owner.change_grants(change(id, vec![grant(member(), role("no-such"))])).await,
            Code::InvalidArgument,
            "ROLE_UNKNOWN",
        );
    }
}
