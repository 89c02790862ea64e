//! Counts what was refused, in memory: a refused try writes nothing. About once a second what was counted is added to
//! the database, all in one go, and whatever is read there takes the place of what this process knew of it.
//!
//! So each replica counts by itself for up to a second, and lets through as many tries as the limits say; and what a
//! process counted in its last second is lost if it is killed. docs/reliability.md says what that comes to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Services;
use crate::clock::{Env, Monotonic};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::throttle::{Key, Limits, Refusals};
use crate::store::{RefusalsRow, Settled};

/// Most things that are counted at once: what takes 200 bytes each.
const ENTRIES_MAX: usize = 50_000;
/// How long what was read of the database is good enough to refuse by, without reading it again.
const FRESH: Duration = Duration::from_secs(1);
/// How long what nobody asks about is kept in memory.
const KEPT: Duration = Duration::from_mins(1);
/// After how long a call may be tried again that came when no more could be counted.
const RETRY: Duration = Duration::from_secs(1);

/// What a try is counted under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tried {
    /// An address, from a source: how often it is tried from there, and how many addresses are.
    FromSource { source: Key, address: Key },
    /// An address, from anywhere: how often it was refused in a row.
    Address(Key),
    /// Something that its bearer alone can present: how often it is tried.
    Bearer(Key),
}

impl Tried {
    fn entry(self) -> (Key, Key) {
        match self {
            Self::FromSource { source, address } => (source, address),
            Self::Address(key) | Self::Bearer(key) => (key, Key::NONE),
        }
    }

    /// Returns what the database is asked about.
    pub fn subject(self) -> Key {
        self.entry().0
    }

    /// Names the limit for whoever is refused by it.
    fn limit(self) -> &'static str {
        match self {
            Self::FromSource { .. } => "source",
            Self::Address(_) => "address",
            Self::Bearer(_) => "token",
        }
    }
}

/// Counts refusals. Cloning it is cheap, and clones share the counts.
#[derive(Clone)]
pub struct Throttle {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    limits: Limits,
    counts: Mutex<Counts>,
    /// How many were refused by a limit since it was last told.
    limited: AtomicU64,
}

#[derive(Default)]
struct Counts {
    /// By what is counted, and for a source by the address besides.
    entries: BTreeMap<(Key, Key), Entry>,
    /// How many times it was written to the database.
    written: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    /// What the database holds, as far as this process knows.
    stored: Refusals,
    /// What it is still to be told.
    fresh: Refusals,
    /// Whether it is still to be told that all before [`fresh`](Self::fresh) is forgotten.
    is_forgiven: bool,
    /// How many tries are being decided.
    under_way: u32,
    /// When `stored` was read or last needed.
    read_at: Monotonic,
    /// The number of the write that told the database of it last.
    written_by: u64,
}

impl Default for Entry {
    fn default() -> Self {
        let (stored, fresh) = (Refusals::default(), Refusals::default());
        let read_at = Monotonic(Duration::ZERO);
        Self { stored, fresh, is_forgiven: false, under_way: 0, read_at, written_by: 0 }
    }
}

impl Entry {
    fn refusals(&self, limits: &Limits) -> Refusals {
        self.stored.and(self.fresh, limits.window)
    }

    fn is_settled(&self) -> bool {
        self.fresh.is_empty() && !self.is_forgiven && self.under_way == 0
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("entries", &self.shared.counts.lock().entries.len()).finish()
    }
}

