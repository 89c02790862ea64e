//! Ids that are none: every field that takes one refuses what is malformed, and names itself.

use std::collections::BTreeSet;

use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::subject::Kind;
use guildhall::proto::{self, CheckItem};
use tonic::{Code, Status};

use super::{assert_violates, revision_of};
use crate::harness::messages::{
    change, check, create_api_key, create_organization, create_service_account, disable, enable, explain,
    get_organization, get_resource, grant, invite, item, list_members, list_permissions, list_resources, list_subjects,
    membership, register, service_account, sign_in,
};
use crate::harness::{Caller, Organization, TestApp, as_member, assert_refused, project, reason, role};
use crate::on_both;
use crate::surface::fields_of_requests;

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

/// Fields of an item, which is answered by itself: see `checks` and `streams`.
const ANSWERED_BY_THEMSELVES: &[&str] = &[
    "BatchCheckRequest.items.subject.service_account_id",
    "BatchCheckRequest.items.subject.user_id",
    "CheckRequest.item.subject.service_account_id",
    "CheckRequest.item.subject.user_id",
    "ExplainCheckRequest.item.subject.service_account_id",
    "ExplainCheckRequest.item.subject.user_id",
    "StreamChecksRequest.check.items.subject.service_account_id",
    "StreamChecksRequest.check.items.subject.user_id",
    "StreamChecksRequest.subscribe.subscriptions.item.subject.service_account_id",
    "StreamChecksRequest.subscribe.subscriptions.item.subject.user_id",
];

/// Every other field that takes a UUID: its path in the contract, and in the violation.
const FIELDS: &[(&str, &str)] = &[
    ("BatchCheckRequest.organization_id", "organization_id"),
    ("ChangeGrantsRequest.deltas.principal.membership_id", "deltas[1].principal.membership_id"),
    ("ChangeGrantsRequest.deltas.principal.service_account_id", "deltas[1].principal.service_account_id"),
    ("ChangeGrantsRequest.organization_id", "organization_id"),
    ("ChangeGrantsRequest.request_id", "request_id"),
    ("CheckRequest.organization_id", "organization_id"),
    ("CreateApiKeyRequest.organization_id", "organization_id"),
    ("CreateApiKeyRequest.request_id", "request_id"),
    ("CreateApiKeyRequest.service_account_id", "service_account_id"),
    ("CreateInvitationRequest.organization_id", "organization_id"),
    ("CreateInvitationRequest.request_id", "request_id"),
    ("CreateOrganizationRequest.request_id", "request_id"),
    ("CreateServiceAccountRequest.organization_id", "organization_id"),
    ("CreateServiceAccountRequest.request_id", "request_id"),
    ("DisableMemberRequest.membership_id", "membership_id"),
    ("DisableMemberRequest.organization_id", "organization_id"),
    ("DisableMemberRequest.request_id", "request_id"),
    ("EnableMemberRequest.membership_id", "membership_id"),
    ("EnableMemberRequest.organization_id", "organization_id"),
    ("EnableMemberRequest.request_id", "request_id"),
    ("ExplainCheckRequest.organization_id", "organization_id"),
    ("GetOrganizationRequest.organization_id", "organization_id"),
    ("GetResourceRequest.organization_id", "organization_id"),
    ("ListMembersRequest.organization_id", "organization_id"),
    ("ListPermissionsRequest.organization_id", "organization_id"),
    ("ListPermissionsRequest.subject.service_account_id", "subject.service_account_id"),
    ("ListPermissionsRequest.subject.user_id", "subject.user_id"),
    ("ListResourcesRequest.organization_id", "organization_id"),
    ("ListResourcesRequest.subject.service_account_id", "subject.service_account_id"),
    ("ListResourcesRequest.subject.user_id", "subject.user_id"),
    ("ListSubjectsRequest.organization_id", "organization_id"),
    ("RegisterResourceRequest.organization_id", "organization_id"),
    ("RegisterResourceRequest.request_id", "request_id"),
    ("StreamChecksRequest.check.organization_id", "check.organization_id"),
    ("StreamChecksRequest.subscribe.organization_id", "subscribe.organization_id"),
];

/// Gives `bad` to the field that is asked for, and what is good to every other.
struct Spoiler<'a> {
    field: &'a str,
    bad: &'a str,
}

impl Spoiler<'_> {
    fn give(&self, field: &str, good: &str) -> String {
        if field == self.field { self.bad.to_owned() } else { good.to_owned() }
    }
}

