//! Worlds made by hand.

use std::sync::Arc;

use guildhall::domain::access::{Decision, decide, is_visible, may_give, may_take};
use guildhall::domain::error::Reason;
use guildhall::domain::fact::{Grant, GrantSource, Held, MemberState, UserState};
use guildhall::domain::id::{GrantId, GroupId, MembershipId, ServiceAccountId, UserId};
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};
use guildhall::domain::time::Timestamp;
use uuid::Uuid;

use super::catalogs::{Product, product};
use super::facts::facts_of;
use super::twin::Twin;
use super::worlds::{Home, Machine, Membership, Resource, World};

/// A world in the making. Whatever is asked of it is asked of the twin as well.
pub struct Scene {
    pub world: World,
    made: u128,
}

/// A user with a membership.
#[derive(Clone, Copy)]
pub struct Person {
    pub user: UserId,
    pub membership: MembershipId,
}

impl From<Person> for Subject {
    fn from(person: Person) -> Self {
        Self::User(person.user)
    }
}

impl From<Person> for Principal {
    fn from(person: Person) -> Self {
        Self::Membership(person.membership)
    }
}

impl Scene {
    /// Begins with nobody in an organization that follows the catalog of that name.
    pub fn of(catalog: &str) -> Self {
        Self::with(product(catalog))
    }

    /// Begins with nobody in an organization that follows `product`.
    pub fn with(product: &'static Product) -> Self {
        Self { world: World::empty(product), made: 0 }
    }

    pub fn id<T: From<Uuid>>(&mut self) -> T {
        self.made += 1;
        T::from(Uuid::from_u128(self.made))
    }

    /// Adds a user without a membership.
    pub fn user(&mut self) -> UserId {
        let id = self.id();
        self.world.users.insert(id, UserState::Active);
        id
    }

    /// Adds a user with an ACTIVE membership.
    pub fn person(&mut self) -> Person {
        let (user, membership) = (self.user(), self.pending());
        self.set(membership, Some(user), MemberState::Active);
        Person { user, membership }
    }

    /// A person who holds `role` at the organization.
    pub fn holder(&mut self, role: &str) -> Person {
        let person = self.person();
        self.give(person, Place::Organization, role);
        person
    }

    /// Adds a PENDING membership.
    pub fn pending(&mut self) -> MembershipId {
        let id = self.id();
        self.set(id, None, MemberState::Pending);
        id
    }

    /// Lets a membership stand like this.
    pub fn set(&mut self, membership: MembershipId, user: Option<UserId>, state: MemberState) {
        self.world.memberships.insert(membership, Membership { user, state });
    }

    /// Adds a group of these.
    pub fn group(&mut self, members: &[Person]) -> GroupId {
        let id = self.id();
        self.world.groups.insert(id, members.iter().map(|person| person.membership).collect());
        id
    }

    /// Adds a service account that is enabled.
    pub fn machine(&mut self, home: Home) -> ServiceAccountId {
        let id = self.id();
        self.world.service_accounts.insert(id, Machine { home, is_enabled: true });
        id
    }

    /// Registers a resource.
    pub fn resource(&mut self, kind: &str, parent: Option<&ResourceKey>, owner: Option<Person>) -> ResourceKey {
        self.made += 1;
        let key = ResourceKey { kind: kind.into(), id: format!("r{}", self.made).into() };
        let resource = Resource { parent: parent.cloned(), owner: owner.map(Principal::from) };
        self.world.resources.insert(key.clone(), resource);
        key
    }

    /// Adds a grant.
    pub fn grant(&mut self, to: impl Into<Principal>, place: Place, held: Held, until: Option<Timestamp>) -> GrantId {
        let id = self.id();
        let grants = match place {
            Place::Installation | Place::Product(_) => &mut self.world.grants_above,
            Place::Organization | Place::Resource(_) => &mut self.world.grants,
        };
        let source = GrantSource::Manual;
        grants.insert(id, Grant { id, principal: to.into(), place, held, expires_at: until, source });
        id
    }

    /// Adds a grant of a role without end.
    pub fn give(&mut self, to: impl Into<Principal>, place: Place, role: &str) -> GrantId {
        self.grant(to, place, Held::Role(role.into()), None)
    }

    /// Puts somebody on a resource's list.
    pub fn list(&mut self, who: impl Into<Principal>, on: &ResourceKey) -> GrantId {
        self.grant(who, Place::Resource(on.clone()), Held::AsMember, None)
    }

    /// Takes a grant away.
    pub fn take(&mut self, id: GrantId) {
        let taken = self.world.grants.remove(&id).or_else(|| self.world.grants_above.remove(&id));
        assert!(taken.is_some(), "there was such a grant");
    }

    /// Asks the rule; `None` is the organization.
    pub fn decide(&self, who: impl Into<Subject>, permission: &str, target: Option<&ResourceKey>) -> Decision {
        let id = self.world.product.compiled.permission(permission);
        let id = id.unwrap_or_else(|| panic!("there is a permission {permission}"));
        let who = who.into();
        let decision = decide(&facts_of(&self.world, who, target), id, self.world.now);
        let twin = Twin::new(&self.world).may(who, permission, target);
        assert_eq!(decision.is_allowed(), twin, "{permission} on {target:?}");
        decision
    }

    /// Whether they may do it on the target.
    pub fn may(&self, who: impl Into<Subject>, permission: &str, target: &ResourceKey) -> bool {
        self.decide(who, permission, Some(target)).is_allowed()
    }

    /// Whether they may do it at the organization.
    pub fn may_here(&self, who: impl Into<Subject>, permission: &str) -> bool {
        self.decide(who, permission, None).is_allowed()
    }

    /// Whether it exists in their eyes.
    pub fn sees(&self, who: impl Into<Subject>, target: Option<&ResourceKey>) -> bool {
        let who = who.into();
        let is_visible = is_visible(&facts_of(&self.world, who, target), self.world.now);
        assert_eq!(is_visible, Twin::new(&self.world).visible(who, target));
        is_visible
    }

    /// Whether they may give it, by the one function that every path asks once the place is seen.
    pub fn gives(
        &self,
        actor: impl Into<Subject>,
        held: &Held,
        place: Option<&ResourceKey>,
        to: impl Into<Principal>,
    ) -> Result<(), Reason> {
        let (actor, to) = (actor.into(), to.into());
        let given = may_give(&facts_of(&self.world, actor, place), held, to, self.world.now);
        let may = given.is_ok() && self.sees(actor, place);
        assert_eq!(may, Twin::new(&self.world).may_give(actor, held, place, to), "{held:?} at {place:?}");
        given.map_err(|error| error.reason)
    }

    /// Whether they may take it away.
    pub fn takes(&self, actor: impl Into<Subject>, held: &Held, place: Option<&ResourceKey>) -> Result<(), Reason> {
        let actor = actor.into();
        let taken = may_take(&facts_of(&self.world, actor, place), held, self.world.now);
        let may = taken.is_ok() && self.sees(actor, place);
        assert_eq!(may, Twin::new(&self.world).may_take(actor, held, place), "{held:?} at {place:?}");
        taken.map_err(|error| error.reason)
    }
}

/// Names a role as something held.
pub fn role(name: &str) -> Held {
    Held::Role(name.into())
}

/// Returns a resource as a place.
pub fn at(key: &ResourceKey) -> Place {
    Place::Resource(key.clone())
}

/// Returns the product that the organization belongs to as a place.
pub fn product_place(scene: &Scene) -> Place {
    Place::Product(Arc::clone(scene.world.product.compiled.name()))
}
