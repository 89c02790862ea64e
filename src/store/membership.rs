//! Memberships.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::encoding::state;
use super::entity::{grants, memberships};
use super::{Reads, Tx};
use crate::changelog::{Change, scope_key};
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::{Fact, MemberState, Scope};
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::member::Member;
use crate::domain::time::Timestamp;

/// Where a page of members begins: after this address key.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct PageKey(pub String);

/// A page of members, by address.
#[derive(Clone, Debug)]
pub struct MemberPage {
    /// In order.
    pub members: Vec<Member>,
    /// Where the next page begins, if there is one.
    pub next: Option<PageKey>,
}

impl Reads<'_> {
    /// Finds a membership of an organization, with its roles there.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn membership(&self, organization: OrganizationId, id: MembershipId) -> Result<Option<Member>, Error> {
        let row = memberships::Entity::find_by_id(id.0)
            .filter(memberships::Column::OrganizationId.eq(organization.0))
            .one(&self.db)
            .await?;
        Ok(self.with_roles(organization, row.into_iter().collect()).await?.pop())
    }

    /// Finds the membership that holds an address in an organization, without its roles.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn membership_by_email(
        &self,
        organization: OrganizationId,
        email: &Email,
    ) -> Result<Option<Member>, Error> {
        let row = memberships::Entity::find()
            .filter(memberships::Column::OrganizationId.eq(organization.0))
            .filter(memberships::Column::EmailKey.eq(email.key()))
            .one(&self.db)
            .await?;
        row.map(|row| member(row, Vec::new())).transpose()
    }

    /// Finds the membership of a user in an organization, without its roles.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn membership_by_user(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<Member>, Error> {
        let row = memberships::Entity::find()
            .filter(memberships::Column::OrganizationId.eq(organization.0))
            .filter(memberships::Column::UserId.eq(user.0))
            .one(&self.db)
            .await?;
        row.map(|row| member(row, Vec::new())).transpose()
    }

    /// Reads the memberships of an organization by address, at most `size` of them, from after `after` on.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn membership_page(
        &self,
        organization: OrganizationId,
        after: Option<&PageKey>,
        size: u32,
    ) -> Result<MemberPage, Error> {
        let mut query = memberships::Entity::find().filter(memberships::Column::OrganizationId.eq(organization.0));
        if let Some(PageKey(key)) = after {
            query = query.filter(memberships::Column::EmailKey.gt(key));
        }
        let mut rows =
            query.order_by_asc(memberships::Column::EmailKey).limit(u64::from(size) + 1).all(&self.db).await?;
        let has_more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| has_more).map(|row| PageKey(row.email_key.clone()));
        Ok(MemberPage { members: self.with_roles(organization, rows).await?, next })
    }

    /// Adds to each membership the roles that it holds directly at the organization.
    async fn with_roles(
        &self,
        organization: OrganizationId,
        rows: Vec<memberships::Model>,
    ) -> Result<Vec<Member>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let held = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(organization))))
            .filter(grants::Column::PrincipalKind.eq("membership"))
            .filter(grants::Column::PrincipalId.is_in(rows.iter().map(|row| row.id)))
            .filter(grants::Column::PlaceKind.eq("organization"))
            .order_by_asc(grants::Column::Role)
            .all(&self.db)
            .await?;
        rows.into_iter()
            .map(|row| {
                let roles = held.iter().filter(|grant| grant.principal_id == row.id);
                let roles = roles.map(|grant| grant.role.clone()).collect();
                member(row, roles)
            })
            .collect()
    }
}

impl Tx {
    /// Makes a membership of the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn membership_insert(&mut self, member: &Member, email: &Email) -> Result<(), Error> {
        let row = memberships::ActiveModel {
            id: Set(member.id.0),
            organization_id: Set(self.organization().0),
            user_id: Set(member.user.map(|user| user.0)),
            email_key: Set(email.key().to_owned()),
            email: Set(email.text().to_owned()),
            display_name: Set(member.display_name.clone()),
            state: Set(member.state.word().to_owned()),
            created_at: Set(member.created_at.as_micros()),
        };
        memberships::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.membership_change(member, "created");
        Ok(())
    }

    /// Writes a membership's user, name and state as they are in `member`.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn membership_update(&mut self, member: &Member, act: &str) -> Result<(), Error> {
        let row = memberships::ActiveModel {
            id: Set(member.id.0),
            user_id: Set(member.user.map(|user| user.0)),
            display_name: Set(member.display_name.clone()),
            state: Set(member.state.word().to_owned()),
            ..Default::default()
        };
        memberships::Entity::update(row).exec(&self.db).await?;
        self.membership_change(member, act);
        Ok(())
    }

    fn membership_change(&mut self, member: &Member, act: &str) {
        let fact = Fact::Membership { id: member.id, user: member.user, state: member.state };
        let fields = serde_json::json!({ "act": act, "email": member.email, "display_name": member.display_name });
        self.change(Change::of(fact).about(member.id.0, fields));
    }
}

fn member(row: memberships::Model, roles: Vec<String>) -> Result<Member, Error> {
    Ok(Member {
        id: row.id.into(),
        user: row.user_id.map(UserId),
        email: row.email,
        display_name: row.display_name,
        state: state(MemberState::from_word, &row.state)?,
        roles,
        created_at: Timestamp::from_micros(row.created_at),
    })
}
