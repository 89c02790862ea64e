//! One stream, as a dialogue without a wire: frames come in, frames to send come out. The module above says why it is
//! right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::roster::Told;
use crate::answer::DenialReason;
use crate::clock::Moment;
use crate::held::{Entry, Known};

mod ask;
mod hear;

/// Past its own end an "allow" is asked for anew after this time, unless the server has told that it turned.
const TURN_GRACE: Duration = Duration::from_secs(1);

/// What was told of a subscription on this stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// Allowed, and by itself until this moment.
    Allowed(Moment),
    Denied(DenialReason),
    /// No answer is proven.
    Unproven,
}

/// A subscription of this stream. Its id is never used again on it.
#[derive(Debug)]
struct Subscription {
    entry: Arc<Entry>,
    /// When the frame that asked for it was made: nothing about it was computed before.
    sent_at: Moment,
    /// What was told, by an answer or by a silence that is covered.
    verdict: Option<Verdict>,
    /// Whether an answer is owed, because none was said to be known.
    is_owed: bool,
    /// Whether nobody holds it any more, and only the batch that it proves is waited for.
    is_leaving: bool,
}

/// A subscribe frame in which answers were said to be known. The silence about them counts as soon as it is covered.
#[derive(Debug)]
struct Batch {
    organization: Arc<str>,
    /// The newest ping when it was made.
    after_ping: u64,
    /// Whether the answer that is owed in it has come: the server has taken the frame in.
    is_taken: bool,
    /// The ids that were said to be allowed.
    silent: Vec<u64>,
}

/// The newest echo of a ping of this stream.
#[derive(Clone, Copy, Debug)]
struct Proof {
    ping: u64,
    /// When that ping was sent: what is told after the echo was computed later.
    sent_at: Moment,
    /// How long the lease is.
    lease: Duration,
    /// The end of the lease, the margin taken off.
    until: Moment,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Session {
    opened_at: Moment,
    /// Whether what it tells is published. Not as long as the stream that it is to follow lives.
    is_current: bool,
    subscriptions: BTreeMap<u64, Subscription>,
    /// Ids by the number of the entry.
    by_entry: BTreeMap<u64, u64>,
    last_id: u64,
    /// Numbers of entries that are to be subscribed to, by organization.
    pending: BTreeMap<Arc<str>, BTreeSet<u64>>,
    /// Organizations of which something was subscribed to.
    begun: BTreeSet<Arc<str>>,
    /// Ids to be let go.
    leaving: BTreeSet<u64>,
    /// By the id whose answer is owed.
    batches: BTreeMap<u64, Batch>,
    /// Ids that were allowed before the first echo.
    uncovered: Vec<u64>,
    /// When an "allow" ends by itself.
    turns: BTreeSet<(Moment, u64)>,
    /// Pings without an echo: number, and when they were sent.
    pings: VecDeque<(u64, Moment)>,
    last_ping: u64,
    last_ping_at: Moment,
    next_ping_at: Moment,
    proof: Option<Proof>,
    /// When a ping was echoed last; at first when the stream was opened.
    heard_at: Moment,
    /// What was told of revisions while it was not current.
    told: BTreeMap<Arc<str>, Told>,
}

impl Session {
    /// Begins a stream that is to hold all of the roster.
    pub(super) fn new(is_current: bool, cx: &Context<'_>) -> Self {
        let pending = cx.roster.organizations.iter();
        Self {
            opened_at: cx.now,
            is_current,
            subscriptions: BTreeMap::new(),
            by_entry: BTreeMap::new(),
            last_id: 0,
            pending: pending.map(|(id, it)| (Arc::clone(id), it.entries.keys().copied().collect())).collect(),
            begun: BTreeSet::new(),
            leaving: BTreeSet::new(),
            batches: BTreeMap::new(),
            uncovered: Vec::new(),
            turns: BTreeSet::new(),
            pings: VecDeque::new(),
            last_ping: 0,
            last_ping_at: cx.now,
            next_ping_at: cx.now,
            proof: None,
            heard_at: cx.now,
            told: BTreeMap::new(),
        }
    }

    /// Subscribes to an entry; again if it was, so that its answer is told.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.drop_subscription_of(entry.number);
        self.pending.entry(entry.question.shared_organization()).or_default().insert(entry.number);
    }

