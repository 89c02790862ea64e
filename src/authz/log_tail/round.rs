//! Rounds of comparing: every loaded head with the one in the database, some with each poll.
//!
//! A poll finds what was committed in the history that it knows. That another database answers, it can fail to notice: a
//! copy has the names of the original, and its transactions may be numbered past where the poll had come. So within every
//! half of the hard bound all heads and tags are compared besides. This needs no order of commits at all.

use super::LogTail;
use crate::clock::Monotonic;
use crate::domain::id::OrganizationId;

/// How many heads of organizations are compared with each poll, unless a round in time needs more.
const COMPARED: usize = 1_000;
/// How many heads one statement reads: the installation's, too.
pub(super) const HEADS_MAX: usize = COMPARED + 1;

/// One time around all that is loaded. What is loaded after its beginning was read after it.
#[derive(Debug)]
pub(super) struct Round {
    begun_at: Monotonic,
    /// What is still to be compared.
    left: Vec<OrganizationId>,
    /// When the poll before was sent.
    asked_at: Monotonic,
}

impl Round {
    pub fn new(now: Monotonic) -> Self {
        Self { begun_at: now, left: Vec::new(), asked_at: now }
    }

    /// Returns what is to be compared with the poll that is sent at `asked_at`: all of it if `is_everything`, or if the
    /// round would come too late otherwise.
    pub fn part(&mut self, log: &LogTail, asked_at: Monotonic, is_everything: bool) -> Vec<OrganizationId> {
        let bound = log.settings.staleness_bound;
        // Polls are jittered; one that takes longer makes the parts after it larger.
        let longest = log.settings.poll_interval * 3 / 2;
        let gap = asked_at.since(self.asked_at).max(longest);
        self.asked_at = asked_at;
        // Two rounds fit into the bound: what changed just after it was compared is found by the next.
        let half = (bound / 2).saturating_sub(longest * 2);
        let due = if self.left.is_empty() { asked_at.0 } else { self.begun_at.0 } + half;
        let due = due.min((log.round_at().0 + bound).saturating_sub(longest));

        let is_everything = is_everything || due < asked_at.0;
        if self.left.is_empty() || is_everything {
            self.left = log.cache.entries().into_iter().map(|(id, _)| id).collect();
            self.begun_at = asked_at;
        }
        if is_everything {
            return std::mem::take(&mut self.left);
        }
        let polls = 1 + due.saturating_sub(asked_at.0).as_nanos() / gap.as_nanos().max(1);
        let part = self.left.len().div_ceil(usize::try_from(polls).unwrap_or(usize::MAX)).max(COMPARED);
        self.left.split_off(self.left.len().saturating_sub(part))
    }

    /// Returns when the round began, if all of it is compared.
    pub fn completed(&self) -> Option<Monotonic> {
        self.left.is_empty().then_some(self.begun_at)
    }
}
