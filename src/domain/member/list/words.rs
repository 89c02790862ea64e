//! Words by which members are found: the beginnings of what stands in their name and address.

use std::collections::BTreeSet;

use crate::domain::error::{Error, Reason};
use crate::domain::text::folded;

/// Most words that one membership is found by.
const WORDS_MAX: usize = 40;
/// Most bytes of a query.
const QUERY_BYTES_MAX: usize = 200;
/// Most words of a query.
const QUERY_WORDS_MAX: usize = 8;

/// Returns the words that a membership is found by: whatever begins, in its name or its address, after a space or a
/// mark.
///
/// `ada.l@example.test` is found by the beginnings of itself, of `l@example.test`, of `example.test` and of `test`. At
/// most 40 are kept, those of the name first.
#[must_use]
pub fn words(display_name: &str, email_key: &str) -> BTreeSet<String> {
    let name = folded(display_name);
    let texts = name.split_whitespace().chain([email_key]);
    texts.flat_map(beginnings).take(WORDS_MAX).map(str::to_owned).collect()
}

fn beginnings(text: &str) -> impl Iterator<Item = &str> {
    let is_begin = move |at: usize| at == 0 || !text[..at].ends_with(char::is_alphanumeric);
    text.char_indices().filter(move |(at, c)| c.is_alphanumeric() && is_begin(*at)).map(move |(at, _)| &text[at..])
}

/// What somebody looks for: each word must begin some word of the name or the address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    prefixes: Vec<String>,
    /// Whether something was typed that has no letter or digit.
    is_wordless: bool,
}

impl Query {
    /// Takes what a person typed; `field` names the request field in the violation.
    ///
    /// # Errors
    /// - [`Reason::TextMalformed`] above 200 bytes or 8 words, or with control characters.
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        let folded = folded(text);
        let words: Vec<String> = folded
            .split_whitespace()
            .map(|word| word.trim_start_matches(|c: char| !c.is_alphanumeric()))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        if text.len() > QUERY_BYTES_MAX || words.len() > QUERY_WORDS_MAX || text.chars().any(char::is_control) {
            let message = "must be at most 200 bytes and 8 words without control characters";
            return Err(Error::invalid(field, Reason::TextMalformed, message));
        }
        Ok(Self { is_wordless: words.is_empty() && !text.is_empty(), prefixes: words })
    }

    /// Returns the prefixes.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// Returns whether nothing is looked for, so that everybody fits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && !self.is_wordless
    }

    /// Returns whether what is looked for has no letter or digit, so that nobody fits.
    #[must_use]
    pub fn is_wordless(&self) -> bool {
        self.is_wordless
    }

    /// Ensures that the query selects by a word, or is not there at all: what finds nobody in a list is a mistake where
    /// something is done to whoever is found.
    ///
    /// # Errors
    /// - [`Reason::QueryEmpty`].
    pub fn must_have_words(self, field: &str) -> Result<Self, Error> {
        if self.is_wordless {
            return Err(Error::invalid(field, Reason::QueryEmpty, "has no letter or digit, and so selects nobody"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_after_spaces_and_marks() {
        let found = words("Ada O'Neil-Byron", "ada.l@example.test");
        let expected = [
            "ada",
            "ada.l@example.test",
            "byron",
            "example.test",
            "l@example.test",
            "neil-byron",
            "o'neil-byron",
            "test",
        ];
        assert_eq!(found, expected.map(str::to_owned).into());
        assert_eq!(words("JOSE\u{301} \u{ff21}da", ""), ["ada", "jos\u{e9}"].map(str::to_owned).into());
        assert_eq!(words("", "a@b.co"), ["a@b.co", "b.co", "co"].map(str::to_owned).into());
        assert!(words(&"x ".repeat(100), "a@b.co").len() <= WORDS_MAX);
    }

    #[test]
    fn a_query_is_a_few_words_without_case() {
        assert_eq!(Query::parse("query", "  ADA (lo ").unwrap().prefixes(), ["ada", "lo"]);
        assert!(Query::parse("query", "").unwrap().is_empty());
        for wordless in [" . ", "_", " ", "\u{1f642}", "\u{200b}"] {
            let query = Query::parse("query", wordless).unwrap();
            assert!(query.is_wordless() && !query.is_empty(), "{wordless:?}");
            assert_eq!(query.must_have_words("query").unwrap_err().reason, Reason::QueryEmpty);
        }
        assert_eq!(Query::parse("query", "JOSE\u{301}").unwrap().prefixes(), ["jos\u{e9}"]);
        assert!(Query::parse("query", "a b c d e f g h i").is_err());
        assert!(Query::parse("query", "a\u{0}").is_err());
    }
}
