//! The catalog as it is written: every field has its type, no name has been looked up.

use super::field::{
    Fields, check_name, description, duration, entries, flag, located, name, named, names, number, text, word, words,
};
use super::node::{Located, Name, Node, Value};
use super::problem::Problems;
use crate::domain::catalog::{
    Features, FurtherDomains, Holders, InvitationKind, InvitationPolicy, Notice, OnLeave, PasswordPolicy, Plan, Reach,
    RemovalPolicy, SeatState,
};

/// Most resource types.
const TYPES_MAX: usize = 64;
/// Most exclusive sets.
const SETS_MAX: usize = 64;
/// Most roles.
const ROLES_MAX: usize = 256;
/// Most permissions that a catalog declares.
const PERMISSIONS_MAX: usize = 256;
/// Most listeners that a removal waits for.
const LISTENERS_MAX: usize = 16;
/// Most plans.
const PLANS_MAX: usize = 64;
/// Most characters that a policy may ask of a password: 64 of four bytes fill the 256 bytes of the longest one.
const PASSWORD_LENGTH_MAX: u32 = 64;
/// What counts as a symbol in a password where the catalog does not say: all of ASCII's.
const SYMBOLS: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;

/// A catalog as it is written.
#[derive(Debug)]
pub(super) struct Definition {
    pub name: String,
    pub version: u32,
    pub description: String,
    pub features: Features,
    pub types: Vec<TypeDefinition>,
    pub permissions: Vec<Name>,
    pub sets: Vec<SetDefinition>,
    pub roles: Vec<RoleDefinition>,
    pub founder_roles: Vec<Name>,
    pub default_role: Option<Name>,
    pub invitation: InvitationPolicy,
    pub password: PasswordPolicy,
    pub plans: Vec<Plan>,
    pub seats: Option<SeatsDefinition>,
    pub never_leave: Vec<Name>,
    pub removal: RemovalPolicy,
}

/// A resource type as it is written.
#[derive(Debug)]
pub(super) struct TypeDefinition {
    pub name: Name,
    pub visible_by: Option<Name>,
    pub has_list: bool,
    pub shares: Vec<Name>,
    pub creator_roles: Vec<Name>,
    pub has_service_account: bool,
    pub under: Option<Located<Vec<Name>>>,
}

/// An exclusive set as it is written.
#[derive(Debug)]
pub(super) struct SetDefinition {
    pub name: Name,
    pub roles: Vec<Name>,
    pub is_required: bool,
}

/// A role as it is written.
#[derive(Debug)]
pub(super) struct RoleDefinition {
    pub name: Name,
    pub description: String,
    pub at: Vec<Name>,
    pub to: Located<Holders>,
    pub includes: Vec<Name>,
    pub permissions: Vec<(Name, Located<Reach>)>,
    pub as_member: bool,
    pub may_grant: CeilingDefinition,
    pub may_take: CeilingDefinition,
    pub least: u32,
    pub most: Option<u32>,
    pub requires: Vec<Name>,
    pub is_transfer_only: bool,
    pub on_leave: OnLeave,
}

/// What a role's holder may give or take, as it is written.
#[derive(Debug)]
pub(super) enum CeilingDefinition {
    Any,
    Subset,
    Roles(Vec<Name>),
}

/// What takes a seat, as it is written.
#[derive(Debug)]
pub(super) struct SeatsDefinition {
    pub counts: Vec<SeatState>,
    pub per: Vec<Name>,
}

impl Definition {
    /// Takes the tree apart.
    pub fn read(node: Node, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(node, problems)?;
        let definition = Self {
            name: fields.require("name", problems, name).map_or_else(String::new, |name| name.value),
            version: fields.require("version", problems, number(1..=u32::MAX)).unwrap_or_default(),
            description: fields.take("description", problems, description).unwrap_or_default(),
            features: fields.take("features", problems, features).unwrap_or_default(),
            types: fields.take("types", problems, named(TYPES_MAX, resource_type)).unwrap_or_default(),
            permissions: fields.take("permissions", problems, permissions).unwrap_or_default(),
            sets: fields.take("sets", problems, named(SETS_MAX, set)).unwrap_or_default(),
            roles: fields.take("roles", problems, named(ROLES_MAX, role)).unwrap_or_default(),
            founder_roles: fields.take("founder_roles", problems, names).unwrap_or_default(),
            default_role: fields.take("default_role", problems, text),
            invitation: fields.take("invitation", problems, invitation).unwrap_or_default(),
            password: fields.take("password", problems, password).unwrap_or_default(),
            plans: fields.take("plans", problems, named(PLANS_MAX, plan)).unwrap_or_default(),
            seats: fields.take("seats", problems, seats),
            never_leave: fields.take("self_removal", problems, self_removal).unwrap_or_default(),
            removal: fields.take("removal", problems, removal).unwrap_or_default(),
        };
        fields.close(problems);
        Some(definition)
    }
}

