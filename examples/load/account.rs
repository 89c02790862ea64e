//! An organization made through the API, with service accounts that are told apart by one role: what a server without
//! synthetic organizations can be asked about, and what can be changed while it is asked.

use guildhall::proto::organization_service_client::OrganizationServiceClient;
use guildhall::proto::role_service_client::RoleServiceClient;
use guildhall::proto::service_account_service_client::ServiceAccountServiceClient;
use guildhall::proto::subject::Kind;
use guildhall::proto::{
    Assignment, ChangeGrantsRequest, CheckItem, CreateOrganizationRequest, CreateServiceAccountRequest, GrantDelta,
    Principal, Subject, assignment, grant_delta, principal,
};
use tonic::transport::Channel;

use crate::Failure;
use crate::frame::{Frame, Pool, Rpc};
use crate::shape::{PRESET, scramble};
use crate::target::Target;

/// The role that is given and taken: it may check.
const ROLE: &str = "backend";
/// What the role gives, as it is asked about.
const PERMISSION: &str = "access.check";
/// How many accounts a pool of frames asks about.
const ACCOUNTS: usize = 20;

/// An organization, and its service accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// The organization's id.
    pub organization: String,
    ids: Vec<String>,
    target: Target,
    channel: Channel,
}

impl Accounts {
    /// Makes an organization with so many accounts, which hold nothing.
    ///
    /// # Errors
    /// What the server says; the target's key must be an operator's.
    pub async fn create(target: &Target, count: usize) -> Result<Self, Failure> {
        let channel = target.channel(0);
        let request = target.request(CreateOrganizationRequest {
            display_name: "Load".into(),
            catalog: PRESET.into(),
            founder_email: "founder@example.test".into(),
            ..Default::default()
        });
        let created = OrganizationServiceClient::new(channel.clone()).create_organization(request).await?;
        let organization = created.into_inner().organization.unwrap_or_default().id;
        let mut accounts = Self { organization, ids: Vec::new(), target: target.clone(), channel };
        for number in 0..count {
            let request = target.request(CreateServiceAccountRequest {
                organization_id: accounts.organization.clone(),
                display_name: format!("account {number}"),
                ..Default::default()
            });
            let mut client = ServiceAccountServiceClient::new(accounts.channel.clone());
            let made = client.create_service_account(request).await?.into_inner();
            accounts.ids.push(made.service_account.unwrap_or_default().id);
        }
        Ok(accounts)
    }

    /// Takes the same through another target: a server on the same database.
    pub fn at(self, target: &Target) -> Self {
        Self { target: target.clone(), channel: target.channel(0), ..self }
    }

    /// Returns the id of an account.
    pub fn id(&self, account: usize) -> &str {
        &self.ids[account]
    }

    /// Returns how many accounts there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns an account its role, or takes it.
    ///
    /// # Errors
    /// What the server says.
    pub async fn change(&self, account: usize, is_given: bool) -> Result<(), Failure> {
        let role = Assignment { held: Some(assignment::Held::Role(ROLE.into())), ..Default::default() };
        let holder = principal::Kind::ServiceAccountId(self.ids[account].clone());
        let act = if is_given { grant_delta::Act::Grant(role) } else { grant_delta::Act::Revoke(role) };
        let request = self.target.request(ChangeGrantsRequest {
            organization_id: self.organization.clone(),
            deltas: vec![GrantDelta { principal: Some(Principal { kind: Some(holder) }), act: Some(act) }],
            ..Default::default()
        });
        RoleServiceClient::new(self.channel.clone()).change_grants(request).await?;
        Ok(())
    }

    /// Asks whether an account holds its role, by what the role gives.
    pub fn question(&self, account: usize) -> CheckItem {
        let subject = Some(Subject { kind: Some(Kind::ServiceAccountId(self.ids[account].clone())) });
        CheckItem { subject, permission: PERMISSION.into(), resource: None }
    }

    /// Makes frames of `items` checks; half of the accounts hold the role from then on.
    ///
    /// # Errors
    /// What the server says.
    pub async fn pools<const N: usize>(target: &Target, rpcs: [(Rpc, usize); N]) -> Result<[Pool; N], Failure> {
        let accounts = Self::create(target, ACCOUNTS).await?;
        for account in (0..ACCOUNTS).step_by(2) {
            accounts.change(account, true).await?;
        }
        Ok(rpcs.map(|(rpc, items)| {
            let frames = (0..64_u64).map(|frame| {
                let (asked, allowed) = (0..items as u64)
                    .map(|item| {
                        let draw = scramble(frame << 32 | item) % ACCOUNTS as u64;
                        let account = usize::try_from(draw).unwrap_or_default();
                        (accounts.question(account), account % 2 == 0)
                    })
                    .unzip();
                Frame::new(rpc, accounts.organization.clone(), asked, allowed)
            });
            Pool::new(frames.collect())
        }))
    }
}
