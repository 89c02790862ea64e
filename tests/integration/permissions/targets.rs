//! What calls act on. A call that is refused acts on what stands there for all of them; one that is done, and uses its
//! target up, gets one of its own.

use guildhall::domain::catalog::{Catalog, InvitationKind};
use guildhall::proto::{self, MemberState, ResourceRef, principal, subject};

use super::scene::{RESOURCES, Scene, Someone, is_for_machines, ordinary, owned_by, role_of};
use super::table::{Relation, Row};
use crate::conformance::tenant::{Tenant, resource};
use crate::harness::messages::{
    add_contact, create_api_key, create_group, create_member, create_organization_under, create_role,
    create_service_account, custom_role, disable, enable, get_member, invite, invite_by_link, membership, new_member,
    notify, service_account,
};
use crate::harness::{Caller, Person, TestApp, as_member, at, role, token_in, unsubscribe_token_in};

/// A cell that is asked for: a row, and who calls.
pub struct Ask<'a> {
    pub scene: &'a Scene<'a>,
    pub row: &'a Row,
    pub who: &'a Someone,
    /// Whether the call will be done, and not be refused.
    pub is_done: bool,
}

/// What stands there for all calls. Ids, unless it says otherwise.
pub struct Standing {
    /// An ACTIVE member, of whom the organization has no need.
    pub active: Person,
    /// A DISABLED member.
    disabled: Person,
    /// A PENDING member.
    pending: String,
    /// A service account that holds nothing, and its key.
    account: String,
    key: String,
    /// A group; where the preset has none, something else.
    group: String,
    /// The name of a role of the organization's own, if it may have any.
    custom: String,
    /// A contact of the first resource, by its type.
    contacts: Vec<(String, String)>,
    /// The token of an invitation that nobody accepts.
    pub token: String,
    /// The token by which an address is told of a resource no more.
    pub unsubscription: String,
    /// A third organization of the preset, where no caller is a member.
    pub third: String,
    /// The token of an invitation there: a link, or sent to the ACTIVE member.
    pub token_to_third: String,
}

/// How the third organization is called.
pub const THIRD: &str = "Third";
/// The id that the product has for the group.
pub const GROUP: &str = "the-group";

impl Standing {
    pub async fn of(app: &TestApp, catalog: &Catalog, tenant: &Tenant<'_>) -> Self {
        let (operator, id) = (app.operator(), tenant.id.as_str());
        let active = tenant.person("active", ordinary(catalog)).await;
        let disabled = tenant.person("disabled", ordinary(catalog)).await;
        operator.disable_member(disable(id, &disabled.membership_id)).await.expect("a member to shut out");
        let pending = pending(&operator, catalog, id, "pending@example.test").await;
        let (account, key) = account(&operator, id, "standing").await;
        let group = if catalog.features().groups { group(&operator, id, GROUP).await } else { pending.clone() };
        let custom = if catalog.features().custom_roles {
            custom(&operator, catalog, id, "standing").await
        } else {
            "standing".to_owned()
        };

        let mut contacts = Vec::new();
        for (_, kind) in catalog.resource_types() {
            let request = add_contact(id, resource(&kind.name, RESOURCES[0]), "contact@example.test");
            let added = operator.add_contact(request).await.expect("a contact").contact.expect("it is in the answer");
            contacts.push((kind.name.to_string(), added.id));
        }
        // One type tells what all do.
        let told = resource(&contacts[0].0, RESOURCES[0]);
        operator.notify_resource(notify(id, told, "News")).await.expect("a notification");
        let unsubscription = unsubscribe_token_in(&app.mail_to("contact@example.test").await);

        let request = create_organization_under(catalog.name(), THIRD, "thea@example.test");
        let third = operator.create_organization(request).await.expect("an organization").organization;
        let third = third.expect("it is in the answer").id;
        let is_by_mail = catalog.invitation().kinds.contains(&InvitationKind::Email);
        let (token, token_to_third) = if is_by_mail {
            let waiting = invite(id, "waiting@example.test", ordinary(catalog));
            operator.create_invitation(waiting).await.expect("an invitation");
            let there = invite(&third, &active.email, ordinary(catalog));
            operator.create_invitation(there).await.expect("an invitation");
            (app.token_mailed_to("waiting@example.test").await, app.token_mailed_by(THIRD, &active.email).await)
        } else {
            (link(&operator, id).await, link(&operator, &third).await)
        };
        Self {
            active,
            disabled,
            pending,
            account,
            key,
            group,
            custom,
            contacts,
            token,
            unsubscription,
            third,
            token_to_third,
        }
    }
}

