//! Members: the rows of memberships.

mod activity;
mod belonging;
mod list;
mod removal;
mod statement;

use std::collections::HashSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::encoding::{NEVER_ACTIVE, is_live, member, metadata_column};
use super::entity::{grants, membership_words, memberships};
use super::error::one_row;
use super::{OrgReads, Tx};
use crate::changelog::{Change, scope_key};
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::fact::{MemberState, OrganizationFact, Scope};
use crate::domain::id::{MembershipId, UserId};
use crate::domain::member::Member;
use crate::domain::member::list::{name_key, words};
use crate::domain::time::Timestamp;

pub use list::{MemberPage, MemberQuery, MemberRow};
pub use removal::RemovalKey;

/// Most rows of words that one statement writes, of three values each.
const WORDS_MAX: usize = 1_000;

impl OrgReads<'_> {
    /// Finds a membership of an organization, with the roles that it holds there at `now`.
    pub async fn membership(&self, id: MembershipId, now: Timestamp) -> Result<Option<Member>, Error> {
        Ok(self.memberships(&[id], now).await?.pop())
    }

    /// Finds the membership that holds an address in an organization, without its roles.
    pub async fn membership_by_email(&self, email: &Email) -> Result<Option<Member>, Error> {
        let row = memberships::Entity::find()
            .filter(memberships::Column::OrganizationId.eq(self.organization.0))
            .filter(memberships::Column::EmailKey.eq(email.key()))
            .one(&self.db)
            .await?;
        row.map(|row| member(row, Vec::new())).transpose()
    }

    /// Finds the membership of a user in an organization, without its roles.
    pub async fn membership_by_user(&self, user: UserId) -> Result<Option<Member>, Error> {
        let row = memberships::Entity::find()
            .filter(memberships::Column::OrganizationId.eq(self.organization.0))
            .filter(memberships::Column::UserId.eq(user.0))
            .one(&self.db)
            .await?;
        row.map(|row| member(row, Vec::new())).transpose()
    }

    /// Finds memberships of an organization, with the roles that they hold there at `now`, in no order.
    pub async fn memberships(&self, ids: &[MembershipId], now: Timestamp) -> Result<Vec<Member>, Error> {
        let rows = memberships::Entity::find()
            .filter(memberships::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .filter(memberships::Column::OrganizationId.eq(self.organization.0))
            .all(&self.db)
            .await?;
        self.with_roles(rows, now).await
    }

    /// Finds the memberships that hold some addresses or external ids in an organization, without their roles.
    pub async fn memberships_under(&self, emails: &[Email], external_ids: &[String]) -> Result<Vec<Member>, Error> {
        let named = Condition::any()
            .add(memberships::Column::EmailKey.is_in(emails.iter().map(Email::key)))
            .add(memberships::Column::ExternalId.is_in(external_ids));
        let rows = memberships::Entity::find()
            .filter(memberships::Column::OrganizationId.eq(self.organization.0))
            .filter(named)
            .all(&self.db)
            .await?;
        rows.into_iter().map(|row| member(row, Vec::new())).collect()
    }

    /// Returns which of some users have a place in another organization than this one.
    pub async fn users_elsewhere(&self, users: &[UserId]) -> Result<HashSet<UserId>, Error> {
        let rows = memberships::Entity::find()
            .select_only()
            .column(memberships::Column::UserId)
            .filter(memberships::Column::UserId.is_in(users.iter().map(|user| user.0)))
            .filter(memberships::Column::OrganizationId.ne(self.organization.0))
            .into_tuple::<Uuid>()
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(UserId).collect())
    }

    /// Adds to each membership the roles that it holds at `now` directly at the organization.
    async fn with_roles(&self, rows: Vec<memberships::Model>, now: Timestamp) -> Result<Vec<Member>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let held = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
            .filter(grants::Column::PrincipalKind.eq("membership"))
            .filter(grants::Column::PrincipalId.is_in(rows.iter().map(|row| row.id)))
            .filter(grants::Column::PlaceKind.eq("organization"))
            .filter(is_live(now))
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
    pub async fn membership_insert(&mut self, member: &Member, email: &Email) -> Result<(), Error> {
        self.memberships_insert(&[(member.clone(), email.clone())]).await
    }

    /// Makes memberships of the locked organization.
    pub async fn memberships_insert(&mut self, members: &[(Member, Email)]) -> Result<(), Error> {
        let organization = self.organization();
        let row = |(member, email): &(Member, Email)| {
            Ok(memberships::ActiveModel {
                id: Set(member.id.0),
                organization_id: Set(organization.0),
                user_id: Set(member.user.map(|user| user.0)),
                email_key: Set(email.key().to_owned()),
                email: Set(email.text().to_owned()),
                display_name: Set(member.display_name.clone()),
                state: Set(member.state.word().to_owned()),
                created_at: Set(member.created_at.as_micros()),
                external_id: Set(member.external_id.clone()),
                metadata: Set(metadata_column(&member.metadata)?),
                name_key: Set(name_key(&member.display_name)),
                last_active_at: Set(NEVER_ACTIVE),
                is_made_here: Set(member.is_made_here),
            })
        };
        let rows = members.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
        memberships::Entity::insert_many(rows).exec_without_returning(&self.db).await?;
        self.member_words_insert(members.iter().map(|(member, email)| (member, email.key()))).await?;
        for (member, _) in members {
            self.membership_change(member, "created");
        }
        Ok(())
    }

    /// Writes a membership as it is in `member`; its address and when it was made stay.
    pub async fn membership_update(&mut self, member: &Member, act: &str) -> Result<(), Error> {
        let row = memberships::ActiveModel {
            user_id: Set(member.user.map(|user| user.0)),
            display_name: Set(member.display_name.clone()),
            state: Set(member.state.word().to_owned()),
            external_id: Set(member.external_id.clone()),
            metadata: Set(metadata_column(&member.metadata)?),
            name_key: Set(name_key(&member.display_name)),
            is_made_here: Set(member.is_made_here),
            ..Default::default()
        };
        let updated = memberships::Entity::update_many()
            .set(row)
            .filter(memberships::Column::Id.eq(member.id.0))
            .filter(memberships::Column::OrganizationId.eq(self.organization().0))
            .exec(&self.db)
            .await?;
        one_row(&updated)?;
        membership_words::Entity::delete_many()
            .filter(membership_words::Column::OrganizationId.eq(self.organization().0))
            .filter(membership_words::Column::MembershipId.eq(member.id.0))
            .exec(&self.db)
            .await?;
        let email = Email::parse("email", &member.email)?;
        self.member_words_insert([(member, email.key())].into_iter()).await?;
        self.membership_change(member, act);
        Ok(())
    }

    /// Writes that memberships of the locked organization are in the state that they have in `members`, one for all.
    pub async fn memberships_move(&mut self, members: &[Member], state: MemberState, act: &str) -> Result<(), Error> {
        memberships::Entity::update_many()
            .col_expr(memberships::Column::State, Expr::value(state.word()))
            .filter(memberships::Column::OrganizationId.eq(self.organization().0))
            .filter(memberships::Column::Id.is_in(members.iter().map(|member| member.id.0)))
            .exec(&self.db)
            .await?;
        for member in members {
            self.membership_change(member, act);
        }
        Ok(())
    }

    /// Writes the words by which members are found.
    async fn member_words_insert(&self, members: impl Iterator<Item = (&Member, &str)>) -> Result<(), Error> {
        let organization = self.organization();
        let rows: Vec<membership_words::ActiveModel> = members
            .flat_map(|(member, email_key)| {
                words(&member.display_name, email_key).into_iter().map(|word| membership_words::ActiveModel {
                    membership_id: Set(member.id.0),
                    word: Set(word),
                    organization_id: Set(organization.0),
                })
            })
            .collect();
        for rows in rows.chunks(WORDS_MAX) {
            membership_words::Entity::insert_many(rows.to_vec()).exec_without_returning(&self.db).await?;
        }
        Ok(())
    }

    fn membership_change(&mut self, member: &Member, act: &str) {
        let fact = OrganizationFact::Membership { id: member.id, user: member.user, state: member.state };
        let fields = serde_json::json!({ "act": act, "email": member.email, "display_name": member.display_name });
        self.change(Change::of(fact).about(member.id.0, fields));
    }
}
