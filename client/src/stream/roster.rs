//! What is to be subscribed to, whatever stream there is: questions by organization, and how far each was told to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Moment;
use crate::held::{Entry, Lease};

/// The newest revisions that were told of one organization. They are opaque: only a server can compare them.
///
/// A change names the revision that it was computed at. A progress names one up to which every turn has been sent: as a
/// rule a newer one, but the first after a change may be older. So both are kept until the second.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Told {
    change: Option<String>,
    progress: Option<String>,
}

impl Told {
    pub(super) fn change(&mut self, revision: String) {
        if !revision.is_empty() {
            *self = Self { change: Some(revision), progress: None };
        }
    }

    pub(super) fn progress(&mut self, revision: String) {
        if revision.is_empty() {
            return;
        }
        if self.progress.is_some() || self.change.as_ref() == Some(&revision) {
            self.change = None;
        }
        self.progress = Some(revision);
    }

    /// Goes over to what another stream, perhaps on another replica, was told.
    pub(super) fn follow(&mut self, other: Self) {
        if let Some(told) = other.progress.or(other.change) {
            *self = Self { change: self.newest().map(str::to_owned), progress: Some(told) };
        }
    }

    /// Returns what a stream must take in at the least.
    pub(super) fn newest(&self) -> Option<&str> {
        self.progress.as_deref().or(self.change.as_deref())
    }

    /// Returns what it must take in beside [`Told::newest`], if it is not known to.
    pub(super) fn beside(&self) -> Option<&str> {
        self.progress.as_ref().and(self.change.as_deref())
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// What is held of one organization.
#[derive(Default, Debug)]
pub(super) struct Organization {
    /// By number.
    pub(super) entries: BTreeMap<u64, Arc<Entry>>,
    pub(super) told: Told,
    /// Resets in a row.
    pub(super) failures: u32,
    /// Not to be subscribed to before.
    pub(super) retry_at: Option<Moment>,
}

/// All that is held.
#[derive(Default, Debug)]
pub(super) struct Roster {
    pub(super) organizations: BTreeMap<Arc<str>, Organization>,
}

impl Roster {
    /// Takes `entry` in, unless it is there.
    pub(super) fn add(&mut self, entry: &Arc<Entry>) {
        let organization = self.organizations.entry(entry.question.shared_organization()).or_default();
        organization.entries.insert(entry.number, Arc::clone(entry));
    }

    /// Lets `entry` go, and with the last one the organization.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let Some(organization) = self.organizations.get_mut(entry.question.organization()) else { return };
        organization.entries.remove(&entry.number);
        if organization.entries.is_empty() {
            self.organizations.remove(entry.question.organization());
        }
    }

    pub(super) fn contains(&self, entry: &Entry) -> bool {
        self.organizations.get(entry.question.organization()).is_some_and(|it| it.entries.contains_key(&entry.number))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.organizations.values().flat_map(|it| it.entries.values())
    }

    /// Takes everything from under the lease of a stream that ends, so that no lease of another one lengthens it.
    pub(super) fn freeze(&self, lease: &Lease) {
        let until = lease.get();
        self.entries().for_each(|entry| entry.freeze(until));
        lease.set(Moment::default());
    }

    /// Forgets every answer and revision: the history that they were told of is no more.
    pub(super) fn forget(&mut self) {
        for organization in self.organizations.values_mut() {
            organization.told.forget();
            organization.entries.values().for_each(|entry| entry.publish(crate::held::Known::Nothing));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_right_after_a_change_does_not_hide_it() {
        let mut told = Told::default();
        told.progress("r4".into());
        told.change("r6".into());
        assert_eq!((told.newest(), told.beside()), (Some("r6"), None));

        told.progress("r5".into());
        assert_eq!((told.newest(), told.beside()), (Some("r5"), Some("r6")), "either may be the newer");
        told.progress("r7".into());
        assert_eq!((told.newest(), told.beside()), (Some("r7"), None));

        told.change("r8".into());
        told.progress("r8".into());
        assert_eq!((told.newest(), told.beside()), (Some("r8"), None), "the same one");
    }

    #[test]
    fn going_over_to_another_replica_forgets_nothing() {
        let (mut told, mut other) = (Told::default(), Told::default());
        told.progress("a5".into());
        other.change("b3".into());
        told.follow(other);
        assert_eq!((told.newest(), told.beside()), (Some("b3"), Some("a5")));
        told.follow(Told::default());
        assert_eq!(told.newest(), Some("b3"));
    }
}
