//! The list of members: a page at a time, from an index, whatever the order and the depth.
//!
//! A page is found in one of two ways. Where something that every member of it must be is true of few, as a word that few
//! begin with, those few are read from its index and sorted. Where not, the index of the order is walked, at most so many
//! rows; what does not fit the filter is left out, and the page may come back short.

use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement, Value};
use uuid::Uuid;

use super::entity::memberships;
use super::membership::member;
use super::{OrgReads, Store};
use crate::changelog::scope_key;
use crate::domain::error::Error;
use crate::domain::fact::Scope;
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::member::Member;
use crate::domain::roster::{Column, Comparison, Filter, Key, Order, Position, Query, Term};
use crate::domain::time::Timestamp;

/// Most members that are read and sorted for a page.
const FEW: usize = 2_000;
/// Most rows of an order that are walked for a page.
const WALK: u32 = 2_000;
/// What stands for a member who was never active: before any instant that a filter can name, so that the order has no holes.
pub(super) const NEVER: i64 = -(1 << 62);
/// Most people of whom one statement writes that they were active: SQLite takes expressions of at most 1,000 terms.
const ACTIVE_MAX: usize = 200;

/// What is asked of the list of members.
#[derive(Clone, Debug)]
pub struct RosterQuery {
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
pub struct RosterRow {
    /// The membership.
    pub member: Member,
    /// The last activity, to the minute.
    pub last_active_at: Option<Timestamp>,
    /// Where a page begins that follows the member.
    pub position: Position,
}

/// A page of members.
#[derive(Clone, Debug)]
pub struct RosterPage {
    /// In order.
    pub rows: Vec<RosterRow>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

impl OrgReads<'_> {
    /// Reads a page of an organization's members.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn roster_page(&self, query: &RosterQuery) -> Result<RosterPage, Error> {
        if query.words.is_wordless() {
            return Ok(RosterPage { rows: Vec::new(), next: None });
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
        Ok(RosterPage { rows, next })
    }

    /// Finds one member, as a page would show them.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn roster_row(&self, id: MembershipId) -> Result<Option<RosterRow>, Error> {
        let found = memberships::Entity::find_by_id(id.0)
            .filter(memberships::Column::OrganizationId.eq(self.organization.0))
            .one(&self.db)
            .await?;
        found.map(|it| row(it, Column::Created)).transpose()
    }

    /// Counts the members of an organization, whatever their state.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn roster_count(&self) -> Result<u64, Error> {
        let sql = "select count(*) as members from memberships where organization_id = $1".to_owned();
        let row = self.db.query_one_raw(self.statement(sql, vec![self.organization.0.into()])).await?;
        let count: i64 = row.ok_or_else(|| Error::internal("a count without a row"))?.try_get("", "members")?;
        Ok(count.unsigned_abs())
    }

    /// Tells how the database goes about a page: each statement, and its plan. For tests, and for docs/performance.md.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn roster_plans(&self, query: &RosterQuery) -> Result<Vec<(String, String)>, Error> {
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
    async fn few(&self, query: &RosterQuery) -> Result<Option<Vec<Uuid>>, Error> {
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

    /// Tells how far the walk for a page has come, if the order goes on there.
    async fn walked_to(&self, query: &RosterQuery) -> Result<Option<Position>, Error> {
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

impl Store {
    /// Writes that some users were active at an instant, in an organization or in all of theirs where they are ACTIVE. What
    /// is written is never earlier than what was.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn members_active(&self, who: &[(UserId, Option<OrganizationId>)], at: Timestamp) -> Result<(), Error> {
        for some in who.chunks(ACTIVE_MAX) {
            let mut text = Text::default();
            let at = text.bind(at.as_micros());
            let places: Vec<String> = some
                .iter()
                .map(|(user, organization)| match organization {
                    Some(id) => {
                        format!("(organization_id = {} and user_id = {})", text.bind(id.0), text.bind(user.0))
                    }
                    None => format!("user_id = {}", text.bind(user.0)),
                })
                .collect();
            let sql = format!(
                "update memberships set last_active_at = {at} where last_active_at < {at} and state = 'active' \
                 and ({})",
                places.join(" or "),
            );
            let statement = Statement::from_sql_and_values(self.writer.get_database_backend(), sql, text.values);
            self.writer.execute_raw(statement).await?;
        }
        Ok(())
    }
}

impl RosterQuery {
    /// Gives what must be true of every member of the list, words first.
    fn probes(&self) -> impl Iterator<Item = Probe<'_>> {
        let words = self.words.prefixes().iter().map(Probe::Word);
        words.chain(self.filter.required().into_iter().map(Probe::Term))
    }

    /// Says whether every member is listed.
    fn is_plain(&self) -> bool {
        self.words.is_empty() && self.filter.is_empty()
    }
}

