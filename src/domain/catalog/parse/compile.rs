//! From names to numbers: every name is looked up, every role gets what it includes.

use std::collections::HashMap;
use std::sync::Arc;

use super::check;
use super::definition::{CeilingDefinition, Definition, RoleDefinition, TypeDefinition};
use super::field::is_name;
use super::node::Name;
use super::problem::Problems;
use crate::domain::catalog::{
    At, Catalog, Ceiling, Holders, OnLeave, Parents, PermissionId, PermissionSet, RESERVED, Reach, ReachSet,
    ResourceType, Role, RoleId, RoleSet, SeatPolicy, SetId, TypeId, TypeSet, Verb, nesting,
};

/// The name of the built-in role, which no catalog may use.
pub const OPERATOR: &str = "operator";
/// Words in `at` and `per` that are places and so name no type.
const PLACES: &[&str] = &["installation", "product", ORGANIZATION, "resource"];
const ORGANIZATION: &str = "organization";

/// Looks up, checks and closes; the catalog is of use only if nothing was wrong.
pub(super) fn compile(definition: &Definition, problems: &mut Problems) -> Catalog {
    let permissions = permission_names(definition, problems);
    let tables = Tables::new(definition, &permissions);

    let mut roles = vec![operator(permissions.len(), &tables)];
    roles.extend(definition.roles.iter().map(|role| own_role(role, permissions.len(), &tables, problems)));
    let includes = definition.roles.iter().map(|role| tables.roles(&role.includes, problems)).collect::<Vec<_>>();
    close(&mut roles, &includes, definition, problems);
    let role_sets = sets(definition, &mut roles, &tables, problems);

    let types: Vec<_> = definition.types.iter().map(|kind| resource_type(kind, &tables, problems)).collect();
    let types = nested(types, &permissions, &tables);
    let founder_roles = tables.roles(&definition.founder_roles, problems);
    let default_role = definition.default_role.as_ref().and_then(|name| tables.role(name, problems));
    let never_leave = tables.roles(&definition.never_leave, problems);
    let seats = definition.seats.as_ref().map(|seats| {
        let at = tables.at(&seats.per, false, problems);
        let per_types = at.types.iter().copied().collect();
        SeatPolicy { counts: seats.counts.clone(), per_organization: at.organization, per_types }
    });

    let catalog = Catalog {
        name: definition.name.as_str().into(),
        version: definition.version,
        description: definition.description.as_str().into(),
        features: definition.features,
        permissions_by_name: (0..).map(PermissionId).zip(&permissions).map(|(id, name)| (name.clone(), id)).collect(),
        types_by_name: tables.types.iter().map(|(name, id)| (Arc::from(*name), *id)).collect(),
        roles_by_name: (0..).map(RoleId).zip(&roles).map(|(id, role)| (role.name.clone(), id)).collect(),
        permissions,
        types,
        roles,
        sets: role_sets,
        founder_roles,
        default_role,
        invitation: definition.invitation.clone(),
        password: definition.password.clone(),
        plans: definition.plans.clone(),
        seats,
        never_leave,
        removal: definition.removal.clone(),
    };
    check::roles(definition, &catalog, problems);
    check::sets(definition, &catalog, problems);
    check::types(definition, &catalog, problems);
    check::nesting(definition, &catalog, problems);
    check::newcomers(definition, &catalog, problems);
    catalog
}

/// Lists the names of all permissions, in the order of their ids.
fn permission_names(definition: &Definition, problems: &mut Problems) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = RESERVED.iter().map(|name| Arc::from(*name)).collect();
    for kind in &definition.types {
        names.extend(Verb::ALL.iter().map(|verb| Arc::from(format!("{}.{}", kind.name.value, verb.name()))));
    }
    let reserved = names.len();
    for name in &definition.permissions {
        if !name.value.split_once('.').is_some_and(|(noun, verb)| is_name(noun) && is_name(verb)) {
            problems.add(&name.mark, "must be two names with a dot between, as in `report.print`");
        } else if names[..reserved].iter().any(|known| **known == *name.value) {
            problems.add(&name.mark, "is reserved, and there without being declared");
            continue;
        }
        names.push(name.value.as_str().into());
    }
    names
}

/// Returns the built-in role: all that Guildhall itself asks, nothing that the catalog declares.
fn operator(permissions: usize, tables: &Tables<'_>) -> Role {
    let own = RESERVED.len() + tables.types.len() * Verb::ALL.len();
    let mut reaches = vec![ReachSet::NONE; permissions];
    reaches[..own].fill(ReachSet::of(Reach::Any));
    let any = Ceiling { any: true, ..Ceiling::default() };
    Role {
        name: OPERATOR.into(),
        description: "runs the installation".into(),
        reaches: reaches.into(),
        as_member: false,
        at: At { installation: true, ..At::default() },
        to: Holders { people: true, groups: false, everyone: false, service_accounts: true },
        may_grant: any.clone(),
        may_take: any,
        least: 0,
        most: None,
        requires: Vec::new(),
        set: None,
        is_transfer_only: false,
        on_leave: OnLeave::Keep,
        is_custom: false,
    }
}

