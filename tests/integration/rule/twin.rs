//! The rule once more, as its text says it: over everything there is, with no structure and nothing remembered.
//!
//! Nothing of `domain::access` and nothing that a catalog compiles to is used here. Where the text leaves a choice:
//!
//! - A grant is live if it has not expired (it counts strictly before its expiry) and its subject stands for it, so the
//!   list entry of a disabled member lists nobody.
//! - Ownership is no grant: it holds whatever the state of the membership that owns.
//! - What is not registered is a direct child of the organization, without owner and list.
//! - A group's members are those of its memberships, in any state; whether one stands is asked of the subject.
//! - SUBSET is every role that holds no more than the actor there: permissions, `as_member`, and both ceilings.
//! - One ceiling is no wider than another if it is among it as written, or the other is ANY.
//! - The organization exists for its ACTIVE members, its own enabled machines, and whoever holds a live grant there or
//!   above.
//! - A permission whose noun is a type is asked of that type, of what may stand above it, and of the organization; any
//!   other, anywhere. Where it is not asked nobody has it, and no role counts for it.
//! - Nobody gives to themselves what would let them do, at the place, what they may not do now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guildhall::domain::catalog::{CeilingNames, CustomRole, Reach};
use guildhall::domain::fact::{Grant, Held, MemberState, OrganizationState, UserState};
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};

use super::catalogs::{Written, WrittenCeiling, WrittenRole};
use super::worlds::{Home, World};

/// What Guildhall asks at the organization.
const AT_THE_ORGANIZATION: &[&str] = &[
    "organization.view",
    "organization.update",
    "organization.delete",
    "organization.create",
    "policy.update",
    "domain.request",
    "provider.manage",
    "member.list",
    "member.invite",
    "member.create",
    "member.update",
    "member.assign",
    "member.disable",
    "member.remove",
    "member.reset_factor",
    "role.manage",
    "group.list",
    "group.manage",
    "service_account.manage",
    "audit.view",
    "access.check",
    "access.preview",
    "removal.acknowledge",
];
/// What Guildhall asks of each type.
const OF_A_TYPE: &[&str] = &["view", "create", "update", "delete", "share", "set_owner", "notify"];

/// A role with all that it includes.
#[derive(Clone, Default, Debug)]
struct Closure {
    /// Words of the reaches by the name of the permission.
    reaches: BTreeMap<String, BTreeSet<String>>,
    as_member: bool,
    /// Names of roles; the words SUBSET and ANY, which name none.
    may_grant: BTreeSet<String>,
    may_take: BTreeSet<String>,
}

