//! The database as such: where it is, how it is opened, locked and brought up to date, and the pools of connections to it.

mod connect;
mod embedded;
mod location;
pub(super) mod lock;
pub(super) mod pool;
mod schema;

pub use connect::{OnSqliteConnection, OpenError, Settings, SqliteHook};
pub use embedded::Beginning;
pub use location::Location;
