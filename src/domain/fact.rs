//! What the log says: absolute states and tombstones, self-sufficient and without personal data.
//!
//! A fact names everything a reader needs to bring itself up to date. An organization has a log of its own, and what
//! counts in every organization at once stands in that of the installation: each has its own kinds of facts. A new kind
//! is a new variant; variants and field names are stored, so they are only ever added.

use std::sync::Arc;

use super::catalog::CustomRole;
use super::id::{
    ApiKeyId, ContactId, GrantId, GroupId, InvitationId, MembershipId, OrganizationId, ServiceAccountId, SessionId,
    UserId,
};
use super::place::{Place, Principal, ResourceKey};
use super::revision::Position;
use super::time::Timestamp;

/// The log a fact stands in: the installation's, or one organization's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// What counts in every organization at once.
    Installation,
    /// What counts in one.
    Organization(OrganizationId),
}

/// A fact of one of the two logs, as it is stored there.
pub trait Fact: Clone + serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static {}

impl Fact for OrganizationFact {}
impl Fact for InstallationFact {}

/// A fact of an organization's log: it counts there alone.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum OrganizationFact {
    /// An organization stands like this.
    Organization {
        /// Whether anybody has access at all.
        state: OrganizationState,
        /// The key of the catalog it follows.
        catalog: Arc<str>,
    },
    /// The organization has a role of its own, like this.
    Role(CustomRole),
    /// The organization has this role no more; nobody holds it.
    RoleGone { name: Arc<str> },
    /// So many may sit in the organization, or on the list of a resource.
    SeatLimit {
        /// Which resource; the organization if none.
        place: Option<ResourceKey>,
        /// Most that may; nothing if there is no bound.
        limit: Option<u32>,
    },
    /// A membership stands like this.
    Membership {
        id: MembershipId,
        /// Who; nobody while PENDING.
        user: Option<UserId>,
        state: MemberState,
    },
    /// A membership is no more.
    MembershipGone { id: MembershipId },
    /// The removal of a membership waits for these of the product, by name.
    RemovalAwaiting {
        /// Who is removed.
        membership: MembershipId,
        /// For whom it waits.
        awaiting: Vec<Arc<str>>,
    },
    /// There is a group, made or changed. Who is in it is told by itself.
    Group { id: GroupId },
    /// A group is no more. That nobody is in it, and that it holds nothing, was told before.
    GroupGone { id: GroupId },
    /// A membership is in a group, or is no more.
    GroupMember {
        /// The group.
        group: GroupId,
        membership: MembershipId,
        /// Whether it is in.
        is_in: bool,
    },
    /// A service account stands like this.
    ServiceAccount {
        id: ServiceAccountId,
        /// Whether it may do anything.
        is_enabled: bool,
    },
    /// A service account is no more.
    ServiceAccountGone { id: ServiceAccountId },
    /// An API key stands like this.
    ApiKey {
        id: ApiKeyId,
        service_account: ServiceAccountId,
        /// Whether it was taken back.
        is_revoked: bool,
    },
    /// A resource stands like this.
    Resource {
        key: ResourceKey,
        /// What it stands under; the organization if nothing.
        parent: Option<ResourceKey>,
        /// A membership or service account, if anybody.
        owner: Option<Principal>,
    },
    /// A resource is no more.
    ResourceGone { key: ResourceKey },
    /// A bare address is told of a resource, or is no more. Never a principal, so no check asks it.
    Contact {
        /// Which; the address stands in the detail.
        id: ContactId,
        /// Of which resource.
        key: ResourceKey,
        /// Whether it is told.
        is_told: bool,
    },
    /// A principal holds something.
    Grant(Grant),
    /// A grant is no more; as it stood, so that a reader needs to keep no ids. A grant never changes: one that is given
    /// other terms goes, and another comes.
    GrantGone(Grant),
    /// An invitation stands like this.
    Invitation {
        id: InvitationId,
        /// The membership that it offers; none is there yet where a link makes one for each who accepts.
        membership: Option<MembershipId>,
        state: InvitationState,
        /// Until when it can be accepted.
        expires_at: Timestamp,
    },
}