/// The rule over one world.
pub struct Twin<'a> {
    world: &'a World,
    closures: BTreeMap<String, Closure>,
    /// By type: it and the types that may stand above it, as far up as one likes.
    upward: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Twin<'a> {
    /// Reads the catalog of the world as it is written, and the roles that the organization has made.
    pub fn new(world: &'a World) -> Self {
        let written = &world.product.written;
        let mut closures = BTreeMap::from([("operator".to_owned(), operator(written))]);
        for name in written.roles.keys() {
            let mut closure = Closure::default();
            take_in(written, &written.roles[name], &mut closure);
            closures.insert(name.clone(), closure);
        }
        for role in world.roles.values() {
            let mut closure = Closure::default();
            take_in(written, &as_written(role), &mut closure);
            closures.insert(role.name.to_string(), closure);
        }
        let upward = written.types.keys().map(|kind| (kind.clone(), upward(written, kind))).collect();
        Self { world, closures, upward }
    }

    /// May they? `None` is the organization.
    pub fn may(&self, subject: Subject, permission: &str, target: Option<&ResourceKey>) -> bool {
        self.grants().any(|grant| self.gives(grant, subject, permission, target))
    }

    /// Whether the permission can be asked of the target at all.
    pub fn is_asked(&self, permission: &str, target: Option<&ResourceKey>) -> bool {
        let noun = permission.split('.').next().unwrap_or_default();
        match (target, self.upward.get(noun)) {
            (Some(target), Some(kinds)) => kinds.contains(&*target.kind),
            _ => true,
        }
    }

    /// Returns whether `grant`, by itself, allows it.
    pub fn gives(&self, grant: &Grant, subject: Subject, permission: &str, target: Option<&ResourceKey>) -> bool {
        let Some(role) = self.role(&grant.held) else { return false };
        let Some(reaches) = role.reaches.get(permission) else { return false };
        self.is_asked(permission, target)
            && self.is_live(grant, subject)
            && self.is_at_or_above(&grant.place, target)
            && (reaches.contains("ANY")
                || (reaches.contains("SHARED") && self.on_list(subject, target))
                || (reaches.contains("OWN") && self.owns(subject, target)))
    }

    /// Returns whether the subject is on the list of the target or of something above it.
    pub fn on_list(&self, subject: Subject, target: Option<&ResourceKey>) -> bool {
        self.grants().any(|grant| {
            let lists = match &grant.held {
                Held::AsMember => matches!(grant.place, Place::Resource(_)),
                Held::Role(_) => self.role(&grant.held).is_some_and(|role| role.as_member),
            };
            lists && self.is_live(grant, subject) && self.is_at_or_above(&grant.place, target)
        })
    }

    /// Returns whether the subject owns the target or any resource above it.
    pub fn owns(&self, subject: Subject, target: Option<&ResourceKey>) -> bool {
        self.path(target)
            .iter()
            .any(|key| self.world.resources[key].owner.is_some_and(|owner| self.members(owner).contains(&subject)))
    }

    /// Returns whether the organization, or a resource that is registered, exists in the eyes of the subject.
    pub fn visible(&self, subject: Subject, target: Option<&ResourceKey>) -> bool {
        match target {
            Some(key) => {
                let default = format!("{}.view", key.kind);
                let kind = &self.world.product.written.types[&*key.kind];
                self.may(subject, kind.visible_by.as_ref().unwrap_or(&default), target)
            }
            None => {
                self.is_in(subject)
                    || self.grants().any(|grant| {
                        !matches!(grant.place, Place::Resource(_))
                            && self.is_live(grant, subject)
                            && self.is_at_or_above(&grant.place, None)
                            && self.is_something(&grant.held)
                    })
            }
        }
    }

    /// May the actor give `held` at the place to `recipient`?
    pub fn may_give(&self, actor: Subject, held: &Held, place: Option<&ResourceKey>, recipient: Principal) -> bool {
        self.visible(actor, place)
            && self.may_hand_out(actor, held, place, |role| &role.may_grant)
            && (!self.members(recipient).contains(&actor) || self.gains_nothing(actor, held, place))
    }

    /// May the actor take `held` away at the place?
    pub fn may_take(&self, actor: Subject, held: &Held, place: Option<&ResourceKey>) -> bool {
        self.visible(actor, place) && self.may_hand_out(actor, held, place, |role| &role.may_take)
    }

    fn may_hand_out(
        &self,
        actor: Subject,
        held: &Held,
        place: Option<&ResourceKey>,
        ceiling: fn(&Closure) -> &BTreeSet<String>,
    ) -> bool {
        let shares = place.map(|key| &self.world.product.written.types[&*key.kind].shares);
        match (held, place) {
            (Held::AsMember, None) => false,
            (Held::AsMember, Some(key)) => self.may(actor, &format!("{}.share", key.kind), place),
            (Held::Role(name), Some(key)) if shares.is_some_and(|shares| shares.contains(&**name)) => {
                self.may(actor, &format!("{}.share", key.kind), place)
            }
            (Held::Role(name), _) => {
                self.may(actor, "member.assign", place)
                    && self.roles_held(actor, place).iter().any(|mine| {
                        let ceiling = ceiling(mine);
                        ceiling.contains("ANY")
                            || ceiling.contains(&**name)
                            || (ceiling.contains("SUBSET") && self.holds(actor, held, place))
                    })
            }
        }
    }

    /// Returns whether the subject holds at the place all that `held` gives there.
    pub fn holds(&self, subject: Subject, held: &Held, place: Option<&ResourceKey>) -> bool {
        let Some(role) = self.role(held) else {
            return *held == Held::AsMember && self.on_list(subject, place);
        };
        let mine = self.roles_held(subject, place);
        let reach = |permission: &str, reach: &str| {
            mine.iter().any(|role| {
                role.reaches.get(permission).is_some_and(|mine| mine.contains("ANY") || mine.contains(reach))
            })
        };
        let all_of = |ceiling: fn(&Closure) -> &BTreeSet<String>| -> BTreeSet<String> {
            mine.iter().flat_map(|role| ceiling(role)).cloned().collect()
        };
        let asked = role.reaches.iter().filter(|(permission, _)| self.is_asked(permission, place));
        asked.into_iter().all(|(permission, reaches)| reaches.iter().all(|word| reach(permission, word)))
            && (!role.as_member || self.on_list(subject, place))
            && is_no_wider(&role.may_grant, &all_of(|role| &role.may_grant))
            && is_no_wider(&role.may_take, &all_of(|role| &role.may_take))
    }

    /// Returns whether `held` at the place would let the subject do nothing there that it may not do now.
    pub fn gains_nothing(&self, subject: Subject, held: &Held, place: Option<&ResourceKey>) -> bool {
        let mine = self.roles_held(subject, place);
        let may = |permission: &str| self.may(subject, permission, place);
        let listing_opens_nothing = self.on_list(subject, place)
            || mine.iter().all(|role| {
                let mut asked = role.reaches.iter().filter(|(permission, _)| self.is_asked(permission, place));
                asked.all(|(permission, reaches)| !reaches.contains("SHARED") || may(permission))
            });
        let Some(role) = self.role(held) else {
            return *held == Held::AsMember && listing_opens_nothing;
        };
        let on_paper = |permission: &str, word: &str| {
            mine.iter().any(|role| {
                role.reaches.get(permission).is_some_and(|mine| mine.contains("ANY") || mine.contains(word))
            })
        };
        let all_of = |ceiling: fn(&Closure) -> &BTreeSet<String>| -> BTreeSet<String> {
            mine.iter().flat_map(|role| ceiling(role)).cloned().collect()
        };
        role.reaches
            .iter()
            .filter(|(permission, _)| self.is_asked(permission, place))
            .all(|(permission, reaches)| may(permission) || reaches.iter().all(|word| on_paper(permission, word)))
            && (!role.as_member || listing_opens_nothing)
            && is_no_wider(&role.may_grant, &all_of(|role| &role.may_grant))
            && is_no_wider(&role.may_take, &all_of(|role| &role.may_take))
    }

    /// The roles that the subject holds at the place, or above it.
    fn roles_held(&self, subject: Subject, place: Option<&ResourceKey>) -> Vec<&Closure> {
        let here = |grant: &&Grant| self.is_live(grant, subject) && self.is_at_or_above(&grant.place, place);
        self.grants().filter(here).filter_map(|grant| self.role(&grant.held)).collect()
    }

    fn grants(&self) -> impl Iterator<Item = &'a Grant> {
        self.world.grants.values().chain(self.world.grants_above.values())
    }

    fn role(&self, held: &Held) -> Option<&Closure> {
        match held {
            Held::AsMember => None,
            Held::Role(name) => self.closures.get(&**name),
        }
    }

    fn is_something(&self, held: &Held) -> bool {
        *held == Held::AsMember || self.role(held).is_some()
    }

    /// Not expired, of a principal that the subject is among, and the subject stands.
    fn is_live(&self, grant: &Grant, subject: Subject) -> bool {
        grant.expires_at.is_none_or(|expires_at| self.world.now < expires_at)
            && self.members(grant.principal).contains(&subject)
            && self.stands(subject, &grant.place)
    }

    fn members(&self, principal: Principal) -> Vec<Subject> {
        let memberships = &self.world.memberships;
        let user = |id| memberships.get(id).and_then(|membership| membership.user).map(Subject::User);
        match principal {
            Principal::Membership(id) => user(&id).into_iter().collect(),
            Principal::Group(id) => self.world.groups.get(&id).into_iter().flatten().filter_map(user).collect(),
            Principal::Everyone => memberships
                .values()
                .filter(|membership| membership.state == MemberState::Active)
                .filter_map(|membership| membership.user.map(Subject::User))
                .collect(),
            Principal::ServiceAccount(id) => vec![Subject::ServiceAccount(id)],
            Principal::User(id) => vec![Subject::User(id)],
        }
    }

    /// Returns whether the subject is in the organization itself, rather than above it.
    fn is_in(&self, subject: Subject) -> bool {
        let is_at_home = match subject {
            Subject::User(_) => true,
            Subject::ServiceAccount(id) => self.world.service_accounts.get(&id).is_some_and(|it| it.home == Home::Here),
        };
        is_at_home && self.stands(subject, &Place::Organization)
    }

    fn stands(&self, subject: Subject, place: &Place) -> bool {
        let stands = match subject {
            Subject::User(id) => {
                let is_active_member = self
                    .world
                    .memberships
                    .values()
                    .any(|membership| membership.user == Some(id) && membership.state == MemberState::Active);
                self.world.users.get(&id) == Some(&UserState::Active)
                    && (is_above_the_organization(place) || is_active_member)
            }
            Subject::ServiceAccount(id) => self.world.service_accounts.get(&id).is_some_and(|account| {
                account.is_enabled && (account.home == Home::Here || account.home == Home::Above)
            }),
        };
        stands && self.world.organization == OrganizationState::Active
    }

    fn is_at_or_above(&self, place: &Place, target: Option<&ResourceKey>) -> bool {
        match place {
            Place::Installation | Place::Organization => true,
            Place::Product(catalog) => **catalog == *self.world.product.written.name,
            Place::Resource(key) => self.path(target).contains(key),
        }
    }

    /// The target and every resource above it; nothing for what is not registered.
    fn path(&self, target: Option<&ResourceKey>) -> Vec<ResourceKey> {
        let mut path = Vec::new();
        let mut next = target.filter(|key| self.world.resources.contains_key(key)).cloned();
        while let Some(key) = next {
            next = self.world.resources[&key].parent.clone();
            path.push(key);
        }
        path
    }
}

