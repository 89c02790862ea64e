//! `validate_only`: everything but the commit.

use guildhall::proto;
use tonic::Code;

use super::revision_of;
use crate::harness::messages::{
    as_member, change, create_api_key, create_organization, create_service_account, disable, enable, get_organization,
    get_resource, grant, invite, membership, register,
};
use crate::harness::{assert_refused, project, role};
use crate::on_both;

on_both! {
    async fn a_dry_run_answers_and_changes_nothing(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let out = app.invite_and_join(id, owner, "out@example.test", vec![]).await;
        owner.disable_member(disable(id, &out.membership_id)).await.unwrap();
        let account = owner.create_service_account(create_service_account(id, "job")).await.unwrap();
        let account = account.service_account.unwrap().id;
        owner.register_resource(register(id, project("alpha"))).await.unwrap();
        let (before, members) = (revision_of(owner, id).await, owner.members(id).await);
        let validate_only = true;

        let request =
            proto::CreateOrganizationRequest { validate_only, ..create_organization("New", "new@example.test") };
        let founded = app.operator().create_organization(request).await.unwrap();
        assert_eq!(founded.revision, "");
        let ghost = founded.organization.unwrap().id;
        assert_refused(app.operator().get_organization(get_organization(&ghost)).await, Code::NotFound, "NOT_FOUND");

        let request =
            proto::CreateInvitationRequest { validate_only, ..invite(id, "eve@example.test", vec![role("admin")]) };
        let invited = owner.create_invitation(request).await.unwrap();
        assert_eq!((invited.revision.as_str(), invited.member.unwrap().roles), ("", vec!["admin".to_owned()]));

        let request = proto::RegisterResourceRequest { validate_only, ..register(id, project("beta")) };
        assert_eq!(owner.register_resource(request).await.unwrap().revision, "");
        assert_refused(owner.get_resource(get_resource(id, project("beta"))).await, Code::NotFound, "NOT_FOUND");

        let deltas = vec![
            grant(membership(&bob.membership_id), role("admin")),
            grant(membership(&bob.membership_id), as_member(project("alpha"))),
        ];
        let request = proto::ChangeGrantsRequest { validate_only, ..change(id, deltas) };
        let changed = owner.change_grants(request).await.unwrap();
        assert_eq!((changed.revision.as_str(), changed.granted.len(), changed.revoked.len()), ("", 2, 1));
        assert!(!owner.allows(id, &bob.user_id, "project.view", Some(project("alpha"))).await);

        let request = proto::DisableMemberRequest { validate_only, ..disable(id, &bob.membership_id) };
        let answer = owner.disable_member(request).await.unwrap();
        assert_eq!((answer.revision.as_str(), answer.member.unwrap().state()), ("", proto::MemberState::Disabled));
        let request = proto::EnableMemberRequest { validate_only, ..enable(id, &out.membership_id) };
        let answer = owner.enable_member(request).await.unwrap();
        assert_eq!((answer.revision.as_str(), answer.member.unwrap().state()), ("", proto::MemberState::Active));

        let request = proto::CreateServiceAccountRequest { validate_only, ..create_service_account(id, "ghost") };
        let made = owner.create_service_account(request).await.unwrap();
        assert_eq!(made.revision, "");
        let key = owner.create_api_key(create_api_key(id, &made.service_account.unwrap().id)).await;
        assert_refused(key, Code::NotFound, "NOT_FOUND");
        let request = proto::CreateApiKeyRequest { validate_only, ..create_api_key(id, &account) };
        let key = owner.create_api_key(request).await.unwrap();
        assert_eq!((key.revision.as_str(), key.secret.as_str(), key.secret_withheld), ("", "", true));

        assert_eq!(revision_of(owner, id).await, before);
        assert_eq!(owner.members(id).await, members);
        bob.call.get_organization(get_organization(id)).await.expect("nobody was shut out");
        owner.create_invitation(invite(id, "zoe@example.test", vec![])).await.unwrap();
        app.mail_to("zoe@example.test").await;
        assert_eq!((app.mails_so_far("eve@example.test"), app.mails_so_far("new@example.test")), (0, 0));
    }

    async fn a_dry_run_is_refused_as_the_act_would_be_and_keeps_no_request_id(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let request_id = "018f4e9a-0000-7000-8000-000000000001".to_owned();
        let request =
            proto::RegisterResourceRequest { validate_only: true, request_id, ..register(id, project("alpha")) };

        let refused = bob.call.register_resource(request.clone()).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        owner.register_resource(request.clone()).await.unwrap();
        let real = proto::RegisterResourceRequest { validate_only: false, ..request };
        assert_ne!(owner.register_resource(real).await.unwrap().revision, "");
    }
}
