//! Whom a change touches.

use std::collections::HashSet;

use super::index::OrganizationIndex;
use crate::domain::fact::{Commit, Grant, InstallationFact, OrganizationFact};
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

    /// Returns whether nothing is touched.
    pub fn is_nothing(&self) -> bool {
        !self.everything
            && self.subjects.is_empty()
            && self.sessions.is_empty()
            && self.targets.is_empty()
            && self.below.is_empty()
            && self.many.is_empty()
    }

    /// Takes in what a commit of an organization touches. `before` and `after` tell whom a membership is of.
    pub fn take_in(
        &mut self,
        commit: &Commit<OrganizationFact>,
        before: &OrganizationIndex,
        after: &OrganizationIndex,
    ) {
        for fact in &commit.facts {
            match fact {
                OrganizationFact::Membership { id, user, .. } => {
                    let users = [*user, before.user_of(*id), after.user_of(*id)];
                    self.subjects.extend(users.into_iter().flatten().map(Subject::User));
                }
                OrganizationFact::MembershipGone { id } => self.subjects.extend(before.user_of(*id).map(Subject::User)),
                OrganizationFact::GroupMember { membership, .. } => {
                    let users = [before.user_of(*membership), after.user_of(*membership)];
                    self.subjects.extend(users.into_iter().flatten().map(Subject::User));
                }
                OrganizationFact::ServiceAccount { id, .. } | OrganizationFact::ServiceAccountGone { id } => {
                    self.subjects.insert(Subject::ServiceAccount(*id));
                }
                OrganizationFact::Grant(grant) | OrganizationFact::GrantGone(grant) => self.take_in_grant(grant, after),
                // A resource that is new has nothing below it; one that moved or changed hands has.
                OrganizationFact::Resource { key, .. } if !before.has_resource(key) => {
                    self.targets.insert(key.clone());
                }
                OrganizationFact::Resource { key, .. } | OrganizationFact::ResourceGone { key } => {
                    self.below.push(key.clone());
                }
                OrganizationFact::Organization { .. }
                | OrganizationFact::Role(_)
                | OrganizationFact::RoleGone { .. } => self.everything = true,
                OrganizationFact::RemovalAwaiting { .. }
                | OrganizationFact::SeatLimit { .. }
                | OrganizationFact::Group { .. }
                | OrganizationFact::GroupGone { .. }
                | OrganizationFact::ApiKey { .. }
                | OrganizationFact::Contact { .. }
                | OrganizationFact::Invitation { .. } => {}
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
    pub fn take_in_installation(&mut self, commit: &Commit<InstallationFact>) {
        for fact in &commit.facts {
            match fact {
                InstallationFact::User { id, .. } => {
                    self.subjects.insert(Subject::User(*id));
                }
                InstallationFact::ServiceAccount { id, .. } | InstallationFact::ServiceAccountGone { id } => {
                    self.subjects.insert(Subject::ServiceAccount(*id));
                }
                InstallationFact::SessionEnded { id, .. } => {
                    self.sessions.insert(*id);
                }
                InstallationFact::Grant(grant) | InstallationFact::GrantGone(grant) => {
                    match (grant.principal, &grant.place) {
                        (Principal::User(id), Place::Installation | Place::Product(_)) => {
                            self.subjects.insert(Subject::User(id));
                        }
                        (Principal::ServiceAccount(id), Place::Installation | Place::Product(_)) => {
                            self.subjects.insert(Subject::ServiceAccount(id));
                        }
                        _ => self.everything = true,
                    }
                }
                // The log of its organization tells who it is that may do nothing; streams of its own are woken.
                InstallationFact::ServiceAccountDisabled { .. }
                | InstallationFact::ApiKey { .. }
                | InstallationFact::Catalog { .. } => {}
            }
        }
    }
}
