//! One use case per RPC: prepare, begin, authorize, rule, write, commit.
//!
//! *Prepare* needs no lock: parse, hash, resolve, and a first authorization, so that who is refused never takes an
//! organization's lock. The answer that counts is given again under the lock. Between begin and commit only the database
//! is awaited. A service never imports another service's file: what two share is a rule and stands in `domain`, or is
//! how every write goes and stands in `write` and `context`.

mod access;
mod bearer;
mod context;
mod explain;
mod grant;
mod installation;
mod invitation;
mod listing;
mod member;
mod organization;
mod resource;
mod service_account;
mod session;
mod text;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use access::Checked;
pub use bearer::{Bearer, Bearers, Permit};
pub use context::{Caller, Context, Replay};
pub use explain::{ExplainCheck, ExplainItem, ExplainSubject, Explained, TokenTrouble, Verdict};
pub use grant::{ChangeGrants, Changed};
pub use installation::{FirstStart, StartError, start};
pub use invitation::{AcceptInvitation, Accepted, CreateInvitation, Invited, Offer};
pub use listing::{ListResources, ListSubjects};
pub use member::{ListMembers, Members};
pub use organization::{CreateOrganization, Founded};
pub use resource::RegisterResource;
pub use service_account::{CreateApiKey, CreateServiceAccount, IssuedKey};
pub use session::SignedIn;
pub use write::{Read, Written};

use crate::auth::{Passwords, Sealer, Secret, Tokens};
use crate::authz::Engine;
use crate::clock::World;
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
    /// Owns the writes under way, so that a shutdown waits for them.
    pub writes: TaskTracker,
}

/// What is configured of the use cases.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Counts restores that revision tokens must not survive.
    pub epoch: u32,
    /// Where an invitation's link leads; the token is added as `#token=…`.
    pub join_url: String,
    /// How long an access token is good.
    pub access_token_lifetime: Duration,
    /// How long a session is good.
    pub session_lifetime: Duration,
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
}
