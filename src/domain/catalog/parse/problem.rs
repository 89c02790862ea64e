//! What is wrong with a catalog, and where: gathered, so that its author learns all of it at once.

use std::fmt;

/// Above this many problems no further spelling is suggested: each costs a comparison with every known name.
const SUGGESTIONS_MAX: usize = 32;

/// A catalog that cannot be used, with everything that is wrong with it.
///
/// Displays one problem a line, as in
/// `shop.yaml:12:5: roles.admin.may_grant[1]: no role "adminn"; did you mean "admin"?`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.lines())]
pub struct CatalogError {
    source_name: String,
    problems: Vec<Problem>,
}

impl CatalogError {
    /// Returns the name of the text, as [`parse`](super::parse) was told it.
    #[must_use]
    pub fn source_name(&self) -> &str {
        &self.source_name
    }

    /// Returns every problem, in the order of the text; there is at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn lines(&self) -> String {
        let lines = self.problems.iter().map(|problem| format!("{}:{problem}", self.source_name));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// One thing that is wrong with a catalog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Line in the text; the first is 1.
    pub line: u64,
    /// Column in characters; the first is 1.
    pub column: u64,
    /// Path of the field, as in `roles.admin.may_grant[1]`; empty for the catalog as a whole.
    pub field: String,
    /// Why, for people: lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Where something stands in the text.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// Path of the field.
    pub field: String,
}

impl Mark {
    /// The start of the text.
    pub fn start() -> Self {
        Self { line: 1, column: 1, field: String::new() }
    }

    /// Returns the same spot under the path of a field below.
    pub fn below(&self, key: &str) -> Self {
        Self { field: join(&self.field, key), ..*self }
    }
}

/// Returns the path of `key` below `path`; what is no plain word is quoted, as in `permissions["task.view"]`.
pub(super) fn join(path: &str, key: &str) -> String {
    let is_word =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match (is_word, path.is_empty()) {
        (true, true) => shorten(key),
        (true, false) => format!("{path}.{}", shorten(key)),
        (false, _) => format!("{path}[{:?}]", shorten(key)),
    }
}

/// Keeps a path or message readable whatever somebody wrote as a name.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Gathers problems.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, mark: &Mark, message: impl Into<String>) {
        let Mark { line, column, field } = mark.clone();
        self.0.push(Problem { line, column, field, message: message.into() });
    }

    /// Notes that nothing is called `name`, and what may have been meant.
    pub fn unknown<'a>(&mut self, mark: &Mark, noun: &str, name: &str, known: impl Iterator<Item = &'a str>) {
        let close = if self.0.len() < SUGGESTIONS_MAX { closest(name, known) } else { None };
        let hint = close.map_or_else(String::new, |close| format!("; did you mean {close:?}?"));
        self.add(mark, format!("no {noun} {:?}{hint}", shorten(name)));
    }

    /// Returns `value` if nothing was wrong.
    pub fn finish<T>(mut self, source_name: &str, value: Option<T>) -> Result<T, CatalogError> {
        self.0.sort_by_key(|problem| (problem.line, problem.column));
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(CatalogError { source_name: source_name.to_owned(), problems: self.0 }),
        }
    }
}

/// Returns the known name that is fewest edits away, if a third of its letters at the most differ.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let within = |other: &str| name.len() <= 129 && name.len().abs_diff(other.len()) <= other.len() / 3;
    let near = known.filter(|other| within(other)).map(|other| (strsim::levenshtein(name, other), other));
    near.filter(|(edits, other)| *edits <= (other.len() / 3).max(1)).min().map(|(_, other)| other)
}
