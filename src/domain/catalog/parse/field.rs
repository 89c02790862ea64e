//! Readers of single fields: each gives what it read, or notes what is wrong and gives nothing.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::node::{Located, Name, Node, Value};
use super::problem::{Mark, Problems};

/// Most bytes in a name, and in each of the two words of a permission.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// Most characters in a description.
const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// The shortest and the longest duration that a field takes.
const DURATIONS: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(365 * 24);

/// The fields of one map: what is asked for is taken out, what is left over nobody knows.
pub(super) struct Fields {
    mark: Mark,
    entries: Vec<(Name, Node)>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Opens a map.
    pub fn open(node: Node, problems: &mut Problems) -> Option<Self> {
        let mark = node.mark.clone();
        Some(Self { mark, entries: entries(node, problems)?, known: Vec::new() })
    }

    /// Takes out a field that may be missing.
    pub fn take<T>(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(Node, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name);
        let index = self.entries.iter().position(|(key, _)| key.value == name)?;
        read(self.entries.remove(index).1, problems)
    }

    /// Takes out a field that must be there.
    pub fn require<T>(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(Node, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        if !self.entries.iter().any(|(key, _)| key.value == name) {
            problems.add(&self.mark.below(name), "must be set");
        }
        self.take(name, problems, read)
    }

    /// Notes every field that nobody asked for.
    pub fn close(self, problems: &mut Problems) {
        for (key, _) in &self.entries {
            problems.unknown(&key.mark, "field", &key.value, self.known.iter().copied());
        }
    }
}

/// Reads a map as its entries.
pub(super) fn entries(node: Node, problems: &mut Problems) -> Option<Vec<(Name, Node)>> {
    match node.value {
        Value::Map(entries) => Some(entries),
        other => refuse(&node.mark, "a map", &other, problems),
    }
}

/// Reads a map from names to what `read` makes of each entry; beyond `most` entries the rest is dropped.
pub(super) fn named<T>(
    most: usize,
    mut read: impl FnMut(Name, Node, &mut Problems) -> T,
) -> impl FnOnce(Node, &mut Problems) -> Option<Vec<T>> {
    move |node, problems| {
        let mark = node.mark.clone();
        let mut entries = entries(node, problems)?;
        if entries.len() > most {
            problems.add(&mark, format!("must have at most {most} entries, not {}", entries.len()));
            entries.truncate(most);
        }
        let named = entries.into_iter().map(|(name, node)| {
            check_name(&name, problems);
            read(name, node, problems)
        });
        Some(named.collect())
    }
}

/// Reads a list.
pub(super) fn list(node: Node, problems: &mut Problems) -> Option<Vec<Node>> {
    match node.value {
        Value::List(items) => Some(items),
        other => refuse(&node.mark, "a list", &other, problems),
    }
}

/// Reads a list of texts, each there once.
pub(super) fn names(node: Node, problems: &mut Problems) -> Option<Vec<Name>> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for item in list(node, problems)? {
        let Some(name) = text(item, problems) else { continue };
        if seen.insert(name.value.clone()) {
            names.push(name);
        } else {
            problems.add(&name.mark, "is listed already");
        }
    }
    Some(names)
}

/// Reads a text.
pub(super) fn text(node: Node, problems: &mut Problems) -> Option<Name> {
    match node.value {
        Value::Text(value) => Some(Name { value, mark: node.mark }),
        other => refuse(&node.mark, "a text", &other, problems),
    }
}

/// Reads a name: see [`is_name`].
pub(super) fn name(node: Node, problems: &mut Problems) -> Option<Name> {
    let name = text(node, problems)?;
    check_name(&name, problems);
    Some(name)
}

/// Reads a text for people.
pub(super) fn description(node: Node, problems: &mut Problems) -> Option<String> {
    let text = text(node, problems)?;
    if text.value.chars().count() > DESCRIPTION_CHARS_MAX {
        problems.add(&text.mark, format!("must be at most {DESCRIPTION_CHARS_MAX} characters long"));
    }
    Some(text.value)
}