fn features(node: Node, problems: &mut Problems) -> Option<Features> {
    let mut fields = Fields::open(node, problems)?;
    let features = Features {
        groups: fields.take("groups", problems, flag).unwrap_or_default(),
        custom_roles: fields.take("custom_roles", problems, flag).unwrap_or_default(),
        assets: fields.take("assets", problems, flag).unwrap_or_default(),
    };
    fields.close(problems);
    Some(features)
}

fn permissions(node: Node, problems: &mut Problems) -> Option<Vec<Name>> {
    let mark = node.mark.clone();
    let mut permissions = names(node, problems)?;
    if permissions.len() > PERMISSIONS_MAX {
        problems.add(&mark, format!("must have at most {PERMISSIONS_MAX} entries, not {}", permissions.len()));
        permissions.truncate(PERMISSIONS_MAX);
    }
    Some(permissions)
}

fn resource_type(name: Name, node: Node, problems: &mut Problems) -> TypeDefinition {
    let mut definition = TypeDefinition {
        name,
        visible_by: None,
        has_list: false,
        shares: Vec::new(),
        creator_roles: Vec::new(),
        has_service_account: false,
        under: None,
    };
    if let Some(mut fields) = Fields::open(node, problems) {
        definition.visible_by = fields.take("visible_by", problems, text);
        definition.has_list = fields.take("list", problems, flag).unwrap_or_default();
        definition.shares = fields.take("shares", problems, names).unwrap_or_default();
        definition.creator_roles = fields.take("creator_roles", problems, names).unwrap_or_default();
        definition.has_service_account = fields.take("service_account", problems, flag).unwrap_or_default();
        definition.under = fields.take("under", problems, located(names));
        fields.close(problems);
    }
    definition
}

/// A set is a list of roles, or a map where it has more to say.
fn set(name: Name, node: Node, problems: &mut Problems) -> SetDefinition {
    if matches!(node.value, Value::List(_)) {
        return SetDefinition { name, roles: names(node, problems).unwrap_or_default(), is_required: false };
    }
    let mut definition = SetDefinition { name, roles: Vec::new(), is_required: false };
    if let Some(mut fields) = Fields::open(node, problems) {
        definition.roles = fields.require("of", problems, names).unwrap_or_default();
        definition.is_required = fields.take("required", problems, flag).unwrap_or_default();
        fields.close(problems);
    }
    definition
}

fn role(name: Name, node: Node, problems: &mut Problems) -> RoleDefinition {
    let people = Holders { people: true, groups: false, everyone: false, service_accounts: false };
    let mut definition = RoleDefinition {
        to: Located { value: people, mark: name.mark.below("to") },
        name,
        description: String::new(),
        at: Vec::new(),
        includes: Vec::new(),
        permissions: Vec::new(),
        as_member: false,
        may_grant: CeilingDefinition::default(),
        may_take: CeilingDefinition::default(),
        least: 0,
        most: None,
        requires: Vec::new(),
        is_transfer_only: false,
        on_leave: OnLeave::Keep,
    };
    let Some(mut fields) = Fields::open(node, problems) else { return definition };
    definition.description = fields.take("description", problems, description).unwrap_or_default();
    definition.at = fields.take("at", problems, names).unwrap_or_default();
    definition.to = fields.take("to", problems, holders).unwrap_or(definition.to);
    definition.includes = fields.take("includes", problems, names).unwrap_or_default();
    definition.permissions = fields.take("permissions", problems, reaches).unwrap_or_default();
    definition.as_member = fields.take("as_member", problems, flag).unwrap_or_default();
    definition.may_grant = fields.take("may_grant", problems, ceiling).unwrap_or_default();
    definition.may_take = fields.take("may_take", problems, ceiling).unwrap_or_default();
    (definition.least, definition.most) = fields.take("holders", problems, cardinality).unwrap_or_default();
    definition.requires = fields.take("requires", problems, names).unwrap_or_default();
    definition.is_transfer_only = fields.take("transfer_only", problems, flag).unwrap_or_default();
    let on_leave = word(&[("KEEP", OnLeave::Keep), ("CLEAR", OnLeave::Clear)]);
    definition.on_leave = fields.take("on_leave", problems, on_leave).unwrap_or_default();
    fields.close(problems);
    definition
}

