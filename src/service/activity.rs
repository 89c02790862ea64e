//! When people were last active in their organizations, to the minute (AX-11): noted in memory by their calls, and written in
//! batches beside them. It is no fact, makes no revision, and is in no etag.
//!
//! Active is who signs in, in every organization they are in, and who makes a call that names an organization, in that one.
//! To be asked about is no activity.

use parking_lot::Mutex;
use std::collections::HashMap;

use super::Services;
use crate::domain::error::Error;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::time::Timestamp;

/// Most notes that wait; more are lost until there is room.
const NOTES_MAX: usize = 100_000;
/// How exactly it is told.
const MINUTE: i64 = 60_000_000;

/// Who was active where, since it was last written; nowhere in particular is in all organizations of theirs.
#[derive(Default)]
pub struct Activity {
    notes: Mutex<HashMap<(UserId, Option<OrganizationId>), Timestamp>>,
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activity").field("notes", &self.notes.lock().len()).finish()
    }
}

impl Activity {
    /// Notes that `user` is active in an organization, or in all of theirs.
    pub fn note(&self, user: UserId, organization: Option<OrganizationId>, now: Timestamp) {
        let minute = Timestamp::from_micros(now.as_micros().div_euclid(MINUTE) * MINUTE);
        let mut notes = self.notes.lock();
        if notes.len() < NOTES_MAX || notes.contains_key(&(user, organization)) {
            let at = notes.entry((user, organization)).or_insert(minute);
            *at = minute.max(*at);
        }
    }
}

impl Services {
    /// Writes what was noted so far. What cannot be written is noted again.
    pub async fn write_activity(&self) -> Result<(), Error> {
        let notes = std::mem::take(&mut *self.activity.notes.lock());
        let mut by_minute: HashMap<Timestamp, Vec<(UserId, Option<OrganizationId>)>> = HashMap::new();
        for (who, at) in notes {
            by_minute.entry(at).or_default().push(who);
        }
        let mut first_error = None;
        for (at, who) in by_minute {
            if let Err(error) = self.store.members_active(&who, at).await {
                first_error.get_or_insert(error);
                for (user, organization) in who {
                    self.activity.note(user, organization, at);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}
