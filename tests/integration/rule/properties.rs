//! What holds in every world.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use guildhall::domain::access::{Actor, Decision, decide, is_visible, may_give, may_take, may_take_role, on_the_list};
use guildhall::domain::catalog::PermissionId;
use guildhall::domain::fact::{Held, InstallationFact, OrganizationFact};
use guildhall::domain::place::{ResourceKey, Subject};
use guildhall::domain::time::Timestamp;

use super::facts::actor_of;
use super::histories::{History, Kind};
use super::rng::Rng;
use super::twin::Twin;
use super::worlds::{EPOCH, World};
use crate::harness::soak;

/// Steps from the beginning of a history to the world that is asked about a second time.
const STEPS: usize = 12;
/// The shortest time that there is.
const INSTANT: Duration = Duration::from_micros(1);

/// Seeds of so many worlds, or more of them if somebody wants to know better.
fn seeds(worlds: u64) -> Range<u64> {
    0..worlds * soak()
}

/// Asks about many worlds, each at its beginning and some steps later.
pub fn in_worlds(worlds: u64, ask: impl Fn(&World, &str)) {
    for seed in seeds(worlds) {
        let mut history = History::new(seed);
        ask(history.world(), &format!("seed {seed}, at the beginning"));
        (0..STEPS).for_each(|_| drop(history.step()));
        ask(history.world(), &format!("seed {seed}, after {STEPS} steps"));
    }
}

fn actors(world: &World) -> Vec<(Subject, Actor)> {
    world.subjects().into_iter().map(|subject| (subject, actor_of(world, subject))).collect()
}

#[test]
fn decide_is_the_twin_for_everyone_everywhere() {
    in_worlds(90, |world, when| {
        let twin = Twin::new(world);
        for (subject, actor) in actors(world) {
            for target in world.targets() {
                let facts = actor.at(target.as_ref());
                for permission in world.permissions() {
                    let (is_allowed, name) =
                        (decide(&facts, permission, world.now).is_allowed(), world.name(permission));
                    let may = twin.may(subject, name, target.as_ref());
                    assert_eq!(is_allowed, may, "{when}: {subject:?} {name} {target:?}\n{world:#?}");
                }
            }
        }
    });
}

#[test]
fn lists_and_visibility_are_the_twins() {
    in_worlds(300, |world, when| {
        let twin = Twin::new(world);
        for (subject, actor) in actors(world) {
            for place in world.places() {
                let facts = actor.at(place.as_ref());
                let is_listed = on_the_list(&facts, world.now).is_some();
                assert_eq!(
                    is_listed,
                    twin.on_list(subject, place.as_ref()),
                    "{when}: {subject:?} {place:?}\n{world:#?}"
                );
                let is_visible = is_visible(&facts, world.now);
                assert_eq!(
                    is_visible,
                    twin.visible(subject, place.as_ref()),
                    "{when}: {subject:?} {place:?}\n{world:#?}"
                );
            }
        }
    });
}

#[test]
fn giving_and_taking_are_the_twins() {
    in_worlds(24, |world, when| {
        let (twin, now) = (Twin::new(world), world.now);
        let principals = world.principals();
        let mut rng = Rng::new(principals.len() as u64);
        for (subject, actor) in actors(world) {
            for place in world.places() {
                let (facts, place) = (actor.at(place.as_ref()), place.as_ref());
                let is_visible = is_visible(&facts, now);
                for held in world.held() {
                    let recipients =
                        principals.iter().filter(|other| facts.standing.is_among(**other) || rng.percent(15));
                    for recipient in recipients {
                        let may = is_visible && may_give(&facts, &held, *recipient, now).is_ok();
                        let twin = twin.may_give(subject, &held, place, *recipient);
                        let what = || format!("{when}: {subject:?} gives {held:?} at {place:?} to {recipient:?}");
                        assert_eq!(may, twin, "{}\n{world:#?}", what());
                    }
                    let what = || format!("{when}: {subject:?} takes {held:?} at {place:?}");
                    let may = is_visible && may_take(&facts, &held, now).is_ok();
                    assert_eq!(may, twin.may_take(subject, &held, place), "{}\n{world:#?}", what());
                    // Whoever may take may take the role, whatever the act is.
                    assert!(!may || may_take_role(&facts, &held, now).is_ok(), "{}", what());
                }
            }
        }
    });
}

#[test]
fn what_is_added_loses_nobody_any_access() {
    for seed in seeds(36) {
        let mut history = History::new(seed);
        (0..seed % 8).for_each(|_| drop(history.step()));
        let mut before = allowed(history.world());
        for kind in Kind::ADDING.iter().cycle().take(10) {
            let Some(step) = history.step_of(*kind) else { continue };
            let after = allowed(history.world());
            let lost: Vec<_> = before.difference(&after).collect();
            assert!(lost.is_empty(), "seed {seed}: {step:?} loses {lost:?}\n{:#?}", history.world());
            before = after;
        }
    }
}

fn allowed(world: &World) -> HashSet<(Subject, PermissionId, Option<ResourceKey>)> {
    let permissions = world.permissions();
    let mut allowed = HashSet::new();
    for (subject, actor) in actors(world) {
        for target in world.targets() {
            let facts = actor.at(target.as_ref());
            let held = permissions.iter().filter(|permission| decide(&facts, **permission, world.now).is_allowed());
            allowed.extend(held.map(|permission| (subject, *permission, target.clone())));
        }
    }
    allowed
}

