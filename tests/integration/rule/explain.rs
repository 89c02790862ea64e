//! Explanations hold: what is named is enough for an allow, and for a denial its mending is.

use std::collections::BTreeMap;
use std::sync::Arc;

use guildhall::domain::access::{AllowedBy, Decision, Explanation, Facts, Missing, Standing, Way, decide, explain};
use guildhall::domain::catalog::{PermissionId, Reach};
use guildhall::domain::fact::{Grant, GrantSource, Held, MemberState};
use guildhall::domain::id::GrantId;
use guildhall::domain::place::{Place, Principal, ResourceKey};
use guildhall::domain::time::Timestamp;
use uuid::Uuid;

use super::facts::actor_of;
use super::properties::in_worlds;
use super::worlds::World;

/// One question with its facts.
struct Asked<'a> {
    facts: Facts,
    name: &'a str,
    permission: PermissionId,
    target: Option<ResourceKey>,
    now: Timestamp,
}

impl Asked<'_> {
    fn decision(&self, facts: &Facts) -> Decision {
        decide(facts, self.permission, self.now)
    }

    fn explanation(&self) -> Explanation {
        explain(&self.facts, self.name, self.target.as_ref(), self.now)
    }

    /// Returns whether it would be allowed with one more grant of the subject's own.
    fn is_allowed_with(&self, facts: &Facts, principal: Principal, place: Place, held: Held) -> bool {
        let (id, expires_at, source) = (GrantId(Uuid::nil()), None, GrantSource::Manual);
        let one_more = Grant { id, principal, place, held, expires_at, source };
        let grants = facts.grants.iter().cloned().chain([one_more]).collect();
        self.decision(&Facts { grants, ..facts.clone() }).is_allowed()
    }
}

