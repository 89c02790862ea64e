//! Invitations: sent, told of, good once and for a week.

use std::time::Duration;

use futures_util::future::join_all;
use guildhall::proto;
use guildhall::proto::MemberState::{Active, Pending};
use tonic::Code;

use super::account::Account;
use crate::harness::messages::{accept, invite, list_members, look_up, sign_in};
use crate::harness::{PASSWORD, assert_refused, role, token_in};
use crate::on_both;

/// The smallest step of the clock.
const STEP: Duration = Duration::from_micros(1);
/// One step short of a week.
const ALMOST_A_WEEK: Duration = Duration::from_micros(7 * 24 * 3_600 * 1_000_000 - 1);

on_both! {
    async fn ce_08_people_are_invited_by_mail_and_the_inviter_is_told_that_it_went_out(app) {
        let account = Account::open(&app).await;
        // So far: the founder's own invitation, and the word of two that the owner sent.
        let told_before = app.mails_to(&account.owner.email, 3).await;

        let invitation = invite(&account.id, "bob@example.test", vec![role("user")]);
        account.owner.call.create_invitation(invitation.clone()).await.unwrap();
        let told = app.mails_to(&account.owner.email, 4).await;
        assert_eq!(app.mails_so_far("bob@example.test"), 1, "the mail went out before the word of it");
        let word = told.iter().find(|mail| !told_before.contains(mail)).unwrap();
        assert!(word.contains("Subject: Your invitation to Example was sent"), "{word}");
        assert!(word.contains("bob@example.test") && !word.contains("token="), "{word}");

        // Who invited is told, and nobody else.
        let before = app.traces().await;
        account.admin.call.create_invitation(invite(&account.id, "eve@example.test", vec![])).await.unwrap();
        let mut expected = before.mailed;
        expected.extend(["eve@example.test".into(), account.admin.email.clone()]);
        expected.sort();
        let untouched = app.traces().await;
        assert_eq!(untouched.mailed, expected);

        // What is refused, or only tried, leaves no member and sends no mail to anyone.
        let again = account.owner.call.create_invitation(invitation.clone()).await;
        assert_refused(again, Code::AlreadyExists, "INVITATION_PENDING");
        let member = account.owner.call.create_invitation(invite(&account.id, &account.user.email, vec![])).await;
        assert_refused(member, Code::AlreadyExists, "MEMBER_EXISTS");
        let malformed = account.owner.call.create_invitation(invite(&account.id, "not an address", vec![])).await;
        assert_refused(malformed, Code::InvalidArgument, "EMAIL_MALFORMED");
        let by_user = account.user.call.create_invitation(invite(&account.id, "tom@example.test", vec![])).await;
        assert_refused(by_user, Code::PermissionDenied, "PERMISSION_MISSING");
        let invitation = invite(&account.id, "tom@example.test", vec![]);
        let tried = proto::CreateInvitationRequest { validate_only: true, ..invitation };
        account.owner.call.create_invitation(tried).await.unwrap();
        assert_eq!(app.traces().await, untouched);
    }

    async fn ce_09_the_invitee_gets_an_activation_link_by_mail(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let before = app.traces().await;
        let answer = owner.create_invitation(invite(&organization.id, "bob@example.test", vec![])).await.unwrap();
        let mail = app.mail_to("bob@example.test").await;
        let token = token_in(&mail);

        // One link, alone on its line, to the product's page, for the invitee's eyes only.
        let link = format!("{}#token={token}", app.config.join_url);
        assert_eq!(mail.lines().filter(|line| line.contains("http")).collect::<Vec<_>>(), [&link]);
        assert!(!format!("{answer:?}").contains(&token));
        let untouched = app.traces().await;
        let word = app.mails_to(&organization.owner.email, 2).await;
        assert!(word.iter().all(|mail| !mail.contains(&token)));
        assert_eq!(untouched.mailed.len(), before.mailed.len() + 2);

        let offer = app.anyone().look_up_invitation(look_up(&token)).await.unwrap();
        assert_eq!((offer.organization_display_name, offer.email), ("Example".into(), "bob@example.test".into()));
        assert!(!offer.sign_in_required);

        // Links that nobody made lead nowhere.
        let (head, last) = token.split_at(token.len() - 1);
        let altered = format!("{head}{}", if last == "A" { "B" } else { "A" });
        for invented in [altered.as_str(), "", "ghi_", "ghi_x", &answer.invitation.unwrap().id] {
            let unknown = app.anyone().look_up_invitation(look_up(invented)).await;
            assert_refused(unknown, Code::NotFound, "NOT_FOUND");
            assert_refused(app.accept(invented).await, Code::NotFound, "NOT_FOUND");
        }
        assert_eq!(app.traces().await, untouched);

        let joined = app.accept(&token).await.unwrap();
        assert_eq!((joined.organization_id, joined.member.unwrap().state()), (organization.id, Active));
    }

    async fn ce_10_a_link_works_once_and_for_one_week(app) {
        let organization = app.found().await;
        let owner = &organization.owner;
        for email in ["bob@example.test", "eve@example.test"] {
            owner.call.create_invitation(invite(&organization.id, email, vec![])).await.unwrap();
        }
        let bob = app.token_mailed_to("bob@example.test").await;
        let eve = app.token_mailed_to("eve@example.test").await;

        // Neither a refused acceptance nor looking consumes anything.
        let untouched = app.traces().await;
        for _ in 0..3 {
            let too_simple = app.anyone().accept_invitation(accept(&bob, "too simple")).await;
            assert_refused(too_simple, Code::InvalidArgument, "PASSWORD_TOO_SIMPLE");
            app.anyone().look_up_invitation(look_up(&bob)).await.unwrap();
        }
        assert_eq!(app.traces().await, untouched);

        // At the last moment of the week it works, and however many try at once, it works once.
        app.clock.advance(ALMOST_A_WEEK);
        app.anyone().look_up_invitation(look_up(&eve)).await.unwrap();
        let tries = join_all((0..4).map(|_| app.accept(&bob))).await;
        assert_eq!(tries.iter().filter(|accepted| accepted.is_ok()).count(), 1);
        for refused in tries.into_iter().filter(Result::is_err) {
            assert_refused(refused, Code::FailedPrecondition, "INVITATION_ACCEPTED");
        }

        // At the very instant it is over.
        app.clock.advance(STEP);
        let before = app.traces().await;
        assert_eq!(before.rows["users"], untouched.rows["users"] + 1);
        assert_refused(app.accept(&eve).await, Code::FailedPrecondition, "INVITATION_EXPIRED");
        let looked_up = app.anyone().look_up_invitation(look_up(&eve)).await;
        assert_refused(looked_up, Code::FailedPrecondition, "INVITATION_EXPIRED");
        // Of one that was used, that is told for good.
        assert_refused(app.accept(&bob).await, Code::FailedPrecondition, "INVITATION_ACCEPTED");
        let looked_up = app.anyone().look_up_invitation(look_up(&bob)).await;
        assert_refused(looked_up, Code::FailedPrecondition, "INVITATION_ACCEPTED");
        let no_account = app.anyone().sign_in(sign_in("eve@example.test", PASSWORD)).await;
        assert_refused(no_account, Code::Unauthenticated, "SIGN_IN_REFUSED");
        assert_eq!(app.traces().await, before);

        let owner = app.sign_in(&owner.email, &owner.membership_id).await;
        let members = owner.call.list_members(list_members(&organization.id)).await.unwrap().members;
        let states: Vec<_> = members.iter().map(|member| (member.email.as_str(), member.state())).collect();
        assert_eq!(states, [("ada@example.test", Active), ("bob@example.test", Active), ("eve@example.test", Pending)]);
    }

    async fn ce_10_an_invitation_may_lapse_sooner_and_never_later(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let lasting = |email, seconds, nanos| proto::CreateInvitationRequest {
            lifetime: Some(prost_types::Duration { seconds, nanos }),
            ..invite(&organization.id, email, vec![])
        };
        let untouched = app.traces().await;
        let week = 7 * 24 * 3_600;
        for (seconds, nanos) in [(week, 1_000), (week + 1, 0), (59, 0), (0, 0), (-1, 0)] {
            let refused = owner.create_invitation(lasting("bob@example.test", seconds, nanos)).await;
            assert_refused(refused, Code::InvalidArgument, "OUT_OF_RANGE");
        }
        assert_eq!(app.traces().await, untouched);

        owner.create_invitation(lasting("bob@example.test", 3_600, 0)).await.unwrap();
        let token = app.token_mailed_to("bob@example.test").await;
        app.clock.advance(Duration::from_hours(1));
        assert_refused(app.accept(&token).await, Code::FailedPrecondition, "INVITATION_EXPIRED");
    }
}