fn holders(node: Node, problems: &mut Problems) -> Option<Located<Holders>> {
    let kinds = [("membership", 0), ("group", 1), ("everyone", 2), ("service_account", 3)];
    let Located { value: found, mark } = located(words(&kinds))(node, problems)?;
    if found.is_empty() {
        problems.add(&mark, "must name at least one kind of principal");
    }
    let [people, groups, everyone, service_accounts] = [0, 1, 2, 3].map(|kind| found.contains(&kind));
    Some(Located { value: Holders { people, groups, everyone, service_accounts }, mark })
}

fn reaches(node: Node, problems: &mut Problems) -> Option<Vec<(Name, Located<Reach>)>> {
    let reach = word(&[("ANY", Reach::Any), ("SHARED", Reach::Shared), ("OWN", Reach::Own)]);
    let entries = entries(node, problems)?.into_iter();
    let reaches = entries.filter_map(|(name, node)| Some((name, located(&reach)(node, problems)?)));
    Some(reaches.collect())
}

impl Default for CeilingDefinition {
    fn default() -> Self {
        Self::Roles(Vec::new())
    }
}

fn ceiling(node: Node, problems: &mut Problems) -> Option<CeilingDefinition> {
    match &node.value {
        Value::List(_) => names(node, problems).map(CeilingDefinition::Roles),
        Value::Text(word) if word == "NONE" => Some(CeilingDefinition::default()),
        Value::Text(word) if word == "SUBSET" => Some(CeilingDefinition::Subset),
        Value::Text(word) if word == "ANY" => Some(CeilingDefinition::Any),
        _ => {
            problems.add(&node.mark, "must be NONE, SUBSET, ANY or a list of roles");
            None
        }
    }
}

fn cardinality(node: Node, problems: &mut Problems) -> Option<(u32, Option<u32>)> {
    let mut fields = Fields::open(node, problems)?;
    let least = fields.take("least", problems, located(number(0..=u32::MAX)));
    let most = fields.take("most", problems, number(1..=u32::MAX));
    fields.close(problems);
    if let (Some(least), Some(most)) = (&least, most)
        && least.value > most
    {
        problems.add(&least.mark, format!("must be at most {most}, as `most` says"));
    }
    Some((least.map_or(0, |least| least.value), most))
}

fn invitation(node: Node, problems: &mut Problems) -> Option<InvitationPolicy> {
    const KINDS: &[(&str, InvitationKind)] = &[("EMAIL", InvitationKind::Email), ("LINK", InvitationKind::Link)];
    const NOTICES: &[(&str, Notice)] =
        &[("NONE", Notice::None), ("INVITER", Notice::Inviter), ("HOLDERS_AT_THE_PLACE", Notice::HoldersAtThePlace)];
    let default = InvitationPolicy::default();
    let mut fields = Fields::open(node, problems)?;
    let kinds = fields.take("kinds", problems, located(words(KINDS)));
    if let Some(kinds) = &kinds
        && kinds.value.is_empty()
    {
        problems.add(&kinds.mark, "must name at least one kind");
    }
    let lifetime = fields.take("lifetime", problems, located(duration));
    let longest = fields.take("longest", problems, duration);
    if let (Some(lifetime), Some(longest)) = (&lifetime, longest)
        && lifetime.value > longest
    {
        problems.add(&lifetime.mark, "must be at most as long as `longest`");
    }
    let default_lifetime = longest.map_or(default.lifetime, |longest| longest.min(default.lifetime));
    let lifetime = lifetime.map_or(default_lifetime, |lifetime| lifetime.value);
    let policy = InvitationPolicy {
        kinds: kinds.map_or(default.kinds, |kinds| kinds.value),
        lifetime,
        longest: longest.unwrap_or(lifetime),
        notice: fields.take("notice", problems, word(NOTICES)).unwrap_or(default.notice),
        role_required: fields.take("role_required", problems, flag).unwrap_or(default.role_required),
    };
    fields.close(problems);
    Some(policy)
}

