//! What the caller may not see does not exist: the answer is that of an id which nobody has, byte for byte.

use guildhall::proto::look_up_member_request::Name;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, browse_resources_request};
use tonic::{Code, Status};

use super::{NOBODY, blotted, revision_of};
use crate::harness::messages::{
    as_member, browse, change, check, create_api_key, create_member, create_members, create_service_account, disable,
    disable_members, enable, enable_members, explain, get_member, get_organization, get_resource, grant, invite, item,
    list_members, look_up_member, membership, new_member, register, service_account, update_member,
};
use crate::harness::{Caller, Organization, Person, TestApp, at, project, reason, role};
use crate::on_both;

/// Makes every call that names an organization; each must be refused.
async fn knock(call: &Caller, organization: &str, person: &Person) -> Vec<(&'static str, Status)> {
    fn refused<T: std::fmt::Debug>(name: &'static str, result: Result<T, Status>) -> (&'static str, Status) {
        (name, result.expect_err(name))
    }
    let ask = item(&person.user_id, "project.view", None);
    let batch = proto::BatchCheckRequest {
        organization_id: organization.into(),
        items: vec![ask.clone()],
        ..Default::default()
    };
    let delta = grant(membership(&person.membership_id), role("admin"));
    vec![
        refused("GetOrganization", call.get_organization(get_organization(organization)).await),
        refused("CreateInvitation", call.create_invitation(invite(organization, "eve@example.test", vec![])).await),
        refused("CreateServiceAccount", call.create_service_account(create_service_account(organization, "x")).await),
        refused("CreateApiKey", call.create_api_key(create_api_key(organization, NOBODY)).await),
        refused("RegisterResource", call.register_resource(register(organization, project("alpha"))).await),
        refused("GetResource", call.get_resource(get_resource(organization, project("alpha"))).await),
        refused("ChangeGrants", call.change_grants(change(organization, vec![delta])).await),
        refused("ListMembers", call.list_members(list_members(organization)).await),
        refused("GetMember", call.get_member(get_member(organization, &person.membership_id)).await),
        refused(
            "LookUpMember",
            call.look_up_member(look_up_member(organization, Name::Email(person.email.clone()))).await,
        ),
        refused(
            "CreateMember",
            call.create_member(create_member(organization, new_member("eve@example.test", vec![]))).await,
        ),
        refused(
            "BatchCreateMembers",
            call.batch_create_members(create_members(organization, vec![new_member("e@example.test", vec![])])).await,
        ),
        refused("UpdateMember", call.update_member(update_member(organization, &person.membership_id)).await),
        refused(
            "BatchDisableMembers",
            call.batch_disable_members(disable_members(organization, &[&person.membership_id])).await,
        ),
        refused(
            "BatchEnableMembers",
            call.batch_enable_members(enable_members(organization, &[&person.membership_id])).await,
        ),
        refused("DisableMember", call.disable_member(disable(organization, &person.membership_id)).await),
        refused("EnableMember", call.enable_member(enable(organization, &person.membership_id)).await),
        refused(
            "BrowseResources under one",
            call.browse_resources(proto::BrowseResourcesRequest {
                under: Some(browse_resources_request::Under::Parent(project("alpha"))),
                ..browse(organization)
            })
            .await,
        ),
        refused("Check", call.check(check(organization, ask.clone())).await),
        refused("ExplainCheck", call.explain_check(explain(organization, ask)).await),
        refused("BatchCheck", call.batch_check(batch).await),
    ]
}

/// Asks on a stream; gives the errors of a frame of checks and of a frame of subscriptions.
async fn knock_on_a_stream(call: &Caller, organization: &str, user: &str) -> (String, String) {
    let mut stream = call.stream().await.unwrap();
    let ask = item(user, "project.view", None);
    let organization_id = organization.to_owned();
    let frame = proto::CheckFrame { frame_id: 1, organization_id, items: vec![ask.clone()], consistency: None };
    stream.send(Asked::Check(frame)).await;
    let Some(Told::Decisions(decisions)) = stream.receive().await.unwrap() else { panic!("not decisions") };
    assert_eq!((decisions.decisions.len(), decisions.revision.as_str()), (0, ""));
    stream.subscribe(organization, vec![ask]).await;
    let Some(Told::Reset(reset)) = stream.receive().await.unwrap() else { panic!("not a reset") };
    assert_eq!(reset.organization_id, organization);
    (decisions.error, reset.reason)
}

