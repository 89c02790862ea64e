//! For whom organizations were found not to exist, for a moment: those that there are not, and those to which the caller does
//! not stand in any way. The two are kept alike, so that they cost a caller the same.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::clock::Monotonic;
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;

/// Most pairs of an organization and a caller.
const ABSENCES_MAX: usize = 10_000;

type Map<K, V> = HashMap<K, V, RandomState>;

/// Until when organizations do not exist, by organization and caller.
#[derive(Debug, Default)]
pub(super) struct Absences(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    until: Map<OrganizationId, Map<Subject, Monotonic>>,
    count: usize,
}

impl Absences {
    pub fn is_absent(&self, id: OrganizationId, caller: Subject, now: Monotonic) -> bool {
        let noted = self.0.lock();
        noted.until.get(&id).and_then(|callers| callers.get(&caller)).is_some_and(|until| now < *until)
    }

    pub fn note(&self, id: OrganizationId, caller: Subject, now: Monotonic, lasting: Duration) {
        let mut noted = self.0.lock();
        if noted.count >= ABSENCES_MAX {
            noted.until.retain(|_, callers| {
                callers.retain(|_, until| now < *until);
                !callers.is_empty()
            });
            noted.count = noted.until.values().map(Map::len).sum();
        }
        if noted.count < ABSENCES_MAX
            && noted.until.entry(id).or_default().insert(caller, Monotonic(now.0 + lasting)).is_none()
        {
            noted.count += 1;
        }
    }

    pub fn forget(&self, id: OrganizationId) {
        let mut noted = self.0.lock();
        let forgotten = noted.until.remove(&id).map_or(0, |callers| callers.len());
        noted.count -= forgotten;
    }

    pub fn forget_all(&self) {
        *self.0.lock() = Noted::default();
    }
}