impl Throttle {
    /// Makes a throttle that has counted nothing.
    #[must_use]
    pub fn new(env: Env, limits: Limits) -> Self {
        let (counts, limited) = (Mutex::default(), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { env, limits, counts, limited }) }
    }

    /// Returns what it refuses by.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Refuses what is known to be over a limit, by what was read of the database just now: nothing else is done for
    /// it.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`].
    pub fn must_be_within(&self, tried: &[Tried]) -> Result<(), Error> {
        let since = self.shared.env.clock.monotonic().0.saturating_sub(FRESH);
        let is_fresh = |entry: &Entry| entry.read_at.0 >= since;
        self.shared.judge(&self.shared.counts.lock(), tried, is_fresh)
    }

    /// Returns where the counting stands, to be taken before the database is read.
    pub fn mark(&self) -> Mark {
        Mark(self.shared.counts.lock().written)
    }

    /// Takes in what was read of the database after `mark`, and begins a try that is refused unless it says otherwise.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`]; the try has not begun then.
    /// - [`Reason::PasswordsBusy`] if nothing more can be counted.
    pub fn begin(&self, tried: &[Tried], mark: Mark, read: &[RefusalsRow]) -> Result<Try, Error> {
        let now = self.shared.env.clock.monotonic();
        let mut counts = self.shared.counts.lock();
        if counts.entries.len() + tried.len() + read.len() > ENTRIES_MAX {
            return Err(Error::new(Reason::PasswordsBusy, "too much is counted").retry_after(RETRY));
        }
        counts.take_in(tried, mark, read, now);
        self.shared.judge(&counts, tried, |_| true)?;
        for tried in tried {
            counts.entries.entry(tried.entry()).or_default().under_way += 1;
        }
        Ok(Try { shared: Arc::clone(&self.shared), tried: tried.to_vec(), end: End::Refused })
    }

    /// Takes what the database is to be told. Until [`end`](Self::end) says otherwise it is taken to know.
    fn take(&self) -> Settled {
        let mut counts = self.shared.counts.lock();
        let number = counts.written + 1;
        let mut settled = Settled::default();
        for ((subject, address), entry) in &mut counts.entries {
            if entry.is_forgiven {
                settled.forgiven.push((*subject, *address));
            }
            if !entry.fresh.is_empty() {
                settled.added.push(RefusalsRow { subject: *subject, address: *address, refusals: entry.fresh });
            }
            if entry.is_forgiven || !entry.fresh.is_empty() {
                entry.stored = entry.refusals(&self.shared.limits);
                (entry.fresh, entry.is_forgiven, entry.written_by) = (Refusals::default(), false, number);
            }
        }
        settled
    }

    /// Takes in that the database knows what was [taken](Self::take), or that it does not, and drops what nobody asks
    /// about.
    fn end(&self, settled: &Settled, is_written: bool) {
        let since = self.shared.env.clock.monotonic().0.saturating_sub(KEPT);
        let mut counts = self.shared.counts.lock();
        counts.written += 1;
        if !is_written {
            let window = self.shared.limits.window;
            for row in &settled.added {
                let entry = counts.entries.entry((row.subject, row.address)).or_default();
                // A success in between has forgiven these.
                if !entry.is_forgiven {
                    entry.fresh = row.refusals.and(entry.fresh, window);
                }
                // What the database holds is read again before it counts.
                (entry.stored, entry.read_at) = (Refusals::default(), Monotonic(Duration::ZERO));
            }
            for entry in &settled.forgiven {
                counts.entries.entry(*entry).or_default().is_forgiven = true;
            }
        }
        let (limits, now) = (&self.shared.limits, self.shared.env.now());
        counts.entries.retain(|(_, address), entry| {
            let is_over = *address != Key::NONE && entry.stored.within(limits.window, now) == 0;
            !entry.is_settled() || (entry.read_at.0 >= since && !is_over)
        });
    }

    /// Returns how many tries a limit refused since this was asked last.
    pub fn limited(&self) -> u64 {
        self.shared.limited.swap(0, Ordering::Relaxed)
    }
}

impl Shared {
    /// Refuses a try that is over a limit, by the entries that `counts_in` picks.
    fn judge(&self, counts: &Counts, tried: &[Tried], counts_in: impl Fn(&Entry) -> bool) -> Result<(), Error> {
        let now = self.env.now();
        let limits = &self.limits;
        let of = |entry: &Entry| (entry.refusals(limits), entry.under_way);
        for tried in tried {
            let entry = counts.entries.get(&tried.entry()).filter(|entry| counts_in(entry)).map(of).unwrap_or_default();
            let wait = match *tried {
                Tried::FromSource { source, .. } => {
                    let each = counts.of(source).filter(|(_, entry)| counts_in(entry)).map(|(_, entry)| of(entry));
                    limits.wait_in_window(entry.0, entry.1, now).or_else(|| limits.wait_of_source(each, now))
                }
                Tried::Address(_) => limits.wait_in_a_row(entry.0, entry.1, now),
                Tried::Bearer(_) => limits.wait_in_window(entry.0, entry.1, now),
            };
            if let Some(wait) = wait {
                self.limited.fetch_add(1, Ordering::Relaxed);
                let message = format!("too many tries: the limit of this {} is reached", tried.limit());
                return Err(Error::new(Reason::RateLimited, message).about("limit", tried.limit()).retry_after(wait));
            }
        }
        Ok(())
    }
}

impl Counts {
    fn of(&self, subject: Key) -> impl Iterator<Item = (&(Key, Key), &Entry)> {
        self.entries.range((subject, Key([u8::MIN; 16]))..=(subject, Key([u8::MAX; 16])))
    }

    /// Puts what was read in the place of what was known. Where this process has told the database of an entry only
    /// after the reading began, what it read may be from before, and what it knows is newer.
    fn take_in(&mut self, tried: &[Tried], mark: Mark, read: &[RefusalsRow], now: Monotonic) {
        for tried in tried {
            let subject = tried.subject();
            let all = (subject, Key([u8::MIN; 16]))..=(subject, Key([u8::MAX; 16]));
            for (_, entry) in self.entries.range_mut(all) {
                if entry.written_by <= mark.0 {
                    entry.stored = Refusals::default();
                }
                entry.read_at = now;
            }
        }
        for row in read {
            let entry = self.entries.entry((row.subject, row.address)).or_default();
            if entry.written_by <= mark.0 && !entry.is_forgiven {
                entry.stored = row.refusals;
            }
            entry.read_at = now;
        }
    }
}