/// Sends a request with one id spoiled. The request is in order but for that.
async fn send(app: &TestApp, organization: &Organization, spoiler: &Spoiler<'_>) -> Result<(), Status> {
    let (owner, person) = (&organization.owner.call, &organization.owner);
    let message = spoiler.field.split('.').next().unwrap();
    let give = |field: &str, good: &str| spoiler.give(&format!("{message}.{field}"), good);
    let organization_id = give("organization_id", &organization.id);
    let request_id = give("request_id", "");
    let membership_id = give("membership_id", &person.membership_id);
    let ask = || item(&person.user_id, "project.view", None);
    let subject = || {
        let kind = match spoiler.field.rsplit('.').next() {
            Some("service_account_id") => Kind::ServiceAccountId(give("subject.service_account_id", "")),
            _ => Kind::UserId(give("subject.user_id", &person.user_id)),
        };
        proto::Subject { kind: Some(kind) }
    };
    match message {
        "BatchCheckRequest" => {
            let request = proto::BatchCheckRequest { organization_id, items: vec![ask()], consistency: None };
            owner.batch_check(request).await.map(drop)
        }
        "CheckRequest" => owner.check(check(&organization_id, ask())).await.map(drop),
        "ExplainCheckRequest" => owner.explain_check(explain(&organization_id, ask())).await.map(drop),
        "ChangeGrantsRequest" => {
            let member = give("deltas.principal.membership_id", &person.membership_id);
            let account = give("deltas.principal.service_account_id", "");
            let good = grant(membership(&person.membership_id), role("user"));
            let kind = if account.is_empty() && !spoiler.field.ends_with("service_account_id") {
                membership(&member)
            } else {
                service_account(&account)
            };
            let request = change(&organization_id, vec![good, grant(kind, role("user"))]);
            owner.change_grants(proto::ChangeGrantsRequest { request_id, ..request }).await.map(drop)
        }
        "CreateApiKeyRequest" => {
            let account = give("service_account_id", super::NOBODY);
            let request = create_api_key(&organization_id, &account);
            owner.create_api_key(proto::CreateApiKeyRequest { request_id, ..request }).await.map(drop)
        }
        "CreateInvitationRequest" => {
            let request = invite(&organization_id, "new@example.test", vec![]);
            owner.create_invitation(proto::CreateInvitationRequest { request_id, ..request }).await.map(drop)
        }
        "CreateOrganizationRequest" => {
            let request = create_organization("New", "new@example.test");
            let request = proto::CreateOrganizationRequest { request_id, ..request };
            app.operator().create_organization(request).await.map(drop)
        }
        "CreateServiceAccountRequest" => {
            let request = create_service_account(&organization_id, "new");
            owner.create_service_account(proto::CreateServiceAccountRequest { request_id, ..request }).await.map(drop)
        }
        "DisableMemberRequest" => {
            let request = disable(&organization_id, &membership_id);
            owner.disable_member(proto::DisableMemberRequest { request_id, ..request }).await.map(drop)
        }
        "EnableMemberRequest" => {
            let request = enable(&organization_id, &membership_id);
            owner.enable_member(proto::EnableMemberRequest { request_id, ..request }).await.map(drop)
        }
        "GetOrganizationRequest" => owner.get_organization(get_organization(&organization_id)).await.map(drop),
        "GetResourceRequest" => owner.get_resource(get_resource(&organization_id, project("alpha"))).await.map(drop),
        "ListMembersRequest" => owner.list_members(list_members(&organization_id)).await.map(drop),
        "ListPermissionsRequest" => {
            let request = list_permissions(&organization_id, subject(), None);
            owner.list_permissions(request).await.map(drop)
        }
        "ListResourcesRequest" => {
            let request = list_resources(&organization_id, subject(), "project.view");
            owner.list_resources(request).await.map(drop)
        }
        "ListSubjectsRequest" => {
            owner.list_subjects(list_subjects(&organization_id, "project.view", None)).await.map(drop)
        }
        "RegisterResourceRequest" => {
            let request = register(&organization_id, project("new"));
            owner.register_resource(proto::RegisterResourceRequest { request_id, ..request }).await.map(drop)
        }
        "StreamChecksRequest" => on_a_stream(owner, spoiler.field, spoiler.bad, ask()).await,
        unknown => panic!("{unknown} has no row here"),
    }
}

async fn on_a_stream(call: &Caller, field: &str, bad: &str, ask: CheckItem) -> Result<(), Status> {
    let mut stream = call.stream().await?;
    let organization_id = bad.to_owned();
    let frame = if field.contains(".check.") {
        Asked::Check(proto::CheckFrame { frame_id: 1, organization_id, items: vec![ask], consistency: None })
    } else {
        let subscriptions = vec![proto::Subscription { subscription_id: 1, item: Some(ask), known_allowed: None }];
        Asked::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least: String::new() })
    };
    stream.send(frame).await;
    stream.receive().await.map(drop)
}

#[test]
fn every_field_that_takes_an_id_has_a_row() {
    let rows: BTreeSet<String> =
        FIELDS.iter().map(|(path, _)| *path).chain(ANSWERED_BY_THEMSELVES.iter().copied()).map(str::to_owned).collect();
    let fields = fields_of_requests().into_iter().filter(|path| path.ends_with("_id") && path != "ids");
    // Numbers that the client counts by itself.
    let fields = fields.filter(|path| !path.ends_with("frame_id") && !path.ends_with("subscription_id"));
    assert_eq!(fields.collect::<BTreeSet<_>>(), rows);
}

on_both! {
    async fn a_malformed_uuid_is_refused_in_every_field(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
        let before = revision_of(owner, &organization.id).await;

        for (field, path) in FIELDS {
            for bad in NO_UUIDS {
                // Empty, it is not there: nobody has to name a request.
                if !(bad.is_empty() && *path == "request_id") {
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
            let answer = owner.register_resource(register(&organization.id, project(bad))).await;
            assert_violates(answer, &id("resource.id"));
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
        let request = proto::CreateOrganizationRequest { preset: "no-such".into(), ..request };
        assert_violates(
            app.operator().create_organization(request).await,
            &[("display_name", "TEXT_MALFORMED"), ("founder_email", "EMAIL_MALFORMED"), ("preset", "PRESET_UNKNOWN")],
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
        let preset =
            proto::CreateOrganizationRequest { preset: nul.into(), ..create_organization("New", "new@example.test") };
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
            ("preset", app.operator().create_organization(preset).await.map(drop)),
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
