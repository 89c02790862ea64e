//! Groups, and who is in them.

use std::collections::HashSet;

use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::encoding::state;
use super::entity::{group_members, groups, memberships};
use super::error::one_row;
use super::{OrgReads, PageBuilder, Tx};
use crate::changelog::Change;
use crate::domain::error::Error;
use crate::domain::fact::{MemberState, OrganizationFact};
use crate::domain::group::Group;
use crate::domain::id::{GroupId, MembershipId, UserId};
use crate::domain::time::Timestamp;

/// Most rows that one statement writes.
const ROWS_MAX: usize = 1_000;

/// A page of groups, by name.
#[derive(Clone, Debug)]
pub struct GroupPage {
    pub groups: Vec<Group>,
    /// The name key after which the next page begins, if there is one.
    pub next: Option<String>,
}

/// Somebody who is in a group.
#[derive(Clone, Debug)]
pub struct GroupMember {
    pub membership: MembershipId,
    /// The user behind it; nobody while PENDING.
    pub user: Option<UserId>,
    /// How the person is called; may be empty.
    pub display_name: String,
    /// Where the membership stands.
    pub state: MemberState,
    /// When they came in.
    pub added_at: Timestamp,
}

/// A page of who is in a group, in the order in which their memberships were made.
#[derive(Clone, Debug)]
pub struct GroupMemberPage {
    pub members: Vec<GroupMember>,
    /// After whom the next page begins, if there is one.
    pub next: Option<MembershipId>,
}

