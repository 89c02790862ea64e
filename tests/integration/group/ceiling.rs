//! Who may bring whom into a group, and what a demotion takes people out of: under a catalog that has what the presets
//! have apart.

use guildhall::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{holder, resources, somebody, team};
use crate::harness::messages::{
    change, change_members, delete_group, disable, enable, get_resource, grant, group, list_group_members, list_groups,
    membership, put_catalog,
};
use crate::harness::{Organization, Person, TestApp, as_member, assert_refused, at, reason, role};
use crate::on_both;

const YARD: &str = "
name: yard
version: 1
features: {groups: true}
types:
  crate: {list: true, shares: [keeper]}
sets:
  rank: [chief, hand]
roles:
  chief:
    at: [organization]
    on_leave: CLEAR
    permissions:
      crate.create: ANY
      crate.view: ANY
      crate.share: ANY
      member.list: ANY
      member.invite: ANY
      member.assign: ANY
      member.disable: ANY
      group.list: ANY
      group.manage: ANY
      access.check: ANY
    may_grant: ANY
    may_take: ANY
  hand: {at: [organization], permissions: {crate.view: SHARED}}
  trainee:
    at: [organization]
    permissions:
      crate.view: SHARED
      crate.share: SHARED
      member.list: ANY
      member.assign: ANY
      member.disable: ANY
      group.list: ANY
      group.manage: ANY
    may_grant: [helper, hand]
    may_take: [helper, hand]
  lead: {at: [organization], includes: [trainee], permissions: {crate.view: ANY}}
  helper: {at: [organization], to: [membership, group], permissions: {audit.view: ANY}}
  ruler: {at: [organization], to: [membership, group], permissions: {policy.update: ANY}}
  keeper: {at: [crate], to: [membership, group], permissions: {crate.view: ANY, crate.delete: ANY}}
founder_roles: [chief]
default_role: hand
";

fn crate_of(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "crate".into(), id: id.into() }
}

/// A yard with two crates, both seen by the lead, who is on the list of one.
async fn yard(app: &TestApp) -> (Organization, Person) {
    app.operator().put_catalog(put_catalog(YARD)).await.expect("a catalog");
    let organization = app.found_under("yard").await;
    resources(&organization, &[crate_of("mine"), crate_of("other")]).await;
    let lead = somebody(app, &organization, "lea", "lead").await;
    give(&organization, grant(membership(&lead.membership_id), as_member(crate_of("mine")))).await;
    (organization, lead)
}

async fn give(organization: &Organization, delta: proto::GrantDelta) -> proto::ChangeGrantsResponse {
    organization.owner.call.change_grants(change(&organization.id, vec![delta])).await.expect("a change")
}

/// Everything that a refusal tells, the group's id left out.
fn told(status: &Status, group: &str) -> String {
    let resource = status.get_details_resource_info();
    format!("{:?} {} {} {resource:?}", status.code(), reason(status), status.message()).replace(group, "group")
}

