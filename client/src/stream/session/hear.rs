//! What a stream is told.

use std::sync::Arc;
use std::time::Duration;

use super::super::Context;
use super::{Proof, Session, Verdict};
use crate::answer::{self, DenialReason};
use crate::clock::Moment;
use crate::held::{Entry, Known};
use crate::proto::stream_checks_response::Frame;
use crate::proto::{ChangeFrame, Decision, Progress, Reset};

/// What of a frame concerns others than the session.
#[derive(Debug, Default)]
pub(in crate::stream) struct Heard {
    /// The stream will end at the latest after this time.
    pub(in crate::stream) draining: Option<Duration>,
    /// What was answered anew.
    pub(in crate::stream) changed: Vec<Arc<Entry>>,
}

impl Session {
    /// Takes a frame in.
    pub(in crate::stream) fn hear(&mut self, frame: Frame, cx: &mut Context<'_>) -> Heard {
        let mut heard = Heard::default();
        match frame {
            Frame::Changes(frame) => heard.changed = self.changes(frame, cx),
            Frame::Progress(progress) => self.progress(progress, cx),
            Frame::Reset(reset) => self.reset(&reset, cx),
            Frame::Draining(draining) => heard.draining = Some(Duration::from_millis(draining.grace_ms)),
            // Checks are asked by calls.
            Frame::Decisions(_) => {}
        }
        heard
    }

    fn changes(&mut self, frame: ChangeFrame, cx: &mut Context<'_>) -> Vec<Arc<Entry>> {
        let age = Duration::from_millis(frame.age_ms);
        let mut changed = Vec::with_capacity(frame.changes.len());
        for change in frame.changes {
            let decision = change.decision.unwrap_or_default();
            if let Some(entry) = self.change(change.subscription_id, &decision, age, cx) {
                changed.push(entry);
            }
        }
        if let Some(organization) = cx.roster.organizations.get_mut(frame.organization_id.as_str()) {
            organization.failures = 0;
        }
        self.tell(&frame.organization_id, cx, |told| told.change(frame.revision));
        changed
    }

