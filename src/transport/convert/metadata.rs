//! Metadata: protobuf's JSON objects, and serde's.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as Wire};
use serde_json::{Map, Number, Value};

use crate::domain::metadata::Metadata;
use crate::proto;

/// Reads metadata; absent parts are empty. Numbers are doubles; those that JSON has no word for are null.
pub(in crate::transport) fn metadata(message: Option<proto::Metadata>) -> Metadata {
    let message = message.unwrap_or_default();
    let part = |part: Option<Struct>| part.map(object).unwrap_or_default();
    Metadata { public: part(message.public), private: part(message.private) }
}

/// Writes metadata, the private part only if `shows_private`; absent if there is none.
pub(in crate::transport) fn metadata_out(metadata: &Metadata, shows_private: bool) -> Option<proto::Metadata> {
    let part = |part: &Map<String, Value>| (!part.is_empty()).then(|| fields(part));
    let (public, private) = (part(&metadata.public), part(&metadata.private).filter(|_| shows_private));
    (public.is_some() || private.is_some()).then_some(proto::Metadata { public, private })
}

fn object(fields: Struct) -> Map<String, Value> {
    fields.fields.into_iter().map(|(name, field)| (name, value(field))).collect()
}

fn value(wire: Wire) -> Value {
    match wire.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(it)) => Value::Bool(it),
        Some(Kind::NumberValue(it)) => Number::from_f64(it).map_or(Value::Null, Value::Number),
        Some(Kind::StringValue(it)) => Value::String(it),
        Some(Kind::ListValue(it)) => Value::Array(it.values.into_iter().map(value).collect()),
        Some(Kind::StructValue(it)) => Value::Object(object(it)),
    }
}

fn fields(object: &Map<String, Value>) -> Struct {
    Struct { fields: object.iter().map(|(name, field)| (name.clone(), wire(field))).collect() }
}

fn wire(value: &Value) -> Wire {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(it) => Kind::BoolValue(*it),
        Value::Number(it) => Kind::NumberValue(it.as_f64().unwrap_or_default()),
        Value::String(it) => Kind::StringValue(it.clone()),
        Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(wire).collect() }),
        Value::Object(it) => Kind::StructValue(fields(it)),
    };
    Wire { kind: Some(kind) }
}
