//! `OrganizationService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{Mask, grant, invitation, member, metadata, optional_key, organization, organization_to, token};
use crate::domain::error::{Error, Reason};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::metadata::external_id;
use crate::domain::organization::slug;
use crate::domain::seats::Seats;
use crate::proto;
use crate::proto::look_up_organization_request::Name;
use crate::proto::organization_service_server::OrganizationService;
use crate::proto::{
    CreateOrganizationRequest, CreateOrganizationResponse, GetOrganizationRequest, GetOrganizationResponse,
    GetSeatsRequest, GetSeatsResponse, LookUpOrganizationRequest, LookUpOrganizationResponse, SetSeatLimitRequest,
    SetSeatLimitResponse, TransferRoleRequest, TransferRoleResponse, UpdateOrganizationRequest,
    UpdateOrganizationResponse,
};
use crate::service::{
    CreateOrganization, OrganizationName, OrganizationView, TransferRole, Transferred, UpdateOrganization,
};

/// Serves organizations.
pub(super) struct Organizations(pub Edge);

#[tonic::async_trait]
impl OrganizationService for Organizations {
    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> Result<Response<CreateOrganizationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.create(&call, message).await)
    }

    async fn get_organization(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> Result<Response<GetOrganizationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.get(&call, &message).await)
    }

    async fn look_up_organization(
        &self,
        request: Request<LookUpOrganizationRequest>,
    ) -> Result<Response<LookUpOrganizationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.look_up(&call, message).await)
    }

    async fn update_organization(
        &self,
        request: Request<UpdateOrganizationRequest>,
    ) -> Result<Response<UpdateOrganizationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.update(&call, message).await)
    }

    async fn transfer_role(
        &self,
        request: Request<TransferRoleRequest>,
    ) -> Result<Response<TransferRoleResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.transfer(&call, message).await)
    }

    async fn get_seats(&self, request: Request<GetSeatsRequest>) -> Result<Response<GetSeatsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.seats(&call, &message).await)
    }

    async fn set_seat_limit(
        &self,
        request: Request<SetSeatLimitRequest>,
    ) -> Result<Response<SetSeatLimitResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.set_seats(&call, &message).await)
    }
}

impl Organizations {
    async fn create(
        &self,
        call: &Call,
        message: CreateOrganizationRequest,
    ) -> Result<CreateOrganizationResponse, Error> {
        let context = call.mutation(&message)?;
        let request = CreateOrganization {
            display_name: message.display_name,
            catalog: message.catalog,
            catalog_version: (message.catalog_version > 0).then_some(message.catalog_version),
            founder_email: message.founder_email,
        };
        let founded = self.0.services.create_organization(&context, request).await?;
        Ok(CreateOrganizationResponse {
            organization: Some(organization(founded.value.organization)),
            invitation: Some(invitation(founded.value.invitation)),
            founder: Some(member(founded.value.founder)),
            revision: token(founded.token),
        })
    }

    async fn get(&self, call: &Call, message: &GetOrganizationRequest) -> Result<GetOrganizationResponse, Error> {
        let id = OrganizationId::parse("organization_id", &message.organization_id)?;
        let found = self.0.services.organization(&call.reading(), id).await?;
        let OrganizationView { organization, shows_private } = found.value;
        Ok(GetOrganizationResponse {
            organization: Some(organization_to(organization, shows_private)),
            revision: token(Some(found.token)),
        })
    }

    async fn look_up(
        &self,
        call: &Call,
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

    async fn update(
        &self,
        call: &Call,
        message: UpdateOrganizationRequest,
    ) -> Result<UpdateOrganizationResponse, Error> {
        let context = call.mutation(&message)?;
        let id = OrganizationId::parse("organization_id", &message.organization_id)?;
        let fields = ["display_name", "slug", "external_id", "metadata"];
        let mask = Mask::parse(message.update_mask.as_ref(), &fields)?;
        let takes_name = mask.takes("display_name", !message.display_name.is_empty());
        let takes_slug = mask.takes("slug", !message.slug.is_empty());
        let takes_external_id = mask.takes("external_id", !message.external_id.is_empty());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let request = UpdateOrganization {
            id,
            display_name: takes_name.then_some(message.display_name),
            slug: takes_slug.then_some(message.slug),
            external_id: takes_external_id.then_some(message.external_id),
            metadata: takes_metadata.then(|| metadata("metadata", message.metadata)).transpose()?,
            etag: message.etag,
        };
        let written = self.0.services.update_organization(&context, request).await?;
        let organization = Some(organization_to(written.value, true));
        Ok(UpdateOrganizationResponse { organization, revision: token(written.token) })
    }

    async fn transfer(&self, call: &Call, message: TransferRoleRequest) -> Result<TransferRoleResponse, Error> {
        let context = call.mutation(&message)?;
        let from = Some(message.from_membership_id.as_str()).filter(|id| !id.is_empty());
        let request = TransferRole {
            organization: OrganizationId::parse("organization_id", &message.organization_id)?,
            role: message.role.into(),
            to: MembershipId::parse("to_membership_id", &message.to_membership_id)?,
            from: from.map(|id| MembershipId::parse("from_membership_id", id)).transpose()?,
            reason: message.reason,
        };
        let transferred = self.0.services.transfer_role(&context, request).await?;
        let Transferred { from, to, changed, kept } = transferred.value;
        Ok(TransferRoleResponse {
            from: from.map(member),
            to: Some(member(to)),
            granted: changed.granted.into_iter().map(grant).collect(),
            revoked: changed.revoked.into_iter().map(grant).collect(),
            kept: kept.into_iter().map(grant).collect(),
            revision: token(transferred.token),
        })
    }

    async fn seats(&self, call: &Call, message: &GetSeatsRequest) -> Result<GetSeatsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let place = optional_key("resource", message.resource.as_ref())?;
        let found = self.0.services.seats(&call.reading(), organization, place.as_ref()).await?;
        Ok(GetSeatsResponse { seats: Some(seats(found.value)), revision: token(Some(found.token)) })
    }

    async fn set_seats(&self, call: &Call, message: &SetSeatLimitRequest) -> Result<SetSeatLimitResponse, Error> {
        let context = call.mutation(message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let place = optional_key("resource", message.resource.as_ref())?;
        let set = self.0.services.set_seat_limit(&context, organization, place, message.limit).await?;
        Ok(SetSeatLimitResponse { seats: Some(seats(set.value)), revision: token(set.token) })
    }
}

fn seats(seats: Seats) -> proto::Seats {
    proto::Seats { limit: seats.limit, used: seats.used }
}
