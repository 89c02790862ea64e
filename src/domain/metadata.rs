//! What a product keeps with a noun: an id of its own, and JSON that Guildhall does not look into.

use serde_json::{Map, Value};

use super::error::{Error, Reason};

/// Most bytes of a noun's metadata, written as JSON, both parts together.
const BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of objects and lists.
const DEPTH_MAX: usize = 32;
/// Most bytes of an external id.
const EXTERNAL_ID_BYTES_MAX: usize = 128;

/// JSON of the product's own, in two parts.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Metadata {
    /// Shown to whoever sees the noun.
    #[serde(default)]
    pub public: Map<String, Value>,
    /// Shown to whoever may change the noun.
    #[serde(default)]
    pub private: Map<String, Value>,
}

impl Metadata {
    /// Ensures that the metadata can be kept; `field` names the request field in the violation.
    ///
    /// # Errors
    /// - [`Reason::MetadataMalformed`] above 16 KiB written as JSON, or nested more than 32 deep.
    pub fn must_fit(&self, field: &str) -> Result<(), Error> {
        let deepest = self.public.values().chain(self.private.values()).map(depth).max().unwrap_or(0);
        let bytes = serde_json::to_string(self).map_err(Error::internal)?.len();
        if deepest >= DEPTH_MAX || bytes > BYTES_MAX {
            let message = "must be at most 16 KiB of JSON, nested at most 32 deep";
            return Err(Error::invalid(field, Reason::MetadataMalformed, message));
        }
        Ok(())
    }

    /// Returns about how many bytes it takes on the wire, where a value has a tag and a length at every depth.
    #[must_use]
    pub fn weight(&self) -> usize {
        object_weight(&self.public) + object_weight(&self.private)
    }

    /// Returns whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.public.is_empty() && self.private.is_empty()
    }
}

/// Takes an id that the product gave a noun; `None` if it is empty.
///
/// # Errors
/// - [`Reason::TextMalformed`] above 128 bytes, or with control characters.
pub fn external_id(field: &str, text: &str) -> Result<Option<String>, Error> {
    if text.len() > EXTERNAL_ID_BYTES_MAX || text.chars().any(char::is_control) {
        let message = "must be at most 128 bytes without control characters";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn object_weight(object: &Map<String, Value>) -> usize {
    object.iter().map(|(key, value)| key.len() + 8 + weight(value)).sum()
}

fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 11,
        Value::String(text) => text.len() + 6,
        Value::Array(values) => values.iter().map(weight).sum::<usize>() + 8,
        Value::Object(object) => object_weight(object) + 8,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Metadata {
        let value = (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        Metadata { public: [("a".to_owned(), value)].into_iter().collect(), ..Metadata::default() }
    }

    #[test]
    fn metadata_is_bounded_in_size_and_depth() {
        let of_size = |bytes: usize| Metadata {
            private: [("a".to_owned(), Value::String("x".repeat(bytes)))].into_iter().collect(),
            ..Metadata::default()
        };
        let around = serde_json::to_string(&of_size(0)).unwrap().len();
        assert!(of_size(BYTES_MAX - around).must_fit("metadata").is_ok());
        assert!(of_size(BYTES_MAX - around + 1).must_fit("metadata").is_err());
        assert!(nested(DEPTH_MAX - 1).must_fit("metadata").is_ok());
        assert!(nested(DEPTH_MAX).must_fit("metadata").is_err());
    }

    #[test]
    fn an_external_id_is_a_short_plain_text() {
        assert_eq!(external_id("external_id", "").unwrap(), None);
        assert_eq!(external_id("external_id", "hr:17").unwrap().as_deref(), Some("hr:17"));
        assert!(external_id("external_id", "a\nb").is_err());
        assert!(external_id("external_id", &"x".repeat(129)).is_err());
    }
}
