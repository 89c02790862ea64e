//! An installation with an account that those who act know nothing of, or without it; alike in all else.

use std::collections::BTreeMap;
use std::time::Duration;

use guildhall::proto;
use serde_json::{Value, json};

use super::script::Step;
use crate::harness::messages::{
    accept, add_contact, change, change_members, create_group, create_member, create_organization_under, create_role,
    create_service_account, custom_role, delete, disable, get_organization, grant, group, invite_by_link, membership,
    new_member, principal, put_catalog, register, rename, revoke, service_account,
};
use crate::harness::{Caller, Database, Person, TestApp, as_member, at, messages_of, role, token_in};

/// An id that nobody has.
pub const ABSENT: &str = "018f4e9a-7b3c-7def-8a12-0123456789ab";
/// What the organizations of both worlds follow.
pub struct Product {
    pub name: &'static str,
    /// The text of a catalog that is no preset.
    yaml: &'static str,
    /// The type of what is hidden.
    pub kind: &'static str,
    /// Names for the script: roles at a place and at the organization.
    words: [(&'static str, &'static str); 4],
    /// Who acts, what they hold at the organization, and at the place that they see.
    actors: &'static [(&'static str, &'static [&'static str], Option<&'static str>)],
    has_all: bool,
}

pub static MSP: Product = Product {
    name: "msp-monitoring",
    yaml: "",
    kind: "account",
    words: [("level", "access"), ("more", "config-modify"), ("claim", "users-read"), ("sight", "access")],
    actors: &[
        ("nora", &[], None),
        ("rita", &["users-read", "management-read", "billing-read"], Some("access")),
        ("max", &["users-modify", "management-modify", "billing-modify"], Some("config-modify")),
    ],
    has_all: false,
};

pub static ESTATE: Product = Product {
    name: "estate",
    yaml: include_str!("../ceiling/estate.yaml"),
    kind: "house",
    words: [("level", "helper"), ("more", "ruler"), ("claim", "helper"), ("sight", "guest")],
    actors: &[
        ("nora", &[], None),
        ("helen", &["helper"], Some("helper")),
        ("clea", &["clerk"], Some("guest")),
        // On the lists of houses that can be moved.
        ("mia", &["clerk"], None),
    ],
    has_all: true,
};

/// Somebody without access to what is hidden.
#[derive(Clone)]
pub struct Actor {
    pub call: Caller,
    pub user_id: String,
    pub membership_id: String,
}

/// One of the two.
pub struct World {
    app: TestApp,
    pub product: &'static Product,
    pub organization: String,
    has_hidden: bool,
    people: BTreeMap<&'static str, Person>,
    /// What the script calls them, and what they are called.
    names: BTreeMap<String, String>,
}

impl World {
    pub async fn build(database: Database, product: &'static Product, has_hidden: bool) -> Self {
        let app = TestApp::start(database).await;
        if !product.yaml.is_empty() {
            app.operator().put_catalog(put_catalog(product.yaml)).await.expect("a catalog that is right");
        }
        let made = create_organization_under(product.name, "Example", "ada@example.test");
        let made = app.operator().create_organization(made).await.expect("an organization");
        let organization = made.organization.expect("it is in the answer").id;
        let (people, names) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self { app, product, organization, has_hidden, people, names };
        world.settle_in().await;
        if has_hidden {
            world.hide().await;
        }
        world
    }

    /// What is there in both worlds.
    async fn settle_in(&mut self) {
        self.people.insert("ada", self.app.join("ada@example.test").await);
        for place in ["north", "west"] {
            self.register(place, None).await;
        }
        for name in ["bob", "cy", "dan"] {
            self.enter(name, &[]).await;
        }
        for (name, roles, there) in self.product.actors {
            self.enter(name, roles).await;
            if let Some(there) = there {
                self.give(membership(&self.people[name].membership_id), at(self.place("north"), there)).await;
            }
        }
        self.give(membership(&self.people["bob"].membership_id), at(self.place("north"), self.word("level"))).await;
        self.pass_time();
        let pia = create_member(&self.organization, new_member("pia@example.test", vec![]));
        let pia = self.operator().create_member(pia).await.expect("a member").member.expect("it is in the answer");
        self.name("pia", pia.id);
        self.be_active().await;
        self.operator().disable_member(disable(&self.organization, &self.people["dan"].membership_id)).await.unwrap();
        // By a link to both places, where there are both; in the other world there is the link without the hidden one.
        let places = if self.has_hidden { vec!["north", "south"] } else { vec!["north"] };
        if self.has_hidden {
            self.register("south", None).await;
        }
        self.link(&places).await;
        if self.product.has_all {
            self.settle_in_all().await;
        }
        for (name, person) in self.people.clone() {
            self.name(name, person.membership_id);
            self.name(&format!("{name}_user"), person.user_id);
        }
        self.name("absent", ABSENT.into());
        for (name, word) in self.product.words {
            self.name(name, word.into());
        }
        self.name("kind", self.product.kind.into());
        self.name("product", self.product.name.into());
    }

