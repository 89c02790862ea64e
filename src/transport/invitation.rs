//! `InvitationService`.

use super::convert::{assignment, duration, grant, invitation, invitation_kind, member, timestamp, token};
use super::handle::{Decode, handlers};
use super::incoming::{Incoming, ServerState};
use crate::domain::catalog::InvitationKind;
use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::grant::assignment::Assignment;
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
pub(super) struct Invitations(pub ServerState);

handlers! {
    InvitationService for Invitations {
        create_invitation(CreateInvitationRequest) -> CreateInvitationResponse: by create;
        look_up_invitation(LookUpInvitationRequest) -> LookUpInvitationResponse: by look_up;
        accept_invitation(AcceptInvitationRequest) -> AcceptInvitationResponse: by accept;
    }
}

impl Invitations {
    async fn create(
        &self,
        call: &Incoming,
        message: CreateInvitationRequest,
    ) -> Result<CreateInvitationResponse, Error> {
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let request = CreateInvitation::decode(message, &self.0)?;
        let created = self.0.services.create_invitation(&context, organization, request).await?;
        let (invited, revision) = (created.value, token(created.token));
        let is_link = invited.invitation.offered.kind() == InvitationKind::Link;
        Ok(CreateInvitationResponse {
            invitation: Some(invitation(invited.invitation)),
            member: invited.member.map(member),
            grants: invited.grants.into_iter().map(grant).collect(),
            revision,
            secret_withheld: is_link && invited.link.is_none(),
            link: invited.link.map(|link| link.text().to_owned()).unwrap_or_default(),
        })
    }

    async fn look_up(
        &self,
        _call: &Incoming,
        message: LookUpInvitationRequest,
    ) -> Result<LookUpInvitationResponse, Error> {
        let offer = self.0.services.look_up_invitation(&message.token.into()).await?;
        Ok(LookUpInvitationResponse {
            organization_display_name: offer.organization,
            email: offer.email.unwrap_or_default(),
            expire_time: Some(timestamp(offer.expires_at)),
            sign_in_required: offer.sign_in_required,
            kind: invitation_kind(offer.kind).into(),
        })
    }

    async fn accept(
        &self,
        call: &Incoming,
        message: AcceptInvitationRequest,
    ) -> Result<AcceptInvitationResponse, Error> {
        let AcceptInvitationRequest { token: presented, password, display_name, .. } = message;
        let request = AcceptInvitation { token: presented.into(), password: password.into(), display_name };
        let accepted = self.0.services.accept_invitation(&call.reading(), request).await?;
        Ok(AcceptInvitationResponse {
            organization_id: accepted.value.organization.to_string(),
            member: Some(member(accepted.value.member)),
            revision: token(accepted.token),
        })
    }
}

impl Decode<CreateInvitationRequest> for CreateInvitation {
    fn decode(message: CreateInvitationRequest, _server: &ServerState) -> Result<Self, Error> {
        let (kind, assignments, lifetime) = all((
            kind(message.kind),
            assignments(&message.assignments),
            message.lifetime.map(|lifetime| duration("lifetime", &lifetime)).transpose(),
        ))?;
        Ok(Self { kind, email: message.email, display_name: message.display_name, assignments, lifetime })
    }
}

fn assignments(assignments: &[proto::Assignment]) -> Result<Vec<Assignment>, Error> {
    if assignments.len() > ASSIGNMENTS_MAX {
        let message = format!("must be at most {ASSIGNMENTS_MAX}");
        return Err(Error::invalid("assignments", Reason::OutOfRange, message));
    }
    let each = assignments.iter().enumerate().map(|(index, it)| assignment(&format!("assignments[{index}]"), it));
    all(each.collect::<Vec<_>>())
}

fn kind(kind: i32) -> Result<Option<InvitationKind>, Error> {
    match proto::InvitationKind::try_from(kind) {
        Ok(proto::InvitationKind::Unspecified) => Ok(None),
        Ok(proto::InvitationKind::Email) => Ok(Some(InvitationKind::Email)),
        Ok(proto::InvitationKind::Link) => Ok(Some(InvitationKind::Link)),
        Err(_) => Err(Error::invalid("kind", Reason::OutOfRange, "is no kind of invitation")),
    }
}