/// Compiles a role without what it includes.
fn own_role(definition: &RoleDefinition, permissions: usize, tables: &Tables<'_>, problems: &mut Problems) -> Role {
    if definition.name.value == OPERATOR {
        problems.add(&definition.name.mark, "is the name of the built-in role");
    }
    let mut reaches = vec![ReachSet::NONE; permissions];
    for (name, reach) in &definition.permissions {
        let Some(id) = tables.permission(name, problems) else { continue };
        if usize::from(id.0) < RESERVED.len() && reach.value != Reach::Any {
            problems.add(&reach.mark, "must be ANY: it is asked at the organization, which has no owner and no list");
        }
        reaches[usize::from(id.0)] = ReachSet::of(reach.value);
    }
    Role {
        name: definition.name.value.as_str().into(),
        description: definition.description.as_str().into(),
        reaches: reaches.into(),
        as_member: definition.as_member,
        at: tables.at(&definition.at, true, problems),
        to: definition.to.value,
        may_grant: tables.ceiling(&definition.may_grant, problems),
        may_take: tables.ceiling(&definition.may_take, problems),
        least: definition.least,
        most: definition.most,
        requires: tables.roles(&definition.requires, problems),
        set: None,
        is_transfer_only: definition.is_transfer_only,
        on_leave: definition.on_leave,
        is_custom: false,
    }
}

/// How far [`Closure::visit`] has come with a role.
#[derive(Clone, Copy, PartialEq)]
enum Visit {
    Ahead,
    Open,
    Done,
}

/// Takes the closure over includes, each role once, those it includes first.
struct Closure<'a> {
    roles: &'a mut [Role],
    includes: &'a [Vec<RoleId>],
    definition: &'a Definition,
    visits: Vec<Visit>,
    /// The roles whose includes are being visited, the outermost first.
    open: Vec<usize>,
}

fn close(roles: &mut [Role], includes: &[Vec<RoleId>], definition: &Definition, problems: &mut Problems) {
    let visits = vec![Visit::Ahead; roles.len()];
    let mut closure = Closure { roles, includes, definition, visits, open: Vec::new() };
    for index in 1..closure.roles.len() {
        closure.visit(index, problems);
    }
}

impl Closure<'_> {
    /// Goes as deep as roles include roles: at most as many as there are, 256.
    fn visit(&mut self, index: usize, problems: &mut Problems) {
        if self.visits[index] != Visit::Ahead {
            return;
        }
        self.visits[index] = Visit::Open;
        self.open.push(index);
        for included in self.includes[index - 1].iter().map(|id| usize::from(id.0)) {
            if self.visits[included] == Visit::Open {
                self.note_cycle(index, included, problems);
                continue;
            }
            self.visit(included, problems);
            let included = self.roles[included].clone();
            let role = &mut self.roles[index];
            role.take_in(&included);
        }
        self.open.pop();
        self.visits[index] = Visit::Done;
    }

    fn note_cycle(&self, index: usize, included: usize, problems: &mut Problems) {
        let name = |role: usize| &*self.definition.roles[role - 1].name.value;
        let from = self.open.iter().position(|open| *open == included).unwrap_or_default();
        let mut cycle: Vec<&str> = self.open[from..].iter().map(|open| name(*open)).collect();
        cycle.push(name(included));
        let reference = self.definition.roles[index - 1].includes.iter().find(|role| role.value == name(included));
        if let Some(reference) = reference {
            problems.add(&reference.mark, format!("includes in a circle: {}", cycle.join(", ")));
        }
    }
}

/// Compiles the sets and tells each role which one it belongs to.
fn sets(definition: &Definition, roles: &mut [Role], tables: &Tables<'_>, problems: &mut Problems) -> Vec<RoleSet> {
    let mut sets: Vec<RoleSet> = Vec::new();
    for (id, set) in (0..).map(SetId).zip(&definition.sets) {
        if set.roles.len() < 2 {
            problems.add(&set.name.mark, "must have at least two roles");
        }
        let mut members = Vec::new();
        for name in &set.roles {
            let Some(role) = tables.role(name, problems) else { continue };
            let held = &mut roles[usize::from(role.0)].set;
            if let Some(other) = held.replace(id) {
                problems.add(&name.mark, format!("belongs to the set {:?} already", sets[usize::from(other.0)].name));
            }
            members.push(role);
        }
        sets.push(RoleSet { name: set.name.value.as_str().into(), roles: members, is_required: set.is_required });
    }
    sets
}

fn resource_type(definition: &TypeDefinition, tables: &Tables<'_>, problems: &mut Problems) -> ResourceType {
    let name = &definition.name;
    let nouns = || RESERVED.iter().filter_map(|permission| permission.split('.').next());
    if PLACES.contains(&name.value.as_str()) || nouns().any(|noun| noun == name.value) {
        problems.add(&name.mark, "is a word of Guildhall's own and cannot name a type");
    }
    let view = || PermissionId::of_type(tables.types[name.value.as_str()], Verb::View);
    let visible_by = definition.visible_by.as_ref().and_then(|visible_by| tables.permission(visible_by, problems));
    ResourceType {
        name: name.value.as_str().into(),
        visible_by: visible_by.unwrap_or_else(view),
        has_list: definition.has_list,
        shares: tables.roles(&definition.shares, problems),
        creator_roles: tables.roles(&definition.creator_roles, problems),
        has_service_account: definition.has_service_account,
        parents: parents(definition, tables, problems),
        above: TypeSet::default(),
        asked: PermissionSet::default(),
    }
}

