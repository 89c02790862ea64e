//! Checks from memory: an index per organization, fed by the log, and the streams that hold decisions on it.
//!
//! Everything here is derived and disposable: it is rebuilt from a [`Source`](crate::changelog::Source). The rule is
//! `domain::access::decide`; the index evaluates its own structures and must always answer the same. `index` and
//! `installation` are pure; `engine`, `feed` and `stream` wait and wake. There is no cache of results.

mod caller;
mod engine;
mod feed;
mod following;
mod history;
mod inbox;
mod index;
mod installation;
mod question;
mod reaching;
mod registry;
mod residence;
mod round;
mod slot;
mod stream;
mod touched;
mod view;

pub use caller::{Caller, account_disabled, key_revoked, may_ask, may_ask_about};
pub use engine::{Engine, MemoryPart, Settings};
pub use feed::follow;
pub use index::{Candidates, OrganizationIndex, Page, PermissionHeld, Seen, SubjectKey, Viewer};
pub use installation::InstallationIndex;
pub use question::{Answer, Asked, Denial, Item, ItemFault, Question, Questions, Session, Whom};
pub use stream::{ITEMS_MAX, Output, Stream, Update};
pub use view::{Requirement, View};
