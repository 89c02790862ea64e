//! An organization under a preset with every kind of caller, and one beside it with everybody who holds a role there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use guildhall::domain::catalog::{Catalog, InvitationKind, Role, presets};
use guildhall::proto::{self, ResourceRef, principal, subject};

use super::table::{Column, Holding, Relation, Table, Word};
use super::targets::{Ask, Standing};
use crate::conformance::tenant::{Tenant, Way, resource};
use crate::harness::messages::{
    above, change, change_above, create_member, disable, grant, membership, new_member, put_catalog, register, revoke,
    service_account,
};
use crate::harness::{Caller, Person, TestApp, as_member, at, role};

/// The resource of each type that calls are about, and another one like it. So called in both organizations.
pub const RESOURCES: [&str; 2] = ["first", "second"];

/// By which the organization is looked up.
pub const SLUG: &str = "example";

/// Who calls.
#[derive(Clone)]
pub struct Someone {
    /// As the column is called.
    pub name: String,
    pub call: Caller,
    /// Where an invitation reaches them; people only.
    pub email: Option<String>,
    /// Their place in their organization, if they have one.
    pub principal: Option<principal::Kind>,
    /// Whom they ask about when they ask about themselves.
    pub subject: Option<subject::Kind>,
    pub holding: Holding,
}

/// An organization with its callers.
pub struct Scene<'a> {
    pub app: &'a TestApp,
    pub catalog: Arc<Catalog>,
    pub tenant: Tenant<'a>,
    pub standing: Standing,
    /// In the order of the columns.
    callers: Vec<Someone>,
    /// Somebody for each role that is held in the other organization; they are on every list there.
    elsewhere: Vec<Someone>,
    made: AtomicU32,
}

impl<'a> Scene<'a> {
    pub async fn of(app: &'a TestApp, table: &Table) -> Self {
        let catalog = Arc::clone(&table.catalog);
        let here = Site::open(app, &catalog, catalog.name().to_string(), "ada@example.test").await;
        // Who holds a role at a product holds it in all organizations of that, and so elsewhere only at another product.
        let product = format!("another-{}", catalog.name());
        app.operator().put_catalog(put_catalog(&copy_of(&catalog, &product))).await.expect("another product");
        let there = Site::open(app, &catalog, product, "eve@example.test").await;

        let (mut callers, mut elsewhere, mut roles) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (number, (name, column)) in table.columns.iter().enumerate() {
            callers.push(here.someone(name, &format!("here-{number}"), column).await);
            let Column::Holder(holding) = column else { continue };
            let met = roles.len();
            roles.extend(&holding.roles);
            if roles.len() > met {
                let holding = Holding { relation: Relation::Listed, ..holding.clone() };
                let name = format!("{}, elsewhere", holding.roles.join(" + "));
                elsewhere.push(there.holder(&name, &format!("there-{number}"), &holding).await);
            }
        }
        let named = proto::UpdateOrganizationRequest {
            organization_id: here.tenant.id.clone(),
            slug: SLUG.into(),
            ..Default::default()
        };
        app.operator().update_organization(named).await.expect("a slug");
        let standing = Standing::of(app, &catalog, &here.tenant).await;
        Self { app, catalog, tenant: here.tenant, standing, callers, elsewhere, made: AtomicU32::new(0) }
    }

    /// Returns every cell of the table: who asks for what, and what it must come to.
    pub fn cells<'b>(&'b self, table: &'b Table) -> Vec<(Ask<'b>, Word)> {
        let cells = table.rows.iter().flat_map(|row| {
            let here = self.callers.iter().zip(row.words.iter().copied());
            let elsewhere = self.elsewhere.iter().map(|who| (who, row.elsewhere.of(&who.holding)));
            here.chain(elsewhere).map(move |(who, word)| {
                let ask = Ask { scene: self, row, who, is_done: word == Word::Yes };
                (ask, word)
            })
        });
        cells.collect()
    }

    /// Returns who calls in a column.
    pub fn caller(&self, name: &str) -> &Someone {
        self.callers.iter().find(|who| who.name == name).unwrap_or_else(|| panic!("no column {name:?}"))
    }

    /// Returns a name that nobody and nothing has.
    pub fn fresh(&self) -> String {
        format!("fresh-{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a resource to which somebody stands as to the one in question.
    pub async fn resource_of(&self, kind: &str, who: &Someone) -> ResourceRef {
        let made = resource(kind, &self.fresh());
        place(&self.tenant, &self.catalog, made.clone(), who).await;
        made
    }
}

/// Returns the text of a preset under another name.
pub fn copy_of(catalog: &Catalog, name: &str) -> String {
    let (_, text) = presets::text(catalog.name()).expect("a preset");
    text.replacen(&format!("name: {}\n", catalog.name()), &format!("name: {name}\n"), 1)
}

/// Returns the role at the organization that people are let in with, where the catalog asks for one.
pub fn ordinary(catalog: &Catalog) -> Vec<proto::Assignment> {
    let is_asked = catalog.invitation().role_required || catalog.sets().any(|set| set.is_required);
    // The presets name the least of a set last.
    let least = catalog.sets().next().and_then(|set| set.roles.last()).filter(|_| is_asked);
    least.map(|id| role(&catalog.role(*id).name)).into_iter().collect()
}

/// Returns a role of a catalog by its name.
pub fn role_of<'a>(catalog: &'a Catalog, name: &str) -> &'a Role {
    catalog.role(catalog.role_id(name).unwrap_or_else(|| panic!("no role {name:?}")))
}