/// Where the counting stood before the database was read.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// A try that is being decided. Dropped, it was refused: whoever hangs up has tried all the same.
pub struct Try {
    shared: Arc<Shared>,
    tried: Vec<Tried>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Refused,
    Succeeded,
    Undecided,
}

impl Try {
    /// Ends the try with success: what was refused before is forgotten.
    pub fn succeeded(mut self) {
        self.end = End::Succeeded;
    }

    /// Ends the try by what came of it: refused is what the caller is to blame for.
    pub fn ended_as<T>(self, outcome: &Result<T, Error>) {
        match outcome.as_ref().map_err(Error::kind) {
            Ok(_) => self.succeeded(),
            Err(Kind::Unavailable | Kind::Aborted | Kind::DeadlineExceeded | Kind::Internal) => self.undecided(),
            Err(_) => {}
        }
    }

    /// Ends the try without an outcome: something of ours failed, and it counts for nothing.
    pub fn undecided(mut self) {
        self.end = End::Undecided;
    }
}

impl std::fmt::Debug for Try {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Try")
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        let (now, read_at) = (self.shared.env.now(), self.shared.env.clock.monotonic());
        let mut counts = self.shared.counts.lock();
        for tried in &self.tried {
            let entry = counts.entries.entry(tried.entry()).or_default();
            (entry.under_way, entry.read_at) = (entry.under_way.saturating_sub(1), read_at);
            match self.end {
                End::Refused => entry.fresh = entry.fresh.and(Refusals::one(now), self.shared.limits.window),
                End::Succeeded => {
                    entry.is_forgiven |= !entry.stored.is_empty();
                    (entry.stored, entry.fresh) = (Refusals::default(), Refusals::default());
                }
                End::Undecided => {}
            }
        }
    }
}

impl Services {
    /// Begins a try that no other has begun for: reads what the database holds of it, and refuses it over a limit.
    ///
    /// # Errors
    /// As [`Throttle::begin`].
    pub(super) async fn try_once(&self, tried: &[Tried]) -> Result<Try, Error> {
        self.throttle.must_be_within(tried)?;
        let mark = self.throttle.mark();
        let subjects: Vec<Key> = tried.iter().map(|tried| tried.subject()).collect();
        let read = self.store.reads().refusals(&subjects, self.since_window()).await?;
        self.throttle.begin(tried, mark, &read)
    }

    /// Returns since when refusals from a source count.
    pub(super) fn since_window(&self) -> crate::domain::time::Timestamp {
        self.env.now().minus(self.throttle.limits().window)
    }

