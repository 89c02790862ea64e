//! What a stream evaluates again because it was marked or has expired, and what it reports of it.

use std::ops::Bound;

use super::frame::Output;
use super::{CHANGES_MAX, SLICE, Stream};
use crate::authz::caller::Caller;
use crate::authz::question::{Answer, Questions};
use crate::authz::view::View;
use crate::domain::error::Reason;
use crate::domain::time::Timestamp;

impl<Q: Questions> Stream<Q> {
    /// Takes in what was marked, and what has expired.
    pub(super) fn collect(&mut self) {
        let marked = self.inbox.take();
        for organization in marked.replaced {
            if self.watch_of.contains_key(&organization) {
                self.reset(organization, Reason::RevisionVanished);
            }
        }
        self.dirty.extend(marked.organizations.iter().filter_map(|organization| self.watch_of.get(organization)));

        let now = self.engine.env().now();
        while let Some((at, client)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.expiries.remove(&(at, client));
            if let Some((number, record)) = self.held.get(&client)
                && let Some(watch) = self.watches.get(number)
            {
                watch.entry.registry().mark_expired(*record);
                self.dirty.insert(*number);
            }
        }
        for (number, watch) in &mut self.watches {
            if watch.right_until.take_if(|until| now >= *until).is_some() {
                watch.entry.registry().mark_caller(self.id);
                self.dirty.insert(*number);
            }
        }
    }

    /// Evaluates a slice of what is dirty in one organization; reports what differs from what was reported last.
    pub(super) fn changes(&mut self) -> Option<Output> {
        let after_last = (Bound::Excluded(self.last_evaluated), Bound::Unbounded);
        let number = *self.dirty.range(after_last).next().or_else(|| self.dirty.first())?;
        self.last_evaluated = number;
        let Some(watch) = self.watches.get_mut(&number) else {
            self.dirty.remove(&number);
            return None;
        };
        let organization = watch.organization;
        // What is looked at is taken before the snapshot it is looked at in.
        let (is_caller_dirty, records) = {
            let mut registry = watch.entry.registry();
            let taken = (registry.take_caller(self.id), registry.take_dirty(self.id, CHANGES_MAX));
            if !registry.has_work(self.id) {
                self.dirty.remove(&number);
            }
            taken
        };
        let bound = self.engine.settings().staleness_bound;
        let Some(view) = self.engine.view_of(&watch.entry, organization, bound) else {
            self.reset(organization, Reason::RevisionVanished);
            return None;
        };
        if is_caller_dirty {
            match evaluate_caller(&view, &self.caller, watch.is_about_others) {
                Ok(until) => watch.right_until = until,
                Err(reason) => {
                    self.reset(organization, reason);
                    return None;
                }
            }
        }

        let mut changes = std::mem::take(&mut watch.refused);
        for slice in records.chunks(SLICE) {
            let mut registry = watch.entry.registry();
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
                    // Evaluated again when the poller may have caught up.
                    Answer::Denied(denial) if denial.is_stale() => {
                        Some(view.now().plus(self.engine.settings().poll_interval))
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
    pub(super) fn progress(&mut self) -> Option<Output> {
        let ping = self.ping?;
        // How far all is marked and what is proven, before looking whether anything marked waits.
        let above = self.engine.installation_marked();
        let mut tokens = Vec::new();
        let mut age = self.engine.log_age();
        for (number, watch) in &self.watches {
            let view = self.engine.view_of(&watch.entry, watch.organization, self.engine.settings().staleness_bound)?;
            let token = view.token();
            if token.installation.revision > above || token.position.revision > watch.entry.marked() {
                // Somebody is about to mark what this has changed: look again in a moment.
                self.inbox.wake();
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

/// Evaluates whether the caller may still know, and until when.
fn evaluate_caller(view: &View, caller: &Caller, is_about_others: bool) -> Result<Option<Timestamp>, Reason> {
    match view.right_to_check(caller.subject) {
        Answer::Allowed { until } => Ok(until),
        Answer::Denied(_) if !view.is_seen_by(caller.subject) => Err(Reason::NotFound),
        Answer::Denied(_) if is_about_others => Err(Reason::PermissionMissing),
        Answer::Denied(_) => Ok(None),
    }
}
