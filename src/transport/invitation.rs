//! `InvitationService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{assignment, duration, grant, invitation, invitation_kind, member, timestamp, token};
use crate::domain::catalog::InvitationKind;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::OrganizationId;
use crate::proto::invitation_service_server::InvitationService;
use crate::proto::{
    self, AcceptInvitationRequest, AcceptInvitationResponse, CreateInvitationRequest, CreateInvitationResponse,
    LookUpInvitationRequest, LookUpInvitationResponse,
};
use crate::service::{AcceptInvitation, CreateInvitation};

/// Most assignments that an invitation brings.
const ASSIGNMENTS_MAX: usize = 100;

/// Serves invitations.
pub(super) struct Invitations(pub Edge);

#[tonic::async_trait]
impl InvitationService for Invitations {
    async fn create_invitation(
        &self,
        request: Request<CreateInvitationRequest>,
    ) -> Result<Response<CreateInvitationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.create(&call, message).await)
    }

    async fn look_up_invitation(
        &self,
        request: Request<LookUpInvitationRequest>,
    ) -> Result<Response<LookUpInvitationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.look_up(&message).await)
    }

    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Result<Response<AcceptInvitationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.accept(&call, message).await)
    }
}

impl Invitations {
    async fn create(&self, call: &Call, message: CreateInvitationRequest) -> Result<CreateInvitationResponse, Error> {
        let context = call.mutation(&message)?;
        let (invited, link) = self.0.services.create_invitation(&context, decode(message)?).await?;
        let is_link = invited.value.invitation.offered.kind() == InvitationKind::Link;
        Ok(CreateInvitationResponse {
            invitation: Some(invitation(invited.value.invitation)),
            member: invited.value.member.map(member),
            grants: invited.value.grants.into_iter().map(grant).collect(),
            revision: token(invited.token),
            secret_withheld: is_link && link.is_none(),
            link: link.unwrap_or_default(),
        })
    }

    async fn look_up(&self, message: &LookUpInvitationRequest) -> Result<LookUpInvitationResponse, Error> {
        let offer = self.0.services.look_up_invitation(&message.token).await?;
        Ok(LookUpInvitationResponse {
            organization_display_name: offer.organization,
            email: offer.email.unwrap_or_default(),
            expire_time: Some(timestamp(offer.expires_at)),
            sign_in_required: offer.sign_in_required,
            kind: invitation_kind(offer.kind).into(),
        })
    }

    async fn accept(&self, call: &Call, message: AcceptInvitationRequest) -> Result<AcceptInvitationResponse, Error> {
        let request =
            AcceptInvitation { token: message.token, password: message.password, display_name: message.display_name };
        let accepted = self.0.services.accept_invitation(&call.reading(), request).await?;
        Ok(AcceptInvitationResponse {
            organization_id: accepted.value.organization.to_string(),
            member: Some(member(accepted.value.member)),
            revision: token(accepted.token),
        })
    }
}

fn decode(message: CreateInvitationRequest) -> Result<CreateInvitation, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    if message.assignments.len() > ASSIGNMENTS_MAX {
        let error = format!("must be at most {ASSIGNMENTS_MAX}");
        violations.add("assignments", Reason::OutOfRange, error);
    }
    let mut assignments = Vec::new();
    for (index, it) in message.assignments.iter().take(ASSIGNMENTS_MAX).enumerate() {
        assignments.extend(violations.take(assignment(&format!("assignments[{index}]"), it))?);
    }
    let lifetime = match &message.lifetime {
        Some(lifetime) => violations.take(duration("lifetime", lifetime))?,
        None => None,
    };
    let kind = violations.take(kind(message.kind))?.flatten();
    violations.finish()?;
    Ok(CreateInvitation {
        organization,
        kind,
        email: message.email,
        display_name: message.display_name,
        assignments,
        lifetime,
    })
}

fn kind(kind: i32) -> Result<Option<InvitationKind>, Error> {
    match proto::InvitationKind::try_from(kind) {
        Ok(proto::InvitationKind::Unspecified) => Ok(None),
        Ok(proto::InvitationKind::Email) => Ok(Some(InvitationKind::Email)),
        Ok(proto::InvitationKind::Link) => Ok(Some(InvitationKind::Link)),
        Err(_) => Err(Error::invalid("kind", Reason::OutOfRange, "is no kind of invitation")),
    }
}