    /// Lets an entry go.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.drop_subscription_of(entry.number);
        if let Some(pending) = self.pending.get_mut(entry.question.organization()) {
            pending.remove(&entry.number);
            if pending.is_empty() {
                self.pending.remove(entry.question.organization());
            }
        }
    }

    fn drop_subscription_of(&mut self, number: u64) {
        let Some(id) = self.by_entry.remove(&number) else { return };
        if self.batches.get(&id).is_some_and(|batch| !batch.is_taken) {
            // The answer that is owed to it proves the others of its frame.
            if let Some(subscription) = self.subscriptions.get_mut(&id) {
                subscription.is_leaving = true;
            }
        } else {
            self.subscriptions.remove(&id);
            self.leaving.insert(id);
        }
    }

    /// Returns whether the stream has worked for so long that what ends it is no failure in a row.
    pub(super) fn has_lasted(&self, cx: &Context<'_>) -> bool {
        self.proof.is_some() && cx.now.since(self.opened_at) >= cx.settings.backoff.longest
    }

    /// Returns whether everything that it is to hold is held and covered.
    pub(super) fn is_complete(&self) -> bool {
        let is_owed = |it: &Subscription| it.is_owed && it.verdict.is_none();
        self.proof.is_some()
            && self.pending.is_empty()
            && self.batches.is_empty()
            && !self.subscriptions.values().any(is_owed)
    }

    /// Makes it the current stream: what it was told is published from now on.
    ///
    /// What counts by the lease of the stream before must have been frozen.
    pub(super) fn become_current(&mut self, cx: &mut Context<'_>) {
        self.is_current = true;
        for (id, told) in std::mem::take(&mut self.told) {
            if let Some(organization) = cx.roster.organizations.get_mut(&id) {
                organization.told.follow(told);
            }
        }
        if let Some(proof) = self.proof {
            cx.set_lease(proof.until);
        }
        for subscription in self.subscriptions.values() {
            self.publish(subscription);
        }
    }

    /// Returns the moment at which something is to be done even if nothing is heard and there is no room to write.
    pub(super) fn deadline(&self, cx: &Context<'_>) -> Moment {
        let turn = self.turns.first().map(|(at, _)| at.plus(TURN_GRACE));
        let silence = self.heard_at.plus(cx.settings.silence_max);
        let next = turn.map_or(silence, |turn| turn.min(silence));
        if self.has_frame(cx) {
            // Room is what is waited for.
            return next;
        }
        let retries = self.pending.keys().filter_map(|id| cx.roster.organizations.get(id)?.retry_at);
        retries.fold(self.next_ping_at.min(next), Moment::min)
    }

    /// Returns whether the server has not been heard for so long that the stream is given up.
    pub(super) fn is_silent(&self, cx: &Context<'_>) -> bool {
        cx.now >= self.heard_at.plus(cx.settings.silence_max)
    }

    /// Asks anew for what is allowed past its own end and was not told to have turned: perhaps it was prolonged.
    pub(super) fn turn(&mut self, cx: &Context<'_>) {
        while let Some((at, id)) = self.turns.first().copied().filter(|(at, _)| cx.now >= at.plus(TURN_GRACE)) {
            self.turns.remove(&(at, id));
            let Some(subscription) = self.subscriptions.get(&id).filter(|it| !it.is_leaving) else { continue };
            if subscription.verdict == Some(Verdict::Allowed(at)) {
                let entry = Arc::clone(&subscription.entry);
                self.add(&entry);
            }
        }
    }

    /// Publishes what is told of a subscription, as far as this stream may.
    fn publish(&self, subscription: &Subscription) {
        if subscription.is_leaving {
            return;
        }
        match subscription.verdict {
            // From whichever stream it is heard first.
            Some(Verdict::Denied(reason)) => subscription.entry.publish(Known::Denied(reason)),
            Some(Verdict::Unproven) if self.is_current => subscription.entry.publish(Known::Nothing),
            Some(Verdict::Allowed(until)) if self.is_current && self.proof.is_some() => {
                subscription.entry.publish(Known::Leased(until));
            }
            Some(Verdict::Unproven | Verdict::Allowed(_)) | None => {}
        }
    }

    /// Notes a revision that was told of an organization.
    fn tell(&mut self, organization: &str, cx: &mut Context<'_>, note: impl FnOnce(&mut Told)) {
        let Some((id, _)) = cx.roster.organizations.get_key_value(organization) else { return };
        if self.is_current {
            let id = Arc::clone(id);
            note(&mut cx.roster.organizations.entry(id).or_default().told);
        } else {
            note(self.told.entry(Arc::clone(id)).or_default());
        }
    }
}
