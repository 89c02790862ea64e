//! One stream of checks: what waits is never an answer but a question, evaluated when there is room to write.
//!
//! The transport reads frames into [`Stream::take`] and asks [`Stream::next`] for one frame at a time, when it has room
//! to write. So a slow reader costs no memory, the last state always arrives, and no answer is older than a change sent
//! before it.

mod evaluate;
mod frame;
mod subscriptions;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::caller::{Caller, may_ask};
use super::engine::Engine;
use super::open_streams::{Inbox, StreamId};
use super::org_cache::Entry;
use super::question::{Answer, Asked, Denial, Question, Questions};
use super::view::{Requirement, View};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::domain::revision::{Position, Revision};
use crate::domain::time::Timestamp;

pub use frame::{Output, Update};

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
    /// The watch that was evaluated last: the others come before it does again.
    last_evaluated: u32,
    resets: VecDeque<(OrganizationId, Reason)>,
    ping: Option<u64>,
    /// When decisions that hang on an expiry turn.
    expiries: BTreeSet<(Timestamp, u64)>,
}

/// What a stream holds of one organization.
struct Watch {
    organization: OrganizationId,
    entry: Arc<Entry>,
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
        let id = engine.open_stream(&inbox, caller.key);
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
            last_evaluated: 0,
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

    /// Returns whether another frame may be read.
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

    /// Answers checks that need not wait: nothing was asked before them that waits still, and a view is at hand.
    /// `None`: they are to be taken in with [`Stream::take`]; so are those about an organization that the caller does
    /// not see, which are refused as slowly as those about one that is not there.
    ///
    /// # Errors
    /// What [`may_ask`] says of the frame as a whole; that the caller's credential stands is asked before the next
    /// output.
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
        match may_ask(&view, self.caller.subject, asked.clone()) {
            Err(error) if error.kind() == Kind::NotFound => return None,
            Err(error) => return Some(Err(error)),
            Ok(()) => {}
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

    /// Returns whether everything that was taken in has been answered, first answers of subscriptions included.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.ping.is_none() && self.resets.is_empty() && self.dirty.is_empty()
    }

    /// Waits until there is something to say, and says it. Safe to drop while it waits.
    ///
    /// # Errors
    /// - [`Reason::TokenExpired`], [`Reason::SessionEnded`], [`Reason::KeyRevoked`], [`Reason::CredentialInvalid`],
    ///   [`Reason::ServiceAccountDisabled`], [`Reason::UserDisabled`] once the caller's credential ends: the stream is
    ///   to be ended.
    pub async fn next(&mut self) -> Result<Output, Error> {
        loop {
            if let Some(output) = self.settle().await? {
                return Ok(output);
            }
            tokio::task::consume_budget().await;
            if let Some(output) = self.wait().await {
                return Ok(output);
            }
        }
    }

    /// As [`Stream::next`], for a client that asks nothing more: `None` once all that was taken in is answered.
    ///
    /// # Errors
    /// As [`Stream::next`].
    pub async fn last(&mut self) -> Result<Option<Output>, Error> {
        loop {
            if let Some(output) = self.settle().await? {
                return Ok(Some(output));
            }
            if self.is_idle() {
                return Ok(None);
            }
            tokio::task::consume_budget().await;
            if let Some(output) = self.wait().await {
                return Ok(Some(output));
            }
        }
    }

    /// Does all that can be done without waiting, up to the first thing to say.
    async fn settle(&mut self) -> Result<Option<Output>, Error> {
        loop {
            self.engine.must_be_alive(&self.caller)?;
            self.take_waiting();
            self.collect();
            if let Some((organization, reason)) = self.resets.pop_front() {
                return Ok(Some(Output::Reset { organization, reason }));
            }
            if let Some(output) = self.changes() {
                return Ok(Some(output));
            }
            if !self.dirty.is_empty() || !self.resets.is_empty() {
                // Nothing differed in the slice just looked at; there is more.
                tokio::task::yield_now().await;
                continue;
            }
            return Ok(self.progress());
        }
    }

    /// Takes what needs no view, up to the first frame that does.
    fn take_waiting(&mut self) {
        while let Some(Update::Ping(_) | Update::Unsubscribe(_)) = self.waiting.front() {
            match self.waiting.pop_front() {
                Some(Update::Ping(number)) => self.take_ping(number),
                Some(Update::Unsubscribe(numbers)) => numbers.into_iter().for_each(|number| self.release(number)),
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
        let clock = Arc::clone(&self.engine.env().clock);
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let rights = self.watches.values().filter_map(|watch| watch.right_until);
        let next = expiry.into_iter().chain(self.caller.expires_at).chain(rights).min();
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
}

/// Returns a view that is as fresh as asked at the moment that the stream is read again, to a caller who sees the
/// organization.
///
/// Catching up takes place in a task of its own: it holds the organization's turn, which must not hang on whether
/// anybody reads this stream. What it came to may be old when the stream is read, so the view is taken then.
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
    let max_age = max_age.unwrap_or(engine.settings().staleness_bound);
    loop {
        // If what was reached was replaced meanwhile, it is to be reached again.
        if reached.is_some_and(|position| engine.is_known(organization, position))
            && let Some(view) = engine.view_now(organization, max_age)
        {
            if view.is_seen_by(caller) {
                return Ok(view);
            }
            // The caller is told nothing that is not asked of the database as for an organization that is not there.
            let refusing = async move { engine.refuse_stranger(organization, requirement, caller).await };
            return Err(tokio::spawn(refusing).await.unwrap_or_else(Error::internal));
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

impl<Q> Drop for Stream<Q> {
    fn drop(&mut self) {
        self.engine.close_stream(self.id);
        for watch in self.watches.values() {
            self.engine.cache().leave(&watch.entry, self.id);
        }
    }
}
