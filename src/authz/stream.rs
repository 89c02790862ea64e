//! One stream of checks: what waits is never an answer but a question, evaluated when there is room to write.
//!
//! The transport reads frames into [`Stream::take`] and asks [`Stream::next`] for one frame at a time, when it has room
//! to write. So a slow reader costs no memory, the last state always arrives, and no answer is older than a change sent
//! before it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::caller::{Caller, may_ask};
use super::engine::Engine;
use super::inbox::{Inbox, StreamId};
use super::question::{Answer, Asked, Denial, Item, Question, Questions};
use super::slot::Slot;
use super::view::{Requirement, View};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::domain::revision::{Position, Revision, Token};
use crate::domain::time::Timestamp;

/// Most items in one frame.
pub const ITEMS_MAX: usize = 1_000;
/// Most frames that wait; above it the transport stops reading.
const WAITING_MAX: usize = 64;
/// Most subscriptions of one stream.
const SUBSCRIPTIONS_MAX: usize = 100_000;
/// Most changes in one frame.
const CHANGES_MAX: usize = 1_000;
/// How many subscriptions are looked at while a change of the organization has to wait.
const SLICE: usize = 64;

/// A frame from the client.
#[derive(Debug)]
pub enum Update<Q> {
    /// Checks to answer.
    Check {
        /// Chosen by the client.
        frame: u64,
        /// Whose.
        organization: OrganizationId,
        /// In order.
        questions: Q,
        /// How fresh the answers must be.
        requirement: Requirement,
    },
    /// Decisions to hold.
    Subscribe {
        /// Whose.
        organization: OrganizationId,
        /// The client's number, the question, and what the client holds already.
        subscriptions: Vec<(u64, Item, Option<bool>)>,
        /// The first answers take this in.
        at_least: Option<Token>,
    },
    /// Decisions to let go.
    Unsubscribe(Vec<u64>),
    /// A sign of life.
    Ping(u64),
}

/// A frame to the client.
#[derive(Debug)]
pub enum Output {
    /// Answers to one frame of checks.
    Decisions {
        /// As the client chose.
        frame: u64,
        /// In order; or why the frame as a whole was not answered.
        answers: Result<(Vec<Answer>, View), Error>,
    },
    /// Subscriptions whose answer is new.
    Changes {
        /// Whose.
        organization: OrganizationId,
        /// The client's number and the answer.
        changes: Vec<(u64, Answer)>,
        /// What it was evaluated on.
        view: View,
    },
    /// Everything that turned up to here was sent.
    Progress {
        /// The newest ping.
        ping: u64,
        /// How far each organization with subscriptions has come.
        organizations: Vec<Token>,
        /// The oldest age among them.
        age: Duration,
    },
    /// The subscriptions of an organization are gone.
    Reset {
        /// Whose.
        organization: OrganizationId,
        /// Why.
        reason: Reason,
    },
}

/// A view that is being waited for.
type Preparing = Pin<Box<dyn Future<Output = Result<View, Error>> + Send>>;

/// One stream of checks, whose frames are of `Q`.
pub struct Stream<Q> {
    engine: Arc<Engine>,
    caller: Caller,
    id: StreamId,
    inbox: Arc<Inbox>,
    waiting: VecDeque<Update<Q>>,
    /// The view that the first waiting frame needs, being waited for.
    preparing: Option<Preparing>,
    /// By the client's number: of which watch, and under which record of its registry.
    held: HashMap<u64, (u32, u32), RandomState>,
    watches: BTreeMap<u32, Watch>,
    watch_of: BTreeMap<OrganizationId, u32>,
    watches_made: u32,
    /// Watches with something to look at.
    dirty: BTreeSet<u32>,
    /// The watch that was looked at last: the others have their turn before it has another.
    last_looked: u32,
    resets: VecDeque<(OrganizationId, Reason)>,
    ping: Option<u64>,
    /// When decisions that hang on an expiry turn.
    expiries: BTreeSet<(Timestamp, u64)>,
}

