//! A list of timed commits, and what it makes true when.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use guildhall::authz;
use guildhall::changelog::State;
use guildhall::domain::fact::{Held, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::place::{Place, Principal, Subject};
use guildhall::domain::revision::{Position, Revision, Tag};
use guildhall::domain::time::Timestamp;
use guildhall_client::Question;

use super::super::LEASE;
use super::super::truth::{MaySay, Truth, Turn};
use super::world::{
    GROUPS, ORGANIZATIONS, PEOPLE, RESOURCES, ROOTS, World, callers_right, group, key, membership, organization_id,
    user,
};

/// Questions about each organization.
const QUESTIONS_EACH: usize = 8;
const PERMISSIONS: [&str; 4] = ["project.view", "project.view", "project.operate", "project.update"];
/// When the simulation begins, by the wall clock.
const BEGINNING: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// Returns the wall clock's time.
pub fn wall(elapsed: Duration) -> Timestamp {
    BEGINNING.plus(elapsed)
}

/// One commit.
pub struct Timed {
    /// When readers see it.
    pub at: Duration,
    pub scope: Scope,
    pub position: Position,
    pub log: Log,
    /// Whether the process that follows the log made it, and so need not wait to find it.
    pub is_own: bool,
    world: World,
}

/// Which log it stands in, with what it says and what stands there after it.
pub enum Log {
    Installation {
        news: Vec<InstallationFact>,
        standing: Vec<InstallationFact>,
    },
    /// Of the organization of that number.
    Organization {
        news: Vec<OrganizationFact>,
        standing: Vec<OrganizationFact>,
    },
}

/// All that is ever committed, in order, and when the log cannot be read.
pub struct History {
    pub commits: Vec<Timed>,
    outages: Vec<(Duration, Duration)>,
    /// What the client asks, and the same as the rule is asked it of an organization.
    asked: Vec<(Question, usize, authz::Question)>,
}

impl History {
    /// Draws a history that goes on up to `end`.
    pub fn new(random: &mut Rng, end: Duration) -> Self {
        let mut history = Self { commits: Vec::new(), outages: Vec::new(), asked: Vec::new() };
        let mut world = World::new();
        history.append_above(Duration::ZERO, world.above(), &world, false);
        for number in 0..ORGANIZATIONS {
            history.append(Duration::ZERO, number, world.facts_of(number), &world, false);
        }
        let mut at = Duration::ZERO;
        loop {
            // Some follow each other closely, and for a while nothing happens at all.
            let longest = [30, 400, 1_500, 1_500, 9_000][random.usize(..5)];
            at += Duration::from_millis(random.u64(1..longest));
            if at >= end {
                break;
            }
            let number = random.usize(..ORGANIZATIONS);
            // Whoever may not ask is soon given the right again: without it nothing else is seen.
            let drawn = random.u8(..10);
            if drawn == 0 || (drawn <= 4 && !world.may_ask) {
                let facts = above(&mut world, random);
                history.append_above(at, facts, &world, random.bool());
                continue;
            }
            let mut facts = within(&mut world, number, random, at);
            if random.u8(..4) == 0 {
                facts.extend(within(&mut world, number, random, at));
            }
            history.append(at, number, facts, &world, random.bool());
        }
        if !world.may_ask {
            world.may_ask = true;
            let facts = vec![InstallationFact::Grant(callers_right())];
            history.append_above(end, facts, &world, random.bool());
        }
        for _ in 0..random.usize(1..4) {
            let from = Duration::from_millis(random.u64(..50_000)).min(end);
            // Some outlast the bound past which nothing is allowed.
            let longest = [500, 4_000, 15_000, 15_000][random.usize(..4)];
            history.outages.push((from, (from + Duration::from_millis(random.u64(..longest))).min(end)));
        }
        history
    }

    fn append(&mut self, at: Duration, number: usize, news: Vec<OrganizationFact>, world: &World, is_own: bool) {
        let log = Log::Organization { news, standing: world.facts_of(number) };
        self.push(at, Scope::Organization(organization_id(number)), log, world, is_own);
    }

    fn append_above(&mut self, at: Duration, news: Vec<InstallationFact>, world: &World, is_own: bool) {
        let log = Log::Installation { news, standing: world.above() };
        self.push(at, Scope::Installation, log, world, is_own);
    }

    fn push(&mut self, at: Duration, scope: Scope, log: Log, world: &World, is_own: bool) {
        let revision = 1 + self.commits.iter().filter(|commit| commit.scope == scope).count() as u64;
        let position =
            Position { revision: Revision(revision), tag: Tag(revision.wrapping_mul(0x9e37_79b9_7f4a_7c15)) };
        self.commits.push(Timed { at, scope, position, log, is_own, world: world.clone() });
    }

    /// Returns whether the log cannot be read.
    pub fn is_out(&self, now: Duration) -> bool {
        self.outages.iter().any(|(from, to)| (*from..*to).contains(&now))
    }

    /// Returns the commits that readers see.
    pub fn seen(&self, now: Duration) -> &[Timed] {
        &self.commits[..self.commits.partition_point(|commit| commit.at <= now)]
    }

    /// Returns the last commit of a scope that readers see.
    pub fn head(&self, scope: Scope, now: Duration) -> Option<&Timed> {
        self.seen(now).iter().rev().find(|commit| commit.scope == scope)
    }

    /// Returns all that stands in an organization.
    pub fn organization(&self, scope: Scope, now: Duration) -> Option<State<OrganizationFact>> {
        let head = self.head(scope, now)?;
        let Log::Organization { standing, .. } = &head.log else { return None };
        Some(State { position: head.position, facts: standing.clone() })
    }

    /// Returns all that stands in the installation.
    pub fn installation(&self, now: Duration) -> Option<State<InstallationFact>> {
        let head = self.head(Scope::Installation, now)?;
        let Log::Installation { standing, .. } = &head.log else { return None };
        Some(State { position: head.position, facts: standing.clone() })
    }

    /// Draws what is asked.
    pub fn draw_questions(&mut self, random: &mut Rng) {
        let mut asked: Vec<(usize, authz::Question)> = Vec::new();
        while asked.len() < ORGANIZATIONS * QUESTIONS_EACH {
            let question = authz::Question {
                subject: Subject::User(user(random.usize(..PEOPLE))),
                session: None,
                permission: PERMISSIONS[random.usize(..PERMISSIONS.len())].into(),
                target: Some(key(random.usize(..RESOURCES))),
            };
            let question = (asked.len() % ORGANIZATIONS, question);
            if !asked.contains(&question) {
                asked.push(question);
            }
        }
        let questions = asked.into_iter().map(|(number, question)| {
            let target = question.target.as_ref().expect("a target");
            let Subject::User(user) = question.subject else { unreachable!("people are asked about") };
            let same = Question::new(
                organization_id(number).to_string(),
                guildhall_client::Subject::user(user.to_string()),
                &*question.permission,
            )
            .on(&*target.kind, &*target.id);
            (same, number, question)
        });
        self.asked = questions.collect();
    }

    /// Has the rule say when answers turn.
    pub fn truth(self: &Arc<Self>) -> Truth {
        let mut instants: Vec<Duration> = self.commits.iter().map(|commit| commit.at).collect();
        instants.extend(self.ends());
        instants.sort_unstable();
        instants.dedup();
        let turns = |(same, number, question): &(Question, usize, authz::Question)| {
            (same.clone(), self.turns(*number, question, &instants))
        };
        let history = Arc::clone(self);
        let may_say: MaySay =
            Arc::new(move |question, allowed, since, now| history.may_say(question, allowed, since, now));
        Truth::of(self.asked.iter().map(turns).collect(), Some(may_say))
    }

    /// Returns whether that is the answer at this time in any state that stood at some instant from `since` to now.
    pub fn may_say(&self, question: &Question, allowed: bool, since: Duration, now: Duration) -> bool {
        let (_, number, asked) =
            self.asked.iter().find(|(same, ..)| same == question).expect("a question that is asked");
        let stood = self.seen(now).iter().rev();
        let after = stood.clone().take_while(|commit| commit.at > since).count();
        // The two logs are followed one by one: what stands here may be older than what stands above, and the other way round.
        // So whoever is shut out and then given something may for a moment seem to have it.
        let worlds = stood.map(|commit| &commit.world).take(after + 1);
        let mut pairs = worlds.clone().flat_map(|here| worlds.clone().map(move |above| (here, above)));
        pairs.any(|(here, above)| here.allows(above, *number, asked, wall(now)) == allowed)
    }

    /// Returns when grants end; those above the organizations have no end.
    fn ends(&self) -> impl Iterator<Item = Duration> {
        let news = self.commits.iter().filter_map(|commit| match &commit.log {
            Log::Organization { news, .. } => Some(news),
            Log::Installation { .. } => None,
        });
        news.flatten().filter_map(|fact| match fact {
            OrganizationFact::Grant(grant) => Some(grant.expires_at?.since(BEGINNING)),
            _ => None,
        })
    }

    fn turns(&self, number: usize, question: &authz::Question, instants: &[Duration]) -> Vec<Turn> {
        let (mut turns, mut was_allowed) = (Vec::new(), false);
        for at in instants {
            let world = &self.seen(*at).last().expect("a commit at the beginning").world;
            let is_allowed = world.allows(world, number, question, wall(*at));
            if is_allowed != was_allowed {
                was_allowed = is_allowed;
                // Nothing was committed for as long as an answer counts: whoever may say "allow" has heard of this end.
                let since = at.saturating_sub(LEASE);
                let is_quiet = !self.commits.iter().any(|commit| (since..=*at).contains(&commit.at));
                turns.push(Turn { at: *at, is_foreseen: is_quiet && !is_allowed });
            }
        }
        turns
    }
}

/// Changes something that counts everywhere at once.
fn above(world: &mut World, random: &mut Rng) -> Vec<InstallationFact> {
    if !world.may_ask || random.u8(..6) == 0 {
        world.may_ask = !world.may_ask;
        let right = callers_right();
        return vec![if world.may_ask { InstallationFact::Grant(right) } else { InstallationFact::GrantGone(right) }];
    }
    let person = shut_out(world.is_user_active, random);
    world.is_user_active[person] = !world.is_user_active[person];
    vec![world.user_fact(person)]
}

/// Draws a person, rather one who is shut out than another: most people mostly may.
fn shut_out(may: [bool; PEOPLE], random: &mut Rng) -> usize {
    let first = may.iter().position(|may| !*may).filter(|_| random.u8(..3) > 0);
    first.unwrap_or_else(|| random.usize(..PEOPLE))
}

/// Changes something in one organization.
fn within(world: &mut World, number: usize, random: &mut Rng, at: Duration) -> Vec<OrganizationFact> {
    let it = &mut world.organizations[number];
    if !it.is_active && random.bool() {
        it.is_active = true;
        return vec![world.organization_fact(number)];
    }
    match random.u8(..24) {
        0..=5 | 20.. => vec![given(world, number, random, at)],
        6..=10 => {
            let ids: Vec<_> = it.grants.keys().copied().collect();
            // Seldom the first, by which everyone works.
            let first = usize::from(random.u8(..8) > 0).min(ids.len().saturating_sub(1));
            let taken = ids.get(random.usize(first..ids.len().max(first + 1))).and_then(|id| it.grants.remove(id));
            taken.into_iter().map(OrganizationFact::GrantGone).collect()
        }
        11 | 12 => {
            let person = shut_out(it.is_member, random);
            it.is_member[person] = !it.is_member[person];
            vec![world.member_fact(number, person)]
        }
        13..=15 => {
            let (at, person) = (random.usize(..GROUPS), random.usize(..PEOPLE));
            if !it.in_group[at].remove(&person) {
                it.in_group[at].insert(person);
            }
            vec![world.group_fact(number, at, person)]
        }
        16..=18 => {
            let moved = random.usize(ROOTS..RESOURCES);
            let parent = [None, Some(0), Some(1)][random.usize(..3)];
            let is_gone = it.resources.contains_key(&moved) && random.u8(..4) == 0;
            it.resources.insert(moved, parent);
            let mut facts = Vec::new();
            if is_gone {
                it.resources.remove(&moved);
                let place = Place::Resource(key(moved));
                let gone: Vec<_> = it.grants.values().filter(|grant| grant.place == place).cloned().collect();
                it.grants.retain(|_, grant| grant.place != place);
                facts.extend(gone.into_iter().map(OrganizationFact::GrantGone));
            }
            facts.push(world.resource_fact(number, moved));
            facts
        }
        _ => {
            it.is_active = !it.is_active;
            vec![world.organization_fact(number)]
        }
    }
}

/// Gives somebody something, sometimes for a while only.
fn given(world: &mut World, number: usize, random: &mut Rng, at: Duration) -> OrganizationFact {
    let person = Principal::Membership(membership(number, random.usize(..PEOPLE)));
    let expires_at = random.bool().then(|| wall(at + Duration::from_micros(random.u64(200_000..15_000_000))));
    if random.u8(..4) == 0 {
        let (role, principal) = match random.u8(..3) {
            0 => ("user", Principal::Everyone),
            _ => ("admin", person),
        };
        return world.give(number, principal, Place::Organization, Held::Role(role.into()), expires_at);
    }
    let principal = match random.u8(..6) {
        0 => Principal::Everyone,
        1..=3 => Principal::Group(group(number, random.usize(..GROUPS))),
        _ => person,
    };
    let registered: Vec<usize> = world.organizations[number].resources.keys().copied().collect();
    let on = key(registered[random.usize(..registered.len())]);
    world.give(number, principal, Place::Resource(on), Held::AsMember, expires_at)
}
