//! The tables of the log, one module each, as `migrations` makes them.

pub mod change_details;
pub mod commits;
pub mod facts;
pub mod heads;
