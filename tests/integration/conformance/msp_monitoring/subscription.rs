//! A subscription, and what the tests of several themes ask of it.

use guildhall::proto::{Assignment, ResourceRef};
use tonic::Status;

use crate::conformance::tenant::{Tenant, Way, resource};
use crate::harness::messages::{change, grant, invite_by_link, list_members, membership, revoke};
use crate::harness::{Caller, Person, TestApp, at, role};

/// Everything that an account has.
pub const NOUNS: [&str; 4] = ["account", "config", "dashboard", "report"];

/// Opens a subscription with these accounts. The founder has full control of each.
pub async fn open<'a>(app: &'a TestApp, accounts: &[&str]) -> Tenant<'a> {
    let accounts: Vec<ResourceRef> = accounts.iter().map(|name| account(name)).collect();
    let subscription = Tenant::open(app, "msp-monitoring", Way::Link).await.with(&accounts).await;
    for account in accounts {
        subscription.give(&app.operator(), &subscription.founder, at(account, "config-modify")).await.unwrap();
    }
    subscription
}

pub fn account(name: &str) -> ResourceRef {
    resource("account", name)
}

/// These claims on the subscription.
pub fn claims(names: &[&str]) -> Vec<Assignment> {
    names.iter().map(|name| role(name)).collect()
}

/// Tries all there is to managing people, on `member`. Gives what came of each.
pub async fn manage(by: &Caller, id: &str, member: &Person) -> Vec<(&'static str, Result<(), Status>)> {
    let to = || membership(&member.membership_id);
    vec![
        ("list", by.list_members(list_members(id)).await.map(drop)),
        ("invite", by.create_invitation(invite_by_link(id, vec![])).await.map(drop)),
        ("give", by.change_grants(change(id, vec![grant(to(), role("users-read"))])).await.map(drop)),
        ("take", by.change_grants(change(id, vec![revoke(to(), role("users-read"))])).await.map(drop)),
    ]
}
