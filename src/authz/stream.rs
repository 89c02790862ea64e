//! One stream of checks: what waits is never an answer but a question, evaluated when there is room to write.
//!
//! The transport reads frames into [`Stream::take`] and asks [`Stream::next`] for one frame at a time, when it has room
//! to write. So a slow reader costs no memory, the last state always arrives, and no answer is older than a change sent
//! before it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::caller::{Caller, caller_question, may_ask, right_to_check};
use super::engine::Engine;
use super::question::{Answer, Denial, Item};
use super::subscriptions::{Inbox, StreamId, Watched};
use super::view::{Requirement, View};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::revision::Token;
use crate::domain::time::Timestamp;

/// Most items in one frame.
pub const ITEMS_MAX: usize = 1_000;
/// Most frames that wait; above it the transport stops reading.
const WAITING_MAX: usize = 64;
/// Most subscriptions of one stream.
const SUBSCRIPTIONS_MAX: usize = 100_000;
/// Most changes in one frame.
const CHANGES_MAX: usize = 1_000;

/// A frame from the client.
#[derive(Clone, Debug)]
pub enum Update {
    /// Checks to answer.
    Check {
        /// Chosen by the client.
        frame: u64,
        /// Whose.
        organization: OrganizationId,
        /// In order.
        items: Vec<Item>,
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

/// One stream of checks.
pub struct Stream {
    engine: Arc<Engine>,
    caller: Caller,
    id: StreamId,
    inbox: Arc<Inbox>,
    waiting: VecDeque<Update>,
    /// The view that the first waiting frame needs, being waited for.
    preparing: Option<Preparing>,
    held: HashMap<u64, Held>,
    organizations: BTreeMap<OrganizationId, Watch>,
    resets: VecDeque<(OrganizationId, Reason)>,
    ping: Option<u64>,
    /// When decisions that hang on an expiry turn.
    expiries: BTreeSet<(Timestamp, u64)>,
}

/// One decision that is held.
struct Held {
    organization: OrganizationId,
    question: Item,
    last: Option<bool>,
    /// When it is to be looked at again.
    expires_at: Option<Timestamp>,
}

/// What a stream holds of one organization.
#[derive(Default)]
struct Watch {
    subscriptions: BTreeSet<u64>,
    dirty: BTreeSet<u64>,
    /// Whether the caller's right is to be asked again.
    is_caller_dirty: bool,
    /// When the caller's right ends, if it does.
    right_until: Option<Timestamp>,
    /// Whether any question is about somebody else than the caller, so that a right is needed.
    is_about_others: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Stream {
    /// Begins a stream of `caller`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, caller: Caller) -> Self {
        let id = engine.next_stream();
        Self {
            engine,
            caller,
            id,
            inbox: Arc::default(),
            waiting: VecDeque::new(),
            preparing: None,
            held: HashMap::new(),
            organizations: BTreeMap::new(),
            resets: VecDeque::new(),
            ping: None,
            expiries: BTreeSet::new(),
        }
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
    pub fn take(&mut self, update: Update) -> Result<(), Error> {
        let items = match &update {
            Update::Check { items, .. } => items.len(),
            Update::Subscribe { subscriptions, .. } => subscriptions.len(),
            Update::Unsubscribe(_) | Update::Ping(_) => 0,
        };
        if items > ITEMS_MAX {
            return Err(Error::new(Reason::FrameTooLarge, format!("a frame holds at most {ITEMS_MAX} items")));
        }
        match update {
            Update::Ping(number) => self.ping = Some(self.ping.map_or(number, |ping| ping.max(number))),
            Update::Subscribe { .. } if self.subscriptions() + items > SUBSCRIPTIONS_MAX => {
                let message = format!("a stream holds at most {SUBSCRIPTIONS_MAX} subscriptions");
                return Err(Error::new(Reason::SubscriptionsExhausted, message));
            }
            // In its turn: a subscription that waits must not outlive the frame that lets it go.
            update => self.waiting.push_back(update),
        }
        Ok(())
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
        self.waiting.is_empty()
            && self.ping.is_none()
            && self.resets.is_empty()
            && self.organizations.values().all(|watch| watch.dirty.is_empty())
    }

    /// Waits until there is something to say, and says it. Safe to drop while it waits.
    ///
    /// # Errors
    /// - [`Reason::TokenExpired`], [`Reason::SessionEnded`], [`Reason::KeyRevoked`], [`Reason::UserDisabled`] once the
    ///   caller's credential ends: the stream is to be ended.
    pub async fn next(&mut self) -> Result<Output, Error> {
        loop {
            self.engine.must_be_alive(&self.caller)?;
            self.collect();
            if let Some((organization, reason)) = self.resets.pop_front() {
                return Ok(Output::Reset { organization, reason });
            }
            if let Some(output) = self.changes() {
                return Ok(output);
            }
            if self.organizations.values().any(|watch| !watch.dirty.is_empty()) {
                // Nothing differed in the slice just looked at; there is more.
                tokio::task::yield_now().await;
                continue;
            }
            if let Some(output) = self.progress() {
                return Ok(output);
            }
            if let Some(output) = self.wait().await {
                return Ok(output);
            }
        }
    }

    /// Waits for the first of: a mark, the view that the first waiting frame needs, an expiry.
    async fn wait(&mut self) -> Option<Output> {
        self.prepare();
        let inbox = Arc::clone(&self.inbox);
        let clock = Arc::clone(&self.engine.world.clock);
        let turn = self.expiries.first().map(|(at, _)| *at);
        let rights = self.organizations.values().filter_map(|watch| watch.right_until);
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
        while self.preparing.is_none() {
            let (organization, requirement) = match self.waiting.front() {
                Some(Update::Check { organization, requirement, .. }) => (*organization, *requirement),
                Some(Update::Subscribe { organization, at_least, .. }) => {
                    (*organization, at_least.map_or(Requirement::MaxAge(None), Requirement::AtLeast))
                }
                Some(Update::Unsubscribe(_)) => {
                    if let Some(Update::Unsubscribe(ids)) = self.waiting.pop_front() {
                        for id in ids {
                            self.let_go(id);
                        }
                    }
                    continue;
                }
                Some(Update::Ping(_)) | None => return,
            };
            let (engine, caller) = (Arc::clone(&self.engine), self.caller.subject);
            self.preparing = Some(Box::pin(async move { engine.view(organization, requirement, caller).await }));
        }
    }

    /// Answers a frame of checks, or takes a frame of subscriptions in.
    fn respond(&mut self, update: Update, view: Result<View, Error>) -> Option<Output> {
        match update {
            Update::Check { frame, items, .. } => {
                let answers = view.and_then(|view| {
                    may_ask(&view, self.caller.subject, items.iter())?;
                    let answers = items.iter().map(|item| view.answer_item(item)).collect();
                    Ok((answers, view))
                });
                Some(Output::Decisions { frame, answers })
            }
            Update::Subscribe { organization, subscriptions, .. } => {
                let items = subscriptions.iter().map(|(_, item, _)| item);
                let allowed = view.and_then(|view| may_ask(&view, self.caller.subject, items));
                match allowed {
                    Ok(()) => self.hold(organization, subscriptions),
                    Err(error) => self.reset(organization, error.reason),
                }
                None
            }
            Update::Unsubscribe(_) | Update::Ping(_) => None,
        }
    }

    /// Registers subscriptions, then marks them dirty: nothing falls in between.
    fn hold(&mut self, organization: OrganizationId, subscriptions: Vec<(u64, Item, Option<bool>)>) {
        let Some(slot) = self.engine.slot(organization) else {
            return self.reset(organization, Reason::RevisionVanished);
        };
        for (id, item, known) in subscriptions {
            self.let_go(id);
            let watch = self.organizations.entry(organization).or_default();
            if watch.subscriptions.is_empty() {
                slot.registry.lock().add(self.id, &self.inbox, Watched::Caller, &caller_question(&self.caller));
            }
            watch.subscriptions.insert(id);
            watch.dirty.insert(id);
            // Registered by now: a right that was lost since it was asked is found lost.
            watch.is_caller_dirty = true;
            if let Ok(question) = &item {
                watch.is_about_others |= question.subject != self.caller.subject;
                slot.registry.lock().add(self.id, &self.inbox, Watched::Subscription(id), question);
            }
            self.held.insert(id, Held { organization, question: item, last: known, expires_at: None });
        }
    }

    /// Lets one subscription go.
    fn let_go(&mut self, id: u64) {
        let Some(held) = self.held.remove(&id) else { return };
        if let Some(at) = held.expires_at {
            self.expiries.remove(&(at, id));
        }
        let slot = self.engine.slot(held.organization);
        if let (Some(slot), Ok(question)) = (&slot, &held.question) {
            slot.registry.lock().remove(self.id, Watched::Subscription(id), question);
        }
        let Some(watch) = self.organizations.get_mut(&held.organization) else { return };
        watch.subscriptions.remove(&id);
        watch.dirty.remove(&id);
        if watch.subscriptions.is_empty() {
            self.organizations.remove(&held.organization);
            if let Some(slot) = slot {
                let mut registry = slot.registry.lock();
                registry.remove(self.id, Watched::Caller, &caller_question(&self.caller));
                registry.forget(self.id);
            }
        }
    }

    /// Lets everything of one organization go, and says so.
    fn reset(&mut self, organization: OrganizationId, reason: Reason) {
        let held = self.organizations.get(&organization).map(|watch| watch.subscriptions.clone()).unwrap_or_default();
        for id in held {
            self.let_go(id);
        }
        self.resets.push_back((organization, reason));
    }

    /// Takes in what was marked, and what has expired.
    fn collect(&mut self) {
        let marked = self.inbox.take();
        for organization in marked.replaced {
            if self.organizations.contains_key(&organization) {
                self.reset(organization, Reason::RevisionVanished);
            }
        }
        for (organization, marks) in marked.subscriptions {
            let Some(watch) = self.organizations.get_mut(&organization) else { continue };
            for mark in marks {
                match mark {
                    Watched::Caller => watch.is_caller_dirty = true,
                    Watched::Subscription(id) if watch.subscriptions.contains(&id) => {
                        watch.dirty.insert(id);
                    }
                    Watched::Subscription(_) => {}
                }
            }
        }
        let now = self.engine.world.now();
        while let Some((at, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.expiries.remove(&(at, id));
            if let Some(held) = self.held.get_mut(&id) {
                held.expires_at = None;
                if let Some(watch) = self.organizations.get_mut(&held.organization) {
                    watch.dirty.insert(id);
                }
            }
        }
        for watch in self.organizations.values_mut() {
            if watch.right_until.is_some_and(|until| now >= until) {
                watch.is_caller_dirty = true;
            }
        }
        self.judge_caller();
    }

    /// Lets go of every organization in which the caller may no longer be told.
    fn judge_caller(&mut self) {
        let dirty = self.organizations.iter_mut().filter(|(_, watch)| watch.is_caller_dirty);
        let dirty: Vec<_> = dirty
            .map(|(id, watch)| {
                watch.is_caller_dirty = false;
                (*id, watch.is_about_others)
            })
            .collect();
        for (organization, is_about_others) in dirty {
            let Some(view) = self.view_of(organization) else {
                self.reset(organization, Reason::RevisionVanished);
                continue;
            };
            let right = right_to_check(&view, self.caller.subject);
            if !view.is_seen_by(self.caller.subject) {
                self.reset(organization, Reason::NotFound);
            } else if is_about_others && !right.is_allowed() {
                self.reset(organization, Reason::PermissionMissing);
            } else if let (Answer::Allowed { until }, Some(watch)) = (right, self.organizations.get_mut(&organization))
            {
                watch.right_until = until;
            }
        }
    }

    fn view_of(&self, organization: OrganizationId) -> Option<View> {
        self.engine.view_now(organization, self.engine.settings.staleness_bound)
    }

    /// Evaluates a slice of what is dirty in one organization; tells what differs from what was told last.
    fn changes(&mut self) -> Option<Output> {
        let organization = *self.organizations.iter().find(|(_, watch)| !watch.dirty.is_empty())?.0;
        let Some(view) = self.view_of(organization) else {
            self.reset(organization, Reason::RevisionVanished);
            return None;
        };
        let mut changes = Vec::new();
        for _ in 0..CHANGES_MAX {
            let Some(id) = self.organizations.get_mut(&organization).and_then(|watch| watch.dirty.pop_first()) else {
                break;
            };
            let Some(held) = self.held.get_mut(&id) else { continue };
            let answer = view.answer_item(&held.question);
            if let Some(at) = held.expires_at.take() {
                self.expiries.remove(&(at, id));
            }
            held.expires_at = match answer {
                Answer::Allowed { until } => until,
                // Looked at again when the feed may have caught up.
                Answer::Denied(Denial::Stale) => Some(view.now().plus(self.engine.settings.poll_interval)),
                Answer::Denied(_) => None,
            };
            if let Some(at) = held.expires_at {
                self.expiries.insert((at, id));
            }
            if held.last != Some(answer.is_allowed()) {
                held.last = Some(answer.is_allowed());
                changes.push((id, answer));
            }
        }
        (!changes.is_empty()).then_some(Output::Changes { organization, changes, view })
    }

    /// Answers the newest ping, if nothing that was marked before waits.
    fn progress(&mut self) -> Option<Output> {
        let ping = self.ping?;
        // How far all is marked and what is proven, before looking whether anything marked waits.
        let mut tokens = Vec::new();
        let mut age = self.engine.feed_age();
        for organization in self.organizations.keys() {
            let view = self.view_of(*organization)?;
            let slot = self.engine.slot(*organization)?;
            let mut token = view.token();
            let marked = slot.marked();
            if marked < token.position.revision {
                token.position = slot.recent(marked)?;
            }
            age = age.max(view.age);
            tokens.push(token);
        }
        let marked = self.inbox.take();
        if !marked.subscriptions.is_empty() || !marked.replaced.is_empty() {
            for (organization, marks) in marked.subscriptions {
                self.inbox.mark(organization, marks);
            }
            marked.replaced.into_iter().for_each(|organization| self.inbox.mark_replaced(organization));
            return None;
        }
        self.ping = None;
        Some(Output::Progress { ping, organizations: tokens, age })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let held: Vec<u64> = self.held.keys().copied().collect();
        for id in held {
            self.let_go(id);
        }
    }
}
