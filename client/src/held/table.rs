//! All questions that are held: found in a few dozen nanoseconds, bounded in number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::RandomState;
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::entry::Entry;
use crate::error::Error;
use crate::question::Question;

/// Parts of the table, each with a lock of its own, so that readers on many cores rarely meet.
const SHARDS: u8 = 64;

/// All questions that are held.
#[derive(Debug)]
pub(crate) struct Table {
    /// Keyed, because who asks often lets others choose the ids in it.
    hasher: RandomState,
    shards: Box<[RwLock<HashTable<Arc<Entry>>>]>,
    /// What only changes when something is held or let go. Locked before a shard.
    registry: Mutex<Registry>,
    capacity: usize,
    capacity_on_use: usize,
    /// Rung when the stream's task has something to look at.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct Registry {
    last_number: u64,
    count: usize,
    /// What was held anew or let go by its last holder, each at most once.
    queue: Vec<Arc<Entry>>,
    /// What is held on use, in the order in which the clock hand of the bound comes by.
    on_use: VecDeque<Arc<Entry>>,
}

impl Table {
    /// Makes an empty table for `capacity` questions, of which the client itself may hold `capacity_on_use`.
    pub(crate) fn new(capacity: usize, capacity_on_use: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            registry: Mutex::default(),
            capacity,
            capacity_on_use: capacity_on_use.min(capacity),
            changed: Notify::new(),
        }
    }

    /// Hands the entry of `question` to `read`, if it is held.
    #[inline]
    pub(crate) fn with<T>(&self, question: &Question, read: impl FnOnce(&Arc<Entry>) -> T) -> Option<T> {
        let hash = self.hasher.hash_one(question);
        self.shard(hash).read().find(hash, |entry| entry.question == *question).map(read)
    }

    #[inline]
    fn shard(&self, hash: u64) -> &RwLock<HashTable<Arc<Entry>>> {
        // Not the bits that the table itself goes by.
        &self.shards[usize::from(hash.to_le_bytes()[4] % SHARDS)]
    }

    /// Holds `question` for one more holder.
    ///
    /// # Errors
    /// - [`Error::QuestionMalformed`], [`Error::HeldExhausted`].
    pub(crate) fn hold(&self, question: &Question) -> Result<Arc<Entry>, Error> {
        question.must_fit_a_frame()?;
        let mut registry = self.registry.lock();
        self.hold_one(&mut registry, question)
    }

    fn hold_one(&self, registry: &mut Registry, question: &Question) -> Result<Arc<Entry>, Error> {
        let entry = match self.with(question, Arc::clone) {
            Some(entry) => entry,
            None => {
                if registry.count >= self.capacity && !self.evict(registry) {
                    return Err(Error::HeldExhausted(self.capacity));
                }
                registry.last_number += 1;
                registry.count += 1;
                let entry = Entry::new(registry.last_number, question.clone());
                let hash = self.hasher.hash_one(question);
                let rehash = |entry: &Arc<Entry>| self.hasher.hash_one(&entry.question);
                self.shard(hash).write().insert_unique(hash, Arc::clone(&entry), rehash);
                entry
            }
        };
        if entry.holders.fetch_add(1, Ordering::Relaxed) == 0 {
            self.enqueue(registry, &entry);
        }
        Ok(entry)
    }

    /// Counts one more holder of what is held.
    pub(crate) fn hold_again(&self, entry: &Entry) {
        let _registry = self.registry.lock();
        entry.holders.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets go for one holder.
    pub(crate) fn release(&self, entry: &Arc<Entry>) {
        self.release_one(&mut self.registry.lock(), entry);
    }

    fn release_one(&self, registry: &mut Registry, entry: &Arc<Entry>) {
        if entry.holders.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.enqueue(registry, entry);
        }
    }

    /// Has the client itself hold `question`, because it was asked about; in place of another if its bound is reached.
    /// Does nothing if the client may hold nothing, or the question cannot be held.
    pub(crate) fn hold_on_use(&self, question: &Question) {
        if self.capacity_on_use == 0 || question.must_fit_a_frame().is_err() {
            return;
        }
        let mut registry = self.registry.lock();
        if self.with(question, |entry| entry.is_held_on_use()) == Some(true) {
            return;
        }
        if registry.on_use.len() >= self.capacity_on_use {
            self.evict(&mut registry);
        }
        if let Ok(entry) = self.hold_one(&mut registry, question) {
            entry.hold_on_use();
            registry.on_use.push_back(entry);
        }
    }

    /// Lets go of what is held on use and was asked about least lately, as far as one mark tells ("second chance"). Says
    /// whether a place came free at once.
    fn evict(&self, registry: &mut Registry) -> bool {
        while let Some(entry) = registry.on_use.pop_front() {
            if entry.take_used() {
                registry.on_use.push_back(entry);
                continue;
            }
            entry.let_go_on_use();
            self.release_one(registry, &entry);
            if entry.holders.load(Ordering::Relaxed) == 0 {
                // Taken out here, and not when the task comes by, so that the bound is exact.
                self.remove(registry, &entry);
                return true;
            }
        }
        false
    }

    fn remove(&self, registry: &mut Registry, entry: &Arc<Entry>) {
        let hash = self.hasher.hash_one(&entry.question);
        if let Ok(found) = self.shard(hash).write().find_entry(hash, |it| Arc::ptr_eq(it, entry)) {
            found.remove();
            registry.count -= 1;
        }
    }

    fn enqueue(&self, registry: &mut Registry, entry: &Arc<Entry>) {
        if !entry.is_queued.swap(true, Ordering::Relaxed) {
            registry.queue.push(Arc::clone(entry));
        }
        self.changed.notify_one();
    }

    /// Takes what was held anew or let go since it was called last, and says of each whether it is held. What is not is out
    /// of the table.
    pub(crate) fn take_changed(&self) -> Vec<(Arc<Entry>, bool)> {
        let mut registry = self.registry.lock();
        let queue = std::mem::take(&mut registry.queue);
        let judged = queue.into_iter().map(|entry| {
            entry.is_queued.store(false, Ordering::Relaxed);
            let is_held = entry.holders.load(Ordering::Relaxed) > 0;
            if !is_held {
                self.remove(&mut registry, &entry);
            }
            (entry, is_held)
        });
        judged.collect()
    }

    /// Counts the questions that are held.
    pub(crate) fn count(&self) -> usize {
        self.registry.lock().count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Subject;

    fn question(number: usize) -> Question {
        Question::new("018f4e9a-7b3c-7def-8a12-0123456789ab", Subject::user(number.to_string()), "a.b")
    }

    fn holds(table: &Table, number: usize) -> bool {
        table.with(&question(number), |_| ()).is_some()
    }

    #[test]
    fn the_same_question_twice_is_one_entry_until_both_let_go() {
        let table = Table::new(10, 0);
        let (one, two) = (table.hold(&question(1)).unwrap(), table.hold(&question(1)).unwrap());
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(table.take_changed().len(), 1);

        table.release(&one);
        assert!(table.take_changed().is_empty());
        table.release(&two);
        assert!(matches!(table.take_changed().as_slice(), [(_, false)]));
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn the_bound_holds_and_gives_way_to_what_somebody_asked_for() {
        let table = Table::new(2, 2);
        table.hold_on_use(&question(1));
        let held = table.hold(&question(2)).unwrap();
        let other = table.hold(&question(3)).unwrap();
        assert!(!holds(&table, 1), "what is held on use goes first");
        assert!(matches!(table.hold(&question(4)), Err(Error::HeldExhausted(2))));
        table.release(&held);
        table.release(&other);
    }

    #[test]
    fn what_is_asked_about_stays() {
        let table = Table::new(100, 3);
        (1..=3).for_each(|number| table.hold_on_use(&question(number)));
        table.hold_on_use(&question(4));
        // All marks were taken away by now; 2 alone is asked about again.
        table.with(&question(2), |entry| entry.used()).unwrap();
        table.hold_on_use(&question(5));
        assert!(holds(&table, 2) && !holds(&table, 3), "3 went in its place");
        assert_eq!(table.count(), 3);
    }
}
