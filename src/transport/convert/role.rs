//! Roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Mask;
use crate::domain::catalog::{CeilingNames, CustomRole, Holders, Reach, RolePlace};
use crate::domain::error::{Error, Reason, Violations};
use crate::proto;
use crate::proto::role_ceiling::Kind;
use crate::service::{RoleChanges, RoleDetail};

/// What can be written of a role.
const FIELDS: &[&str] = &["description", "at", "to", "includes", "permissions", "as_member", "may_grant", "may_take"];

/// Writes a role.
pub(in crate::transport) fn role(role: RoleDetail) -> proto::Role {
    let RoleDetail { view, custom } = role;
    let (written, etag) = custom.unzip();
    let written = written.as_ref();
    let effective = view.effective.iter().map(|(permission, held)| proto::RolePermission {
        permission: permission.to_string(),
        reaches: held.iter().copied().map(reach).collect(),
    });
    let on_leave = if view.clears_on_leave { proto::OnLeave::Clear } else { proto::OnLeave::Keep };
    proto::Role {
        name: view.name.to_string(),
        description: view.description.to_string(),
        is_custom: view.is_custom,
        at: names(&view.at),
        to: holder_kinds(view.to),
        includes: written.map(|it| names(&it.includes)).unwrap_or_default(),
        permissions: written.map(own_permissions).unwrap_or_default(),
        effective_permissions: effective.collect(),
        as_member: view.as_member,
        may_grant: ceiling(&view.may_grant),
        may_take: ceiling(&view.may_take),
        holders_least: view.least,
        holders_most: view.most.unwrap_or_default(),
        requires: names(&view.requires),
        exclusive_set: view.set.map(|set| set.to_string()).unwrap_or_default(),
        transfer_only: view.is_transfer_only,
        on_leave: on_leave.into(),
        etag: etag.unwrap_or_default(),
    }
}

fn names(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Reads a role that is to be made.
///
/// # Errors
/// - [`Reason::FieldRequired`] without a name; and as [`changes`].
pub(in crate::transport) fn new_role(message: &proto::Role) -> Result<CustomRole, Error> {
    let mut violations = Violations::default();
    if message.name.is_empty() {
        violations.add("role.name", Reason::FieldRequired, "is required");
    }
    let changes = violations.take(changes(message, Mask::All))?;
    violations.finish()?;
    let changes = changes.unwrap_or_default();
    let people = Holders { people: true, groups: false, everyone: false, service_accounts: false };
    Ok(CustomRole {
        name: message.name.as_str().into(),
        description: changes.description.unwrap_or_default(),
        at: changes.at.unwrap_or_default(),
        to: if message.to.is_empty() { people } else { changes.to.unwrap_or(people) },
        includes: changes.includes.unwrap_or_default(),
        permissions: changes.permissions.unwrap_or_default(),
        as_member: changes.as_member.unwrap_or_default(),
        may_grant: changes.may_grant.unwrap_or_default(),
        may_take: changes.may_take.unwrap_or_default(),
    })
}

/// Reads which fields a mask may name.
pub(in crate::transport) fn role_mask(mask: Option<&prost_types::FieldMask>) -> Result<Mask<'_>, Error> {
    Mask::parse(mask, FIELDS)
}

/// Reads what is to be written of a role.
///
/// # Errors
/// - [`Reason::OutOfRange`] for a reach or a kind of holder that is none, or a permission with several reaches.
pub(in crate::transport) fn changes(message: &proto::Role, mask: Mask<'_>) -> Result<RoleChanges, Error> {
    let mut violations = Violations::default();
    let names = |names: &[String]| names.iter().map(|name| Arc::from(name.as_str())).collect::<Vec<Arc<str>>>();
    let at = message.at.iter().map(|place| match place.as_str() {
        "organization" => RolePlace::Organization,
        kind => RolePlace::Type(kind.into()),
    });
    let changes = RoleChanges {
        description: mask.takes("description", !message.description.is_empty()).then(|| message.description.clone()),
        at: mask.takes("at", !message.at.is_empty()).then(|| at.collect()),
        to: mask.takes("to", !message.to.is_empty()).then(|| holders(&message.to, &mut violations)),
        includes: mask.takes("includes", !message.includes.is_empty()).then(|| names(&message.includes)),
        permissions: mask
            .takes("permissions", !message.permissions.is_empty())
            .then(|| permissions(&message.permissions, &mut violations)),
        as_member: mask.takes("as_member", message.as_member).then_some(message.as_member),
        may_grant: mask
            .takes("may_grant", message.may_grant.is_some())
            .then(|| ceiling_names(message.may_grant.as_ref())),
        may_take: mask.takes("may_take", message.may_take.is_some()).then(|| ceiling_names(message.may_take.as_ref())),
    };
    violations.finish()?;
    Ok(changes)
}

