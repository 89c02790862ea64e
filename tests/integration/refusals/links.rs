//! Links: what cannot be made, and who cannot come in by one.

use guildhall::proto;
use guildhall::proto::MemberState::Active;
use tonic::Code;

use super::{assert_violates, revision_of};
use crate::harness::messages::{
    accept, change, create_organization_under, disable, enable, grant, invite, invite_by_link, membership, revoke,
};
use crate::harness::{Caller, Organization, TestApp, as_member, assert_refused, project, role, token_in};
use crate::on_both;

/// An organization that opens links, and no mails.
async fn open(app: &TestApp) -> Organization {
    app.found_under("msp-monitoring").await
}

/// Makes a link as `by`; gives its token.
async fn link(by: &Caller, id: &str, assignments: Vec<proto::Assignment>) -> String {
    token_in(&by.create_invitation(invite_by_link(id, assignments)).await.unwrap().link)
}

on_both! {
    async fn a_link_names_nobody_and_is_made_where_the_policy_opens_links(app) {
        let organization = open(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let before = revision_of(owner, id).await;

        let addressed = invite(id, "bob@example.test", vec![]);
        let named = proto::CreateInvitationRequest { display_name: "Bob".into(), ..addressed.clone() };
        let both = [("email", "OUT_OF_RANGE"), ("display_name", "OUT_OF_RANGE")];
        assert_violates(owner.create_invitation(named).await, &both);
        for kind in [3, -1] {
            let unknown = proto::CreateInvitationRequest { kind, ..invite_by_link(id, vec![]) };
            assert_violates(owner.create_invitation(unknown).await, &[("kind", "OUT_OF_RANGE")]);
        }
        let of_no_list = invite_by_link(id, vec![as_member(project("alpha"))]);
        assert_refused(owner.create_invitation(of_no_list).await, Code::InvalidArgument, "RESOURCE_TYPE_UNKNOWN");
        assert_eq!(revision_of(owner, id).await, before);
        owner.create_invitation(invite(id, "", vec![])).await.expect("a link is what is open here");

        let mails = app.found_as("Mails", "zoe@example.test").await;
        let (zoe, id) = (&mails.owner.call, mails.id.as_str());
        let before = revision_of(zoe, id).await;
        let kind = [("kind", "INVITATION_KIND_UNAVAILABLE")];
        assert_violates(zoe.create_invitation(invite_by_link(id, vec![])).await, &kind);
        assert_eq!(revision_of(zoe, id).await, before);
    }

    async fn a_link_gives_no_more_than_its_sponsor_may_give_when_somebody_comes(app) {
        let organization = open(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let max = app.join_by_link(id, owner, "max@example.test", vec![role("users-modify"), role("billing-read")]).await;
        let (plain, paid) = (link(&max.call, id, vec![]).await, link(&max.call, id, vec![role("billing-read")]).await);
        let change_max = async |deltas| owner.change_grants(change(id, deltas)).await.unwrap();
        let to = || membership(&max.membership_id);
        let (bob, eve) = (app.somebody("bob@example.test").await, app.somebody("eve@example.test").await);

        // Max no longer has what the link gives; then no longer invites at all; then is shut out.
        change_max(vec![revoke(to(), role("billing-read"))]).await;
        let before = revision_of(owner, id).await;
        let refused = bob.call.accept_invitation(accept(&paid, "")).await;
        assert_refused(refused, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
        assert_eq!(revision_of(owner, id).await, before);
        bob.call.accept_invitation(accept(&plain, "")).await.expect("what gives nothing is given still");
        change_max(vec![grant(to(), role("users-read")), grant(to(), role("billing-read"))]).await;
        for token in [&plain, &paid] {
            let refused = eve.call.accept_invitation(accept(token, "")).await;
            assert_refused(refused, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
        }
        change_max(vec![grant(to(), role("users-modify"))]).await;
        app.operator().disable_member(disable(id, &max.membership_id)).await.unwrap();
        let refused = eve.call.accept_invitation(accept(&paid, "")).await;
        assert_refused(refused, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
        assert_eq!(owner.members(id).await.len(), 3);

        // A refusal has consumed nothing.
        app.operator().enable_member(enable(id, &max.membership_id)).await.unwrap();
        let accepted = eve.call.accept_invitation(accept(&paid, "")).await.unwrap().member.unwrap();
        assert_eq!((accepted.state(), accepted.roles), (Active, vec!["billing-read".to_owned()]));
    }

    async fn who_is_here_already_does_not_come_in_again_by_a_link(app) {
        let organization = open(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.join_by_link(id, owner, "bob@example.test", vec![]).await;
        let token = link(owner, id, vec![role("users-read")]).await;

        // Nor does who is shut out come back in by it, nor the founder who has yet to come.
        app.operator().disable_member(disable(id, &bob.membership_id)).await.unwrap();
        let other = create_organization_under("msp-monitoring", "Other", &bob.email);
        let other = app.operator().create_organization(other).await.unwrap().organization.unwrap().id;
        let other_token = link(&app.operator(), &other, vec![]).await;
        let before = app.traces().await;
        for caller in [&organization.owner.call, &bob.call] {
            let refused = caller.accept_invitation(accept(&token, "")).await;
            assert_refused(refused, Code::AlreadyExists, "MEMBER_EXISTS");
        }
        let refused = bob.call.accept_invitation(accept(&other_token, "")).await;
        assert_refused(refused, Code::AlreadyExists, "INVITATION_PENDING");
        assert_eq!(app.traces().await, before);
        assert_eq!(owner.member(id, &bob.email).await.roles, [""; 0]);
    }

    /// The same person, twice at the same time.
    async fn who_comes_twice_at_once_comes_once(app) {
        let organization = open(&app).await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let (token, bob) = (link(owner, id, vec![]).await, app.somebody("bob@example.test").await);
        let tries = (0..20).map(|_| bob.call.accept_invitation(accept(&token, "")));
        let (came, refused): (Vec<_>, Vec<_>) =
            futures_util::future::join_all(tries).await.into_iter().partition(Result::is_ok);
        assert_eq!((came.len(), refused.len()), (1, 19));
        for refusal in refused {
            assert_refused(refusal, Code::AlreadyExists, "MEMBER_EXISTS");
        }
        assert_eq!(owner.members(id).await.len(), 2);
    }
}
