//! Checks: a bad item is answered by itself, a bad batch not at all.

use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, CheckItem, DecisionReason, MalformedField, subject};
use tonic::Code;

use super::{NOBODY, assert_violates};
use crate::harness::messages::{check, explain, item};
use crate::harness::{Person, assert_refused, project, role};
use crate::on_both;

/// Good items and bad ones, each with its answer.
pub fn mixed_items(person: &Person) -> Vec<(CheckItem, bool, DecisionReason)> {
    let user = person.user_id.as_str();
    let good = item(user, "project.view", None);
    let of_nobody = |kind| CheckItem { subject: Some(proto::Subject { kind }), ..good.clone() };
    let at = |kind: &str, id: &str| {
        item(user, "project.view", Some(proto::ResourceRef { r#type: kind.into(), id: id.into() }))
    };
    vec![
        (good.clone(), true, DecisionReason::Unspecified),
        (item("no-uuid", "project.view", None), false, DecisionReason::ItemMalformed),
        (CheckItem { subject: None, ..good.clone() }, false, DecisionReason::ItemMalformed),
        (of_nobody(None), false, DecisionReason::ItemMalformed),
        (of_nobody(Some(subject::Kind::ServiceAccountId("x".into()))), false, DecisionReason::ItemMalformed),
        (item(user, "", None), false, DecisionReason::ItemMalformed),
        (CheckItem::default(), false, DecisionReason::ItemMalformed),
        (at("", "x"), false, DecisionReason::ItemMalformed),
        (at("project", ""), false, DecisionReason::ItemMalformed),
        (at("project", &"x".repeat(129)), false, DecisionReason::ItemMalformed),
        (at("project", "a\u{0}"), false, DecisionReason::ItemMalformed),
        (at("planet", "x"), false, DecisionReason::ResourceTypeUnknown),
        (item(user, "project.fly", None), false, DecisionReason::PermissionUnknown),
        (item(user, &"x".repeat(129), None), false, DecisionReason::PermissionUnknown),
        (item(user, &"x".repeat(130), None), false, DecisionReason::ItemMalformed),
        (item(user, "project.view\u{0}", None), false, DecisionReason::PermissionUnknown),
        (item(NOBODY, "project.view", None), false, DecisionReason::NotGranted),
        (of_nobody(Some(subject::Kind::ServiceAccountId(NOBODY.into()))), false, DecisionReason::NotGranted),
        (good.clone(), true, DecisionReason::Unspecified),
        (at("project", "not-registered"), true, DecisionReason::Unspecified),
    ]
}

/// Returns what a decision says.
pub fn said(decision: &proto::Decision) -> (bool, DecisionReason) {
    (decision.allowed, decision.reason())
}

fn batch(organization: &str, items: Vec<CheckItem>) -> proto::BatchCheckRequest {
    proto::BatchCheckRequest { organization_id: organization.into(), items, consistency: None }
}

on_both! {
    async fn a_bad_item_in_a_batch_is_answered_by_itself(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let mixed = mixed_items(&organization.owner);

        let items = mixed.iter().map(|(item, ..)| item.clone()).collect();
        let answer = owner.batch_check(batch(id, items)).await.unwrap();
        assert_eq!(answer.decisions.len(), mixed.len());
        for ((item, allowed, reason), decision) in mixed.iter().zip(&answer.decisions) {
            assert_eq!(said(decision), (*allowed, *reason), "{item:?}");
            let alone = owner.check(check(id, item.clone())).await.unwrap();
            assert_eq!(said(&alone.decision.unwrap()), (*allowed, *reason), "{item:?}");
        }
    }

    async fn what_of_an_item_is_malformed_is_named(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let user = organization.owner.user_id.as_str();
        let good = item(user, "project.view", None);
        let of = |kind| CheckItem { subject: Some(proto::Subject { kind }), ..good.clone() };
        let at = |kind: &str, id: &str| {
            item(user, "project.view", Some(proto::ResourceRef { r#type: kind.into(), id: id.into() }))
        };
        let cases = [
            (good.clone(), MalformedField::Unspecified),
            (at("planet", "x"), MalformedField::Unspecified),
            (CheckItem { subject: None, ..good.clone() }, MalformedField::Subject),
            (of(None), MalformedField::Subject),
            (CheckItem::default(), MalformedField::Subject),
            (of(Some(subject::Kind::UserId("x".into()))), MalformedField::UserId),
            (of(Some(subject::Kind::ServiceAccountId("x".into()))), MalformedField::ServiceAccountId),
            (item(user, "", None), MalformedField::Permission),
            (item(user, &"x".repeat(130), None), MalformedField::Permission),
            (at("", "x"), MalformedField::ResourceType),
            (at("a\n", "x"), MalformedField::ResourceType),
            (at("project", ""), MalformedField::ResourceId),
            (at("project", &"x".repeat(129)), MalformedField::ResourceId),
        ];
        let items: Vec<CheckItem> = cases.iter().map(|(item, _)| item.clone()).collect();
        let named = |decision: &proto::Decision| decision.malformed_field();
        let expected: Vec<MalformedField> = cases.iter().map(|(_, field)| *field).collect();

        let answer = owner.batch_check(batch(id, items.clone())).await.unwrap();
        assert_eq!(answer.decisions.iter().map(named).collect::<Vec<_>>(), expected);
        for (item, field) in &cases {
            let alone = owner.check(check(id, item.clone())).await.unwrap();
            assert_eq!(named(&alone.decision.unwrap()), *field, "{item:?}");
            let explained = owner.explain_check(explain(id, item.clone())).await.unwrap();
            assert_eq!(named(&explained.decision.unwrap()), *field, "{item:?}");
        }
        let mut stream = owner.stream().await.unwrap();
        let frame = proto::CheckFrame { frame_id: 1, organization_id: id.into(), items: items.clone(), consistency: None };
        stream.send(Asked::Check(frame)).await;
        let Ok(Some(Told::Decisions(frame))) = stream.receive().await else { panic!("no decisions") };
        assert_eq!(frame.decisions.iter().map(named).collect::<Vec<_>>(), expected);
        stream.subscribe(id, items).await;
        let changes = stream.change_frame().await.changes;
        let held: Vec<MalformedField> = changes.iter().map(|change| named(change.decision.as_ref().unwrap())).collect();
        assert_eq!(held, expected);
    }

    async fn a_batch_has_1_to_1000_items(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let items = |count| vec![item(&organization.owner.user_id, "project.view", None); count];
        for count in [0, 1_001] {
            assert_violates(owner.batch_check(batch(id, items(count))).await, &[("items", "OUT_OF_RANGE")]);
        }
        assert_eq!(owner.batch_check(batch(id, items(1_000))).await.unwrap().decisions.len(), 1_000);
        let nothing = proto::CheckRequest { item: None, ..check(id, CheckItem::default()) };
        assert_violates(owner.check(nothing).await, &[("item", "FIELD_REQUIRED")]);
    }

    async fn about_others_asks_only_who_has_the_right(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        let about = |user: &str| item(user, "project.view", Some(project("alpha")));

        bob.call.check(check(id, about(&bob.user_id))).await.expect("about oneself everyone may ask");
        for other in [organization.owner.user_id.as_str(), NOBODY] {
            let answer = bob.call.check(check(id, about(other))).await;
            assert_refused(answer, Code::PermissionDenied, "PERMISSION_MISSING");
            let answer = bob.call.batch_check(batch(id, vec![about(&bob.user_id), about(other)])).await;
            assert_refused(answer, Code::PermissionDenied, "PERMISSION_MISSING");
        }
    }
}
