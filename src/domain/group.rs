//! Groups: named sets of memberships, and who may bring somebody into one or out of it.

use std::collections::HashSet;

use super::access::{Actor, may_give, may_take, must_see_all_held_by};
use super::catalog::Catalog;
use super::error::{Error, Kind, Reason};
use super::fact::Grant;
use super::id::{GroupId, MembershipId};
use super::metadata::Metadata;
use super::place::Principal;
use super::text::folded;
use super::time::Timestamp;

/// Most memberships in a group: what a group holds must go in one commit with it. `everyone` has no bound.
pub const MEMBERS_MAX: usize = 5_000;
/// Most grants that a group holds. No more rows than these are its: who gives it more takes as many expired ones away.
pub const GRANTS_MAX: usize = 4_000;

/// A named set of memberships of one organization.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Group {
    /// Made by the server.
    pub id: GroupId,
    /// For people; unique in the organization but for case.
    pub display_name: String,
    /// The product's own name for it; unique in the organization.
    pub external_id: Option<String>,
    /// The product's own.
    pub metadata: Metadata,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Group {
    /// Returns the form in which names are compared and sorted.
    #[must_use]
    pub fn name_key(&self) -> String {
        folded(&self.display_name)
    }
}

/// What a request writes of a group; what is `None` stays as it is.
#[derive(Clone, Debug)]
pub struct GroupFields {
    /// For people.
    pub display_name: Option<String>,
    /// The product's own name for it, or that it has none.
    pub external_id: Option<Option<String>>,
    /// The product's own.
    pub metadata: Option<Metadata>,
}

impl GroupFields {
    /// Returns `group` with these fields written.
    #[must_use]
    pub fn written_on(&self, mut group: Group) -> Group {
        if let Some(display_name) = &self.display_name {
            group.display_name.clone_from(display_name);
        }
        if let Some(external_id) = &self.external_id {
            group.external_id.clone_from(external_id);
        }
        if let Some(metadata) = &self.metadata {
            group.metadata.clone_from(metadata);
        }
        group
    }
}

/// Ensures that the catalog has groups at all.
///
/// # Errors
/// - [`Reason::FeatureOff`].
pub fn must_be_on(catalog: &Catalog) -> Result<(), Error> {
    if catalog.features().groups {
        return Ok(());
    }
    Err(Error::new(Reason::FeatureOff, "the organization's catalog has no groups").about("feature", "groups"))
}

/// Ensures that a group of so many takes `more`.
///
/// # Errors
/// - [`Reason::GroupFull`] above `most`.
pub fn must_have_room(group: GroupId, count: usize, more: usize, most: usize) -> Result<(), Error> {
    if count + more <= most {
        return Ok(());
    }
    let message = format!("a group has at most {MEMBERS_MAX} members and holds at most {GRANTS_MAX} grants");
    Err(Error::new(Reason::GroupFull, message).about("group", group))
}

/// Asks the ceiling for bringing `members` into a group that holds `grants`: whoever joins gets all of it.
///
/// # Errors
/// - [`Reason::RoleNotGrantable`], the same whatever stands in the way and wherever it is held.
/// - [`Reason::PermissionMissing`] for an actor who does not see every place where a group can hold something (CM-13).
pub fn may_add(
    actor: &Actor,
    group: GroupId,
    grants: &[Grant],
    members: &[MembershipId],
    now: Timestamp,
) -> Result<(), Error> {
    must_see_all_held_by(actor, Principal::Group(group), now)?;
    // Others are judged alike, and oneself more strictly: one of each says it for all.
    let is_me = |member: &&MembershipId| actor.standing.membership() == Some(**member);
    let (me, another) = (members.iter().find(is_me), members.iter().find(|member| !is_me(member)));
    let refusal =
        || Error::new(Reason::RoleNotGrantable, "may not give all that the group holds").about("group", group);
    must_pass(grants, now, refusal, |grant| {
        let place = actor.at(grant.place.resource());
        let recipients = me.into_iter().chain(another);
        recipients.into_iter().try_for_each(|id| may_give(&place, &grant.held, Principal::Membership(*id), now))
    })
}

/// Asks the ceiling for taking somebody out of a group that holds `grants`, or for deleting it.
///
/// # Errors
/// - [`Reason::RoleNotTakeable`] and [`Reason::PermissionMissing`], as [`may_add`].
pub fn may_take_out(actor: &Actor, group: GroupId, grants: &[Grant], now: Timestamp) -> Result<(), Error> {
    must_see_all_held_by(actor, Principal::Group(group), now)?;
    let refusal = || Error::new(Reason::RoleNotTakeable, "may not take all that the group holds").about("group", group);
    must_pass(grants, now, refusal, |grant| may_take(&actor.at(grant.place.resource()), &grant.held, now))
}

