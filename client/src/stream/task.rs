//! The background task: one stream that holds everything, another beside it while it drains, and what comes when it is
//! lost.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::Context;
use super::link::Link;
use super::roster::Roster;
use super::session::Session;
use super::settings::Settings;
use crate::clock::Moment;
use crate::connect::Dial;
use crate::held::Known;
use crate::proto::stream_checks_response::Frame;
use crate::shared::Shared;

/// The part of a drain's grace within which the next stream is opened, so that not all clients come at once.
const DRAIN_SPREAD: u32 = 4;
/// The longest that is waited for it.
const DRAIN_SPREAD_MAX: Duration = Duration::from_secs(1);

/// The background task.
pub(crate) struct Task {
    shared: Arc<Shared>,
    dial: Dial,
    settings: Settings,
    roster: Roster,
    current: Option<Link>,
    /// The stream that is to follow the current one, which drains.
    following: Option<Link>,
    /// Streams in a row that did not last.
    failures: u32,
    /// When a stream may be opened.
    open_at: Moment,
}

/// What the task wakes for.
enum Event {
    Stop,
    Look,
    Current(Result<Frame, Status>),
    Following(Result<Frame, Status>),
}

/// Makes the context of a call into a session, of fields that no link is in.
macro_rules! context {
    ($task:ident) => {
        &mut Context {
            roster: &mut $task.roster,
            settings: &$task.settings,
            lease: &$task.shared.lease,
            renewed: &$task.shared.renewed,
            now: $task.shared.clock.now(),
        }
    };
}

impl Task {
    pub(crate) fn new(shared: Arc<Shared>, dial: Dial, settings: Settings) -> Self {
        let (roster, open_at) = (Roster::default(), shared.clock.now());
        Self { shared, dial, settings, roster, current: None, following: None, failures: 0, open_at }
    }

