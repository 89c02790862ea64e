//! What is offered, and what has expired: the one is treated as held where a role or a catalog changes, the other is
//! held nowhere; and what an acceptance asks.

mod accepting;
mod expired;
mod mailing;
mod removed;
mod roles;
mod switching;

use guildhall::proto;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::messages::{
    accept, change, create_role, custom_role, grant, invite_by_link, membership, put_catalog, register,
};
use crate::harness::{Caller, Organization, Person, TestApp, role, token_in};
use crate::refusals::later;

/// A catalog with everything that gives or takes something, mails and links among them.
const ESTATE: &str = include_str!("../ceiling/estate.yaml");

/// An estate with somebody who gives and takes what they hold themselves, and sees every house.
struct Scene {
    organization: Organization,
    warden: Person,
}

impl Scene {
    async fn of(app: &TestApp) -> Self {
        app.operator().put_catalog(put_catalog(ESTATE)).await.expect("a catalog that is right");
        let organization = app.found_under("estate").await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, house("red"))).await.expect("a house");
        let warden = app.invite_and_join(&organization.id, owner, "wim@example.test", vec![role("warden")]).await;
        Self { organization, warden }
    }

    fn owner(&self) -> &Caller {
        &self.organization.owner.call
    }

    fn id(&self) -> &str {
        &self.organization.id
    }

    /// Makes a role of the organization's own.
    async fn make(&self, name: &str, permissions: &[&str]) {
        self.owner().create_role(create_role(self.id(), custom_role(name, permissions))).await.expect("a role");
    }

    /// Makes a link as the owner; gives its id and its token.
    async fn link(&self, assignments: Vec<proto::Assignment>) -> (String, String) {
        let made = self.owner().create_invitation(invite_by_link(self.id(), assignments)).await.expect("a link");
        (made.invitation.expect("it is in the answer").id, token_in(&made.link))
    }

    /// Returns a member something, as the owner.
    async fn give(&self, member: &str, held: proto::Assignment) -> proto::ChangeGrantsResponse {
        let deltas = vec![grant(membership(member), held)];
        self.owner().change_grants(change(self.id(), deltas)).await.expect("a grant")
    }
}

fn house(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "house".into(), id: id.into() }
}

/// Ends an hour from now.
fn for_an_hour(app: &TestApp, held: proto::Assignment) -> proto::Assignment {
    proto::Assignment { expire_time: Some(later(app, std::time::Duration::from_hours(1))), ..held }
}

/// Comes by a link.
async fn come(person: &Person, token: &str) -> Result<proto::Member, Status> {
    Ok(person.call.accept_invitation(accept(token, "")).await?.member.expect("it is in the answer"))
}

/// Returns what stands in the way of the state that a call asks for.
fn in_the_way(status: &Status) -> String {
    let failure = status.get_details_precondition_failure().expect("a precondition");
    failure.violations[0].subject.clone()
}
