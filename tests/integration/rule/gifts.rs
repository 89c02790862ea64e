//! The ceiling over gifts to oneself, held against checks before and after them, in random worlds.
//!
//! What it lets through opens nothing, neither as things stand nor with more below the place, owned or listed: for each type
//! that can stand below, something does. What it refuses for its permissions would open something there.
//!
//! The ceiling looks at what counts at the place. Roles that somebody holds at resources further down meet a list entry or an
//! ownership above them, too; whoever holds such there is left out here.

use std::collections::BTreeSet;
use std::sync::Arc;

use guildhall::authz::{Asked, InstallationIndex, OrganizationIndex};
use guildhall::domain::access::{
    Facts, Standing, gains_nothing, gains_nothing_by_moving, gains_nothing_by_owning, is_visible,
};
use guildhall::domain::fact::{Commit, Grant, GrantSource, Held, OrganizationFact};
use guildhall::domain::id::GrantId;
use guildhall::domain::place::{DEPTH_MAX, Place, Principal, ResourceKey, Subject};
use guildhall::domain::revision::{Position, Revision, Tag};
use uuid::Uuid;

use super::facts::actor_of;
use super::properties::in_worlds;
use super::rng::Rng;
use super::worlds::{Resource, World};

/// How many in a hundred acts are tried.
const TRIED: usize = 25;

/// One who acts, and checks about them.
struct Trial<'a> {
    world: &'a World,
    me: Subject,
    principal: Principal,
    index: OrganizationIndex,
    installation: InstallationIndex,
}

/// What somebody may do, by the name of the permission, and on what.
type Allowed = BTreeSet<(Arc<str>, Option<ResourceKey>)>;

impl<'a> Trial<'a> {
    /// Nobody, if what is given to them would not count.
    fn of(world: &'a World, me: Subject) -> Option<Self> {
        let facts = actor_of(world, me).at(None);
        let principal = match &facts.standing {
            standing if !standing.is_in() || !facts.organization_is_active => return None,
            Standing::Person { membership, .. } => Principal::Membership(membership.expect("is in").0),
            Standing::Machine { id, .. } => Principal::ServiceAccount(*id),
            Standing::Stranger => return None,
        };
        let mut index = OrganizationIndex::empty(Arc::clone(&world.product.compiled));
        index.apply(&commit(world.facts()));
        let mut installation = InstallationIndex::default();
        installation.apply(&commit(world.facts_above()));
        Some(Self { world, me, principal, index, installation })
    }

    fn allowed(&self, facts: &[OrganizationFact], targets: &[Option<ResourceKey>]) -> Allowed {
        let mut index = self.index.clone();
        index.apply(&commit(facts.to_vec()));
        let names: Vec<Arc<str>> = self.world.permissions().into_iter().map(|id| self.world.name(id).into()).collect();
        let asked = targets.iter().flat_map(|target| names.iter().map(move |name| (name, target)));
        let questions = asked.clone().map(|(name, target)| {
            let target = target.as_ref().map(|key| (&*key.kind, &*key.id));
            Ok(Asked { subject: self.me, session: None, permission: name, target })
        });
        let mut told = Vec::new();
        index.answer_all(&self.installation, questions, self.world.now, |answer| told.push(answer.is_allowed()));
        let allowed = asked.zip(told).filter(|(_, is_allowed)| *is_allowed);
        allowed.map(|((name, target), _)| (Arc::clone(name), target.clone())).collect()
    }

    fn grant(&self, number: u128, place: Option<&ResourceKey>, held: Held) -> OrganizationFact {
        let place = place.map_or(Place::Organization, |key| Place::Resource(key.clone()));
        let (id, source) = (GrantId(Uuid::from_u128(number)), GrantSource::Manual);
        OrganizationFact::Grant(Grant { id, principal: self.principal, place, held, expires_at: None, source })
    }

    /// Returns the settings in which an act at a place is looked at: something of each type below it, nobody's or one's own,
    /// and oneself on the list of the place, its owner, or on the lists of what is below.
    fn settings(&self, place: Option<&ResourceKey>) -> Vec<Vec<OrganizationFact>> {
        let below = self.below(place);
        let stand = |owner: Option<Principal>| {
            let put = |(key, parent): &(ResourceKey, Option<ResourceKey>)| OrganizationFact::Resource {
                key: key.clone(),
                parent: parent.clone(),
                owner,
            };
            below.iter().map(put).collect::<Vec<OrganizationFact>>()
        };
        let mut settings = vec![stand(None), stand(Some(self.principal))];
        let numbered = (1_u128..).zip(&below);
        let lists = numbered.map(|(number, (key, _))| self.grant(number, Some(key), Held::AsMember));
        settings.push(stand(None).into_iter().chain(lists).collect());
        if let Some(key) = place {
            let listed = self.grant(100, Some(key), Held::AsMember);
            settings.push(stand(None).into_iter().chain([listed]).collect());
            settings.push(stand(None).into_iter().chain([self.owned(key)]).collect());
        }
        settings
    }

