//! Filters over members (AIP-160), read into a form that says what is asked of each row.

use std::collections::BTreeSet;
use std::sync::Arc;

use aip_160::{Comparator, Expression, Restriction};

use crate::domain::catalog::Catalog;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::MemberState;
use crate::domain::id::GroupId;
use crate::domain::time::Timestamp;

/// Most terms of a filter.
const TERMS_MAX: usize = 16;
/// Most bytes of a filter.
const BYTES_MAX: usize = 2_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 8;

/// What is asked of a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filter {
    /// Each of these; of none, nothing.
    All(Vec<Filter>),
    /// At least one of these.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// This.
    Is(Term),
}

/// One thing that is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Term {
    /// `state = ACTIVE`: where the membership stands.
    State(MemberState),
    /// `roles:NAME`: a role is held directly at the organization.
    Role(Arc<str>),
    /// `groups:ID`: is in a group.
    Group(GroupId),
    /// `managed = true`: whether the organization manages the identity.
    Managed(bool),
    /// `last_active_time < "…"`: the last activity; who was never active is before any instant.
    LastActive(Comparison, Timestamp),
    /// `create_time < "…"`: when the membership was made.
    Created(Comparison, Timestamp),
}

/// How an instant is compared with what a row has, the row on the left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// Earlier.
    Before,
    /// Earlier, or at it.
    Until,
    /// Later.
    After,
    /// Later, or at it.
    Since,
    /// At it.
    At,
}

impl Default for Filter {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Filter {
    /// Reads a filter; nothing is asked by an empty one.
    ///
    /// # Errors
    /// - [`Reason::FilterInvalid`]; the message says where, and what can be asked.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        let refuse = |message: String| Error::invalid(field, Reason::FilterInvalid, message);
        if text.len() > BYTES_MAX {
            return Err(refuse(format!("is longer than {BYTES_MAX} bytes")));
        }
        let parsed =
            aip_160::parse_filter_with_max_depth(text, DEPTH_MAX).map_err(|error| refuse(error.to_string()))?;
        let Some(expression) = parsed.expression else { return Ok(Self::default()) };
        let filter = read(&expression).map_err(refuse)?;
        if filter.terms() > TERMS_MAX {
            return Err(refuse(format!("has more than {TERMS_MAX} terms")));
        }
        Ok(filter)
    }

    /// Returns whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::All(all) if all.is_empty())
    }

    /// Returns what each member must be, whatever else is asked: the terms that stand alone or are joined by AND.
    #[must_use]
    pub fn required(&self) -> Vec<&Term> {
        match self {
            Self::Is(term) => vec![term],
            Self::All(all) => all.iter().flat_map(Self::required).collect(),
            Self::Any(any) if any.len() == 1 => any[0].required(),
            Self::Any(_) | Self::Not(_) => Vec::new(),
        }
    }

    /// Returns the groups that are asked about, each once; who is in one, not everybody may be told.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<GroupId> {
        let mut groups = BTreeSet::new();
        self.each_term(&mut |term| {
            if let Term::Group(id) = term {
                groups.insert(*id);
            }
        });
        groups
    }

    /// Ensures that every role which is asked about is one of the catalog: nobody holds another, and so everybody would
    /// fit its negation.
    ///
    /// # Errors
    /// - [`Reason::RoleUnknown`] under `field`.
    pub fn must_name_roles_of(&self, catalog: &Catalog, field: &str) -> Result<(), Error> {
        let mut unknown = None;
        self.each_term(&mut |term| {
            if let Term::Role(name) = term
                && catalog.role_id(name).is_none()
            {
                unknown.get_or_insert(name);
            }
        });
        match unknown {
            Some(name) => {
                Err(Error::invalid(field, Reason::RoleUnknown, format!("asks for {name:?}, which is no role")))
            }
            None => Ok(()),
        }
    }

    /// Calls `each` with every term that is asked, however it is joined.
    pub fn each_term<'a>(&'a self, each: &mut impl FnMut(&'a Term)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each_term(each)),
            Self::Not(part) => part.each_term(each),
            Self::Is(term) => each(term),
        }
    }

    fn terms(&self) -> usize {
        let mut count = 0;
        self.each_term(&mut |_| count += 1);
        count
    }
}

fn read(expression: &Expression) -> Result<Filter, String> {
    let all = |parts: &[Expression]| parts.iter().map(read).collect::<Result<Vec<_>, _>>();
    match expression {
        Expression::And(parts) | Expression::Sequence(parts) => Ok(Filter::All(all(parts)?)),
        Expression::Or(parts) => Ok(Filter::Any(all(parts)?)),
        Expression::Not(part) => Ok(Filter::Not(Box::new(read(part)?))),
        Expression::Restriction(restriction) => term(restriction),
        Expression::Global(_) => Err("has a word that is no comparison; `query` searches words".to_owned()),
    }
}

