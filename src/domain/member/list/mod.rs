//! The list of members: how it is searched, filtered and ordered.
//!
//! What is sorted or compared is a key made here, once, and compared bytewise: both databases agree then.

mod filter;
mod order;
mod words;

use crate::domain::text::folded;

pub use filter::{Comparison, Filter, Term};
pub use order::{Column, Key, Order, Position};
pub use words::{Query, words};

/// Returns the key by which a display name is sorted: case and compatibility variants folded.
#[must_use]
pub fn name_key(display_name: &str) -> String {
    folded(display_name)
}
