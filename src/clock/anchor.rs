//! The rule by which a process keeps time: its own count goes on, and a clock that can be set anchors it.
//!
//! Time never goes back and never runs slower than half or faster than one and a half of the monotonic clock. Whatever
//! the anchor deviates by is made up for at those speeds, with one exception: where it is ahead by more than
//! [`STEP`], nothing is made up for until it has said so for [`CONFIRMED`], and then time jumps there.
//! Pure: it is handed readings, and reads no clock.

use std::time::Duration;

use super::Monotonic;
use crate::domain::time::Timestamp;

/// A deviation above this is a step: the anchor was set, it has not drifted.
pub const STEP: Duration = Duration::from_secs(5);
/// For how long an anchor that is ahead must have said so before it is followed.
pub const CONFIRMED: Duration = Duration::from_mins(1);
/// Readings that lie further apart do not confirm what was between them.
const GAP: Duration = Duration::from_secs(10);
/// What the anchor said, at some moment between the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The anchor's time.
    pub time: Timestamp,
    /// The moment at which it was asked.
    pub asked_at: Monotonic,
    /// The moment at which it had answered.
    pub answered_at: Monotonic,
}

impl Reading {
    /// Returns by how many microseconds the anchor has certainly moved against the monotonic clock since `earlier`.
    fn stepped_since(&self, earlier: &Self) -> i64 {
        let least = micros(self.asked_at.since(earlier.answered_at));
        let most = micros(self.answered_at.since(earlier.asked_at));
        outside(difference(self.time, earlier.time), least, most)
    }
}

/// How time runs from one moment on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Course {
    from: Monotonic,
    time: Timestamp,
    /// Microseconds to make up for, at one and a half speed; lost at half speed if negative.
    slew: i64,
}

impl Course {
    /// Returns the time at `moment`.
    pub fn at(&self, moment: Monotonic) -> Timestamp {
        let passed = micros(moment.since(self.from));
        plus(self.time, passed.saturating_add(self.slewed(passed)))
    }

    /// Returns how long after `moment` the time is `instant`; zero if it has come.
    pub fn until(&self, instant: Timestamp, moment: Monotonic) -> Duration {
        let left = difference(instant, self.at(moment)).max(0);
        let slew = self.slew - self.slewed(micros(moment.since(self.from)));
        let moments = if slew >= 0 {
            if left / 3 < slew { left - left / 3 } else { left - slew }
        } else {
            left.saturating_add(left.min(-slew))
        };
        Duration::from_micros(moments.cast_unsigned())
    }

    /// Returns what has been made up for when so much has passed.
    fn slewed(&self, passed: i64) -> i64 {
        self.slew.clamp(-(passed / 2), passed / 2)
    }

    /// Returns by how many microseconds the anchor is certainly ahead of the time; negative if it is behind.
    fn deviation(&self, reading: &Reading) -> i64 {
        let least = difference(self.at(reading.asked_at), self.time);
        let most = difference(self.at(reading.answered_at), self.time);
        outside(difference(reading.time, self.time), least, most)
    }
}

/// What was noticed of the anchor, each with how far it was off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It is behind, by a step: time slows until it has caught up.
    Back(Duration),
    /// It is ahead, by a step: it is followed once that is confirmed.
    Forward(Duration),
    /// A step forward was confirmed, and time jumped.
    Followed(Duration),
    /// A step forward was taken back before it was confirmed.
    Withdrawn,
}

/// Keeps time by an anchor.
#[derive(Clone, Debug)]
pub struct Anchor {
    course: Course,
    last: Reading,
    deviation: i64,
    off: Option<Off>,
    /// The newest instant that was on record at the beginning, if the anchor was before it by a step.
    recorded: Option<Timestamp>,
}

/// An anchor that is off by more than a step.
#[derive(Clone, Copy, Debug)]
enum Off {
    Behind,
    Ahead { since: Monotonic },
}

impl Anchor {
    /// Begins where the anchor is.
    pub fn new(reading: Reading) -> Self {
        let course = Course { from: reading.answered_at, time: reading.time, slew: 0 };
        Self { course, last: reading, deviation: 0, off: None, recorded: None }
    }