fn term(restriction: &Restriction) -> Result<Filter, String> {
    let field = restriction.comparable.field_path().ok_or("compares something that is no field")?;
    let value =
        restriction.arg.as_value().ok_or_else(|| format!("compares {field} with something that is no value"))?;
    let text = value.as_str();
    let is = |is: bool, term: Term| if is { Filter::Is(term) } else { Filter::Not(Box::new(Filter::Is(term))) };
    let equality = || match restriction.comparator {
        Comparator::Equal => Ok(true),
        Comparator::NotEqual => Ok(false),
        other => Err(format!("compares {field} by {other}; it takes = and !=")),
    };
    match field.as_str() {
        "state" => {
            let state = match text {
                "PENDING" => MemberState::Pending,
                "ACTIVE" => MemberState::Active,
                "DISABLED" => MemberState::Disabled,
                "REMOVING" => MemberState::Removing,
                _ => return Err("names a state that is none of PENDING, ACTIVE, DISABLED and REMOVING".to_owned()),
            };
            Ok(is(equality()?, Term::State(state)))
        }
        "roles" => match restriction.comparator {
            Comparator::Has if !text.is_empty() && !text.chars().any(char::is_control) => {
                Ok(Filter::Is(Term::Role(text.into())))
            }
            _ => Err("asks for roles otherwise than by roles:NAME".to_owned()),
        },
        "groups" => match (restriction.comparator, GroupId::parse("filter", text)) {
            (Comparator::Has, Ok(group)) => Ok(Filter::Is(Term::Group(group))),
            _ => Err("asks for groups otherwise than by groups:ID".to_owned()),
        },
        "managed" => {
            let managed = value.as_bool().ok_or("compares managed with neither true nor false")?;
            Ok(is(equality()?, Term::Managed(managed)))
        }
        "last_active_time" => {
            let (is_so, comparison) = comparison(&field, restriction.comparator)?;
            Ok(is(is_so, Term::LastActive(comparison, instant(&field, text)?)))
        }
        "create_time" => {
            let (is_so, comparison) = comparison(&field, restriction.comparator)?;
            Ok(is(is_so, Term::Created(comparison, instant(&field, text)?)))
        }
        _ => {
            Err("names a field that is none of state, roles, groups, managed, last_active_time and create_time"
                .to_owned())
        }
    }
}

fn comparison(field: &str, comparator: Comparator) -> Result<(bool, Comparison), String> {
    match comparator {
        Comparator::Equal => Ok((true, Comparison::At)),
        Comparator::NotEqual => Ok((false, Comparison::At)),
        Comparator::LessThan => Ok((true, Comparison::Before)),
        Comparator::LessThanOrEqual => Ok((true, Comparison::Until)),
        Comparator::GreaterThan => Ok((true, Comparison::After)),
        Comparator::GreaterThanOrEqual => Ok((true, Comparison::Since)),
        Comparator::Has => Err(format!("asks whether {field} has something; it is compared by =, !=, <, <=, > and >=")),
    }
}

fn instant(field: &str, text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| format!("compares {field} with no instant, as \"2026-11-22T12:00:00Z\" is one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse("filter", text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_filter_is_read_with_the_precedence_of_aip_160() {
        let state = |state| Filter::Is(Term::State(state));
        let role = |name: &str| Filter::Is(Term::Role(name.into()));
        assert!(filter("  ").is_empty());
        assert_eq!(filter("state = ACTIVE"), state(MemberState::Active));
        assert_eq!(filter("state != ACTIVE"), Filter::Not(Box::new(state(MemberState::Active))));
        assert_eq!(filter("roles:\"a b\""), role("a b"));
        assert_eq!(filter("-roles:x"), Filter::Not(Box::new(role("x"))));
        assert_eq!(
            filter("state = PENDING AND roles:x OR roles:y"),
            Filter::All(vec![state(MemberState::Pending), Filter::Any(vec![role("x"), role("y")])])
        );
        let noon = Timestamp::from_micros(1_795_348_800_000_000);
        assert_eq!(
            filter("last_active_time < \"2026-11-22T12:00:00Z\""),
            Filter::Is(Term::LastActive(Comparison::Before, noon))
        );
        assert_eq!(filter("state = ACTIVE roles:x").required().len(), 2);
        assert!(filter("state = ACTIVE OR roles:x").required().is_empty());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let long = vec!["roles:x"; 17].join(" AND ");
        for wrong in [
            "ada",
            "state = GONE",
            "state:ACTIVE",
            "roles = x",
            "roles:",
            "managed = yes",
            "groups:x",
            "create_time:\"x\"",
            "create_time < \"yesterday\"",
            "email = x",
            "a.b = c",
            "f(x)",
            "state = (ACTIVE OR PENDING)",
            "state =",
            "(",
            &long,
        ] {
            let error = Filter::parse("filter", wrong).expect_err(wrong);
            assert_eq!(error.reason, Reason::FilterInvalid, "{wrong}");
        }
        assert!(Filter::parse("filter", &vec!["roles:x"; 16].join(" AND ")).is_ok());
    }
}