    /// Has the founder, who is let see them, invite by link to some places.
    async fn link(&self, places: &[&str]) {
        let level = self.word("level");
        for name in places {
            self.give(membership(&self.people["ada"].membership_id), at(self.place(name), level)).await;
        }
        self.pass_time();
        let assignments = places.iter().map(|name| at(self.place(name), level)).collect();
        let made = self.people["ada"].call.create_invitation(invite_by_link(&self.organization, assignments)).await;
        made.expect("a link");
    }

    async fn settle_in_all(&mut self) {
        for (place, parent) in [("east", None), ("eaves", Some("east")), ("porch", Some("east")), ("barn", None)] {
            self.register(place, parent).await;
        }
        for place in ["east", "barn"] {
            self.give(membership(&self.people["mia"].membership_id), as_member(self.place(place))).await;
        }
        let members = ["bob", "cy"].map(|name| self.people[name].membership_id.clone());
        let team =
            self.operator().create_group(create_group(&self.organization, "Team")).await.unwrap().group.unwrap().id;
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        self.operator().change_group_members(change_members(&self.organization, &team, &members, &[])).await.unwrap();
        self.name("team", team);
        self.pass_time();
        let robot = create_service_account(&self.organization, "Robot");
        let robot = self.operator().create_service_account(robot).await.unwrap().service_account.unwrap().id;
        self.name("robot", robot);
        let kind = self.product.kind.to_owned();
        let watcher = proto::Role { at: vec!["organization".into(), kind], ..custom_role("watcher", &["member.list"]) };
        self.operator().create_role(create_role(&self.organization, watcher)).await.unwrap();
    }

    /// The account, with people, grants, an invitation and a history behind it.
    async fn hide(&self) {
        let (id, operator) = (self.organization.as_str(), self.operator());
        let who = |name: &str| membership(&self.names[name]);
        let south = || self.place("south");
        self.register("gone", None).await;
        self.link(&["south"]).await;
        operator.update_resource(rename(id, south(), "Southern Trust")).await.unwrap();
        operator.delete_resource(delete(id, self.place("gone"))).await.unwrap();
        let (level, more) = (self.word("level"), self.word("more"));
        self.give(who("bob"), at(south(), more)).await;
        for name in ["dan", "pia"] {
            self.give(who(name), at(south(), level)).await;
        }
        self.give(who("cy"), at(south(), level)).await;
        self.give(who("ada"), at(south(), level)).await;
        operator.change_grants(change(id, vec![revoke(who("ada"), at(south(), level))])).await.unwrap();
        let invited = proto::CreateInvitationRequest {
            organization_id: id.into(),
            kind: proto::InvitationKind::Link.into(),
            assignments: vec![at(south(), level)],
            ..Default::default()
        };
        operator.create_invitation(invited).await.unwrap();
        if self.product.has_all {
            self.hide_all().await;
        }
    }

