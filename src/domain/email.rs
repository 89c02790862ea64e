//! E-mail addresses: as they are kept, and the one form in which they are compared.
//!
//! One mailbox has one key, however its address is written:
//! - A character that stands for others by compatibility (the Kelvin sign, a long s, what is full width) is refused wherever it
//!   stands, and so is what is drawn as nothing. Then nobody's address looks like another's for such a reason.
//! - The local part is put into NFC and, to be compared, into lower case, as RFC 8265 (3.3) has it for user names. It is a
//!   dot-atom of RFC 5322 with the letters, digits and marks of RFC 6532.
//! - The domain is read by IDNA (UTS 46, not transitional). To be compared it is in A-labels (`xn--…`), to be shown in
//!   U-labels.

use std::borrow::Cow;
use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::error::{Error, Reason};
use super::text::{is_ignorable, is_variant, normalized};

/// Most bytes in an address (RFC 5321, 4.5.3.1.3, less the angle brackets), in each of its forms.
const BYTES_MAX: usize = 254;
/// Most bytes before the @ (RFC 5321, 4.5.3.1.1), in each of its forms.
const LOCAL_BYTES_MAX: usize = 64;
/// Marks that stand in a local part beside letters and digits (RFC 5322, 3.2.3).
const MARKS: &str = "!#$%&'*+-/=?^_`{|}~";
/// Joiners that a domain may hold where its script needs them (RFC 5892, A.1 and A.2).
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// An address that could be delivered to. Its text is personal data: it is never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    text: String,
    key: String,
}

impl Email {
    /// Takes an address as a person wrote it: `local@domain`, without a display name, comments or quotes.
    ///
    /// Spaces around it are dropped. `field` names the request field in the violation.
    ///
    /// # Errors
    /// - [`Reason::EmailMalformed`].
    pub fn parse(field: &str, text: &str) -> Result<Self, Error> {
        let refuse = |message: &str| Error::invalid(field, Reason::EmailMalformed, message);
        let text = text.trim();
        if text.chars().any(is_variant) {
            return Err(refuse("has a character that only stands for another one; write that"));
        }
        Self::read(text).ok_or_else(|| refuse("is not an e-mail address"))
    }

    fn read(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        let local = normalized(local);
        let local_key = if local.is_ascii() {
            local.to_ascii_lowercase()
        } else {
            one_sigma(&local.to_lowercase()).nfc().collect()
        };
        if !is_local_part(&local) || !is_local_part(&local_key) {
            return None;
        }
        let (ascii, shown) = domain_forms(domain)?;
        let (text, key) = (format!("{local}@{shown}"), format!("{local_key}@{ascii}"));
        let longest = local.len().max(local_key.len()) + 1 + ascii.len().max(shown.len());
        // Each form is an address by itself, and the same one.
        let is_whole = longest <= BYTES_MAX && !text.chars().chain(key.chars()).any(is_variant);
        is_whole.then_some(Self { text, key })
    }

