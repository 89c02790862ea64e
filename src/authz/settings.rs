//! How the engine behaves.

use std::time::Duration;

/// How the engine behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Past this age nothing is allowed any more; also the age that a call accepts if it names none.
    pub staleness_bound: Duration,
    /// About how often the poller asks what moved.
    pub poll_interval: Duration,
    /// How long a client may trust an answer, less the age that `progress` reports.
    pub lease: Duration,
    /// Most organizations loaded at once; callers of others wait.
    pub loads_max: usize,
    /// Most calls that wait for a load; above it `INDEX_LOADING`.
    pub load_waiters_max: usize,
    /// Most of these of one caller.
    pub load_waiters_each_max: usize,
    /// How many bytes the organizations in memory may take. Above it those go that were asked about least recently;
    /// subscriptions keep theirs, up to four fifths of it. One that is larger by itself is kept alone.
    pub bytes_max: usize,
    /// How long it is remembered that an organization does not exist for a caller.
    pub absence: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            staleness_bound: Duration::from_secs(30),
            poll_interval: Duration::from_millis(250),
            lease: Duration::from_secs(5),
            loads_max: 4,
            load_waiters_max: 1_000,
            load_waiters_each_max: 100,
            bytes_max: 1 << 30,
            absence: Duration::from_secs(1),
        }
    }
}