#[test]
fn an_allow_names_a_grant_that_gives_it_and_ends_exactly_when_it_says() {
    in_worlds(60, |world, when| {
        let twin = Twin::new(world);
        let at = |now: Timestamp| World { now, ..world.clone() };
        let (forever, mut rng) = (at(EPOCH.plus(Duration::from_secs(1_000_000_000))), Rng::new(7));
        for (subject, actor) in actors(world) {
            for target in world.targets() {
                let facts = actor.at(target.as_ref());
                for permission in world.permissions() {
                    let Decision::Allowed { by, until } = decide(&facts, permission, world.now) else { continue };
                    let (name, target) = (world.name(permission), target.as_ref());
                    let what = || format!("{when}: {subject:?} {name} {target:?} by {by} until {until:?}\n{world:#?}");

                    let grant =
                        world.grants.get(&by).or_else(|| world.grants_above.get(&by)).expect("is of this world");
                    assert!(twin.gives(grant, subject, name, target), "{}", what());

                    // Every instant is asked of the rule, now and then also of the twin, which takes its time.
                    let asks_twin = rng.percent(4);
                    let is_so = |world: &World, may: bool| {
                        decide(&facts, permission, world.now).is_allowed() == may
                            && (!asks_twin || Twin::new(world).may(subject, name, target) == may)
                    };
                    match until {
                        None => assert!(is_so(&forever, true), "{}", what()),
                        Some(until) => {
                            assert!(until > world.now, "{}", what());
                            let between = until.since(world.now) / 2;
                            assert!(is_so(&at(until.minus(between)), true), "{}", what());
                            assert!(is_so(&at(until.minus(INSTANT)), true), "{}", what());
                            assert!(is_so(&at(until), false), "{}", what());
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn grants_of_others_and_their_order_do_not_matter() {
    in_worlds(24, |world, when| {
        for (subject, actor) in actors(world) {
            let own = actor.grants.iter().rev().filter(|grant| actor.standing.is_among(grant.principal));
            let own = Actor { grants: own.cloned().collect(), ..actor.clone() };
            for target in world.targets() {
                let (all, own) = (actor.at(target.as_ref()), own.at(target.as_ref()));
                for permission in world.permissions() {
                    let answers = [&all, &own].map(|facts| match decide(facts, permission, world.now) {
                        Decision::Allowed { until, .. } => Some(until),
                        Decision::Denied => None,
                    });
                    let name = world.name(permission);
                    assert_eq!(answers[0], answers[1], "{when}: {subject:?} {name} {target:?}\n{world:#?}");
                }
            }
        }
    });
}

/// Random worlds prove nothing if nothing happens in them.
#[test]
fn worlds_have_all_that_the_rule_speaks_of() {
    let mut seen: HashSet<&str> = HashSet::new();
    let (mut asked, mut may) = (0_u32, 0_u32);
    for seed in 0..60 {
        let mut history = History::new(seed);
        for _ in 0..20 {
            let step = history.step();
            seen.extend(step.organization.iter().map(|fact| match fact {
                OrganizationFact::Grant(grant) if grant.held == Held::AsMember => "a list entry",
                OrganizationFact::Grant(grant) if grant.is_expired(step.now) => "a grant that has run out",
                OrganizationFact::Grant(_) => "a grant",
                OrganizationFact::ResourceGone { .. } => "a resource gone",
                OrganizationFact::Resource { parent: Some(_), owner: Some(_), .. } => "an owned resource under another",
                OrganizationFact::GroupMember { is_in: false, .. } => "a group left",
                OrganizationFact::Organization { .. } => "an organization switched",
                OrganizationFact::Role(_) => "a role made",
                OrganizationFact::RoleGone { .. } => "a role deleted",
                _ => "more",
            }));
            seen.extend(step.installation.iter().map(|fact| match fact {
                InstallationFact::User { .. } => "a user switched",
                _ => "more",
            }));
        }
        let world = history.world();
        if world.resources.keys().any(|key| world.depth(key) == 8) {
            seen.insert("a tree as deep as can be");
        }
        let twin = Twin::new(world);
        for (subject, permission, target) in world.questions().step_by(7) {
            let (name, target) = (world.name(permission), target.as_ref());
            asked += 1;
            may += u32::from(twin.may(subject, name, target));
            if twin.owns(subject, target) && twin.may(subject, name, target) {
                let disowned = world
                    .resources
                    .iter()
                    .map(|(key, resource)| (key.clone(), super::worlds::Resource { owner: None, ..resource.clone() }));
                let disowned = World { resources: disowned.collect(), ..world.clone() };
                if !Twin::new(&disowned).may(subject, name, target) {
                    seen.insert("an allow by owning");
                }
            }
            if twin.on_list(subject, target) && twin.may(subject, name, target) {
                let unlisted = world.grants.iter().filter(|(_, grant)| grant.held != Held::AsMember);
                let unlisted = unlisted.map(|(id, grant)| (*id, grant.clone()));
                let unlisted = World { grants: unlisted.collect(), ..world.clone() };
                if !Twin::new(&unlisted).may(subject, name, target) {
                    seen.insert("an allow by being listed");
                }
            }
        }
    }
    assert_eq!(seen.len(), 14, "{seen:?}");
    let percent = may * 100 / asked;
    assert!((5..60).contains(&percent), "{percent} % of {asked} questions are answered with yes");
}
