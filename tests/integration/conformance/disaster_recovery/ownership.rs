//! The ownership handed on, and people deleted.

use std::time::Duration;

use guildhall::proto::MemberState::{Active, Pending};
use guildhall::proto::remove_member_request::Assets;
use guildhall::proto::{self, assignment, principal};
use tonic::Code;

use super::account::{Account, manage};
use super::projects::ALL;
use super::roles::{ADMIN, owners};
use crate::conformance::tenant::removal;
use crate::harness::messages::{
    change, disable, enable, get_organization, grant, invite, list_grants, membership, revoke, sign_in, transfer,
};
use crate::harness::{PASSWORD, Person, TestApp, as_member, assert_refused, project, role};
use crate::on_both;

/// Asks for the ownership of an account to be handed on.
fn hand_on(account: &Account, to: &Person) -> proto::TransferRoleRequest {
    transfer(&account.id, "owner", &to.membership_id)
}

/// Says whose each grant is, and what: a role's name, or the project on whose list somebody is.
fn words(grants: &[proto::Grant]) -> Vec<(String, String)> {
    let word = |grant: &proto::Grant| {
        let Some(principal::Kind::MembershipId(holder)) = grant.principal.clone().unwrap().kind else {
            panic!("a member's: {grant:?}")
        };
        let assignment = grant.assignment.clone().unwrap();
        let what = match assignment.held.unwrap() {
            assignment::Held::Role(name) => name,
            assignment::Held::AsMember(_) => assignment.resource.unwrap().id,
        };
        (holder, what)
    };
    let mut words: Vec<_> = grants.iter().map(word).collect();
    words.sort();
    words
}

/// Puts what each holds as [`words`] does.
fn held(what: &[(&Person, &str)]) -> Vec<(String, String)> {
    let mut held: Vec<_> = what.iter().map(|(who, what)| (who.membership_id.clone(), (*what).to_owned())).collect();
    held.sort();
    held
}

async fn user(app: &TestApp, account: &Account, email: &str) -> Person {
    app.invite_and_join(&account.id, &account.owner.call, email, vec![role("user")]).await
}

