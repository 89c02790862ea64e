//! The client that the demo walks with: a thin hand on the generated stubs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Streaming};

use super::Failure;
use crate::clock::{Env, Monotonic};
use crate::proto::authorization_service_client::AuthorizationServiceClient;
use crate::proto::invitation_service_client::InvitationServiceClient;
use crate::proto::membership_service_client::MembershipServiceClient;
use crate::proto::organization_service_client::OrganizationServiceClient;
use crate::proto::resource_service_client::ResourceServiceClient;
use crate::proto::role_service_client::RoleServiceClient;
use crate::proto::service_account_service_client::ServiceAccountServiceClient;
use crate::proto::session_service_client::SessionServiceClient;
use crate::proto::{
    self, assignment, grant_delta, principal, sign_in_response, stream_checks_request, stream_checks_response, subject,
};

/// How long a mail or a push is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls without a credential.
pub(super) struct Client {
    channel: Channel,
    mail_dir: PathBuf,
    env: Env,
}

/// Calls with a credential.
#[derive(Clone)]
pub(super) struct Caller {
    channel: Channel,
    credential: String,
    env: Env,
}

/// A person who has signed in.
pub(super) struct User {
    pub id: String,
    pub membership_id: String,
    pub call: Caller,
}

/// What is asked: of whom, which permission, on what.
pub(super) type Asked = (String, &'static str, proto::ResourceRef);

impl Client {
    /// Connects to a server.
    pub async fn connect(address: SocketAddr, mail_dir: PathBuf, env: Env) -> Result<Self, Failure> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        Ok(Self { channel, mail_dir, env })
    }

    /// Calls with a credential.
    pub fn with(&self, credential: &str) -> Caller {
        Caller { channel: self.channel.clone(), credential: credential.to_owned(), env: self.env.clone() }
    }

    /// Waits for the mail to `email` and takes the token out of its link.
    pub async fn token_mailed_to(&self, email: &str) -> Result<String, Failure> {
        let began_at = self.env.clock.monotonic();
        while self.env.clock.monotonic().since(began_at) < PATIENCE {
            for entry in std::fs::read_dir(&self.mail_dir)? {
                let path = entry?.path();
                if path.extension().is_none_or(|extension| extension != "eml") {
                    continue;
                }
                let mail = std::fs::read_to_string(path)?;
                if let Some((_, token)) = mail.split_once("#token=").filter(|_| mail.contains(&format!("To: {email}")))
                {
                    return Ok(token.split_whitespace().next().unwrap_or_default().to_owned());
                }
            }
            self.env.clock.sleep(Duration::from_millis(2)).await;
        }
        Err("the mail did not come".into())
    }

    /// Looks an invitation up.
    pub async fn look_up(&self, token: &str) -> Result<(), Failure> {
        let request = proto::LookUpInvitationRequest { token: token.into() };
        InvitationServiceClient::new(self.channel.clone()).look_up_invitation(request).await?;
        Ok(())
    }

    /// Accepts an invitation and gives the membership's id.
    pub async fn accept(&self, token: &str, password: &str) -> Result<String, Failure> {
        let request = proto::AcceptInvitationRequest {
            token: token.into(),
            password: password.into(),
            display_name: String::new(),
        };
        let accepted = InvitationServiceClient::new(self.channel.clone()).accept_invitation(request).await?;
        Ok(accepted.into_inner().member.unwrap_or_default().id)
    }

    /// Signs in.
    pub async fn sign_in(&self, email: &str, password: &str, membership_id: String) -> Result<User, Failure> {
        let request = proto::SignInRequest { email: email.into(), password: password.into(), ..Default::default() };
        let answer = SessionServiceClient::new(self.channel.clone()).sign_in(request).await?.into_inner();
        let Some(sign_in_response::Outcome::SignedIn(signed_in)) = answer.outcome else {
            return Err("the sign-in asks for more than a password".into());
        };
        Ok(User { id: signed_in.user_id, membership_id, call: self.with(&signed_in.access_token) })
    }
}

impl Caller {
    fn request<T>(&self, message: T) -> Result<Request<T>, Failure> {
        let mut request = Request::new(message);
        let value: MetadataValue<_> = format!("Bearer {}", self.credential).parse()?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }

