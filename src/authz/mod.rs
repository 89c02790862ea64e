//! Checks from memory: an index per organization, fed by the log, and the streams that hold decisions on it.
//!
//! Everything here is derived and disposable: it is rebuilt from a [`Source`](crate::changelog::Source). The rule is
//! `domain::access::decide`; the index evaluates its own structures and must always answer the same. `index` and
//! `installation` are pure; `engine`, `feed` and `stream` wait and wake. There is no cache of results.

mod engine;
mod feed;
mod index;
mod installation;
mod question;
mod slot;
mod stream;
mod subscriptions;

pub use engine::{Engine, Requirement, Settings, View};
pub use feed::follow;
pub use index::OrganizationIndex;
pub use installation::InstallationIndex;
pub use question::{Answer, Denial, Item, Question};
pub use stream::{Caller, ITEMS_MAX, Output, Stream, Update, answer, may_ask};
