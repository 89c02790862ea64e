//! The statements of the list of members, as texts with their values.

use sea_orm::Value;
use uuid::Uuid;

use super::MemberQuery;
use crate::changelog::scope_key;
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::member::list::{Column, Comparison, Filter, Key, Order, Position, Term};
use crate::domain::time::Timestamp;

/// Most members that are read and sorted for a page.
pub(super) const FEW: usize = 2_000;
/// Most rows of an order that are walked for a page.
pub(super) const WALK: u32 = 2_000;
/// Something that must be true of a member, and has an index.
pub(super) enum Probe<'a> {
    Word(&'a String),
    Term(&'a Term),
}

/// The values of a statement that is being written; each `$n` in its text is one.
#[derive(Default)]
pub(super) struct Text {
    pub(super) values: Vec<Value>,
}

impl Text {
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Writes the statement that sorts `few` members.
    pub(super) fn of_few(&mut self, organization: OrganizationId, query: &MemberQuery, few: &[Uuid]) -> String {
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
    pub(super) fn walk(&mut self, organization: OrganizationId, query: &MemberQuery) -> String {
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
    pub(super) fn ordered(&mut self, organization: OrganizationId, query: &MemberQuery) -> String {
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
    fn after(&mut self, query: &MemberQuery, of: &str) -> String {
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
    fn fits(&mut self, organization: OrganizationId, query: &MemberQuery) -> String {
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
    pub(super) fn probe(
        &mut self,
        organization: OrganizationId,
        probe: &Probe<'_>,
        query: &MemberQuery,
    ) -> Option<String> {
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

/// Returns a text after which nothing begins with `prefix`; both databases compare bytewise.
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
