//! Invitations that nobody made, that were used, that have lapsed; and addresses that are more than one.

use std::time::Duration;

use guildhall::proto;
use tonic::{Code, Status};

use super::{assert_violates, blotted, revision_of};
use crate::harness::messages::{accept, create_organization, invite, look_up, sign_in};
use crate::harness::{PASSWORD, assert_refused, reason};
use crate::on_both;

/// Texts by which a mail could be led astray.
const INJECTIONS: &[&str] = &[
    "eve@example.test\r\nBcc: all@example.test",
    "eve@example.test\nBcc: all@example.test",
    "eve@example.test\rBcc: all@example.test",
    "eve@example.test,all@example.test",
    "eve@example.test;all@example.test",
    "eve@example.test all@example.test",
    "<eve@example.test>",
    "Eve <eve@example.test>",
    "\"eve\n\"@example.test",
    "eve@example.test\u{0}",
    "eve@exa\u{7f}mple.test",
    "eve@example.test%0d%0aBcc:all@example.test@",
    "eve\u{2028}@example.test",
];

on_both! {
    async fn an_invitation_is_used_once_and_a_second_use_changes_nothing(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.create_invitation(invite(id, "bob@example.test", vec![])).await.unwrap();
        let token = app.token_mailed_to("bob@example.test").await;
        let bob = app.join("bob@example.test").await;
        let before = revision_of(owner, id).await;

        assert_refused(app.accept(&token).await, Code::FailedPrecondition, "INVITATION_ACCEPTED");
        let again = bob.call.accept_invitation(accept(&token, "")).await;
        assert_refused(again, Code::FailedPrecondition, "INVITATION_ACCEPTED");
        let other_password = app.anyone().accept_invitation(accept(&token, "Another5Horse!")).await;
        assert_refused(other_password, Code::FailedPrecondition, "INVITATION_ACCEPTED");
        let looked_up = app.anyone().look_up_invitation(look_up(&token)).await;
        assert_refused(looked_up, Code::FailedPrecondition, "INVITATION_ACCEPTED");
        assert_eq!(revision_of(owner, id).await, before);
        let with_it = app.anyone().sign_in(sign_in("bob@example.test", "Another5Horse!")).await;
        assert_refused(with_it, Code::Unauthenticated, "SIGN_IN_REFUSED");
    }

    async fn an_invitation_lapses_to_the_microsecond(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.create_invitation(invite(id, "bob@example.test", vec![])).await.unwrap();
        let token = app.token_mailed_to("bob@example.test").await;

        app.clock.advance(Duration::from_hours(7 * 24) - Duration::from_micros(1));
        app.anyone().look_up_invitation(look_up(&token)).await.unwrap();
        app.clock.advance(Duration::from_micros(1));
        assert_refused(app.accept(&token).await, Code::FailedPrecondition, "INVITATION_EXPIRED");
        let looked_up = app.anyone().look_up_invitation(look_up(&token)).await;
        assert_refused(looked_up, Code::FailedPrecondition, "INVITATION_EXPIRED");
        let signed_in = app.anyone().sign_in(sign_in("bob@example.test", PASSWORD)).await;
        assert_refused(signed_in, Code::Unauthenticated, "SIGN_IN_REFUSED");
        let owner = app.sign_in("ada@example.test", "").await.call;
        let bob = owner.members(id).await.into_iter().find(|member| member.email == "bob@example.test").unwrap();
        assert_eq!((bob.state(), bob.user_id.as_str()), (proto::MemberState::Pending, ""));
    }

    async fn a_token_that_nobody_made_and_a_text_that_is_none_answer_alike(app) {
        let mut answers: Vec<Status> = Vec::new();
        // About as much as a message without a credential holds.
        let long = format!("ghi_{}", "A".repeat(8_000));
        for token in
            ["", "x", "ghi_", &format!("ghi_{}", "A".repeat(43)), app.operator_key(), &long, "ghi_\r\n", "\u{e4}"]
        {
            answers.push(app.anyone().look_up_invitation(look_up(token)).await.unwrap_err());
            answers.push(app.accept(token).await.unwrap_err());
        }
        assert_eq!((answers[0].code(), reason(&answers[0]).as_str()), (Code::NotFound, "NOT_FOUND"));
        for answer in &answers {
            assert_eq!(blotted(answer, "\u{0}"), blotted(&answers[0], "\u{0}"));
        }
    }

    async fn a_refused_password_or_name_consumes_nothing(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.create_invitation(invite(id, "bob@example.test", vec![])).await.unwrap();
        let token = app.token_mailed_to("bob@example.test").await;
        let before = revision_of(owner, id).await;

        let long = format!("Aa1!{}", "x".repeat(253));
        for (password, reasons) in [
            ("Sh0rt!!", &["PASSWORD_TOO_SHORT"][..]),
            ("no-digit-no-upper!", &["PASSWORD_TOO_SIMPLE", "PASSWORD_TOO_SIMPLE"]),
            ("NoSymbol123", &["PASSWORD_TOO_SIMPLE"]),
            (&long, &["PASSWORD_TOO_LONG"]),
        ] {
            let expected: Vec<_> = reasons.iter().map(|reason| ("password", *reason)).collect();
            assert_violates(app.anyone().accept_invitation(accept(&token, password)).await, &expected);
        }
        for name in ["Bob\r\nBcc: all@example.test", "\u{0}", &"x".repeat(201)] {
            let request = proto::AcceptInvitationRequest { display_name: name.into(), ..accept(&token, PASSWORD) };
            let answer = app.anyone().accept_invitation(request).await;
            assert_violates(answer, &[("display_name", "TEXT_MALFORMED")]);
        }
        assert_eq!(revision_of(owner, id).await, before);
        app.accept(&token).await.expect("an invitation that is still open");
    }

    async fn an_address_that_is_more_than_one_is_refused_and_nothing_is_sent(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let before = revision_of(owner, id).await;
        for bad in INJECTIONS {
            let answer = owner.create_invitation(invite(id, bad, vec![])).await;
            assert_violates(answer, &[("email", "EMAIL_MALFORMED")]);
            let answer = app.operator().create_organization(create_organization("Eve", bad)).await;
            assert_violates(answer, &[("founder_email", "EMAIL_MALFORMED")]);
            let answer = app.anyone().sign_in(sign_in(bad, PASSWORD)).await;
            assert_violates(answer, &[("email", "EMAIL_MALFORMED")]);
        }
        for name in ["Eve\r\nBcc: all@example.test", "Eve\nX", "Eve\u{0}"] {
            let offer = invite(id, "eve@example.test", vec![]);
            let offer = proto::CreateInvitationRequest { display_name: name.into(), ..offer };
            assert_violates(owner.create_invitation(offer).await, &[("display_name", "TEXT_MALFORMED")]);
            let answer = app.operator().create_organization(create_organization(name, "eve@example.test")).await;
            assert_violates(answer, &[("display_name", "TEXT_MALFORMED")]);
        }
        assert_eq!(revision_of(owner, id).await, before);

        // What is sent after it went out; so what was refused would have gone out too.
        owner.create_invitation(invite(id, "bob@example.test", vec![])).await.unwrap();
        app.mail_to("bob@example.test").await;
        assert_eq!((app.mails_so_far("eve@example.test"), app.mails_so_far("all@example.test")), (0, 0));
    }
}
