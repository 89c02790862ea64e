//! Durations, instants and counts outside their ranges.

use std::time::Duration;

use guildhall::proto::{self, consistency};
use prost_types::Timestamp;

use super::{assert_violates, later, revision_of};
use crate::harness::messages::{
    as_member, change, change_by_matrix, check, create_api_key, create_member, create_members, create_service_account,
    grant, invite, item, matrix, membership, new_member, register, rotate_key, share,
};
use crate::harness::{project, role};
use crate::on_both;

const fn of(seconds: i64, nanos: i32) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos }
}

const NO_DURATIONS: &[prost_types::Duration] =
    &[of(-1, 0), of(0, -1), of(1, -1), of(i64::MIN, 0), of(60, 1_000_000_000), of(60, i32::MIN), of(60, i32::MAX)];

const NO_INSTANTS: &[Timestamp] = &[
    Timestamp { seconds: -62_135_596_801, nanos: 0 },
    Timestamp { seconds: 253_402_300_800, nanos: 0 },
    Timestamp { seconds: i64::MAX, nanos: 0 },
    Timestamp { seconds: i64::MIN, nanos: 0 },
    Timestamp { seconds: 1_900_000_000, nanos: -1 },
    Timestamp { seconds: 1_900_000_000, nanos: 1_000_000_000 },
    Timestamp { seconds: 1_900_000_000, nanos: i32::MIN },
];

on_both! {
    async fn an_age_is_from_1_ms_to_the_hard_bound(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let ask = async |max_age: prost_types::Duration| {
            let requirement = Some(consistency::Requirement::MaxAge(max_age));
            let request = check(&organization.id, item(&organization.owner.user_id, "project.view", None));
            owner.check(proto::CheckRequest { consistency: Some(proto::Consistency { requirement }), ..request }).await
        };
        let beyond = [of(0, 0), of(0, 999_999), of(30, 1), of(31, 0), of(i64::MAX, 999_999_999)];
        for bad in NO_DURATIONS.iter().chain(&beyond) {
            assert_violates(ask(*bad).await, &[("consistency.max_age", "OUT_OF_RANGE")]);
        }
        assert!(ask(of(30, 0)).await.unwrap().decision.unwrap().allowed);
    }

    async fn an_invitation_is_open_for_a_minute_to_a_week(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let before = revision_of(owner, id).await;
        let week = 7 * 24 * 60 * 60;
        let offer = |email: &str, lifetime| proto::CreateInvitationRequest {
            lifetime: Some(lifetime),
            ..invite(id, email, vec![])
        };
        let beyond = [of(0, 0), of(59, 999_999_999), of(week, 1), of(i64::MAX, 0), of(i64::MAX, 999_999_999)];
        for bad in NO_DURATIONS.iter().chain(&beyond) {
            let answer = owner.create_invitation(offer("new@example.test", *bad)).await;
            assert_violates(answer, &[("lifetime", "OUT_OF_RANGE")]);
        }
        assert_eq!(revision_of(owner, id).await, before);
        owner.create_invitation(offer("short@example.test", of(60, 0))).await.unwrap();
        owner.create_invitation(offer("long@example.test", of(week, 0))).await.unwrap();
    }

    async fn an_instant_is_of_the_years_1_to_9999(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let account = owner.create_service_account(create_service_account(id, "job")).await.unwrap();
        let account = account.service_account.unwrap().id;
        let before = revision_of(owner, id).await;
        let key = |at| proto::CreateApiKeyRequest { expire_time: Some(at), ..create_api_key(id, &account) };
        let entry = |at| proto::Assignment { expire_time: Some(at), ..as_member(project("alpha")) };
        let member = || membership(&organization.owner.membership_id);

        for bad in NO_INSTANTS {
            assert_violates(owner.create_api_key(key(*bad)).await, &[("expire_time", "OUT_OF_RANGE")]);
            let answer = owner.change_grants(change(id, vec![grant(member(), entry(*bad))])).await;
            assert_violates(answer, &[("deltas[0].grant.expire_time", "OUT_OF_RANGE")]);
            let answer = owner.create_invitation(invite(id, "new@example.test", vec![entry(*bad)])).await;
            assert_violates(answer, &[("assignments[0].expire_time", "OUT_OF_RANGE")]);
        }
        for past in
            [later(&app, Duration::ZERO), Timestamp { seconds: 0, nanos: 0 }, Timestamp { seconds: -1, nanos: 0 }]
        {
            assert_violates(owner.create_api_key(key(past)).await, &[("expire_time", "OUT_OF_RANGE")]);
        }
        assert_eq!(revision_of(owner, id).await, before);
        owner.create_api_key(key(Timestamp { seconds: 253_402_300_799, nanos: 999_999_999 })).await.unwrap();
    }

    async fn a_batch_has_1_to_100_deltas_and_an_invitation_at_most_100_assignments(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let before = revision_of(owner, id).await;
        let deltas = |count| vec![grant(membership(&bob.membership_id), role("admin")); count];
        for count in [0, 101] {
            let answer = owner.change_grants(change(id, deltas(count))).await;
            assert_violates(answer, &[("deltas", "OUT_OF_RANGE")]);
        }
        let answer = owner.create_invitation(invite(id, "new@example.test", vec![role("user"); 101])).await;
        assert_violates(answer, &[("assignments", "OUT_OF_RANGE")]);
        assert_eq!(revision_of(owner, id).await, before);
        assert_eq!(owner.change_grants(change(id, deltas(100))).await.unwrap().granted.len(), 1);
    }
}

