//! Checks: a bad item is answered by itself, a bad batch not at all.

use guildhall::proto::{self, CheckItem, DecisionReason, subject};
use tonic::Code;

use super::{NOBODY, assert_violates};
use crate::harness::messages::{check, item};
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

/// Says what a decision says.
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