    fn change(&mut self, id: u64, decision: &Decision, age: Duration, cx: &mut Context<'_>) -> Option<Arc<Entry>> {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            if id <= self.last_id {
                // Let go, while this was on its way; or made for a revision only.
                self.leaving.insert(id);
            }
            return None;
        };
        // It was computed after this: after the frame that asked for it, and after the echo that came before it.
        let echoed = self.proof.map_or(self.opened_at, |proof| proof.sent_at);
        let computed_after = subscription.sent_at.max(echoed);
        if let Some(Verdict::Allowed(until)) = subscription.verdict {
            self.turns.remove(&(until, id));
        }
        let verdict = match answer::read(decision) {
            None => Verdict::Unproven,
            Some(Err(reason)) => Verdict::Denied(reason),
            Some(Ok(())) => {
                let valid_for = decision.valid_for_ms.map(Duration::from_millis);
                let margin = cx.settings.lease_margin;
                let until = valid_for.map_or(Moment::new(Duration::MAX), |it| computed_after.plus(it).minus(margin));
                if valid_for.is_some() {
                    self.turns.insert((until, id));
                }
                Verdict::Allowed(until)
            }
        };
        subscription.verdict = Some(verdict);
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.is_taken = true;
        }
        if subscription.is_leaving {
            self.leaving.insert(id);
            self.subscriptions.remove(&id);
            return None;
        }
        let entry = Arc::clone(&subscription.entry);
        if matches!(verdict, Verdict::Allowed(_)) {
            self.cover(id, computed_after, age, cx);
        }
        if let Some(subscription) = self.subscriptions.get(&id) {
            self.publish(subscription);
        }
        Some(entry)
    }

    /// Has a fresh "allow" covered by the newest echo: the lease ends no later than the age of this very answer lets it. The
    /// next echo covers it as it covers all.
    fn cover(&mut self, id: u64, computed_after: Moment, age: Duration, cx: &mut Context<'_>) {
        let Some(proof) = &mut self.proof else {
            self.uncovered.push(id);
            return;
        };
        let until = computed_after.plus(proof.lease).minus(age).minus(cx.settings.lease_margin);
        if until < proof.until {
            proof.until = until;
            if self.is_current {
                cx.set_lease(until);
            }
        }
    }

    fn progress(&mut self, progress: Progress, cx: &mut Context<'_>) {
        let newest = self.proof.map_or(0, |proof| proof.ping);
        let sent = self.pings.iter().find(|(number, _)| *number == progress.ping_number).copied();
        // Of another stream, made up, or told before: it proves nothing.
        let Some((ping, sent_at)) = sent.filter(|(number, _)| *number > newest) else { return };
        self.pings.retain(|(number, _)| *number > ping);
        self.heard_at = cx.now;
        let lease = Duration::from_millis(progress.lease_ms).min(cx.settings.lease_max);
        let age = Duration::from_millis(progress.age_ms);
        let until = sent_at.plus(lease).minus(age).minus(cx.settings.lease_margin);
        let is_first = self.proof.replace(Proof { ping, sent_at, lease, until }).is_none();
        if self.is_current {
            cx.set_lease(until);
        }
        if is_first {
            for id in std::mem::take(&mut self.uncovered) {
                if let Some(subscription) = self.subscriptions.get(&id) {
                    self.publish(subscription);
                }
            }
        }
        self.count_silence(ping);
        for organization in progress.organizations {
            self.tell(&organization.organization_id, cx, |told| told.progress(organization.revision));
        }
    }

    /// Takes the silence about what was said to be allowed for an answer, where this echo covers it: the server has taken the
    /// frame in, and the ping was sent after it.
    fn count_silence(&mut self, ping: u64) {
        let covered = self.batches.extract_if(.., |_, batch| batch.is_taken && ping > batch.after_ping);
        let silent: Vec<u64> = covered.flat_map(|(_, batch)| batch.silent).collect();
        for id in silent {
            let Some(subscription) = self.subscriptions.get_mut(&id) else { continue };
            if subscription.verdict.is_none() {
                let until = subscription.entry.valid_until();
                subscription.verdict = Some(Verdict::Allowed(until));
                if until < Moment::new(Duration::MAX) {
                    self.turns.insert((until, id));
                }
                if let Some(subscription) = self.subscriptions.get(&id) {
                    self.publish(subscription);
                }
            }
        }
    }

    /// Drops what is held of an organization, and subscribes to it anew: at once, or later if that would help little.
    fn reset(&mut self, reset: &Reset, cx: &mut Context<'_>) {
        let id = reset.organization_id.as_str();
        let Some(organization) = cx.roster.organizations.get_mut(id) else { return };
        tracing::debug!(organization = id, reason = reset.reason, "the subscriptions of an organization were reset");
        let (known, delay) = match reset.reason.as_str() {
            "PERMISSION_MISSING" | "NOT_FOUND" => {
                (Known::Denied(DenialReason::Refused), Some(cx.settings.refused_retry))
            }
            "REVISION_VANISHED" | "REVISION_INVALID" => {
                organization.told.forget();
                self.told.remove(id);
                (Known::Nothing, (organization.failures > 0).then(|| cx.settings.backoff.delay(organization.failures)))
            }
            _ => (Known::Nothing, Some(cx.settings.backoff.delay(organization.failures))),
        };
        organization.failures = organization.failures.saturating_add(1);
        organization.retry_at = delay.map(|delay| cx.now.plus(delay));
        let entries: Vec<_> = organization.entries.values().map(Arc::clone).collect();

        self.begun.remove(id);
        self.batches.retain(|_, batch| &*batch.organization != id);
        let gone = self.subscriptions.extract_if(.., |_, it| it.entry.question.organization() == id);
        for (id, subscription) in gone {
            self.by_entry.remove(&subscription.entry.number);
            // A frame that was on its way when this was said may have been taken in after it.
            self.leaving.insert(id);
        }
        for entry in entries {
            if self.is_current || known != Known::Nothing {
                entry.publish(known);
            }
            self.pending.entry(entry.question.shared_organization()).or_default().insert(entry.number);
        }
    }
}
