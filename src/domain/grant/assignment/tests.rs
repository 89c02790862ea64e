//! What a batch comes to, under a catalog that has all that the presets have apart.

use super::*;
use crate::domain::catalog::parse;
use crate::domain::place::ResourceKey;

const CATALOG: &str = "
name: yard
version: 1
features: {groups: true}
types:
  crate: {list: true}
  shed: {}
sets:
  rank: [chief, hand]
roles:
  chief: {at: [organization], on_leave: CLEAR, permissions: {crate.view: ANY, crate.share: ANY}}
  hand: {at: [organization], permissions: {crate.view: SHARED}}
  helper: {at: [organization], to: [membership, group], permissions: {crate.view: OWN}}
  driver: {at: [organization], requires: [helper], permissions: {crate.view: OWN}}
  keeper: {at: [shed], to: [membership, group, everyone], permissions: {shed.view: ANY}}
founder_roles: [chief]
default_role: hand
";

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const PAST: Timestamp = Timestamp::from_micros(999_999);
const LATER: Timestamp = Timestamp::from_micros(1_000_001);

fn catalog() -> Catalog {
    parse("yard.yaml", CATALOG).unwrap()
}

fn id<T: From<uuid::Uuid>>(number: u128) -> T {
    T::from(uuid::Uuid::from_u128(number))
}

fn member(number: u128) -> Principal {
    Principal::Membership(id(number))
}

fn at(kind: &str) -> Place {
    Place::Resource(ResourceKey { kind: kind.into(), id: "1".into() })
}

fn role(name: &str) -> Assignment {
    Assignment { place: Place::Organization, held: Held::Role(name.into()), expires_at: None }
}

fn keeper() -> Assignment {
    Assignment { place: at("shed"), ..role("keeper") }
}

fn listed() -> Assignment {
    Assignment { place: at("crate"), held: Held::AsMember, expires_at: None }
}

fn until(expires_at: Timestamp, assignment: Assignment) -> Assignment {
    Assignment { expires_at: Some(expires_at), ..assignment }
}

fn held(number: u128, by: Principal, assignment: &Assignment) -> Grant {
    assignment.to_grant(id(number), by, GrantSource::Manual)
}

fn give(principal: Principal, assignment: Assignment) -> Delta {
    Delta { principal, assignment, act: Act::Grant }
}

fn take(principal: Principal, assignment: Assignment) -> Delta {
    Delta { principal, assignment, act: Act::Revoke }
}

fn planned(grants: &[Grant], groups: &[(u128, u128)], deltas: &[Delta]) -> Result<Plan, Error> {
    let groups: Vec<_> = groups.iter().map(|(who, group)| (id(*who), id(*group))).collect();
    plan(&catalog(), Before { grants, groups: &groups, now: NOW }, deltas)
}

#[test]
fn leaving_a_role_that_clears_leaves_the_groups_that_bring_something_on_a_resource() {
    let (on_a_list, on_a_shed, elsewhere, lapsed) = (11, 12, 13, 14);
    let group = |number| Principal::Group(id(number));
    let grants = [
        held(1, member(1), &role("chief")),
        held(2, member(1), &listed()),
        held(3, group(on_a_list), &listed()),
        held(4, group(on_a_shed), &keeper()),
        held(5, group(elsewhere), &role("helper")),
        held(6, group(lapsed), &until(PAST, keeper())),
    ];
    let groups = [(1, on_a_list), (1, on_a_shed), (1, elsewhere), (1, lapsed), (1, 15), (2, on_a_list)];
    for delta in [give(member(1), role("hand")), take(member(1), role("chief"))] {
        let plan = planned(&grants, &groups, &[delta]).unwrap();
        assert_eq!(plan.left, [(id(on_a_list), id(1)), (id(on_a_shed), id(1))]);
        assert_eq!(plan.cleared, [grants[1].clone()]);
        assert_eq!(plan.revoked, [grants[0].clone()], "what the groups hold stays theirs");
        assert_eq!(plan.granted, [(member(1), role("hand"))]);
    }

    let kept = planned(&grants, &groups, &[give(member(1), role("helper"))]).unwrap();
    assert!(kept.left.is_empty() && kept.cleared.is_empty());
}

