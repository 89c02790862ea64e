//! The use cases: a type for each RPC, in the folder of its noun.
//!
//! `mutation` says what a use case is, `call` what it asks of its caller, `run` how it runs: the caller is authorized before the
//! lock, so that who is refused never takes it, and again under it, which counts. Between begin and commit only the database
//! is awaited. No noun imports another noun: what two share is a rule and stands in `domain`, or stands beside the nouns, as
//! `apply` and `seats` do (docs/architecture.md, "Where what stands").

mod activity;
mod apply;
mod bearer;
mod call;
mod catalog;
mod check;
mod clearing;
mod contact;
mod context;
mod etag;
mod grant;
mod group;
mod installation;
mod invitation;
mod mailing;
mod mark;
mod member;
mod mutation;
mod notification;
mod organization;
mod resource;
mod role;
mod run;
mod seats;
mod service_account;
mod session;
mod sought;
mod sweeping;
mod throttle;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use activity::Activity;
pub use apply::Changed;
pub use bearer::{Bearer, Bearers, Permit};
pub use call::Call;
pub use catalog::{CatalogName, CatalogView, Catalogs, Followed, PutCatalog, SetOrganizationCatalog};
pub use check::{
    Checked, ExplainCheck, ExplainItem, ExplainSubject, Explained, ListResources, ListSubjects, TokenTrouble, Verdict,
};
pub use contact::{AddContact, ContactLink, Contacts, ListContacts, RemoveContact};
pub use context::{Caller, Context, Replay};
pub use etag::etag;
pub use grant::{
    ChangeGrants, ChangeInstallationGrants, InstallationChanged, InstallationDelta, ListGrants, ShareResource,
    SummarizeGrants, Summary,
};
pub use group::{
    ChangeGroupMembers, ChangedGroupMembers, CreateGroup, DeleteGroup, DeletedGroup, GetGroup, GroupMember, GroupName,
    GroupView, Groups, ListGroupMembers, ListGroups, UpdateGroup,
};
pub use installation::{FirstStart, HandOver, StartError, start};
pub use invitation::{AcceptInvitation, Accepted, CreateInvitation, Invited, Offer};
pub use member::{
    AcknowledgeRemoval, Bulk, BulkAct, BulkMembers, BulkResult, ChangeMemberState, ChangedMembers, CreateMembers,
    CreatedMembers, FoundMember, GetMember, ListMembers, ListRemovals, LookUpMember, MemberFields, MemberName, Members,
    MyMemberships, NewMember, PreviewRemoval, RemovalPreview, Removals, RemoveMember, Removed, Selection, UpdateMember,
};
pub use mutation::{Authorize, Mutation, Query};
pub use notification::{ListRecipients, Notified, NotifyResource, Recipients};
pub use organization::{
    CreateOrganization, CreatedOrganization, GetOrganization, GetSeats, OrganizationFields, OrganizationName,
    OrganizationView, SetSeatLimit, UpdateOrganization,
};
pub use resource::{
    BrowseResources, BrowsedResources, DeleteResource, DeletedResources, GetResource, MoveResource, MovedResource,
    Outcome, OwnedResource, RegisterResource, RegisterResources, ResourceView, SetResourceOwner, UpdateResource,
};
pub use role::{
    CreateRole, DeleteRole, DeletedRole, GetRole, ListRoles, RoleChanges, RoleDetail, RolePage, RolePosition,
    TransferRole, TransferredRole, UpdateRole, UpdatedRole,
};
pub use run::{Read, Written};
pub use service_account::{
    ApiKeys, CreateApiKey, CreateServiceAccount, DeleteServiceAccount, DisableServiceAccount, EnableServiceAccount,
    GetServiceAccount, IssuedKey, ListApiKeys, ListServiceAccounts, RevokeApiKey, ServiceAccounts,
};
pub use session::{SignIn, SignedIn};
pub use throttle::Throttle;

use crate::auth::{Passwords, Sealer, Secret, SecretLink, Tokens};
use crate::authz::Engine;
use crate::clock::Env;
use crate::domain::mailing::MailLimits;
use crate::store::Store;

/// What the use cases work with.
#[derive(Debug)]
pub struct Services {
    /// The database.
    pub store: Store,
    /// The index.
    pub engine: Arc<Engine>,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// Signs and verifies access tokens.
    pub tokens: Tokens,
    /// Counts what callers without a credential were refused.
    pub throttle: Throttle,
    /// Remembers the credentials that were verified.
    pub bearers: Bearers,
    /// Seals what the database must not read.
    pub sealer: Sealer,
    /// Time, ids and randomness.
    pub env: Env,
    /// What is configured.
    pub settings: Settings,
    /// Wakes the job that carries deliveries out, after a commit.
    pub deliveries: Arc<Notify>,
    /// Wakes what tells the product of removals.
    pub removals_begun: tokio::sync::watch::Sender<()>,
    /// Who was active where, until it is written.
    pub activity: Arc<Activity>,
    /// Owns the writes under way, so that a shutdown waits for them.
    pub writes: TaskTracker,
}

/// What is configured of the use cases.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where an invitation's link leads; the token is added as `#token=…`.
    pub join_url: String,
    /// Where a notification's link leads by which an address wants no more of them; the token is added as `?token=…`,
    /// because mail programs call it (RFC 8058), and they send no fragment.
    pub unsubscribe_url: String,
    /// How long a session is good.
    pub session_lifetime: Duration,
    /// How long a device is known after a sign-in.
    pub device_lifetime: Duration,
    /// How many invitations may be mailed.
    pub mail_limits: MailLimits,
    /// Most calls that one credential has under way.
    pub calls_max: u32,
    /// Most streams that one credential has open.
    pub streams_max: u32,
}

impl Settings {
    /// Makes the link that an invitation's mail carries. The token stands in the fragment, which browsers do not send.
    fn invitation_link(&self, secret: &Secret) -> SecretLink {
        SecretLink::new(&format!("{}#token=", self.join_url), secret)
    }

    /// Makes the link by which an address wants no more mails about a resource.
    fn unsubscribe_link(&self, token: &str) -> String {
        let mark = if self.unsubscribe_url.contains('?') { '&' } else { '?' };
        format!("{}{mark}token={token}", self.unsubscribe_url)
    }
}