impl OrgReads<'_> {
    /// Finds a group of an organization.
    pub async fn group(&self, id: GroupId) -> Result<Option<Group>, Error> {
        let found = groups::Entity::find_by_id(id.0).filter(groups::Column::OrganizationId.eq(self.organization.0));
        found.one(&self.db).await?.map(group).transpose()
    }

    /// Finds the group of an organization with this name key.
    pub async fn group_by_name(&self, name_key: &str) -> Result<Option<Group>, Error> {
        let found = groups::Entity::find()
            .filter(groups::Column::OrganizationId.eq(self.organization.0))
            .filter(groups::Column::NameKey.eq(name_key));
        found.one(&self.db).await?.map(group).transpose()
    }

    /// Finds the group of an organization that the product calls so.
    pub async fn group_by_external_id(&self, external_id: &str) -> Result<Option<Group>, Error> {
        let found = groups::Entity::find()
            .filter(groups::Column::OrganizationId.eq(self.organization.0))
            .filter(groups::Column::ExternalId.eq(external_id));
        found.one(&self.db).await?.map(group).transpose()
    }

    /// Reads groups by name, at most `size` of them, from after the name key `after` on; with `member`, those that this
    /// membership is in.
    pub async fn group_page(
        &self,
        member: Option<MembershipId>,
        after: Option<&str>,
        size: u32,
    ) -> Result<GroupPage, Error> {
        let mut all = groups::Entity::find().filter(groups::Column::OrganizationId.eq(self.organization.0));
        if let Some(member) = member {
            let theirs = Query::select()
                .column(group_members::Column::GroupId)
                .from(group_members::Entity)
                .and_where(group_members::Column::MembershipId.eq(member.0))
                .to_owned();
            all = all.filter(groups::Column::Id.in_subquery(theirs));
        }
        let all = all.order_by_asc(groups::Column::NameKey);
        let (mut filling, mut from) = (PageBuilder::new(size), after.map(str::to_owned));
        loop {
            let step = filling.step();
            let later = from.iter().fold(all.clone(), |all, from| all.filter(groups::Column::NameKey.gt(from)));
            let rows = later.limit(u64::from(step)).all(&self.db).await?;
            let is_end = rows.len() < step as usize;
            for row in rows {
                let name_key = row.name_key.clone();
                if !filling.take(group(row)?, |group| group.metadata.weight()) {
                    return Ok(GroupPage { groups: filling.rows, next: from });
                }
                from = Some(name_key);
            }
            if is_end {
                return Ok(GroupPage { groups: filling.rows, next: None });
            }
        }
    }

    /// Reads who is in a group, at most `size` of them, from after `after` on.
    pub async fn group_member_page(
        &self,
        group: GroupId,
        after: Option<MembershipId>,
        size: u32,
    ) -> Result<GroupMemberPage, Error> {
        let mut found = self.in_groups().filter(group_members::Column::GroupId.eq(group.0));
        if let Some(after) = after {
            found = found.filter(group_members::Column::MembershipId.gt(after.0));
        }
        let found = found.order_by_asc(group_members::Column::MembershipId).limit(u64::from(size) + 1);
        let mut rows = found.all(&self.db).await?;
        let has_more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| has_more).map(|row| row.membership_id.into());

        let people = memberships::Entity::find()
            .filter(memberships::Column::OrganizationId.eq(self.organization.0))
            .filter(memberships::Column::Id.is_in(rows.iter().map(|row| row.membership_id)))
            .order_by_asc(memberships::Column::Id)
            .all(&self.db)
            .await?;
        let members = people.into_iter().zip(rows).map(|(person, row)| {
            Ok(GroupMember {
                membership: person.id.into(),
                user: person.user_id.map(UserId),
                display_name: person.display_name,
                state: state(MemberState::from_word, &person.state)?,
                added_at: Timestamp::from_micros(row.created_at),
            })
        });
        Ok(GroupMemberPage { members: members.collect::<Result<_, Error>>()?, next })
    }

    /// Reads everybody who is in a group.
    pub async fn group_members(&self, group: GroupId) -> Result<Vec<MembershipId>, Error> {
        let rows = self.in_groups().filter(group_members::Column::GroupId.eq(group.0)).all(&self.db);
        Ok(rows.await?.into_iter().map(|row| row.membership_id.into()).collect())
    }

    /// Returns which of `members` are in a group, and how many are in it altogether.
    pub async fn group_members_among(
        &self,
        group: GroupId,
        members: &[MembershipId],
    ) -> Result<(HashSet<MembershipId>, usize), Error> {
        let all = self.in_groups().filter(group_members::Column::GroupId.eq(group.0));
        let count = all.clone().count(&self.db).await?;
        let among = group_members::Column::MembershipId.is_in(members.iter().map(|member| member.0));
        let rows = all.filter(among).all(&self.db).await?;
        let among = rows.into_iter().map(|row| row.membership_id.into()).collect();
        Ok((among, usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// Returns which groups some memberships are in.
    pub async fn groups_of(&self, members: &[MembershipId]) -> Result<Vec<(MembershipId, GroupId)>, Error> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let among = group_members::Column::MembershipId.is_in(members.iter().map(|member| member.0));
        let rows = self.in_groups().filter(among).all(&self.db).await?;
        Ok(rows.into_iter().map(|row| (row.membership_id.into(), row.group_id.into())).collect())
    }

    /// Selects who is in which group of the organization.
    fn in_groups(&self) -> Select<group_members::Entity> {
        group_members::Entity::find().filter(group_members::Column::OrganizationId.eq(self.organization.0))
    }
}

impl Tx {
    /// Makes a group of the locked organization.
    pub async fn group_insert(&mut self, group: &Group) -> Result<(), Error> {
        let row = groups::ActiveModel {
            id: Set(group.id.0),
            organization_id: Set(self.organization().0),
            created_at: Set(group.created_at.as_micros()),
            ..written(group)?
        };
        groups::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.group_change(group, "created");
        Ok(())
    }

    /// Writes a group's name, external id and metadata.
    pub async fn group_update(&mut self, group: &Group) -> Result<(), Error> {
        let updated = groups::Entity::update_many()
            .set(written(group)?)
            .filter(groups::Column::Id.eq(group.id.0))
            .filter(groups::Column::OrganizationId.eq(self.organization().0))
            .exec(&self.db)
            .await?;
        one_row(&updated)?;
        self.group_change(group, "updated");
        Ok(())
    }

    /// Removes a group that nobody is in and that holds nothing.
    pub async fn group_delete(&mut self, group: &Group) -> Result<(), Error> {
        groups::Entity::delete_by_id(group.id.0)
            .filter(groups::Column::OrganizationId.eq(self.organization().0))
            .exec(&self.db)
            .await?;
        let fields = serde_json::json!({ "act": "deleted", "display_name": group.display_name });
        self.change(Change::of(OrganizationFact::GroupGone { id: group.id }).about(group.id.0, fields));
        Ok(())
    }

    /// Brings memberships into a group; none of them is in it.
    pub async fn group_members_insert(&mut self, group: GroupId, members: &[MembershipId]) -> Result<(), Error> {
        let (organization, now) = (self.organization(), self.now());
        for members in members.chunks(ROWS_MAX) {
            let rows = members.iter().map(|member| group_members::ActiveModel {
                group_id: Set(group.0),
                membership_id: Set(member.0),
                organization_id: Set(organization.0),
                created_at: Set(now.as_micros()),
            });
            group_members::Entity::insert_many(rows).exec_without_returning(&self.db).await?;
        }
        self.group_member_changes(group, members, true);
        Ok(())
    }

    /// Takes memberships out of a group; all of them are in it.
    pub async fn group_members_delete(&mut self, group: GroupId, members: &[MembershipId]) -> Result<(), Error> {
        for members in members.chunks(ROWS_MAX) {
            group_members::Entity::delete_many()
                .filter(group_members::Column::OrganizationId.eq(self.organization().0))
                .filter(group_members::Column::GroupId.eq(group.0))
                .filter(group_members::Column::MembershipId.is_in(members.iter().map(|member| member.0)))
                .exec(&self.db)
                .await?;
        }
        self.group_member_changes(group, members, false);
        Ok(())
    }

    fn group_member_changes(&mut self, group: GroupId, members: &[MembershipId], is_in: bool) {
        for membership in members {
            self.change(Change::of(OrganizationFact::GroupMember { group, membership: *membership, is_in }));
        }
    }

    fn group_change(&mut self, group: &Group, act: &str) {
        let (name, external_id) = (&group.display_name, &group.external_id);
        let fields = serde_json::json!({ "act": act, "display_name": name, "external_id": external_id });
        self.change(Change::of(OrganizationFact::Group { id: group.id }).about(group.id.0, fields));
    }
}

/// Returns the columns that making and changing a group write.
fn written(group: &Group) -> Result<groups::ActiveModel, Error> {
    Ok(groups::ActiveModel {
        name_key: Set(group.name_key()),
        display_name: Set(group.display_name.clone()),
        external_id: Set(group.external_id.clone()),
        metadata: Set(serde_json::to_string(&group.metadata).map_err(Error::internal)?),
        ..Default::default()
    })
}

fn group(row: groups::Model) -> Result<Group, Error> {
    Ok(Group {
        id: row.id.into(),
        display_name: row.display_name,
        external_id: row.external_id,
        metadata: serde_json::from_str(&row.metadata).map_err(Error::internal)?,
        created_at: Timestamp::from_micros(row.created_at),
    })
}
