//! Request ids: the same request is done once, another under the same name is refused.

use std::time::Duration;

use guildhall::proto;
use tonic::Code;

use super::{assert_violates, revision_of};
use crate::harness::messages::{
    change, create_api_key, create_organization, create_service_account, disable, get_organization, grant, invite,
    membership, register, revoke,
};
use crate::harness::{assert_refused, project, role};
use crate::on_both;

const NAME: &str = "018f4e9a-0000-7000-8000-000000000001";
const OTHER_NAME: &str = "018f4e9a-0000-7000-8000-000000000002";

fn named<T>(request: T, name: impl FnOnce(T, String) -> T) -> T {
    name(request, NAME.to_owned())
}

on_both! {
    async fn the_same_request_again_gives_the_first_answer_and_happens_once(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let offer = named(invite(id, "bob@example.test", vec![]), |it, request_id| proto::CreateInvitationRequest {
            request_id,
            ..it
        });
        let first = owner.create_invitation(offer.clone()).await.unwrap();
        let after = revision_of(owner, id).await;
        for _ in 0..3 {
            assert_eq!(owner.create_invitation(offer.clone()).await.unwrap(), first);
        }
        assert_eq!(revision_of(owner, id).await, after);
        assert_eq!(owner.members(id).await.len(), 2);

        let account = create_service_account(id, "job");
        let account = proto::CreateServiceAccountRequest { request_id: OTHER_NAME.into(), ..account };
        let first = owner.create_service_account(account.clone()).await.unwrap();
        let second = owner.create_service_account(account).await.unwrap();
        assert_eq!(first.service_account, second.service_account);

        let request = create_organization("New", "new@example.test");
        let request = proto::CreateOrganizationRequest { request_id: NAME.into(), ..request };
        let first = app.operator().create_organization(request.clone()).await.unwrap();
        let second = app.operator().create_organization(request).await.unwrap();
        let id_of = |it: &proto::CreateOrganizationResponse| it.organization.as_ref().unwrap().id.clone();
        assert_eq!((id_of(&first), &first.founder), (id_of(&second), &second.founder));

        app.mail_to("bob@example.test").await;
        app.mail_to("new@example.test").await;
        let last = invite(id, "zoe@example.test", vec![]);
        owner.create_invitation(last).await.unwrap();
        app.mail_to("zoe@example.test").await;
        assert_eq!((app.mails_so_far("bob@example.test"), app.mails_so_far("new@example.test")), (1, 1));
    }

    async fn a_request_id_is_a_uuid_in_whatever_case_it_is_written(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let named = "018F4E9A-abcd-7000-8000-00000000000F";
        let written = [named.to_owned(), named.to_lowercase(), named.to_uppercase()];
        let request = |request_id: &str, name: &str| proto::CreateServiceAccountRequest {
            request_id: request_id.into(),
            ..create_service_account(id, name)
        };
        let mut made = Vec::new();
        for request_id in &written {
            made.push(owner.create_service_account(request(request_id, "job")).await.unwrap().service_account.unwrap().id);
        }
        made.dedup();
        assert_eq!(made.len(), 1);
        for request_id in &written {
            let other = owner.create_service_account(request(request_id, "other")).await;
            assert_violates(other, &[("request_id", "REQUEST_ID_REUSED")]);
        }
        let everyone = Some(proto::bulk_members_request::Selection::All(true));
        let bulk = |request_id: &str| proto::BulkMembersRequest {
            request_id: request_id.into(),
            organization_id: id.into(),
            selection: everyone.clone(),
            act: Some(proto::bulk_members_request::Act::Grant(role("user"))),
            ..Default::default()
        };
        let other = "018f4e9a-ABCD-7000-8000-00000000001f";
        let first = owner.bulk(bulk(other), 9).await.unwrap();
        assert_eq!(owner.bulk(bulk(&other.to_uppercase()), 9).await.unwrap(), first);
    }

    /// What a client does whose connection broke, and it sends again before the first is done.
    async fn the_same_request_at_the_same_time_happens_once(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let request =
            || proto::CreateServiceAccountRequest { request_id: NAME.into(), ..create_service_account(id, "job") };
        let calls = (0..8).map(|_| owner.create_service_account(request()));
        let answers = futures_util::future::join_all(calls).await;
        let mut ids: Vec<String> = answers.into_iter().map(|it| it.unwrap().service_account.unwrap().id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }

    async fn another_request_under_the_same_id_is_refused(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("admin")]).await;
        let project_named =
            |name: &str| proto::RegisterResourceRequest { request_id: NAME.into(), ..register(id, project(name)) };
        owner.register_resource(project_named("alpha")).await.unwrap();
        let before = revision_of(owner, id).await;

        let reused = [("request_id", "REQUEST_ID_REUSED")];
        assert_violates(owner.register_resource(project_named("beta")).await, &reused);
        let dry = proto::RegisterResourceRequest { validate_only: true, ..project_named("alpha") };
        assert_violates(owner.register_resource(dry).await, &reused);
        let shut_out = proto::DisableMemberRequest { request_id: NAME.into(), ..disable(id, &bob.membership_id) };
        assert_violates(owner.disable_member(shut_out).await, &reused);
        assert_eq!(revision_of(owner, id).await, before);
        assert!(owner.allows(id, &bob.user_id, "project.view", None).await);

        bob.call.register_resource(project_named("beta")).await.expect("the same id of another caller is another id");
    }

    async fn a_request_id_is_remembered_for_a_day(app) {
        let organization = app.found().await;
        let id = organization.id.as_str();
        let request = |name: &str| proto::CreateServiceAccountRequest {
            request_id: NAME.into(),
            ..create_service_account(id, name)
        };
        let first = organization.owner.call.create_service_account(request("job")).await.unwrap();

        app.clock.advance(Duration::from_hours(24) - Duration::from_micros(1));
        let owner = app.sign_in("ada@example.test", "").await.call;
        let again = owner.create_service_account(request("job")).await.unwrap();
        assert_eq!(again.service_account, first.service_account);
        app.clock.advance(Duration::from_micros(1));
        let other = owner.create_service_account(request("another")).await.unwrap();
        assert_ne!(other.service_account, first.service_account);
    }

    async fn a_key_that_was_told_is_not_told_again(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let account = owner.create_service_account(create_service_account(id, "job")).await.unwrap();
        let request = create_api_key(id, &account.service_account.unwrap().id);
        let request = proto::CreateApiKeyRequest { request_id: NAME.into(), ..request };

        let first = owner.create_api_key(request.clone()).await.unwrap();
        assert!(!first.secret.is_empty() && !first.secret_withheld);
        let again = owner.create_api_key(request).await.unwrap();
        assert_eq!(
            again,
            proto::CreateApiKeyResponse { secret: String::new(), secret_withheld: true, ..first.clone() }
        );
        app.with(&first.secret).get_organization(get_organization(id)).await.expect("the key that was told works");
    }

    async fn a_refusal_is_not_remembered_and_a_replay_is_authorized_anew(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        let request =
            || proto::CreateServiceAccountRequest { request_id: NAME.into(), ..create_service_account(id, "job") };
        let promote = || grant(membership(&bob.membership_id), role("admin"));
        let demote = revoke(membership(&bob.membership_id), role("admin"));

        let refused = bob.call.create_service_account(request()).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        owner.change_grants(change(id, vec![promote()])).await.unwrap();
        let made = bob.call.create_service_account(request()).await.unwrap();
        owner.change_grants(change(id, vec![demote])).await.unwrap();
        let replayed = bob.call.create_service_account(request()).await;
        assert_refused(replayed, Code::PermissionDenied, "PERMISSION_MISSING");
        owner.change_grants(change(id, vec![promote()])).await.unwrap();
        let replayed = bob.call.create_service_account(request()).await.unwrap();
        assert_eq!(replayed.service_account, made.service_account);
    }
}