/// Returns whether machines hold a role, and people do not.
pub fn is_for_machines(role: &Role) -> bool {
    role.to.service_accounts && !role.to.people
}

/// Registers a resource, to which somebody stands as to the one in question.
async fn place(tenant: &Tenant<'_>, catalog: &Catalog, resource: ResourceRef, who: &Someone) {
    let owner = (who.holding.relation == Relation::Owner).then(|| who.principal.clone()).flatten();
    let owner = owner.map(|kind| proto::Principal { kind: Some(kind) });
    let request = proto::RegisterResourceRequest { owner, ..register(&tenant.id, resource.clone()) };
    tenant.app.operator().register_resource(request).await.expect("a resource");
    relate(tenant, catalog, &resource, who).await;
}

/// Puts somebody on the list of a resource, and gives them the roles that they hold there.
async fn relate(tenant: &Tenant<'_>, catalog: &Catalog, resource: &ResourceRef, who: &Someone) {
    let Some(principal) = &who.principal else { return };
    let (id, kind) = catalog.resource_type(&resource.r#type).expect("a type of the catalog");
    let is_listed = kind.has_list && who.holding.relation == Relation::Listed;
    let listed = is_listed.then(|| as_member(resource.clone()));
    let is_held_there = |name: &&String| role_of(catalog, name).at.types.contains(&id);
    let held = who.holding.roles.iter().filter(is_held_there).map(|name| at(resource.clone(), name));
    let deltas: Vec<_> = listed.into_iter().chain(held).map(|it| grant(principal.clone(), it)).collect();
    if !deltas.is_empty() {
        tenant.app.operator().change_grants(change(&tenant.id, deltas)).await.expect("a grant");
    }
}

/// An organization in which callers are placed.
struct Site<'a> {
    tenant: Tenant<'a>,
    catalog: Arc<Catalog>,
    /// Where roles of the product are held.
    product: String,
}

impl<'a> Site<'a> {
    /// Opens an organization with two resources of each type, which belong to nobody.
    async fn open(app: &'a TestApp, catalog: &Arc<Catalog>, product: String, founder: &str) -> Self {
        let is_by_mail = catalog.invitation().kinds.contains(&InvitationKind::Email);
        let way = if is_by_mail { Way::Mail } else { Way::Link };
        let tenant = Tenant::open_for(app, catalog.name(), way, founder).await;
        let kinds = catalog.resource_types().map(|(_, kind)| &kind.name);
        let resources: Vec<_> = kinds.flat_map(|kind| RESOURCES.map(|id| resource(kind, id))).collect();
        Self { tenant: tenant.with(&resources).await, catalog: Arc::clone(catalog), product }
    }

    async fn someone(&self, name: &str, handle: &str, column: &Column) -> Someone {
        let app = self.tenant.app;
        match column {
            Column::Nobody => unknown(name, app.anyone()),
            // Its own id is told nowhere.
            Column::Operator => unknown(name, app.operator()),
            Column::Holder(holding) => self.holder(name, handle, holding).await,
            Column::Pending => {
                let person = app.somebody(&format!("{handle}@example.test")).await;
                let holding = self.strongest();
                let member = new_member(&person.email, self.at_the_organization(&holding));
                let made =
                    app.operator().create_member(create_member(&self.tenant.id, member)).await.expect("a member");
                let person = Person { membership_id: made.member.expect("it is in the answer").id, ..person };
                self.settled(someone(name, person, holding)).await
            }
            Column::Disabled => {
                let who = self.holder(name, handle, &self.strongest()).await;
                let Some(principal::Kind::MembershipId(id)) = &who.principal else { panic!("{name} is no member") };
                app.operator().disable_member(disable(&self.tenant.id, id)).await.expect("a member to shut out");
                who
            }
        }
    }

