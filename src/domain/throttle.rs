//! When a try is refused because too many before it were: tries of one address from one source, addresses tried from one
//! source, and refusals of one address in a row. What is counted is named by a [`Key`], never by an address.

use std::time::Duration;

use super::time::Timestamp;

/// Refusals in a row below which an address is forgotten a day after the last one, and not a month.
pub const FEW: u32 = 10;
/// After how long refusals are forgotten: of an address with fewer than [`FEW`] in a row, and of any.
pub const REMEMBERED: (Duration, Duration) = (Duration::from_hours(24), Duration::from_hours(30 * 24));
/// How long is to be waited for tries that are under way: they may yet be refused.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// Names what is counted: a keyed hash, from which nobody without the installation's key learns an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// Stands where nothing further is named.
    pub const NONE: Self = Self([0; 16]);
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// How many tries may be refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Of one address from one source, or of one bearer, within the window.
    pub tries: u32,
    /// How long refusals count, from the first on.
    pub window: Duration,
    /// Distinct addresses from one source within the window.
    pub addresses: u32,
    /// Of one address in a row, over all sources, before the next try has to wait.
    pub free: u32,
    /// Of one address in a row, until the wait is the longest. A device token ends at as many.
    pub row: u32,
    /// How long the first wait is, about, and the longest.
    pub delay: (Duration, Duration),
}

impl Limits {
    /// Returns how long an address waits after so many refusals in a row: from the first delay on, each further refusal makes
    /// it longer by the same factor, up to the longest.
    #[must_use]
    pub fn delay_after(&self, in_a_row: u32) -> Duration {
        let (first, longest) = self.delay;
        if in_a_row < self.free {
            return Duration::ZERO;
        }
        if in_a_row >= self.row || first.is_zero() {
            return if in_a_row >= self.row { longest } else { first };
        }
        let share = f64::from(in_a_row - self.free) / f64::from(self.row - self.free);
        let factor = (longest.as_secs_f64() / first.as_secs_f64()).max(1.0).powf(share);
        Duration::try_from_secs_f64(first.as_secs_f64() * factor).unwrap_or(longest).min(longest)
    }

    /// Returns how long a try has to wait whose kind was refused as `refusals` say, while `under_way` are being decided;
    /// `None` if it need not.
    #[must_use]
    pub fn wait_in_window(&self, refusals: Refusals, under_way: u32, now: Timestamp) -> Option<Duration> {
        let refused = refusals.within(self.window, now);
        if refused >= self.tries {
            return Some(refusals.window_began_at.plus(self.window).since(now));
        }
        (refused.saturating_add(under_way) >= self.tries).then_some(UNDER_WAY)
    }

    /// Returns how long a try of an address has to wait, as [`wait_in_window`](Self::wait_in_window) does, for its refusals
    /// in a row.
    #[must_use]
    pub fn wait_in_a_row(&self, refusals: Refusals, under_way: u32, now: Timestamp) -> Option<Duration> {
        let next = refusals.last_at.plus(self.delay_after(refusals.in_a_row));
        if refusals.in_a_row >= self.free && now < next {
            return Some(next.since(now));
        }
        let spare = self.free.saturating_sub(refusals.in_a_row).max(1);
        (under_way >= spare).then_some(UNDER_WAY)
    }

    /// Returns how long a source has to wait whose refusals of each address are these, with the number under way.
    #[must_use]
    pub fn wait_of_source(&self, of_each: impl Iterator<Item = (Refusals, u32)>, now: Timestamp) -> Option<Duration> {
        let (mut ends, mut under_way) = (Vec::new(), 0);
        for (refusals, tries) in of_each {
            if refusals.within(self.window, now) > 0 {
                ends.push(refusals.window_began_at.plus(self.window));
            } else if tries > 0 {
                under_way += 1;
            }
        }
        let most = self.addresses as usize;
        if ends.len() >= most {
            ends.sort_unstable();
            // Once this one has ended there is room for one more.
            return ends.get(ends.len() - most.max(1)).map(|end| end.since(now));
        }
        (ends.len() + under_way >= most).then_some(UNDER_WAY)
    }
}

/// What was refused of one thing that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusals {
    /// When the first within the window was.
    pub window_began_at: Timestamp,
    /// Within the window.
    pub in_window: u32,
    /// Since the last success.
    pub in_a_row: u32,
    /// When the last was.
    pub last_at: Timestamp,
}

impl Default for Refusals {
    fn default() -> Self {
        let never = Timestamp::from_micros(0);
        Self { window_began_at: never, in_window: 0, in_a_row: 0, last_at: never }
    }
}

impl Refusals {
    /// Makes the refusals of one try.
    #[must_use]
    pub fn one(now: Timestamp) -> Self {
        Self { window_began_at: now, in_window: 1, in_a_row: 1, last_at: now }
    }

