//! Single checks, asked by a call.

use std::time::Duration;

use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::answer::{self, Answer};
use crate::clock::Clock;
use crate::connect::Dial;
use crate::error::Error;
use crate::proto::authorization_service_client::AuthorizationServiceClient;
use crate::proto::consistency::Requirement;
use crate::proto::{CheckRequest, CheckResponse, Consistency};
use crate::question::Question;

/// How often a call that was answered UNAVAILABLE is made again.
const RETRIES: u32 = 2;
/// How long is waited before, unless the server says.
const PAUSE: Duration = Duration::from_millis(50);

/// How fresh the answer to a call must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Freshness<'a> {
    /// As the builder says, or the server's hard bound (30 s).
    #[default]
    Default,
    /// No older than this; 1 ms to the server's hard bound.
    MaxAge(Duration),
    /// Takes in this revision, as a write has told it.
    AtLeast(&'a str),
    /// Takes in everything that was committed before the call.
    Fresh,
}

/// An answer, and what it was computed at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// The answer.
    pub answer: Answer,
    /// The revision that it was computed at. Opaque.
    pub revision: String,
    /// How old what it was computed from was at the most.
    pub age: Duration,
}

/// Asks one question.
pub(crate) async fn check(
    dial: &Dial,
    clock: &dyn Clock,
    timeout: Duration,
    question: &Question,
    freshness: Freshness<'_>,
) -> Result<Checked, Error> {
    let message = CheckRequest {
        organization_id: question.organization().to_owned(),
        item: Some(question.item()),
        consistency: consistency(freshness),
    };
    let deadline = clock.now().plus(timeout);
    let response = async {
        let mut retries = 0;
        loop {
            let left = deadline.since(clock.now());
            let status = match one(dial, message.clone(), left).await {
                Ok(response) => return Ok(response),
                Err(status) => status,
            };
            if status.code() != Code::Unavailable || retries >= RETRIES {
                return Err(status);
            }
            retries += 1;
            let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
            clock.sleep(told.unwrap_or(PAUSE)).await;
        }
    };
    let response = tokio::select! {
        response = response => response?,
        () = clock.sleep(timeout) => return Err(Status::deadline_exceeded("the check was not answered in time").into()),
    };
    let decision = response.decision.unwrap_or_default();
    let stale = || Status::unavailable("the answer is not proven fresh enough");
    Ok(Checked {
        answer: answer::read(&decision).ok_or_else(stale)?,
        revision: response.revision,
        age: Duration::from_millis(response.age_ms),
    })
}

async fn one(dial: &Dial, message: CheckRequest, left: Duration) -> Result<CheckResponse, Status> {
    let mut request = Request::new(message);
    // The server stops working on it when nobody waits any more.
    request.set_timeout(left);
    if let Some(credential) = &dial.credential {
        request.metadata_mut().insert("authorization", credential.clone());
    }
    AuthorizationServiceClient::new(dial.calls.clone()).check(request).await.map(tonic::Response::into_inner)
}

fn consistency(freshness: Freshness<'_>) -> Option<Consistency> {
    let requirement = match freshness {
        Freshness::Default => return None,
        Freshness::MaxAge(age) => {
            // Past what the field holds the server refuses it, with a reason.
            let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
            Requirement::MaxAge(prost_types::Duration::try_from(age).unwrap_or(longest))
        }
        Freshness::AtLeast(revision) => Requirement::AtLeast(revision.to_owned()),
        Freshness::Fresh => Requirement::Fresh(true),
    };
    Some(Consistency { requirement: Some(requirement) })
}
