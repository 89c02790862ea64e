//! Checks: whether a subject may do something, what they may, who may, and why.

mod access;
mod explain;
mod list;

pub use access::Checked;
pub use explain::{ExplainCheck, ExplainItem, ExplainSubject, Explained, TokenTrouble, Verdict};
pub use list::{ListResources, ListSubjects};
