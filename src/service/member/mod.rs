//! Members: created without an invitation, changed, disabled and enabled, listed, removed.

mod bulk;
mod create;
mod edit;
mod list;
mod removal;
mod state;

pub use bulk::{Bulk, BulkAct, BulkMembers, BulkResult, Selection};
pub use create::{CreateMembers, CreatedMembers, NewMember};
pub use edit::{MemberFields, UpdateMember};
pub use list::{FoundMember, GetMember, ListMembers, LookUpMember, MemberName, Members, MyMemberships};
pub use removal::{AcknowledgeRemoval, ListRemovals, PreviewRemoval, RemovalPreview, Removals, RemoveMember, Removed};
pub use state::ChangeMemberState;

use serde::{Deserialize, Serialize};

use crate::domain::error::{Error, Reason};
use crate::domain::member::Member;

/// Members that were changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangedMembers {
    /// As they stand, in the order of the request.
    pub members: Vec<Member>,
    /// Whether the caller may see the private part of their metadata.
    pub shows_private: bool,
}

fn external_id_taken(by: &Member) -> Error {
    Error::new(Reason::NameTaken, "another member has this external id").about("member", by.id)
}
