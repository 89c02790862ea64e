//! The index, held against the rule and against its twin after every step of random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guildhall::authz::{Answer, InstallationIndex, OrganizationIndex, Question, Viewer};
use guildhall::domain::access::{Decision, decide, is_visible};
use guildhall::domain::fact::{Commit, InstallationFact, OrganizationFact};
use guildhall::domain::revision::{Position, Revision, Tag};

use super::facts::actor_of;
use super::histories::{History, Step};
use super::twin::Twin;
use super::worlds::World;
use crate::harness::soak;

/// Steps of each history that is looked at after every one.
const STEPS: u64 = 30;
/// Steps of each history that is looked at when it is over.
const STEPS_LIVED: u64 = 40;
/// Histories that are looked at after every step: one of each catalog.
const HISTORIES: u64 = 6;
/// Histories that are looked at when they are over.
const LIVES: u64 = 30;
/// After how many steps the lists are looked at, too.
const LISTED_EVERY: u64 = 6;

/// The two logs, applied as the engine applies them.
struct Indexes {
    organization: OrganizationIndex,
    installation: InstallationIndex,
    revision: u64,
}

impl Indexes {
    fn of(history: &History) -> Self {
        let (organization, installation) = history.initial();
        let mut indexes = Self {
            organization: OrganizationIndex::empty(Arc::clone(&history.world().product.compiled)),
            installation: InstallationIndex::default(),
            revision: 0,
        };
        indexes.apply(organization, installation);
        indexes
    }

    fn step(&mut self, step: Step) {
        self.apply(step.organization, step.installation);
    }

    fn apply(&mut self, organization: Vec<OrganizationFact>, installation: Vec<InstallationFact>) {
        self.revision += 1;
        let position = Position { revision: Revision(self.revision), tag: Tag(self.revision) };
        self.organization.apply(&Commit { position, facts: organization });
        self.installation.apply(&Commit { position, facts: installation });
    }

    /// Asks everything that can be asked in the world, of the index, of the rule and of the twin.
    fn must_agree(&self, world: &World, when: &str) {
        let answers = self.checks_must_agree(world, when);
        self.lists_must_agree(&answers, world, when);
    }

    /// Asks everything that can be asked as a check; gives what was answered.
    fn checks_must_agree(&self, world: &World, when: &str) -> Vec<(Question, Answer)> {
        let twin = Twin::new(world);
        let mut answers = Vec::new();
        for subject in world.subjects() {
            let actor = actor_of(world, subject);
            let is_seen = self.organization.is_seen_by(&self.installation, subject, world.now);
            assert_eq!(is_seen, twin.visible(subject, None), "{when}: {subject:?} sees\n{world:#?}");
            assert_eq!(is_seen, is_visible(&actor.at(None), world.now), "{when}: {subject:?} sees\n{world:#?}");
            for target in world.targets() {
                let facts = actor.at(target.as_ref());
                for permission in world.permissions() {
                    let name = world.name(permission);
                    let question = Question { subject, session: None, permission: name.into(), target: target.clone() };
                    let answer = self.organization.answer(&self.installation, &question, world.now);
                    let by_the_rule = match decide(&facts, permission, world.now) {
                        Decision::Allowed { until, .. } => Some(until),
                        Decision::Denied => None,
                    };
                    let by_the_index = match answer {
                        Answer::Allowed { until } => Some(until),
                        Answer::Denied(_) => None,
                    };
                    assert_eq!(by_the_index, by_the_rule, "{when}: {question:?}\n{world:#?}");
                    let by_the_twin = twin.may(subject, name, target.as_ref());
                    assert_eq!(answer.is_allowed(), by_the_twin, "{when}: {question:?}\n{world:#?}");
                    answers.push((question, answer));
                }
            }
        }
        self.frames_must_agree(&answers, world, when);
        answers
    }

    /// Asks everything again in one frame.
    fn frames_must_agree(&self, answers: &[(Question, Answer)], world: &World, when: &str) {
        let mut told = Vec::new();
        let items = answers.iter().map(|(question, _)| Ok(question.asked()));
        self.organization.answer_all(&self.installation, items, world.now, |answer| told.push(answer));
        let expected: Vec<Answer> = answers.iter().map(|(_, answer)| *answer).collect();
        assert_eq!(told, expected, "{when}: one by one and as a frame\n{world:#?}");
    }

