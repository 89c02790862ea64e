//! What `AuthorizationService` promises, through the wire and on both databases.
//!
//! A file holds one promise with all its sides; what is refused for its form is in `refusals`, the plain stream in
//! `streams`.

mod draining;
mod expiries;
pub mod explanations;
mod lists;
mod order;
mod resuming;
pub mod streams;
mod tokens;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guildhall::domain::revision::{Position, Token};
use guildhall::proto;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;

use crate::harness::messages::{grant, membership, register};
use crate::harness::{Checks, Organization, Person, TestApp, as_member, project, role};

/// An organization with three projects, the second under the first, and a member who is on the list of the first.
async fn scene(app: &TestApp) -> (Organization, Person) {
    let organization = app.found().await;
    let owner = &organization.owner.call;
    for (name, parent) in [("alpha", None), ("beta", Some("alpha")), ("gamma", None)] {
        let request = register(&organization.id, project(name));
        let request = proto::RegisterResourceRequest { parent: parent.map(project), ..request };
        owner.register_resource(request).await.unwrap();
    }
    let assignments = vec![role("user"), as_member(project("alpha"))];
    let bob = app.invite_and_join(&organization.id, owner, "bob@example.test", assignments).await;
    (organization, bob)
}

/// Puts a member on the list of a project for a while.
fn for_a_while(app: &TestApp, person: &Person, name: &str, duration: Duration) -> proto::GrantDelta {
    let mut entry = as_member(project(name));
    entry.expire_time = Some(later(app, duration));
    grant(membership(&person.membership_id), entry)
}

/// Tells an instant by the server's clock, which stands at a whole second.
fn later(app: &TestApp, duration: Duration) -> prost_types::Timestamp {
    let at = app.app.services().env.now().plus(duration);
    prost_types::Timestamp { seconds: at.as_micros() / 1_000_000, nanos: 0 }
}

/// Returns the part of a revision token that names the organization's revision.
fn position(revision: &str) -> Position {
    Token::from_bytes(&URL_SAFE_NO_PAD.decode(revision).unwrap()).unwrap().position
}

/// Subscribes to one item under a number, with what is known of it.
async fn subscribe_to(
    stream: &Checks,
    organization: &str,
    subscription_id: u64,
    item: proto::CheckItem,
    known_allowed: Option<bool>,
    at_least: &str,
) {
    let subscriptions = vec![proto::Subscription { subscription_id, item: Some(item), known_allowed }];
    let (organization_id, at_least) = (organization.to_owned(), at_least.to_owned());
    stream.send(Asked::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least })).await;
}

/// Waits for one change.
async fn change_of(stream: &mut Checks) -> (u64, proto::Decision) {
    let mut frame = stream.change_frame().await;
    assert_eq!(frame.changes.len(), 1, "{frame:?}");
    let change = frame.changes.remove(0);
    (change.subscription_id, change.decision.expect("it is in the change"))
}

/// Waits for a reset, and gives its reason.
async fn reset_of(stream: &mut Checks) -> String {
    match stream.receive().await.unwrap() {
        Some(Told::Reset(reset)) => reset.reason,
        other => panic!("expected a reset, got {other:?}"),
    }
}