/// Every field of a request by which something gets an end, but for those that are not looked at: what is taken has none.
const ENDS: &[&str] = &[
    "BatchCreateMembersRequest.requests.assignments.expire_time",
    "BulkMembersRequest.grant.expire_time",
    "ChangeGrantsRequest.deltas.grant.expire_time",
    "ChangeGrantsRequest.matrices.grant.expire_time",
    "CreateApiKeyRequest.expire_time",
    "CreateInvitationRequest.assignments.expire_time",
    "CreateMemberRequest.member.assignments.expire_time",
    "RotateApiKeyRequest.expire_time",
    "ShareResourceRequest.expire_time",
];

#[test]
fn every_end_that_a_request_names_is_tested() {
    let is_looked_at = |path: &String| path.ends_with("expire_time") && !path.contains(".revoke.");
    let named: Vec<String> = crate::surface::fields_of_requests().into_iter().filter(is_looked_at).collect();
    assert_eq!(named, ENDS);
}

on_both! {
    async fn an_end_is_in_the_future_wherever_one_is_named(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        owner.register_resource(register(id, project("alpha"))).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let account = owner.create_service_account(create_service_account(id, "job")).await.unwrap();
        let account = account.service_account.unwrap().id;
        let key = owner.create_api_key(create_api_key(id, &account)).await.unwrap().api_key.unwrap().id;
        let before = app.traces().await;
        let bob = || membership(&bob.membership_id);
        for past in [later(&app, Duration::ZERO), Timestamp { seconds: 0, nanos: 0 }] {
            let entry = || proto::Assignment { expire_time: Some(past), ..as_member(project("alpha")) };
            let everywhere = proto::Assignment { resource: None, ..entry() };
            let matrix = matrix(vec![bob()], vec![project("alpha")], proto::grant_matrix::Act::Grant(everywhere));
            let bulk = proto::BulkMembersRequest {
                organization_id: id.into(),
                selection: Some(proto::bulk_members_request::Selection::Matching(proto::MemberFilter {
                    query: "bob".into(),
                    ..Default::default()
                })),
                act: Some(proto::bulk_members_request::Act::Grant(entry())),
                ..Default::default()
            };
            let shared = proto::ShareResourceRequest { expire_time: Some(past), ..share(id, project("alpha"), vec![bob()]) };
            let answers = [
                (
                    owner.batch_create_members(create_members(id, vec![new_member("new@example.test", vec![entry()])])).await.map(drop),
                    "requests[0].assignments[0].expire_time",
                ),
                (owner.bulk(bulk, 1).await.map(drop), "grant.expire_time"),
                (owner.change_grants(change(id, vec![grant(bob(), entry())])).await.map(drop), "deltas[0].grant.expire_time"),
                (owner.change_grants(change_by_matrix(id, vec![matrix])).await.map(drop), "matrices[0].grant.expire_time"),
                (
                    owner.create_api_key(proto::CreateApiKeyRequest { expire_time: Some(past), ..create_api_key(id, &account) }).await.map(drop),
                    "expire_time",
                ),
                (owner.create_invitation(invite(id, "new@example.test", vec![entry()])).await.map(drop), "assignments[0].expire_time"),
                (
                    owner.create_member(create_member(id, new_member("new@example.test", vec![entry()]))).await.map(drop),
                    "member.assignments[0].expire_time",
                ),
                (
                    owner.rotate_api_key(proto::RotateApiKeyRequest { expire_time: Some(past), ..rotate_key(id, &account, &key) }).await.map(drop),
                    "expire_time",
                ),
                (owner.share_resource(shared).await.map(drop), "expire_time"),
            ];
            assert_eq!(answers.len(), ENDS.len());
            for (answer, field) in answers {
                assert_violates(answer, &[(field, "OUT_OF_RANGE")]);
            }
        }
        assert_eq!(app.traces().await, before);
    }
}
