//! The text as a tree in which everything knows where it was written.
//!
//! Not serde's derived shapes: they stop at the first field that is wrong, and the author is to learn of all.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

use super::problem::{Mark, Problems, join, shorten};

/// Most bytes in a catalog.
const BYTES_MAX: usize = 256 * 1024;
/// Most maps and lists inside one another; the format needs five.
const DEPTH_MAX: usize = 8;
/// Most values that aliases may repeat.
const REPEATS_MAX: usize = 10_000;

/// Something and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub value: T,
    pub mark: Mark,
}

/// A name and where it stands.
pub(super) type Name = Located<String>;
/// A value of the text and where it stands.
pub(super) type Node = Located<Value>;

/// A value of the text.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(u64),
    /// Negative or with a fraction; no field takes one.
    Number,
    Text(String),
    List(Vec<Node>),
    /// In the order of the text, each key once.
    Map(Vec<(Name, Node)>),
}

impl Value {
    /// Names the kind, for "must be a list, not …".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Number => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads the one YAML document in `yaml`.
pub(super) fn read(yaml: &str, problems: &mut Problems) -> Option<Node> {
    if yaml.len() > BYTES_MAX {
        problems.add(&Mark::start(), format!("must be at most {} KiB long", BYTES_MAX / 1024));
        return None;
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATS_MAX },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        strict_booleans: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(yaml, options) {
        Ok(raw) => Some(locate(raw, String::new(), problems)),
        Err(error) => {
            let (line, column) = error.location().map_or((1, 1), |at| (at.line().max(1), at.column().max(1)));
            let message = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
            problems.add(&Mark { line, column, field: String::new() }, message);
            None
        }
    }
}

/// Returns everything in `raw` its path, and notes the keys that are there twice.
fn locate(raw: Spanned<Raw>, field: String, problems: &mut Problems) -> Node {
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Integer(value) => Value::Integer(value),
        Raw::Number => Value::Number,
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => {
            let items = items.into_iter().enumerate();
            Value::List(items.map(|(index, item)| locate(item, format!("{field}[{index}]"), problems)).collect())
        }
        Raw::Map(entries) => {
            let mut lines: HashMap<String, u64> = HashMap::new();
            let mut kept = Vec::new();
            for (key, value) in entries {
                let (line, column) = (key.referenced.line(), key.referenced.column());
                let mark = Mark { line, column, field: join(&field, &key.value) };
                if let Some(first) = lines.get(&key.value) {
                    problems.add(&mark, format!("{:?} is there already, on line {first}", shorten(&key.value)));
                    continue;
                }
                lines.insert(key.value.clone(), line);
                let value = locate(value, mark.field.clone(), problems);
                kept.push((Name { value: key.value, mark }, value));
            }
            Value::Map(kept)
        }
    };
    Node { value, mark: Mark { line: raw.referenced.line(), column: raw.referenced.column(), field } }
}

/// A value as YAML has it, before it knows its path.
enum Raw {
    Null,
    Bool(bool),
    Integer(u64),
    Number,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list, a text, a number, true or false")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw, E> {
        Ok(u64::try_from(value).map_or(Raw::Number, Raw::Integer))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
