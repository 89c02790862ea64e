//! Checks from memory: an index per organization, fed by the log, and the streams that hold decisions on it.
//!
//! Everything here is derived and disposable: it is rebuilt from a [`Source`](crate::changelog::Source). The rule is
//! `domain::access::decide`; the index evaluates its own structures and must always answer the same. `index` and
//! `installation` are pure. `org_cache` owns what is in memory, `log_tail` fills it from the log, `open_streams` knows whom to
//! wake; `engine` joins the three, and `stream` is one stream of checks on it. There is no cache of results.

mod caller;
mod engine;
mod freshness;
mod index;
mod installation;
mod log_tail;
mod open_streams;
mod org_cache;
mod question;
mod recent;
mod registry;
mod settings;
mod stream;
mod touched;
mod view;

pub use caller::{Caller, account_disabled, key_revoked, may_ask, may_ask_about};
pub use engine::Engine;
pub use index::{Candidates, OrganizationIndex, Page, PermissionHeld, Seen, SubjectKey, Viewer};
pub use installation::InstallationIndex;
pub use log_tail::Poller;
pub use org_cache::MemoryPart;
pub use question::{Answer, Asked, Denial, Item, ItemFault, Question, Questions, Session, Whom};
pub use settings::Settings;
pub use stream::{ITEMS_MAX, Output, Stream, Update};
pub use view::{Requirement, View};