on_both! {
    async fn ce_30_only_the_owner_names_a_new_owner_one_person(app) {
        let account = Account::open(&app).await;
        let (id, owner, uma) = (&account.id, &account.owner, &account.user);
        let shut_out = user(&app, &account, "bob@example.test").await;
        owner.call.disable_member(disable(id, &shut_out.membership_id)).await.unwrap();
        let invited = owner.call.create_invitation(invite(id, "eve@example.test", vec![])).await.unwrap().member.unwrap();
        let stranger = app.somebody("zoe@example.test").await;

        let untouched = app.traces().await;
        for (by, code, expected) in [
            (&account.admin.call, Code::PermissionDenied, "ROLE_NOT_GRANTABLE"),
            (&uma.call, Code::PermissionDenied, "ROLE_NOT_GRANTABLE"),
            (&stranger.call, Code::NotFound, "NOT_FOUND"),
            (&app.anyone(), Code::Unauthenticated, "CREDENTIAL_MISSING"),
        ] {
            assert_refused(by.transfer_role(hand_on(&account, uma)).await, code, expected);
        }
        // A person, who is there: nobody who has yet to come, who is shut out, who is none, or who is it already.
        for (to, code, expected) in [
            (&invited.id, Code::FailedPrecondition, "MEMBER_STATE"),
            (&shut_out.membership_id, Code::FailedPrecondition, "MEMBER_STATE"),
            (&account.machine, Code::NotFound, "NOT_FOUND"),
            (&stranger.membership_id, Code::NotFound, "NOT_FOUND"),
            (&owner.membership_id, Code::InvalidArgument, "OUT_OF_RANGE"),
        ] {
            assert_refused(owner.call.transfer_role(transfer(id, "owner", to)).await, code, expected);
        }
        // No other role is handed on.
        let other = owner.call.transfer_role(transfer(id, "admin", &uma.membership_id)).await;
        assert_refused(other, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        // What would change is told first, for the client to ask; nothing has changed by that.
        let dry = proto::TransferRoleRequest { validate_only: true, ..hand_on(&account, uma) };
        let would = owner.call.transfer_role(dry).await.unwrap();
        assert_eq!((would.to.unwrap().id, would.revision.as_str()), (uma.membership_id.clone(), ""));
        assert_eq!(app.traces().await, untouched);
        assert_eq!(owners(&owner.call, id).await, [owner.email.as_str()]);

        let did = owner.call.transfer_role(hand_on(&account, uma)).await.unwrap();
        assert_eq!(words(&did.granted), words(&would.granted));
        assert_eq!(owners(&owner.call, id).await, [uma.email.as_str()]);
    }

    async fn ce_31_the_old_owner_loses_the_owners_rights_for_good(app) {
        let account = Account::open(&app).await;
        let (id, ada, max) = (&account.id, &account.owner, &account.admin);
        let lessen = || change(id, vec![grant(membership(&ada.membership_id), role("user"))]);
        assert_refused(max.call.change_grants(lessen()).await, Code::FailedPrecondition, "ROLE_REQUIRED");
        ada.call.transfer_role(hand_on(&account, max)).await.unwrap();

        // Neither at once nor in a month, with whichever session, do they hand on or take back what is another's.
        app.clock.advance(Duration::from_hours(24 * 30));
        let ada = app.sign_in(&ada.email, &ada.membership_id).await;
        let untouched = app.traces().await;
        for to in [&ada, &account.user] {
            let refused = ada.call.transfer_role(hand_on(&account, to)).await;
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        let taken = ada.call.change_grants(change(id, vec![revoke(membership(&max.membership_id), role("owner"))])).await;
        assert_refused(taken, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let shut_out = ada.call.disable_member(disable(id, &max.membership_id)).await;
        assert_refused(shut_out, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let given = ada.call.change_grants(change(id, vec![grant(membership(&ada.membership_id), role("owner"))])).await;
        assert_refused(given, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_eq!(app.traces().await, untouched);

        // What kept the owner an admin has gone with it.
        let max = app.sign_in(&max.email, &max.membership_id).await;
        max.call.change_grants(lessen()).await.unwrap();
        assert_eq!(max.call.member(id, &ada.email).await.roles, ["user"]);
        assert_eq!(owners(&max.call, id).await, [max.email.as_str()]);
    }

    async fn ce_32_the_old_owner_stays_admin(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let ada = &account.owner;
        let refused = account.admin.call.transfer_role(hand_on(&account, &account.user)).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_eq!(account.standing(&ada.email).await, (Active, vec!["admin".into(), "owner".into()]));

        let did = ada.call.transfer_role(hand_on(&account, &account.user)).await.unwrap();
        assert_eq!(did.from.unwrap().roles, ["admin"]);
        assert_eq!(words(&did.kept), held(&[(ada, "admin")]));
        assert_eq!(account.standing(&ada.email).await, (Active, vec!["admin".into()]));
        assert_eq!(account.may(ada).await, ADMIN);
        assert_eq!(account.works_in(&ada.user_id, &ALL).await, ALL);
        for (act, result) in
            manage(&ada.call, &account.id, &account.admin.membership_id, "guest@example.test", "alpha").await
        {
            result.unwrap_or_else(|status| panic!("{act}: {status:?}"));
        }
    }

    async fn ce_33_the_new_owner_is_owner_and_admin_with_all_projects_and_the_settings(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let (ada, uma) = (&account.owner, &account.user);
        assert_eq!((account.may(uma).await, account.works_in(&uma.user_id, &ALL).await), (vec![], vec![]));

        let did = ada.call.transfer_role(hand_on(&account, uma)).await.unwrap();
        assert_eq!(words(&did.granted), held(&[(uma, "admin"), (uma, "owner")]));
        assert_eq!(did.to.unwrap().roles, ["admin", "owner"]);
        assert_eq!(account.standing(&uma.email).await, (Active, vec!["admin".into(), "owner".into()]));
        assert_eq!(account.may(uma).await, ADMIN);
        assert_eq!(account.works_in(&uma.user_id, &ALL).await, ALL);
        uma.call.get_organization(get_organization(&account.id)).await.unwrap();

        // And is what an owner is: kept an admin, not shut out, and alone to hand it on.
        let untouched = app.traces().await;
        let lessened = account.give(ada, &uma.membership_id, role("user")).await;
        assert_refused(lessened, Code::FailedPrecondition, "ROLE_REQUIRED");
        let shut_out = ada.call.disable_member(disable(&account.id, &uma.membership_id)).await;
        assert_refused(shut_out, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        assert_eq!(app.traces().await, untouched);
        uma.call.transfer_role(hand_on(&account, ada)).await.unwrap();
        assert_eq!(owners(&ada.call, &account.id).await, [ada.email.as_str()]);
    }

    async fn ce_34_a_transfer_may_take_project_rights_away_and_the_answer_says_which(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let (ada, uma) = (&account.owner, &account.user);
        for (person, name) in [(ada, "alpha"), (ada, "beta"), (uma, "gamma")] {
            let operator = app.operator();
            let assign = vec![grant(membership(&person.membership_id), as_member(project(name)))];
            operator.change_grants(change(&account.id, assign)).await.unwrap();
        }
        let lost = held(&[(ada, "owner"), (ada, "alpha"), (ada, "beta"), (uma, "user")]);
        let untouched = app.traces().await;
        let dry = proto::TransferRoleRequest { validate_only: true, ..hand_on(&account, uma) };
        let would = ada.call.transfer_role(dry).await.unwrap();
        assert_eq!(words(&would.revoked), lost);
        assert_refused(uma.call.transfer_role(hand_on(&account, uma)).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_eq!(app.traces().await, untouched);

        let did = ada.call.transfer_role(hand_on(&account, uma)).await.unwrap();
        assert_eq!((words(&did.revoked), words(&did.kept)), (lost, held(&[(ada, "admin")])));
        let held_by = async |person: &Person| {
            let request = list_grants(&account.id, Some(membership(&person.membership_id)));
            words(&ada.call.list_grants(request).await.unwrap().grants)
        };
        assert_eq!(held_by(ada).await, held(&[(ada, "admin")]));
        assert_eq!(held_by(uma).await, held(&[(uma, "admin"), (uma, "owner"), (uma, "gamma")]));
    }

    async fn ce_35_the_result_of_a_transfer_is_confirmed(app) {
        let account = Account::open(&app).await;
        let (ada, uma) = (&account.owner, &account.user);
        let before = app.traces().await;
        let refused = account.admin.call.transfer_role(hand_on(&account, uma)).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_eq!(app.traces().await, before, "what was not done is confirmed to nobody");

        // In the answer, again whenever it is asked for, and to both by mail.
        let request_id = "018f4e9a-0000-7000-8000-0000000000cc".to_owned();
        let request = proto::TransferRoleRequest { request_id, ..hand_on(&account, uma) };
        let did = ada.call.transfer_role(request.clone()).await.unwrap();
        let roles = |member: &Option<proto::Member>| member.clone().map(|it| (it.email, it.roles));
        assert_eq!(roles(&did.from), Some((ada.email.clone(), vec!["admin".into()])));
        assert_eq!(roles(&did.to), Some((uma.email.clone(), vec!["admin".into(), "owner".into()])));
        assert_eq!(ada.call.transfer_role(request).await.unwrap(), did);
        let mut expected = before.mailed;
        expected.extend([ada.email.clone(), uma.email.clone()]);
        expected.sort();
        let after = app.traces().await;
        assert_eq!((after.mailed, after.rows["commits"]), (expected, before.rows["commits"] + 1));
        for (person, what) in [(ada, "that you held has been transferred"), (uma, "has been transferred to you")] {
            let mails = app.mails_to(&person.email, 1).await;
            let of_it = |mail: &&String| mail.contains("A role in Example has changed hands") && mail.contains(what);
            assert_eq!(mails.iter().filter(of_it).count(), 1, "{mails:?}");
        }
        assert_eq!(owners(&ada.call, &account.id).await, [uma.email.as_str()]);
    }

    async fn ce_37_deleting_a_person_is_permanent(app) {
        let account = Account::open(&app).await.with_projects(&["alpha"]).await;
        let (id, admin) = (&account.id, &account.admin.call);
        let eve = user(&app, &account, "eve@example.test").await;
        account.give(&account.owner, &eve.membership_id, as_member(project("alpha"))).await.unwrap();
        let request = || removal(id, &eve.membership_id, None);

        // What would change is told first, for the client to ask; nothing has changed by that.
        let untouched = app.traces().await;
        let dry = proto::RemoveMemberRequest { validate_only: true, ..request() };
        let would = admin.remove_member(dry).await.unwrap();
        assert!(would.user_deleted && would.revision.is_empty());
        let refused = account.user.call.remove_member(request()).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let own = admin.remove_member(removal(id, &account.admin.membership_id, None)).await;
        assert_refused(own, Code::FailedPrecondition, "SELF_REMOVAL");
        // What people leave behind is the product's business.
        for decided in [Assets::DeleteAssets(true), Assets::TransferTo(account.user.membership_id.clone())] {
            let refused = admin.remove_member(removal(id, &eve.membership_id, Some(decided))).await;
            assert_refused(refused, Code::FailedPrecondition, "FEATURE_OFF");
        }
        assert_eq!(app.traces().await, untouched);
        assert_eq!(account.works_in(&eve.user_id, &["alpha"]).await, ["alpha"]);

        let did = admin.remove_member(request()).await.unwrap();
        assert!(did.user_deleted && did.awaiting.is_empty());
        assert!(admin.members(id).await.iter().all(|member| member.email != eve.email));
        assert!(account.works_in(&eve.user_id, &["alpha"]).await.is_empty());
        assert!(eve.call.get_organization(get_organization(id)).await.is_err());
        let gone = app.anyone().sign_in(sign_in(&eve.email, PASSWORD)).await;
        assert_refused(gone, Code::Unauthenticated, "SIGN_IN_REFUSED");

        // Nothing brings them back: whoever comes by this address is somebody new, with nothing of the old.
        for gone in [
            admin.enable_member(enable(id, &eve.membership_id)).await.map(drop),
            admin.change_grants(change(id, vec![grant(membership(&eve.membership_id), role("user"))])).await.map(drop),
            admin.remove_member(request()).await.map(drop),
        ] {
            assert_refused(gone, Code::NotFound, "NOT_FOUND");
        }
        app.clock.advance(Duration::from_millis(1)); // so that the later mail is the newer one
        let again = admin.create_invitation(invite(id, &eve.email, vec![])).await.unwrap().member.unwrap();
        assert_eq!((again.state(), again.roles), (Pending, vec!["user".to_owned()]));
        assert_ne!(again.id, eve.membership_id);
        app.mails_to(&eve.email, 2).await;
        let again = app.join(&eve.email).await;
        assert_ne!(again.user_id, eve.user_id);
        assert!(account.works_in(&again.user_id, &["alpha"]).await.is_empty());
    }
}