    /// Lets somebody in who holds these.
    async fn holder(&self, name: &str, handle: &str, holding: &Holding) -> Someone {
        let (app, id) = (self.tenant.app, &self.tenant.id);
        let at_the_organization = self.at_the_organization(holding);
        if holding.roles.iter().any(|role| is_for_machines(role_of(&self.catalog, role))) {
            let (account, call) = app.machine(&app.operator(), id, at_the_organization).await;
            let (principal, subject) = (service_account(&account), subject::Kind::ServiceAccountId(account));
            let (principal, subject) = (Some(principal), Some(subject));
            let who = Someone { name: name.into(), call, email: None, principal, subject, holding: holding.clone() };
            return self.settled(who).await;
        }
        if let Some(role) = holding.roles.iter().find(|role| role_of(&self.catalog, role).at.product) {
            let person = app.somebody(&format!("{handle}@example.test")).await;
            let deltas = vec![above(&person.user_id, &self.product, role)];
            app.operator().change_installation_grants(change_above(deltas)).await.expect("a role at the product");
            return Someone { principal: None, ..someone(name, person, holding.clone()) };
        }
        if holding.roles.iter().any(|role| role_of(&self.catalog, role).is_transfer_only) {
            return self.settled(someone(name, self.tenant.founder.clone(), holding.clone())).await;
        }
        let is_without = at_the_organization.is_empty();
        let brought = if is_without { ordinary(&self.catalog) } else { at_the_organization };
        let person = self.tenant.person(handle, brought.clone()).await;
        if is_without && !brought.is_empty() {
            // Nobody comes in without a role, and so it is taken away again.
            let deltas = brought.into_iter().map(|it| revoke(membership(&person.membership_id), it)).collect();
            app.operator().change_grants(change(id, deltas)).await.expect("a member without a role");
        }
        self.settled(someone(name, person, holding.clone())).await
    }

    /// Returns what the founder and the creators of resources hold, on every list: as much as can be given.
    fn strongest(&self) -> Holding {
        let founders = self.catalog.founder_roles().iter();
        let creators = self.catalog.resource_types().flat_map(|(_, kind)| &kind.creator_roles);
        let roles = founders.chain(creators).map(|id| self.catalog.role(*id));
        let roles = roles.filter(|role| !role.is_transfer_only).map(|role| role.name.to_string()).collect();
        Holding { roles, relation: Relation::Listed }
    }

    fn at_the_organization(&self, holding: &Holding) -> Vec<proto::Assignment> {
        let is_held_there = |name: &&String| role_of(&self.catalog, name).at.organization;
        holding.roles.iter().filter(is_held_there).map(|name| role(name)).collect()
    }

    /// Has somebody stand to the resources as they are said to; an owner has resources of their own.
    async fn settled(&self, who: Someone) -> Someone {
        for (_, kind) in self.catalog.resource_types() {
            for id in RESOURCES {
                if who.holding.relation == Relation::Owner {
                    let own = resource(&kind.name, &owned_by(&who, id));
                    place(&self.tenant, &self.catalog, own, &who).await;
                } else {
                    relate(&self.tenant, &self.catalog, &resource(&kind.name, id), &who).await;
                }
            }
        }
        who
    }
}

/// Names the resource that somebody has for themselves in the place of one of [`RESOURCES`].
pub fn owned_by(who: &Someone, id: &str) -> String {
    let owner = who.email.as_deref().unwrap_or_default();
    format!("{id} of {owner}")
}

fn someone(name: &str, person: Person, holding: Holding) -> Someone {
    let (principal, subject) = (membership(&person.membership_id), subject::Kind::UserId(person.user_id));
    Someone {
        name: name.into(),
        call: person.call,
        email: Some(person.email),
        principal: Some(principal),
        subject: Some(subject),
        holding,
    }
}

/// Somebody who has no place anywhere, and knows no id of their own.
fn unknown(name: &str, call: Caller) -> Someone {
    let holding = Holding { roles: Vec::new(), relation: Relation::Stranger };
    Someone { name: name.into(), call, email: None, principal: None, subject: None, holding }
}