on_both! {
    async fn what_a_group_holds_out_of_the_callers_reach_bars_every_way_into_it_and_out(app) {
        let (organization, lead) = yard(&app).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let hal = somebody(&app, &organization, "hal", "hand").await;
        let within = team(&organization, "Within", &[]).await;
        give(&organization, grant(group(&within), role("helper"))).await;
        give(&organization, grant(group(&within), at(crate_of("mine"), "keeper"))).await;
        let add = |to: &str| change_members(id, to, &[&hal.membership_id], &[]);
        let remove = |from: &str| change_members(id, from, &[], &[&hal.membership_id]);
        lead.call.change_group_members(add(&within)).await.expect("all of it is the lead's to give");
        lead.call.disable_member(disable(id, &hal.membership_id)).await.unwrap();
        lead.call.enable_member(enable(id, &hal.membership_id)).await.expect("and to give again");
        lead.call.change_group_members(remove(&within)).await.expect("and to take");
        lead.call.delete_group(delete_group(id, &within)).await.expect("as a whole");

        let out_of_reach =
            [role("ruler"), at(crate_of("other"), "keeper"), as_member(crate_of("other"))];
        let mut answers = Vec::new();
        for (number, held) in out_of_reach.into_iter().enumerate() {
            let beyond = team(&organization, &format!("Beyond {number}"), &[]).await;
            give(&organization, grant(group(&beyond), held)).await;
            let before = app.traces().await;
            let added = lead.call.change_group_members(add(&beyond)).await.unwrap_err();
            let deleted = lead.call.delete_group(delete_group(id, &beyond)).await.unwrap_err();
            assert_eq!(app.traces().await, before);

            owner.change_group_members(add(&beyond)).await.unwrap();
            owner.disable_member(disable(id, &hal.membership_id)).await.unwrap();
            let before = app.traces().await;
            let removed = lead.call.change_group_members(remove(&beyond)).await.unwrap_err();
            let enabled = lead.call.enable_member(enable(id, &hal.membership_id)).await.unwrap_err();
            assert_eq!(app.traces().await, before);
            owner.enable_member(enable(id, &hal.membership_id)).await.unwrap();
            owner.change_group_members(remove(&beyond)).await.unwrap();

            let statuses = [added, deleted, removed, enabled];
            let reasons = ["ROLE_NOT_GRANTABLE", "ROLE_NOT_TAKEABLE", "ROLE_NOT_TAKEABLE", "ROLE_NOT_GRANTABLE"];
            assert_eq!(statuses.each_ref().map(reason), reasons);
            answers.push(statuses.each_ref().map(|status| told(status, &beyond)));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "what stands in the way is told: {answers:?}");
    }

    async fn who_does_not_see_all_that_a_group_can_hold_is_refused_alike_whatever_it_holds(app) {
        let (organization, _) = yard(&app).await;
        let id = &organization.id;
        let tom = somebody(&app, &organization, "tom", "trainee").await;
        let hal = somebody(&app, &organization, "hal", "hand").await;
        let mut answers = Vec::new();
        for held in [None, Some(role("helper")), Some(at(crate_of("other"), "keeper")), Some(as_member(crate_of("other")))] {
            let team = team(&organization, &format!("Team {}", answers.len()), &[&hal]).await;
            if let Some(held) = held {
                give(&organization, grant(group(&team), held)).await;
            }
            let before = app.traces().await;
            let statuses = [
                tom.call.change_group_members(change_members(id, &team, &[&tom.membership_id], &[])).await.unwrap_err(),
                tom.call.change_group_members(change_members(id, &team, &[], &[&hal.membership_id])).await.unwrap_err(),
                tom.call.delete_group(delete_group(id, &team)).await.unwrap_err(),
                tom.call.enable_member(enable(id, &hal.membership_id)).await.unwrap_err(),
            ];
            assert_eq!(app.traces().await, before);
            assert_eq!(statuses.each_ref().map(reason), ["PERMISSION_MISSING"; 4]);
            answers.push(statuses.each_ref().map(|status| told(status, &team)));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "what it holds is told: {answers:?}");
    }

    async fn nobody_brings_themselves_into_a_group_to_gain_something(app) {
        let (organization, lead) = yard(&app).await;
        let id = &organization.id;
        let hal = somebody(&app, &organization, "hal", "hand").await;
        let keepers = team(&organization, "Keepers", &[]).await;
        give(&organization, grant(group(&keepers), at(crate_of("mine"), "keeper"))).await;
        let me = &*lead.membership_id;
        for add in [vec![me], vec![me, &*hal.membership_id]] {
            let refused = lead.call.change_group_members(change_members(id, &keepers, &add, &[])).await;
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        lead.call.change_group_members(change_members(id, &keepers, &[&hal.membership_id], &[])).await.unwrap();

        // Nor is a group that one is in given what one does not hold.
        let crew = team(&organization, "Crew", &[&lead]).await;
        let delta = grant(group(&crew), at(crate_of("mine"), "keeper"));
        let refused = lead.call.change_grants(change(id, vec![delta])).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let listed = grant(group(&crew), as_member(crate_of("mine")));
        lead.call.change_grants(change(id, vec![listed])).await.expect("on that list already");
    }

    async fn ce_29_a_demotion_takes_out_of_the_groups_that_bring_something_on_a_resource(app) {
        let (organization, _) = yard(&app).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let max = somebody(&app, &organization, "max", "chief").await;
        let hal = somebody(&app, &organization, "hal", "hand").await;
        let (packers, talkers) =
            (team(&organization, "Packers", &[&max, &hal]).await, team(&organization, "Talkers", &[&max]).await);
        give(&organization, grant(group(&packers), as_member(crate_of("mine")))).await;
        give(&organization, grant(group(&talkers), role("helper"))).await;
        give(&organization, grant(membership(&max.membership_id), as_member(crate_of("other")))).await;

        let demote = change(id, vec![grant(membership(&max.membership_id), role("hand"))]);
        let trial = proto::ChangeGrantsRequest { validate_only: true, ..demote.clone() };
        let would = owner.change_grants(trial).await.unwrap().left_groups;
        let left = owner.change_grants(demote).await.unwrap().left_groups;
        let expected = proto::GroupLeft { group_id: packers.clone(), membership_id: max.membership_id.clone() };
        assert_eq!((&would, &left), (&vec![expected.clone()], &vec![expected]));

        for it in ["mine", "other"] {
            assert!(!owner.allows(id, &max.user_id, "crate.view", Some(crate_of(it))).await);
            let hidden = max.call.get_resource(get_resource(id, crate_of(it))).await;
            assert_refused(hidden, Code::NotFound, "NOT_FOUND");
        }
        let inside = owner.list_group_members(list_group_members(id, &packers)).await.unwrap().members;
        assert_eq!(inside.iter().map(|it| &it.membership_id).collect::<Vec<_>>(), [&hal.membership_id]);
        assert!(owner.allows(id, &hal.user_id, "crate.view", Some(crate_of("mine"))).await, "the others stay");
        let of_max = proto::ListGroupsRequest { membership_id: max.membership_id.clone(), ..list_groups(id) };
        let kept = owner.list_groups(of_max).await.unwrap().groups;
        assert_eq!(kept.iter().map(|it| &*it.display_name).collect::<Vec<_>>(), ["Talkers"], "it brings nothing there");

        // Assigned anew, by the same way.
        owner.change_group_members(change_members(id, &packers, &[&max.membership_id], &[])).await.unwrap();
        assert!(owner.allows(id, &max.user_id, "crate.view", Some(crate_of("mine"))).await);
        let granted = give(&organization, grant(group(&packers), as_member(crate_of("other")))).await.granted;
        assert_eq!(holder(granted[0].principal.clone()), format!("group {packers}"));
    }
}
