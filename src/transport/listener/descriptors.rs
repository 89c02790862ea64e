//! How many files the process may open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files for all else: the database, the other listener, logs, mails.
const OTHERS: usize = 512;

/// Returns how many of `wanted` connections there can be. Raises the limit as far as the process may.
pub(super) fn room_for(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(wanted + OTHERS).unwrap_or(u64::MAX);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= needed {
        return wanted;
    }
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let is_raised = raised > current && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit }).is_ok();
    let files = if is_raised { raised } else { current };
    if files >= needed {
        return wanted;
    }
    // Where there are few, half of them.
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let room = files.saturating_sub(OTHERS).max(files / 2).max(1);
    tracing::warn!(
        files,
        connections = room,
        "the process may open too few files for --connections, so there are fewer"
    );
    room
}
