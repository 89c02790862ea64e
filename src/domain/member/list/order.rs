//! In which order members are listed, and where in it a page begins.

use crate::domain::error::{Error, Reason};
use crate::domain::id::MembershipId;

/// What members are ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// The address, without case.
    Email,
    /// The name, without case.
    DisplayName,
    /// The last activity; who was never active comes before everybody else.
    LastActive,
    /// When the membership was made.
    Created,
}

impl Column {
    /// All of them, with the names by which they are asked for.
    pub const ALL: [(&str, Self); 4] = [
        ("email", Self::Email),
        ("display_name", Self::DisplayName),
        ("last_active_time", Self::LastActive),
        ("create_time", Self::Created),
    ];
}

/// An order; members who are equal in it are ordered by id, in the same direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// By what.
    pub by: Column,
    /// From the last to the first.
    pub is_descending: bool,
}

impl Order {
    /// Reads `FIELD`, `FIELD asc` or `FIELD desc` (AIP-132); nothing is `email`.
    ///
    /// # Errors
    /// - [`Reason::OrderInvalid`].
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        let mut parts = text.split_whitespace();
        let by = match parts.next() {
            None => Some(Column::Email),
            Some(name) => Column::ALL.iter().find(|(other, _)| *other == name).map(|(_, column)| *column),
        };
        let is_descending = match parts.next() {
            None | Some("asc") => Some(false),
            Some("desc") => Some(true),
            Some(_) => None,
        };
        match (by, is_descending, parts.next()) {
            (Some(by), Some(is_descending), None) => Ok(Self { by, is_descending }),
            _ => {
                let message =
                    "must be one of email, display_name, last_active_time and create_time, and then asc or desc";
                Err(Error::invalid(field, Reason::OrderInvalid, message))
            }
        }
    }
}

/// What stands in the column that members are ordered by.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// A name or an address.
    Text(String),
    /// An instant, in microseconds.
    Number(i64),
}

/// Where a page begins: after this member.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// What they have in the column of the order.
    pub key: Key,
    /// Who they are.
    pub id: MembershipId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_field_and_a_direction() {
        let order = |text| Order::parse("order_by", text);
        assert_eq!(order("").unwrap(), Order { by: Column::Email, is_descending: false });
        assert_eq!(order(" display_name  desc ").unwrap(), Order { by: Column::DisplayName, is_descending: true });
        assert_eq!(order("last_active_time asc").unwrap(), Order { by: Column::LastActive, is_descending: false });
        for wrong in ["id", "email DESC", "email desc, display_name", "email desc asc", "Email"] {
            assert_eq!(order(wrong).unwrap_err().reason, Reason::OrderInvalid, "{wrong}");
        }
    }
}
