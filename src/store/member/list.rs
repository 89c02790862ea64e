//! The list of members: a page at a time, from an index, whatever the order and the depth.
//!
//! A page is found in one of two ways. Where something that every member of it must be is true of few, as a word that
//! few begin with, those few are read from its index and sorted. Where not, the index of the order is walked, at most
//! so many rows; what does not fit the filter is left out, and the page may come back short.

use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement, Value};
use uuid::Uuid;

use super::statement::{FEW, Probe, Text, WALK};
use crate::domain::error::Error;
use crate::domain::id::MembershipId;
use crate::domain::member::Member;
use crate::domain::member::list::{Column, Filter, Key, Order, Position, Query};
use crate::domain::time::Timestamp;
use crate::store::OrgReads;
use crate::store::encoding::{NEVER_ACTIVE, member};
use crate::store::entity::memberships;

/// What is asked of the list of members.
#[derive(Clone, Debug)]
pub struct MemberQuery {
    /// Words that begin in their name or address.
    pub words: Query,
    /// What else they must be.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// Grants that have lapsed by then are not held.
    pub now: Timestamp,
    /// At most so many.
    pub size: u32,
    /// Where the page begins; the first if nothing.
    pub after: Option<Position>,
}

/// One member of a page, without roles.
#[derive(Clone, Debug)]
pub struct MemberRow {
    /// The membership.
    pub member: Member,
    /// The last activity, to the minute.
    pub last_active_at: Option<Timestamp>,
    /// Where a page begins that follows the member.
    pub position: Position,
}

/// A page of members.
#[derive(Clone, Debug)]
pub struct MemberPage {
    pub rows: Vec<MemberRow>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

impl OrgReads<'_> {
    /// Reads a page of an organization's members.
    pub async fn member_page(&self, query: &MemberQuery) -> Result<MemberPage, Error> {
        if query.words.is_wordless() {
            return Ok(MemberPage { rows: Vec::new(), next: None });
        }
        let few = self.few(query).await?;
        let (mut text, is_walk) = (Text::default(), few.is_none() && !query.is_plain());
        let sql = match few {
            Some(few) => text.of_few(self.organization, query, &few),
            None => text.walk(self.organization, query),
        };
        let statement = self.statement(sql, text.values);
        let mut rows = memberships::Entity::find().from_raw_sql(statement).all(&self.db).await?;

        let size = query.size as usize;
        let has_more = rows.len() > size;
        rows.truncate(size);
        let next = match rows.last().filter(|_| has_more) {
            Some(last) => Some(position(last, query.order.by)),
            None if is_walk => self.walked_to(query).await?,
            None => None,
        };
        let rows = rows.into_iter().map(|it| row(it, query.order.by)).collect::<Result<_, Error>>()?;
        Ok(MemberPage { rows, next })
    }

    /// Finds one member, as a page would show them.
    pub async fn member_row(&self, id: MembershipId) -> Result<Option<MemberRow>, Error> {
        let found = memberships::Entity::find_by_id(id.0)
            .filter(memberships::Column::OrganizationId.eq(self.organization.0))
            .one(&self.db)
            .await?;
        found.map(|it| row(it, Column::Created)).transpose()
    }

    /// Counts the members of an organization, whatever their state.
    pub async fn member_count(&self) -> Result<u64, Error> {
        let sql = "select count(*) as members from memberships where organization_id = $1".to_owned();
        let row = self.db.query_one_raw(self.statement(sql, vec![self.organization.0.into()])).await?;
        let count: i64 = row.ok_or_else(|| Error::internal("a count without a row"))?.try_get("", "members")?;
        Ok(count.unsigned_abs())
    }

    /// Returns how the database goes about a page: each statement, and its plan. For tests, and for
    /// docs/performance.md.
    pub async fn member_plans(&self, query: &MemberQuery) -> Result<Vec<(String, String)>, Error> {
        let mut statements = Vec::new();
        for probe in query.probes() {
            let mut text = Text::default();
            statements.extend(text.probe(self.organization, &probe, query).map(|sql| (sql, text.values)));
        }
        let mut text = Text::default();
        let sql = match self.few(query).await? {
            Some(few) => text.of_few(self.organization, query, &few),
            None => text.walk(self.organization, query),
        };
        statements.push((sql, text.values));

        let is_postgres = self.db.get_database_backend() == DbBackend::Postgres;
        let (explain, column) = if is_postgres { ("explain", "QUERY PLAN") } else { ("explain query plan", "detail") };
        let mut plans = Vec::new();
        for (sql, values) in statements {
            let rows = self.db.query_all_raw(self.statement(format!("{explain} {sql}"), values)).await?;
            let lines = rows.iter().map(|row| row.try_get("", column)).collect::<Result<Vec<String>, _>>()?;
            plans.push((sql, lines.join("\n")));
        }
        Ok(plans)
    }

    /// Finds the members of whom something is true that must be, if these are few.
    async fn few(&self, query: &MemberQuery) -> Result<Option<Vec<Uuid>>, Error> {
        for probe in query.probes() {
            let mut text = Text::default();
            let Some(sql) = text.probe(self.organization, &probe, query) else { continue };
            let rows = self.db.query_all_raw(self.statement(sql, text.values)).await?;
            if rows.len() <= FEW {
                let mut ids = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<Vec<Uuid>, _>>()?;
                ids.sort();
                ids.dedup();
                return Ok(Some(ids));
            }
        }
        Ok(None)
    }

    /// Returns how far the walk for a page has come, if the order goes on there.
    async fn walked_to(&self, query: &MemberQuery) -> Result<Option<Position>, Error> {
        let mut text = Text::default();
        let inner = text.ordered(self.organization, query);
        let statement = self.statement(format!("{inner} limit 1 offset {}", WALK - 1), text.values);
        let last = memberships::Entity::find().from_raw_sql(statement).one(&self.db).await?;
        Ok(last.map(|row| position(&row, query.order.by)))
    }

    fn statement(&self, sql: String, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.db.get_database_backend(), sql, values)
    }
}

impl MemberQuery {
    /// Returns what must be true of every member of the list, words first.
    fn probes(&self) -> impl Iterator<Item = Probe<'_>> {
        let words = self.words.prefixes().iter().map(Probe::Word);
        words.chain(self.filter.required().into_iter().map(Probe::Term))
    }

    /// Returns whether every member is listed.
    pub(super) fn is_plain(&self) -> bool {
        self.words.is_empty() && self.filter.is_empty()
    }
}

fn position(row: &memberships::Model, by: Column) -> Position {
    let key = match by {
        Column::Email => Key::Text(row.email_key.clone()),
        Column::DisplayName => Key::Text(row.name_key.clone()),
        Column::LastActive => Key::Number(row.last_active_at),
        Column::Created => Key::Number(row.created_at),
    };
    Position { key, id: row.id.into() }
}

fn row(row: memberships::Model, by: Column) -> Result<MemberRow, Error> {
    let position = position(&row, by);
    let last_active_at = (row.last_active_at != NEVER_ACTIVE).then(|| Timestamp::from_micros(row.last_active_at));
    Ok(MemberRow { member: member(row, Vec::new())?, last_active_at, position })
}