impl Ask<'_> {
    /// Returns the organization.
    pub fn id(&self) -> &str {
        &self.scene.tenant.id
    }

    pub fn operator(&self) -> Caller {
        self.scene.app.operator()
    }

    pub fn catalog(&self) -> &Catalog {
        &self.scene.catalog
    }

    pub fn standing(&self) -> &Standing {
        &self.scene.standing
    }

    /// Returns a name that nobody and nothing has.
    pub fn fresh(&self) -> String {
        self.scene.fresh()
    }

    /// Returns an address that nobody has.
    pub fn email(&self) -> String {
        format!("{}@example.test", self.fresh())
    }

    /// Returns the first type of the catalog, where one tells what all do.
    pub fn any_kind(&self) -> String {
        let (_, kind) = self.catalog().resource_types().next().expect("a type");
        kind.name.to_string()
    }

    /// Returns the resource in question.
    pub fn resource(&self, kind: &str) -> ResourceRef {
        self.one_of_two(kind, RESOURCES[0])
    }

    /// Returns another one, to which the caller stands alike.
    pub fn other_resource(&self, kind: &str) -> ResourceRef {
        self.one_of_two(kind, RESOURCES[1])
    }

    /// Returns the resource in question, to be used up.
    pub async fn resource_to_spend(&self, kind: &str) -> ResourceRef {
        if self.is_done { self.scene.resource_of(kind, self.who).await } else { self.resource(kind) }
    }

    fn one_of_two(&self, kind: &str, id: &str) -> ResourceRef {
        if self.who.holding.relation == Relation::Owner {
            return resource(kind, &owned_by(self.who, id));
        }
        resource(kind, id)
    }

    /// Reads what is given from the case: `nothing`, `the list of a TYPE`, `ROLE at a TYPE` or `ROLE`.
    pub fn given(&self) -> Option<proto::Assignment> {
        if self.row.case == "nothing" {
            return None;
        }
        if let Some(place) = self.row.case.strip_prefix("the list of ") {
            return Some(as_member(self.resource(kind_in(place))));
        }
        if let Some((name, place)) = self.row.case.split_once(" at ") {
            return Some(at(self.resource(kind_in(place)), name));
        }
        Some(role(self.row.case))
    }

    /// Gives somebody new who can be given what the case says; who is given nothing stands there for all.
    pub async fn recipient(&self) -> principal::Kind {
        let name = self.row.case.split(" at ").next().expect("a role");
        let is_machine = self.catalog().role_id(name).is_some_and(|_| is_for_machines(role_of(self.catalog(), name)));
        if is_machine { service_account(&self.account_to_spend().await.0) } else { membership(&self.pending().await) }
    }

    /// Returns a PENDING member, to be used up.
    pub async fn pending(&self) -> String {
        if !self.is_done {
            return self.standing().pending.clone();
        }
        pending(&self.operator(), self.catalog(), self.id(), &self.email()).await
    }

    /// Returns an ACTIVE member.
    pub async fn active(&self) -> String {
        self.member_in(&self.standing().active, MemberState::Active).await
    }

    /// Returns a DISABLED member.
    pub async fn disabled(&self) -> String {
        self.member_in(&self.standing().disabled, MemberState::Disabled).await
    }

    /// Brings a member back into the state in which earlier calls found them.
    async fn member_in(&self, member: &Person, state: MemberState) -> String {
        let (operator, member) = (self.operator(), &member.membership_id);
        if self.is_done {
            let found = operator.get_member(get_member(self.id(), member)).await.expect("a member").member;
            match (found.expect("it is in the answer").state(), state) {
                (MemberState::Active, MemberState::Disabled) => {
                    operator.disable_member(disable(self.id(), member)).await.expect("a member to shut out");
                }
                (MemberState::Disabled, MemberState::Active) => {
                    operator.enable_member(enable(self.id(), member)).await.expect("a member to let in");
                }
                (found, wanted) => assert_eq!(found, wanted, "{member}"),
            }
        }
        member.clone()
    }

    /// Returns the caller's own membership; who has none asks about somebody else's.
    pub fn own_membership(&self) -> String {
        match &self.who.principal {
            Some(principal::Kind::MembershipId(id)) => id.clone(),
            _ => self.standing().active.membership_id.clone(),
        }
    }

    /// Returns whom the caller asks about as themselves; who knows no id of their own asks about somebody else.
    pub fn own_subject(&self) -> subject::Kind {
        self.who.subject.clone().unwrap_or_else(|| self.another_subject())
    }

    pub fn another_subject(&self) -> subject::Kind {
        subject::Kind::UserId(self.standing().active.user_id.clone())
    }

    /// Returns a service account, and its key.
    pub fn account(&self) -> (String, String) {
        (self.standing().account.clone(), self.standing().key.clone())
    }

    /// Returns a service account, and its key, to be used up.
    pub async fn account_to_spend(&self) -> (String, String) {
        if self.is_done { account(&self.operator(), self.id(), &self.fresh()).await } else { self.account() }
    }

    pub fn group(&self) -> String {
        self.standing().group.clone()
    }

    /// Returns a group, to be used up.
    pub async fn group_to_spend(&self) -> String {
        if self.is_done { group(&self.operator(), self.id(), &self.fresh()).await } else { self.group() }
    }

    /// Returns the name of a role of the organization's own.
    pub fn custom_role(&self) -> String {
        self.standing().custom.clone()
    }

    /// Returns the name of a role of the organization's own, to be used up.
    pub async fn custom_role_to_spend(&self) -> String {
        if !self.is_done {
            return self.custom_role();
        }
        custom(&self.operator(), self.catalog(), self.id(), &self.fresh()).await
    }

    /// Returns a contact of the resource in question, to be used up.
    pub async fn contact_to_spend(&self, kind: &str) -> String {
        if self.is_done {
            let request = add_contact(self.id(), self.resource(kind), &self.email());
            let added = self.operator().add_contact(request).await.expect("a contact");
            return added.contact.expect("it is in the answer").id;
        }
        let (_, id) = self.standing().contacts.iter().find(|(it, _)| it == kind).expect("a contact for each type");
        id.clone()
    }
}

