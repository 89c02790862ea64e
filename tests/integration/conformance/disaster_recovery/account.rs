//! An account with one person of each role, and what the tests of several themes ask of it.

use guildhall::proto::{self, MemberState};
use tonic::{Code, Status};

use crate::harness::messages::{
    change, disable, enable, grant, invite, list_members, list_permissions, membership, register, user,
};
use crate::harness::{Caller, Person, TestApp, as_member, project, reason, role};

/// An account with one person of each role.
pub struct Account {
    pub id: String,
    pub owner: Person,
    pub admin: Person,
    pub user: Person,
    /// Asks what people may do, as the product would.
    pub backend: Caller,
    /// The service account that asks.
    pub machine: String,
}

impl Account {
    pub async fn open(app: &TestApp) -> Self {
        let organization = app.found().await;
        let (machine, backend) = app.backend_account(&organization).await;
        let (id, owner) = (organization.id, organization.owner);
        let admin = app.invite_and_join(&id, &owner.call, "max@example.test", vec![role("admin")]).await;
        let user = app.invite_and_join(&id, &owner.call, "uma@example.test", vec![role("user")]).await;
        Self { id, owner, admin, user, backend, machine }
    }

    /// Registers projects.
    pub async fn with_projects(self, names: &[&str]) -> Self {
        for name in names {
            self.owner.call.register_resource(register(&self.id, project(name))).await.unwrap();
        }
        self
    }

    /// Grants one thing to one member.
    pub async fn give(&self, by: &Person, to: &str, what: proto::Assignment) -> Result<Changed, Status> {
        self.change(by, vec![grant(membership(to), what)]).await
    }

    /// Changes grants and gives what is new and what is gone, in words.
    pub async fn change(&self, by: &Person, deltas: Vec<proto::GrantDelta>) -> Result<Changed, Status> {
        by.call.change_grants(change(&self.id, deltas)).await.map(|answer| Changed::from(&answer))
    }

    /// Names the projects in which a person may work.
    pub async fn works_in<'a>(&self, user: &str, projects: &[&'a str]) -> Vec<&'a str> {
        let mut found = Vec::new();
        for name in projects {
            if self.backend.allows(&self.id, user, "project.operate", Some(project(name))).await {
                found.push(*name);
            }
        }
        found
    }

    /// Names all that a person may do at the account, in alphabetical order.
    pub async fn may(&self, who: &Person) -> Vec<String> {
        let request = list_permissions(&self.id, user(&who.user_id), None);
        let held = self.backend.list_permissions(request).await.unwrap().permissions;
        let mut names: Vec<String> = held.into_iter().map(|held| held.permission).collect();
        names.sort();
        names
    }

    /// Returns how a member stands in the list, and with which roles.
    pub async fn standing(&self, email: &str) -> (MemberState, Vec<String>) {
        let member = self.owner.call.member(&self.id, email).await;
        (member.state(), member.roles)
    }
}

/// What a change of grants brought, in words: a role's name, or the project on whose list somebody is.
#[derive(PartialEq, Eq, Debug)]
pub struct Changed {
    pub granted: Vec<String>,
    pub revoked: Vec<String>,
}

impl From<&proto::ChangeGrantsResponse> for Changed {
    fn from(answer: &proto::ChangeGrantsResponse) -> Self {
        let words = |grants: &[proto::Grant]| {
            let mut words: Vec<String> = grants.iter().map(words).collect();
            words.sort();
            words
        };
        Self { granted: words(&answer.granted), revoked: words(&answer.revoked) }
    }
}

fn words(grant: &proto::Grant) -> String {
    let assignment = grant.assignment.as_ref().unwrap();
    match assignment.held.as_ref().unwrap() {
        proto::assignment::Held::Role(name) => name.clone(),
        proto::assignment::Held::AsMember(_) => assignment.resource.as_ref().unwrap().id.clone(),
    }
}

/// Tries all there is to managing people, on `member` and on somebody new, in an order in which each act finds what it
/// needs. Gives what came of each.
pub async fn manage(
    by: &Caller,
    organization: &str,
    member: &str,
    new_email: &str,
    project_id: &str,
) -> Vec<(&'static str, Result<(), Status>)> {
    let give = |what| change(organization, vec![grant(membership(member), what)]);
    vec![
        ("list", by.list_members(list_members(organization)).await.map(drop)),
        ("invite", by.create_invitation(invite(organization, new_email, vec![role("user")])).await.map(drop)),
        ("assign", by.change_grants(give(as_member(project(project_id)))).await.map(drop)),
        ("promote", by.change_grants(give(role("admin"))).await.map(drop)),
        ("demote", by.change_grants(give(role("user"))).await.map(drop)),
        ("disable", by.disable_member(disable(organization, member)).await.map(drop)),
        ("enable", by.enable_member(enable(organization, member)).await.map(drop)),
    ]
}

/// Asserts that every act was refused like this.
pub fn assert_all_refused(acts: Vec<(&'static str, Result<(), Status>)>, code: Code, expected: &str) {
    for (act, result) in acts {
        let status = result.expect_err(act);
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{act}: {status:?}");
    }
}