/// Somebody of another organization, its backend, and somebody who was shut out of this one.
async fn strangers(app: &TestApp, organization: &Organization) -> Vec<(&'static str, Caller)> {
    let elsewhere = app.found_by("eve@example.test").await;
    let owner = &organization.owner.call;
    let shut_out = app.invite_and_join(&organization.id, owner, "bob@example.test", vec![role("admin")]).await;
    owner.disable_member(disable(&organization.id, &shut_out.membership_id)).await.unwrap();
    let backend = app.backend(&elsewhere).await;
    vec![("an owner elsewhere", elsewhere.owner.call), ("a backend elsewhere", backend), ("shut out", shut_out.call)]
}

on_both! {
    async fn an_organization_of_others_answers_like_one_that_is_not_there(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();

        let strangers = strangers(&app, &organization).await;
        let before = revision_of(owner, &organization.id).await;
        for (who, stranger) in strangers {
            let hidden = knock(&stranger, &organization.id, &organization.owner).await;
            let absent = knock(&stranger, NOBODY, &organization.owner).await;
            for ((rpc, hidden), (_, absent)) in hidden.iter().zip(&absent) {
                assert_eq!((hidden.code(), reason(hidden).as_str()), (Code::NotFound, "NOT_FOUND"), "{who}: {rpc}");
                assert_eq!(blotted(hidden, &organization.id), blotted(absent, NOBODY), "{who}: {rpc}");
            }
            let user = &organization.owner.user_id;
            let expected = ("NOT_FOUND".to_owned(), "NOT_FOUND".to_owned());
            assert_eq!(knock_on_a_stream(&stranger, &organization.id, user).await, expected, "{who}");
            assert_eq!(knock_on_a_stream(&stranger, NOBODY, user).await, expected, "{who}");
        }
        assert_eq!(revision_of(owner, &organization.id).await, before);
        assert_eq!(app.mails_so_far("eve@example.test"), 1, "the one to the founder elsewhere");
    }

    async fn what_stands_in_another_organization_is_not_there_for_this_one(app) {
        let theirs = app.found_by("eve@example.test").await;
        theirs.owner.call.register_resource(register(&theirs.id, project("theirs"))).await.unwrap();
        let request = create_service_account(&theirs.id, "theirs");
        let account = theirs.owner.call.create_service_account(request).await.unwrap().service_account.unwrap().id;
        let ours = app.found().await;
        let owner = &ours.owner.call;
        let bob = app.invite_and_join(&ours.id, owner, "bob@example.test", vec![]).await;
        let before = (revision_of(owner, &ours.id).await, revision_of(&theirs.owner.call, &theirs.id).await);

        let reach = async |resource: &str, membership_id: &str, account: &str| {
            let under = proto::RegisterResourceRequest {
                parent: Some(project(resource)),
                ..register(&ours.id, project("new"))
            };
            let give = async |to, what| owner.change_grants(change(&ours.id, vec![grant(to, what)])).await.unwrap_err();
            let (here, bob) = (|| project(resource), || membership(&bob.membership_id));
            let offer = invite(&ours.id, "new@example.test", vec![as_member(here())]);
            [
                ("get", owner.get_resource(get_resource(&ours.id, here())).await.unwrap_err()),
                ("register under it", owner.register_resource(under).await.unwrap_err()),
                ("share it", give(bob(), as_member(here())).await),
                ("grant a role on it", give(bob(), at(here(), "user")).await),
                ("invite to it", owner.create_invitation(offer).await.unwrap_err()),
                ("grant to a member", give(membership(membership_id), role("admin")).await),
                ("grant to a machine", give(service_account(account), role("backend")).await),
                ("get a member", owner.get_member(get_member(&ours.id, membership_id)).await.unwrap_err()),
                ("disable", owner.disable_member(disable(&ours.id, membership_id)).await.unwrap_err()),
                ("enable", owner.enable_member(enable(&ours.id, membership_id)).await.unwrap_err()),
                ("make a key", owner.create_api_key(create_api_key(&ours.id, account)).await.unwrap_err()),
            ]
        };
        let hidden = reach("theirs", &theirs.owner.membership_id, &account).await;
        let absent = reach("absent", NOBODY, NOBODY).await;
        for ((act, hidden), (_, absent)) in hidden.iter().zip(&absent) {
            assert_eq!((hidden.code(), reason(hidden).as_str()), (Code::NotFound, "NOT_FOUND"), "{act}");
            let [hidden, absent] = [hidden, absent].map(|status| {
                let ids = ["project:theirs", "project:absent", &theirs.owner.membership_id, &account, NOBODY];
                let id = ids.into_iter().find(|id| blotted(status, id) != blotted(status, "\u{0}"));
                blotted(status, id.expect("an answer that names what is not there"))
            });
            assert_eq!(hidden, absent, "{act}");
        }
        assert_eq!((revision_of(owner, &ours.id).await, revision_of(&theirs.owner.call, &theirs.id).await), before);
        assert_eq!(app.mails_so_far("new@example.test"), 0);
    }
}
