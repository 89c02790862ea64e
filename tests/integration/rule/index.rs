//! The index, held against the rule and against its twin after every step of random histories.

use std::sync::Arc;

use guildhall::authz::{Answer, InstallationIndex, OrganizationIndex, Question};
use guildhall::domain::access::{Decision, decide, is_visible};
use guildhall::domain::fact::{Commit, Fact};
use guildhall::domain::revision::{Position, Revision, Tag};

use super::facts::actor_of;
use super::histories::{History, Step};
use super::twin::Twin;
use super::worlds::World;

/// Steps of each history.
const STEPS: usize = 40;

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

    fn apply(&mut self, organization: Vec<Fact>, installation: Vec<Fact>) {
        self.revision += 1;
        let position = Position { revision: Revision(self.revision), tag: Tag(self.revision) };
        self.organization.apply(&Commit { position, facts: organization });
        self.installation.apply(&Commit { position, facts: installation });
    }

    /// Asks everything that can be asked in the world, of the index, of the rule and of the twin.
    fn must_agree(&self, world: &World, when: &str) {
        let twin = Twin::new(world);
        for subject in world.subjects() {
            let actor = actor_of(world, subject);
            let is_seen = self.organization.is_seen_by(&self.installation, subject, world.now);
            assert_eq!(is_seen, twin.visible(subject, None), "{when}: {subject:?} sees\n{world:#?}");
            assert_eq!(is_seen, is_visible(&actor.at(None), world.now), "{when}: {subject:?} sees\n{world:#?}");
            for target in world.targets() {
                let facts = actor.at(target.as_ref());
                for permission in world.permissions() {
                    let name = world.name(permission);
                    let question = Question { subject, permission: name.into(), target: target.clone() };
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
                }
            }
        }
    }
}

/// Seeds of so many histories, or more of them if somebody wants to know better.
fn seeds(histories: u64) -> std::ops::Range<u64> {
    let soak = std::env::var("GUILDHALL_SOAK").map_or(1, |soak| soak.parse().expect("GUILDHALL_SOAK is a number"));
    0..histories * soak
}

#[test]
fn the_index_is_the_rule_and_the_twin_after_every_step() {
    for seed in seeds(6) {
        let mut history = History::new(seed);
        let mut indexes = Indexes::of(&history);
        indexes.must_agree(history.world(), &format!("seed {seed}, at the beginning"));
        for number in 1..=STEPS {
            let step = history.step();
            let kind = step.kind;
            indexes.step(step);
            indexes.must_agree(history.world(), &format!("seed {seed}, after step {number}, {kind:?}"));
        }
    }
}

#[test]
fn an_index_that_lived_through_it_all_is_one_that_was_loaded_at_the_end() {
    for seed in seeds(60) {
        let mut history = History::new(seed);
        let mut lived = Indexes::of(&history);
        (0..STEPS).for_each(|_| lived.step(history.step()));

        let mut loaded = Indexes {
            organization: OrganizationIndex::empty(Arc::clone(&history.world().product.compiled)),
            installation: InstallationIndex::default(),
            revision: 0,
        };
        loaded.apply(history.world().facts(), history.world().facts_above());
        lived.must_agree(history.world(), &format!("seed {seed}, lived"));
        loaded.must_agree(history.world(), &format!("seed {seed}, loaded"));
    }
}
