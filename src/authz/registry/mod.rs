//! The subscriptions held on one organization.
//!
//! Each is a record of fixed size in one table, in two lists that go through the records: of those that ask about the
//! same subject, and of those that ask about the same target, under the ids that the client gave, existing or not. A
//! change marks records dirty; the stream that holds them evaluates them when it has room to write.

mod marking;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::open_streams::{Inbox, StreamId};
use super::question::{Answer, Asked, Denial, Question, Session};
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// No record.
const NONE: u32 = u32::MAX;
/// The stream of a record that is free.
const NOBODY: StreamId = StreamId(u64::MAX);

type Map<K, V> = HashMap<K, V, RandomState>;

/// The subscriptions held on one organization.
#[derive(Debug, Default)]
pub(super) struct Registry {
    records: Vec<Record>,
    /// The first record that is free; the others follow by `subjects.next`.
    free: Option<u32>,
    streams: Map<StreamId, Holder>,
    /// The first record of each subject, under the subject's hash: who it is, the record says.
    by_subject: HashTable<u32>,
    /// The number of each target, under the hash of its key.
    by_target: HashTable<u32>,
    hasher: RandomState,
    targets: Vec<Target>,
    free_targets: Vec<u32>,
    permissions: Names,
}

/// A stream that holds something here.
#[derive(Debug)]
struct Holder {
    inbox: Arc<Inbox>,
    caller: Subject,
    is_caller_dirty: bool,
    /// Its records, in no order.
    records: Vec<u32>,
    dirty: Vec<u32>,
    /// Of `records`, so many from the front are dirty altogether.
    sweep: usize,
}

/// Names that many records share.
#[derive(Debug, Default)]
struct Names {
    names: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
struct Target {
    key: Option<ResourceKey>,
    first: u32,
}

/// The neighbours in a list.
#[derive(Clone, Copy, Debug)]
struct Links {
    next: u32,
    previous: u32,
}

const UNLINKED: Links = Links { next: NONE, previous: NONE };

/// One subscription.
#[derive(Debug)]
struct Record {
    stream: StreamId,
    /// The client's number.
    number: u64,
    session: Option<Box<Session>>,
    /// When it is to be looked at again.
    expires_at: Option<Timestamp>,
    subject: Subject,
    target: u32,
    subjects: Links,
    targets: Links,
    /// Its place in the stream's records.
    at: u32,
    permission: u16,
    last: Told,
    is_dirty: bool,
}

/// What a client holds, as far as it makes a difference to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Allowed,
    Denied,
    /// That it would be allowed, and is not proven fresh enough: a client that was told so holds no answer.
    Stale,
}

impl Told {
    fn of(answer: Answer) -> Self {
        match answer {
            Answer::Allowed { .. } => Self::Allowed,
            Answer::Denied(denial) if denial.is_stale() => Self::Stale,
            Answer::Denied(_) => Self::Denied,
        }
    }

    fn known(allowed: Option<bool>) -> Self {
        match allowed {
            None => Self::Nothing,
            Some(true) => Self::Allowed,
            Some(false) => Self::Denied,
        }
    }
}

/// A record that is looked at.
pub(super) struct Looked<'a> {
    /// The client's number.
    pub number: u64,
    /// What is asked.
    pub asked: Asked<'a>,
    /// When it was to be looked at again.
    pub expires_at: Option<Timestamp>,
}

impl Registry {
    /// Registers a stream that is about to hold something here.
    pub fn join(&mut self, stream: StreamId, inbox: &Arc<Inbox>, caller: Subject) {
        self.streams.entry(stream).or_insert_with(|| Holder {
            inbox: Arc::clone(inbox),
            caller,
            // Registered by now: a right that was lost since it was asked is found lost.
            is_caller_dirty: true,
            records: Vec::new(),
            dirty: Vec::new(),
            sweep: 0,
        });
    }

    /// Returns whether nobody holds anything here.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Counts the subscriptions.
    pub fn len(&self) -> usize {
        self.streams.values().map(|holder| holder.records.len()).sum()
    }

    /// Registers a subscription of a stream that has joined, and marks it dirty. Gives the number of its record.
    pub fn add(&mut self, stream: StreamId, number: u64, question: &Question, known: Option<bool>) -> Option<u32> {
        let permission = self.permissions.number(&question.permission)?;
        let target = self.target(question.target.as_ref());
        let holder = self.streams.get_mut(&stream)?;
        let record = Record {
            stream,
            number,
            session: question.session.map(Box::new),
            expires_at: None,
            subject: question.subject,
            target,
            subjects: UNLINKED,
            targets: UNLINKED,
            at: count(holder.records.len()),
            permission,
            last: Told::known(known),
            is_dirty: true,
        };
        let id = match self.free {
            Some(id) => {
                let next = self.records[id as usize].subjects.next;
                self.free = (next != NONE).then_some(next);
                self.records[id as usize] = record;
                id
            }
            None => {
                self.records.push(record);
                count(self.records.len() - 1)
            }
        };
        holder.records.push(id);
        holder.dirty.push(id);
        self.link(id);
        Some(id)
    }

