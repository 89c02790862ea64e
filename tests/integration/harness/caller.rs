//! The client of the tests: one credential, every RPC, plain messages.

use std::collections::BTreeMap;

use guildhall::proto;
use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::proto::catalog_service_client::CatalogServiceClient;
use guildhall::proto::group_service_client::GroupServiceClient;
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
use super::vocabulary::{inward, outward, refusal};

/// Speaks for one credential, or for nobody.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    pub credential: Option<String>,
    /// Where the user sits on whose behalf is called.
    source: Option<String>,
}

/// Declares a method for each unary RPC: message in, message or status out.
macro_rules! rpcs {
    ($($client:ident { $($rpc:ident($request:ident) -> $response:ident;)+ })+) => {
        impl Caller {$($(
            pub async fn $rpc(&self, message: proto::$request) -> Result<proto::$response, Status> {
                let request = self.request(outward(stringify!($request), message));
                let answer = $client::new(self.channel.clone()).$rpc(request).await.map_err(refusal)?;
                Ok(inward(stringify!($response), answer.into_inner()))
            }
        )+)+}
    };
}

rpcs! {
    CatalogServiceClient {
        put_catalog(PutCatalogRequest) -> PutCatalogResponse;
        get_catalog(GetCatalogRequest) -> GetCatalogResponse;
        list_catalogs(ListCatalogsRequest) -> ListCatalogsResponse;
        diff_catalogs(DiffCatalogsRequest) -> DiffCatalogsResponse;
        set_organization_catalog(SetOrganizationCatalogRequest) -> SetOrganizationCatalogResponse;
    }
    OrganizationServiceClient {
        create_organization(CreateOrganizationRequest) -> CreateOrganizationResponse;
        get_organization(GetOrganizationRequest) -> GetOrganizationResponse;
        look_up_organization(LookUpOrganizationRequest) -> LookUpOrganizationResponse;
        update_organization(UpdateOrganizationRequest) -> UpdateOrganizationResponse;
        transfer_role(TransferRoleRequest) -> TransferRoleResponse;
        get_seats(GetSeatsRequest) -> GetSeatsResponse;
        set_seat_limit(SetSeatLimitRequest) -> SetSeatLimitResponse;
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
        get_service_account(GetServiceAccountRequest) -> GetServiceAccountResponse;
        list_service_accounts(ListServiceAccountsRequest) -> ListServiceAccountsResponse;
        disable_service_account(DisableServiceAccountRequest) -> DisableServiceAccountResponse;
        enable_service_account(EnableServiceAccountRequest) -> EnableServiceAccountResponse;
        delete_service_account(DeleteServiceAccountRequest) -> DeleteServiceAccountResponse;
        create_api_key(CreateApiKeyRequest) -> CreateApiKeyResponse;
        list_api_keys(ListApiKeysRequest) -> ListApiKeysResponse;
        revoke_api_key(RevokeApiKeyRequest) -> RevokeApiKeyResponse;
        rotate_api_key(RotateApiKeyRequest) -> RotateApiKeyResponse;
    }
    ResourceServiceClient {
        register_resource(RegisterResourceRequest) -> RegisterResourceResponse;
        get_resource(GetResourceRequest) -> GetResourceResponse;
        browse_resources(BrowseResourcesRequest) -> BrowseResourcesResponse;
        update_resource(UpdateResourceRequest) -> UpdateResourceResponse;
        move_resource(MoveResourceRequest) -> MoveResourceResponse;
        set_resource_owner(SetResourceOwnerRequest) -> SetResourceOwnerResponse;
        delete_resource(DeleteResourceRequest) -> DeleteResourceResponse;
        share_resource(ShareResourceRequest) -> ShareResourceResponse;
        unshare_resource(UnshareResourceRequest) -> UnshareResourceResponse;
        add_contact(AddContactRequest) -> AddContactResponse;
        remove_contact(RemoveContactRequest) -> RemoveContactResponse;
        list_contacts(ListContactsRequest) -> ListContactsResponse;
        look_up_unsubscription(LookUpUnsubscriptionRequest) -> LookUpUnsubscriptionResponse;
        unsubscribe(UnsubscribeRequest) -> UnsubscribeResponse;
        list_recipients(ListRecipientsRequest) -> ListRecipientsResponse;
        notify_resource(NotifyResourceRequest) -> NotifyResourceResponse;
    }
    RoleServiceClient {
        list_roles(ListRolesRequest) -> ListRolesResponse;
        get_role(GetRoleRequest) -> GetRoleResponse;
        create_role(CreateRoleRequest) -> CreateRoleResponse;
        update_role(UpdateRoleRequest) -> UpdateRoleResponse;
        delete_role(DeleteRoleRequest) -> DeleteRoleResponse;
        change_grants(ChangeGrantsRequest) -> ChangeGrantsResponse;
        list_grants(ListGrantsRequest) -> ListGrantsResponse;
        summarize_grants(SummarizeGrantsRequest) -> SummarizeGrantsResponse;
        change_installation_grants(ChangeInstallationGrantsRequest) -> ChangeInstallationGrantsResponse;
    }
    GroupServiceClient {
        create_group(CreateGroupRequest) -> CreateGroupResponse;
        get_group(GetGroupRequest) -> GetGroupResponse;
        look_up_group(LookUpGroupRequest) -> LookUpGroupResponse;
        list_groups(ListGroupsRequest) -> ListGroupsResponse;
        update_group(UpdateGroupRequest) -> UpdateGroupResponse;
        delete_group(DeleteGroupRequest) -> DeleteGroupResponse;
        change_group_members(ChangeGroupMembersRequest) -> ChangeGroupMembersResponse;
        list_group_members(ListGroupMembersRequest) -> ListGroupMembersResponse;
    }
    MembershipServiceClient {
        list_members(ListMembersRequest) -> ListMembersResponse;
        get_member(GetMemberRequest) -> GetMemberResponse;
        look_up_member(LookUpMemberRequest) -> LookUpMemberResponse;
        list_my_memberships(ListMyMembershipsRequest) -> ListMyMembershipsResponse;
        create_member(CreateMemberRequest) -> CreateMemberResponse;
        batch_create_members(BatchCreateMembersRequest) -> BatchCreateMembersResponse;
        update_member(UpdateMemberRequest) -> UpdateMemberResponse;
        batch_disable_members(BatchDisableMembersRequest) -> BatchDisableMembersResponse;
        batch_enable_members(BatchEnableMembersRequest) -> BatchEnableMembersResponse;
        disable_member(DisableMemberRequest) -> DisableMemberResponse;
        enable_member(EnableMemberRequest) -> EnableMemberResponse;
        preview_removal(PreviewRemovalRequest) -> PreviewRemovalResponse;
        remove_member(RemoveMemberRequest) -> RemoveMemberResponse;
        leave_organization(LeaveOrganizationRequest) -> LeaveOrganizationResponse;
        list_removals(ListRemovalsRequest) -> ListRemovalsResponse;
        acknowledge_removal(AcknowledgeRemovalRequest) -> AcknowledgeRemovalResponse;
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
        Self { channel, credential, source: None }
    }

    /// Returns where the user sits on whose behalf is called.
    pub fn from(&self, source: &str) -> Self {
        Self { source: Some(source.to_owned()), ..self.clone() }
    }

    /// Puts the credential before a message.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(credential) = &self.credential {
            let value = format!("Bearer {credential}").parse().expect("a credential of plain characters");
            request.metadata_mut().insert("authorization", value);
        }
        if let Some(source) = &self.source {
            request.metadata_mut().insert("x-forwarded-for", source.parse().expect("an address"));
        }
        request
    }

    /// Returns the connection, for what this client does not do.
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

    /// Returns whether a user may, freshly.
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

    /// Registers resources, a commit a message.
    pub async fn register_resources(
        &self,
        messages: Vec<proto::RegisterResourcesRequest>,
    ) -> Result<proto::RegisterResourcesResponse, Status> {
        let messages = messages.into_iter().map(|message| outward("RegisterResourcesRequest", message));
        let request = self.request(tokio_stream::iter(messages.collect::<Vec<_>>()));
        let mut client = ResourceServiceClient::new(self.channel.clone());
        let answer = client.register_resources(request).await.map_err(refusal)?;
        Ok(inward("RegisterResourcesResponse", answer.into_inner()))
    }

    /// Acts on many members, and takes at most `chunks` answers.
    pub async fn bulk(
        &self,
        request: proto::BulkMembersRequest,
        chunks: usize,
    ) -> Result<Vec<proto::BulkMembersResponse>, Status> {
        let request = self.request(outward("BulkMembersRequest", request));
        let mut client = MembershipServiceClient::new(self.channel.clone());
        let mut answers = client.bulk_members(request).await.map_err(refusal)?.into_inner();
        let mut taken = Vec::new();
        while taken.len() < chunks
            && let Some(answer) = answers.message().await.map_err(refusal)?
        {
            taken.push(inward("BulkMembersResponse", answer));
        }
        Ok(taken)
    }

    /// Opens a stream of the removals that a listener has yet to acknowledge.
    pub async fn watch_removals(&self, organization: &str, listener: &str) -> Result<Removals, Status> {
        let request = proto::WatchRemovalsRequest { organization_id: organization.into(), listener: listener.into() };
        let request = self.request(outward("WatchRemovalsRequest", request));
        let answers = MembershipServiceClient::new(self.channel.clone()).watch_removals(request).await;
        Ok(Removals(answers.map_err(refusal)?.into_inner()))
    }

    /// Opens a stream of checks.
    pub async fn stream(&self) -> Result<Checks, Status> {
        let (frames, outgoing) = mpsc::channel(64);
        let request = self.request(ReceiverStream::new(outgoing));
        let answers = AuthorizationServiceClient::new(self.channel.clone()).stream_checks(request).await;
        Ok(Checks { frames, answers: answers.map_err(refusal)?.into_inner() })
    }
}

/// An open stream of removals.
pub struct Removals(Streaming<proto::WatchRemovalsResponse>);

impl Removals {
    /// Waits for the next one; `None` once the stream has ended well.
    pub async fn next(&mut self) -> Result<Option<proto::Removal>, Status> {
        let told = tokio::time::timeout(PATIENCE, self.0.message()).await.expect("a removal in time");
        let told = told.map_err(refusal)?.map(|told| inward("WatchRemovalsResponse", told));
        Ok(told.and_then(|told| told.removal))
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
        let frame = outward("StreamChecksRequest", proto::StreamChecksRequest { frame: Some(frame) });
        self.frames.send(frame).await.expect("a stream that is open");
    }

    /// Waits for the next frame; `None` once the stream has ended well.
    pub async fn receive(&mut self) -> Result<Option<Told>, Status> {
        let frame = tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("a frame in time");
        let frame = frame.map_err(refusal)?.map(|frame| inward("StreamChecksResponse", frame));
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