    /// Makes an organization and gives its id.
    pub async fn create_organization(&self, name: &str, preset: &str, founder: &str) -> Result<String, Failure> {
        let request = self.request(proto::CreateOrganizationRequest {
            display_name: name.into(),
            catalog: preset.into(),
            founder_email: founder.into(),
            ..Default::default()
        })?;
        let created = OrganizationServiceClient::new(self.channel.clone()).create_organization(request).await?;
        Ok(created.into_inner().organization.unwrap_or_default().id)
    }

    /// Registers a resource.
    pub async fn register(&self, organization: &str, resource: &proto::ResourceRef) -> Result<(), Failure> {
        let request = self.request(proto::RegisterResourceRequest {
            organization_id: organization.into(),
            resource: Some(resource.clone()),
            ..Default::default()
        })?;
        ResourceServiceClient::new(self.channel.clone()).register_resource(request).await?;
        Ok(())
    }

    /// Returns whether a resource exists in the caller's eyes.
    pub async fn sees(&self, organization: &str, resource: &proto::ResourceRef) -> Result<bool, Failure> {
        let request = self.request(proto::GetResourceRequest {
            organization_id: organization.into(),
            resource: Some(resource.clone()),
        })?;
        match ResourceServiceClient::new(self.channel.clone()).get_resource(request).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    /// Invites an address.
    pub async fn invite(
        &self,
        organization: &str,
        email: &str,
        assignments: Vec<proto::Assignment>,
    ) -> Result<(), Failure> {
        let request = self.request(proto::CreateInvitationRequest {
            organization_id: organization.into(),
            email: email.into(),
            assignments,
            ..Default::default()
        })?;
        InvitationServiceClient::new(self.channel.clone()).create_invitation(request).await?;
        Ok(())
    }

    /// Makes a service account that may check, and gives its API key.
    pub async fn create_backend(&self, organization: &str) -> Result<String, Failure> {
        let mut accounts = ServiceAccountServiceClient::new(self.channel.clone());
        let request = self.request(proto::CreateServiceAccountRequest {
            organization_id: organization.into(),
            display_name: "backend".into(),
            ..Default::default()
        })?;
        let account = accounts.create_service_account(request).await?.into_inner().service_account.unwrap_or_default();
        let holder = principal::Kind::ServiceAccountId(account.id.clone());
        self.change(organization, vec![delta(holder, grant_delta::Act::Grant(role("backend")))]).await?;
        let request = self.request(proto::CreateApiKeyRequest {
            organization_id: organization.into(),
            service_account_id: account.id,
            ..Default::default()
        })?;
        Ok(accounts.create_api_key(request).await?.into_inner().secret)
    }

    /// Takes a member off the list of one project and puts them on that of another, in one call.
    pub async fn swap(&self, organization: &str, member: &User, from: &str, to: &str) -> Result<(), Failure> {
        let holder = || principal::Kind::MembershipId(member.membership_id.clone());
        let deltas = vec![
            delta(holder(), grant_delta::Act::Revoke(list_entry(&project(from)))),
            delta(holder(), grant_delta::Act::Grant(list_entry(&project(to)))),
        ];
        self.change(organization, deltas).await
    }

    async fn change(&self, organization: &str, deltas: Vec<proto::GrantDelta>) -> Result<(), Failure> {
        let request = self.request(proto::ChangeGrantsRequest {
            organization_id: organization.into(),
            deltas,
            ..Default::default()
        })?;
        RoleServiceClient::new(self.channel.clone()).change_grants(request).await?;
        Ok(())
    }

    /// Shuts a member out.
    pub async fn disable(&self, organization: &str, member: &User) -> Result<(), Failure> {
        let request = self.request(proto::DisableMemberRequest {
            organization_id: organization.into(),
            membership_id: member.membership_id.clone(),
            ..Default::default()
        })?;
        MembershipServiceClient::new(self.channel.clone()).disable_member(request).await?;
        Ok(())
    }

    /// Lets a member in again.
    pub async fn enable(&self, organization: &str, member: &User) -> Result<(), Failure> {
        let request = self.request(proto::EnableMemberRequest {
            organization_id: organization.into(),
            membership_id: member.membership_id.clone(),
            ..Default::default()
        })?;
        MembershipServiceClient::new(self.channel.clone()).enable_member(request).await?;
        Ok(())
    }

    /// Opens a stream of checks.
    pub async fn open_checks(&self, organization: &str) -> Result<Session, Failure> {
        let (frames, outgoing) = mpsc::channel(16);
        let request = self.request(ReceiverStream::new(outgoing))?;
        let answers = AuthorizationServiceClient::new(self.channel.clone()).stream_checks(request).await?.into_inner();
        Ok(Session { organization: organization.into(), frames, answers, env: self.env.clone() })
    }
}

/// An open stream of checks on one organization.
pub(super) struct Session {
    organization: String,
    frames: mpsc::Sender<proto::StreamChecksRequest>,
    answers: Streaming<proto::StreamChecksResponse>,
    env: Env,
}

/// Decisions that were pushed in one frame.
pub(super) struct Pushed {
    /// The subscription and whether it is allowed, by number.
    pub answers: Vec<(u64, bool)>,
    pub arrived_at: Monotonic,
}

impl Session {
    /// Asks one frame of checks.
    pub async fn check(&mut self, asked: &[Asked]) -> Result<Vec<bool>, Failure> {
        let frame = stream_checks_request::Frame::Check(proto::CheckFrame {
            frame_id: 1,
            organization_id: self.organization.clone(),
            items: asked.iter().map(item).collect(),
            consistency: None,
        });
        self.send(frame).await?;
        match self.receive().await? {
            stream_checks_response::Frame::Decisions(frame) if frame.error.is_empty() => {
                Ok(frame.decisions.iter().map(|decision| decision.allowed).collect())
            }
            other => Err(format!("expected decisions, got {other:?}").into()),
        }
    }

