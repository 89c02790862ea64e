//! Owner, admin, user: what they are, and that there is one owner.

use futures_util::future::{join, join_all};
use guildhall::proto;
use guildhall::proto::MemberState::{Active, Pending};
use tonic::{Code, Status};

use super::account::{Account, Changed, manage};
use crate::harness::messages::{
    change, create_organization, disable, get_resource, grant, invite, leave, membership, register, remove, revoke,
    service_account, transfer,
};
use crate::harness::{Caller, Person, TestApp, as_member, assert_refused, at, project, reason, role};
use crate::on_both;

/// What an admin may do at the account: all there is to it.
pub const ADMIN: [&str; 18] = [
    "access.check",
    "audit.view",
    "member.assign",
    "member.create",
    "member.disable",
    "member.invite",
    "member.list",
    "member.remove",
    "organization.update",
    "organization.view",
    "policy.update",
    "project.create",
    "project.delete",
    "project.operate",
    "project.share",
    "project.update",
    "project.view",
    "service_account.manage",
];

/// Names the holders of the role `owner`, as the list of members shows them.
pub async fn owners(by: &Caller, organization: &str) -> Vec<String> {
    let members = by.members(organization).await.into_iter();
    members.filter(|member| member.roles.iter().any(|role| role == "owner")).map(|member| member.email).collect()
}

/// Tries every path to a second owner, or to none, as `by`.
async fn attempts_on_the_ownership(by: &Caller, account: &Account) -> Vec<(&'static str, Result<(), Status>)> {
    let (owner, user) = (&account.owner.membership_id, &account.user.membership_id);
    let try_deltas = async |deltas| by.change_grants(change(&account.id, deltas)).await.map(drop);
    let try_invitation =
        async |assignments| by.create_invitation(invite(&account.id, "heir@example.test", assignments)).await.map(drop);
    let until = Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 });
    vec![
        ("a second owner", try_deltas(vec![grant(membership(user), role("owner"))]).await),
        (
            "a second owner who is admin",
            try_deltas(vec![grant(membership(user), role("admin")), grant(membership(user), role("owner"))]).await,
        ),
        (
            "another owner",
            try_deltas(vec![revoke(membership(owner), role("owner")), grant(membership(user), role("owner"))]).await,
        ),
        (
            "an owner for a while",
            try_deltas(vec![grant(membership(user), proto::Assignment { expire_time: until, ..role("owner") })]).await,
        ),
        ("a machine for an owner", try_deltas(vec![grant(service_account(&account.machine), role("owner"))]).await),
        ("an invitation as owner", try_invitation(vec![role("owner")]).await),
        ("an invitation as owner and admin", try_invitation(vec![role("admin"), role("owner")]).await),
        ("no owner", try_deltas(vec![revoke(membership(owner), role("owner"))]).await),
        ("an owner who is no admin", try_deltas(vec![revoke(membership(owner), role("admin"))]).await),
        ("an owner who is a user", try_deltas(vec![grant(membership(owner), role("user"))]).await),
        ("an owner shut out", by.disable_member(disable(&account.id, owner)).await.map(drop)),
    ]
}

