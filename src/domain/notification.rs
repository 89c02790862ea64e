//! Who is told of a resource (TE-22): the active people who are listed on it, whatever they may do there, and its contacts;
//! each address once.

use super::catalog::{Catalog, TypeId};
use super::id::{ContactId, MembershipId};

/// Where a notification goes.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Recipient {
    /// The member, if it is one.
    pub membership: Option<MembershipId>,
    /// The contact, if it is one and no member.
    pub contact: Option<ContactId>,
    /// Where mails go, as written.
    pub email: String,
    /// How a member is called; may be empty.
    pub display_name: String,
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recipient(…)")
    }
}

/// Names the roles that put who holds them on a resource of the type `kind` on its list.
#[must_use]
pub fn listing_roles(catalog: &Catalog, kind: TypeId) -> Vec<String> {
    let lists = catalog.roles().filter(|(_, role)| role.as_member && role.at.types.contains(&kind));
    lists.map(|(_, role)| role.name.to_string()).collect()
}

/// Puts two lists of recipients that are in the order of their address keys together, at most `size` of them: a member
/// goes before a contact with the same address. Gives the key of the last if there may be more.
#[must_use]
pub fn merge(
    people: Vec<(String, Recipient)>,
    contacts: Vec<(String, Recipient)>,
    size: usize,
) -> (Vec<Recipient>, Option<String>) {
    let mut all: Vec<(String, Recipient)> = people.into_iter().chain(contacts).collect();
    // Stable: of two with one address the member stays first.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.dedup_by(|(later, _), (earlier, _)| later == earlier);
    let has_more = all.len() > size;
    all.truncate(size);
    let next = all.last().filter(|_| has_more).map(|(key, _)| key.clone());
    (all.into_iter().map(|(_, recipient)| recipient).collect(), next)
}