const HOLDER_KINDS: [proto::HolderKind; 4] = [
    proto::HolderKind::Membership,
    proto::HolderKind::Group,
    proto::HolderKind::Everyone,
    proto::HolderKind::ServiceAccount,
];

fn holder_kinds(to: Holders) -> Vec<i32> {
    let held_by = [to.people, to.groups, to.everyone, to.service_accounts];
    HOLDER_KINDS.into_iter().zip(held_by).filter(|(_, can)| *can).map(|(kind, _)| kind.into()).collect()
}

fn holders(kinds: &[i32], violations: &mut Violations) -> Holders {
    for (index, kind) in kinds.iter().enumerate() {
        if !HOLDER_KINDS.iter().any(|known| i32::from(*known) == *kind) {
            violations.add(format!("role.to[{index}]"), Reason::OutOfRange, "is no kind of holder");
        }
    }
    let [people, groups, everyone, service_accounts] = HOLDER_KINDS.map(|kind| kinds.contains(&kind.into()));
    Holders { people, groups, everyone, service_accounts }
}

fn reach(reach: Reach) -> i32 {
    let word = match reach {
        Reach::Any => proto::Reach::Any,
        Reach::Shared => proto::Reach::Shared,
        Reach::Own => proto::Reach::Own,
    };
    word.into()
}

fn own_permissions(role: &CustomRole) -> Vec<proto::RolePermission> {
    let own = role.permissions.iter().map(|(permission, held)| proto::RolePermission {
        permission: permission.to_string(),
        reaches: vec![reach(*held)],
    });
    own.collect()
}

fn permissions(messages: &[proto::RolePermission], violations: &mut Violations) -> BTreeMap<Arc<str>, Reach> {
    let mut permissions = BTreeMap::new();
    for (index, message) in messages.iter().enumerate() {
        let field = format!("role.permissions[{index}]");
        let reach = match message.reaches.as_slice() {
            [reach] => match proto::Reach::try_from(*reach) {
                Ok(proto::Reach::Any) => Some(Reach::Any),
                Ok(proto::Reach::Shared) => Some(Reach::Shared),
                Ok(proto::Reach::Own) => Some(Reach::Own),
                Ok(proto::Reach::Unspecified) | Err(_) => None,
            },
            _ => None,
        };
        let Some(reach) = reach else {
            violations.add(format!("{field}.reaches"), Reason::OutOfRange, "must be exactly one reach");
            continue;
        };
        if permissions.insert(Arc::from(message.permission.as_str()), reach).is_some() {
            violations.add(format!("{field}.permission"), Reason::OutOfRange, "is there already");
        }
    }
    permissions
}

fn ceiling(ceiling: &CeilingNames) -> Option<proto::RoleCeiling> {
    let kind = match ceiling {
        CeilingNames::None => return None,
        CeilingNames::Any => Kind::Any(true),
        CeilingNames::Subset => Kind::Subset(true),
        CeilingNames::Roles(roles) => Kind::Roles(proto::RoleNames { names: names(roles) }),
    };
    Some(proto::RoleCeiling { kind: Some(kind) })
}

fn ceiling_names(message: Option<&proto::RoleCeiling>) -> CeilingNames {
    match message.and_then(|message| message.kind.as_ref()) {
        Some(Kind::Any(true)) => CeilingNames::Any,
        Some(Kind::Subset(true)) => CeilingNames::Subset,
        Some(Kind::Roles(roles)) => CeilingNames::Roles(roles.names.iter().map(|name| name.as_str().into()).collect()),
        Some(Kind::Any(false) | Kind::Subset(false)) | None => CeilingNames::None,
    }
}
