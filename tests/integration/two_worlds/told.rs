//! What was told, made comparable: ids and tokens by when they first came up, times by whether there is one.

use std::collections::{BTreeMap, HashMap};

use guildhall::proto::{self, stream_checks_response};
use guildhall::rpc::Rpc;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;
use tonic::Status;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::harness::{Caller, messages_of};

/// Most pages that are followed.
const PAGES_MAX: usize = 60;
/// How long the text of an id is.
const ID_LENGTH: usize = 36;

/// Everything that one caller was told.
#[derive(Default)]
pub struct Told {
    pub lines: Vec<String>,
    known: HashMap<String, usize>,
    last: Value,
}

impl Told {
    /// Makes a call, and then one for each page that follows.
    pub async fn exchange(&mut self, call: &Caller, rpc: Rpc, ask: &Value) {
        let mut ask = ask.clone();
        for _ in 0..PAGES_MAX {
            let answers = self.one(call, rpc, &ask).await;
            let next =
                answers.first().and_then(|answer| answer["nextPageToken"].as_str()).unwrap_or_default().to_owned();
            if next.is_empty() {
                return;
            }
            ask["page_token"] = next.into();
        }
        panic!("{} has no last page", rpc.path());
    }

    async fn one(&mut self, call: &Caller, rpc: Rpc, ask: &Value) -> Vec<Value> {
        let (input, output) = messages_of(rpc);
        // A stream is asked by a list of messages.
        let asks = ask.as_array().cloned().unwrap_or_else(|| vec![ask.clone()]);
        let asks = asks.into_iter().map(|ask| {
            let message = DynamicMessage::deserialize(input.clone(), &ask);
            message.unwrap_or_else(|error| panic!("{}: {error}: {ask}", rpc.path())).encode_to_vec()
        });
        let brought = call.send(rpc, asks.collect()).await;
        let answers: Vec<Value> = brought.messages.iter().map(|bytes| json(&output, bytes)).collect();
        let end = match &brought.end {
            Ok(()) => "done".to_owned(),
            Err(status) => refusal(status),
        };
        let mut asked = ask.clone();
        let mut shown: Vec<Value> = answers.clone();
        std::iter::once(&mut asked).chain(&mut shown).for_each(|value| self.blot("", value));
        let end = self.blotted(&end);
        let shown = Value::from(shown);
        self.lines.push(format!("{} {asked} => {end} {shown}", rpc.path()));
        self.last = answers.first().cloned().unwrap_or_default();
        answers
    }

    /// Notes a frame of a stream.
    pub fn frame(&mut self, frame: Option<stream_checks_response::Frame>) {
        let message = proto::StreamChecksResponse { frame };
        let mut shown = json(&messages_of(Rpc::StreamChecks).1, &message.encode_to_vec());
        self.blot("", &mut shown);
        self.lines.push(format!("told {shown}"));
    }

    /// Returns a field of the last answer, by a path like `member.id`; an id that nobody has where it was refused.
    pub fn last(&self, path: &str) -> String {
        let found = path.split('.').fold(&self.last, |value, name| &value[name]);
        found.as_str().map_or_else(|| super::world::ABSENT.to_owned(), str::to_owned)
    }

    /// Replaces what may differ: ids, tokens, times.
    fn blot(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| self.blot(name, value)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.blot(name, item)),
            // Times, ages and leases, and what stands for a revision.
            _ if name.ends_with("Ms") || name.ends_with("Time") || name.ends_with("_time") => *value = "a time".into(),
            Value::String(text)
                if ["revision", "nextPageToken", "page_token", "secret", "token", "link"].contains(&name) =>
            {
                *text = if text.is_empty() { String::new() } else { format!("a {name}") };
            }
            Value::String(text) if name == "etag" => *text = format!("etag {}", self.number(text)),
            Value::String(text) => *text = self.blotted(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Replaces every id in a text by when it first came up.
    fn blotted(&mut self, text: &str) -> String {
        let (mut blotted, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            match rest.get(..ID_LENGTH).filter(|id| Uuid::try_parse(id).is_ok()) {
                Some(id) => {
                    blotted.push_str("id ");
                    blotted.push_str(&self.number(id).to_string());
                    rest = &rest[ID_LENGTH..];
                }
                None => {
                    blotted.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        blotted
    }

    fn number(&mut self, text: &str) -> usize {
        let next = self.known.len();
        *self.known.entry(text.to_owned()).or_insert(next)
    }
}

fn json(message: &MessageDescriptor, bytes: &[u8]) -> Value {
    let message = DynamicMessage::decode(message.clone(), bytes).expect("a message of the contract");
    message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new()).expect("JSON")
}

fn refusal(status: &Status) -> String {
    let mut details = status.get_error_details();
    // In a map that has no order of its own.
    let metadata: BTreeMap<String, String> = match details.error_info().cloned() {
        Some(info) => {
            details.set_error_info(info.reason, info.domain, HashMap::new());
            info.metadata.into_iter().collect()
        }
        None => BTreeMap::new(),
    };
    format!("refused {:?} {} {details:?} {metadata:?}", status.code(), status.message())
}