    /// Returns the address as it is kept and shown: composed letters in the case that was written, the domain in U-labels.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the canonical form: two addresses are the same if and only if their keys are equal, bytewise. It is an address
    /// by itself, whose key it is.
    ///
    /// Case is folded in both halves. Dots and plus signs stay: what they mean is the mail server's business.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the address as mail servers take it: the domain in A-labels.
    #[must_use]
    pub fn deliverable(&self) -> String {
        let local = self.text.rsplit_once('@').map_or("", |(local, _)| local);
        let domain = self.key.rsplit_once('@').map_or("", |(_, domain)| domain);
        format!("{local}@{domain}")
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// Writes each small sigma in one form: at the end of a word lower case has another, and a capital may have been either.
fn one_sigma(text: &str) -> String {
    text.replace('ς', "σ")
}

fn is_local_part(local: &str) -> bool {
    let is_letter = |c: char| (c.is_alphanumeric() || is_combining_mark(c)) && !is_ignorable(c);
    local.len() <= LOCAL_BYTES_MAX
        && local.split('.').all(|atom| {
            // A mark stands on a letter, and on no dot.
            atom.chars().next().is_some_and(|first| !is_combining_mark(first))
                && atom.chars().all(|c| is_letter(c) || MARKS.contains(c))
        })
}

/// Returns a domain in A-labels and in U-labels: at least two labels of letters, digits and inner hyphens (RFC 1123, 2.1), of
/// which the last is no number.
fn domain_forms(domain: &str) -> Option<(String, String)> {
    if domain.chars().any(|c| is_ignorable(c) && !JOINERS.contains(&c)) {
        return None;
    }
    let (rules, hyphens) = (Uts46::new(), Hyphens::CheckFirstLast);
    let ascii: Cow<'_, str> =
        rules.to_ascii(domain.as_bytes(), AsciiDenyList::STD3, hyphens, DnsLength::Verify).ok()?;
    let is_number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    let (_, last) = ascii.rsplit_once('.')?;
    if is_number(last) {
        return None;
    }
    let (shown, is_right) = rules.to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, hyphens);
    is_right.ok()?;
    Some((ascii.to_string(), shown.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::text::folded;

    fn email(text: &str) -> Email {
        Email::parse("email", text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for right in [
            "ada@example.test",
            " Ada.L+x@Example.Test ",
            "\u{e4}@ex\u{e4}mple.test",
            "a@b.co",
            "a@xn--exmple-cua.test",
            "\u{437}\u{43e}\u{44f}@\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.test",
            "\u{915}\u{94d}\u{937}@example.test",
            "\u{7528}\u{6237}@\u{4f8b}\u{3048}.test",
            "I\u{307}@example.test",
        ] {
            assert!(Email::parse("email", right).is_ok(), "{right:?}");
        }
        let long_local = format!("{}@example.test", "x".repeat(65));
        let long = format!("a@{}.test", vec!["x".repeat(60); 5].join("."));
        for wrong in [
            "",
            "ada",
            "@example.test",
            "ada@",
            "ada@example",
            "a..b@example.test",
            ".a@example.test",
            "a b@example.test",
            "ada@-example.test",
            "ada@example-.test",
            "ada@ex_ample.test",
            "ada@example.test.",
            "ada@127.0.0.1",
            "Ada <ada@example.test>",
            "a@b@c.test\n.x",
            "ada@example.test\r\nBcc: eve@example.test",
            // No such A-label.
            "a@xn--a.test",
            "a@xn--.test",
            // Drawn as nothing, or on what comes before.
            "ad\u{200b}a@example.test",
            "ada\u{fe0f}@example.test",
            "\u{3164}@example.test",
            "\u{301}@example.test",
            "a.\u{301}b@example.test",
            "ada@exam\u{ad}ple.test",
            &long_local,
            &long,
        ] {
            let error = Email::parse("email", wrong).expect_err(wrong);
            assert_eq!(error.reason, Reason::EmailMalformed, "{wrong:?}");
        }
    }

    #[test]
    fn one_mailbox_is_one_address_however_it_is_written() {
        for (one, other) in [
            ("Ada@Example.test", "ada@example.TEST"),
            ("jos\u{e9}@example.test", "jose\u{301}@example.test"),
            ("JOS\u{c9}@example.test", "jose\u{301}@example.test"),
            ("a@ex\u{e4}mple.test", "a@xn--exmple-cua.test"),
            ("a@EXA\u{308}MPLE.test", "a@XN--EXMPLE-CUA.test"),
            ("\u{130}@example.test", "i\u{307}@example.test"),
            ("J\u{30c}@example.test", "\u{1f0}@example.test"),
        ] {
            let (one, other) = (email(one), email(other));
            assert_eq!(one.key(), other.key());
        }
        let written = email(" Jose\u{301}@XN--exmple-CUA.Test");
        assert_eq!(written.text(), "Jos\u{e9}@ex\u{e4}mple.test");
        assert_eq!(written.key(), "jos\u{e9}@xn--exmple-cua.test");
        assert_eq!(written.deliverable(), "Jos\u{e9}@xn--exmple-cua.test");
        assert_ne!(email("a@stra\u{df}e.test").key(), email("a@strasse.test").key());
        assert_ne!(email("\u{df}@example.test").key(), email("ss@example.test").key());
    }

    #[test]
    fn what_only_stands_for_another_character_is_refused() {
        for look_alike in [
            "\u{212a}im@example.test",
            "\u{17f}am@example.test",
            "\u{ff41}da@example.test",
            "o\u{fb03}ce@example.test",
            "ada\u{ff20}example.test",
            "ada@example\u{ff0e}test",
            "ada@e\u{ff58}ample.test",
            "ada@\u{212a}ing.test",
            "x\u{b2}@example.test",
        ] {
            let error = Email::parse("email", look_alike).expect_err(look_alike);
            assert_eq!(error.reason, Reason::EmailMalformed, "{look_alike:?}");
        }
    }

    /// Texts near addresses, of letters that have relatives.
    fn near_an_address() -> impl Strategy<Value = String> {
        let letters = "[a-kA-K.\u{212a}\u{17f}\u{ff21}\u{ff41}\u{e9}\u{c9}e\u{301}\u{308}\u{130}\u{131}\u{df}\u{1e9e}\u{3c3}\u{3c2}\u{3a3}\u{fb01}\u{1f0}J\u{30c}\u{23a}\u{2c65}\u{2126}\u{3c9}\u{915}\u{958}\u{1100}\u{1161}\u{200d}\u{ad}]{1,12}";
        let domains = "[a-eA-E\u{e4}\u{c4}\u{308}\u{df}\u{3c2}\u{3a3}\u{212a}\u{3002}\u{200c}-]{1,10}";
        (letters, domains).prop_map(|(local, domain)| format!("{local}@{domain}.test"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn whatever_parses_has_no_space_or_control_character(text in "\\PC{0,40}|[a-z@. \r\n]{0,40}") {
            if let Ok(email) = Email::parse("email", &text) {
                prop_assert!(!email.key().chars().any(|c| c.is_control() || c.is_whitespace()));
            }
        }

        #[test]
        fn each_form_is_the_same_address_again(text in prop_oneof![near_an_address(), "\\PC{1,20}@\\PC{1,20}\\.test"]) {
            if let Ok(email) = Email::parse("email", &text) {
                for form in [email.text().to_owned(), email.key().to_owned(), email.deliverable()] {
                    let again = Email::parse("email", &form);
                    let again = again.map_err(|error| TestCaseError::fail(format!("{text:?} {form:?}: {error}")))?;
                    prop_assert_eq!(again.key(), email.key());
                }
                let of_key = Email::parse("email", email.key()).expect("it was read just now");
                prop_assert_eq!(of_key.key(), email.key());
                let of_text = Email::parse("email", email.text()).expect("it was read just now");
                prop_assert_eq!(of_text.text(), email.text());
            }
        }

        /// Two that are one by compatibility and case are one address, or one of them is none.
        #[test]
        fn no_look_alike_is_another_address(one in near_an_address(), other in near_an_address(), is_same in any::<bool>()) {
            let other = if is_same { folded(&one) } else { other };
            if let (Ok(first), Ok(second)) = (Email::parse("email", &one), Email::parse("email", &other)) {
                let domain = |email: &Email| email.key().rsplit_once('@').map(|(_, domain)| domain.to_owned());
                let local = |text: &str| text.rsplit_once('@').map(|(local, _)| folded(local));
                let is_one = local(one.trim()) == local(other.trim()) && domain(&first) == domain(&second);
                prop_assert_eq!(is_one, first.key() == second.key(), "{:?} {:?}", one, other);
            }
        }

        /// A written address that differs from its kept form in a variant is refused, and never brought to it in silence.
        #[test]
        fn nothing_that_is_refused_by_compatibility_reaches_an_account(text in near_an_address()) {
            if text.chars().any(is_variant) {
                prop_assert!(Email::parse("email", &text).is_err());
            }
        }
    }
}