    fn link(&mut self, id: u32) {
        let Record { subject, target, .. } = self.records[id as usize];
        let next = self.put_first(subject, id).unwrap_or(NONE);
        self.records[id as usize].subjects = Links { next, previous: NONE };
        if next != NONE {
            self.records[next as usize].subjects.previous = id;
        }
        let next = std::mem::replace(&mut self.targets[target as usize].first, id);
        self.records[id as usize].targets = Links { next, previous: NONE };
        if next != NONE {
            self.records[next as usize].targets.previous = id;
        }
    }

    /// Removes a subscription. Gives when it was to be looked at again.
    pub fn remove(&mut self, id: u32) -> Option<Timestamp> {
        let record = &self.records[id as usize];
        let (stream, at, expires_at) = (record.stream, record.at as usize, record.expires_at);
        if let Some(holder) = self.streams.get_mut(&stream) {
            holder.records.swap_remove(at);
            if let Some(moved) = holder.records.get(at) {
                self.records[*moved as usize].at = count(at);
            }
            // The last took its place. If that was swept already, it is looked at once more.
            holder.sweep = holder.sweep.min(holder.records.len());
        }
        self.unlink(id);
        self.free(id);
        expires_at
    }

    /// Frees a record. Its id may still stand among the dirty ones of its stream.
    fn free(&mut self, id: u32) {
        let record = &mut self.records[id as usize];
        (record.session, record.is_dirty, record.stream) = (None, false, NOBODY);
        record.subjects = Links { next: self.free.unwrap_or(NONE), previous: NONE };
        self.free = Some(id);
    }

    fn unlink(&mut self, id: u32) {
        let Record { subject, target, subjects, targets, .. } = self.records[id as usize];
        if subjects.next != NONE {
            self.records[subjects.next as usize].subjects.previous = subjects.previous;
        }
        match subjects.previous {
            NONE if subjects.next == NONE => self.remove_first(subject, id),
            NONE => {
                self.put_first(subject, subjects.next);
            }
            previous => self.records[previous as usize].subjects.next = subjects.next,
        }
        if targets.next != NONE {
            self.records[targets.next as usize].targets.previous = targets.previous;
        }
        match targets.previous {
            NONE => {
                self.targets[target as usize].first = targets.next;
                if targets.next == NONE {
                    self.forget_target(target);
                }
            }
            previous => self.records[previous as usize].targets.next = targets.next,
        }
    }

    /// Finds the first record of a subject.
    fn first_of(&self, subject: Subject) -> Option<u32> {
        let hash = self.hasher.hash_one(subject);
        self.by_subject.find(hash, |id| self.records[*id as usize].subject == subject).copied()
    }

    /// Makes a record the first of its subject, and gives the one that was.
    fn put_first(&mut self, subject: Subject, id: u32) -> Option<u32> {
        let (records, hasher) = (&self.records, &self.hasher);
        let of = |id: &u32| records[*id as usize].subject;
        let known =
            self.by_subject.entry(hasher.hash_one(subject), |id| of(id) == subject, |id| hasher.hash_one(of(id)));
        match known {
            Entry::Occupied(mut first) => Some(std::mem::replace(first.get_mut(), id)),
            Entry::Vacant(place) => {
                place.insert(id);
                None
            }
        }
    }

    fn remove_first(&mut self, subject: Subject, id: u32) {
        if let Ok(first) = self.by_subject.find_entry(self.hasher.hash_one(subject), |known| *known == id) {
            first.remove();
        }
    }