#[test]
fn what_a_group_is_given_after_somebody_was_demoted_is_an_assignment_anew() {
    let (team, crew) = (Principal::Group(id(11)), [(1, 11)]);
    let grants = [held(1, member(1), &role("chief"))];
    let (demote, assign) = (give(member(1), role("hand")), give(team, listed()));
    assert!(planned(&grants, &crew, &[demote.clone(), assign.clone()]).unwrap().left.is_empty());
    assert_eq!(planned(&grants, &crew, &[assign, demote]).unwrap().left, [(id(11), id(1))]);
}

#[test]
fn a_role_that_has_expired_is_not_held() {
    let lapsed = [held(1, member(1), &until(PAST, role("helper")))];
    let plan = planned(&lapsed, &[], &[give(member(1), listed())]).unwrap();
    assert_eq!(plan.granted, [(member(1), listed()), (member(1), role("hand"))], "the default role comes");
    let needs = planned(&lapsed, &[], &[give(member(1), role("driver"))]);
    assert_eq!(needs.unwrap_err().reason, Reason::RoleRequired);

    let live = [held(1, member(1), &until(LATER, role("helper")))];
    let plan = planned(&live, &[], &[give(member(1), role("driver"))]).unwrap();
    assert_eq!(plan.granted, [(member(1), role("driver"))]);
}

#[test]
fn what_lapsed_by_itself_stands_in_the_way_of_no_other_change() {
    let grants = [held(1, member(1), &until(PAST, role("helper"))), held(2, member(1), &role("driver"))];
    assert!(planned(&grants, &[], &[give(member(1), listed())]).is_ok());
    let live = [held(1, member(1), &role("helper")), held(2, member(1), &role("driver"))];
    let taken = planned(&live, &[], &[take(member(1), role("helper"))]);
    assert_eq!(taken.unwrap_err().reason, Reason::RoleRequired);
}

#[test]
fn giving_or_taking_what_has_expired_takes_nothing() {
    let lapsed = [held(1, member(1), &role("hand")), held(2, member(1), &until(PAST, listed()))];
    let plan = planned(&lapsed, &[], &[give(member(1), until(LATER, listed()))]).unwrap();
    assert_eq!(plan.granted, [(member(1), until(LATER, listed()))]);
    assert!(plan.gone().next().is_none(), "nothing is taken that was not held");

    let outlived = [held(1, member(1), &until(PAST, role("hand"))), held(2, member(1), &until(PAST, listed()))];
    for delta in [give(member(1), role("chief")), take(member(1), role("hand")), take(member(1), listed())] {
        let plan = planned(&outlived, &[], &[delta]).unwrap();
        assert!(plan.gone().next().is_none(), "{plan:?}");
    }
}

#[test]
fn roles_of_a_set_are_for_memberships_and_everyone_is_on_lists_where_there_are_groups() {
    let judge = |catalog: &Catalog, assignment: Assignment, to| {
        assignment.must_be_assignable(catalog, to, "deltas[0]").map_err(|error| error.reason)
    };
    let (with, without) = (catalog(), parse("yard.yaml", &CATALOG.replace("groups: true", "groups: false")));
    let team = Principal::Group(id(11));
    assert_eq!(judge(&with, listed(), Principal::Everyone), Ok(()));
    assert_eq!(judge(&with, listed(), team), Ok(()));
    assert_eq!(judge(&with, keeper(), Principal::Everyone), Ok(()));
    assert_eq!(judge(&with, role("chief"), team), Err(Reason::RoleNotAssignable));
    assert_eq!(judge(&with, role("helper"), Principal::Everyone), Err(Reason::RoleNotAssignable));
    assert_eq!(judge(&with, Assignment { place: at("shed"), ..listed() }, team), Err(Reason::RoleNotAssignable));
    if let Ok(without) = without {
        assert_eq!(judge(&without, listed(), Principal::Everyone), Err(Reason::RoleNotAssignable));
    }
}
