//! Texts as people write them: the one form in which they are kept, and the one in which they are compared.
//!
//! What looks the same to people is written in several ways: composed and decomposed (`é`), wide and narrow (`Ａ`), as a
//! letter and as the sign of a unit (`K` and U+212A). Texts are kept in the composed form (NFC). Names are compared without
//! regard to case and to such variants; addresses refuse the variants, because they name somebody.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization;

use super::error::{Error, Reason};

/// Most bytes of a name.
const NAME_BYTES_MAX: usize = 200;
/// Most bytes of a reason.
const REASON_BYTES_MAX: usize = 1_000;
/// Most bytes of the text of a mail.
const MAIL_BYTES_MAX: usize = 8 * 1024;
/// Drawn as nothing, and yet counted among the symbols: the Braille pattern without dots.
const BLANK: char = '\u{2800}';

/// Returns the form in which a text is kept.
#[must_use]
pub fn normalized(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { text.nfc().collect() }
}

/// Returns the form in which names are compared, searched and sorted: equal for texts that differ in case, in how letters
/// are composed, or in a variant that stands for the same by compatibility.
#[must_use]
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain: String = text.nfkc().collect();
    // A small sigma has another form at the end of a word, which a capital does not have.
    plain.to_lowercase().replace('ς', "σ").nfkc().collect()
}

/// Returns whether a character is never kept in a text that is normalized for compatibility: it stands for others.
#[must_use]
pub fn is_variant(c: char) -> bool {
    !c.is_ascii() && !std::iter::once(c).nfkc().eq(std::iter::once(c))
}

/// Returns whether a character is drawn as nothing where it is not understood, such as a joiner or a selector of variants.
#[must_use]
pub fn is_ignorable(c: char) -> bool {
    !c.is_ascii() && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Returns whether anything of a text can be seen.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    let is_seen = |c: char| {
        let is_format = || CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format;
        !c.is_whitespace() && !c.is_control() && c != BLANK && (c.is_ascii() || !(is_ignorable(c) || is_format()))
    };
    text.chars().any(is_seen)
}

/// Takes a name that must be there.
///
/// # Errors
/// - [`Reason::FieldRequired`] if nothing of it can be seen.
/// - [`Reason::TextMalformed`] above 200 bytes, or with control characters.
pub fn required_name(field: &str, text: &str) -> Result<String, Error> {
    let name = name(field, text)?;
    if name.is_empty() {
        return Err(Error::invalid(field, Reason::FieldRequired, "is required"));
    }
    Ok(name)
}

/// Takes a name that may be empty, in NFC. Spaces around it are dropped; what is drawn as nothing is no name.
///
/// # Errors
/// - [`Reason::TextMalformed`] above 200 bytes, or with control characters.
pub fn name(field: &str, text: &str) -> Result<String, Error> {
    let name = normalized(text.trim());
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = "must be at most 200 bytes without control characters";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(if is_visible(&name) { name } else { String::new() })
}

/// Takes why something is done, which may be empty. Spaces around it are dropped.
///
/// # Errors
/// - [`Reason::TextMalformed`] above 1000 bytes, or with control characters other than line feeds.
pub fn reason(field: &str, text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.len() > REASON_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\n') {
        let message = "must be at most 1000 bytes without control characters but line feeds";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(text.to_owned())
}

/// Takes the text of a mail, which must be there.
///
/// # Errors
/// - [`Reason::FieldRequired`] if there is nothing but spaces.
/// - [`Reason::TextMalformed`] above 8192 bytes, or with control characters other than line ends.
pub fn mail_text(field: &str, text: String) -> Result<String, Error> {
    if text.trim().is_empty() {
        return Err(Error::invalid(field, Reason::FieldRequired, "is required"));
    }
    if text.len() > MAIL_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\n' && c != '\r') {
        let message = "must be at most 8192 bytes without control characters but line ends";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_text_has_one_form() {
        assert_eq!(normalized("e\u{301}"), "\u{e9}");
        assert_eq!(normalized("\u{212a}"), "K");
        assert_eq!(normalized("\u{fb01}\u{2122}"), "\u{fb01}\u{2122}");
        for (one, other) in [
            ("Jose\u{301}", "JOS\u{c9}"),
            ("\u{ff21}dmin", "admin"),
            ("\u{212a}elvin", "kelvin"),
            ("\u{fb01}nance", "FINANCE"),
            ("\u{17f}ales", "Sales"),
            ("J\u{30c}", "\u{1f0}"),
            ("ΟΔΟΣ", "οδοσ"),
            ("ΟΔΟΣ", "οδος"),
        ] {
            assert_eq!(folded(one), folded(other), "{one:?}");
        }
        assert_ne!(folded("stra\u{df}e"), folded("strase"));
    }

    #[test]
    fn what_stands_for_another_character_is_a_variant() {
        for c in
            ['\u{212a}', '\u{17f}', '\u{ff21}', '\u{fb01}', '\u{2126}', '\u{b2}', '\u{a0}', '\u{2460}', '\u{1d4d0}']
        {
            assert!(is_variant(c), "{c:?}");
        }
        for c in ['k', '\u{e9}', '\u{301}', '\u{df}', '\u{3c2}', '\u{44f}', '\u{4e2d}', '\u{1100}', '\u{200d}'] {
            assert!(!is_variant(c), "{c:?}");
        }
    }

    #[test]
    fn what_is_drawn_as_nothing_is_not_seen() {
        for text in [
            "",
            " ",
            "\u{200b}",
            "\u{2060}\u{feff}",
            "\u{3164}",
            "\u{115f}",
            "\u{ad}",
            "\u{e0041}",
            "\u{2800}",
            "\u{202e} ",
        ] {
            assert!(!is_visible(text), "{text:?}");
        }
        for text in ["a", "\u{200b}a", "\u{1f642}", "_", "\u{0915}\u{094d}\u{200d}"] {
            assert!(is_visible(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_form_is_its_own_form(text in any::<String>()) {
            let (kept, compared) = (normalized(&text), folded(&text));
            prop_assert_eq!(normalized(&kept), kept.clone());
            prop_assert_eq!(folded(&compared), compared.clone());
            prop_assert_eq!(folded(&kept), compared);
        }
    }
}
