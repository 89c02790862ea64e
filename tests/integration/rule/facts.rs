//! What `domain::access` is asked over, gathered from a [`World`].

use std::collections::HashMap;

use guildhall::domain::access::{Actor, Facts, Node, Standing};
use guildhall::domain::fact::{OrganizationState, UserState};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::{ResourceKey, Subject};
use guildhall::domain::time::Timestamp;

use super::worlds::{Home, World};

/// Gathers `subject` before every target of the world. All grants come along, those of others too: they must not count.
pub fn actor_of(world: &World, subject: Subject) -> Actor {
    let chains: HashMap<_, _> = world.resources.keys().map(|key| (key.clone(), chain(world, key))).collect();
    Actor {
        organization: OrganizationId(uuid::Uuid::nil()),
        subject,
        now: Timestamp::from_micros(0),
        catalog: world.catalog(),
        organization_is_active: world.organization == OrganizationState::Active,
        standing: standing(world, subject),
        chains,
        grants: world.grants.values().chain(world.grants_above.values()).cloned().collect(),
    }
}

/// Gathers `subject` before one target; `None` is the organization.
pub fn facts_of(world: &World, subject: Subject, target: Option<&ResourceKey>) -> Facts {
    actor_of(world, subject).at(target)
}

fn standing(world: &World, subject: Subject) -> Standing {
    match subject {
        Subject::User(user) => {
            let Some(state) = world.users.get(&user) else { return Standing::Stranger };
            let membership = world.memberships.iter().find(|(_, membership)| membership.user == Some(user));
            let membership = membership.map(|(id, membership)| (*id, membership.state));
            let is_in = |group: &&_| membership.is_some_and(|(id, _)| world.groups[*group].contains(&id));
            let groups = world.groups.keys().filter(is_in).copied().collect();
            Standing::Person { user, is_active: *state == UserState::Active, membership, groups }
        }
        Subject::ServiceAccount(id) => match world.service_accounts.get(&id) {
            Some(account) if account.home != Home::Elsewhere => {
                Standing::Machine { id, is_enabled: account.is_enabled, is_at_home: account.home == Home::Here }
            }
            _ => Standing::Stranger,
        },
    }
}

fn chain(world: &World, target: &ResourceKey) -> Vec<Node> {
    let mut chain = Vec::new();
    let mut next = Some(target);
    while let Some(key) = next {
        let resource = &world.resources[key];
        chain.push(Node { key: key.clone(), owner: resource.owner });
        next = resource.parent.as_ref();
    }
    chain
}