/// Something that must be true of a member, and has an index.
enum Probe<'a> {
    Word(&'a String),
    Term(&'a Term),
}

/// The values of a statement that is being written; each `$n` in its text is one.
#[derive(Default)]
struct Text {
    values: Vec<Value>,
}

impl Text {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Writes the statement that sorts `few` members.
    fn of_few(&mut self, organization: OrganizationId, query: &RosterQuery, few: &[Uuid]) -> String {
        if few.is_empty() {
            return "select * from memberships where 1 = 0".to_owned();
        }
        let ids: Vec<String> = few.iter().map(|id| self.bind(*id)).collect();
        let (ids, organization_id) = (ids.join(", "), self.bind(organization.0));
        let (after, fits) = (self.after(query, "m."), self.fits(organization, query));
        format!(
            "select m.* from memberships m where m.id in ({ids}) and m.organization_id = {organization_id}{after}{fits} \
             order by {} limit {}",
            order(query.order, "m."),
            query.size + 1,
        )
    }

    /// Writes the statement that walks the order, and leaves out what does not fit.
    fn walk(&mut self, organization: OrganizationId, query: &RosterQuery) -> String {
        let inner = self.ordered(organization, query);
        if query.is_plain() {
            return format!("{inner} limit {}", query.size + 1);
        }
        let fits = self.fits(organization, query);
        format!(
            "select m.* from ({inner} limit {WALK}) m where 1 = 1{fits} order by {} limit {}",
            order(query.order, "m."),
            query.size + 1,
        )
    }

    /// Writes the organization's members in order, from where the page begins; what is asked of the column of the order
    /// narrows where the walk goes.
    fn ordered(&mut self, organization: OrganizationId, query: &RosterQuery) -> String {
        let organization_id = self.bind(organization.0);
        let after = self.after(query, "");
        let mut within = Vec::new();
        for term in query.filter.required() {
            let (column, comparison, at) = match (query.order.by, term) {
                (Column::LastActive, Term::LastActive(comparison, at)) => ("last_active_at", comparison, at),
                (Column::Created, Term::Created(comparison, at)) => ("created_at", comparison, at),
                _ => continue,
            };
            within.push(format!(" and {column} {} {}", sign(*comparison), self.bind(at.as_micros())));
        }
        let within = within.concat();
        let order = order(query.order, "");
        format!("select * from memberships where organization_id = {organization_id}{after}{within} order by {order}")
    }

    /// Writes the condition under which a row comes after the position.
    fn after(&mut self, query: &RosterQuery, of: &str) -> String {
        let Some(Position { key, id }) = &query.after else { return String::new() };
        let sign = if query.order.is_descending { "<" } else { ">" };
        let column = column(query.order.by);
        let key = match key {
            Key::Text(text) => self.bind(text.clone()),
            Key::Number(number) => self.bind(*number),
        };
        match query.order.by {
            // An address is held once.
            Column::Email => format!(" and {of}{column} {sign} {key}"),
            _ => format!(" and ({of}{column}, {of}id) {sign} ({key}, {})", self.bind(id.0)),
        }
    }

    /// Writes the condition under which a row is what is asked.
    fn fits(&mut self, organization: OrganizationId, query: &RosterQuery) -> String {
        let mut all = Vec::new();
        for prefix in query.words.prefixes() {
            let (from, to) = (self.bind(prefix.clone()), self.bind(past(prefix)));
            all.push(format!(
                " and exists (select 1 from membership_words w where w.membership_id = m.id and w.word >= {from} \
                 and w.word < {to})"
            ));
        }
        if !query.filter.is_empty() {
            all.push(format!(" and {}", self.condition(organization, &query.filter, query.now)));
        }
        all.concat()
    }

    fn condition(&mut self, organization: OrganizationId, filter: &Filter, now: Timestamp) -> String {
        let mut joined = |parts: &[Filter], word: &str| {
            let parts: Vec<String> = parts.iter().map(|part| self.condition(organization, part, now)).collect();
            format!("({})", parts.join(word))
        };
        match filter {
            Filter::All(parts) if parts.is_empty() => "1 = 1".to_owned(),
            Filter::All(parts) => joined(parts, " and "),
            Filter::Any(parts) => joined(parts, " or "),
            Filter::Not(part) => format!("not {}", self.condition(organization, part, now)),
            Filter::Is(term) => self.term(organization, term, now),
        }
    }

    fn term(&mut self, organization: OrganizationId, term: &Term, now: Timestamp) -> String {
        match term {
            Term::State(state) => format!("m.state = {}", self.bind(state.word())),
            Term::Role(role) => {
                let scope = self.bind(scope_key(Scope::Organization(organization)));
                let (role, now) = (self.bind(&**role), self.bind(now.as_micros()));
                format!(
                    "exists (select 1 from grants g where g.scope = {scope} and g.principal_kind = 'membership' \
                     and g.principal_id = m.id and g.place_kind = 'organization' and g.place_type = '' \
                     and g.place_id = '' and g.role = {role} and (g.expires_at is null or g.expires_at > {now}))"
                )
            }
            Term::Group(group) => format!(
                "exists (select 1 from group_members i where i.group_id = {} and i.membership_id = m.id)",
                self.bind(group.0),
            ),
            Term::Managed(is_managed) => format!(
                "{}(m.user_id is not null and m.is_made_here and not exists (select 1 from memberships o where o.user_id = m.user_id \
                 and o.id <> m.id))",
                if *is_managed { "" } else { "not " },
            ),
            Term::LastActive(comparison, at) => {
                format!("m.last_active_at {} {}", sign(*comparison), self.bind(at.as_micros()))
            }
            Term::Created(comparison, at) => {
                format!("m.created_at {} {}", sign(*comparison), self.bind(at.as_micros()))
            }
        }
    }

    /// Writes the statement that finds members of whom something is true, a few and one more; `None` if no index tells.
    /// They come in the order of the index, so that it is read and no more than is needed of it.
    fn probe(&mut self, organization: OrganizationId, probe: &Probe<'_>, query: &RosterQuery) -> Option<String> {
        let organization_id = self.bind(organization.0);
        let found = match probe {
            Probe::Word(prefix) => {
                let (from, to) = (self.bind((*prefix).clone()), self.bind(past(prefix)));
                format!(
                    "select membership_id as id from membership_words where organization_id = {organization_id} \
                     and word >= {from} and word < {to} order by word"
                )
            }
            Probe::Term(Term::Role(role)) => format!(
                "select principal_id as id from grants where scope = {organization_id} and place_kind = 'organization' \
                 and role = {} and principal_kind = 'membership' order by principal_id",
                self.bind(&**role),
            ),
            Probe::Term(Term::Group(group)) => format!(
                "select membership_id as id from group_members where group_id = {} and organization_id = {organization_id} \
                 order by membership_id",
                self.bind(group.0),
            ),
            Probe::Term(Term::State(state)) => format!(
                "select id from memberships where organization_id = {organization_id} and state = {} order by id",
                self.bind(state.word()),
            ),
            // The walk is narrowed by these.
            Probe::Term(Term::LastActive(..)) if query.order.by == Column::LastActive => return None,
            Probe::Term(Term::Created(..)) if query.order.by == Column::Created => return None,
            Probe::Term(Term::LastActive(comparison, at)) => format!(
                "select id from memberships where organization_id = {organization_id} and last_active_at {} {} \
                 order by last_active_at",
                sign(*comparison),
                self.bind(at.as_micros()),
            ),
            Probe::Term(Term::Created(comparison, at)) => format!(
                "select id from memberships where organization_id = {organization_id} and created_at {} {} \
                 order by created_at",
                sign(*comparison),
                self.bind(at.as_micros()),
            ),
            Probe::Term(Term::Managed(_)) => return None,
        };
        Some(format!("{found} limit {}", FEW + 1))
    }
}

/// Gives a text after which nothing begins with `prefix`; both databases compare bytewise.
fn past(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

fn column(by: Column) -> &'static str {
    match by {
        Column::Email => "email_key",
        Column::DisplayName => "name_key",
        Column::LastActive => "last_active_at",
        Column::Created => "created_at",
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Before => "<",
        Comparison::Until => "<=",
        Comparison::After => ">",
        Comparison::Since => ">=",
        Comparison::At => "=",
    }
}

fn order(order: Order, of: &str) -> String {
    let (column, way) = (column(order.by), if order.is_descending { "desc" } else { "asc" });
    match order.by {
        Column::Email => format!("{of}{column} {way}"),
        _ => format!("{of}{column} {way}, {of}id {way}"),
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

fn row(row: memberships::Model, by: Column) -> Result<RosterRow, Error> {
    let position = position(&row, by);
    let last_active_at = (row.last_active_at != NEVER).then(|| Timestamp::from_micros(row.last_active_at));
    Ok(RosterRow { member: member(row, Vec::new())?, last_active_at, position })
}
