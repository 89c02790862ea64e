//! People and projects: assigned early, and not at all after a demotion.

use guildhall::proto::MemberState::{Active, Pending};
use tonic::Code;

use super::account::{Account, Changed};
use crate::harness::messages::{accept, get_organization, get_resource, grant, invite, membership, revoke};
use crate::harness::{as_member, assert_refused, project, role};
use crate::on_both;

pub const ALL: [&str; 3] = ["alpha", "beta", "gamma"];

pub fn changed(granted: &[&str], revoked: &[&str]) -> Changed {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Changed { granted: words(granted), revoked: words(revoked) }
}

on_both! {
    async fn ce_05_pending_people_are_assigned_to_projects_promoted_and_demoted_at_once(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let (owner, admin) = (&account.owner, &account.admin);
        // Bob has an account already, elsewhere: there is a user to ask about while the membership is pending.
        let bob = app.found_as("Elsewhere", "bob@example.test").await.owner;
        let invited = owner.call.create_invitation(invite(&account.id, &bob.email, vec![])).await.unwrap();
        let pending = invited.member.unwrap().id;

        let assigned = account.give(owner, &pending, as_member(project("alpha"))).await.unwrap();
        assert_eq!(assigned, changed(&["alpha"], &[]));
        assert_eq!(account.give(admin, &pending, role("admin")).await.unwrap(), changed(&["admin"], &["user"]));
        assert_eq!(account.standing(&bob.email).await, (Pending, vec!["admin".into()]));
        assert!(account.works_in(&bob.user_id, &ALL).await.is_empty(), "nothing counts before the acceptance");
        let unseen = bob.call.get_organization(get_organization(&account.id)).await;
        assert_refused(unseen, Code::NotFound, "NOT_FOUND");

        let demoted = account.give(admin, &pending, role("user")).await.unwrap();
        assert_eq!(demoted, changed(&["user"], &["admin", "alpha"]));
        account.give(owner, &pending, as_member(project("beta"))).await.unwrap();
        assert_eq!(account.standing(&bob.email).await, (Pending, vec!["user".into()]));

        // Who may not assign the active may not assign the pending.
        let untouched = app.traces().await;
        let refused = account.give(&account.user, &pending, role("admin")).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let hidden = account.give(&account.user, &pending, as_member(project("alpha"))).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
        assert_refused(account.give(&bob, &pending, role("admin")).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
        assert!(account.works_in(&bob.user_id, &ALL).await.is_empty(), "nothing counts before the acceptance");

        let token = app.token_mailed_by("Example", &bob.email).await;
        bob.call.accept_invitation(accept(&token, "")).await.unwrap();
        assert_eq!(account.works_in(&bob.user_id, &ALL).await, ["beta"]);
    }

    async fn ce_05_what_somebody_without_an_account_was_assigned_counts_once_they_have_one(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let mut ids = Vec::new();
        for email in ["eve@example.test", "mia@example.test"] {
            let invited = account.owner.call.create_invitation(invite(&account.id, email, vec![])).await.unwrap();
            let member = invited.member.unwrap();
            assert_eq!((member.state(), member.user_id.as_str()), (Pending, ""));
            ids.push(member.id);
        }
        let deltas = vec![
            grant(membership(&ids[0]), as_member(project("gamma"))),
            grant(membership(&ids[1]), role("admin")),
        ];
        account.change(&account.owner, deltas).await.unwrap();

        let (eve, mia) = (app.join("eve@example.test").await, app.join("mia@example.test").await);
        assert_eq!(account.works_in(&eve.user_id, &ALL).await, ["gamma"]);
        assert_eq!(account.works_in(&mia.user_id, &ALL).await, ALL);
        assert_eq!(account.standing(&mia.email).await, (Active, vec!["admin".into()]));
    }

    async fn ce_06_assigning_right_after_the_invitation_or_with_it_is_the_usual_way(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let assignments = vec![role("user"), as_member(project("alpha"))];
        let invitation = invite(&account.id, "bob@example.test", assignments);
        let invited = account.admin.call.create_invitation(invitation).await.unwrap();
        assert_eq!(invited.grants.len(), 2);
        account.give(&account.admin, &invited.member.unwrap().id, as_member(project("beta"))).await.unwrap();
        let bob = app.join("bob@example.test").await;
        assert_eq!(account.works_in(&bob.user_id, &ALL).await, ["alpha", "beta"]);

        // An invitation to a project that is not there is none at all, nor one to what may not be given.
        let untouched = app.traces().await;
        for (what, code, expected) in [
            (as_member(project("delta")), Code::NotFound, "NOT_FOUND"),
            (role("viewer"), Code::InvalidArgument, "ROLE_UNKNOWN"),
            (role("backend"), Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE"),
        ] {
            let invitation = invite(&account.id, "eve@example.test", vec![as_member(project("alpha")), what]);
            assert_refused(account.owner.call.create_invitation(invitation).await, code, expected);
        }
        let invitation = invite(&account.id, "eve@example.test", vec![as_member(project("alpha"))]);
        let by_user = account.user.call.create_invitation(invitation).await;
        assert_refused(by_user, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn ce_29_a_demoted_admin_is_assigned_to_no_project_by_no_way_until_assigned_anew(app) {
        let account = Account::open(&app).await.with_projects(&ALL).await;
        let (owner, admin) = (&account.owner, &account.admin);
        let eve = app.invite_and_join(&account.id, &owner.call, "eve@example.test", vec![role("user")]).await;

        // Assigned as a user, promoted, and assigned as an admin: whichever way the demotion is put, both are gone.
        let ways = [
            (eve.clone(), grant(membership(&eve.membership_id), role("user"))),
            (admin.clone(), revoke(membership(&admin.membership_id), role("admin"))),
        ];
        for (person, demotion) in ways {
            let id = &person.membership_id;
            account.give(owner, id, role("user")).await.unwrap();
            account.give(owner, id, as_member(project("alpha"))).await.unwrap();
            account.give(owner, id, role("admin")).await.unwrap();
            account.give(owner, id, as_member(project("beta"))).await.unwrap();
            assert_eq!(account.works_in(&person.user_id, &ALL).await, ALL);

            let demoted = account.change(owner, vec![demotion]).await.unwrap();
            assert_eq!(demoted, changed(&["user"], &["admin", "alpha", "beta"]));
            assert_eq!(account.standing(&person.email).await, (Active, vec!["user".into()]));
            assert!(account.works_in(&person.user_id, &[&ALL[..], &["delta"]].concat()).await.is_empty());
            for name in ALL {
                let hidden = person.call.get_resource(get_resource(&account.id, project(name))).await;
                assert_refused(hidden, Code::NotFound, "NOT_FOUND");
            }
            assert_refused(
                account.give(&person, id, as_member(project("alpha"))).await,
                Code::NotFound,
                "NOT_FOUND",
            );

            account.give(owner, id, as_member(project("gamma"))).await.unwrap();
            assert_eq!(account.works_in(&person.user_id, &ALL).await, ["gamma"]);
        }

        // A user who stays one keeps what they have.
        let kept = account.give(owner, &eve.membership_id, role("user")).await.unwrap();
        assert_eq!(kept, changed(&[], &[]));
        assert_eq!(account.works_in(&eve.user_id, &ALL).await, ["gamma"]);
    }
}
