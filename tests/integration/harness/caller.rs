//! The client of the tests: one credential, every RPC, plain messages.

use std::collections::BTreeMap;

use guildhall::proto;
use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::proto::invitation_service_client::InvitationServiceClient;
use guildhall::proto::membership_service_client::MembershipServiceClient;
use guildhall::proto::organization_service_client::OrganizationServiceClient;
use guildhall::proto::resource_service_client::ResourceServiceClient;
use guildhall::proto::role_service_client::RoleServiceClient;
use guildhall::proto::service_account_service_client::ServiceAccountServiceClient;
use guildhall::proto::session_service_client::SessionServiceClient;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::PATIENCE;

/// Speaks for one credential, or for nobody.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    pub credential: Option<String>,
}

/// Declares a method for each unary RPC: message in, message or status out.
macro_rules! rpcs {
    ($($client:ident { $($rpc:ident($request:ident) -> $response:ident;)+ })+) => {
        impl Caller {$($(
            pub async fn $rpc(&self, message: proto::$request) -> Result<proto::$response, Status> {
                Ok($client::new(self.channel.clone()).$rpc(self.request(message)).await?.into_inner())
            }
        )+)+}
    };
}

rpcs! {
    OrganizationServiceClient {
        create_organization(CreateOrganizationRequest) -> CreateOrganizationResponse;
        get_organization(GetOrganizationRequest) -> GetOrganizationResponse;
    }
    InvitationServiceClient {
        create_invitation(CreateInvitationRequest) -> CreateInvitationResponse;
        look_up_invitation(LookUpInvitationRequest) -> LookUpInvitationResponse;
        accept_invitation(AcceptInvitationRequest) -> AcceptInvitationResponse;
    }
    SessionServiceClient {
        sign_in(SignInRequest) -> SignInResponse;
    }
    ServiceAccountServiceClient {
        create_service_account(CreateServiceAccountRequest) -> CreateServiceAccountResponse;
        create_api_key(CreateApiKeyRequest) -> CreateApiKeyResponse;
    }
    ResourceServiceClient {
        register_resource(RegisterResourceRequest) -> RegisterResourceResponse;
        get_resource(GetResourceRequest) -> GetResourceResponse;
    }
    RoleServiceClient {
        change_grants(ChangeGrantsRequest) -> ChangeGrantsResponse;
    }
    MembershipServiceClient {
        list_members(ListMembersRequest) -> ListMembersResponse;
        disable_member(DisableMemberRequest) -> DisableMemberResponse;
        enable_member(EnableMemberRequest) -> EnableMemberResponse;
    }
    AuthorizationServiceClient {
        check(CheckRequest) -> CheckResponse;
        batch_check(BatchCheckRequest) -> BatchCheckResponse;
        explain_check(ExplainCheckRequest) -> ExplainCheckResponse;
        list_permissions(ListPermissionsRequest) -> ListPermissionsResponse;
        list_resources(ListResourcesRequest) -> ListResourcesResponse;
        list_subjects(ListSubjectsRequest) -> ListSubjectsResponse;
    }
}

impl Caller {
    pub fn new(channel: Channel, credential: Option<String>) -> Self {
        Self { channel, credential }
    }

    /// Puts the credential before a message.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(credential) = &self.credential {
            let value = format!("Bearer {credential}").parse().expect("a credential of plain characters");
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    /// Gives the connection, for what this client does not do.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Lists every member of an organization.
    pub async fn members(&self, organization: &str) -> Vec<proto::Member> {
        self.list_members(super::messages::list_members(organization)).await.expect("a page of members").members
    }

    /// Finds the member of an organization with this address.
    pub async fn member(&self, organization: &str, email: &str) -> proto::Member {
        let mut members = self.members(organization).await.into_iter();
        members.find(|member| member.email == email).unwrap_or_else(|| panic!("no member {email}"))
    }

    /// Says whether a user may, freshly.
    pub async fn allows(
        &self,
        organization: &str,
        user: &str,
        permission: &str,
        resource: Option<proto::ResourceRef>,
    ) -> bool {
        let request = super::messages::check(organization, super::messages::item(user, permission, resource));
        let answer = self.check(request).await.expect("an answer");
        answer.decision.expect("it is in the answer").allowed
    }

    /// Opens a stream of checks.
    pub async fn stream(&self) -> Result<Checks, Status> {
        let (frames, outgoing) = mpsc::channel(64);
        let request = self.request(ReceiverStream::new(outgoing));
        let answers = AuthorizationServiceClient::new(self.channel.clone()).stream_checks(request).await?.into_inner();
        Ok(Checks { frames, answers })
    }
}

/// An open stream of checks.
pub struct Checks {
    frames: mpsc::Sender<proto::StreamChecksRequest>,
    answers: Streaming<proto::StreamChecksResponse>,
}

impl Checks {
    /// Sends a frame.
    pub async fn send(&self, frame: Asked) {
        let frame = proto::StreamChecksRequest { frame: Some(frame) };
        self.frames.send(frame).await.expect("a stream that is open");
    }

    /// Waits for the next frame; `None` once the stream has ended well.
    pub async fn receive(&mut self) -> Result<Option<Told>, Status> {
        let frame = tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("a frame in time")?;
        Ok(frame.and_then(|frame| frame.frame))
    }

    /// Says that nothing more will be asked.
    pub fn half_close(&mut self) {
        // The channel's sender is what keeps the request open.
        self.frames = mpsc::channel(1).0;
    }

    /// Asks one frame of checks and gives what is allowed, in order.
    pub async fn check(&mut self, organization: &str, items: Vec<proto::CheckItem>) -> Vec<bool> {
        let organization_id = organization.to_owned();
        let frame = proto::CheckFrame { frame_id: 1, organization_id, items, consistency: None };
        self.send(Asked::Check(frame)).await;
        match self.receive().await {
            Ok(Some(Told::Decisions(frame))) if frame.error.is_empty() => {
                frame.decisions.iter().map(|decision| decision.allowed).collect()
            }
            other => panic!("expected decisions, got {other:?}"),
        }
    }

    /// Subscribes to items, numbered from 1.
    pub async fn subscribe(&self, organization: &str, items: Vec<proto::CheckItem>) {
        let subscriptions = (1..)
            .zip(items)
            .map(|(subscription_id, item)| proto::Subscription {
                subscription_id,
                item: Some(item),
                known_allowed: None,
            })
            .collect();
        let organization_id = organization.to_owned();
        self.send(Asked::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least: String::new() }))
            .await;
    }

    /// Waits for one frame of changes.
    pub async fn change_frame(&mut self) -> proto::ChangeFrame {
        match self.receive().await {
            Ok(Some(Told::Changes(frame))) => frame,
            other => panic!("expected changes, got {other:?}"),
        }
    }

    /// Waits for one frame of changes, and gives what is allowed by subscription.
    pub async fn changes(&mut self) -> BTreeMap<u64, bool> {
        let frame = self.change_frame().await;
        let allowed =
            |change: proto::Change| (change.subscription_id, change.decision.expect("it is in the change").allowed);
        frame.changes.into_iter().map(allowed).collect()
    }

    /// Sends a ping and waits for its progress, which must be the next frame: so nothing else was to be said.
    pub async fn progress(&mut self, number: u64) -> proto::Progress {
        self.send(Asked::Ping(proto::Ping { number })).await;
        match self.receive().await {
            Ok(Some(Told::Progress(progress))) => {
                assert_eq!(progress.ping_number, number);
                progress
            }
            other => panic!("expected progress, got {other:?}"),
        }
    }
}