/// Looks up what a type may stand under: the organization and every type, if it does not say.
fn parents(definition: &TypeDefinition, tables: &Tables<'_>, problems: &mut Problems) -> Parents {
    let Some(under) = &definition.under else {
        return Parents { organization: true, types: TypeSet::first(tables.types.len()) };
    };
    let mut parents = Parents::default();
    for name in &under.value {
        match (name.value.as_str(), tables.types.get(name.value.as_str())) {
            (ORGANIZATION, _) => parents.organization = true,
            (_, Some(id)) => parents.types = parents.types.with(*id),
            (other, None) => {
                let places = std::iter::once(ORGANIZATION).chain(tables.types.keys().copied());
                problems.unknown(&name.mark, "place or type", other, places);
            }
        }
    }
    parents
}

/// Tells each type what can stand above it, and what can be asked of it.
fn nested(mut types: Vec<ResourceType>, permissions: &[Arc<str>], tables: &Tables<'_>) -> Vec<ResourceType> {
    let parents: Vec<Parents> = types.iter().map(|kind| kind.parents).collect();
    let above = nesting::above(&parents);
    // The nouns of the reserved ones are no types, even where one wrongly has such a name.
    let noun = |name: &Arc<str>| name.split('.').next().and_then(|noun| tables.types.get(noun)).copied();
    let own = permissions.iter().skip(RESERVED.len()).map(noun);
    let nouns: Vec<Option<TypeId>> = RESERVED.iter().map(|_| None).chain(own).collect();
    for ((id, kind), above_it) in (0..).map(TypeId).zip(&mut types).zip(&above) {
        let can_be_asked = |noun: TypeId| noun == id || above[usize::from(noun.0)].has(id);
        kind.above = *above_it;
        kind.asked =
            PermissionSet::of(nouns.len(), |permission| nouns[usize::from(permission.0)].is_none_or(can_be_asked));
    }
    types
}

/// What each name stands for.
struct Tables<'a> {
    types: HashMap<&'a str, TypeId>,
    permissions: HashMap<&'a str, PermissionId>,
    roles: HashMap<&'a str, RoleId>,
}

impl<'a> Tables<'a> {
    fn new(definition: &'a Definition, permissions: &'a [Arc<str>]) -> Self {
        let types = definition.types.iter().map(|kind| kind.name.value.as_str());
        let roles = definition.roles.iter().map(|role| role.name.value.as_str());
        Self {
            types: types.zip((0..).map(TypeId)).collect(),
            permissions: permissions.iter().map(|name| &**name).zip((0..).map(PermissionId)).collect(),
            // The built-in role comes first and cannot be named: it is given at the installation alone.
            roles: roles.zip((1..).map(RoleId)).collect(),
        }
    }

    fn permission(&self, name: &Name, problems: &mut Problems) -> Option<PermissionId> {
        find(&self.permissions, "permission", name, problems)
    }

    fn role(&self, name: &Name, problems: &mut Problems) -> Option<RoleId> {
        find(&self.roles, "role", name, problems)
    }

    fn roles(&self, names: &[Name], problems: &mut Problems) -> Vec<RoleId> {
        names.iter().filter_map(|name| self.role(name, problems)).collect()
    }

    fn ceiling(&self, definition: &CeilingDefinition, problems: &mut Problems) -> Ceiling {
        match definition {
            CeilingDefinition::Any => Ceiling { any: true, ..Ceiling::default() },
            CeilingDefinition::Subset => Ceiling { subset: true, ..Ceiling::default() },
            CeilingDefinition::Roles(names) => {
                Ceiling { list: self.roles(names, problems).into_iter().collect(), ..Ceiling::default() }
            }
        }
    }

    /// Looks up places: the organization, resource types and, if `takes_product`, the product.
    fn at(&self, names: &[Name], takes_product: bool, problems: &mut Problems) -> At {
        let mut at = At::default();
        for name in names {
            match name.value.as_str() {
                "product" if takes_product => at.product = true,
                "organization" => at.organization = true,
                "installation" => problems.add(&name.mark, "only built-in roles are held at the installation"),
                other => {
                    if let Some(id) = self.types.get(other) {
                        at.types.insert(*id);
                    } else {
                        let places = ["organization", "product"].into_iter().take(if takes_product { 2 } else { 1 });
                        problems.unknown(&name.mark, "place or type", other, places.chain(self.types.keys().copied()));
                    }
                }
            }
        }
        at
    }
}

fn find<T: Copy>(table: &HashMap<&str, T>, noun: &str, name: &Name, problems: &mut Problems) -> Option<T> {
    let found = table.get(name.value.as_str()).copied();
    if found.is_none() {
        problems.unknown(&name.mark, noun, &name.value, table.keys().copied());
    }
    found
}
