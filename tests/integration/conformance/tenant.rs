//! An organization under any preset, with the people and the resources that a test needs.

use guildhall::proto::remove_member_request::Assets;
use guildhall::proto::{self, MemberState, ResourceRef, assignment};
use tonic::{Code, Status};

use crate::harness::messages::{
    change, get_resource, grant, leave, list_permissions, membership, register, remove, revoke, user,
};
use crate::harness::{Caller, Organization, Person, TestApp, reason};

/// An organization under a preset.
pub struct Tenant<'a> {
    pub app: &'a TestApp,
    pub id: String,
    /// Holds the founder roles of the preset.
    pub founder: Person,
    /// Asks what people may do, as the product would.
    pub backend: Caller,
    pub way: Way,
}

/// How people come in.
#[derive(Clone, Copy)]
pub enum Way {
    Mail,
    Link,
}

impl<'a> Tenant<'a> {
    /// Founds an organization under a preset, into which people come by this way.
    pub async fn open(app: &'a TestApp, preset: &str, way: Way) -> Self {
        Self::open_for(app, preset, way, "ada@example.test").await
    }

    /// Founds an organization for a founder of this address, beside others.
    pub async fn open_for(app: &'a TestApp, preset: &str, way: Way, founder_email: &str) -> Self {
        let organization = app.found_under_by(preset, founder_email).await;
        let (_, backend) = app.backend_account_by(&app.operator(), &organization.id).await;
        let Organization { id, owner: founder } = organization;
        Self { app, id, founder, backend, way }
    }

    /// Lets somebody in, with these, as the operator, who may give any role.
    pub async fn person(&self, name: &str, assignments: Vec<proto::Assignment>) -> Person {
        let (email, operator) = (format!("{name}@example.test"), self.app.operator());
        match self.way {
            Way::Mail => self.app.invite_and_join(&self.id, &operator, &email, assignments).await,
            Way::Link => self.app.join_by_link(&self.id, &operator, &email, assignments).await,
        }
    }

    /// Registers resources at the organization, which nobody owns, as the operator.
    pub async fn with(self, resources: &[ResourceRef]) -> Self {
        for resource in resources {
            self.app.operator().register_resource(register(&self.id, resource.clone())).await.unwrap();
        }
        self
    }

    /// Registers a resource as `by`, who lets the server choose its id, and gives its name.
    pub async fn make(&self, by: &Caller, kind: &str) -> ResourceRef {
        let made = by.register_resource(register(&self.id, resource(kind, ""))).await.unwrap();
        made.resource.unwrap().resource.unwrap()
    }

    /// Returns one thing to one member.
    pub async fn give(&self, by: &Caller, to: &Person, what: proto::Assignment) -> Result<Changed, Status> {
        self.change(by, vec![grant(membership(&to.membership_id), what)]).await
    }

    /// Takes one thing from one member.
    pub async fn take(&self, by: &Caller, from: &Person, what: proto::Assignment) -> Result<Changed, Status> {
        self.change(by, vec![revoke(membership(&from.membership_id), what)]).await
    }

    /// Changes grants and gives what is new and what is gone, in words.
    pub async fn change(&self, by: &Caller, deltas: Vec<proto::GrantDelta>) -> Result<Changed, Status> {
        let answer = by.change_grants(change(&self.id, deltas)).await?;
        Ok(Changed { granted: words(&answer.granted), revoked: words(&answer.revoked) })
    }

    /// Removes a member, saying this of what they own.
    pub async fn remove(
        &self,
        by: &Caller,
        who: &Person,
        assets: Option<Assets>,
    ) -> Result<proto::RemoveMemberResponse, Status> {
        by.remove_member(removal(&self.id, &who.membership_id, assets)).await
    }

    /// Ends somebody's own membership.
    pub async fn leave(&self, who: &Person) -> Result<proto::LeaveOrganizationResponse, Status> {
        who.call.leave_organization(leave(&self.id)).await
    }

    /// Names everybody in the organization, whatever their state, in alphabetical order of addresses.
    pub async fn everybody(&self) -> Vec<String> {
        self.app.operator().members(&self.id).await.into_iter().map(|member| member.email).collect()
    }

