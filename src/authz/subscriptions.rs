//! Who is to be told when a decision may have turned.
//!
//! Each organization has a registry of the subscriptions held on it, found by subject and by target under the ids that
//! the client gave, existing or not. A change marks those it may touch dirty in the inbox of their stream; the stream
//! evaluates them when it has room to write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::index::OrganizationIndex;
use super::question::Question;
use crate::domain::fact::{Commit, Fact};
use crate::domain::id::OrganizationId;
use crate::domain::place::{Place, Principal, ResourceKey, Subject};

/// What one stream must look at again.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    dirty: Mutex<Dirty>,
    bell: Notify,
}

/// What has been marked since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Subscriptions that may have turned, by organization.
    pub subscriptions: HashMap<OrganizationId, HashSet<Watched>>,
    /// Organizations whose history was replaced.
    pub replaced: HashSet<OrganizationId>,
}

/// What of a stream is marked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Watched {
    /// The right of the stream's caller to be told at all.
    Caller,
    /// A subscription, by the client's number.
    Subscription(u64),
}

impl Inbox {
    /// Marks something, and wakes the stream.
    pub fn mark(&self, organization: OrganizationId, watched: impl IntoIterator<Item = Watched>) {
        self.dirty.lock().subscriptions.entry(organization).or_default().extend(watched);
        self.bell.notify_one();
    }

    /// Tells that what was said about an organization came from a history that is no more.
    pub fn mark_replaced(&self, organization: OrganizationId) {
        self.dirty.lock().replaced.insert(organization);
        self.bell.notify_one();
    }

    /// Wakes the stream, so that it looks at its caller's credential.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Takes what is marked.
    pub fn take(&self) -> Dirty {
        std::mem::take(&mut *self.dirty.lock())
    }

    /// Waits until something was marked since the last wait.
    pub async fn wait(&self) {
        self.bell.notified().await;
    }
}

/// A number that no other stream of this process has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct StreamId(pub u64);

/// The subscriptions held on one organization.
#[derive(Debug, Default)]
pub(super) struct Registry {
    streams: HashMap<StreamId, Arc<Inbox>>,
    all: HashSet<(StreamId, Watched)>,
    by_subject: HashMap<Subject, HashSet<(StreamId, Watched)>>,
    by_target: HashMap<Option<ResourceKey>, HashSet<(StreamId, Watched)>>,
}

/// What a change touches.
#[derive(Debug, Default)]
pub(super) struct Touched {
    everything: bool,
    subjects: HashSet<Subject>,
    targets: HashSet<ResourceKey>,
}

impl Registry {
    /// Registers a subscription of a stream.
    pub fn add(&mut self, stream: StreamId, inbox: &Arc<Inbox>, watched: Watched, question: &Question) {
        self.streams.entry(stream).or_insert_with(|| Arc::clone(inbox));
        let key = (stream, watched);
        self.all.insert(key);
        self.by_subject.entry(question.subject).or_default().insert(key);
        self.by_target.entry(question.target.clone()).or_default().insert(key);
    }

    /// Removes a subscription of a stream.
    pub fn remove(&mut self, stream: StreamId, watched: Watched, question: &Question) {
        let key = (stream, watched);
        self.all.remove(&key);
        if let Some(keys) = self.by_subject.get_mut(&question.subject) {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_subject.remove(&question.subject);
            }
        }
        if let Some(keys) = self.by_target.get_mut(&question.target) {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_target.remove(&question.target);
            }
        }
    }

    /// Forgets a stream, whose subscriptions have been removed.
    pub fn forget(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }

    /// Gives the inboxes of all streams that hold something here.
    pub fn inboxes(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        self.streams.values()
    }

    /// Marks what a change touches.
    pub fn mark(&self, organization: OrganizationId, touched: &Touched) {
        let mut marked: HashMap<StreamId, HashSet<Watched>> = HashMap::new();
        let mut mark = |keys: &HashSet<(StreamId, Watched)>| {
            for (stream, watched) in keys {
                marked.entry(*stream).or_default().insert(*watched);
            }
        };
        if touched.everything {
            mark(&self.all);
        } else {
            touched.subjects.iter().filter_map(|subject| self.by_subject.get(subject)).for_each(&mut mark);
            for target in &touched.targets {
                if let Some(keys) = self.by_target.get(&Some(target.clone())) {
                    mark(keys);
                }
            }
        }
        for (stream, watched) in marked {
            if let Some(inbox) = self.streams.get(&stream) {
                inbox.mark(organization, watched);
            }
        }
    }
}

impl Touched {
    /// Everything there is.
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Takes in what a commit of an organization touches. `before` and `after` tell whom a membership or grant is about.
    pub fn take_in(&mut self, commit: &Commit, before: &OrganizationIndex, after: &OrganizationIndex) {
        for fact in &commit.facts {
            match fact {
                Fact::Membership { id, user, .. } => {
                    let users = [*user, before.user_of(*id), after.user_of(*id)];
                    self.subjects.extend(users.into_iter().flatten().map(Subject::User));
                }
                Fact::GroupMember { membership, .. } => {
                    let users = [before.user_of(*membership), after.user_of(*membership)];
                    self.subjects.extend(users.into_iter().flatten().map(Subject::User));
                }
                Fact::ServiceAccount { id, .. } => {
                    self.subjects.insert(Subject::ServiceAccount(*id));
                }
                Fact::Grant(grant) | Fact::GrantGone(grant) => self.take_in_holder(grant.principal, after),
                // A resource that is new has nothing below it; one that moved or changed hands has.
                Fact::Resource { key, .. } if !before.has_resource(key) => {
                    self.targets.insert(key.clone());
                }
                Fact::Organization { .. } | Fact::Resource { .. } | Fact::ResourceGone { .. } => self.everything = true,
                Fact::ApiKey { .. } | Fact::Invitation { .. } | Fact::User { .. } | Fact::SessionEnded { .. } => {}
            }
        }
    }

    /// Takes in what a commit of the installation touches, in every organization.
    pub fn take_in_installation(&mut self, commit: &Commit) {
        for fact in &commit.facts {
            match fact {
                Fact::User { id, .. } => {
                    self.subjects.insert(Subject::User(*id));
                }
                Fact::ServiceAccount { id, .. } => {
                    self.subjects.insert(Subject::ServiceAccount(*id));
                }
                Fact::Grant(grant) | Fact::GrantGone(grant) => match (grant.principal, &grant.place) {
                    (Principal::User(id), Place::Installation | Place::Product(_)) => {
                        self.subjects.insert(Subject::User(id));
                    }
                    (Principal::ServiceAccount(id), Place::Installation | Place::Product(_)) => {
                        self.subjects.insert(Subject::ServiceAccount(id));
                    }
                    _ => self.everything = true,
                },
                Fact::ApiKey { .. }
                | Fact::SessionEnded { .. }
                | Fact::Organization { .. }
                | Fact::Membership { .. }
                | Fact::GroupMember { .. }
                | Fact::Resource { .. }
                | Fact::ResourceGone { .. }
                | Fact::Invitation { .. } => {}
            }
        }
    }

    fn take_in_holder(&mut self, principal: Principal, index: &OrganizationIndex) {
        match principal {
            Principal::Membership(id) => self.subjects.extend(index.user_of(id).map(Subject::User)),
            Principal::User(id) => {
                self.subjects.insert(Subject::User(id));
            }
            Principal::ServiceAccount(id) => {
                self.subjects.insert(Subject::ServiceAccount(id));
            }
            Principal::Group(_) | Principal::Everyone => self.everything = true,
        }
    }
}