    async fn hide_all(&self) {
        let (id, operator) = (self.organization.as_str(), self.operator());
        let south = || self.place("south");
        let who = |name: &str| membership(&self.names[name]);
        let team = || group(&self.names["team"]);
        for held in [at(south(), "helper"), at(south(), "ruler"), as_member(south())] {
            self.give(team(), held).await;
        }
        self.give(service_account(&self.names["robot"]), at(south(), "ruler")).await;
        let expire_time = Some(prost_types::Timestamp { seconds: 1_795_435_200, nanos: 0 });
        self.give(who("cy"), proto::Assignment { expire_time, ..at(south(), "watcher") }).await;
        self.give(who("dan"), as_member(south())).await;
        operator.add_contact(add_contact(id, south(), "carl@example.test")).await.unwrap();
        // As deep as may be: one step further down there is no room for all of them.
        let shed_called = |name: &str| proto::ResourceRef { r#type: "shed".into(), id: name.into() };
        let mut above = self.place("porch");
        for depth in 3..=8 {
            let shed = shed_called(&format!("shed-{depth}"));
            let below = proto::RegisterResourceRequest { parent: Some(above), ..register(id, shed.clone()) };
            self.operator().register_resource(below).await.unwrap();
            above = shed;
        }
        let shed = proto::ResourceRef { r#type: "shed".into(), id: "south-shed".into() };
        let shed = proto::RegisterResourceRequest { parent: Some(south()), ..register(id, shed) };
        operator.register_resource(shed).await.unwrap();
        self.register("cellar", Some("south")).await;
        for (place, owner) in [("south", "bob"), ("cellar", "cy")] {
            let owner = Some(principal(who(owner)));
            let request = proto::SetResourceOwnerRequest {
                organization_id: id.into(),
                resource: Some(self.place(place)),
                owner,
                ..Default::default()
            };
            operator.set_resource_owner(request).await.unwrap();
        }
    }

    /// Has everybody's activity written, so that lists do not change by themselves: all happens in one minute.
    async fn be_active(&self) {
        for person in self.people.values() {
            // That they ask counts, not what they are told.
            let _ = person.call.get_organization(get_organization(&self.organization)).await;
        }
        self.app.app.services().write_activity().await.expect("a database");
    }

    /// Changes what the actors know nothing of, and in either world something that they are not told.
    pub async fn change_unseen(&self) {
        if self.has_hidden {
            let who = membership(&self.names["ada"]);
            self.give(who.clone(), at(self.place("south"), self.word("level"))).await;
            let taken = vec![revoke(who, at(self.place("south"), self.word("level")))];
            self.operator().change_grants(change(&self.organization, taken)).await.unwrap();
            self.operator().update_resource(rename(&self.organization, self.place("south"), "Anew")).await.unwrap();
            self.operator().update_resource(rename(&self.organization, self.place("south"), "Southern")).await.unwrap();
        }
    }

    /// Lets an actor see a further place.
    pub async fn change_seen(&self, actor: &Actor) {
        self.give(membership(&actor.membership_id), at(self.place("west"), self.word("sight"))).await;
    }

    pub fn actors(&self) -> Vec<Actor> {
        let actor = |name: &str| {
            let Person { call, user_id, membership_id, .. } = self.people[name].clone();
            Actor { call, user_id, membership_id }
        };
        self.product.actors.iter().map(|(name, ..)| actor(name)).collect()
    }

    /// Returns the requests of a step, each that could be made as a dry run after that.
    pub fn asks(&self, actor: &Actor, step: &Step) -> Vec<Value> {
        let input = messages_of(step.rpc).0;
        let has = |field: &str| input.get_field_by_name(field).is_some();
        let mut asks = Vec::new();
        for text in step.texts() {
            let text = self.spoken(actor, &text);
            let mut ask: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let messages = match &mut ask {
                Value::Array(messages) => messages.as_mut_slice(),
                message => std::slice::from_mut(message),
            };
            for message in
                messages.iter_mut().filter(|message| has("organization_id") && message["organization_id"].is_null())
            {
                message["organization_id"] = self.organization.clone().into();
            }
            if step.keep.is_none() && has("validate_only") && ask.is_object() && ask["validate_only"].is_null() {
                let mut dry = ask.clone();
                dry["validate_only"] = true.into();
                asks.push(dry);
            }
            asks.push(ask);
        }
        asks
    }

    /// Puts what things are called in this world in the place of the names of the script, the longest first.
    fn spoken(&self, actor: &Actor, text: &str) -> String {
        let mut text = text.to_owned();
        for place in ["north", "south", "west", "gone"] {
            let place_ref = json!({"type": self.product.kind, "id": place});
            text = text.replace(&format!("\"${place}\""), &place_ref.to_string());
        }
        let mine = [("me_user", &actor.user_id), ("me", &actor.membership_id), ("org", &self.organization)];
        let mut names: Vec<(&str, &String)> =
            self.names.iter().map(|(name, value)| (name.as_str(), value)).chain(mine).collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, value) in names {
            text = text.replace(&format!("${name}"), value);
        }
        // What only the other product has is something that is not there.
        for name in ["team", "robot"] {
            text = text.replace(&format!("${name}"), ABSENT);
        }
        text
    }

    /// Calls something by a name of the script from now on.
    pub fn name(&mut self, name: &str, value: String) {
        self.names.insert(name.into(), value);
    }

    /// Lets a moment pass, so that what is made later has a later id.
    pub fn pass_time(&self) {
        self.app.clock.advance(Duration::from_millis(10));
    }

    pub fn place(&self, name: &str) -> proto::ResourceRef {
        proto::ResourceRef { r#type: self.product.kind.into(), id: name.into() }
    }

    fn word(&self, name: &str) -> &'static str {
        self.product.words.iter().find(|(word, _)| *word == name).expect("a word of the product").1
    }

    fn operator(&self) -> Caller {
        self.pass_time();
        self.app.operator()
    }

    /// Lets somebody join. Whatever has an id of its own has a moment of its own, too: ids of one moment have no order.
    async fn enter(&mut self, name: &'static str, held: &[&str]) {
        let (id, email) = (self.organization.clone(), format!("{name}@example.test"));
        let person = if self.product.has_all {
            self.app.invite_and_join(&id, &self.operator(), &email, vec![]).await
        } else {
            let person = self.app.somebody(&email).await;
            let link = self.operator().create_invitation(invite_by_link(&id, vec![])).await.expect("a link").link;
            let accepted = person.call.accept_invitation(accept(&token_in(&link), "")).await.expect("a way in");
            Person { membership_id: accepted.member.expect("it is in the answer").id, ..person }
        };
        for held in held {
            self.give(membership(&person.membership_id), role(held)).await;
        }
        self.people.insert(name, person);
    }

    async fn register(&self, place: &str, parent: Option<&str>) {
        let request = register(&self.organization, self.place(place));
        let request = proto::RegisterResourceRequest { parent: parent.map(|parent| self.place(parent)), ..request };
        self.operator().register_resource(request).await.expect("a place");
    }

    async fn give(&self, to: proto::principal::Kind, held: proto::Assignment) {
        self.operator().change_grants(change(&self.organization, vec![grant(to, held)])).await.expect("a grant");
    }
}
