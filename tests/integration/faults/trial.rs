//! One call into which something breaks, held against what is in the database then: what was answered is all there,
//! what was refused is not there at all, and what is not known is one or the other, and answered rightly when it is
//! asked again.

use guildhall::rpc::Rpc;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Value;
use tonic::Status;
use tonic_types::StatusExt;

use super::acts::{Act, Commits, caller_on, may_be_repeated};
use super::truth::{Change, State, Truth};
use crate::harness::recorder::Recorded;
use crate::harness::{Brought, TestApp, eventually_finds, messages_of, reason};

/// What is told once, or tells when it was told.
const PASSING: [&str; 5] = ["revision", "secret", "secretWithheld", "link", "linkWithheld"];

/// The servers that a call is made on, and then again.
#[derive(Clone, Copy)]
pub struct Servers<'a> {
    /// Where things break.
    pub shaken: &'a TestApp,
    /// Where nothing does; the same where there is only one.
    pub steady: &'a TestApp,
    pub truth: &'a Truth,
}

/// How a call ended.
#[derive(Debug)]
pub enum Answer {
    Done(Vec<Value>),
    Unknown,
    Refused(Status),
}

/// A call that was answered, or whose outcome is not known: what it is to be answered ever after.
pub struct Kept {
    pub act: Act,
    pub call: Recorded,
    /// What is answered to it.
    pub answer: Vec<Value>,
}

impl Answer {
    fn of(rpc: Rpc, brought: &Brought) -> Self {
        match &brought.end {
            Ok(()) => Self::Done(brought.messages.iter().map(|bytes| lasting(rpc, bytes)).collect()),
            Err(status) if status.get_details_error_info().is_some() && reason(status) == "COMMIT_UNKNOWN" => {
                Self::Unknown
            }
            Err(status) => Self::Refused(status.clone()),
        }
    }
}

/// Returns what an answer says that is the same whenever it is given.
fn lasting(rpc: Rpc, bytes: &[u8]) -> Value {
    let message = DynamicMessage::decode(messages_of(rpc).1, bytes).expect("an answer of the contract");
    let options = SerializeOptions::new();
    let mut value = message.serialize_with_options(serde_json::value::Serializer, &options).expect("JSON");
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, _| !PASSING.contains(&name.as_str()));
    }
    value
}

/// Makes a call on a server.
pub async fn make(app: &TestApp, call: &Recorded) -> Answer {
    Answer::of(call.rpc, &caller_on(app, call).send(call.rpc, call.messages.clone()).await)
}

/// Makes a call while something breaks, which `shake` brings about and `calm` ends, and again when it is over.
///
/// Returns what is wrong with what was answered, if anything is; else gives what must be answered from now on, if the
/// call may be made again. `expected` is what such a call changes when nothing breaks.
pub async fn trial(
    servers: Servers<'_>,
    (act, call): (Act, Recorded),
    expected: &Change,
    shake: impl FnOnce(),
    calm: impl FnOnce(),
) -> Result<(Answer, Option<Kept>), String> {
    let Servers { shaken, steady, truth } = servers;
    let before = truth.state().await;
    shake();
    let answer = make(shaken, &call).await;
    calm();
    let found = truth.state().await.since(&before);
    hold(act, &answer, &found, expected)?;
    if !may_be_repeated(&call) {
        return Ok((answer, None));
    }
    // What was refused is done now, what was done is done once.
    let first = repeated(steady, truth, &call, &before, expected).await?;
    let again = repeated(shaken, truth, &call, &before, expected).await?;
    if first != again {
        return Err(format!("one server answers {first:?}, the other {again:?}"));
    }
    if let Answer::Done(told) = &answer
        && *told != first
    {
        return Err(format!("answered {told:?}, and then {first:?}"));
    }
    Ok((answer, Some(Kept { act, call, answer: first })))
}

/// Holds an answer against what has changed.
fn hold(act: Act, answer: &Answer, found: &Change, expected: &Change) -> Result<(), String> {
    let is_right = match (answer, act.commits()) {
        (Answer::Done(_), Commits::OneThenMore) => !found.is_nothing(),
        (Answer::Done(_), Commits::One | Commits::Several) => found == expected,
        (Answer::Refused(_), Commits::One | Commits::OneThenMore) => found.is_nothing(),
        (Answer::Unknown, Commits::One) => found.is_nothing() || found == expected,
        (Answer::Unknown, Commits::OneThenMore) | (Answer::Refused(_) | Answer::Unknown, Commits::Several) => true,
    };
    if is_right { Ok(()) } else { Err(format!("{answer:?}, and in the database {found:?} in place of {expected:?}")) }
}

/// Makes a call again, until it is done; once it is, everything is there once.
async fn repeated(
    app: &TestApp,
    truth: &Truth,
    call: &Recorded,
    before: &State,
    expected: &Change,
) -> Result<Vec<Value>, String> {
    let mut last = None;
    // Of connections that were cut each refuses one call at most.
    for _ in 0..=app.config.database_connections {
        match make(app, call).await {
            Answer::Done(answer) => {
                let found = truth.state().await.since(before);
                if found != *expected {
                    return Err(format!(
                        "asked again, it is done, and in the database {found:?} in place of {expected:?}"
                    ));
                }
                return Ok(answer);
            }
            refused => last = Some(refused),
        }
    }
    Err(format!("asked again and again, it comes to {last:?}"))
}

/// Asks a server for everything that was answered before it was started.
pub async fn remembered(app: &TestApp, truth: &Truth, kept: &[Kept]) -> String {
    let before = truth.state().await;
    let mut wrong = String::new();
    for Kept { act, call, answer } in kept {
        let made = eventually_finds("a server that has come up", async || match make(app, call).await {
            Answer::Refused(status) if status.code() == tonic::Code::Unavailable => None,
            made => Some(made),
        })
        .await;
        if matches!(&made, Answer::Refused(status) if reason(status) == "TOKEN_EXPIRED") {
            // Time has gone on so far that they would have to sign in once more.
            continue;
        }
        if !matches!(&made, Answer::Done(again) if again == answer) {
            wrong += &format!("{act:?} after a restart: {made:?} in place of {answer:?}\n");
        }
    }
    let after = truth.state().await.since(&before);
    if !after.is_nothing() {
        wrong += &format!("what was asked again after a restart was done again: {after:?}\n");
    }
    wrong
}