/// Returns the type in "a TYPE" or "an TYPE".
pub fn kind_in(text: &str) -> &str {
    text.rsplit(' ').next().expect("a type")
}

async fn pending(operator: &Caller, catalog: &Catalog, organization: &str, email: &str) -> String {
    let request = create_member(organization, new_member(email, ordinary(catalog)));
    operator.create_member(request).await.expect("a member").member.expect("it is in the answer").id
}

async fn account(operator: &Caller, organization: &str, name: &str) -> (String, String) {
    let made = operator.create_service_account(create_service_account(organization, name)).await.expect("an account");
    let account = made.service_account.expect("it is in the answer").id;
    let key = operator.create_api_key(create_api_key(organization, &account)).await.expect("a key");
    (account, key.api_key.expect("it is in the answer").id)
}

async fn group(operator: &Caller, organization: &str, name: &str) -> String {
    let message = proto::CreateGroupRequest { external_id: name.into(), ..create_group(organization, name) };
    let made = operator.create_group(message).await.expect("a group");
    made.group.expect("it is in the answer").id
}

async fn custom(operator: &Caller, catalog: &Catalog, organization: &str, name: &str) -> String {
    let (_, kind) = catalog.resource_types().next().expect("a type");
    let wanted = custom_role(name, &[&format!("{}.view", kind.name)]);
    operator.create_role(create_role(organization, wanted)).await.expect("a role");
    name.to_owned()
}

async fn link(operator: &Caller, organization: &str) -> String {
    token_in(&operator.create_invitation(invite_by_link(organization, vec![])).await.expect("a link").link)
}