/// A fact of the installation's log: it counts in every organization at once.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum InstallationFact {
    /// A user stands like this.
    User { id: UserId, state: UserState },
    /// A session was ended before its time.
    SessionEnded {
        id: SessionId,
        /// When its last token would have expired; after that it need not be remembered.
        expires_at: Timestamp,
    },
    /// An operator has put a catalog. It never changes.
    Catalog {
        /// What organizations name it by.
        key: Arc<str>,
    },
    /// A service account of the installation itself stands like this.
    ServiceAccount {
        id: ServiceAccountId,
        /// Whether it may do anything.
        is_enabled: bool,
    },
    /// A service account of the installation itself is no more.
    ServiceAccountGone { id: ServiceAccountId },
    /// The keys of an organization's service account are refused on every server, or accepted again. It stands here,
    /// since every server asks this log about the credentials that it remembers.
    ServiceAccountDisabled {
        id: ServiceAccountId,
        /// Whether it is.
        is_disabled: bool,
    },
    /// An API key of the installation's own accounts stands like this; one of an organization's stands here once it is
    /// revoked, since every server asks this log about the credentials that it remembers.
    ApiKey {
        id: ApiKeyId,
        service_account: ServiceAccountId,
        /// Whether it was taken back.
        is_revoked: bool,
    },
    /// A principal holds something at the installation, or at a product.
    Grant(Grant),
    /// A grant is no more; as it stood, so that a reader needs to keep no ids. A grant never changes: one that is given
    /// other terms goes, and another comes.
    GrantGone(Grant),
}

/// The only fact that gives access: a principal holds something at a place.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Grant {
    /// Made by the server.
    pub id: GrantId,
    /// Who holds it.
    pub principal: Principal,
    pub place: Place,
    pub held: Held,
    /// From then on it counts no more.
    pub expires_at: Option<Timestamp>,
    /// Where it came from.
    pub source: GrantSource,
}

impl Grant {
    /// Returns whether the grant counts no more; it counts strictly before its expiry.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }
}

/// What a grant gives.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// A role of the catalog, by name.
    Role(Arc<str>),
    /// A place on a resource's list.
    AsMember,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(name) => f.write_str(name),
            Self::AsMember => f.write_str("AS_MEMBER"),
        }
    }
}

/// Declares a set of words: variants with the word that is stored for each.
macro_rules! states {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Returns the word that is stored.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the word that is stored.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    )+};
}

states! {
    /// Where an organization stands in its life.
    OrganizationState {
        /// In use.
        Active = "active",
        /// Shut by an operator: nobody has access.
        Disabled = "disabled",
    }
    /// Where a membership stands in its life.
    MemberState {
        /// Offered or created; no user is bound.
        Pending = "pending",
        /// A user is bound, for good.
        Active = "active",
        /// Shut out; grants are kept and do not count.
        Disabled = "disabled",
        /// Removed: nothing is left but its seat and its address, until the product has acknowledged.
        Removing = "removing",
    }
    /// Where an invitation stands in its life; that it has expired is seen from the clock.
    InvitationState {
        /// Can be accepted until it expires.
        Open = "open",
        /// Was accepted.
        Accepted = "accepted",
        /// Was withdrawn.
        Revoked = "revoked",
    }
    /// Where a grant came from.
    GrantSource {
        /// A person or a machine gave it.
        Manual = "manual",
        /// It came with an invitation.
        Invitation = "invitation",
    }
    /// Where a user stands.
    UserState {
        /// May sign in.
        Active = "active",
        /// Shut out everywhere by an operator.
        Disabled = "disabled",
        /// No more; only the id is left.
        Deleted = "deleted",
    }
}

/// What one commit says, read back from the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit<F> {
    /// Its revision and tag.
    pub position: Position,
    /// Its facts, in order.
    pub facts: Vec<F>,
}
