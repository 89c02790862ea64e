//! Showing and listing groups.

use super::{GroupView, find};
use crate::domain::access::Actor;
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::id::{GroupId, MembershipId};
use crate::domain::place::Principal;
use crate::service::{Authorize, Call, Query};

/// Shows a group.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
#[derive(Debug)]
pub struct GetGroup {
    pub name: GroupName,
}

/// How a group is named.
#[derive(Debug)]
pub enum GroupName {
    /// By the server.
    Id(GroupId),
    /// By the product.
    External(String),
}

impl Authorize for GetGroup {}

impl Query for GetGroup {
    type Output = GroupView;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<GroupView, Error> {
        let found = match &self.name {
            GroupName::Id(id) => find(call.reads, *id).await?,
            GroupName::External(name) => {
                let found = call.reads.group_by_external_id(name).await?;
                found.ok_or_else(|| Error::not_found("group", name))?
            }
        };
        GroupView::of(&actor, found)
    }
}

/// Lists groups by name.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
#[derive(Debug)]
pub struct ListGroups {
    /// Only those that this member is in.
    pub member: Option<MembershipId>,
    /// At most so many.
    pub size: u32,
    /// The name key after which the page begins.
    pub after: Option<String>,
}

/// A page of groups.
#[derive(Debug)]
pub struct Groups {
    /// By name.
    pub groups: Vec<GroupView>,
    /// The name key after which the next page begins, if there is one.
    pub next: Option<String>,
}

impl Authorize for ListGroups {}

impl Query for ListGroups {
    type Output = Groups;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<Groups, Error> {
        if let Some(member) = self.member {
            call.reads.principals(&[Principal::Membership(member)]).await?;
        }
        let page = call.reads.group_page(self.member, self.after.as_deref(), self.size).await?;
        let groups = page.groups.into_iter().map(|group| GroupView::of(&actor, group)).collect::<Result<_, _>>()?;
        Ok(Groups { groups, next: page.next })
    }
}
