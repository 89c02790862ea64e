//! Creating, changing and deleting a group.

use serde::{Deserialize, Serialize};

use super::{GroupView, before_all_it_holds, find};
use crate::domain::access::Actor;
use crate::domain::error::{Error, Reason};
use crate::domain::group::{self, GRANTS_MAX, Group, GroupFields};
use crate::domain::id::GroupId;
use crate::domain::metadata::Metadata;
use crate::service::etag::must_match;
use crate::service::{Authorize, Mutation};
use crate::store::Tx;

/// Creates a group.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`], [`Reason::NameTaken`].
#[derive(Debug)]
pub struct CreateGroup {
    /// What it is to be.
    pub fields: GroupFields,
}

impl Authorize for CreateGroup {}

impl Mutation for CreateGroup {
    type Output = GroupView;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<GroupView, Error> {
        let (id, metadata, created_at) = (tx.id(), Metadata::default(), tx.now());
        let blank = Group { id, display_name: String::new(), external_id: None, metadata, created_at };
        let created = self.fields.written_on(blank);
        must_be_free(tx, &created).await?;
        tx.group_insert(&created).await?;
        GroupView::of(&actor, created)
    }
}

/// Changes a group's name, external id or metadata.
///
/// # Errors
/// - As [`CreateGroup`]; [`Reason::EtagMismatch`].
#[derive(Debug)]
pub struct UpdateGroup {
    pub id: GroupId,
    /// What it is to be.
    pub fields: GroupFields,
    /// How the group must look; empty asks nothing.
    pub etag: String,
}

impl Authorize for UpdateGroup {}

impl Mutation for UpdateGroup {
    type Output = GroupView;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<GroupView, Error> {
        let before = find(tx.reads(), self.id).await?;
        must_match(&self.etag, &before)?;
        let after = self.fields.written_on(before.clone());
        must_be_free(tx, &after).await?;
        if after != before {
            tx.group_update(&after).await?;
        }
        GroupView::of(&actor, after)
    }
}

/// Deletes a group, with what it holds and who is in it.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`], [`Reason::FeatureOff`].
/// - [`Reason::EtagMismatch`].
#[derive(Debug)]
pub struct DeleteGroup {
    pub id: GroupId,
    /// How the group must look; empty asks nothing.
    pub etag: String,
}

/// What a deletion took along.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeletedGroup {
    /// How many were in the group.
    pub members: usize,
    /// How many grants it held that counted.
    pub grants: usize,
}

impl Authorize for DeleteGroup {}

impl Mutation for DeleteGroup {
    type Output = DeletedGroup;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<DeletedGroup, Error> {
        let (actor, grants) = before_all_it_holds(tx.reads(), actor, self.id).await?;
        let found = find(tx.reads(), self.id).await?;
        group::may_take_out(&actor, self.id, &grants.live, actor.now)?;
        must_match(&self.etag, &found)?;

        let members = tx.reads().group_members(self.id).await?;
        // What has expired is not counted: nobody ensured that the caller sees where it was held.
        let live = grants.live.len();
        tx.grants_delete(&grants.rows(GRANTS_MAX)).await?;
        tx.group_members_delete(self.id, &members).await?;
        tx.group_delete(&found).await?;
        Ok(DeletedGroup { members: members.len(), grants: live })
    }
}

/// Ensures that no other group has this one's name or external id.
async fn must_be_free(tx: &Tx, group: &Group) -> Result<(), Error> {
    let named = tx.reads().group_by_name(&group.name_key()).await?;
    let called = match &group.external_id {
        Some(external_id) => tx.reads().group_by_external_id(external_id).await?,
        None => None,
    };
    for (what, other) in [("name", named), ("external id", called)] {
        if let Some(other) = other.filter(|other| other.id != group.id) {
            let message = format!("another group has this {what}");
            return Err(Error::new(Reason::NameTaken, message).about("group", other.id));
        }
    }
    Ok(())
}