    /// Returns whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_window == 0 && self.in_a_row == 0
    }

    /// Returns how many are within the window that began with the first.
    #[must_use]
    pub fn within(&self, window: Duration, now: Timestamp) -> u32 {
        if now < self.window_began_at.plus(window) { self.in_window } else { 0 }
    }

    /// Adds refusals that were counted elsewhere, or later: a window that had ended by then gives way to theirs. The
    /// database adds by the same rule.
    #[must_use]
    pub fn and(self, more: Self, window: Duration) -> Self {
        if more.is_empty() {
            return self;
        }
        let is_over = self.in_window == 0 || more.window_began_at >= self.window_began_at.plus(window);
        Self {
            window_began_at: if is_over { more.window_began_at } else { self.window_began_at },
            in_window: if is_over { more.in_window } else { self.in_window.saturating_add(more.in_window) },
            in_a_row: self.in_a_row.saturating_add(more.in_a_row),
            last_at: self.last_at.max(more.last_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        tries: 10,
        window: Duration::from_mins(15),
        addresses: 50,
        free: 10,
        row: 100,
        delay: (Duration::from_secs(1), Duration::from_hours(1)),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_000_000 * seconds)
    }

    fn refused(times: u32, first: i64) -> Refusals {
        (0..times).fold(Refusals::default(), |so_far, _| so_far.and(Refusals::one(at(first)), LIMITS.window))
    }

    #[test]
    fn an_address_waits_longer_after_each_refusal_up_to_an_hour() {
        let delays: Vec<u64> = (0..120).map(|in_a_row| LIMITS.delay_after(in_a_row).as_secs()).collect();
        assert!(delays.is_sorted());
        assert_eq!(delays[9..12], [0, 1, 1]);
        assert_eq!((delays[40], delays[70], delays[99]), (15, 234, 3_286));
        assert_eq!(delays[100..], [3_600; 20]);
        // A hundred guesses take most of a day; then there are 24 a day.
        assert!((8 * 3_600..24 * 3_600).contains(&delays[..100].iter().sum::<u64>()));
    }

    #[test]
    fn tries_wait_for_the_end_of_the_window_and_for_those_under_way() {
        let wait = |times, under_way, now| LIMITS.wait_in_window(refused(times, 100), under_way, at(now));
        assert_eq!(wait(9, 0, 200), None);
        assert_eq!(wait(9, 1, 200), Some(UNDER_WAY));
        assert_eq!(wait(10, 0, 200), Some(Duration::from_secs(800)));
        assert_eq!(wait(10, 0, 1_000), None);
    }

    #[test]
    fn past_the_free_tries_one_at_a_time_is_decided() {
        let wait = |times, under_way, now| LIMITS.wait_in_a_row(refused(times, 100), under_way, at(now));
        assert_eq!((wait(0, 9, 100), wait(0, 10, 100)), (None, Some(UNDER_WAY)));
        assert_eq!((wait(9, 0, 100), wait(9, 1, 100)), (None, Some(UNDER_WAY)));
        assert_eq!(wait(10, 0, 100), Some(Duration::from_secs(1)));
        assert_eq!((wait(10, 0, 101), wait(10, 1, 101)), (None, Some(UNDER_WAY)));
        assert_eq!((wait(100, 0, 3_699), wait(100, 0, 3_700)), (Some(Duration::from_secs(1)), None));
    }

    #[test]
    fn a_source_waits_until_one_of_its_addresses_is_forgotten() {
        let each = |count: i64| (0..count).map(|number| (refused(1, number), 0));
        assert_eq!(LIMITS.wait_of_source(each(49), at(50)), None);
        assert_eq!(LIMITS.wait_of_source(each(50), at(50)), Some(Duration::from_secs(850)));
        assert_eq!(LIMITS.wait_of_source(each(60), at(60)), Some(Duration::from_secs(850)));
        assert_eq!(LIMITS.wait_of_source(each(50), at(900)), None);
        let one_more = |tries| each(49).chain([(Refusals::default(), tries)]);
        assert_eq!(LIMITS.wait_of_source(one_more(0), at(50)), None);
        assert_eq!(LIMITS.wait_of_source(one_more(1), at(50)), Some(UNDER_WAY));
    }

    proptest! {
        #[test]
        fn what_is_counted_in_parts_is_in_a_row_what_is_counted_at_once(
            mut times in prop::collection::vec(0_i64..2_000, 0..20),
            at_once in 0_usize..20,
        ) {
            times.sort_unstable();
            let count = |times: &[i64]| {
                let add = |so_far: Refusals, time: &i64| so_far.and(Refusals::one(at(*time)), LIMITS.window);
                times.iter().fold(Refusals::default(), add)
            };
            let (before, after) = times.split_at(at_once.min(times.len()));
            let (whole, parts) = (count(&times), count(before).and(count(after), LIMITS.window));
            prop_assert_eq!((whole.in_a_row, whole.last_at), (parts.in_a_row, parts.last_at));
        }
    }
}
