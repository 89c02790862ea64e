//! Members made without an invitation, one and many.

use guildhall::proto::{self, MemberState};
use tonic::Code;

use crate::harness::messages::{
    create_member, create_members, disable_members, enable_members, get_organization, invite, new_member, register,
};
use crate::harness::{Caller, as_member, assert_refused, project, reason, role, violations};
use crate::on_both;

async fn revision(call: &Caller, organization: &str) -> String {
    call.get_organization(get_organization(organization)).await.unwrap().revision
}

on_both! {
    async fn a_member_is_made_without_a_mail_and_can_hold_grants_at_once(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("alpha"))).await.unwrap();

        let new = proto::NewMember {
            display_name: "Bob".into(),
            external_id: "hr:17".into(),
            ..new_member("Bob@Example.test", vec![role("user"), as_member(project("alpha"))])
        };
        let made = owner.create_member(create_member(id, new)).await.unwrap();

        let member = made.member.unwrap();
        assert_eq!((member.state(), member.user_id.as_str()), (MemberState::Pending, ""));
        assert_eq!((member.email.as_str(), member.display_name.as_str()), ("Bob@example.test", "Bob"), "of an address the domain has no case");
        assert_eq!((member.external_id.as_str(), member.roles), ("hr:17", vec!["user".to_owned()]));
        assert_eq!(made.grants.len(), 2);
        assert!(made.grants.iter().all(|grant| grant.source() == proto::GrantSource::Manual));
        let listed = owner.member(id, "Bob@example.test").await;
        assert_eq!((listed.place_count, listed.places), (1, vec![project("alpha")]));
        assert_eq!(app.traces().await.mailed.iter().filter(|to| to.to_lowercase().contains("bob")).count(), 0);
    }

    async fn who_is_given_nothing_holds_the_default_role(app) {
        let organization = app.found().await;
        let request = create_member(&organization.id, new_member("bob@example.test", vec![]));
        let made = organization.owner.call.create_member(request).await.unwrap();
        assert_eq!(made.member.unwrap().roles, ["user"]);
    }

    async fn an_address_and_an_external_id_are_held_once(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let new = |email: &str, external_id: &str| {
            create_member(id, proto::NewMember { external_id: external_id.into(), ..new_member(email, vec![]) })
        };
        owner.create_member(new("bob@example.test", "17")).await.unwrap();

        let again = owner.create_member(new("BOB@example.test", "18")).await;
        assert_refused(again, Code::AlreadyExists, "MEMBER_EXISTS");
        // Nobody has invited Bob.
        let invited = owner.create_invitation(invite(id, "bob@example.test", vec![])).await;
        assert_refused(invited, Code::AlreadyExists, "MEMBER_EXISTS");
        owner.create_invitation(invite(id, "zoe@example.test", vec![])).await.unwrap();
        let before = revision(owner, id).await;
        let again = owner.create_member(new("zoe@example.test", "18")).await;
        assert_refused(again, Code::AlreadyExists, "INVITATION_PENDING");
        let again = owner.create_member(new(&organization.owner.email, "18")).await;
        assert_refused(again, Code::AlreadyExists, "MEMBER_EXISTS");
        let again = owner.create_member(new("eve@example.test", "17")).await;
        assert_refused(again, Code::AlreadyExists, "NAME_TAKEN");
        assert_eq!(revision(owner, id).await, before);
        let elsewhere = app.found_by("max@example.test").await;
        let request = proto::CreateMemberRequest { organization_id: elsewhere.id, ..new("bob@example.test", "17") };
        elsewhere.owner.call.create_member(request).await.unwrap();
    }

    async fn nobody_makes_members_with_more_than_they_may_grant(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let admin = app.invite_and_join(id, owner, "max@example.test", vec![role("admin")]).await;
        let user = app.invite_and_join(id, owner, "uma@example.test", vec![role("user")]).await;
        let before = revision(owner, id).await;

        let request = |roles: &[&str]| {
            create_member(id, new_member("bob@example.test", roles.iter().map(|name| role(name)).collect()))
        };
        let refused = admin.call.create_member(request(&["owner", "admin"])).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_refused(user.call.create_member(request(&[])).await, Code::PermissionDenied, "PERMISSION_MISSING");
        let hidden = create_member(id, new_member("bob@example.test", vec![as_member(project("none"))]));
        assert_refused(admin.call.create_member(hidden).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(revision(owner, id).await, before);
    }

    async fn a_batch_of_members_is_made_whole_or_not_at_all(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let before = revision(owner, id).await;

        let batch = vec![
            new_member("one@example.test", vec![]),
            new_member("nobody", vec![role("no-such")]),
            proto::NewMember { display_name: "\u{0}".into(), ..new_member("ONE@example.test", vec![]) },
        ];
        let refused = owner.create_members(id, batch).await.unwrap_err();
        let expected = [
            ("requests[1].email", "EMAIL_MALFORMED"),
            ("requests[2].display_name", "TEXT_MALFORMED"),
        ];
        assert_eq!(violations(&refused), expected.map(|(field, why)| (field.to_owned(), why.to_owned())));
        let twice = vec![new_member("one@example.test", vec![]), new_member("ONE@example.test", vec![])];
        let refused = owner.create_members(id, twice).await.unwrap_err();
        assert_eq!(violations(&refused), [("requests[1].email".to_owned(), "OUT_OF_RANGE".to_owned())]);
        let both = ["one@example.test", "ONE@example.test", "nobody"].map(|email| new_member(email, vec![]));
        let refused = owner.create_members(id, both.to_vec()).await.unwrap_err();
        let expected = [("requests[1].email", "OUT_OF_RANGE"), ("requests[2].email", "EMAIL_MALFORMED")];
        let mut found = violations(&refused);
        found.sort();
        assert_eq!(found, expected.map(|(field, why)| (field.to_owned(), why.to_owned())));
        let unknown = vec![new_member("one@example.test", vec![]), new_member("two@example.test", vec![role("none")])];
        let refused = owner.create_members(id, unknown).await.unwrap_err();
        assert_eq!(violations(&refused), [("requests[1].assignments[0]".to_owned(), "ROLE_UNKNOWN".to_owned())]);
        let many = (0..101).map(|n| new_member(&format!("n{n}@example.test"), vec![])).collect();
        assert_eq!(reason(&owner.create_members(id, many).await.unwrap_err()), "OUT_OF_RANGE");
        assert_eq!(reason(&owner.create_members(id, vec![]).await.unwrap_err()), "FIELD_REQUIRED");
        assert_eq!(revision(owner, id).await, before);

        let many = (0..100).map(|n| new_member(&format!("n{n}@example.test"), vec![role("user")])).collect();
        let made = owner.create_members(id, many).await.unwrap();
        assert!(made.members.iter().enumerate().all(|(n, member)| member.email == format!("n{n}@example.test")));
        assert_eq!((made.members.len(), made.revision), (100, revision(owner, id).await));
    }

    async fn a_batch_is_shut_out_and_let_in_whole_or_not_at_all(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("admin")]).await;
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("user")]).await;
        let pending = owner.create_member(create_member(id, new_member("new@example.test", vec![]))).await.unwrap();
        let pending = pending.member.unwrap().id;
        let before = revision(owner, id).await;

        let (one, two) = (bob.membership_id.as_str(), eve.membership_id.as_str());
        let disable = async |ids: &[&str]| owner.batch_disable_members(disable_members(id, ids)).await;
        assert_refused(disable(&[one, &pending]).await, Code::FailedPrecondition, "MEMBER_STATE");
        let own = organization.owner.membership_id.as_str();
        assert_refused(disable(&[one, own]).await, Code::FailedPrecondition, "SELF_REMOVAL");
        let nobody = "018f4e9a-7b3c-7def-8a12-0123456789ab";
        assert_refused(disable(&[one, nobody]).await, Code::NotFound, "NOT_FOUND");
        let refused = disable(&[one, two, one]).await.unwrap_err();
        assert_eq!(violations(&refused), [("requests[2].membership_id".to_owned(), "OUT_OF_RANGE".to_owned())]);
        let refused = bob.call.batch_disable_members(disable_members(id, &[two, own])).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        assert_eq!(revision(owner, id).await, before);

        let out = disable(&[two, one]).await.unwrap();
        assert_eq!(out.members.iter().map(|member| member.id.as_str()).collect::<Vec<_>>(), [two, one]);
        assert!(out.members.iter().all(|member| member.state() == MemberState::Disabled));
        assert_refused(bob.call.get_organization(get_organization(id)).await, Code::NotFound, "NOT_FOUND");
        let back = owner.batch_enable_members(enable_members(id, &[one, two])).await.unwrap();
        assert!(back.members.iter().all(|member| member.state() == MemberState::Active));
        bob.call.get_organization(get_organization(id)).await.unwrap();
    }
}

impl Caller {
    async fn create_members(
        &self,
        organization: &str,
        members: Vec<proto::NewMember>,
    ) -> Result<proto::BatchCreateMembersResponse, tonic::Status> {
        self.batch_create_members(create_members(organization, members)).await
    }
}
