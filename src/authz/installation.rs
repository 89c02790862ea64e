//! What counts in every organization at once: which users are disabled, and who holds what above the organizations.

use foldhash::fast::RandomState;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, GenericHashSet, Vector};

use crate::domain::fact::{Commit, Grant, InstallationFact, UserState};
use crate::domain::id::{ApiKeyId, GrantId, ServiceAccountId, SessionId, UserId};
use crate::domain::place::{Principal, Subject};
use crate::domain::revision::Position;
use crate::domain::time::Timestamp;

type Map<K, V> = GenericHashMap<K, V, RandomState, DefaultSharedPtr>;
type Set<T> = GenericHashSet<T, RandomState, DefaultSharedPtr>;

/// The installation's log, applied. Cheap to clone: a snapshot.
#[derive(Clone, Debug, Default)]
pub struct InstallationIndex {
    position: Position,
    /// Users who are not ACTIVE; all others are.
    inactive_users: Set<UserId>,
    ended_sessions: Map<SessionId, Timestamp>,
    revoked_keys: Set<ApiKeyId>,
    /// Service accounts of organizations whose keys are refused.
    disabled_accounts: Set<ServiceAccountId>,
    /// The installation's own service accounts, and whether each is enabled.
    service_accounts: Map<ServiceAccountId, bool>,
    holders: Map<GrantId, Principal>,
    /// One bit or another for each of who ever held something: nearly everybody who is asked about holds nothing here.
    holder_bits: [u64; 4],
    held: Map<Principal, Vector<Grant>>,
}

impl InstallationIndex {
    /// Brings an empty index to a loaded state.
    #[must_use]
    pub fn load(position: Position, facts: &[InstallationFact]) -> Self {
        let mut index = Self { position, ..Self::default() };
        for fact in facts {
            index.apply_fact(fact);
        }
        index
    }

    /// Applies the commit that follows.
    pub fn apply(&mut self, commit: &Commit<InstallationFact>) {
        for fact in &commit.facts {
            self.apply_fact(fact);
        }
        self.position = commit.position;
    }

    fn apply_fact(&mut self, fact: &InstallationFact) {
        match fact {
            InstallationFact::User { id, state: UserState::Active } => {
                self.inactive_users.remove(id);
            }
            InstallationFact::User { id, state: UserState::Disabled | UserState::Deleted } => {
                self.inactive_users.insert(*id);
            }
            InstallationFact::SessionEnded { id, expires_at } => {
                self.ended_sessions.insert(*id, *expires_at);
            }
            InstallationFact::ApiKey { id, is_revoked: true, .. } => {
                self.revoked_keys.insert(*id);
            }
            InstallationFact::ServiceAccountDisabled { id, is_disabled: true } => {
                self.disabled_accounts.insert(*id);
            }
            InstallationFact::ServiceAccountDisabled { id, is_disabled: false } => {
                self.disabled_accounts.remove(id);
            }
            InstallationFact::ServiceAccount { id, is_enabled } => {
                self.service_accounts.insert(*id, *is_enabled);
            }
            InstallationFact::ServiceAccountGone { id } => {
                self.service_accounts.remove(id);
            }
            InstallationFact::Grant(grant) => {
                self.remove_grant(grant.id);
                let (word, bit) = holder_bit(grant.principal);
                self.holder_bits[word] |= bit;
                self.holders.insert(grant.id, grant.principal);
                self.held.entry(grant.principal).or_default().push_back(grant.clone());
            }
            InstallationFact::GrantGone(grant) => self.remove_grant(grant.id),
            // A key that is good needs no remembering, and a catalog is found by whoever follows it.
            InstallationFact::ApiKey { is_revoked: false, .. } | InstallationFact::Catalog { .. } => {}
        }
    }

    fn remove_grant(&mut self, id: GrantId) {
        let Some(principal) = self.holders.remove(&id) else { return };
        if let Some(grants) = self.held.get_mut(&principal) {
            grants.retain(|grant| grant.id != id);
        }
    }

    /// Returns how far the log has been applied.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns whether a user is ACTIVE, as far as anybody disabled them.
    #[must_use]
    pub fn is_user_active(&self, user: UserId) -> bool {
        self.inactive_users.is_empty() || !self.inactive_users.contains(&user)
    }

    /// Returns whether a session was ended before its time.
    #[must_use]
    pub fn is_session_ended(&self, session: SessionId) -> bool {
        self.ended_sessions.contains_key(&session)
    }

    /// Returns whether a key was taken back.
    #[must_use]
    pub fn is_key_revoked(&self, key: ApiKeyId) -> bool {
        self.revoked_keys.contains(&key)
    }

    /// Returns whether the keys of a service account are refused because it is disabled, whosesoever it is.
    #[must_use]
    pub fn is_account_disabled(&self, id: ServiceAccountId) -> bool {
        self.disabled_accounts.contains(&id) || self.service_account(id) == Some(false)
    }

    /// Returns whether an account is the installation's own, and if so, whether it is enabled.
    #[must_use]
    pub fn service_account(&self, id: ServiceAccountId) -> Option<bool> {
        self.service_accounts.get(&id).copied()
    }

    /// Returns everybody who holds something above the organizations, or did.
    pub fn holders(&self) -> impl Iterator<Item = Principal> {
        self.held.keys().copied()
    }

    /// Returns what a subject holds above the organizations.
    pub fn held_above(&self, subject: Subject) -> impl Iterator<Item = &Grant> {
        let principal = subject.above();
        let (word, bit) = holder_bit(principal);
        let grants = (self.holder_bits[word] & bit != 0).then(|| self.held.get(&principal)).flatten();
        grants.into_iter().flatten()
    }
}

/// Returns the word and the bit that stand for a holder; several share one.
fn holder_bit(principal: Principal) -> (usize, u64) {
    let id = match principal {
        Principal::User(UserId(id)) | Principal::ServiceAccount(ServiceAccountId(id)) => id.as_bytes()[15],
        // These hold nothing above an organization.
        Principal::Membership(_) | Principal::Group(_) | Principal::Everyone => 0,
    };
    (usize::from(id >> 6), 1 << (id & 63))
}