    /// Asks for every list, page by page, and holds it against the check of every pair.
    fn lists_must_agree(&self, answers: &[(Question, Answer)], world: &World, when: &str) {
        let catalog = self.organization.catalog();
        let mut permissions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let mut resources: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut subjects: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (question, answer) in answers {
            let Question { subject, permission, target, .. } = question.clone();
            let held = permissions.entry((subject, target.clone())).or_default();
            if let Answer::Allowed { until } = answer {
                held.insert(Arc::clone(&permission), *until);
            }
            let acting = subjects.entry((Arc::clone(&permission), target.clone())).or_default();
            if answer.is_allowed() {
                acting.insert(subject);
            }
            if let Some(target) = target.filter(|target| self.organization.has_resource(target)) {
                let key = (subject, permission, Arc::clone(&target.kind));
                let of_type = resources.entry(key).or_default();
                if answer.is_allowed() {
                    of_type.insert(target.id);
                }
            }
        }

        for ((subject, target), expected) in permissions {
            let held = self.organization.permissions(&self.installation, (subject, None), target.as_ref(), world.now);
            let held: BTreeMap<_, _> = held.into_iter().map(|held| (held.name, held.until)).collect();
            assert_eq!(held, expected, "{when}: what {subject:?} may do on {target:?}\n{world:#?}");
        }
        for ((subject, permission, kind), expected) in resources {
            let (permission, (kind, _)) =
                (catalog.permission(&permission).unwrap(), catalog.resource_type(&kind).unwrap());
            let viewer = Viewer { subject, may_check: true };
            let (mut listed, mut after) = (Vec::new(), None::<Arc<str>>);
            loop {
                let asked = (after.as_deref(), 2);
                let (organization, above) = (&self.organization, &self.installation);
                let page = organization.resources(above, (subject, None), permission, kind, viewer, asked, world.now);
                listed.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert!(listed.is_sorted(), "{when}: {listed:?}");
            let listed: BTreeSet<_> = listed.into_iter().collect();
            assert_eq!(listed, expected, "{when}: on what {subject:?} may {permission:?}\n{world:#?}");
        }
        for ((permission, target), expected) in subjects {
            let permission = catalog.permission(&permission).unwrap();
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let asked = (after, 2);
                let page =
                    self.organization.subjects(&self.installation, permission, target.as_ref(), asked, world.now);
                listed.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let count = listed.len();
            let listed: BTreeSet<_> = listed.into_iter().collect();
            assert_eq!(listed.len(), count, "{when}: nobody is listed twice");
            assert_eq!(listed, expected, "{when}: who may {permission:?} on {target:?}\n{world:#?}");
        }
    }
}

/// Seeds of so many histories, or more of them if somebody wants to know better.
fn seeds(histories: u64) -> std::ops::Range<u64> {
    0..histories * soak()
}

/// Returns what an index says that stands, in an order of its own.
pub fn standing(index: &OrganizationIndex) -> Vec<String> {
    let mut facts: Vec<String> = index.facts().map(|fact| format!("{fact:?}")).collect();
    facts.sort_unstable();
    facts
}

#[test]
fn the_index_is_the_rule_and_the_twin_after_every_step() {
    for seed in seeds(HISTORIES) {
        let mut history = History::new(seed);
        let mut indexes = Indexes::of(&history);
        indexes.must_agree(history.world(), &format!("seed {seed}, at the beginning"));
        for number in 1..=STEPS {
            let step = history.step();
            let kind = step.kind;
            indexes.step(step);
            if number % 5 == 0 {
                indexes.organization = indexes.organization.compacted();
            }
            let when = format!("seed {seed}, after step {number}, {kind:?}");
            // Lists come from what checks come from, and take as long as all checks together: every so often is enough.
            if (seed + number) % LISTED_EVERY == 0 {
                indexes.must_agree(history.world(), &when);
            } else {
                indexes.checks_must_agree(history.world(), &when);
            }
        }
    }
    println!("seeds {:?}: {} steps", seeds(HISTORIES), seeds(HISTORIES).end * STEPS);
}

#[test]
fn an_index_that_lived_through_it_all_is_one_that_was_loaded_at_the_end() {
    for seed in seeds(LIVES) {
        let mut history = History::new(seed);
        let mut lived = Indexes::of(&history);
        (0..STEPS_LIVED).for_each(|_| lived.step(history.step()));

        let mut loaded = Indexes {
            organization: OrganizationIndex::empty(Arc::clone(&history.world().product.compiled)),
            installation: InstallationIndex::default(),
            revision: 0,
        };
        loaded.apply(history.world().facts(), history.world().facts_above());
        lived.must_agree(history.world(), &format!("seed {seed}, lived"));
        loaded.checks_must_agree(history.world(), &format!("seed {seed}, loaded"));
        assert_eq!(standing(&lived.organization), standing(&loaded.organization), "seed {seed}");
    }
    println!("seeds {:?}: {} steps", seeds(LIVES), seeds(LIVES).end * STEPS_LIVED);
}