/// Asks everything in many worlds.
fn everything(worlds: u64, ask: impl Fn(&Asked<'_>, &str)) {
    in_worlds(worlds, |world: &World, when| {
        for subject in world.subjects() {
            let actor = actor_of(world, subject);
            for target in world.targets() {
                for permission in world.permissions() {
                    let name = world.name(permission);
                    let facts = actor.at(target.as_ref());
                    let asked = Asked { facts, name, permission, target: target.clone(), now: world.now };
                    ask(&asked, &format!("{when}: {subject:?} {name} {target:?}"));
                }
            }
        }
    });
}

/// The principal that a subject of the organization is by itself.
fn itself(standing: &Standing) -> Option<Principal> {
    match standing {
        Standing::Stranger => None,
        Standing::Person { membership, .. } => membership.map(|(id, _)| Principal::Membership(id)),
        Standing::Machine { id, .. } => Some(Principal::ServiceAccount(*id)),
    }
}

#[test]
fn an_explanation_says_what_the_rule_decides() {
    everything(15, |asked, when| match (asked.explanation(), asked.decision(&asked.facts)) {
        (Explanation::Allowed(allowed), Decision::Allowed { by, until }) => {
            assert_eq!((allowed.grant.id, allowed.until), (by, until), "{when}");
        }
        (Explanation::Denied(missing), Decision::Denied) => assert!(!missing.is_empty(), "{when}: for no reason"),
        (explanation, decision) => panic!("{when}: {explanation:?} of {decision:?}"),
    });
}

#[test]
fn what_allows_is_enough_by_itself_and_less_is_not() {
    everything(15, |asked, when| {
        let Explanation::Allowed(allowed) = asked.explanation() else { return };
        let AllowedBy { grant, way, until } = *allowed;
        let is_allowed = |grants: &[&Grant]| {
            let grants = grants.iter().map(|grant| (*grant).clone()).collect();
            asked.decision(&Facts { grants, ..asked.facts.clone() })
        };
        let nothing_owned = || {
            let mut facts = Facts { grants: Arc::new([grant.clone()]), ..asked.facts.clone() };
            facts.chain.iter_mut().for_each(|node| node.owner = None);
            asked.decision(&facts).is_allowed()
        };
        let stays = Decision::Allowed { by: grant.id, until };
        match way {
            Way::Any => {
                assert_eq!(is_allowed(&[&grant]), stays, "{when}");
                assert!(nothing_owned(), "{when}: not by ANY");
            }
            Way::Own { owned } => {
                assert_eq!(is_allowed(&[&grant]), stays, "{when}");
                let node = asked.facts.chain.iter().find(|node| node.key == owned).expect("it is in the chain");
                assert_eq!(node.owner, itself(&asked.facts.standing), "{when}");
                assert!(!nothing_owned() || is_listed_by(&asked.facts, &grant), "{when}: not by OWN");
            }
            Way::Shared { listed_by } => {
                assert_eq!(is_allowed(&[&grant, &listed_by]), stays, "{when}");
                let is_both = is_listed_by(&asked.facts, &grant);
                assert_eq!(is_allowed(&[&grant]).is_allowed(), is_both, "{when}: not by SHARED");
                assert!(is_listed_by(&asked.facts, &listed_by), "{when}: {listed_by:?} lists nobody");
            }
        }
    });
}

/// Returns whether a grant puts its holder on a list.
fn is_listed_by(facts: &Facts, grant: &Grant) -> bool {
    match &grant.held {
        Held::AsMember => true,
        Held::Role(name) => facts.catalog.role_id(name).is_some_and(|id| facts.catalog.role(id).as_member),
    }
}

/// Mends what keeps the subject from using anything; gives whether anything else is named.
fn mended(facts: &Facts, missing: &[Missing]) -> (Facts, bool) {
    let mut mended = facts.clone();
    let mut is_all = true;
    for piece in missing {
        match (piece, &mut mended.standing) {
            (Missing::OrganizationDisabled, _) => mended.organization_is_active = true,
            (Missing::UserDisabled, Standing::Person { is_active, .. }) => *is_active = true,
            (Missing::MembershipNotActive(was), Standing::Person { membership: Some((_, state)), .. }) => {
                assert_eq!(was, state);
                *state = MemberState::Active;
            }
            (Missing::AccountDisabled, Standing::Machine { is_enabled, .. }) => *is_enabled = true,
            (Missing::SubjectUnknown, Standing::Stranger)
            | (Missing::NotAMember, Standing::Person { membership: None, .. }) => {}
            (
                Missing::UserDisabled
                | Missing::MembershipNotActive(_)
                | Missing::AccountDisabled
                | Missing::SubjectUnknown
                | Missing::NotAMember,
                standing,
            ) => panic!("{piece:?} of {standing:?}"),
            _ => is_all = false,
        }
    }
    (mended, is_all)
}

#[test]
fn mending_what_is_missing_turns_the_decision() {
    let turned = std::cell::RefCell::new(BTreeMap::<&'static str, u32>::new());
    let count = |what| *turned.borrow_mut().entry(what).or_default() += 1;
    everything(15, |asked, when| {
        let Explanation::Denied(missing) = asked.explanation() else { return };
        let (facts, is_all) = mended(&asked.facts, &missing);
        // Either that was all, or it does not do.
        assert_eq!(asked.decision(&facts).is_allowed(), is_all, "{when}: {missing:?}");
        if is_all {
            count("standing");
        }
        let me = itself(&facts.standing);
        for piece in &missing {
            match piece {
                Missing::GrantExpired(grant) => {
                    assert!(grant.is_expired(asked.now), "{when}");
                    let renewed = |it: &Grant| {
                        let expires_at = if it.id == grant.id { None } else { it.expires_at };
                        Grant { expires_at, ..it.clone() }
                    };
                    let grants = facts.grants.iter().map(renewed).collect();
                    assert!(asked.decision(&Facts { grants, ..facts.clone() }).is_allowed(), "{when}: {grant:?}");
                    count("expired");
                }
                Missing::NotOnList(grant) => {
                    let (Some(node), Some(me)) = (facts.chain.first(), me) else { continue };
                    let place = Place::Resource(node.key.clone());
                    assert!(asked.is_allowed_with(&facts, me, place, Held::AsMember), "{when}: {grant:?}");
                    count("list");
                }
                Missing::NotOwner(grant) => {
                    let (mut facts, Some(me)) = (facts.clone(), me) else { continue };
                    let Some(node) = facts.chain.first_mut() else { continue };
                    node.owner = Some(me);
                    assert!(asked.decision(&facts).is_allowed(), "{when}: {grant:?}");
                    count("owner");
                }
                Missing::NoRole { roles } => {
                    for name in roles {
                        let role = facts.catalog.role(facts.catalog.role_id(name).expect("a role of the catalog"));
                        assert!(!role.reach(asked.permission).is_empty(), "{when}: {name}");
                        let Some(me) =
                            me.filter(|_| role.at.organization && role.reach(asked.permission).has(Reach::Any))
                        else {
                            continue;
                        };
                        let held = Held::Role(Arc::clone(name));
                        assert!(asked.is_allowed_with(&facts, me, Place::Organization, held), "{when}: {name}");
                        count("role");
                    }
                }
                Missing::ResourceNotRegistered => assert!(asked.target.is_some() && facts.chain.is_empty(), "{when}"),
                Missing::PermissionNotAskedHere => assert_eq!(missing.len(), 1, "{when}: no grant would do"),
                Missing::PermissionUnknown | Missing::ResourceTypeUnknown => panic!("{when}: all names are known"),
                _ => {}
            }
        }
    });
    let turned = turned.into_inner();
    assert!(turned.len() == 5 && turned.values().all(|times| *times > 50), "{turned:?}");
}

#[test]
fn names_that_the_catalog_does_not_declare_are_all_that_is_said() {
    everything(1, |asked, when| {
        let of = |permission: &str, target: Option<&ResourceKey>| explain(&asked.facts, permission, target, asked.now);
        let planet = ResourceKey { kind: "planet".into(), id: "mars".into() };
        assert_eq!(of("planet.fly", Some(&planet)), Explanation::Denied(vec![Missing::PermissionUnknown]), "{when}");
        assert_eq!(of(asked.name, Some(&planet)), Explanation::Denied(vec![Missing::ResourceTypeUnknown]), "{when}");
    });
}
