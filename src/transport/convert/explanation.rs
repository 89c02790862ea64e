//! Explanations, in words and as data, without what the caller does not see.

use std::collections::HashSet;

use super::{resource_ref, timestamp};
use crate::domain::access::{AllowedBy, Missing, Way};
use crate::domain::fact::{Grant, Held};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::proto;
use crate::proto::explained_grant::Held as ProtoHeld;
use crate::proto::principal::Kind;
use crate::proto::{HeldThrough, MissingKind, PlaceLevel, Reach};

/// What the caller sees.
pub struct Sight<'a> {
    /// The resources that they do not.
    pub hidden: &'a HashSet<ResourceKey>,
}

/// Writes what allows, in words too.
pub fn allowed_by(allowed: &AllowedBy, sight: &Sight<'_>) -> (String, proto::AllowedBy) {
    let held = held_in_words(&allowed.grant, sight);
    let (reach, listed_by, owned, way) = match &allowed.way {
        Way::Any => (Reach::Any, None, None, "reaches everything there".to_owned()),
        Way::Shared { listed_by } if listed_by.id == allowed.grant.id => {
            let way = "reaches what lists the subject, and puts it on the list".to_owned();
            (Reach::Shared, Some(sight.grant(listed_by)), None, way)
        }
        Way::Shared { listed_by } => {
            let way = format!("reaches what lists the subject, which {} does", held_in_words(listed_by, sight));
            (Reach::Shared, Some(sight.grant(listed_by)), None, way)
        }
        Way::Own { owned } => {
            let place = Place::Resource(owned.clone());
            let way = format!("reaches what the subject owns, which is {}", sight.name(&place));
            (Reach::Own, None, Some(sight.place(&place)), way)
        }
    };
    let grant = Some(sight.grant(&allowed.grant));
    (format!("{held} {way}"), proto::AllowedBy { grant, reach: reach.into(), listed_by, owned })
}

/// Writes one thing that is missing, in words too.
pub fn missing(missing: &Missing, sight: &Sight<'_>) -> proto::MissingPiece {
    let (kind, message) = match missing {
        Missing::PermissionUnknown => {
            (MissingKind::PermissionUnknown, "the catalog declares no such permission".into())
        }
        Missing::ResourceTypeUnknown => {
            (MissingKind::ResourceTypeUnknown, "the catalog declares no such resource type".into())
        }
        Missing::PermissionNotAskedHere => {
            let message = "the permission is not asked of resources of this type: nobody has it there";
            (MissingKind::PermissionNotAskedHere, message.into())
        }
        Missing::OrganizationDisabled => (MissingKind::OrganizationDisabled, "the organization is disabled".into()),
        Missing::SubjectUnknown => (MissingKind::SubjectUnknown, "the organization has no such service account".into()),
        Missing::UserDisabled => (MissingKind::UserDisabled, "the user is disabled".into()),
        Missing::NotAMember => (MissingKind::NotAMember, "the organization has no such member".into()),
        Missing::MembershipNotActive(state) => {
            (MissingKind::MembershipNotActive, format!("the membership is {}", state.word()))
        }
        Missing::AccountDisabled => (MissingKind::AccountDisabled, "the service account is disabled".into()),
        Missing::GrantExpired(grant) => {
            (MissingKind::GrantExpired, format!("{} has expired", held_in_words(grant, sight)))
        }
        Missing::NotOnList(grant) => {
            let held = held_in_words(grant, sight);
            (MissingKind::NotOnList, format!("{held} reaches what lists the subject, and nothing here does"))
        }
        Missing::NotOwner(grant) => {
            let held = held_in_words(grant, sight);
            (MissingKind::NotOwner, format!("{held} reaches what the subject owns, which is nothing here"))
        }
        Missing::NoRole { roles } if roles.is_empty() => {
            (MissingKind::NoRole, "no role that the subject could hold here has the permission".into())
        }
        Missing::NoRole { roles } => (
            MissingKind::NoRole,
            format!("the subject holds none of the roles with the permission: {}", roles.join(", ")),
        ),
        Missing::ResourceNotRegistered => (MissingKind::ResourceNotRegistered, "the resource is not registered".into()),
    };
    let grant = match missing {
        Missing::GrantExpired(grant) | Missing::NotOnList(grant) | Missing::NotOwner(grant) => Some(sight.grant(grant)),
        _ => None,
    };
    let roles = match missing {
        Missing::NoRole { roles } => roles.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    proto::MissingPiece { kind: kind.into(), message, grant, roles }
}

/// Names what a grant gives, through whom, and where.
fn held_in_words(grant: &Grant, sight: &Sight<'_>) -> String {
    let held = match &grant.held {
        Held::Role(role) => format!("the role {role}"),
        Held::AsMember => "the list entry".to_owned(),
    };
    let through = match grant.principal {
        Principal::Membership(_) | Principal::ServiceAccount(_) | Principal::User(_) => "",
        Principal::Group(_) => " of a group",
        Principal::Everyone => " of everyone",
    };
    format!("{held}{through} at {}", sight.name(&grant.place))
}

impl Sight<'_> {
    fn is_hidden(&self, place: &Place) -> bool {
        place.resource().is_some_and(|key| self.hidden.contains(key))
    }

    /// Names a place.
    fn name(&self, place: &Place) -> String {
        match place {
            Place::Installation => "the installation".to_owned(),
            Place::Product(_) => "the product".to_owned(),
            Place::Organization => "the organization".to_owned(),
            Place::Resource(_) if self.is_hidden(place) => "a resource that is not shown".to_owned(),
            Place::Resource(key) => key.to_string(),
        }
    }

    fn place(&self, place: &Place) -> proto::ExplainedPlace {
        let level = match place {
            Place::Installation => PlaceLevel::Installation,
            Place::Product(_) => PlaceLevel::Product,
            Place::Organization => PlaceLevel::Organization,
            Place::Resource(_) => PlaceLevel::Resource,
        };
        let hidden = self.is_hidden(place);
        let resource = place.resource().filter(|_| !hidden).map(resource_ref);
        proto::ExplainedPlace { level: level.into(), resource, hidden }
    }

    fn grant(&self, grant: &Grant) -> proto::ExplainedGrant {
        let (through, kind) = match grant.principal {
            Principal::Membership(id) => (HeldThrough::Itself, Some(Kind::MembershipId(id.to_string()))),
            Principal::ServiceAccount(id) => (HeldThrough::Itself, Some(Kind::ServiceAccountId(id.to_string()))),
            Principal::User(_) => (HeldThrough::Itself, None),
            Principal::Group(_) => (HeldThrough::Group, None),
            Principal::Everyone => (HeldThrough::Everyone, None),
        };
        let group_id = match grant.principal {
            Principal::Group(id) => id.to_string(),
            _ => String::new(),
        };
        let held = match &grant.held {
            Held::Role(role) => ProtoHeld::Role(role.to_string()),
            Held::AsMember => ProtoHeld::AsMember(proto::AsMember {}),
        };
        proto::ExplainedGrant {
            id: grant.id.to_string(),
            through: through.into(),
            principal: kind.map(|kind| proto::Principal { kind: Some(kind) }),
            group_id,
            place: Some(self.place(&grant.place)),
            held: Some(held),
            expire_time: grant.expires_at.map(timestamp),
        }
    }
}
