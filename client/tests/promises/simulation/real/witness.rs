//! What one stream owes its client, looked at from beside the server: what was taken in, what was told, and what is
//! true.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guildhall::domain::fact::Scope;
use guildhall::domain::id::OrganizationId;
use guildhall::domain::revision::{Revision, Token};
use guildhall_client::{Question, Subject};

use super::super::time::SimulatedClock;
use super::super::truth::Truth;
use super::history::History;
use super::service::parse_token;
use crate::proto::stream_checks_request::Frame;
use crate::proto::subject::Kind;
use crate::proto::{CheckItem, Decision, DecisionReason};

/// What was found wrong.
pub type Breaches = Arc<Mutex<Vec<String>>>;

/// What all streams are held against.
#[derive(Clone)]
pub struct Court {
    pub history: Arc<History>,
    pub truth: Arc<Truth>,
    pub clock: SimulatedClock,
    pub breaches: Breaches,
}

/// Who looks on at one stream.
pub struct Witness {
    court: Court,
    /// Frames that were taken in.
    taken: u64,
    /// By the number of a ping, how many frames were taken in before.
    pings: BTreeMap<u64, u64>,
    /// By the client's number.
    held: BTreeMap<u64, Subscription>,
    /// What subscriptions are to take in at the least: how many frames were taken in before, and the token.
    least: Vec<(u64, Token)>,
    /// The newest pair of revisions that was told of each organization.
    revisions: HashMap<OrganizationId, (Revision, Revision)>,
}

struct Subscription {
    organization: String,
    question: Question,
    /// How many frames were taken in before.
    taken_at: u64,
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    /// Neither by this server nor, as the client says, by another.
    Nothing,
    /// That it cannot be proven.
    Stale,
    Answer(bool),
}

impl Witness {
    pub fn new(court: Court) -> Self {
        let (pings, held, revisions) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        Self { court, taken: 0, pings, held, least: Vec::new(), revisions }
    }

    /// Sees what the server takes in.
    pub fn takes(&mut self, frame: &Frame) {
        self.taken += 1;
        match frame {
            Frame::Subscribe(frame) => {
                self.least.extend(parse_token(&frame.at_least).ok().map(|token| (self.taken, token)));
                for it in &frame.subscriptions {
                    let subscription = Subscription {
                        organization: frame.organization_id.clone(),
                        question: asked(&frame.organization_id, it.item.as_ref().expect("an item")),
                        taken_at: self.taken,
                        told: it.known_allowed.map_or(Told::Nothing, Told::Answer),
                    };
                    self.held.insert(it.subscription_id, subscription);
                }
            }
            Frame::Unsubscribe(frame) => frame.subscription_ids.iter().for_each(|id| drop(self.held.remove(id))),
            Frame::Ping(ping) => {
                self.pings.insert(ping.number, self.taken);
            }
            Frame::Check(_) => {}
        }
    }

    /// Hears a revision, which is none older than one told before.
    pub fn hears_revision(&mut self, token: &Token) {
        let pair = (token.position.revision, token.installation.revision);
        let before = self.revisions.insert(token.organization, pair).unwrap_or_default();
        if pair.0 < before.0 || pair.1 < before.1 {
            self.breach(format_args!("{:?} was told {pair:?} after {before:?}", token.organization));
        }
    }

    /// Hears a change, which is right for a state no older than the age that is told.
    pub fn hears_change(&mut self, id: u64, decision: &Decision, age: Duration) {
        // It may have been let go by a frame that waits.
        let Some(subscription) = self.held.get_mut(&id) else { return };
        let is_stale = decision.reason == i32::from(DecisionReason::IndexStale);
        subscription.told = if is_stale { Told::Stale } else { Told::Answer(decision.allowed) };
        self.must_be_true(id, age);
    }

    /// Hears a progress: every subscription before that ping is answered, and everything that turned before that age is
    /// told.
    pub fn hears_progress(&mut self, ping: u64, age: Duration) {
        let Some(before) = self.pings.get(&ping).copied() else {
            return self.breach(format_args!("ping {ping} was echoed, which was never taken in"));
        };
        self.pings = self.pings.split_off(&ping);
        let (least, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.least).into_iter().partition(|(taken_at, _)| *taken_at < before);
        self.least = later;
        for (_, token) in &least {
            self.must_have_reached(token);
        }
        for id in self.held.keys() {
            if self.held[id].taken_at < before {
                self.must_be_true(*id, age);
            }
        }
        self.revisions.keys().for_each(|organization| self.must_take_in(*organization, age));
    }

    /// Hears that an organization's subscriptions are gone.
    pub fn hears_reset(&mut self, organization: OrganizationId) {
        self.revisions.remove(&organization);
        let organization = organization.to_string();
        self.held.retain(|_, it| it.organization != organization);
    }

    /// Ensures that what was told last is what the rule says now of a state no older than that age.
    fn must_be_true(&self, id: u64, age: Duration) {
        let Subscription { question, told, .. } = &self.held[&id];
        let now = self.court.clock.elapsed();
        let is_true = match told {
            Told::Nothing => false,
            Told::Stale => true,
            Told::Answer(allowed) => {
                let Court { truth, history, .. } = &self.court;
                truth.allows(question, now) == *allowed
                    || history.may_say(question, *allowed, now.saturating_sub(age), now)
            }
        };
        if !is_true {
            self.breach(format_args!("{told:?} stands for {question:?} with an age of {age:?}"));
        }
    }

    /// Ensures that the revision told takes in everything that was committed before that age.
    pub fn must_take_in(&self, organization: OrganizationId, age: Duration) {
        let since = self.court.clock.elapsed().saturating_sub(age);
        let head = |scope| self.court.history.head(scope, since).map(|head| head.position.revision);
        let stood = (head(Scope::Organization(organization)), head(Scope::Installation));
        let told = self.revisions.get(&organization).map(|(here, above)| (Some(*here), Some(*above)));
        if told.is_some_and(|told| told.0 < stood.0 || told.1 < stood.1) {
            self.breach(format_args!("{told:?} was told with an age of {age:?}, and {stood:?} stood then"));
        }
    }

    fn must_have_reached(&self, least: &Token) {
        let least_pair = (least.position.revision, least.installation.revision);
        // It may have been reset, and then nothing is told of it.
        let Some(told) = self.revisions.get(&least.organization) else { return };
        if told.0 < least_pair.0 || told.1 < least_pair.1 {
            self.breach(format_args!("{told:?} was told where {least_pair:?} was asked for"));
        }
    }

    fn breach(&self, what: fmt::Arguments<'_>) {
        self.court.breaches.lock().unwrap().push(format!("at {:?}: {what}", self.court.clock.elapsed()));
    }
}

/// Finds the question in an item.
fn asked(organization: &str, item: &CheckItem) -> Question {
    let subject = match item.subject.as_ref().and_then(|subject| subject.kind.as_ref()) {
        Some(Kind::UserId(id)) => Subject::user(id.as_str()),
        kind => panic!("{kind:?} is not asked about in the simulation"),
    };
    let resource = item.resource.as_ref().expect("a resource");
    Question::new(organization, subject, &*item.permission).on(&*resource.r#type, &*resource.id)
}
