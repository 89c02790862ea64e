//! Instants as the log and both databases keep them, and which ones a request may name.

use std::ops::RangeInclusive;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{Error, Reason};

/// How far ahead of ours the time may be that somebody else of this installation has written down.
pub const AHEAD_MAX: Duration = Duration::from_mins(1);

/// A point in time: whole microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Reads an instant of the years 1 to 9999 (RFC 3339), as in `2026-11-22T12:00:00.5+01:00`; what is below a
    /// microsecond is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The library takes any mark there.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return None;
        }
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok().filter(|instant| instant.year() >= 1)?;
        i64::try_from(instant.unix_timestamp_nanos().div_euclid(1_000)).ok().map(Self)
    }

    /// Returns microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns whole milliseconds since the Unix epoch; zero before it.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0 / 1_000).unwrap_or(0)
    }

    /// Adds `duration`, stopping at the last instant that can be told.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// Subtracts `duration`, stopping at the first instant that can be told.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// Returns the time from `earlier` to `self`, zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Ensures that an end, if there is one, is still to come; `field` names it in the violation.
///
/// # Errors
/// - [`Reason::OutOfRange`].
pub fn must_be_ahead(field: &str, end: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    match end {
        Some(end) if end <= now => Err(Error::invalid(field, Reason::OutOfRange, "must be in the future")),
        _ => Ok(()),
    }
}

/// Ensures that a time is not shorter and not longer than it may be; `field` names it in the violation.
///
/// # Errors
/// - [`Reason::OutOfRange`].
pub fn must_last(field: &str, time: Duration, range: &RangeInclusive<Duration>) -> Result<(), Error> {
    if range.contains(&time) {
        return Ok(());
    }
    let message = format!("must be from {} to {}", spelled(*range.start()), spelled(*range.end()));
    Err(Error::invalid(field, Reason::OutOfRange, message))
}

/// Returns a time in whole seconds, or in milliseconds if it has a part of one.
fn spelled(time: Duration) -> String {
    if time.subsec_nanos() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_after_now_and_a_time_is_within_its_range() {
        let now = Timestamp::from_micros(10);
        let ahead = |end: i64| must_be_ahead("end", Some(Timestamp::from_micros(end)), now).is_ok();
        assert_eq!([9, 10, 11].map(ahead), [false, false, true]);
        assert!(must_be_ahead("end", None, now).is_ok());

        let range = Duration::from_millis(1)..=Duration::from_secs(30);
        let nanos = |count| must_last("age", Duration::from_nanos(count), &range).is_ok();
        assert_eq!([999_999, 1_000_000, 30_000_000_000, 30_000_000_001].map(nanos), [false, true, true, false]);
        let told = must_last("age", Duration::ZERO, &range).unwrap_err().to_string();
        assert!(told.contains("age must be from 1 ms to 30 s"), "{told}");
    }

    #[test]
    fn instants_are_read() {
        let micros = |text| Timestamp::parse(text).map(Timestamp::as_micros);
        assert_eq!(micros("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(micros("2026-11-22T12:00:00Z"), Some(1_795_348_800_000_000));
        assert_eq!(micros("2026-11-22T13:00:00.25+01:00"), Some(1_795_348_800_250_000));
        assert_eq!(micros("2024-02-29T23:59:59.1234567Z"), Some(1_709_251_199_123_456));
        assert_eq!(micros("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        assert_eq!(micros("2024-02-29t23:59:59.1234567z"), Some(1_709_251_199_123_456));
        assert_eq!(micros("1969-12-31T23:59:59.9999999Z"), Some(-1));
        for wrong in [
            "",
            "2026-11-22",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "x",
            "\u{e4}",
            "2026-11-22T12:00:00",
            "2026-11-22 12:00:00Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00+1:00",
            "2026-11-22T12:00:00+24:00",
            "2026-11-22T12:00:60Z",
            "0000-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
    }
}
