//! One use case per RPC: prepare, begin, authorize, rule, write, commit.
//!
//! *Prepare* needs no lock: parse, hash, resolve, and a first authorization, so that who is refused never takes an
//! organization's lock. The answer that counts is given again under the lock. Between begin and commit only the database
//! is awaited. A service never imports another service's file: what two share is a rule and stands in `domain`, or is
//! how every write goes and stands in `write` and `context`.

mod access;
mod activity;
mod api_key;
mod apply;
mod bearer;
mod browsing;
mod bulk;
mod call;
mod catalog;
mod clearing;
mod contact;
mod context;
mod deletion;
mod etag;
mod explain;
mod grant;
mod group;
mod holding;
mod installation;
mod installation_grant;
mod invitation;
mod listing;
mod mailing;
mod mark;
mod member;
mod mutation;
mod notification;
mod organization;
mod ownership;
mod registration;
mod relocation;
mod removal;
mod resource;
mod role;
mod roster;
mod run;
mod seats;
mod service_account;
mod session;
mod shown;
mod sought;
mod sweeping;
mod throttle;
mod time;
mod transfer;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use access::Checked;
pub use activity::{Activity, keep_activity};
pub use api_key::{ApiKeys, CreateApiKey, IssuedKey, ListApiKeys, RevokeApiKey};
pub use apply::Changed;
pub use bearer::{Bearer, Bearers, Permit, keep_keys};
pub use browsing::{BrowseResources, BrowsedResources};
pub use bulk::{Bulk, BulkAct, BulkMembers, BulkResult, Selection};
pub use call::Call;
pub use catalog::{CatalogName, Catalogs, ShownCatalog, Switched};
pub use contact::{AddContact, ContactLink, Contacts, ListContacts, RemoveContact};
pub use context::{Caller, Context, Replay};
pub use deletion::{DeleteResource, Deleted};
pub use etag::etag;
pub use explain::{ExplainCheck, ExplainItem, ExplainSubject, Explained, TokenTrouble, Verdict};
pub use grant::{ChangeGrants, ShareResource};
pub use group::{
    ChangeGroupMembers, ChangedGroupMembers, CreateGroup, DeleteGroup, DeletedGroup, GetGroup, GroupName, GroupView,
    Groups, ListGroupMembers, ListGroups, UpdateGroup,
};
pub use holding::{ListGrants, SummarizeGrants, Summary};
pub use installation::{FirstStart, HandOver, StartError, start};
pub use installation_grant::{InstallationChanged, InstallationDelta};
pub use invitation::{AcceptInvitation, Accepted, CreateInvitation, Invited, Offer};
pub use listing::{ListResources, ListSubjects};
pub use member::{ChangedMembers, CreatedMembers, NewMember, UpdateMember};
pub use mutation::{Authorize, Mutation, Query};
pub use notification::{ListRecipients, Notified, NotifyResource, Recipients};
pub use organization::{CreateOrganization, Founded, OrganizationName, OrganizationView, UpdateOrganization};
pub use ownership::{HandedOver, SetResourceOwner};
pub use registration::{Outcome, RegisterResource};
pub use relocation::{MoveResource, MovedResource};
pub use removal::{Preview, RemoveMember, Removed, keep_removals};
pub use resource::UpdateResource;
pub use role::{DeleteRole, DeletedRole, RoleChanges, Roles, UpdateRole, UpdatedRole, WrittenRole};
pub use roster::{FoundMember, ListMembers, MemberName, Members, MyMemberships};
pub use run::{Read, Written};
pub use service_account::{CreateServiceAccount, ListServiceAccounts, ServiceAccounts};
pub use session::{SignIn, SignedIn};
pub use shown::Shown;
pub use sweeping::keep_grants;
pub use throttle::{Throttle, keep_refusals};
pub use time::{keep_time, unrecorded};
pub use transfer::{TransferRole, Transferred};

use crate::auth::{Passwords, Sealer, Secret, Tokens};
use crate::authz::Engine;
use crate::clock::World;
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
    pub world: World,
    /// What is configured.
    pub settings: Settings,
    /// Wakes the mail worker after a commit.
    pub mail: Arc<Notify>,
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
    fn invitation_link(&self, secret: &Secret) -> String {
        format!("{}#token={}", self.join_url, secret.text())
    }

    /// Makes the link by which an address wants no more mails about a resource.
    fn unsubscribe_link(&self, token: &str) -> String {
        let mark = if self.unsubscribe_url.contains('?') { '&' } else { '?' };
        format!("{}{mark}token={token}", self.unsubscribe_url)
    }
}