    /// Whether they hold anything at a resource below the place.
    fn holds_below(&self, place: Option<&ResourceKey>) -> bool {
        let standing = actor_of(self.world, self.me).standing;
        let mut grants = self.world.grants.values().filter(|grant| standing.is_among(grant.principal));
        grants.any(|grant| match (place, grant.place.resource()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(place), Some(key)) => {
                key != place && self.world.resources.contains_key(key) && self.world.is_under(key, place)
            }
        })
    }

    fn owned(&self, key: &ResourceKey) -> OrganizationFact {
        let parent = self.world.resources[key].parent.clone();
        OrganizationFact::Resource { key: key.clone(), parent, owner: Some(self.principal) }
    }

    /// Returns new resources, each with what it stands under and after it: one of each type that can stand below the place.
    fn below(&self, place: Option<&ResourceKey>) -> Vec<(ResourceKey, Option<ResourceKey>)> {
        let types = &self.world.product.written.types;
        let depth = place.map_or(0, |key| self.world.depth(key));
        let mut found: Vec<(ResourceKey, Option<ResourceKey>)> = Vec::new();
        let mut layer: Vec<Option<ResourceKey>> = vec![place.cloned()];
        for _ in depth..DEPTH_MAX {
            let mut next = Vec::new();
            for parent in layer {
                let above = parent.as_ref().map_or("organization", |key| &key.kind);
                let fitting = types.iter().filter(|(_, kind)| kind.may_stand_under(above));
                for (kind, _) in fitting {
                    let key = ResourceKey { kind: kind.as_str().into(), id: "new".into() };
                    if found.iter().all(|(other, _)| other.kind != key.kind) {
                        found.push((key.clone(), parent.clone()));
                        next.push(Some(key));
                    }
                }
            }
            layer = next;
        }
        found
    }

    /// Returns all that an act at a place can bear on.
    fn targets(&self, place: Option<&ResourceKey>) -> Vec<Option<ResourceKey>> {
        let old = self.world.places().into_iter();
        let old = old.filter(|target| match (place, target) {
            (None, _) => true,
            (Some(place), Some(target)) => self.world.is_under(target, place),
            (Some(_), None) => false,
        });
        old.chain(self.below(place).into_iter().map(|(key, _)| Some(key))).collect()
    }

    /// Returns whether an act opens anything in any setting at the place.
    fn opens(&self, place: Option<&ResourceKey>, act: &OrganizationFact) -> Option<(Arc<str>, Option<ResourceKey>)> {
        let targets = self.targets(place);
        let gained = |setting: Vec<OrganizationFact>| {
            let before = self.allowed(&setting, &targets);
            let after: Vec<OrganizationFact> = setting.into_iter().chain([act.clone()]).collect();
            self.allowed(&after, &targets).difference(&before).next().cloned()
        };
        self.settings(place).into_iter().find_map(gained)
    }
}

fn commit<F>(facts: Vec<F>) -> Commit<F> {
    Commit { position: Position { revision: Revision(1), tag: Tag(1) }, facts }
}