/// Reads `true` or `false`.
pub(super) fn flag(node: Node, problems: &mut Problems) -> Option<bool> {
    match node.value {
        Value::Bool(value) => Some(value),
        other => refuse(&node.mark, "true or false", &other, problems),
    }
}

/// Reads a whole number in `range`.
pub(super) fn number(range: RangeInclusive<u32>) -> impl FnOnce(Node, &mut Problems) -> Option<u32> {
    move |node, problems| {
        let value = match node.value {
            Value::Integer(value) => value,
            Value::Number => u64::MAX,
            other => return refuse(&node.mark, "a whole number", &other, problems),
        };
        let value = u32::try_from(value).ok().filter(|value| range.contains(value));
        if value.is_none() {
            let (least, most) = range.into_inner();
            let most = if most == u32::MAX { String::new() } else { format!(" and at most {most}") };
            problems.add(&node.mark, format!("must be a whole number, at least {least}{most}"));
        }
        value
    }
}

/// Reads a duration: a whole number and `m`, `h` or `d`.
pub(super) fn duration(node: Node, problems: &mut Problems) -> Option<Duration> {
    let text = match node.value {
        Value::Text(text) => text,
        other => return refuse(&node.mark, "a duration such as 24h or 7d", &other, problems),
    };
    let unit = |unit, minutes: u64| Some((text.strip_suffix(unit)?, minutes));
    let parts = unit('m', 1).or_else(|| unit('h', 60)).or_else(|| unit('d', 24 * 60));
    let Some((digits, minutes)) = parts.filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_digit())) else {
        problems.add(&node.mark, "must be a whole number and m, h or d, such as 24h or 7d");
        return None;
    };
    let minutes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(minutes * 60));
    let duration = minutes.map(Duration::from_secs).filter(|duration| DURATIONS.contains(duration));
    if duration.is_none() {
        problems.add(&node.mark, "must be at least 1m and at most 365d");
    }
    duration
}

/// Reads one of some words.
pub(super) fn word<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(Node, &mut Problems) -> Option<T> {
    move |node, problems| {
        let found = match &node.value {
            Value::Text(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        if found.is_none() {
            problems.add(&node.mark, format!("must be {}", choice(words)));
        }
        found.map(|(_, value)| *value)
    }
}

/// Reads with `read` and keeps where it stood.
pub(super) fn located<T>(
    read: impl FnOnce(Node, &mut Problems) -> Option<T>,
) -> impl FnOnce(Node, &mut Problems) -> Option<Located<T>> {
    move |node, problems| {
        let mark = node.mark.clone();
        Some(Located { value: read(node, problems)?, mark })
    }
}

/// Reads a list of some words, each there once; one that is wrong spoils the list.
pub(super) fn words<T: Copy + PartialEq>(
    words: &[(&'static str, T)],
) -> impl FnOnce(Node, &mut Problems) -> Option<Vec<T>> {
    move |node, problems| {
        let mut values = Some(Vec::new());
        for item in list(node, problems)? {
            let mark = item.mark.clone();
            match (word(words)(item, problems), &mut values) {
                (None, _) => values = None,
                (Some(value), Some(values)) if values.contains(&value) => problems.add(&mark, "is listed already"),
                (Some(value), Some(values)) => values.push(value),
                (Some(_), None) => {}
            }
        }
        values
    }
}

/// Says "A, B or C".
fn choice<T>(words: &[(&'static str, T)]) -> String {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

pub(super) fn check_name(name: &Name, problems: &mut Problems) {
    if !is_name(&name.value) {
        let message = "must be lower-case words of a-z and 0-9, joined by - or _, at most 64 bytes in all";
        problems.add(&name.mark, message);
    }
}

/// Returns whether `text` is a name: lower-case words joined by `-` or `_`, the first beginning with a letter, at most
/// 64 bytes.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.split(['-', '_']).all(is_word)
}

fn refuse<T>(mark: &Mark, wanted: &str, found: &Value, problems: &mut Problems) -> Option<T> {
    problems.add(mark, format!("must be {wanted}, not {}", found.kind()));
    None
}
