//! The words of a name, as they are searched: by their beginnings, whatever their case.

use super::error::{Error, Reason};
use super::text::folded;

/// Most words of one name that it is found by, and most words of one query.
const WORDS_MAX: usize = 16;
/// Most bytes of a query.
const QUERY_BYTES_MAX: usize = 200;

/// Returns the words of a name in lower case, each once, in bytewise order; what is neither letter nor digit divides
/// them.
///
/// A name is found by its first 16 words.
#[must_use]
pub fn words(name: &str) -> Vec<String> {
    let folded = folded(name);
    let parts = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut words: Vec<String> = parts.take(WORDS_MAX).map(str::to_owned).collect();
    words.sort();
    words.dedup();
    words
}

/// What is searched for: names with a word that begins with each of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The longest first. Of none, nothing is found.
    prefixes: Vec<String>,
}

impl Query {
    /// Takes a query as a person wrote it; `None` if it is empty. One without a letter or digit finds nothing. `field`
    /// names the request field in the violation.
    ///
    /// # Errors
    /// - [`Reason::TextMalformed`] above 200 bytes.
    pub fn parse(field: &str, text: &str) -> Result<Option<Self>, Error> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(Error::invalid(field, Reason::TextMalformed, "must be at most 200 bytes"));
        }
        let mut prefixes = words(text);
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        Ok((!text.is_empty()).then_some(Self { prefixes }))
    }

    /// Returns whether it has no letter or digit, so that nothing is found.
    #[must_use]
    pub fn is_wordless(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Returns the prefix that the fewest names are likely to have: the longest.
    #[must_use]
    pub fn leading(&self) -> &str {
        self.prefixes.first().map_or("", String::as_str)
    }

    /// Returns the word at which a name is found, if it is.
    #[must_use]
    pub fn found_in(&self, name: &str) -> Option<String> {
        let words = words(name);
        words.iter().find(|word| self.finds_at(&words, word)).cloned()
    }

    /// Returns whether a name with the words `words`, in order, is found at its word `at`: by the leading prefix there
    /// for the first time, and by every other one anywhere.
    #[must_use]
    pub fn finds_at(&self, words: &[String], at: &str) -> bool {
        !self.is_wordless()
            && words.iter().find(|word| word.starts_with(self.leading())).is_some_and(|first| first == at)
            && self.prefixes.iter().all(|prefix| words.iter().any(|word| word.starts_with(prefix.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_words_whatever_stands_between_them() {
        assert_eq!(words("Web-Server (prod) #2, WEB"), ["2", "prod", "server", "web"]);
        assert_eq!(words("Übung ßtraße"), ["ßtraße", "übung"]);
        assert_eq!(words(" -- "), Vec::<String>::new());
        assert_eq!(words(&"a b c d e f g h i j k l m n o p q r".repeat(3)).len(), WORDS_MAX);
    }

    #[test]
    fn a_query_finds_a_name_once_by_the_beginnings_of_its_words() {
        let finds = |query: &str, name: &str| {
            let query = Query::parse("query", query).unwrap().unwrap();
            let words = words(name);
            words.iter().filter(|word| query.finds_at(&words, word)).count()
        };
        assert_eq!(finds("al", "Alpha alphabet"), 1);
        assert_eq!(finds("ALPHA b", "beta alphabet"), 1);
        assert_eq!(finds("alpha c", "beta alphabet"), 0);
        assert_eq!(finds("lpha", "alpha"), 0);
        assert_eq!(Query::parse("query", "").unwrap(), None);
        for wordless in [" - ", "_", " "] {
            assert_eq!(finds(wordless, "alpha beta"), 0, "{wordless:?}");
        }
        assert!(Query::parse("query", &"x".repeat(201)).is_err());
    }
}