/// What a stream holds of one organization.
struct Watch {
    organization: OrganizationId,
    slot: Arc<Slot>,
    count: usize,
    /// Answers that need no looking at: of items that are wrong, and not held.
    refused: Vec<(u64, Answer)>,
    /// When the caller's right ends, if it does.
    right_until: Option<Timestamp>,
    /// Whether any question is about somebody else than the caller, so that a right is needed.
    is_about_others: bool,
    /// The pair of revisions that `progress` told last.
    told: Option<(Revision, Revision)>,
}

impl<Q> std::fmt::Debug for Stream<Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl<Q: Questions> Stream<Q> {
    /// Begins a stream of `caller`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, caller: Caller) -> Self {
        let inbox = Arc::default();
        let id = engine.open_stream(&inbox);
        Self {
            engine,
            caller,
            id,
            inbox,
            waiting: VecDeque::new(),
            preparing: None,
            held: HashMap::default(),
            watches: BTreeMap::new(),
            watch_of: BTreeMap::new(),
            watches_made: 0,
            dirty: BTreeSet::new(),
            last_looked: 0,
            resets: VecDeque::new(),
            ping: None,
            expiries: BTreeSet::new(),
        }
    }

    /// Counts the memory that it takes to find what is held, in bytes; what is held stands in the registries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // One control byte beside each place, and one place in eight is never used.
        self.held.capacity() * 8 / 7 * (size_of::<(u64, (u32, u32))>() + 1)
    }

    /// Says whether another frame may be read.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Takes a frame in.
    ///
    /// # Errors
    /// - [`Reason::FrameTooLarge`], [`Reason::SubscriptionsExhausted`]: the stream is to be ended.
    pub fn take(&mut self, update: Update<Q>) -> Result<(), Error> {
        let items = match &update {
            Update::Check { questions, .. } => questions.count(),
            Update::Subscribe { subscriptions, .. } => subscriptions.len(),
            Update::Unsubscribe(_) | Update::Ping(_) => 0,
        };
        if items > ITEMS_MAX {
            return Err(Error::new(Reason::FrameTooLarge, format!("a frame holds at most {ITEMS_MAX} items")));
        }
        match update {
            // Not before what was to be held: whoever subscribes and then pings may trust the answer to that ping for what
            // they subscribed to. A check changes nothing that is held, and what it asks about may take long to load.
            Update::Ping(number) if !self.waiting.iter().any(|it| matches!(it, Update::Subscribe { .. })) => {
                // Those before it that wait behind a check are answered with it: progress does not go back.
                self.waiting.retain(|it| !matches!(it, Update::Ping(earlier) if *earlier <= number));
                self.take_ping(number);
            }
            Update::Subscribe { .. } if self.subscriptions() + items > SUBSCRIPTIONS_MAX => {
                let message = format!("a stream holds at most {SUBSCRIPTIONS_MAX} subscriptions");
                return Err(Error::new(Reason::SubscriptionsExhausted, message));
            }
            // In its turn: a subscription that waits must not outlive the frame that lets it go.
            update => self.waiting.push_back(update),
        }
        Ok(())
    }

    /// Answers checks that need not wait: nothing was asked before them that waits still, and a view is at hand. `None`:
    /// they are to be taken in with [`Stream::take`].
    ///
    /// # Errors
    /// What [`may_ask`] says of the frame as a whole; that the caller's credential stands is asked before the next output.
    pub fn check_at_once<'a>(
        &self,
        organization: OrganizationId,
        requirement: Requirement,
        asked: impl Iterator<Item = Result<Asked<'a>, Denial>> + Clone,
        mut tell: impl FnMut(Answer, Timestamp),
    ) -> Option<Result<View, Error>> {
        if !self.waiting.is_empty() || self.engine.must_be_alive(&self.caller).is_err() {
            return None;
        }
        let view = self.engine.view_if_ready(organization, requirement)?;
        if let Err(error) = may_ask(&view, self.caller.subject, asked.clone()) {
            return Some(Err(error));
        }
        let now = view.now();
        view.answer_all(asked, |answer| tell(answer, now));
        Some(Ok(view))
    }

    /// Counts the subscriptions that are held, and those that wait to be.
    fn subscriptions(&self) -> usize {
        let waiting = self.waiting.iter().map(|update| match update {
            Update::Subscribe { subscriptions, .. } => subscriptions.len(),
            Update::Check { .. } | Update::Unsubscribe(_) | Update::Ping(_) => 0,
        });
        self.held.len() + waiting.sum::<usize>()
    }

    /// Says whether everything that was taken in has been answered, first answers of subscriptions included.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.ping.is_none() && self.resets.is_empty() && self.dirty.is_empty()
    }

    /// Waits until there is something to say, and says it. Safe to drop while it waits.
    ///
    /// # Errors
    /// - [`Reason::TokenExpired`], [`Reason::SessionEnded`], [`Reason::KeyRevoked`], [`Reason::UserDisabled`] once the
    ///   caller's credential ends: the stream is to be ended.
    pub async fn next(&mut self) -> Result<Output, Error> {
        loop {
            self.engine.must_be_alive(&self.caller)?;
            self.take_waiting();
            self.collect();
            if let Some((organization, reason)) = self.resets.pop_front() {
                return Ok(Output::Reset { organization, reason });
            }
            if let Some(output) = self.changes() {
                return Ok(output);
            }
            if !self.dirty.is_empty() || !self.resets.is_empty() {
                // Nothing differed in the slice just looked at; there is more.
                tokio::task::yield_now().await;
                continue;
            }
            if let Some(output) = self.progress() {
                return Ok(output);
            }
            tokio::task::consume_budget().await;
            if let Some(output) = self.wait().await {
                return Ok(output);
            }
        }
    }

    /// Takes what needs no view, up to the first frame that does.
    fn take_waiting(&mut self) {
        while let Some(Update::Ping(_) | Update::Unsubscribe(_)) = self.waiting.front() {
            match self.waiting.pop_front() {
                Some(Update::Ping(number)) => self.take_ping(number),
                Some(Update::Unsubscribe(numbers)) => numbers.into_iter().for_each(|number| self.let_go(number)),
                Some(Update::Check { .. } | Update::Subscribe { .. }) | None => {}
            }
        }
    }

    fn take_ping(&mut self, number: u64) {
        self.ping = Some(self.ping.map_or(number, |ping| ping.max(number)));
    }

    /// Waits for the first of: a mark, the view that the first waiting frame needs, an expiry.
    async fn wait(&mut self) -> Option<Output> {
        self.prepare();
        let inbox = Arc::clone(&self.inbox);
        let clock = Arc::clone(&self.engine.world.clock);
        let turn = self.expiries.first().map(|(at, _)| *at);
        let rights = self.watches.values().filter_map(|watch| watch.right_until);
        let next = turn.into_iter().chain(self.caller.expires_at).chain(rights).min();
        let prepared = async {
            match &mut self.preparing {
                Some(view) => view.await,
                None => std::future::pending().await,
            }
        };
        let expiry = async {
            match next {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = inbox.wait() => None,
            () = expiry => None,
            view = prepared => {
                self.preparing = None;
                let update = self.waiting.pop_front()?;
                self.respond(update, view)
            }
        }
    }

    /// Begins to wait for the view that the first waiting frame needs.
    fn prepare(&mut self) {
        if self.preparing.is_some() {
            return;
        }
        let (organization, requirement) = match self.waiting.front() {
            Some(Update::Check { organization, requirement, .. }) => (*organization, *requirement),
            Some(Update::Subscribe { organization, at_least, .. }) => {
                (*organization, at_least.map_or(Requirement::MaxAge(None), Requirement::AtLeast))
            }
            Some(Update::Unsubscribe(_) | Update::Ping(_)) | None => return,
        };
        let (engine, caller) = (Arc::clone(&self.engine), self.caller.subject);
        self.preparing = Some(Box::pin(view_while_read(engine, organization, requirement, caller)));
    }

    /// Answers a frame of checks, or takes a frame of subscriptions in.
    fn respond(&mut self, update: Update<Q>, view: Result<View, Error>) -> Option<Output> {
        match update {
            Update::Check { frame, questions, .. } => {
                let answers = view.and_then(|view| {
                    may_ask(&view, self.caller.subject, questions.asked())?;
                    let mut answers = Vec::with_capacity(questions.count());
                    view.answer_all(questions.asked(), |answer| answers.push(answer));
                    Ok((answers, view))
                });
                Some(Output::Decisions { frame, answers })
            }
            Update::Subscribe { organization, subscriptions, at_least } => {
                let items = subscriptions.iter().map(|(_, item, _)| item);
                let asked = items.map(|item| item.as_ref().map(Question::asked).map_err(|denial| *denial));
                let joined = view
                    .and_then(|view| may_ask(&view, self.caller.subject, asked))
                    .and_then(|()| self.watch(organization));
                match joined {
                    Ok(Some(watch)) => self.hold(watch, subscriptions),
                    // Given up for want of memory between the view and now: once more.
                    Ok(None) => self.waiting.push_front(Update::Subscribe { organization, subscriptions, at_least }),
                    Err(error) => self.reset(organization, error.reason),
                }
                None
            }
            Update::Unsubscribe(_) | Update::Ping(_) => None,
        }
    }

    /// Finds the watch of an organization, a new one if need be; `None` if it must be loaded again.
    fn watch(&mut self, organization: OrganizationId) -> Result<Option<u32>, Error> {
        if let Some(watch) = self.watch_of.get(&organization) {
            return Ok(Some(*watch));
        }
        let Some(slot) = self.engine.slot(organization) else { return Ok(None) };
        if !self.engine.residence.join(&slot, self.id, &self.inbox, self.caller.subject)? {
            return Ok(None);
        }
        self.watches_made += 1;
        let number = self.watches_made;
        let watch = Watch {
            organization,
            slot,
            count: 0,
            refused: Vec::new(),
            right_until: None,
            is_about_others: false,
            told: None,
        };
        self.watches.insert(number, watch);
        self.watch_of.insert(organization, number);
        Ok(Some(number))
    }

    /// Registers subscriptions, which marks them dirty: nothing falls in between.
    fn hold(&mut self, number: u32, subscriptions: Vec<(u64, Item, Option<bool>)>) {
        self.dirty.insert(number);
        for (client, item, known) in subscriptions {
            // A change of the subscription before may be under way: then the client holds something else than it says.
            let known = known.filter(|_| !self.held.contains_key(&client));
            self.let_go(client);
            let Some(watch) = self.watches.get_mut(&number) else { break };
            let held = match &item {
                Ok(question) => {
                    watch.is_about_others |= question.subject != self.caller.subject;
                    let mut registry = watch.slot.registry.lock();
                    registry.mark_caller(self.id);
                    registry.add(self.id, client, question, known).ok_or(Denial::PermissionUnknown)
                }
                Err(denial) => Err(*denial),
            };
            match held {
                Ok(record) => {
                    watch.count += 1;
                    self.held.insert(client, (number, record));
                }
                Err(_) if known == Some(false) => {}
                Err(denial) => watch.refused.push((client, Answer::Denied(denial))),
            }
        }
    }

    /// Lets one subscription go.
    fn let_go(&mut self, client: u64) {
        let Some((number, record)) = self.held.remove(&client) else { return };
        let Some(watch) = self.watches.get_mut(&number) else { return };
        if let Some(at) = watch.slot.registry.lock().remove(record) {
            self.expiries.remove(&(at, client));
        }
        watch.count -= 1;
        if watch.count == 0 && !self.dirty.contains(&number) {
            self.end_watch(number);
        }
    }

    /// Lets an organization go, with everything that is held of it.
    fn end_watch(&mut self, number: u32) {
        let Some(watch) = self.watches.remove(&number) else { return };
        self.watch_of.remove(&watch.organization);
        self.dirty.remove(&number);
        for (client, expires_at) in self.engine.residence.leave(&watch.slot, self.id) {
            self.held.remove(&client);
            if let Some(at) = expires_at {
                self.expiries.remove(&(at, client));
            }
        }
    }

    /// Lets everything of one organization go, and says so.
    fn reset(&mut self, organization: OrganizationId, reason: Reason) {
        if let Some(number) = self.watch_of.get(&organization) {
            self.end_watch(*number);
        }
        self.resets.push_back((organization, reason));
    }

    /// Takes in what was marked, and what has expired.
    fn collect(&mut self) {
        let marked = self.inbox.take();
        for organization in marked.replaced {
            if self.watch_of.contains_key(&organization) {
                self.reset(organization, Reason::RevisionVanished);
            }
        }
        self.dirty.extend(marked.organizations.iter().filter_map(|organization| self.watch_of.get(organization)));

        let now = self.engine.world.now();
        while let Some((at, client)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.expiries.remove(&(at, client));
            if let Some((number, record)) = self.held.get(&client)
                && let Some(watch) = self.watches.get(number)
            {
                watch.slot.registry.lock().mark_expired(*record);
                self.dirty.insert(*number);
            }
        }
        for (number, watch) in &mut self.watches {
            if watch.right_until.take_if(|until| now >= *until).is_some() {
                watch.slot.registry.lock().mark_caller(self.id);
                self.dirty.insert(*number);
            }
        }
    }

    /// Evaluates a slice of what is dirty in one organization; tells what differs from what was told last.
    fn changes(&mut self) -> Option<Output> {
        let after_last = (Bound::Excluded(self.last_looked), Bound::Unbounded);
        let number = *self.dirty.range(after_last).next().or_else(|| self.dirty.first())?;
        self.last_looked = number;
        let Some(watch) = self.watches.get_mut(&number) else {
            self.dirty.remove(&number);
            return None;
        };
        let organization = watch.organization;
        // What is looked at is taken before the snapshot it is looked at in.
        let (is_caller_dirty, records) = {
            let mut registry = watch.slot.registry.lock();
            let taken = (registry.take_caller(self.id), registry.take_dirty(self.id, CHANGES_MAX));
            if !registry.has_work(self.id) {
                self.dirty.remove(&number);
            }
            taken
        };
        let bound = self.engine.settings.staleness_bound;
        let Some(view) = self.engine.view_of(&watch.slot, organization, bound) else {
            self.reset(organization, Reason::RevisionVanished);
            return None;
        };
        if is_caller_dirty {
            match judge_caller(&view, &self.caller, watch.is_about_others) {
                Ok(until) => watch.right_until = until,
                Err(reason) => {
                    self.reset(organization, reason);
                    return None;
                }
            }
        }

        let mut changes = std::mem::take(&mut watch.refused);
        for slice in records.chunks(SLICE) {
            let mut registry = watch.slot.registry.lock();
            let mut answers = Vec::with_capacity(SLICE);
            view.answer_all(slice.iter().map(|record| Ok(registry.look(*record).asked)), |answer| answers.push(answer));
            for (record, answer) in slice.iter().zip(answers) {
                let looked = registry.look(*record);
                let client = looked.number;
                if let Some(at) = looked.expires_at {
                    self.expiries.remove(&(at, client));
                }
                let expires_at = match answer {
                    Answer::Allowed { until } => until,
                    // Looked at again when the feed may have caught up.
                    Answer::Denied(denial) if denial.is_stale() => {
                        Some(view.now().plus(self.engine.settings.poll_interval))
                    }
                    Answer::Denied(_) => None,
                };
                self.expiries.extend(expires_at.map(|at| (at, client)));
                if registry.note(*record, answer, expires_at) {
                    changes.push((client, answer));
                }
            }
        }
        if watch.count == 0 {
            self.end_watch(number);
        }
        changes.sort_unstable_by_key(|(client, _)| *client);
        (!changes.is_empty()).then_some(Output::Changes { organization, changes, view })
    }

    /// Answers the newest ping, if nothing that was marked before waits. Names the organizations that have moved since the
    /// last time.
    fn progress(&mut self) -> Option<Output> {
        let ping = self.ping?;
        // How far all is marked and what is proven, before looking whether anything marked waits.
        let above = self.engine.installation_marked();
        let mut tokens = Vec::new();
        let mut age = self.engine.feed_age();
        for (number, watch) in &self.watches {
            let view = self.engine.view_of(&watch.slot, watch.organization, self.engine.settings.staleness_bound)?;
            let token = view.token();
            if token.installation.revision > above || token.position.revision > watch.slot.marked() {
                // Somebody is about to mark what this has turned: look again in a moment.
                self.inbox.ring();
                return None;
            }
            age = age.max(view.age);
            let pair = (token.position.revision, token.installation.revision);
            if watch.told != Some(pair) {
                tokens.push((*number, pair, token));
            }
        }
        if !self.inbox.is_empty() {
            return None;
        }
        self.ping = None;
        for (number, pair, _) in &tokens {
            if let Some(watch) = self.watches.get_mut(number) {
                watch.told = Some(*pair);
            }
        }
        let organizations = tokens.into_iter().map(|(_, _, token)| token).collect();
        Some(Output::Progress { ping, organizations, age })
    }
}

