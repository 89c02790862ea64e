//! `OrganizationService`.

use super::convert::{
    Mask, grant, invitation, member, metadata, optional_id, optional_key, organization, organization_to, token,
};
use super::handle::{Decode, handlers};
use super::incoming::{Incoming, ServerState};
use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::id::MembershipId;
use crate::domain::metadata::external_id;
use crate::domain::organization::seats::Seats;
use crate::domain::organization::{Organization, slug};
use crate::domain::text::{reason, required_name};
use crate::proto;
use crate::proto::look_up_organization_request::Name;
use crate::proto::organization_service_server::OrganizationService;
use crate::proto::{
    CreateOrganizationRequest, CreateOrganizationResponse, LookUpOrganizationRequest, LookUpOrganizationResponse,
};
use crate::service::{
    CreateOrganization, GetOrganization, GetSeats, OrganizationFields, OrganizationName, OrganizationView, Read,
    SetSeatLimit, TransferRole, TransferredRole, UpdateOrganization, Written,
};

/// What an update writes.
const FIELDS: &[&str] = &["display_name", "slug", "external_id", "metadata"];

/// Serves organizations.
pub(super) struct Organizations(pub ServerState);

handlers! {
    OrganizationService for Organizations {
        create_organization(CreateOrganizationRequest) -> CreateOrganizationResponse: by create;
        get_organization(GetOrganizationRequest) -> GetOrganizationResponse: query GetOrganization;
        look_up_organization(LookUpOrganizationRequest) -> LookUpOrganizationResponse: by look_up;
        update_organization(UpdateOrganizationRequest) -> UpdateOrganizationResponse: mutation UpdateOrganization;
        transfer_role(TransferRoleRequest) -> TransferRoleResponse: mutation TransferRole;
        get_seats(GetSeatsRequest) -> GetSeatsResponse: query GetSeats;
        set_seat_limit(SetSeatLimitRequest) -> SetSeatLimitResponse: mutation SetSeatLimit;
    }
}

impl Decode<proto::GetOrganizationRequest> for GetOrganization {
    fn decode(_message: proto::GetOrganizationRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl From<Read<OrganizationView>> for proto::GetOrganizationResponse {
    fn from(found: Read<OrganizationView>) -> Self {
        let OrganizationView { organization, shows_private } = found.value;
        Self { organization: Some(organization_to(organization, shows_private)), revision: token(Some(found.token)) }
    }
}

impl Decode<proto::UpdateOrganizationRequest> for UpdateOrganization {
    fn decode(message: proto::UpdateOrganizationRequest, _server: &ServerState) -> Result<Self, Error> {
        let mask = Mask::parse(message.update_mask.as_ref(), FIELDS)?;
        let takes_name = mask.takes("display_name", !message.display_name.is_empty());
        let takes_slug = mask.takes("slug", !message.slug.is_empty());
        let takes_external_id = mask.takes("external_id", !message.external_id.is_empty());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let (display_name, slug, external_id, metadata) = all((
            takes_name.then(|| required_name("display_name", &message.display_name)).transpose(),
            takes_slug.then(|| slug("slug", &message.slug)).transpose(),
            takes_external_id.then(|| external_id("external_id", &message.external_id)).transpose(),
            takes_metadata.then(|| metadata("metadata", message.metadata)).transpose(),
        ))?;
        Ok(Self { fields: OrganizationFields { display_name, slug, external_id, metadata }, etag: message.etag })
    }
}

impl From<Written<Organization>> for proto::UpdateOrganizationResponse {
    fn from(changed: Written<Organization>) -> Self {
        Self { organization: Some(organization_to(changed.value, true)), revision: token(changed.token) }
    }
}

impl Decode<proto::GetSeatsRequest> for GetSeats {
    fn decode(message: proto::GetSeatsRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { place: optional_key("resource", message.resource.as_ref())? })
    }
}

impl From<Read<Seats>> for proto::GetSeatsResponse {
    fn from(found: Read<Seats>) -> Self {
        Self { seats: Some(seats(found.value)), revision: token(Some(found.token)) }
    }
}

impl Decode<proto::SetSeatLimitRequest> for SetSeatLimit {
    fn decode(message: proto::SetSeatLimitRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { place: optional_key("resource", message.resource.as_ref())?, limit: message.limit })
    }
}

impl From<Written<Seats>> for proto::SetSeatLimitResponse {
    fn from(set: Written<Seats>) -> Self {
        Self { seats: Some(seats(set.value)), revision: token(set.token) }
    }
}

impl Organizations {
    async fn create(
        &self,
        call: &Incoming,
        message: CreateOrganizationRequest,
    ) -> Result<CreateOrganizationResponse, Error> {
        let context = call.mutation(&message)?;
        let request = CreateOrganization {
            display_name: message.display_name,
            catalog: message.catalog,
            catalog_version: (message.catalog_version > 0).then_some(message.catalog_version),
            founder_email: message.founder_email,
        };
        let created = self.0.services.create_organization(&context, request).await?;
        Ok(CreateOrganizationResponse {
            organization: Some(organization(created.value.organization)),
            invitation: Some(invitation(created.value.invitation)),
            founder: Some(member(created.value.founder)),
            revision: token(created.token),
        })
    }

    async fn look_up(
        &self,
        call: &Incoming,
        message: LookUpOrganizationRequest,
    ) -> Result<LookUpOrganizationResponse, Error> {
        let required = |field| Error::invalid(field, Reason::FieldRequired, "is required");
        let name = match message.name {
            Some(Name::Slug(slug)) => {
                OrganizationName::Slug(self::slug("slug", &slug)?.ok_or_else(|| required("slug"))?)
            }
            Some(Name::ExternalId(id)) => {
                let id = external_id("external_id", &id)?.ok_or_else(|| required("external_id"))?;
                OrganizationName::ExternalId(id)
            }
            None => return Err(required("name")),
        };
        if message.catalog.is_empty() {
            return Err(required("catalog"));
        }
        let found = self.0.services.look_up_organization(&call.reading(), &message.catalog, &name).await?;
        let OrganizationView { organization, shows_private } = found.value;
        Ok(LookUpOrganizationResponse {
            organization: Some(organization_to(organization, shows_private)),
            revision: token(Some(found.token)),
        })
    }
}

impl Decode<proto::TransferRoleRequest> for TransferRole {
    fn decode(message: proto::TransferRoleRequest, server: &ServerState) -> Result<Self, Error> {
        let (to, from, reason) = all((
            MembershipId::parse("to_membership_id", &message.to_membership_id),
            optional_id("from_membership_id", &message.from_membership_id, MembershipId::parse),
            reason("reason", &message.reason),
        ))?;
        Ok(Self { role: message.role.into(), to, from, reason, mailer: server.services.mailer() })
    }
}

impl From<Written<TransferredRole>> for proto::TransferRoleResponse {
    fn from(transferred: Written<TransferredRole>) -> Self {
        let TransferredRole { from, to, changed, kept } = transferred.value;
        Self {
            from: from.map(member),
            to: Some(member(to)),
            granted: changed.granted.into_iter().map(grant).collect(),
            revoked: changed.revoked.into_iter().map(grant).collect(),
            kept: kept.into_iter().map(grant).collect(),
            revision: token(transferred.token),
        }
    }
}

fn seats(seats: Seats) -> proto::Seats {
    proto::Seats { limit: seats.limit, used: seats.used }
}
