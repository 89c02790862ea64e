//! What is refused: each test sends something bad, and says with which code and reason it comes back, and what has not
//! happened.
//!
//! A file holds one kind of badness. A new field that takes an id fails [`ids`] until it has a row there.

mod checks;
mod credentials;
mod dry_runs;
mod grants;
mod ids;
mod invitations;
mod links;
mod metadata;
mod numbers;
mod pages;
mod repeats;
mod revisions;
mod sign_in;
mod streams;
mod tree;
mod visibility;
mod wire;

use std::time::Duration;

use guildhall::clock::Clock;
use tonic::{Code, Status};

use crate::harness::messages::get_organization;
use crate::harness::{Caller, TestApp, reason, violations};

/// An id that nobody has.
pub const NOBODY: &str = "018f4e9a-7b3c-7def-8a12-0123456789ab";

/// Returns how far an organization's log has come: as long as this stays, nothing has happened in it.
pub async fn revision_of(call: &Caller, organization: &str) -> String {
    call.get_organization(get_organization(organization)).await.expect("an organization").revision
}

/// Asserts that a call was refused for these fields and no others, in this order.
#[track_caller]
pub fn assert_violates<T: std::fmt::Debug>(result: Result<T, Status>, expected: &[(&str, &str)]) {
    let status = result.expect_err("a refusal");
    let found = violations(&status);
    let found: Vec<(&str, &str)> = found.iter().map(|(field, reason)| (field.as_str(), reason.as_str())).collect();
    assert_eq!((status.code(), found.as_slice()), (Code::InvalidArgument, expected), "{status:?}");
    let is_one = expected.iter().all(|(_, reason)| *reason == expected[0].1);
    assert_eq!(reason(&status), if is_one { expected[0].1 } else { "REQUEST_INVALID" });
}

/// Returns everything of a refusal that a client can tell it by, with an id blotted out.
pub fn blotted(status: &Status, id: &str) -> (Code, String, Vec<u8>) {
    let blot = "#".repeat(id.len());
    let mut details = status.details().to_vec();
    let places: Vec<usize> =
        details.windows(id.len()).enumerate().filter(|(_, it)| *it == id.as_bytes()).map(|(at, _)| at).collect();
    for at in places {
        details[at..at + id.len()].copy_from_slice(blot.as_bytes());
    }
    (status.code(), status.message().replace(id, &blot), details)
}

/// Tells an instant by the server's clock.
pub fn later(app: &TestApp, duration: Duration) -> prost_types::Timestamp {
    let micros = app.clock.now().plus(duration).as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("less than a second");
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}
