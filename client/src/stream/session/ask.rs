//! What a stream has to say.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message;

use super::super::Context;
use super::{Batch, Session, Subscription, Verdict};
use crate::clock::Moment;
use crate::held::{Entry, Known};
use crate::proto::stream_checks_request::Frame;
use crate::proto::{Ping, SubscribeFrame, UnsubscribeFrame};

/// Most ids in one frame, as the contract says.
const ITEMS_MAX: usize = 1_000;
/// Past this many bytes a frame is full; servers refuse messages of four megabytes.
const BYTES_MAX: usize = 256 * 1024;
/// Pings whose echo is waited for; older ones are forgotten. The stream is given up before.
const PINGS_MAX: usize = 256;

impl Session {
    /// Returns the next frame, if there is something to say. Called when there is room to write, so that nothing waits
    /// but what is to be said, and that once.
    pub(in crate::stream) fn next_frame(&mut self, cx: &mut Context<'_>) -> Option<Frame> {
        if cx.now >= self.next_ping_at {
            return Some(self.ping(cx));
        }
        if !self.leaving.is_empty() {
            return Some(self.unsubscribe());
        }
        let frame = self.subscribe(cx)?;
        // What it holds counts from the echo of a later ping on.
        self.next_ping_at = self.next_ping_at.min(self.last_ping_at.plus(cx.settings.ping_spacing));
        Some(frame)
    }

    /// Returns whether [`Session::next_frame`] would give one.
    pub(in crate::stream) fn has_frame(&self, cx: &Context<'_>) -> bool {
        cx.now >= self.next_ping_at || !self.leaving.is_empty() || self.next_organization(cx).is_some()
    }

    fn ping(&mut self, cx: &Context<'_>) -> Frame {
        self.last_ping += 1;
        // Noted before it is sent, as the lease is counted from here.
        self.pings.push_back((self.last_ping, cx.now));
        if self.pings.len() > PINGS_MAX {
            self.pings.pop_front();
        }
        self.last_ping_at = cx.now;
        self.next_ping_at = cx.now.plus(cx.settings.ping_every);
        Frame::Ping(Ping { number: self.last_ping })
    }

    fn unsubscribe(&mut self) -> Frame {
        let rest = self.leaving.iter().nth(ITEMS_MAX).copied();
        let rest = rest.map_or_else(BTreeSet::new, |first| self.leaving.split_off(&first));
        let subscription_ids = std::mem::replace(&mut self.leaving, rest).into_iter().collect();
        Frame::Unsubscribe(UnsubscribeFrame { subscription_ids })
    }

    /// Finds an organization of which something is to be subscribed to, and may be by now.
    fn next_organization(&self, cx: &Context<'_>) -> Option<&Arc<str>> {
        let may = |id: &Arc<str>| {
            let retry_at = cx.roster.organizations.get(id).and_then(|it| it.retry_at);
            retry_at.is_none_or(|at| cx.now >= at)
        };
        self.pending.keys().find(|id| may(id))
    }

    fn subscribe(&mut self, cx: &mut Context<'_>) -> Option<Frame> {
        loop {
            let organization = Arc::clone(self.next_organization(cx)?);
            let entries = self.take_pending(&organization, cx);
            let Some(first) = entries.first() else { continue };
            let known = cx.roster.organizations.get_mut(&organization)?;
            known.retry_at = None;
            let beside = known.told.beside().filter(|_| !self.begun.contains(&organization)).map(str::to_owned);
            self.begun.insert(Arc::clone(&organization));
            if let Some(at_least) = beside {
                // Two revisions must be taken in, and a frame names one: this frame has the replica take in the other. Its
                // answer belongs to nobody and lets itself go.
                self.last_id += 1;
                let item = Some(first.question.item());
                let only = crate::proto::Subscription { subscription_id: self.last_id, item, known_allowed: None };
                let numbers = entries.iter().map(|entry| entry.number);
                self.pending.entry(Arc::clone(&organization)).or_default().extend(numbers);
                return Some(Frame::Subscribe(SubscribeFrame {
                    organization_id: organization.to_string(),
                    subscriptions: vec![only],
                    at_least,
                }));
            }
            let at_least = known.told.newest().unwrap_or_default().to_owned();
            return Some(Frame::Subscribe(self.subscribe_to(&organization, entries, at_least, cx.now)));
        }
    }

    /// Takes as many entries of an organization out of what is pending as a frame has room for.
    fn take_pending(&mut self, organization: &Arc<str>, cx: &Context<'_>) -> Vec<Arc<Entry>> {
        let Some(mut numbers) = self.pending.remove(organization) else { return Vec::new() };
        let Some(known) = cx.roster.organizations.get(organization) else { return Vec::new() };
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while let Some(number) = numbers.first().copied() {
            if entries.len() >= ITEMS_MAX || bytes >= BYTES_MAX {
                break;
            }
            numbers.remove(&number);
            if let Some(entry) = known.entries.get(&number) {
                bytes += entry.question.item().encoded_len();
                entries.push(Arc::clone(entry));
            }
        }
        if !numbers.is_empty() {
            self.pending.insert(Arc::clone(organization), numbers);
        }
        entries
    }

    /// Makes a frame that subscribes to `entries`.
    fn subscribe_to(
        &mut self,
        organization: &Arc<str>,
        entries: Vec<Arc<Entry>>,
        at_least: String,
        now: Moment,
    ) -> SubscribeFrame {
        let (last, mut silent, mut asked) = (entries.len().saturating_sub(1), Vec::new(), Vec::new());
        for (at, entry) in entries.into_iter().enumerate() {
            self.last_id += 1;
            // The last one is always answered: where something else in the frame is said to be allowed, this answer tells that
            // the frame was taken in.
            let known = entry.known_allowed(now).filter(|is_allowed| !is_allowed || at < last);
            let known = known.filter(|_| at < last || silent.is_empty());
            if known == Some(true) {
                silent.push(self.last_id);
            }
            asked.push(crate::proto::Subscription {
                subscription_id: self.last_id,
                item: Some(entry.question.item()),
                known_allowed: known,
            });
            self.by_entry.insert(entry.number, self.last_id);
            // A denial stands until something else is told, also if what was known is dropped meanwhile for another stream.
            let verdict = match entry.known() {
                Known::Denied(reason) if known == Some(false) => Some(Verdict::Denied(reason)),
                _ => None,
            };
            let subscription =
                Subscription { entry, sent_at: now, verdict, is_owed: known.is_none(), is_leaving: false };
            self.subscriptions.insert(self.last_id, subscription);
        }
        if !silent.is_empty() {
            let (organization, after_ping) = (Arc::clone(organization), self.last_ping);
            self.batches.insert(self.last_id, Batch { organization, after_ping, is_taken: false, silent });
        }
        SubscribeFrame { organization_id: organization.to_string(), subscriptions: asked, at_least }
    }
}