fn told(acts: Vec<(&'static str, Result<(), Status>)>) -> Vec<(&'static str, Code, String)> {
    let told = |(act, result): (&'static str, Result<(), Status>)| {
        let status = result.expect_err(act);
        (act, status.code(), reason(&status))
    };
    acts.into_iter().map(told).collect()
}

async fn join_as(app: &TestApp, account: &Account, email: &str, name: &str) -> Person {
    app.invite_and_join(&account.id, &account.owner.call, email, vec![role(name)]).await
}

on_both! {
    async fn ce_18_the_roles_are_owner_admin_and_user(app) {
        let account = Account::open(&app).await;
        let (owner, user) = (&account.owner, &account.user);
        assert_eq!(account.standing(&owner.email).await.1, ["admin", "owner"]);
        assert_eq!(account.standing(&account.admin.email).await.1, ["admin"]);
        assert_eq!(account.standing(&user.email).await.1, ["user"]);

        // Nobody is without a role, and nobody but the owner has two.
        owner.call.create_invitation(invite(&account.id, "eve@example.test", vec![])).await.unwrap();
        assert_eq!(account.standing("eve@example.test").await.1, ["user"]);
        let promoted = account.give(owner, &user.membership_id, role("admin")).await.unwrap();
        assert_eq!(promoted, Changed { granted: vec!["admin".into()], revoked: vec!["user".into()] });
        assert_eq!(account.standing(&user.email).await.1, ["admin"]);
        let bare = account.change(owner, vec![revoke(membership(&user.membership_id), role("admin"))]).await.unwrap();
        assert_eq!(bare, Changed { granted: vec!["user".into()], revoked: vec!["admin".into()] });

        let untouched = app.traces().await;
        for (name, code, expected) in [
            ("viewer", Code::InvalidArgument, "ROLE_UNKNOWN"),
            ("", Code::InvalidArgument, "FIELD_REQUIRED"),
            ("backend", Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE"),
            ("operator", Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE"),
            ("owner", Code::PermissionDenied, "ROLE_NOT_GRANTABLE"),
        ] {
            assert_refused(account.give(owner, &user.membership_id, role(name)).await, code, expected);
            let invitation = invite(&account.id, "tom@example.test", vec![role(name)]);
            assert_refused(owner.call.create_invitation(invitation).await, code, expected);
        }
        // Roles are held at the account, and not at a project.
        owner.call.register_resource(register(&account.id, project("alpha"))).await.unwrap();
        let untouched_but_for_alpha = app.traces().await;
        assert_eq!(untouched_but_for_alpha.rows["grants"], untouched.rows["grants"]);
        let at_project = at(project("alpha"), "admin");
        let refused = account.give(owner, &user.membership_id, at_project).await;
        assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        assert_eq!(app.traces().await, untouched_but_for_alpha);
    }

    async fn ce_19_the_owner_has_all_projects_manages_people_and_does_all_that_an_admin_can(app) {
        let account = Account::open(&app).await.with_projects(&["alpha"]).await;
        let (owner, admin) = (&account.owner, &account.admin);
        assert_eq!(account.may(owner).await, ADMIN);
        assert_eq!(account.may(admin).await, ADMIN);
        assert_eq!(account.may(&account.user).await, [""; 0]);
        assert_eq!(account.works_in(&owner.user_id, &["alpha", "unheard-of"]).await, ["alpha", "unheard-of"]);
        for (act, result) in
            manage(&owner.call, &account.id, &account.user.membership_id, "guest@example.test", "alpha").await
        {
            result.unwrap_or_else(|status| panic!("{act}: {status:?}"));
        }

        // What an admin does to people, the owner does to admins; and no admin makes an owner.
        account.give(owner, &admin.membership_id, role("user")).await.unwrap();
        account.give(owner, &admin.membership_id, role("admin")).await.unwrap();
        let untouched = app.traces().await;
        for by in [owner, admin] {
            let refused = account.give(by, &account.user.membership_id, role("owner")).await;
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        // The owner alone hands the ownership on.
        let refused = admin.call.transfer_role(transfer(&account.id, "owner", &admin.membership_id)).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        assert_eq!(app.traces().await, untouched);
        owner.call.transfer_role(transfer(&account.id, "owner", &admin.membership_id)).await.unwrap();
        assert_eq!(owners(&owner.call, &account.id).await, [admin.email.as_str()]);
    }

    async fn ce_20_there_is_exactly_one_owner_at_any_moment(app) {
        let account = Account::open(&app).await;
        let untouched = app.traces().await;

        let not_grantable = (Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let not_takeable = (Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let transfer_only = (Code::FailedPrecondition, "ROLE_TRANSFER_ONLY");
        let not_assignable = (Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        let required = (Code::FailedPrecondition, "ROLE_REQUIRED");
        let missing = (Code::PermissionDenied, "PERMISSION_MISSING");
        // The owner hands the ownership on by a transfer alone, and so does an operator, who may give and take any role.
        for (by, to_give, to_take, to_shut_out) in [
            (&account.owner.call, not_grantable, not_takeable, (Code::FailedPrecondition, "SELF_REMOVAL")),
            (&account.admin.call, not_grantable, not_takeable, not_takeable),
            (&app.operator(), transfer_only, transfer_only, (Code::FailedPrecondition, "ROLE_CARDINALITY")),
        ] {
            let refusals = told(attempts_on_the_ownership(by, &account).await);
            let refusals = refusals.iter().map(|(act, code, reason)| (*act, (*code, reason.as_str())));
            assert_eq!(refusals.collect::<Vec<_>>(), [
                ("a second owner", to_give),
                ("a second owner who is admin", to_give),
                ("another owner", to_take),
                ("an owner for a while", not_assignable),
                ("a machine for an owner", not_assignable),
                ("an invitation as owner", to_give),
                ("an invitation as owner and admin", to_give),
                ("no owner", to_take),
                ("an owner who is no admin", required),
                ("an owner who is a user", required),
                ("an owner shut out", to_shut_out),
            ]);
            assert_eq!(owners(by, &account.id).await, [account.owner.email.as_str()]);
        }
        for (act, code, reason) in told(attempts_on_the_ownership(&account.user.call, &account).await) {
            assert_eq!((code, reason.as_str()), missing, "{act}");
        }
        assert_eq!(app.traces().await, untouched);
        assert_eq!(account.standing(&account.owner.email).await, (Active, vec!["admin".into(), "owner".into()]));
    }

    async fn ce_20_no_reader_sees_zero_or_two_owners_while_many_try(app) {
        let account = Account::open(&app).await;
        let operator = app.operator();
        let untouched = app.traces().await;

        let attempt = async |number: usize| match number % 4 {
            0 => operator.disable_member(disable(&account.id, &account.owner.membership_id)).await.map(drop),
            1 => {
                let deltas = vec![grant(membership(&account.user.membership_id), role("owner"))];
                operator.change_grants(change(&account.id, deltas)).await.map(drop)
            }
            2 => {
                let email = format!("heir-{number}@example.test");
                operator.create_invitation(invite(&account.id, &email, vec![role("owner")])).await.map(drop)
            }
            _ => {
                let deltas = vec![revoke(membership(&account.owner.membership_id), role("owner"))];
                operator.change_grants(change(&account.id, deltas)).await.map(drop)
            }
        };
        let looks = (0..20).map(|_| owners(&account.owner.call, &account.id));
        let (attempts, looks) = join(join_all((0..20).map(attempt)), join_all(looks)).await;

        for (number, refused) in attempts.into_iter().enumerate() {
            let expected = if number % 4 == 0 { "ROLE_CARDINALITY" } else { "ROLE_TRANSFER_ONLY" };
            assert_refused(refused, Code::FailedPrecondition, expected);
        }
        assert!(looks.iter().all(|owners| *owners == [account.owner.email.as_str()]), "{looks:?}");
        assert_eq!(app.traces().await, untouched);
    }

    async fn ce_20_an_account_has_its_one_owner_before_the_founder_has_come(app) {
        let operator = app.operator();
        let created = operator.create_organization(create_organization("Example", "ada@example.test")).await.unwrap();
        let (id, founder) = (created.organization.unwrap().id, created.founder.unwrap());
        assert_eq!((founder.state(), founder.roles), (Pending, vec!["admin".to_owned(), "owner".to_owned()]));
        assert_eq!(owners(&operator, &id).await, ["ada@example.test"]);

        let untouched = app.traces().await;
        let second = operator.create_invitation(invite(&id, "bob@example.test", vec![role("admin"), role("owner")])).await;
        assert_refused(second, Code::FailedPrecondition, "ROLE_TRANSFER_ONLY");
        let none = operator.change_grants(change(&id, vec![revoke(membership(&founder.id), role("owner"))])).await;
        assert_refused(none, Code::FailedPrecondition, "ROLE_TRANSFER_ONLY");
        let shut_out = operator.disable_member(disable(&id, &founder.id)).await;
        assert_refused(shut_out, Code::FailedPrecondition, "MEMBER_STATE");
        assert_eq!(app.traces().await, untouched);

        app.join("ada@example.test").await;
        assert_eq!(owners(&operator, &id).await, ["ada@example.test"]);
    }

    async fn ce_21_the_owner_cannot_be_shut_out_nor_lose_the_account_to_an_admin(app) {
        let account = Account::open(&app).await;
        let (owner, admin) = (&account.owner, &account.admin);
        let untouched = app.traces().await;
        for (by, code, expected) in [
            (&admin.call, Code::PermissionDenied, "ROLE_NOT_TAKEABLE"),
            (&account.user.call, Code::PermissionDenied, "PERMISSION_MISSING"),
            (&owner.call, Code::FailedPrecondition, "SELF_REMOVAL"),
            (&app.operator(), Code::FailedPrecondition, "ROLE_CARDINALITY"),
        ] {
            assert_refused(by.disable_member(disable(&account.id, &owner.membership_id)).await, code, expected);
        }
        let taken = account.change(admin, vec![revoke(membership(&owner.membership_id), role("owner"))]).await;
        assert_refused(taken, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(account.may(owner).await, ADMIN);

        // An admin can be.
        owner.call.disable_member(disable(&account.id, &admin.membership_id)).await.unwrap();
        assert_eq!(account.may(admin).await, [""; 0]);
    }

    async fn ce_21_the_owner_cannot_be_deleted_nor_leave_until_another_is(app) {
        let account = Account::open(&app).await;
        let (id, owner, admin) = (&account.id, &account.owner, &account.admin);
        let untouched = app.traces().await;
        for (by, code, expected) in [
            (&admin.call, Code::PermissionDenied, "ROLE_NOT_TAKEABLE"),
            (&account.user.call, Code::PermissionDenied, "PERMISSION_MISSING"),
            (&owner.call, Code::FailedPrecondition, "SELF_REMOVAL"),
            (&app.operator(), Code::FailedPrecondition, "ROLE_CARDINALITY"),
        ] {
            assert_refused(by.remove_member(remove(id, &owner.membership_id)).await, code, expected);
        }
        let left = owner.call.leave_organization(leave(id)).await;
        assert_refused(left, Code::FailedPrecondition, "ROLE_CARDINALITY");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(owners(&admin.call, id).await, [owner.email.as_str()]);

        owner.call.transfer_role(transfer(id, "owner", &account.user.membership_id)).await.unwrap();
        admin.call.remove_member(remove(id, &owner.membership_id)).await.unwrap();
        assert_eq!(owners(&admin.call, id).await, [account.user.email.as_str()]);
    }

    async fn ce_22_admins_have_all_projects_and_the_settings_and_manage_people_and_there_may_be_many(app) {
        let account = Account::open(&app).await.with_projects(&["alpha"]).await;
        let second = join_as(&app, &account, "eve@example.test", "admin").await;
        let third = join_as(&app, &account, "mia@example.test", "admin").await;

        for (number, admin) in [&account.admin, &second, &third].into_iter().enumerate() {
            // Every project: those that others made, and those that nobody has told Guildhall of.
            let name = format!("project-{number}");
            admin.call.register_resource(register(&account.id, project(&name))).await.unwrap();
            admin.call.get_resource(get_resource(&account.id, project("alpha"))).await.unwrap();
            let all = ["alpha", "project-0", name.as_str(), "unheard-of"];
            assert_eq!(account.works_in(&admin.user_id, &all).await, all);
            for permission in ["organization.view", "organization.update", "policy.update"] {
                assert!(account.backend.allows(&account.id, &admin.user_id, permission, None).await, "{permission}");
                assert!(!account.backend.allows(&account.id, &account.user.user_id, permission, None).await);
            }
            let email = format!("guest-{number}@example.test");
            for (act, result) in manage(&admin.call, &account.id, &account.user.membership_id, &email, &name).await {
                result.unwrap_or_else(|status| panic!("{act}: {status:?}"));
            }
        }

        // People, but for the owner: neither shut out nor made less.
        let untouched = app.traces().await;
        let owner = &account.owner.membership_id;
        let shut_out = second.call.disable_member(disable(&account.id, owner)).await;
        assert_refused(shut_out, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let lessened = account.give(&second, owner, role("user")).await;
        assert_refused(lessened, Code::FailedPrecondition, "ROLE_REQUIRED");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(account.standing(&account.owner.email).await, (Active, vec!["admin".into(), "owner".into()]));
    }

    async fn ce_27_several_people_are_promoted_to_admin_at_once_and_their_projects_then_read_all(app) {
        let account = Account::open(&app).await.with_projects(&["alpha", "beta"]).await;
        let second = join_as(&app, &account, "eve@example.test", "user").await;
        account.give(&account.owner, &second.membership_id, as_member(project("alpha"))).await.unwrap();
        let promotion = |ids: &[&str]| {
            change(&account.id, ids.iter().map(|id| grant(membership(id), role("admin"))).collect())
        };
        let both = promotion(&[&account.user.membership_id, &second.membership_id]);

        // What would change is told first, for the client to ask; nothing has changed by that.
        let untouched = app.traces().await;
        let dry_run = proto::ChangeGrantsRequest { validate_only: true, ..both.clone() };
        let would = account.admin.call.change_grants(dry_run).await.unwrap();
        assert_eq!(Changed::from(&would), Changed {
            granted: vec!["admin".into(), "admin".into()],
            revoked: vec!["user".into(), "user".into()],
        });
        // All or none, and not by a user.
        let nobody = "018f4e9a-7b3c-7def-8a12-0123456789ab";
        let with_nobody = account.admin.call.change_grants(promotion(&[&second.membership_id, nobody])).await;
        assert_refused(with_nobody, Code::NotFound, "NOT_FOUND");
        let by_user = account.user.call.change_grants(both.clone()).await;
        assert_refused(by_user, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(account.works_in(&second.user_id, &["alpha", "beta"]).await, ["alpha"]);

        let did = account.admin.call.change_grants(both).await.unwrap();
        assert_eq!(Changed::from(&did), Changed::from(&would));
        for person in [&account.user, &second] {
            assert_eq!(account.standing(&person.email).await, (Active, vec!["admin".into()]));
            let all = ["alpha", "beta", "unheard-of"];
            assert_eq!(account.works_in(&person.user_id, &all).await, all);
            assert!(account.may(person).await.contains(&"project.view".to_owned()), "at the account: of every project");
        }
        assert_eq!(app.traces().await.rows["commits"], untouched.rows["commits"] + 1, "at one revision");
    }

    async fn ce_28_several_admins_are_demoted_at_once_and_their_roles_then_read_user_alone(app) {
        let account = Account::open(&app).await.with_projects(&["alpha"]).await;
        let owner = &account.owner;
        let second = join_as(&app, &account, "eve@example.test", "admin").await;
        account.give(owner, &second.membership_id, as_member(project("alpha"))).await.unwrap();
        let demotion = |people: &[&Person]| {
            let demote = |person: &&Person| grant(membership(&person.membership_id), role("user"));
            change(&account.id, people.iter().map(demote).collect())
        };
        let both = demotion(&[&account.admin, &second]);

        // What would change is told first, for the client to ask; nothing has changed by that.
        let untouched = app.traces().await;
        let dry_run = proto::ChangeGrantsRequest { validate_only: true, ..both.clone() };
        let would = owner.call.change_grants(dry_run).await.unwrap();
        assert_eq!(Changed::from(&would), Changed {
            granted: vec!["user".into(), "user".into()],
            revoked: vec!["admin".into(), "admin".into(), "alpha".into()],
        });
        assert_eq!(would.revision, "");

        // All or none: not the owner, not oneself, and not by a user.
        let with_owner = account.admin.call.change_grants(demotion(&[&second, owner])).await;
        assert_refused(with_owner, Code::FailedPrecondition, "ROLE_REQUIRED");
        let with_self = account.admin.call.change_grants(both.clone()).await;
        assert_refused(with_self, Code::FailedPrecondition, "SELF_REMOVAL");
        let by_user = account.user.call.change_grants(both.clone()).await;
        assert_refused(by_user, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        for admin in [&account.admin, &second] {
            assert_eq!(account.standing(&admin.email).await, (Active, vec!["admin".into()]));
        }

        let did = owner.call.change_grants(both).await.unwrap();
        assert_eq!(Changed::from(&did), Changed::from(&would));
        for admin in [&account.admin, &second] {
            assert_eq!(account.standing(&admin.email).await, (Active, vec!["user".into()]));
            let refused = admin.call.create_invitation(invite(&account.id, "tom@example.test", vec![])).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        assert_eq!(app.traces().await.rows["commits"], untouched.rows["commits"] + 1, "at one revision");
    }
}
