//! Nouns, as they are shown.

use super::{resource_ref, timestamp};
use crate::domain::fact::{InvitationState, MemberState, OrganizationState};
use crate::domain::invitation::Invitation;
use crate::domain::member::Member;
use crate::domain::organization::Organization;
use crate::domain::resource::Resource;
use crate::domain::service_account::{ApiKey, ServiceAccount};
use crate::proto;

pub fn organization(organization: Organization) -> proto::Organization {
    let state = match organization.state {
        OrganizationState::Active => proto::OrganizationState::Active,
        OrganizationState::Disabled => proto::OrganizationState::Disabled,
    };
    proto::Organization {
        id: organization.id.to_string(),
        display_name: organization.display_name,
        catalog: organization.catalog.to_string(),
        state: state.into(),
        create_time: Some(timestamp(organization.created_at)),
    }
}

pub fn member(member: Member) -> proto::Member {
    let state = match member.state {
        MemberState::Pending => proto::MemberState::Pending,
        MemberState::Active => proto::MemberState::Active,
        MemberState::Disabled => proto::MemberState::Disabled,
    };
    proto::Member {
        id: member.id.to_string(),
        user_id: member.user.map(|user| user.to_string()).unwrap_or_default(),
        email: member.email,
        display_name: member.display_name,
        state: state.into(),
        roles: member.roles,
        create_time: Some(timestamp(member.created_at)),
    }
}

pub fn invitation(invitation: Invitation) -> proto::Invitation {
    let state = match invitation.state {
        InvitationState::Open => proto::InvitationState::Open,
        InvitationState::Accepted => proto::InvitationState::Accepted,
        InvitationState::Revoked => proto::InvitationState::Revoked,
    };
    proto::Invitation {
        id: invitation.id.to_string(),
        membership_id: invitation.membership.to_string(),
        email: invitation.email,
        state: state.into(),
        expire_time: Some(timestamp(invitation.expires_at)),
        create_time: Some(timestamp(invitation.created_at)),
    }
}

pub fn resource(resource: &Resource) -> proto::Resource {
    proto::Resource {
        resource: Some(resource_ref(&resource.key)),
        parent: resource.parent.as_ref().map(resource_ref),
        create_time: Some(timestamp(resource.created_at)),
    }
}

pub fn service_account(account: ServiceAccount) -> proto::ServiceAccount {
    proto::ServiceAccount {
        id: account.id.to_string(),
        display_name: account.display_name,
        create_time: Some(timestamp(account.created_at)),
    }
}

pub fn api_key(key: &ApiKey) -> proto::ApiKey {
    proto::ApiKey {
        id: key.id.to_string(),
        service_account_id: key.service_account.to_string(),
        create_time: Some(timestamp(key.created_at)),
        expire_time: key.expires_at.map(timestamp),
    }
}
