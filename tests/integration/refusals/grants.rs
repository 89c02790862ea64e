//! Grants that are refused: which of the batch, of what, where.

use std::collections::BTreeMap;

use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::grant_matrix;
use guildhall::proto::{self, ResourceRef};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::assert_violates;
use crate::harness::messages::{
    change, change_by_matrix, create_member, create_members, grant, invite, matrix, membership, new_member, register,
    revoke, share, unshare,
};
use crate::harness::{as_member, assert_refused, project, reason, role};
use crate::on_both;

/// Returns the reason of a refusal, and what stands beside it for machines.
fn told<T: std::fmt::Debug>(answer: Result<T, Status>) -> (String, BTreeMap<String, String>) {
    let status = answer.expect_err("a refusal");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    (reason(&status), info.metadata.into_iter().collect())
}

fn expected(reason: &str, metadata: &[(&str, &str)]) -> (String, BTreeMap<String, String>) {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    (reason.to_owned(), metadata)
}

fn misspelt() -> ResourceRef {
    ResourceRef { r#type: "projct".into(), id: "alpha".into() }
}

on_both! {
    async fn a_refused_grant_names_the_delta_the_role_and_the_place(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner, organization.id.as_str());
        let bob = app.invite_and_join(id, &owner.call, "bob@example.test", vec![role("admin")]).await;
        let eve = app.invite_and_join(id, &owner.call, "eve@example.test", vec![role("user")]).await;
        owner.call.register_resource(register(id, project("alpha"))).await.unwrap();
        owner.call.share_resource(share(id, project("alpha"), vec![membership(&eve.membership_id)])).await.unwrap();
        let who = |person: &crate::harness::Person| membership(&person.membership_id);
        let (of_owner, of_bob, of_eve) = (
            format!("membership:{}", owner.membership_id),
            format!("membership:{}", bob.membership_id),
            format!("membership:{}", eve.membership_id),
        );
        let before = app.traces().await;

        let deltas = vec![grant(who(&eve), role("admin")), grant(who(&eve), role("owner"))];
        let here = |delta: &'static str, role: &'static str, principal: &str| {
            let principal = principal.to_owned();
            move |reason: &str| {
                expected(reason, &[("delta", delta), ("role", role), ("place", "organization"), ("principal", &principal)])
            }
        };
        assert_eq!(
            told(bob.call.change_grants(change(id, deltas)).await),
            here("deltas[1]", "owner", &of_eve)("ROLE_NOT_GRANTABLE")
        );
        assert_eq!(
            told(bob.call.change_grants(change(id, vec![revoke(who(owner), role("owner"))])).await),
            here("deltas[0]", "owner", &of_owner)("ROLE_NOT_TAKEABLE")
        );
        let matrices = vec![
            matrix(vec![who(&eve)], vec![], grant_matrix::Act::Grant(role("admin"))),
            matrix(vec![who(&eve), who(&bob)], vec![], grant_matrix::Act::Grant(role("owner"))),
        ];
        assert_eq!(
            told(bob.call.change_grants(change_by_matrix(id, matrices)).await),
            here("matrices[1]", "owner", &of_eve)("ROLE_NOT_GRANTABLE")
        );
        assert_eq!(
            told(app.operator().change_grants(change(id, vec![grant(who(&eve), role("owner"))])).await),
            here("deltas[0]", "owner", &of_eve)("ROLE_TRANSFER_ONLY")
        );
        let deltas = vec![grant(who(&eve), role("admin")), revoke(who(owner), role("admin"))];
        assert_eq!(
            told(app.operator().change_grants(change(id, deltas)).await),
            here("deltas[1]", "owner", &of_owner)("ROLE_REQUIRED")
        );
        let deltas = vec![grant(who(&eve), role("admin")), revoke(who(&bob), role("admin"))];
        assert_eq!(
            told(bob.call.change_grants(change(id, deltas)).await),
            here("deltas[1]", "admin", &of_bob)("SELF_REMOVAL")
        );

        let deltas = vec![grant(who(&bob), as_member(project("alpha")))];
        let there = [("delta", "deltas[0]"), ("role", "AS_MEMBER"), ("place", "project:alpha")];
        assert_eq!(
            told(eve.call.change_grants(change(id, deltas)).await),
            expected("PERMISSION_MISSING", &there)
        );

        let invited = invite(id, "new@example.test", vec![role("admin"), role("owner")]);
        let given = [("delta", "assignments[1]"), ("role", "owner"), ("place", "organization")];
        assert_eq!(told(bob.call.create_invitation(invited).await), expected("ROLE_NOT_GRANTABLE", &given));
        let made = [new_member("a@example.test", vec![]), new_member("b@example.test", vec![role("owner")])];
        let given = [("delta", "requests[1].assignments[0]"), ("role", "owner"), ("place", "organization")];
        assert_eq!(
            told(bob.call.batch_create_members(create_members(id, made.into())).await),
            expected("ROLE_NOT_GRANTABLE", &given)
        );
        assert_eq!(app.traces().await, before);
    }

    async fn a_misspelt_type_is_told_from_a_resource_that_is_not_there(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("user")]).await;
        let to_eve = || membership(&eve.membership_id);
        let unknown = |field: &'static str| [(field, "RESOURCE_TYPE_UNKNOWN")];

        let deltas = vec![grant(to_eve(), as_member(project("none"))), grant(to_eve(), as_member(misspelt()))];
        assert_violates(owner.change_grants(change(id, deltas)).await, &unknown("deltas[1]"));
        let deltas = vec![revoke(to_eve(), as_member(misspelt()))];
        assert_violates(eve.call.change_grants(change(id, deltas)).await, &unknown("deltas[0]"));
        let listed = proto::Assignment { resource: None, ..as_member(misspelt()) };
        let cells = matrix(vec![to_eve()], vec![project("none"), misspelt()], grant_matrix::Act::Grant(listed));
        assert_violates(owner.change_grants(change_by_matrix(id, vec![cells])).await, &unknown("matrices[0]"));
        let invited = invite(id, "new@example.test", vec![role("user"), as_member(misspelt())]);
        assert_violates(owner.create_invitation(invited).await, &unknown("assignments[1]"));
        let made = create_member(id, new_member("new@example.test", vec![as_member(misspelt())]));
        assert_violates(owner.create_member(made).await, &unknown("member.assignments[0]"));
        assert_violates(owner.share_resource(share(id, misspelt(), vec![to_eve()])).await, &unknown("resource.type"));
        assert_violates(owner.unshare_resource(unshare(id, misspelt(), vec![to_eve()])).await, &unknown("resource.type"));
        let bulk = proto::BulkMembersRequest {
            organization_id: id.into(),
            selection: Some(Selection::All(true)),
            act: Some(Act::Grant(as_member(misspelt()))),
            ..Default::default()
        };
        assert_violates(owner.bulk(bulk, 1).await, &unknown("grant"));

        let deltas = vec![grant(to_eve(), as_member(project("none")))];
        assert_refused(owner.change_grants(change(id, deltas)).await, Code::NotFound, "NOT_FOUND");
        let elsewhere = app.found_by("max@example.test").await;
        let deltas = vec![grant(to_eve(), as_member(misspelt()))];
        let foreign = elsewhere.owner.call.change_grants(change(id, deltas)).await;
        assert_refused(foreign, Code::NotFound, "NOT_FOUND");
    }
}
