//! Whom a change touches among those who hold something: marked dirty, by subject and by target.

use super::{Links, NONE, Record, Registry, Target};
use crate::authz::index::OrganizationIndex;
use crate::authz::touched::Touched;
use crate::domain::id::OrganizationId;
use crate::domain::place::{ResourceKey, Subject};

/// Above so many distinct subjects and targets a change of many is left to the streams: each looks at all it holds.
const LOOKED_AT_MAX: usize = 20_000;

impl Registry {
    /// Marks what a change touches, and wakes the streams that hold any of it.
    pub fn mark(
        &mut self,
        organization: OrganizationId,
        touched: &Touched,
        before: Option<&OrganizationIndex>,
        after: Option<&OrganizationIndex>,
    ) {
        if self.streams.is_empty() || touched.is_nothing() {
            return;
        }
        let indexes: Vec<&OrganizationIndex> = before.into_iter().chain(after).collect();
        if touched.everything || !self.mark_found(touched, &indexes) {
            self.sweep_all();
        }
        for holder in self.streams.values_mut() {
            holder.is_caller_dirty |= touched.everything || touched.subjects.contains(&holder.caller)
                // As a member of a group, say.
                || !touched.many.is_empty();
            if holder.has_work() {
                holder.inbox.mark(organization);
            }
        }
    }

    /// Marks what can be found; `false` if there is too much to look through.
    fn mark_found(&mut self, touched: &Touched, indexes: &[&OrganizationIndex]) -> bool {
        for subject in &touched.subjects {
            self.mark_list(self.first_of(*subject), |record| record.subjects);
        }
        for target in &touched.targets {
            let first = self.known_target(Some(target)).map(|target| self.targets[target as usize].first);
            self.mark_list(first, |record| record.targets);
        }
        if !touched.sessions.is_empty() {
            // Rare: few subscriptions are about sessions.
            let bears =
                |record: &Record| record.session.as_ref().is_some_and(|session| touched.sessions.contains(&session.id));
            let held = self.streams.values().flat_map(|holder| &holder.records);
            let found: Vec<u32> = held.copied().filter(|id| bears(&self.records[*id as usize])).collect();
            for id in found {
                self.mark_one(id);
            }
        }
        for place in &touched.below {
            if self.by_target.len() > LOOKED_AT_MAX {
                return false;
            }
            self.mark_below(place, indexes);
        }
        for (group, place) in &touched.many {
            match (group, place) {
                (_, Some(place)) if self.by_target.len() <= self.by_subject.len().min(LOOKED_AT_MAX) => {
                    self.mark_below(place, indexes);
                }
                (Some(group), _) if self.by_subject.len() <= LOOKED_AT_MAX => {
                    let is_in = |subject: &Subject| match subject {
                        Subject::User(user) => indexes.iter().any(|index| index.is_in_group(*user, *group)),
                        Subject::ServiceAccount(_) => false,
                    };
                    let found = self.by_subject.iter().filter(|first| is_in(&self.records[**first as usize].subject));
                    let found: Vec<u32> = found.copied().collect();
                    for first in found {
                        self.mark_list(Some(first), |record| record.subjects);
                    }
                }
                (_, Some(place)) if self.by_target.len() <= LOOKED_AT_MAX => self.mark_below(place, indexes),
                _ => return false,
            }
        }
        true
    }

    /// Marks all that is asked of `place` and of what stands under it.
    fn mark_below(&mut self, place: &ResourceKey, indexes: &[&OrganizationIndex]) {
        let is_below = |target: &Target| {
            let key = target.key.as_ref();
            key.is_some_and(|key| key == place || indexes.iter().any(|index| index.is_under(key, place)))
        };
        let found = self.by_target.iter().map(|number| &self.targets[*number as usize]);
        let found: Vec<u32> = found.filter(|target| is_below(target)).map(|target| target.first).collect();
        for first in found {
            self.mark_list(Some(first), |record| record.targets);
        }
    }

    fn mark_list(&mut self, first: Option<u32>, links: impl Fn(&Record) -> Links) {
        let mut next = first.unwrap_or(NONE);
        while next != NONE {
            self.mark_one(next);
            next = links(&self.records[next as usize]).next;
        }
    }

    pub(super) fn mark_one(&mut self, id: u32) {
        let record = &mut self.records[id as usize];
        if !std::mem::replace(&mut record.is_dirty, true)
            && let Some(holder) = self.streams.get_mut(&record.stream)
        {
            holder.dirty.push(id);
        }
    }

    fn sweep_all(&mut self) {
        for holder in self.streams.values_mut() {
            holder.sweep = holder.records.len();
        }
    }
}