/// Calls `ask` with each who stands in the organization of each of many worlds.
fn everyone_in(worlds: u64, ask: impl Fn(&Trial<'_>, &mut Rng, &str)) {
    in_worlds(worlds, |world, when| {
        let mut rng = Rng::new(world.resources.len() as u64);
        for trial in world.subjects().into_iter().filter_map(|me| Trial::of(world, me)) {
            ask(&trial, &mut rng, &format!("{when}: {:?}", trial.me));
        }
    });
}

/// Whether it puts its holder on a list.
fn lists(world: &World, held: &Held) -> bool {
    let Held::Role(name) = held else { return true };
    let catalog = world.catalog();
    catalog.role_id(name).is_some_and(|id| catalog.role(id).as_member)
}

/// Whether a role lets its holder give or take: that is more than any check tells.
fn gives_or_takes(world: &World, held: &Held) -> bool {
    let Held::Role(name) = held else { return false };
    let catalog = world.catalog();
    let role = catalog.role(catalog.role_id(name).expect("a role of the world"));
    [&role.may_grant, &role.may_take].into_iter().any(|it| it.any || it.subset || !it.list.is_empty())
}

#[test]
fn what_one_may_give_oneself_opens_nothing_and_what_one_may_not_would() {
    let (given, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    everyone_in(12, |trial, rng, when| {
        let (world, actor) = (trial.world, actor_of(trial.world, trial.me));
        for place in world.places() {
            let facts = actor.at(place.as_ref());
            if !is_visible(&facts, world.now) {
                continue;
            }
            let has_list = |held: &Held| *held != Held::AsMember || place.is_some();
            for held in world.held().into_iter().filter(has_list) {
                if !rng.percent(TRIED) || (lists(world, &held) && trial.holds_below(place.as_ref())) {
                    continue;
                }
                let gains_nothing = gains_nothing(&facts, &held, world.now);
                let opened = trial.opens(place.as_ref(), &trial.grant(99, place.as_ref(), held.clone()));
                let what = || format!("{when} gives themselves {held:?} at {place:?}: {opened:?}\n{world:#?}");
                if gains_nothing {
                    assert!(opened.is_none(), "{}", what());
                    given.set(given.get() + 1);
                } else if !gives_or_takes(world, &held) {
                    assert!(opened.is_some(), "{}", what());
                    refused.set(refused.get() + 1);
                }
            }
        }
    });
    assert!(given.get() > 200 && refused.get() > 200, "{given:?} let through, {refused:?} refused");
}

#[test]
fn what_one_may_come_to_own_opens_nothing_and_what_one_may_not_would() {
    let (given, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    everyone_in(30, |trial, rng, when| {
        let actor = actor_of(trial.world, trial.me);
        for key in trial.world.resources.keys() {
            if !rng.percent(TRIED) || trial.holds_below(Some(key)) {
                continue;
            }
            let gains_nothing = gains_nothing_by_owning(&actor.at(Some(key)), trial.world.now);
            let opened = trial.opens(Some(key), &trial.owned(key));
            assert_eq!(gains_nothing, opened.is_none(), "{when} owns {key}: {opened:?}\n{:#?}", trial.world);
            let count = if gains_nothing { &given } else { &refused };
            count.set(count.get() + 1);
        }
    });
    assert!(given.get() > 100 && refused.get() > 30, "{given:?} let through, {refused:?} refused");
}

#[test]
fn what_one_may_move_opens_nothing_by_it() {
    let given = std::cell::Cell::new(0);
    everyone_in(12, |trial, rng, when| {
        let (world, actor) = (trial.world, actor_of(trial.world, trial.me));
        for (key, Resource { owner, .. }) in world.resources.iter().filter(|(key, _)| !trial.holds_below(Some(key))) {
            let kind = &world.product.written.types[&*key.kind];
            for parent in world.places() {
                let above = parent.as_ref().map_or("organization", |parent| &parent.kind);
                let fits = parent.as_ref().is_none_or(|parent| {
                    !world.is_under(parent, key) && world.depth(parent) + world.height(key) < DEPTH_MAX
                });
                if !kind.may_stand_under(above) || !fits || !rng.percent(TRIED / 2) {
                    continue;
                }
                let before = actor.at(Some(key));
                let above = actor.at(parent.as_ref()).chain;
                let chain = before.chain.first().cloned().into_iter().chain(above).collect();
                let after = Facts { chain, ..before.clone() };
                if gains_nothing_by_moving(&before, &after, world.now) {
                    let act = OrganizationFact::Resource { key: key.clone(), parent: parent.clone(), owner: *owner };
                    // What is below it comes along; that one owns it is a setting of its own, which this act would undo.
                    let targets = trial.targets(Some(key));
                    for setting in trial.settings(Some(key)).into_iter().take(4) {
                        let (before, mut moved) = (trial.allowed(&setting, &targets), setting);
                        moved.push(act.clone());
                        let after = trial.allowed(&moved, &targets);
                        let opened = after.difference(&before).next();
                        assert!(opened.is_none(), "{when} moves {key} under {parent:?}: {opened:?}\n{world:#?}");
                    }
                    given.set(given.get() + 1);
                }
            }
        }
    });
    assert!(given.get() > 50, "{given:?} let through");
}