    /// Subscribes, and gives the first answers.
    pub async fn subscribe(&mut self, asked: &[(u64, Asked)]) -> Result<Vec<(u64, bool)>, Failure> {
        let frame = stream_checks_request::Frame::Subscribe(proto::SubscribeFrame {
            organization_id: self.organization.clone(),
            subscriptions: asked
                .iter()
                .map(|(id, asked)| proto::Subscription {
                    subscription_id: *id,
                    item: Some(item(asked)),
                    known_allowed: None,
                })
                .collect(),
            at_least: String::new(),
        });
        self.send(frame).await?;
        Ok(self.changes().await?.answers)
    }

    /// Waits for the next frame of changes.
    pub async fn changes(&mut self) -> Result<Pushed, Failure> {
        match self.receive().await? {
            stream_checks_response::Frame::Changes(frame) => {
                let arrived_at = self.env.clock.monotonic();
                let mut answers: Vec<(u64, bool)> = frame
                    .changes
                    .into_iter()
                    .map(|change| (change.subscription_id, change.decision.is_some_and(|decision| decision.allowed)))
                    .collect();
                answers.sort_unstable();
                Ok(Pushed { answers, arrived_at })
            }
            other => Err(format!("expected changes, got {other:?}").into()),
        }
    }

    async fn send(&self, frame: stream_checks_request::Frame) -> Result<(), Failure> {
        Ok(self.frames.send(proto::StreamChecksRequest { frame: Some(frame) }).await?)
    }

    async fn receive(&mut self) -> Result<stream_checks_response::Frame, Failure> {
        let frame = tokio::time::timeout(PATIENCE, self.answers.message()).await??;
        frame.and_then(|frame| frame.frame).ok_or_else(|| "the stream ended".into())
    }
}

/// Names a project.
pub(super) fn project(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "project".into(), id: id.into() }
}

/// A role at the organization.
pub(super) fn role(name: &str) -> proto::Assignment {
    proto::Assignment { held: Some(assignment::Held::Role(name.into())), ..Default::default() }
}

/// A place on a resource's list.
pub(super) fn list_entry(resource: &proto::ResourceRef) -> proto::Assignment {
    proto::Assignment {
        resource: Some(resource.clone()),
        held: Some(assignment::Held::AsMember(proto::AsMember {})),
        expire_time: None,
    }
}

fn delta(holder: principal::Kind, act: grant_delta::Act) -> proto::GrantDelta {
    proto::GrantDelta { principal: Some(proto::Principal { kind: Some(holder) }), act: Some(act) }
}

fn item((user, permission, resource): &Asked) -> proto::CheckItem {
    proto::CheckItem {
        subject: Some(proto::Subject { kind: Some(subject::Kind::UserId(user.clone())) }),
        permission: (*permission).into(),
        resource: Some(resource.clone()),
    }
}
