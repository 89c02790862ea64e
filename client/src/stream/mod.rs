//! The stream that keeps held answers current, and why what it keeps may be trusted.
//!
//! # What has to hold
//!
//! A held "allow" counts at an instant `t` of this client's clock only if it was true, at the server, not longer than a lease
//! before `t`. A held "deny" always counts. Everything below follows from this, without assuming anything of delays, buffers,
//! stopped processes, or of how the clocks of two machines differ; only that both clocks run at the same rate, that the
//! client's also runs while it is suspended, and that the server keeps to the contract:
//!
//! - **(order)** frames of one stream arrive in the order in which they were computed;
//! - **(progress)** when `progress` is computed, everything that had turned up to then, less its age, has been sent for the
//!   subscriptions that the server has taken in;
//! - **(echo)** `progress` names a ping that the server has read;
//! - **(frame)** a subscribe frame is taken in as a whole.
//!
//! # The lease
//!
//! Ping n is noted with the time *before* it is sent. Its echo was computed later. So at the echo, everything held on this
//! stream was true at an instant after `sent(n) - age`, and may be trusted while `now < sent(n) + lease - age`; how long the
//! echo took on its way makes no difference but to what is left of it. A margin is taken off for what lies between the test and
//! the act. The newest echo replaces the one before, also with an earlier end.
//!
//! - **An echo of another stream proves nothing.** Numbers and times of pings are the session's; an echo is taken only if this
//!   session has sent that ping, and no newer one was echoed. Whatever stream n-1 still says is not read any more.
//! - **A new stream does not lengthen what an old one told.** When the current stream ends, every "allow" under its lease is
//!   *frozen*: rewritten to count by itself until the lease's last known end, before any other lease is published. It leaves this
//!   state only by what the new stream tells. Readers take no lock: they read the word of the entry, the lease, the clock, and the
//!   word again; so an "allow" of one stream never meets the lease of another.
//!
//! # Answers and silence
//!
//! - **A told answer** (a change) proves that the server has taken the subscription in; from the next echo on it is covered as all.
//!   Until then it counts under the newest echo before it, as it was computed after that; but it says its own age, which may be
//!   larger than the echo's. Then the end of the lease is brought forward to `computed_after + lease - age of the answer`, where
//!   `computed_after` is the newest instant that surely was before: the sending of the ping echoed before it, or of the frame that
//!   subscribed. Before the first echo an "allow" does not count. A "deny" counts at once, whatever was echoed.
//! - **Silence** is an answer where the client said what it knows: then only a difference is sent. That nothing came is worth
//!   nothing until the server is known to have looked. An echo alone does not tell: a server may read a ping before it has taken in
//!   a subscribe frame that was sent earlier (it has to load the organization first, say). So wherever an "allow" is said to be
//!   known, the last subscription of the frame is asked *without* a known answer. Its answer tells that the frame was taken in
//!   (frame), and an echo received after it, of a ping sent after the frame, covers the silence (progress). An "allow" that this
//!   concerns stays frozen until then. Silence about a known "deny" needs no proof.
//! - **Ids are never used again** within a stream. So an answer on its way to a subscription that was let go is not taken for one
//!   about its successor; it would otherwise count its validity from a frame that was sent after it was computed.
//!
//! # The validity of one answer
//!
//! `valid_for_ms` is counted by the server from when it computed the answer, which the client does not know. It is counted here
//! from `computed_after`, which is earlier: so the end may come early, by the time on the way and up to the distance of two
//! pings, and never late. The server tells when it turns. If it does not, the grant was perhaps prolonged, which is no turn; so a
//! second later the question is subscribed to anew.
//!
//! # Never behind
//!
//! Streams are opened with `at_least`, the newest revision that was told of the organization. Revisions are opaque, so that of two
//! only a server knows the newer one; where it is not clear both are named, in a frame each (`Told`).
//!
//! # Two streams at once
//!
//! While a stream drains, the next one is opened beside it. What that tells is collected and not published, but for denials; and
//! what the draining stream is told meanwhile is asked anew of the next one. When the next one holds everything under a lease of
//! its own, what the old lease covers is frozen, the lease is exchanged, and its answers are published.
//!
//! # Resets
//!
//! `reset` means that the subscriptions of an organization are gone. What was held counts no more, in every case; nothing is said
//! to be known when it is subscribed to anew. If this service may not be told (`PERMISSION_MISSING`, `NOT_FOUND`), its questions are
//! denied, and asked anew slowly. If the history vanished, the revision is forgotten too.
//!
//! # Memory
//!
//! What waits to be sent is derived when there is room to write, from the questions that are held; there is no queue beside four
//! frames. Pings that wait for an echo are bounded. So a server that reads slowly, or not at all, costs nothing.

use tokio::sync::Notify;

use crate::clock::Moment;
use crate::held::Lease;

mod link;
mod roster;
mod session;
mod settings;
mod task;

use roster::Roster;
pub(crate) use settings::{Backoff, Settings};
pub(crate) use task::Task;

/// What a session works on, and the time.
struct Context<'a> {
    roster: &'a mut Roster,
    settings: &'a Settings,
    /// The lease of the current stream, where everyone reads it.
    lease: &'a Lease,
    /// Rung when a lease begins again after it has lapsed, or ends earlier than it was to.
    renewed: &'a Notify,
    now: Moment,
}

impl Context<'_> {
    /// Publishes the end of the current stream's lease.
    fn set_lease(&self, until: Moment) {
        let before = self.lease.get();
        self.lease.set(until);
        if before <= self.now || until < before {
            self.renewed.notify_waiters();
        }
    }
}
