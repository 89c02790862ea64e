//! An estate with somebody who gives what they hold, and somebody who may give anything but to themselves.

use std::sync::atomic::{AtomicU32, Ordering};

use guildhall::proto::{self, principal};

use super::{Call, Column};
use crate::harness::messages::{
    change, change_members, create_group, create_member, create_role, create_service_account, custom_role, grant,
    group, membership, new_member, put_catalog, register, service_account, share,
};
use crate::harness::{Organization, Person, TestApp, at, role};

/// A catalog with everything that gives or takes something.
pub const ESTATE: &str = include_str!("estate.yaml");
/// A house that neither actor of a column is shown.
pub const HIDDEN: &str = "hidden";
/// Paths that give or take all that somebody holds, wherever that is.
const OF_ALL: [&str; 17] = [
    "EnableMember",
    "BatchEnableMembers",
    "BulkMembers, enabling",
    "ChangeGroupMembers, adding",
    "DeleteRole, moving its holders",
    "CreateApiKey",
    "RotateApiKey",
    "EnableServiceAccount",
    "DisableMember",
    "BatchDisableMembers",
    "BulkMembers, disabling",
    "RemoveMember",
    "ChangeGroupMembers, removing",
    "DeleteGroup",
    "UpdateRole, narrowing",
    "DisableServiceAccount",
    "DeleteServiceAccount",
];
/// A house that is not there.
pub const ABSENT: &str = "absent";

pub fn house(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "house".into(), id: id.into() }
}

/// An estate with its actors.
pub struct Scene<'a> {
    pub app: &'a TestApp,
    pub organization: Organization,
    /// Returns and takes what they hold themselves.
    clerk: Person,
    /// A clerk who sees every house.
    warden: Person,
    /// Returns and takes anything.
    giver: Person,
    made: AtomicU32,
}

impl<'a> Scene<'a> {
    pub async fn of(app: &'a TestApp) -> Self {
        app.operator().put_catalog(put_catalog(ESTATE)).await.expect("a catalog that is right");
        let organization = app.found_under("estate").await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let clerk = app.invite_and_join(id, owner, "clea@example.test", vec![role("clerk")]).await;
        let warden = app.invite_and_join(id, owner, "wim@example.test", vec![role("warden")]).await;
        let giver = app.invite_and_join(id, owner, "guy@example.test", vec![role("giver")]).await;
        let scene = Self { app, organization, clerk, warden, giver, made: AtomicU32::new(0) };
        scene.register(HIDDEN, None).await;
        scene
    }

    pub async fn prepare(&self, path: &'static str, column: Column, place: &str) -> Option<Call> {
        if super::giving::PATHS.contains(&path) {
            return self.give_by(path, column, place).await;
        }
        self.take_by(path, column, place).await
    }

    pub fn id(&self) -> String {
        self.organization.id.clone()
    }

    /// Who acts: what is refused to the giver is refused for being theirs, and to the warden not for what they do not
    /// see.
    pub fn actor(&self, path: &str, column: Column) -> &Person {
        match column {
            Column::Oneself => &self.giver,
            Column::Within | Column::Above if OF_ALL.contains(&path) => &self.warden,
            Column::Within | Column::Above | Column::Hidden => &self.clerk,
        }
    }

    /// What is given or taken.
    pub fn held(column: Column, place: &str) -> proto::Assignment {
        match column {
            Column::Within => role("helper"),
            Column::Above | Column::Oneself => role("ruler"),
            Column::Hidden => at(house(place), "helper"),
        }
    }

    /// Returns a name that nobody and nothing has.
    pub fn fresh(&self) -> String {
        format!("fresh-{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    fn email(&self) -> String {
        format!("{}@example.test", self.fresh())
    }

    /// Returns the actor themselves where that is the column, and else somebody new.
    pub async fn recipient(&self, column: Column) -> String {
        if column == Column::Oneself { self.giver.membership_id.clone() } else { self.pending().await }
    }

    /// Returns the membership of somebody who has not come yet.
    pub async fn pending(&self) -> String {
        let request = create_member(&self.organization.id, new_member(&self.email(), vec![]));
        self.organization.owner.call.create_member(request).await.expect("a member").member.expect("them").id
    }

    /// Gives somebody new who holds these.
    pub async fn active(&self, held: Vec<proto::Assignment>) -> Person {
        let owner = &self.organization.owner.call;
        self.app.invite_and_join(&self.organization.id, owner, &self.email(), held).await
    }

    /// Returns the actor themselves where that is the column, and else somebody new who holds what the column says.
    pub async fn holder(&self, column: Column) -> String {
        match column {
            Column::Oneself => self.giver.membership_id.clone(),
            _ => self.active(vec![Self::held(column, HIDDEN)]).await.membership_id,
        }
    }

    /// Gives somebody something, as whoever may.
    pub async fn give(&self, to: principal::Kind, held: proto::Assignment) {
        let request = change(&self.organization.id, vec![grant(to, held)]);
        self.organization.owner.call.change_grants(request).await.expect("a grant");
    }

    /// Registers a house that belongs to nobody.
    pub async fn register(&self, id: &str, under: Option<&str>) {
        let request = register(&self.organization.id, house(id));
        let request = proto::RegisterResourceRequest { parent: under.map(house), ..request };
        self.app.operator().register_resource(request).await.expect("a house");
    }

    /// Makes a house that nobody is on the list of.
    pub async fn unlisted(&self) -> String {
        let id = self.fresh();
        self.register(&id, None).await;
        id
    }

    /// Makes a house on whose list some are.
    pub async fn listing(&self, members: &[&str]) -> String {
        let id = self.unlisted().await;
        let members = members.iter().map(|id| membership(id)).collect();
        let request = share(&self.organization.id, house(&id), members);
        self.organization.owner.call.share_resource(request).await.expect("a list");
        id
    }

    /// Makes a house that the clerk sees.
    pub async fn shown(&self) -> String {
        self.listing(&[&self.clerk.membership_id]).await
    }

    /// The house that a request of the column names.
    pub async fn named(&self, column: Column, place: &str) -> String {
        match column {
            Column::Hidden => place.to_owned(),
            Column::Oneself => self.unlisted().await,
            Column::Within | Column::Above => self.shown().await,
        }
    }

    /// Makes a group that holds something and has these members.
    pub async fn group(&self, held: proto::Assignment, members: &[&str]) -> String {
        let owner = &self.organization.owner.call;
        let made = owner.create_group(create_group(&self.organization.id, &self.fresh())).await.expect("a group");
        let id = made.group.expect("it is in the answer").id;
        self.give(group(&id), held).await;
        if !members.is_empty() {
            let request = change_members(&self.organization.id, &id, members, &[]);
            owner.change_group_members(request).await.expect("members");
        }
        id
    }

    /// Makes a service account that holds something.
    pub async fn machine(&self, held: proto::Assignment) -> String {
        let request = create_service_account(&self.organization.id, &self.fresh());
        let made = self.organization.owner.call.create_service_account(request).await.expect("an account");
        let id = made.service_account.expect("it is in the answer").id;
        self.give(service_account(&id), held).await;
        id
    }

    /// Makes a role of the organization's own that can be held at houses, too, with these permissions.
    pub async fn custom(&self, permissions: &[&str]) -> String {
        let name = self.fresh();
        let wanted = proto::Role { at: vec!["organization".into(), "house".into()], ..custom_role(&name, permissions) };
        self.organization.owner.call.create_role(create_role(&self.organization.id, wanted)).await.expect("a role");
        name
    }
}
