//! What must hold between roles, sets, types and newcomers once every name is looked up.
//!
//! Checks see the definition for where things stand and the catalog for what they mean; role `n` of the definition
//! is role `n + 1` of the catalog, after the built-in one.

use super::definition::Definition;
use super::node::Name;
use super::problem::Problems;
use crate::domain::catalog::{At, Catalog, Holders, Parents, Role, RoleId, TypeId, nesting};
use crate::domain::place::Level;

/// Checks each role for itself.
pub(super) fn roles(definition: &Definition, catalog: &Catalog, problems: &mut Problems) {
    for (written, (id, role)) in definition.roles.iter().zip(catalog.roles().skip(1)) {
        let Holders { groups, everyone, service_accounts, .. } = role.to;
        if role.is_bound_to_membership() && (groups || everyone || service_accounts) {
            let message = "must be [membership]: the role is in a set, limited in number or given by transfer";
            problems.add(&written.to.mark, message);
        }
        let is_counted = role.least > 0 || role.most.is_some() || role.is_transfer_only;
        if is_counted && role.at != (At { organization: true, ..At::default() }) {
            let message = "must be held at the organization and nowhere else: its holders are counted there";
            problems.add(&written.name.mark, message);
        }
        for name in &written.requires {
            let Some((other_id, other)) = role_named(catalog, name) else { continue };
            if other_id == id {
                problems.add(&name.mark, "is the role itself");
            } else if !covers(&other.at, &role.at) || !other.to.people {
                problems.add(&name.mark, "cannot be held by people everywhere that the role can");
            } else if role.set.is_some() && other.set == role.set {
                problems.add(&name.mark, "is of the same exclusive set, so the two are never held together");
            }
        }
    }
}

/// Checks that the roles of a set have a level of place in common, at which one can stand for another.
pub(super) fn sets(definition: &Definition, catalog: &Catalog, problems: &mut Problems) {
    for set in &definition.sets {
        let mut common = vec![Level::Product, Level::Organization, Level::Resource];
        if set.is_required {
            common = vec![Level::Organization];
        }
        for name in &set.roles {
            let Some((_, role)) = role_named(catalog, name) else { continue };
            common.retain(|level| has_level(&role.at, *level));
            if common.is_empty() {
                problems.add(&name.mark, "cannot be held where the others of the set can");
                break;
            }
        }
    }
}

/// Checks the roles and the permission that a type names.
pub(super) fn types(definition: &Definition, catalog: &Catalog, problems: &mut Problems) {
    for ((id, _), written) in catalog.resource_types().zip(&definition.types) {
        if let Some(name) = &written.visible_by
            && name.value.split('.').next() != Some(&written.name.value)
        {
            problems.add(&name.mark, format!("must be a permission of {:?}", written.name.value));
        }
        for name in &written.shares {
            if role_named(catalog, name).is_some_and(|(_, role)| !role.at.types.contains(&id)) {
                problems.add(&name.mark, "cannot be held at a resource of this type");
            }
        }
        let creator = |role: &Role| holds_at_type(role, id);
        together(
            &written.creator_roles,
            catalog,
            creator,
            "people cannot hold it at a resource of this type",
            problems,
        );
    }
}

/// Checks that resources of each type can stand somewhere.
pub(super) fn nesting(definition: &Definition, catalog: &Catalog, problems: &mut Problems) {
    let parents: Vec<Parents> = catalog.resource_types().map(|(_, kind)| kind.parents).collect();
    let standing = nesting::standing(&parents);
    for ((id, _), written) in catalog.resource_types().zip(&definition.types) {
        let Some(under) = &written.under else { continue };
        let is_known = |name: &Name| name.value == "organization" || catalog.resource_type(&name.value).is_some();
        if under.value.is_empty() {
            problems.add(&under.mark, "must name at least one place or type");
        } else if !standing.has(id) && under.value.iter().all(is_known) {
            let message = "can stand nowhere: nothing of this can stand under the organization, directly or through others, \
                           in a tree of 8 levels";
            problems.add(&under.mark, message);
        }
    }
}

/// Checks what founders, and members without a role, come to hold.
pub(super) fn newcomers(definition: &Definition, catalog: &Catalog, problems: &mut Problems) {
    let holds = |role: &Role| role.at.organization && role.to.people;
    let message = "people cannot hold it at the organization";
    together(&definition.founder_roles, catalog, holds, message, problems);
    for name in &definition.never_leave {
        if role_named(catalog, name).is_some_and(|(_, role)| !holds(role)) {
            problems.add(&name.mark, message);
        }
    }
    if let Some(name) = &definition.default_role
        && let Some((_, role)) = role_named(catalog, name)
    {
        if !holds(role) {
            problems.add(&name.mark, message);
        }
        if role.least > 0 || role.most.is_some() || role.is_transfer_only || !role.requires.is_empty() {
            problems.add(&name.mark, "is limited in number, given by transfer or requires another: not for everyone");
        }
    }
}

/// Checks roles that are given together: each can be held, has what it requires and excludes no other.
fn together(
    names: &[Name],
    catalog: &Catalog,
    can_be_held: impl Fn(&Role) -> bool,
    message: &str,
    problems: &mut Problems,
) {
    let given: Vec<(&Name, RoleId, &Role)> =
        names.iter().filter_map(|name| role_named(catalog, name).map(|(id, role)| (name, id, role))).collect();
    for (index, (name, _, role)) in given.iter().enumerate() {
        if !can_be_held(role) {
            problems.add(&name.mark, message);
        }
        for required in role.requires.iter().filter(|id| !given.iter().any(|(_, given, _)| given == *id)) {
            problems
                .add(&name.mark, format!("requires {:?}, which is not given with it", catalog.role(*required).name));
        }
        let excluded = given[..index].iter().find(|(_, _, other)| role.set.is_some() && role.set == other.set);
        if let Some((_, _, other)) = excluded {
            problems.add(&name.mark, format!("is of the same exclusive set as {:?}", other.name));
        }
    }
}

fn role_named<'a>(catalog: &'a Catalog, name: &Name) -> Option<(RoleId, &'a Role)> {
    let id = catalog.role_id(&name.value).filter(|id| *id != RoleId::OPERATOR)?;
    Some((id, catalog.role(id)))
}

fn holds_at_type(role: &Role, kind: TypeId) -> bool {
    role.at.types.contains(&kind) && role.to.people
}

fn has_level(at: &At, level: Level) -> bool {
    match level {
        Level::Installation => at.installation,
        Level::Product => at.product,
        Level::Organization => at.organization,
        Level::Resource => !at.types.is_empty(),
    }
}

/// Returns whether `outer` has every place of `inner`.
fn covers(outer: &At, inner: &At) -> bool {
    (outer.product || !inner.product)
        && (outer.organization || !inner.organization)
        && inner.types.is_subset(&outer.types)
}