fn password(node: Node, problems: &mut Problems) -> Option<PasswordPolicy> {
    #[derive(Clone, Copy, PartialEq)]
    enum Class {
        Lower,
        Upper,
        Digit,
        Symbol,
    }
    const CLASSES: &[(&str, Class)] =
        &[("LOWER", Class::Lower), ("UPPER", Class::Upper), ("DIGIT", Class::Digit), ("SYMBOL", Class::Symbol)];
    let floor = u32::try_from(PasswordPolicy::FLOOR).unwrap_or(u32::MAX);

    let mut fields = Fields::open(node, problems)?;
    let min_length = fields.take("min_length", problems, number(floor..=PASSWORD_LENGTH_MAX));
    let classes = fields.take("require", problems, words(CLASSES)).unwrap_or_default();
    let symbols = fields.take("symbols", problems, symbols);
    fields.close(problems);
    let asks_symbol = classes.contains(&Class::Symbol);
    if let Some(symbols) = &symbols
        && !asks_symbol
    {
        problems.add(&symbols.mark, "has no effect unless require lists SYMBOL");
    }
    Some(PasswordPolicy {
        min_length: min_length.map_or(PasswordPolicy::DEFAULT, |length| length as usize),
        lower: classes.contains(&Class::Lower),
        upper: classes.contains(&Class::Upper),
        digit: classes.contains(&Class::Digit),
        symbols: asks_symbol.then(|| symbols.map_or_else(|| SYMBOLS.to_owned(), |symbols| symbols.value)),
    })
}

fn symbols(node: Node, problems: &mut Problems) -> Option<Name> {
    let symbols = text(node, problems)?;
    if symbols.value.is_empty() || !symbols.value.bytes().all(|byte| byte.is_ascii_punctuation()) {
        problems.add(&symbols.mark, format!("must be one or more of {SYMBOLS}"));
    }
    Some(symbols)
}

fn plan(name: Name, node: Node, problems: &mut Problems) -> Plan {
    const FURTHER: &[(&str, FurtherDomains)] = &[
        ("NONE", FurtherDomains::None),
        ("VERIFIED", FurtherDomains::Verified),
        ("APPROVED", FurtherDomains::Approved),
    ];
    let mut further_domains = FurtherDomains::None;
    if let Some(mut fields) = Fields::open(node, problems) {
        further_domains = fields.take("further_domains", problems, word(FURTHER)).unwrap_or_default();
        fields.close(problems);
    }
    Plan { name: name.value.into(), further_domains }
}

fn seats(node: Node, problems: &mut Problems) -> Option<SeatsDefinition> {
    const STATES: &[(&str, SeatState)] =
        &[("PENDING", SeatState::Pending), ("ACTIVE", SeatState::Active), ("DISABLED", SeatState::Disabled)];
    let mut fields = Fields::open(node, problems)?;
    let counts = fields.require("counts", problems, located(words(STATES)));
    let per = fields.require("per", problems, names).unwrap_or_default();
    fields.close(problems);
    if let Some(counts) = &counts
        && !counts.value.contains(&SeatState::Active)
    {
        problems.add(&counts.mark, "must list ACTIVE");
    }
    Some(SeatsDefinition { counts: counts.map_or_else(Vec::new, |counts| counts.value), per })
}

fn self_removal(node: Node, problems: &mut Problems) -> Option<Vec<Name>> {
    let mut fields = Fields::open(node, problems)?;
    let roles = fields.require("never_for", problems, names);
    fields.close(problems);
    roles
}

fn removal(node: Node, problems: &mut Problems) -> Option<RemovalPolicy> {
    let mut fields = Fields::open(node, problems)?;
    let listeners = fields.require("listeners", problems, names).unwrap_or_default();
    for name in &listeners {
        check_name(name, problems);
    }
    if listeners.len() > LISTENERS_MAX {
        problems.add(&listeners[LISTENERS_MAX].mark, format!("must be at most {LISTENERS_MAX}"));
    }
    let grace = fields.take("grace", problems, duration);
    fields.close(problems);
    Some(RemovalPolicy {
        listeners: listeners.into_iter().map(|name| name.value.into()).collect(),
        grace: grace.unwrap_or(RemovalPolicy::default().grace),
    })
}
