//! Groups: created, shown, changed, deleted, and who is in them.

mod edit;
mod members;
mod read;

use serde::{Deserialize, Serialize};

pub use edit::{CreateGroup, DeleteGroup, DeletedGroup, UpdateGroup};
pub use members::{ChangeGroupMembers, ChangedGroupMembers, ListGroupMembers};
pub use read::{GetGroup, GroupName, Groups, ListGroups};

use super::etag::etag;
use crate::domain::access::Actor;
use crate::domain::catalog::PermissionId;
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::id::GroupId;
use crate::domain::place::{Principal, resources_among};
use crate::store::{Grants, OrgReads};

pub use crate::store::GroupMember;

/// A group as the caller may see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupView {
    /// As it stands; private metadata only for a caller who may change it.
    pub group: Group,
    /// Of all of it.
    pub etag: String,
}

impl GroupView {
    /// Returns the group as `actor` may see it.
    fn of(actor: &Actor, mut group: Group) -> Result<Self, Error> {
        let etag = etag(&group)?;
        if !actor.holds(PermissionId::GROUP_MANAGE, None) {
            group.metadata.private.clear();
        }
        Ok(Self { group, etag })
    }
}

async fn find(reads: OrgReads<'_>, id: GroupId) -> Result<Group, Error> {
    reads.group(id).await?.ok_or_else(|| Error::not_found("group", id))
}

/// Reads what a group holds, and returns the actor with facts about every place where it holds something.
async fn before_all_it_holds(reads: OrgReads<'_>, actor: Actor, id: GroupId) -> Result<(Actor, Grants), Error> {
    let grants = reads.grants_of(&[Principal::Group(id)], actor.now).await?;
    let places = resources_among(grants.live.iter().map(|grant| &grant.place));
    Ok((reads.widened(actor, &places).await?, grants))
}