/// Gives a view that is as fresh as asked at the moment that the stream is read again.
///
/// Catching up takes place in a task of its own: it holds the organization's turn, which must not hang on whether anybody
/// reads this stream. What it came to may be old when the stream is read, so the view is taken then.
async fn view_while_read(
    engine: Arc<Engine>,
    organization: OrganizationId,
    requirement: Requirement,
    caller: Subject,
) -> Result<View, Error> {
    let (max_age, mut reached) = match requirement {
        Requirement::MaxAge(max_age) => (max_age, Some(Position::default())),
        Requirement::AtLeast(_) | Requirement::Fresh => (None, None),
    };
    let max_age = max_age.unwrap_or(engine.settings.staleness_bound);
    loop {
        // If what was reached was replaced meanwhile, it is to be reached again.
        if reached.is_some_and(|position| engine.is_known(organization, position))
            && let Some(view) = engine.view_now(organization, max_age)
        {
            return Ok(view);
        }
        let reaching = Arc::clone(&engine);
        let reaching = tokio::spawn(async move { reaching.view(organization, requirement, caller).await });
        let position = reaching.await.map_err(Error::internal)??.organization.position();
        reached = match requirement {
            Requirement::MaxAge(_) => reached,
            Requirement::AtLeast(_) | Requirement::Fresh => Some(position),
        };
    }
}

/// Asks whether the caller may still be told, and until when.
fn judge_caller(view: &View, caller: &Caller, is_about_others: bool) -> Result<Option<Timestamp>, Reason> {
    match view.right_to_check(caller.subject) {
        Answer::Allowed { until } => Ok(until),
        Answer::Denied(_) if !view.is_seen_by(caller.subject) => Err(Reason::NotFound),
        Answer::Denied(_) if is_about_others => Err(Reason::PermissionMissing),
        Answer::Denied(_) => Ok(None),
    }
}

impl<Q> Drop for Stream<Q> {
    fn drop(&mut self) {
        self.engine.close_stream(self.id);
        for watch in self.watches.values() {
            self.engine.residence.leave(&watch.slot, self.id);
        }
    }
}
