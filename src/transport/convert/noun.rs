//! Nouns, as they are shown.

use super::grant::assignment_out;
use super::{metadata_out, principal_out, resource_ref, timestamp};
use crate::domain::catalog::{InvitationKind, named_by};
use crate::domain::contact::Contact;
use crate::domain::fact::{InvitationState, MemberState, OrganizationState};
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::{Listed, Management, Member};
use crate::domain::notification::Recipient;
use crate::domain::organization::Organization;
use crate::domain::service_account::{ApiKey, ServiceAccount};
use crate::proto;
use crate::service::{GroupMember, GroupView, ResourceView, etag};

/// Writes an organization without the private part of its metadata.
pub fn organization(organization: Organization) -> proto::Organization {
    organization_to(organization, false)
}

/// Writes an organization; the private part of its metadata only if `shows_private`.
pub fn organization_to(organization: Organization, shows_private: bool) -> proto::Organization {
    let etag = etag(&organization).unwrap_or_default();
    let state = match organization.state {
        OrganizationState::Active => proto::OrganizationState::Active,
        OrganizationState::Disabled => proto::OrganizationState::Disabled,
    };
    let (catalog, catalog_version) = named_by(&organization.catalog);
    proto::Organization {
        id: organization.id.to_string(),
        catalog: catalog.to_owned(),
        catalog_version,
        display_name: organization.display_name,
        state: state.into(),
        create_time: Some(timestamp(organization.created_at)),
        slug: organization.slug.unwrap_or_default(),
        external_id: organization.external_id.unwrap_or_default(),
        metadata: metadata_out(&organization.metadata, shows_private),
        etag,
    }
}

/// Writes a member without what only a read tells, and without the private part of its metadata.
pub fn member(member: Member) -> proto::Member {
    member_to(member, false)
}

/// Writes a member without what only a read tells; the private part of its metadata only if `shows_private`.
pub fn member_to(member: Member, shows_private: bool) -> proto::Member {
    let state = member_state(member.state);
    // A tag that cannot be made asks nothing when it comes back.
    let etag = etag(&member.tagged()).unwrap_or_default();
    proto::Member {
        id: member.id.to_string(),
        user_id: member.user.map(|user| user.to_string()).unwrap_or_default(),
        email: member.email,
        display_name: member.display_name,
        state: state.into(),
        role_count: i32::try_from(member.roles.len()).unwrap_or(i32::MAX),
        roles: member.roles,
        create_time: Some(timestamp(member.created_at)),
        external_id: member.external_id.unwrap_or_default(),
        metadata: metadata_out(&member.metadata, shows_private),
        etag,
        ..proto::Member::default()
    }
}

/// Writes a member with all that a read tells.
pub fn listed_member(listed: Listed, shows_private: bool) -> proto::Member {
    let management = match listed.management {
        None => proto::Management::Unspecified,
        Some(Management::Managed) => proto::Management::Managed,
        Some(Management::Guest) => proto::Management::Guest,
    };
    proto::Member {
        last_active_time: listed.last_active_at.map(timestamp),
        management: management.into(),
        places: listed.places.iter().map(resource_ref).collect(),
        place_count: i32::try_from(listed.place_count).unwrap_or(i32::MAX),
        all_of_types: listed.all_of.iter().map(ToString::to_string).collect(),
        ..member_to(listed.member, shows_private)
    }
}

pub fn member_state(state: MemberState) -> proto::MemberState {
    match state {
        MemberState::Pending => proto::MemberState::Pending,
        MemberState::Active => proto::MemberState::Active,
        MemberState::Disabled => proto::MemberState::Disabled,
        MemberState::Removing => proto::MemberState::Removing,
    }
}

pub fn group(view: GroupView) -> proto::Group {
    let GroupView { group, etag } = view;
    proto::Group {
        id: group.id.to_string(),
        display_name: group.display_name,
        external_id: group.external_id.unwrap_or_default(),
        metadata: metadata_out(&group.metadata, true),
        create_time: Some(timestamp(group.created_at)),
        etag,
    }
}

pub fn group_member(member: GroupMember) -> proto::GroupMember {
    proto::GroupMember {
        membership_id: member.membership.to_string(),
        user_id: member.user.map(|user| user.to_string()).unwrap_or_default(),
        display_name: member.display_name,
        state: member_state(member.state).into(),
        add_time: Some(timestamp(member.added_at)),
    }
}

pub fn invitation(invitation: Invitation) -> proto::Invitation {
    let state = match invitation.state {
        InvitationState::Open => proto::InvitationState::Open,
        InvitationState::Accepted => proto::InvitationState::Accepted,
        InvitationState::Revoked => proto::InvitationState::Revoked,
    };
    let kind = invitation_kind(invitation.offered.kind());
    let (membership_id, email, assignments) = match invitation.offered {
        Offered::Mailbox { membership, email } => (membership.to_string(), email, Vec::new()),
        Offered::Link { assignments } => {
            (String::new(), String::new(), assignments.into_iter().map(assignment_out).collect())
        }
    };
    proto::Invitation {
        id: invitation.id.to_string(),
        membership_id,
        email,
        state: state.into(),
        expire_time: Some(timestamp(invitation.expires_at)),
        create_time: Some(timestamp(invitation.created_at)),
        kind: kind.into(),
        assignments,
    }
}

pub fn invitation_kind(kind: InvitationKind) -> proto::InvitationKind {
    match kind {
        InvitationKind::Email => proto::InvitationKind::Email,
        InvitationKind::Link => proto::InvitationKind::Link,
    }
}

pub fn resource(view: ResourceView) -> proto::Resource {
    let ResourceView { resource, etag, shows_private } = view;
    proto::Resource {
        resource: Some(resource_ref(&resource.key)),
        parent: resource.parent.as_ref().map(resource_ref),
        create_time: Some(timestamp(resource.created_at)),
        display_name: resource.display_name,
        owner: resource.owner.map(principal_out),
        service_account_id: resource.service_account.map(|id| id.to_string()).unwrap_or_default(),
        metadata: metadata_out(&resource.metadata, shows_private),
        etag,
    }
}

pub fn service_account(account: ServiceAccount) -> proto::ServiceAccount {
    proto::ServiceAccount {
        id: account.id.to_string(),
        display_name: account.display_name,
        create_time: Some(timestamp(account.created_at)),
        enabled: account.is_enabled,
        resource: account.bound_to.as_ref().map(resource_ref),
    }
}

pub fn api_key(key: &ApiKey) -> proto::ApiKey {
    proto::ApiKey {
        id: key.id.to_string(),
        service_account_id: key.service_account.to_string(),
        create_time: Some(timestamp(key.created_at)),
        expire_time: key.expires_at.map(timestamp),
        revoke_time: key.revoked_at.map(timestamp),
    }
}

pub fn contact(contact: Contact) -> proto::Contact {
    proto::Contact {
        id: contact.id.to_string(),
        email: contact.email,
        create_time: Some(timestamp(contact.created_at)),
    }
}

pub fn recipient(recipient: Recipient) -> proto::Recipient {
    proto::Recipient {
        membership_id: recipient.membership.map(|id| id.to_string()).unwrap_or_default(),
        contact_id: recipient.contact.map(|id| id.to_string()).unwrap_or_default(),
        email: recipient.email,
        display_name: recipient.display_name,
    }
}