    /// Runs until `stop` is sent or dropped.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            self.take_changed();
            self.tend();
            self.open();
            let deadline = self.deadline();
            let (room, room_following) = self.rooms();
            let shared = Arc::clone(&self.shared);
            let event = tokio::select! {
                biased;
                _ = &mut stop => Event::Stop,
                told = next(&mut self.current) => Event::Current(told),
                told = next(&mut self.following) => Event::Following(told),
                () = shared.table.changed.notified() => Event::Look,
                () = either(room) => Event::Look,
                () = either(room_following) => Event::Look,
                () = deadline => Event::Look,
            };
            match event {
                Event::Stop => return,
                Event::Look => {}
                Event::Current(Ok(frame)) => self.hear(frame),
                Event::Following(Ok(frame)) => self.hear_following(frame),
                Event::Current(Err(status)) => self.end(&status),
                Event::Following(Err(status)) => self.end_following(&status),
            }
        }
    }

    /// Waits until something is to be done even if nothing is heard.
    fn deadline(&mut self) -> impl Future<Output = ()> + use<> {
        let opens_at = self.opens_at();
        let cx = context!(self);
        let links = self.current.iter().chain(&self.following);
        let wake_at = links.map(|link| link.session.deadline(cx)).chain(opens_at).min();
        let sleep = wake_at.map(|at| self.shared.clock.sleep(at.since(self.shared.clock.now())));
        either(sleep)
    }

    /// Waits for room to write, where there is something to say.
    fn rooms(&mut self) -> (Option<impl Future<Output = ()> + use<>>, Option<impl Future<Output = ()> + use<>>) {
        let cx = context!(self);
        let room = |link: &Option<Link>| link.as_ref().and_then(|link| link.room(cx));
        (room(&self.current), room(&self.following))
    }

    /// Takes in what was held anew or let go.
    fn take_changed(&mut self) {
        for (entry, is_held) in self.shared.table.take_changed() {
            let sessions = self.current.iter_mut().chain(&mut self.following).map(|link| &mut link.session);
            if !is_held {
                self.roster.remove(&entry);
                sessions.for_each(|session| session.remove(&entry));
                entry.publish(Known::Nothing);
            } else if !self.roster.contains(&entry) {
                self.roster.add(&entry);
                sessions.for_each(|session| session.add(&entry));
            }
        }
    }

    /// Does what the time has come for, goes over to the next stream if it is ready, and writes.
    fn tend(&mut self) {
        let cx = context!(self);
        let is_silent = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.session.is_silent(cx));
        let silent = (is_silent(&self.current), is_silent(&self.following));
        if silent.1 {
            self.end_following(&Status::deadline_exceeded("no ping was echoed"));
        }
        if silent.0 {
            self.end(&Status::deadline_exceeded("no ping was echoed"));
        }
        if self.following.as_ref().is_some_and(|link| link.session.is_complete()) {
            tracing::debug!("the next stream holds everything; the draining one is let go");
            self.go_over();
        }
        let cx = context!(self);
        for link in self.current.iter_mut().chain(&mut self.following) {
            link.session.turn(cx);
            link.write(cx);
        }
    }

    /// Lets the current stream go, and has the next one take its place if there is one.
    fn go_over(&mut self) {
        self.current = None;
        self.roster.freeze(&self.shared.lease);
        if let Some(mut link) = self.following.take() {
            link.session.become_current(context!(self));
            self.current = Some(link);
        }
    }

    /// Returns when a stream is to be opened, if one is.
    fn opens_at(&self) -> Option<Moment> {
        let is_wanted = match (&self.current, &self.following) {
            (None, _) => !self.roster.organizations.is_empty(),
            (Some(current), None) => current.is_draining,
            (Some(_), Some(_)) => false,
        };
        is_wanted.then_some(self.open_at)
    }

    fn open(&mut self) {
        if self.opens_at().is_none_or(|at| self.shared.clock.now() < at) {
            return;
        }
        let cx = context!(self);
        let session = Session::new(self.current.is_none(), cx);
        let mut link = Link::open(self.dial.stream(), self.dial.credential.as_ref(), session);
        link.write(cx);
        if self.current.is_none() { self.current = Some(link) } else { self.following = Some(link) }
    }

    fn hear(&mut self, frame: Frame) {
        let Some(link) = &mut self.current else { return };
        let heard = link.session.hear(frame, context!(self));
        if let Some(grace) = heard.draining.filter(|_| !link.is_draining) {
            tracing::debug!(grace_ms = grace.as_millis(), "the stream drains");
            link.is_draining = true;
            let spread = self.settings.backoff.spread((grace / DRAIN_SPREAD).min(DRAIN_SPREAD_MAX));
            self.open_at = self.shared.clock.now().plus(spread);
        }
        if let Some(following) = &mut self.following {
            // The next stream may be told less by now: it is to answer what was answered here, at this revision.
            heard.changed.iter().for_each(|entry| following.session.add(entry));
        }
    }

    fn hear_following(&mut self, frame: Frame) {
        let Some(link) = &mut self.following else { return };
        let heard = link.session.hear(frame, context!(self));
        if heard.draining.is_some() {
            link.is_draining = true;
            self.put_off();
        }
    }

    fn end(&mut self, status: &Status) {
        let Some(link) = &self.current else { return };
        let cx = context!(self);
        if link.session.has_lasted(cx) {
            self.failures = 0;
        }
        self.go_over();
        self.lost(status);
    }

    fn end_following(&mut self, status: &Status) {
        self.following = None;
        self.lost(status);
    }

    /// Puts the next stream off, and forgets what the server cannot follow.
    fn lost(&mut self, status: &Status) {
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        if status.code() == Code::Unauthenticated {
            tracing::warn!(reason, "the stream was ended, because the credential of this service is refused");
            self.failures = u32::MAX;
        } else {
            tracing::debug!(code = ?status.code(), reason, "the stream has ended");
        }
        let has_vanished = matches!(reason.as_str(), "REVISION_VANISHED" | "REVISION_INVALID");
        // A stream that there is besides is told by itself.
        if has_vanished && self.current.is_none() {
            self.roster.forget();
        }
        self.put_off();
    }

    fn put_off(&mut self) {
        self.open_at = self.shared.clock.now().plus(self.settings.backoff.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }
}

/// Waits for the next frame of a link; without one, for ever.
async fn next(link: &mut Option<Link>) -> Result<Frame, Status> {
    match link {
        Some(link) => link.next().await,
        None => pending().await,
    }
}

/// Waits for `future`; without one, for ever.
async fn either(future: Option<impl Future<Output = ()>>) {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