    /// Names all that a person may do at the organization, in alphabetical order.
    pub async fn may(&self, who: &Person) -> Vec<String> {
        self.permissions(who, None).await
    }

    /// Names all that a person may do on a resource, of what begins with one of these nouns, in alphabetical order.
    pub async fn may_on(&self, who: &Person, resource: &ResourceRef, nouns: &[&str]) -> Vec<String> {
        let is_asked = |name: &String| nouns.contains(&name.split('.').next().unwrap());
        self.permissions(who, Some(resource.clone())).await.into_iter().filter(is_asked).collect()
    }

    async fn permissions(&self, who: &Person, resource: Option<ResourceRef>) -> Vec<String> {
        let request = list_permissions(&self.id, user(&who.user_id), resource);
        let held = self.backend.list_permissions(request).await.unwrap().permissions;
        let mut names: Vec<String> = held.into_iter().map(|held| held.permission).collect();
        names.sort();
        names
    }

    /// Returns whether a resource exists in a person's eyes; what does not is answered like one that nobody has.
    pub async fn sees(&self, who: &Person, resource: &ResourceRef) -> bool {
        let answer = who.call.get_resource(get_resource(&self.id, resource.clone())).await;
        if let Err(status) = &answer {
            let absent = ResourceRef { id: "unheard-of".into(), ..resource.clone() };
            let absent = who.call.get_resource(get_resource(&self.id, absent)).await.unwrap_err();
            assert_eq!((status.code(), reason(status)), (Code::NotFound, "NOT_FOUND".to_owned()));
            assert_eq!(status.message().replace(&resource.id, "unheard-of"), absent.message());
        }
        answer.is_ok()
    }

    /// Returns how a member stands in the list, and with which roles.
    pub async fn standing(&self, who: &Person) -> (MemberState, Vec<String>) {
        let member = self.app.operator().member(&self.id, &who.email).await;
        (member.state(), member.roles)
    }
}

/// What a change of grants brought, in words: a role's name, with the resource if it is held at one; or the resource on
/// whose list somebody is.
#[derive(PartialEq, Eq, Debug)]
pub struct Changed {
    pub granted: Vec<String>,
    pub revoked: Vec<String>,
}

/// Returns what a change is to bring.
pub fn changed(granted: &[&str], revoked: &[&str]) -> Changed {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Changed { granted: words(granted), revoked: words(revoked) }
}

fn words(grants: &[proto::Grant]) -> Vec<String> {
    let word = |grant: &proto::Grant| {
        let assignment = grant.assignment.clone().unwrap();
        let place = assignment.resource.map(|resource| resource.id);
        match (assignment.held.unwrap(), place) {
            (assignment::Held::Role(name), None) => name,
            (assignment::Held::Role(name), Some(place)) => format!("{name} at {place}"),
            (assignment::Held::AsMember(_), place) => place.unwrap(),
        }
    };
    let mut words: Vec<String> = grants.iter().map(word).collect();
    words.sort();
    words
}

/// Asks for a member to be removed, saying this of what they own.
pub fn removal(organization: &str, membership: &str, assets: Option<Assets>) -> proto::RemoveMemberRequest {
    proto::RemoveMemberRequest { assets, ..remove(organization, membership) }
}

/// Names a resource.
pub fn resource(kind: &str, id: &str) -> ResourceRef {
    ResourceRef { r#type: kind.into(), id: id.into() }
}

/// What is nobody's, as a permission list.
pub const NOTHING: [&str; 0] = [];

/// Asserts that every act was refused like this.
#[track_caller]
pub fn assert_all_refused(acts: Vec<(&'static str, Result<(), Status>)>, code: Code, expected: &str) {
    for (act, result) in acts {
        let status = result.expect_err(act);
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{act}: {status:?}");
    }
}

/// Asserts that every act succeeded.
#[track_caller]
pub fn assert_all_done(acts: Vec<(&'static str, Result<(), Status>)>) {
    for (act, result) in acts {
        result.unwrap_or_else(|status| panic!("{act}: {status:?}"));
    }
}