fn is_above_the_organization(place: &Place) -> bool {
    matches!(place, Place::Installation | Place::Product(_))
}

fn is_no_wider(ceiling: &BTreeSet<String>, than: &BTreeSet<String>) -> bool {
    than.contains("ANY") || ceiling.is_subset(than)
}

/// The built-in role: all that Guildhall asks, nothing that the product does.
fn operator(written: &Written) -> Closure {
    let of_types = written.types.keys().flat_map(|kind| OF_A_TYPE.iter().map(move |verb| format!("{kind}.{verb}")));
    let any = BTreeSet::from(["ANY".to_owned()]);
    let names = AT_THE_ORGANIZATION.iter().map(|name| (*name).to_owned()).chain(of_types);
    Closure {
        reaches: names.map(|name| (name, any.clone())).collect(),
        as_member: false,
        may_grant: any.clone(),
        may_take: any,
    }
}

/// Writes a role of an organization's own as a catalog would.
fn as_written(role: &CustomRole) -> WrittenRole {
    let texts = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
    let ceiling = |names: &CeilingNames| match names {
        CeilingNames::None => WrittenCeiling::Word("NONE".to_owned()),
        CeilingNames::Subset => WrittenCeiling::Word("SUBSET".to_owned()),
        CeilingNames::Any => WrittenCeiling::Word("ANY".to_owned()),
        CeilingNames::Roles(names) => WrittenCeiling::Roles(texts(names)),
    };
    let word = |reach: &Reach| format!("{reach:?}").to_uppercase();
    WrittenRole {
        includes: texts(&role.includes),
        permissions: role.permissions.iter().map(|(name, reach)| (name.to_string(), word(reach))).collect(),
        as_member: role.as_member,
        may_grant: ceiling(&role.may_grant),
        may_take: ceiling(&role.may_take),
    }
}

/// A type and all that may stand above it.
fn upward(written: &Written, kind: &str) -> BTreeSet<String> {
    let (mut found, mut left) = (BTreeSet::new(), vec![kind]);
    while let Some(kind) = left.pop() {
        if found.insert(kind.to_owned()) {
            left.extend(
                written.types.keys().map(String::as_str).filter(|above| written.types[kind].may_stand_under(above)),
            );
        }
    }
    found
}

/// Adds a role, and what it includes.
fn take_in(written: &Written, role: &WrittenRole, closure: &mut Closure) {
    for (permission, reach) in &role.permissions {
        closure.reaches.entry(permission.clone()).or_default().insert(reach.clone());
    }
    closure.as_member |= role.as_member;
    for (all, more) in [(&mut closure.may_grant, &role.may_grant), (&mut closure.may_take, &role.may_take)] {
        match more {
            WrittenCeiling::Word(none) if none == "NONE" => {}
            WrittenCeiling::Word(word) => {
                all.insert(word.clone());
            }
            WrittenCeiling::Roles(names) => all.extend(names.iter().cloned()),
        }
    }
    for included in &role.includes {
        take_in(written, &written.roles[included], closure);
    }
}