    /// Writes what was counted so far. What cannot be written is counted again.
    pub async fn write_refusals(&self) -> Result<(), Error> {
        let settled = self.throttle.take();
        if settled.is_empty() {
            self.throttle.end(&settled, true);
            return Ok(());
        }
        let written = self.store.refusals_settle(&settled, self.throttle.limits().window).await;
        self.throttle.end(&settled, written.is_ok());
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    const ADDRESS: Key = Key([1; 16]);
    const SOURCE: Key = Key([2; 16]);

    fn throttle() -> Throttle {
        let delay = (Duration::from_secs(1), Duration::from_hours(1));
        let (window, free) = (Duration::from_mins(15), 10);
        Throttle::new(Env::system(), Limits { tries: 10, window, addresses: 50, free, row: 100, delay })
    }

    fn tried() -> Vec<Tried> {
        vec![Tried::FromSource { source: SOURCE, address: ADDRESS }, Tried::Address(ADDRESS)]
    }

    fn stored(throttle: &Throttle, times: u32) -> RefusalsRow {
        let one = Refusals::one(throttle.shared.env.now());
        let refusals = Refusals { in_window: times, in_a_row: times, ..one };
        RefusalsRow { subject: ADDRESS, address: Key::NONE, refusals }
    }

    fn fail(throttle: &Throttle, times: u32) {
        for _ in 0..times {
            drop(throttle.begin(&tried(), throttle.mark(), &[]).expect("within the limits"));
        }
    }

    /// How often the address was refused in a row, as far as the throttle knows.
    fn known(throttle: &Throttle) -> u32 {
        let counts = throttle.shared.counts.lock();
        counts.entries.get(&(ADDRESS, Key::NONE)).map_or(0, |entry| entry.refusals(throttle.limits()).in_a_row)
    }

    fn begin(throttle: &Throttle, mark: Mark, read: &[RefusalsRow]) -> Result<Try, Reason> {
        throttle.begin(&tried(), mark, read).map_err(|error| error.reason)
    }

    #[test]
    fn what_is_read_and_what_is_not_yet_written_count_together() {
        let throttle = throttle();
        fail(&throttle, 4);
        let row = stored(&throttle, 5);
        begin(&throttle, throttle.mark(), &[row]).expect("nine so far").undecided();
        assert_eq!(known(&throttle), 9);
        drop(begin(&throttle, throttle.mark(), &[row]));
        assert_eq!(begin(&throttle, throttle.mark(), &[row]).err(), Some(Reason::RateLimited));
        assert_eq!(throttle.must_be_within(&tried()).map_err(|error| error.reason), Err(Reason::RateLimited));
        assert_eq!(throttle.limited(), 2);
    }

    #[test]
    fn reading_before_a_write_has_ended_does_not_hide_what_it_wrote() {
        let throttle = throttle();
        fail(&throttle, 6);
        let before = throttle.mark();
        let settled = throttle.take();
        assert_eq!(settled.added.len(), 2);
        let during = throttle.mark();
        throttle.end(&settled, true);
        for mark in [before, during] {
            begin(&throttle, mark, &[]).expect("six so far").undecided();
            assert_eq!(known(&throttle), 6);
        }
        // Read after it, it is what counts.
        begin(&throttle, throttle.mark(), &[stored(&throttle, 7)]).expect("seven so far").undecided();
        assert_eq!(known(&throttle), 7);
        begin(&throttle, throttle.mark(), &[]).expect("none").undecided();
        assert_eq!(known(&throttle), 0);
        assert!(throttle.take().is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_written_the_next_time() {
        let throttle = throttle();
        fail(&throttle, 3);
        let settled = throttle.take();
        fail(&throttle, 1);
        throttle.end(&settled, false);
        let again = throttle.take();
        let counts: Vec<u32> = again.added.iter().map(|row| row.refusals.in_a_row).collect();
        assert_eq!(counts, [4, 4]);
        throttle.end(&again, true);
        assert!(throttle.take().is_empty());
    }

    #[test]
    fn a_success_ends_the_row_here_at_once_and_in_the_database_with_the_next_write() {
        let throttle = throttle();
        let row = stored(&throttle, 8);
        begin(&throttle, throttle.mark(), &[row]).expect("eight so far").succeeded();
        assert_eq!(known(&throttle), 0);
        // The database does not know yet.
        drop(begin(&throttle, throttle.mark(), &[row]).expect("none so far"));
        assert_eq!(known(&throttle), 1);
        let settled = throttle.take();
        assert_eq!(settled.forgiven, [(ADDRESS, Key::NONE)]);
        assert_eq!(settled.added.iter().map(|row| row.refusals.in_a_row).collect::<Vec<_>>(), [1, 1]);

        // A write that fails is no reason to bring back what was forgiven since.
        begin(&throttle, throttle.mark(), &[]).expect("one so far").succeeded();
        throttle.end(&settled, false);
        let again = throttle.take();
        assert!(again.added.iter().all(|row| row.subject != ADDRESS), "{again:?}");
        assert_eq!(known(&throttle), 0);
    }

    #[test]
    fn tries_under_way_count_until_they_are_decided() {
        let throttle = throttle();
        let tries: Vec<Try> = (0..10).map(|_| begin(&throttle, throttle.mark(), &[]).expect("ten at once")).collect();
        assert_eq!(begin(&throttle, throttle.mark(), &[]).err(), Some(Reason::RateLimited));
        for tried in tries {
            tried.undecided();
        }
        assert!(begin(&throttle, throttle.mark(), &[]).is_ok());
    }

    #[test]
    fn what_nobody_asks_about_is_dropped_once_it_is_written_and_no_more_is_kept_than_fits() {
        let throttle = throttle();
        fail(&throttle, 1);
        let settled = throttle.take();
        for entry in throttle.shared.counts.lock().entries.values_mut() {
            entry.read_at = Monotonic(Duration::ZERO);
        }
        throttle.end(&settled, true);
        assert!(throttle.shared.counts.lock().entries.is_empty());

        let many: Vec<RefusalsRow> = (0..u32::try_from(ENTRIES_MAX).expect("a small number"))
            .map(|number| {
                let mut key = [3; 16];
                key[..4].copy_from_slice(&number.to_be_bytes());
                RefusalsRow {
                    subject: Key(key),
                    address: Key::NONE,
                    refusals: Refusals::one(Timestamp::from_micros(1)),
                }
            })
            .collect();
        assert_eq!(begin(&throttle, throttle.mark(), &many).err(), Some(Reason::PasswordsBusy));
        assert!(size_of::<((Key, Key), Entry)>() * ENTRIES_MAX <= 8 << 20);
    }
}
