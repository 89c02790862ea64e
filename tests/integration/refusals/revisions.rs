//! Revision tokens: garbage, of another organization, of a history that is no more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guildhall::domain::revision::{Revision, Tag, Token};
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, consistency};
use tonic::{Code, Status};

use super::{assert_violates, revision_of};
use crate::harness::messages::{check, item, register};
use crate::harness::{Organization, assert_refused, project};
use crate::on_both;

fn at_least(token: &str) -> proto::Consistency {
    proto::Consistency { requirement: Some(consistency::Requirement::AtLeast(token.into())) }
}

async fn ask(organization: &Organization, token: &str) -> Result<proto::CheckResponse, Status> {
    let request = check(&organization.id, item(&organization.owner.user_id, "project.view", None));
    organization.owner.call.check(proto::CheckRequest { consistency: Some(at_least(token)), ..request }).await
}

fn read(token: &str) -> Token {
    Token::from_bytes(&URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap()
}

fn written(token: Token) -> String {
    URL_SAFE_NO_PAD.encode(token.to_bytes())
}

/// Two revisions of an organization, an old one and its head.
async fn old_and_head(organization: &Organization) -> [Token; 2] {
    let owner = &organization.owner.call;
    let old = read(&revision_of(owner, &organization.id).await);
    owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
    [old, read(&revision_of(owner, &organization.id).await)]
}

/// Tokens that name what never was, or is no more.
fn vanished(token: Token) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut but = |name, change: fn(&mut Token)| {
        let mut token = token;
        change(&mut token);
        all.push((name, written(token)));
    };
    but("another tag", |it| it.position.tag = Tag(it.position.tag.0 ^ 1));
    but("above the head", |it| it.position.revision = Revision(it.position.revision.0 + 5));
    but("far above the head", |it| it.position.revision = Revision(u64::MAX));
    but("another epoch", |it| it.epoch += 1);
    but("above the installation's head", |it| it.installation.revision = Revision(u64::MAX));
    all
}

on_both! {
    async fn a_text_that_is_no_revision_is_refused(app) {
        let organization = app.found().await;
        let good = revision_of(&organization.owner.call, &organization.id).await;
        let another_version = {
            let mut bytes = read(&good).to_bytes();
            bytes[0] = 9;
            URL_SAFE_NO_PAD.encode(bytes)
        };
        for bad in [
            "",
            "x",
            "!",
            "\u{e4}",
            &good[..20],
            &format!("{good}A"),
            &format!("{good}=="),
            &another_version,
            &"A".repeat(100_000),
        ] {
            let expected = [("consistency.at_least", "REVISION_INVALID")];
            assert_violates(ask(&organization, bad).await, &expected);
            let frame = proto::CheckFrame {
                organization_id: organization.id.clone(),
                consistency: Some(at_least(bad)),
                ..Default::default()
            };
            let frame =
                proto::CheckFrame { items: vec![item(&organization.owner.user_id, "project.view", None)], ..frame };
            let mut stream = organization.owner.call.stream().await.unwrap();
            stream.send(Asked::Check(frame)).await;
            assert_refused(stream.receive().await, Code::InvalidArgument, "REVISION_INVALID");
        }
        ask(&organization, &good).await.unwrap();
    }

    async fn a_revision_of_another_organization_is_refused(app) {
        let organization = app.found().await;
        let theirs = app.found_by("eve@example.test").await;
        let token = revision_of(&theirs.owner.call, &theirs.id).await;
        assert_violates(ask(&organization, &token).await, &[("consistency.at_least", "REVISION_INVALID")]);
    }

    async fn a_revision_of_a_history_that_is_no_more_has_vanished(app) {
        let organization = app.found().await;
        for token in old_and_head(&organization).await {
            ask(&organization, &written(token)).await.expect("a revision that is there");
            for (name, bad) in vanished(token) {
                let answer = ask(&organization, &bad).await;
                assert!(answer.is_err(), "{name} is taken");
                assert_refused(answer, Code::FailedPrecondition, "REVISION_VANISHED");
            }
        }
        // Read from the database, not remembered.
        let tokens = old_and_head(&organization).await;
        let app = app.restart().await;
        let owner = app.sign_in(&organization.owner.email, "").await;
        let organization = Organization { id: organization.id, owner };
        for token in tokens {
            ask(&organization, &written(token)).await.expect("a revision that is there");
            for (name, bad) in vanished(token) {
                let answer = ask(&organization, &bad).await;
                assert!(answer.is_err(), "{name} is taken");
                assert_refused(answer, Code::FailedPrecondition, "REVISION_VANISHED");
            }
        }
    }

    async fn on_a_stream_a_vanished_revision_is_told_and_the_stream_goes_on(app) {
        let organization = app.found().await;
        let [_, head] = old_and_head(&organization).await;
        let ask = || item(&organization.owner.user_id, "project.view", None);
        let mut stream = organization.owner.call.stream().await.unwrap();
        for (name, bad) in vanished(head) {
            let frame = proto::CheckFrame {
                frame_id: 7,
                organization_id: organization.id.clone(),
                items: vec![ask()],
                consistency: Some(at_least(&bad)),
            };
            stream.send(Asked::Check(frame)).await;
            let Some(Told::Decisions(frame)) = stream.receive().await.unwrap() else { panic!("{name}: not decisions") };
            assert_eq!((frame.error.as_str(), frame.decisions.len()), ("REVISION_VANISHED", 0), "{name}");

            let subscriptions =
                vec![proto::Subscription { subscription_id: 1, item: Some(ask()), known_allowed: Some(true) }];
            let frame =
                proto::SubscribeFrame { organization_id: organization.id.clone(), subscriptions, at_least: bad };
            stream.send(Asked::Subscribe(frame)).await;
            let Some(Told::Reset(reset)) = stream.receive().await.unwrap() else { panic!("{name}: not a reset") };
            assert_eq!(reset.reason, "REVISION_VANISHED", "{name}");
        }
        assert_eq!(stream.check(&organization.id, vec![ask()]).await, [true]);
    }
}
