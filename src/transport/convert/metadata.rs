//! Metadata: protobuf's JSON objects, and serde's.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as Wire};
use serde_json::{Map, Number, Value};

use crate::domain::error::{Error, Reason};
use crate::domain::metadata::Metadata;
use crate::proto;

/// Reads metadata; absent parts are empty. Numbers are doubles.
///
/// # Errors
/// - [`Reason::MetadataMalformed`] for what would come back as something else: a number that is none or infinite, a NUL, a
///   value without a kind; and above the bounds of [`Metadata::must_fit`].
pub(in crate::transport) fn metadata(field: &str, message: Option<proto::Metadata>) -> Result<Metadata, Error> {
    let message = message.unwrap_or_default();
    let part = |name: &str, part: Option<Struct>| {
        let read = part.map(object).transpose();
        read.map_err(|fault| Error::invalid(format!("{field}.{name}"), Reason::MetadataMalformed, fault))
    };
    let (public, private) = (part("public", message.public)?, part("private", message.private)?);
    let metadata = Metadata { public: public.unwrap_or_default(), private: private.unwrap_or_default() };
    metadata.must_fit(field)?;
    Ok(metadata)
}

/// Writes metadata, the private part only if `shows_private`; absent if there is none.
pub(in crate::transport) fn metadata_out(metadata: &Metadata, shows_private: bool) -> Option<proto::Metadata> {
    let part = |part: &Map<String, Value>| (!part.is_empty()).then(|| fields(part));
    let (public, private) = (part(&metadata.public), part(&metadata.private).filter(|_| shows_private));
    (public.is_some() || private.is_some()).then_some(proto::Metadata { public, private })
}

/// What cannot be kept as it is.
type Fault = &'static str;

fn object(fields: Struct) -> Result<Map<String, Value>, Fault> {
    fields.fields.into_iter().map(|(name, field)| Ok((text(name)?, value(field)?))).collect()
}

fn value(wire: Wire) -> Result<Value, Fault> {
    Ok(match wire.kind {
        None => return Err("holds a value without a kind"),
        Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(it)) => Value::Bool(it),
        Some(Kind::NumberValue(it)) => {
            Value::Number(Number::from_f64(it).ok_or("holds a number that is NaN or infinite")?)
        }
        Some(Kind::StringValue(it)) => Value::String(text(it)?),
        Some(Kind::ListValue(it)) => Value::Array(it.values.into_iter().map(value).collect::<Result<_, _>>()?),
        Some(Kind::StructValue(it)) => Value::Object(object(it)?),
    })
}

fn text(text: String) -> Result<String, Fault> {
    if text.contains('\0') { Err("holds a NUL") } else { Ok(text) }
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