/// Judges each live grant; every denial comes out as the one that `refusal` makes.
fn must_pass(
    grants: &[Grant],
    now: Timestamp,
    refusal: impl Fn() -> Error,
    judge: impl Fn(&Grant) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let live = grants.iter().filter(|grant| !grant.is_expired(now));
    for grant in live.filter(|grant| seen.insert((&grant.place, &grant.held))) {
        judge(grant).map_err(|error| if error.kind() == Kind::PermissionDenied { refusal() } else { error })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::domain::access::{Node, Standing};
    use crate::domain::catalog::parse;
    use crate::domain::fact::{GrantSource, Held, MemberState};
    use crate::domain::place::{Place, ResourceKey, Subject};

    const CATALOG: &str = "
name: yard
version: 1
features: {groups: true}
types:
  crate: {list: true, shares: [keeper]}
roles:
  lead:
    at: [organization]
    permissions: {group.manage: ANY, crate.view: ANY, crate.share: SHARED, member.assign: ANY}
    may_grant: [helper]
    may_take: [helper]
  novice: {at: [organization], permissions: {group.manage: ANY, crate.share: ANY, member.assign: ANY}, may_grant: ANY, may_take: ANY}
  helper: {at: [organization], to: [membership, group], permissions: {member.list: ANY}}
  owner: {at: [organization], to: [membership, group], permissions: {crate.view: ANY, crate.delete: ANY}}
  keeper: {at: [crate], to: [membership, group], permissions: {crate.view: ANY, crate.delete: ANY}}
founder_roles: [lead]
";
    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn id<T: From<uuid::Uuid>>(number: u128) -> T {
        T::from(uuid::Uuid::from_u128(number))
    }

    fn key(name: &str) -> ResourceKey {
        ResourceKey { kind: "crate".into(), id: name.into() }
    }

    fn grant(principal: Principal, place: Option<&str>, role: &str) -> Grant {
        let place = place.map_or(Place::Organization, |name| Place::Resource(key(name)));
        let held = if role.is_empty() { Held::AsMember } else { Held::Role(role.into()) };
        Grant { id: id(9), principal, place, held, expires_at: None, source: GrantSource::Manual }
    }

    /// A lead, who sees every crate and may share the one on whose list they are.
    fn lead() -> Actor {
        actor("lead")
    }

    fn actor(role: &str) -> Actor {
        let me = Principal::Membership(id(1));
        let chain = |name| (key(name), vec![Node { key: key(name), owner: None }]);
        Actor {
            organization: id(0),
            subject: Subject::User(id(1)),
            now: NOW,
            catalog: Arc::new(parse("yard.yaml", CATALOG).unwrap()),
            organization_is_active: true,
            standing: Standing::Person {
                user: id(1),
                is_active: true,
                membership: Some((id(1), MemberState::Active)),
                groups: Vec::new(),
            },
            chains: HashMap::from([chain("mine"), chain("other")]),
            grants: Arc::from([grant(me, None, role), grant(me, Some("mine"), "")]),
        }
    }

    fn of_group(place: Option<&str>, role: &str) -> Grant {
        grant(Principal::Group(id(7)), place, role)
    }

    fn adding(grants: &[Grant], members: &[u128]) -> Result<(), Error> {
        let members: Vec<MembershipId> = members.iter().map(|member| id(*member)).collect();
        may_add(&lead(), id(7), grants, &members, NOW)
    }

    #[test]
    fn whoever_brings_somebody_in_must_be_able_to_give_all_that_the_group_holds() {
        let may_give = [of_group(None, "helper"), of_group(Some("mine"), ""), of_group(Some("mine"), "keeper")];
        assert!(adding(&may_give, &[2, 3]).is_ok());
        assert!(may_take_out(&lead(), id(7), &may_give, NOW).is_ok());

        let out_of_reach = [of_group(None, "owner"), of_group(Some("other"), ""), of_group(Some("other"), "keeper")];
        let mut told = Vec::new();
        for grant in out_of_reach {
            let grants = [of_group(None, "helper"), grant];
            let (added, taken) = (adding(&grants, &[2]), may_take_out(&lead(), id(7), &grants, NOW));
            let (added, taken) = (added.unwrap_err(), taken.unwrap_err());
            assert_eq!((added.reason, taken.reason), (Reason::RoleNotGrantable, Reason::RoleNotTakeable));
            told.push((added.to_string(), added.subject, taken.to_string(), taken.subject));
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "what stands in the way is not told: {told:?}");
    }

    #[test]
    fn whoever_does_not_see_every_place_brings_nobody_in_whatever_the_group_holds() {
        let novice = actor("novice");
        for held in [
            vec![],
            vec![of_group(None, "helper")],
            vec![of_group(Some("mine"), "")],
            vec![of_group(Some("other"), "")],
        ] {
            for judged in [may_add(&novice, id(7), &held, &[id(2)], NOW), may_take_out(&novice, id(7), &held, NOW)] {
                assert_eq!(
                    judged.unwrap_err().to_string(),
                    may_add(&novice, id(7), &[], &[id(2)], NOW).unwrap_err().to_string()
                );
            }
        }
    }

    #[test]
    fn what_has_expired_is_given_to_nobody() {
        let lapsed = Grant { expires_at: Some(NOW), ..of_group(Some("other"), "keeper") };
        assert!(adding(&[lapsed], &[2]).is_ok());
    }

    #[test]
    fn nobody_brings_themselves_in_to_gain_something() {
        let gain = [of_group(Some("mine"), "keeper")];
        assert!(adding(&gain, &[2]).is_ok());
        for members in [&[1][..], &[2, 1], &[1, 2]] {
            assert_eq!(adding(&gain, members).unwrap_err().reason, Reason::RoleNotGrantable);
        }
        assert!(adding(&[of_group(Some("mine"), "")], &[1]).is_ok(), "on that list already");
    }

    #[test]
    fn a_group_is_bounded() {
        assert!(must_have_room(id(7), 4_900, 100, MEMBERS_MAX).is_ok());
        assert_eq!(must_have_room(id(7), 4_901, 100, MEMBERS_MAX).unwrap_err().reason, Reason::GroupFull);
    }
}