    /// Begins where the anchor is, but not before `recorded`, the newest instant that is on record. Where the anchor is before
    /// that by a step it begins `unrecorded` past it: a process that was killed had not put the last of its time on record.
    pub fn not_before(reading: Reading, recorded: Timestamp, unrecorded: Duration) -> Self {
        let mut anchor = Self::by_the_anchor(reading, recorded);
        if reading.time < recorded {
            // Less than a step is how far two servers' clocks may be apart: what is on record is another's time of now.
            let is_behind = anchor.recorded.is_some();
            let time = if is_behind { recorded.plus(unrecorded) } else { recorded };
            anchor.deviation = difference(reading.time, time);
            anchor.course = Course { time, slew: anchor.deviation, ..anchor.course };
            anchor.off = is_behind.then_some(Off::Behind);
        }
        anchor
    }

    /// Begins where the anchor is, even if that is before `recorded`.
    pub fn by_the_anchor(reading: Reading, recorded: Timestamp) -> Self {
        let is_behind = recorded.since(reading.time) > STEP;
        Self { recorded: is_behind.then_some(recorded), ..Self::new(reading) }
    }

    /// Returns how time runs.
    pub fn course(&self) -> Course {
        self.course
    }

    /// Returns by how many microseconds the anchor was ahead of the time when it was last read; negative if behind.
    pub fn deviation(&self) -> i64 {
        self.deviation
    }

    /// Returns how long the anchor still is before the newest instant that was on record at the beginning, if it is.
    pub fn behind_record(&self, now: Monotonic) -> Option<Duration> {
        let anchor = self.last.time.plus(now.since(self.last.answered_at));
        self.recorded.map(|recorded| recorded.since(anchor)).filter(|behind| !behind.is_zero())
    }

    /// Takes a reading into account, at `now`, and returns what is new about it.
    pub fn observe(&mut self, reading: Reading, now: Monotonic) -> Option<Step> {
        self.deviation = self.course.deviation(&reading);
        let last = std::mem::replace(&mut self.last, reading);
        let stepped = reading.stepped_since(&last);
        let is_gapless = reading.asked_at.since(last.answered_at) <= GAP;
        let before = self.off.take();
        let by = Duration::from_micros(self.deviation.unsigned_abs());
        self.course = Course { from: now, time: self.course.at(now), slew: self.deviation };

        if !is_step(self.deviation) {
            return matches!(before, Some(Off::Ahead { .. })).then_some(Step::Withdrawn);
        }
        if self.deviation < 0 {
            self.off = Some(Off::Behind);
            let is_known = matches!(before, Some(Off::Behind)) && !(stepped < 0 && is_step(stepped));
            return (!is_known).then_some(Step::Back(by));
        }
        self.course.slew = 0;
        let (is_known, since) = match before {
            Some(Off::Ahead { since }) if !is_step(stepped) && is_gapless => (true, since),
            Some(Off::Ahead { .. }) if !is_step(stepped) => (true, reading.answered_at),
            _ => (false, reading.answered_at),
        };
        if reading.asked_at.since(since) >= CONFIRMED {
            self.course.time = self.course.time.plus(by);
            self.deviation = 0;
            return Some(Step::Followed(by));
        }
        self.off = Some(Off::Ahead { since });
        (!is_known).then_some(Step::Forward(by))
    }
}

fn is_step(deviation: i64) -> bool {
    deviation.unsigned_abs() > micros(STEP).unsigned_abs()
}

/// Returns by how much `value` is above `most` or, negative, below `least`.
fn outside(value: i64, least: i64, most: i64) -> i64 {
    if value > most { value.saturating_sub(most) } else { value.saturating_sub(least).min(0) }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Returns how far apart two instants are, 70,000 years at the most, so that a few of them can be added up.
fn difference(later: Timestamp, earlier: Timestamp) -> i64 {
    later.as_micros().saturating_sub(earlier.as_micros()).clamp(i64::MIN / 4, i64::MAX / 4)
}

fn plus(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(time.as_micros().saturating_add(micros))
}

#[cfg(test)]
mod tests;
