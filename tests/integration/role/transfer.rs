//! A role that changes hands by a transfer only: who may, what it takes along, and that there is one holder at any moment.

use guildhall::proto;
use guildhall::proto::assignment::Held;
use tonic::Code;

use crate::harness::messages::{
    change, disable, get_member, get_resource, grant, invite, list_grants, membership, register, transfer,
};
use crate::harness::{Caller, as_member, assert_refused, project, reason, role};
use crate::on_both;

/// Names who holds `owner`, as the grants show it.
async fn owners(by: &Caller, id: &str) -> Vec<String> {
    let grants = by.list_grants(proto::ListGrantsRequest { page_size: 1000, ..list_grants(id, None) }).await;
    let is_owner = |grant: &proto::Grant| {
        grant.assignment.as_ref().and_then(|it| it.held.as_ref()) == Some(&Held::Role("owner".into()))
    };
    let owners = grants.expect("a page").grants.into_iter().filter(is_owner);
    owners.map(|grant| format!("{:?}", grant.principal.unwrap().kind.unwrap())).collect()
}

on_both! {
    async fn the_owner_hands_on_and_stays_admin_and_both_are_told(app) {
        let account = app.found().await;
        let (id, owner) = (&account.id, &account.owner);
        let uma = app.invite_and_join(id, &owner.call, "uma@example.test", vec![role("user")]).await;
        owner.call.register_resource(register(id, project("p"))).await.unwrap();
        let listed = vec![grant(membership(&uma.membership_id), as_member(project("p")))];
        owner.call.change_grants(change(id, listed)).await.unwrap();
        let before = app.traces().await;

        let dry = transfer(id, "owner", &uma.membership_id);
        let dry = proto::TransferRoleRequest { validate_only: true, ..dry };
        let told = owner.call.transfer_role(dry).await.unwrap();
        assert_eq!((told.revision.as_str(), app.traces().await), ("", before));

        let request_id = "018f4e9a-0000-7000-8000-000000000001".to_owned();
        let request = proto::TransferRoleRequest { request_id, ..transfer(id, "owner", &uma.membership_id) };
        let done = owner.call.transfer_role(request.clone()).await.unwrap();
        let held = |grants: &[proto::Grant], of: &str| -> Vec<String> {
            let of = format!("{:?}", membership(of));
            let grants = grants.iter().filter(|it| format!("{:?}", it.principal.as_ref().unwrap().kind.as_ref().unwrap()) == of);
            let word = |grant: &proto::Grant| match grant.assignment.clone().unwrap().held.unwrap() {
                Held::Role(name) => name,
                Held::AsMember(_) => "listed".into(),
            };
            let mut words: Vec<String> = grants.map(word).collect();
            words.sort();
            words
        };
        let (old, new) = (&owner.membership_id, &uma.membership_id);
        assert_eq!(held(&done.granted, new), ["admin", "owner"]);
        assert_eq!((held(&done.revoked, old), held(&done.revoked, new)), (vec!["owner".into()], vec!["user".to_owned()]));
        assert_eq!(held(&done.kept, old), ["admin"]);
        assert_eq!(done.from.unwrap().roles, ["admin"]);
        assert_eq!(done.to.unwrap().roles, ["admin", "owner"]);
        app.mail_to("uma@example.test").await;
        let told = app.traces().await.mailed;
        assert_eq!(told.iter().filter(|to| to.contains("uma@")).count(), 2);
        assert_eq!(told.iter().filter(|to| to.contains("ada@")).count(), 3, "the invitation, that it was taken up, and this");

        let replayed = owner.call.transfer_role(request).await.unwrap();
        assert_eq!(replayed.revision, done.revision);
        let again = owner.call.transfer_role(transfer(id, "owner", &uma.membership_id)).await;
        assert_refused(again, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert!(uma.call.allows(id, &uma.user_id, "project.delete", Some(project("p"))).await);
    }

    async fn only_the_holder_or_an_operator_with_a_reason_hands_on_and_only_to_who_is_active(app) {
        let account = app.found().await;
        let (id, owner) = (&account.id, &account.owner);
        let max = app.invite_and_join(id, &owner.call, "max@example.test", vec![role("admin")]).await;
        let uma = app.invite_and_join(id, &owner.call, "uma@example.test", vec![role("user")]).await;
        let out = app.invite_and_join(id, &owner.call, "out@example.test", vec![]).await;
        owner.call.disable_member(disable(id, &out.membership_id)).await.unwrap();
        let eve = owner.call.create_invitation(invite(id, "eve@example.test", vec![])).await.unwrap().member.unwrap().id;
        let stranger = app.somebody("oz@example.test").await;
        let to = |who: &str| transfer(id, "owner", who);
        let operator = app.operator();
        let before = app.traces().await;

        for by in [&max, &uma] {
            let answer = by.call.transfer_role(to(&uma.membership_id)).await;
            assert_refused(answer, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        let from = proto::TransferRoleRequest { from_membership_id: owner.membership_id.clone(), ..to(&max.membership_id) };
        assert_refused(max.call.transfer_role(from.clone()).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_refused(stranger.call.transfer_role(to(&uma.membership_id)).await, Code::NotFound, "NOT_FOUND");
        for who in [&out.membership_id, &eve] {
            assert_refused(owner.call.transfer_role(to(who)).await, Code::FailedPrecondition, "MEMBER_STATE");
        }
        assert_refused(owner.call.transfer_role(to(id)).await, Code::NotFound, "NOT_FOUND");
        assert_refused(owner.call.transfer_role(to(&owner.membership_id)).await, Code::InvalidArgument, "OUT_OF_RANGE");
        let granted = owner.call.transfer_role(transfer(id, "admin", &uma.membership_id)).await;
        assert_refused(granted, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        let unknown = owner.call.transfer_role(transfer(id, "nothing", &uma.membership_id)).await;
        assert_refused(unknown, Code::InvalidArgument, "ROLE_UNKNOWN");
        assert_refused(operator.transfer_role(to(&uma.membership_id)).await, Code::InvalidArgument, "FIELD_REQUIRED");
        assert_eq!(app.traces().await, before);

        let rescued = proto::TransferRoleRequest { reason: "the owner is gone".into(), ..to(&uma.membership_id) };
        operator.transfer_role(rescued).await.unwrap();
        assert_eq!(owners(&operator, id).await.len(), 1);
        let member = uma.call.get_member(get_member(id, &uma.membership_id)).await.unwrap().member.unwrap();
        assert_eq!(member.roles, ["admin", "owner"]);
    }

    async fn whoever_looks_while_the_ownership_goes_round_sees_one_owner(app) {
        let account = app.found().await;
        let id = &account.id;
        let mut people = vec![account.owner.clone()];
        for number in 0..5 {
            let email = format!("p{number}@example.test");
            people.push(app.invite_and_join(id, &account.owner.call, &email, vec![role("admin")]).await);
        }
        let mut calls = tokio::task::JoinSet::new();
        for round in 0..40 {
            for from in 0..people.len() {
                let (by, to) = (people[from].call.clone(), &people[(from + 1 + round % 5) % people.len()]);
                let request = transfer(id, "owner", &to.membership_id);
                calls.spawn(async move { by.transfer_role(request).await.map(drop) });
            }
        }
        assert!(calls.len() >= 200);
        let (operator, mut done, mut handed) = (app.operator(), 0, 0);
        while let Some(answer) = calls.join_next().await {
            match answer.unwrap() {
                Ok(()) => handed += 1,
                Err(status) => assert_eq!(reason(&status), "ROLE_NOT_GRANTABLE", "{status:?}"),
            }
            done += 1;
            if done % 10 == 0 {
                assert_eq!(owners(&operator, id).await.len(), 1);
                let members = operator.members(id).await.into_iter();
                let owners = members.filter(|member| member.roles.iter().any(|role| role == "owner")).count();
                assert_eq!(owners, 1);
            }
        }
        assert!(handed > 0, "nobody has handed on");
        operator.get_resource(get_resource(id, project("none"))).await.unwrap_err();
    }
}
