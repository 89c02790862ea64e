//! Whom a change touches.

use std::collections::HashSet;

use super::index::OrganizationIndex;
use crate::domain::fact::{Commit, Fact, Grant};
use crate::domain::id::{GroupId, SessionId};
use crate::domain::place::{Place, Principal, ResourceKey, Subject};

/// What a change touches: subscriptions are found by subject, and by target under the ids that the client gave.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Everything there is.
    pub everything: bool,
    /// All that is asked about these.
    pub subjects: HashSet<Subject>,
    /// All that is asked about the bearers of these sessions.
    pub sessions: HashSet<SessionId>,
    /// All that is asked of these, whether or not they exist.
    pub targets: HashSet<ResourceKey>,
    /// All that is asked of what stands under these, before or after.
    pub below: Vec<ResourceKey>,
    /// All that is asked about members of a group, or about every member; of what stands under a place.
    pub many: Vec<(Option<GroupId>, Option<ResourceKey>)>,
}

impl Touched {
    /// Everything there is.
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Says whether nothing is touched.
    pub fn is_nothing(&self) -> bool {
        !self.everything
            && self.subjects.is_empty()
            && self.sessions.is_empty()
            && self.targets.is_empty()
            && self.below.is_empty()
            && self.many.is_empty()
    }

    /// Takes in what a commit of an organization touches. `before` and `after` tell whom a membership is of.
    pub fn take_in(&mut self, commit: &Commit, before: &OrganizationIndex, after: &OrganizationIndex) {
        for fact in &commit.facts {
            match fact {
                Fact::Membership { id, user, .. } => {
                    let users = [*user, before.user_of(*id), after.user_of(*id)];
                    self.subjects.extend(users.into_iter().flatten().map(Subject::User));
                }
                Fact::MembershipGone { id } => self.subjects.extend(before.user_of(*id).map(Subject::User)),
                Fact::GroupMember { membership, .. } => {
                    let users = [before.user_of(*membership), after.user_of(*membership)];
                    self.subjects.extend(users.into_iter().flatten().map(Subject::User));
                }
                Fact::ServiceAccount { id, .. } | Fact::ServiceAccountGone { id } => {
                    self.subjects.insert(Subject::ServiceAccount(*id));
                }
                Fact::Grant(grant) | Fact::GrantGone(grant) => self.take_in_grant(grant, after),
                // A resource that is new has nothing below it; one that moved or changed hands has.
                Fact::Resource { key, .. } if !before.has_resource(key) => {
                    self.targets.insert(key.clone());
                }
                Fact::Resource { key, .. } | Fact::ResourceGone { key } => self.below.push(key.clone()),
                Fact::Organization { .. } | Fact::Role(_) | Fact::RoleGone { .. } => self.everything = true,
                Fact::RemovalAwaiting { .. }
                | Fact::SeatLimit { .. }
                | Fact::Catalog { .. }
                | Fact::Group { .. }
                | Fact::GroupGone { .. }
                | Fact::ServiceAccountDisabled { .. }
                | Fact::ApiKey { .. }
                | Fact::Contact { .. }
                | Fact::Invitation { .. }
                | Fact::User { .. }
                | Fact::SessionEnded { .. } => {}
            }
        }
    }

    fn take_in_grant(&mut self, grant: &Grant, index: &OrganizationIndex) {
        match grant.principal {
            Principal::Membership(id) => self.subjects.extend(index.user_of(id).map(Subject::User)),
            Principal::User(id) => {
                self.subjects.insert(Subject::User(id));
            }
            Principal::ServiceAccount(id) => {
                self.subjects.insert(Subject::ServiceAccount(id));
            }
            Principal::Group(id) => self.many.push((Some(id), grant.place.resource().cloned())),
            Principal::Everyone => self.many.push((None, grant.place.resource().cloned())),
        }
    }

    /// Takes in what a commit of the installation touches, in every organization.
    pub fn take_in_installation(&mut self, commit: &Commit) {
        for fact in &commit.facts {
            match fact {
                Fact::User { id, .. } => {
                    self.subjects.insert(Subject::User(*id));
                }
                Fact::ServiceAccount { id, .. } | Fact::ServiceAccountGone { id } => {
                    self.subjects.insert(Subject::ServiceAccount(*id));
                }
                Fact::SessionEnded { id, .. } => {
                    self.sessions.insert(*id);
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
                // The log of its organization tells who it is that may do nothing; streams of its own are woken.
                Fact::ServiceAccountDisabled { .. }
                | Fact::ApiKey { .. }
                | Fact::Organization { .. }
                | Fact::Role(_)
                | Fact::RoleGone { .. }
                | Fact::SeatLimit { .. }
                | Fact::MembershipGone { .. }
                | Fact::RemovalAwaiting { .. }
                | Fact::Catalog { .. }
                | Fact::Membership { .. }
                | Fact::Group { .. }
                | Fact::GroupGone { .. }
                | Fact::GroupMember { .. }
                | Fact::Resource { .. }
                | Fact::ResourceGone { .. }
                | Fact::Contact { .. }
                | Fact::Invitation { .. } => {}
            }
        }
    }
}