    /// Finds the number of a target.
    fn known_target(&self, key: Option<&ResourceKey>) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.by_target.find(hash, |number| self.targets[*number as usize].key.as_ref() == key).copied()
    }

    /// Finds the number of a target, a new one if need be.
    fn target(&mut self, key: Option<&ResourceKey>) -> u32 {
        if let Some(known) = self.known_target(key) {
            return known;
        }
        let target = Target { key: key.cloned(), first: NONE };
        let number = match self.free_targets.pop() {
            Some(number) => {
                self.targets[number as usize] = target;
                number
            }
            None => {
                self.targets.push(target);
                count(self.targets.len() - 1)
            }
        };
        let (targets, hasher) = (&self.targets, &self.hasher);
        let hash = |number: &u32| hasher.hash_one(targets[*number as usize].key.as_ref());
        self.by_target.insert_unique(hasher.hash_one(key), number, hash);
        number
    }

    fn forget_target(&mut self, number: u32) {
        let hash = self.hasher.hash_one(self.targets[number as usize].key.as_ref());
        if let Ok(known) = self.by_target.find_entry(hash, |known| *known == number) {
            known.remove();
        }
        self.targets[number as usize] = Target::default();
        self.free_targets.push(number);
    }

    /// Forgets a stream and all it holds here. Gives the client's numbers, and when each was to be looked at again.
    pub fn leave(&mut self, stream: StreamId) -> Vec<(u64, Option<Timestamp>)> {
        let Some(holder) = self.streams.remove(&stream) else { return Vec::new() };
        let mut left = Vec::with_capacity(holder.records.len());
        for id in holder.records {
            let record = &self.records[id as usize];
            left.push((record.number, record.expires_at));
            self.unlink(id);
            self.free(id);
        }
        if self.streams.is_empty() {
            // What was grown for many goes when the last has left.
            *self = Self::default();
        }
        left
    }

    /// Returns the inboxes of all streams that hold something here.
    pub fn inboxes(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        self.streams.values().map(|holder| &holder.inbox)
    }

    /// Marks one subscription, because its time has come. What was told of its end stays: that there is none any more
    /// is news.
    pub fn mark_expired(&mut self, id: u32) {
        self.mark_one(id);
    }

    /// Ensures that the caller's right is looked at again.
    pub fn mark_caller(&mut self, stream: StreamId) {
        if let Some(holder) = self.streams.get_mut(&stream) {
            holder.is_caller_dirty = true;
        }
    }

    /// Returns whether the right of a stream's caller is to be looked at, which the asker does now.
    pub fn take_caller(&mut self, stream: StreamId) -> bool {
        self.streams.get_mut(&stream).is_some_and(|holder| std::mem::take(&mut holder.is_caller_dirty))
    }

    /// Returns whether a stream has anything to look at.
    pub fn has_work(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(Holder::has_work)
    }

    /// Takes up to `most` records that a stream must look at. Whoever takes them loads the snapshot after, so that a
    /// mark that comes meanwhile is either of what is looked at, or waits for the next time.
    pub fn take_dirty(&mut self, stream: StreamId, most: usize) -> Vec<u32> {
        let Some(holder) = self.streams.get_mut(&stream) else { return Vec::new() };
        let mut taken = holder.dirty.split_off(holder.dirty.len().saturating_sub(most));
        taken.retain(|id| self.records[*id as usize].stream == stream && self.records[*id as usize].is_dirty);
        let swept = holder.sweep - holder.sweep.min(most - taken.len());
        taken.extend_from_slice(&holder.records[swept..holder.sweep]);
        holder.sweep = swept;
        for id in &taken {
            self.records[*id as usize].is_dirty = false;
        }
        // The order in which they came to be looked at says nothing; the client's is easier to follow.
        taken.sort_unstable_by_key(|id| self.records[*id as usize].number);
        taken.dedup();
        taken
    }

    /// Returns a record to look at.
    pub fn look(&self, id: u32) -> Looked<'_> {
        let record = &self.records[id as usize];
        let target = self.targets[record.target as usize].key.as_ref();
        Looked {
            number: record.number,
            asked: Asked {
                subject: record.subject,
                session: record.session.as_deref().copied(),
                permission: self.permissions.name(record.permission),
                target: target.map(|key| (&*key.kind, &*key.id)),
            },
            expires_at: record.expires_at,
        }
    }

    /// Notes what was answered, and when to look again. Says whether that is news: another answer, or one that stands
    /// until another instant.
    pub fn note(&mut self, id: u32, answer: Answer, expires_at: Option<Timestamp>) -> bool {
        let record = &mut self.records[id as usize];
        let until = std::mem::replace(&mut record.expires_at, expires_at);
        let last = std::mem::replace(&mut record.last, Told::of(answer));
        last != record.last || (answer.is_allowed() && until != expires_at)
    }

    /// Counts the memory it takes, in bytes, but for the names of targets.
    pub fn bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.targets.capacity() * size_of::<Target>()
            + self.by_subject.allocation_size()
            + self.by_target.allocation_size()
            + self.streams.values().map(|holder| holder.records.capacity() * size_of::<u32>()).sum::<usize>()
    }
}

impl Holder {
    fn has_work(&self) -> bool {
        self.is_caller_dirty || self.sweep > 0 || !self.dirty.is_empty()
    }
}

impl Names {
    /// Returns the number of a name, a new one if need be; `None` when there are too many to number. Clients choose
    /// them.
    fn number(&mut self, name: &Arc<str>) -> Option<u16> {
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or(self.names.len());
        if known.is_none() {
            if number >= NAMES_MAX {
                return None;
            }
            self.names.push(Arc::clone(name));
        }
        u16::try_from(number).ok()
    }

    fn name(&self, number: u16) -> &str {
        &self.names[usize::from(number)]
    }
}

/// Most names of permissions in the subscriptions of one organization; a catalog declares fewer.
const NAMES_MAX: usize = 4_096;

fn count(count: usize) -> u32 {
    u32::try_from(count).expect("a process holds fewer than 2^32 subscriptions")
}

impl Denial {
    /// Returns whether to look again when the index may be fresh enough.
    pub(super) fn is_stale(self) -> bool {
        self == Self::Stale
    }
}
