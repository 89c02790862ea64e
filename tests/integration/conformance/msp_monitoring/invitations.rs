//! The way in: a link, which is a secret, for a day.

use std::time::Duration;

use guildhall::proto;
use guildhall::proto::MemberState::Active;
use tonic::Code;

use super::subscription::{NOUNS, account, claims, open};
use crate::harness::messages::{accept, get_organization, invite, invite_by_link, look_up};
use crate::harness::{PASSWORD, assert_refused, at, token_in};
use crate::on_both;

const REQUEST: &str = "018f4e9a-0000-7000-8000-000000000001";
const DAY: Duration = Duration::from_hours(24);

on_both! {
    async fn cm_19_new_people_come_in_by_invitation(app) {
        let subscription = open(&app, &["north"]).await;
        let (id, founder) = (&subscription.id, &subscription.founder.call);
        let bob = app.somebody("bob@example.test").await;
        let outside = bob.call.get_organization(get_organization(id)).await;
        assert_refused(outside, Code::NotFound, "NOT_FOUND");

        let assignments = [claims(&["users-read"]), vec![at(account("north"), "access")]].concat();
        let made = founder.create_invitation(invite_by_link(id, assignments.clone())).await.unwrap();
        assert_eq!((made.member, made.grants), (None, vec![]), "nobody is there before somebody comes");
        let invitation = made.invitation.unwrap();
        assert_eq!((invitation.kind(), invitation.assignments), (proto::InvitationKind::Link, assignments));
        assert_eq!(founder.members(id).await.len(), 1);

        let accepted = bob.call.accept_invitation(accept(&token_in(&made.link), "")).await.unwrap();
        let member = accepted.member.unwrap();
        assert_eq!((member.state(), member.roles.as_slice()), (Active, &["users-read".to_owned()][..]));
        assert_eq!((member.email.as_str(), &member.user_id), (bob.email.as_str(), &bob.user_id));
        let listed = founder.member(id, &bob.email).await;
        assert_eq!((listed.state(), listed.id, listed.roles), (Active, member.id, member.roles));
        assert_eq!(bob.call.members(id).await.len(), 2);
        let may = subscription.may_on(&bob, &account("north"), &NOUNS).await;
        assert_eq!(may, ["account.view", "dashboard.view", "report.view"]);

        // There is no other way: the mail of other products is not open here, and who is in does not come in again.
        let untouched = app.traces().await;
        let mailed = proto::CreateInvitationRequest {
            kind: proto::InvitationKind::Email.into(),
            ..invite(id, "eve@example.test", vec![])
        };
        let refused = founder.create_invitation(mailed).await;
        assert_refused(refused, Code::InvalidArgument, "INVITATION_KIND_UNAVAILABLE");
        let refused = founder.create_invitation(invite(id, "eve@example.test", vec![])).await;
        assert_refused(refused, Code::InvalidArgument, "OUT_OF_RANGE");
        let again = bob.call.accept_invitation(accept(&token_in(&made.link), "")).await;
        assert_refused(again, Code::AlreadyExists, "MEMBER_EXISTS");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_20_the_invitation_is_a_bearer_link_whoever_holds_it_may_join_so_it_is_a_secret(app) {
        let subscription = open(&app, &[]).await;
        let (id, founder) = (&subscription.id, &subscription.founder.call);
        let untouched = app.traces().await;

        // It is told to whoever made it, once, and to nobody by mail.
        let request = proto::CreateInvitationRequest { request_id: REQUEST.into(), ..invite_by_link(id, vec![]) };
        let dry = proto::CreateInvitationRequest { validate_only: true, request_id: String::new(), ..request.clone() };
        let dry = founder.create_invitation(dry).await.unwrap();
        assert_eq!((dry.link.as_str(), dry.secret_withheld), ("", true));
        let made = founder.create_invitation(request.clone()).await.unwrap();
        assert!(made.link.starts_with(&app.config.join_url) && !made.secret_withheld, "{}", made.link);
        let again = founder.create_invitation(request).await.unwrap();
        assert_eq!(again, proto::CreateInvitationResponse { link: String::new(), secret_withheld: true, ..made.clone() });
        let after = app.traces().await;
        assert_eq!((after.rows["invitations"], after.mailed), (untouched.rows["invitations"] + 1, untouched.mailed));

        // Whoever holds it may join, one as well as the other.
        let token = token_in(&made.link);
        let offer = app.anyone().look_up_invitation(look_up(&token)).await.unwrap();
        assert_eq!((offer.kind(), offer.email.as_str()), (proto::InvitationKind::Link, ""));
        assert!(offer.sign_in_required);
        for email in ["bob@example.test", "eve@example.test"] {
            let somebody = app.somebody(email).await;
            let accepted = somebody.call.accept_invitation(accept(&token, "")).await.unwrap();
            assert_eq!(accepted.member.unwrap().email, email);
        }

        // Who does not hold it may not, nor does who holds it as nobody in particular, or as a machine.
        let zoe = app.somebody("zoe@example.test").await;
        let untouched = app.traces().await;
        let guessed = format!("{}x", &token[..token.len() - 1]);
        assert_refused(zoe.call.accept_invitation(accept(&guessed, "")).await, Code::NotFound, "NOT_FOUND");
        for nobody in [app.anyone(), app.operator(), subscription.backend.clone()] {
            let refused = nobody.accept_invitation(accept(&token, PASSWORD)).await;
            assert_refused(refused, Code::Unauthenticated, "SIGN_IN_REQUIRED");
        }
        assert_eq!(app.traces().await, untouched);
        assert_eq!(founder.members(id).await.len(), 3);
    }

    async fn cm_21_the_link_lapses_after_24_hours(app) {
        let subscription = open(&app, &[]).await;
        let (id, founder) = (&subscription.id, &subscription.founder);
        let lasting = |lifetime: Duration| proto::CreateInvitationRequest {
            lifetime: Some(lifetime.try_into().unwrap()),
            ..invite_by_link(id, vec![])
        };
        let untouched = app.traces().await;
        let refused = founder.call.create_invitation(lasting(DAY + Duration::from_micros(1))).await;
        assert_refused(refused, Code::InvalidArgument, "OUT_OF_RANGE");
        assert_eq!(app.traces().await, untouched);

        let link = founder.call.create_invitation(invite_by_link(id, vec![])).await.unwrap().link;
        let (bob, eve) = (app.somebody("bob@example.test").await, app.somebody("eve@example.test").await);
        app.clock.advance_short_of(DAY);
        let bob = app.sign_in(&bob.email, "").await;
        bob.call.accept_invitation(accept(&token_in(&link), "")).await.unwrap();

        app.clock.tick();
        let eve = app.sign_in(&eve.email, "").await;
        let untouched = app.traces().await;
        let refused = eve.call.accept_invitation(accept(&token_in(&link), "")).await;
        assert_refused(refused, Code::FailedPrecondition, "INVITATION_EXPIRED");
        let refused = app.anyone().look_up_invitation(look_up(&token_in(&link))).await;
        assert_refused(refused, Code::FailedPrecondition, "INVITATION_EXPIRED");
        assert_eq!(app.traces().await, untouched);
    }
}
