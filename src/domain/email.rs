//! E-mail addresses: as written, and the one form in which they are compared.

use std::fmt;

use super::error::{Error, Reason};

/// Most bytes in an address (RFC 5321, 4.5.3.1.3, less the angle brackets).
const BYTES_MAX: usize = 254;

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
        let text = text.trim();
        if !is_address(text) {
            return Err(Error::invalid(field, Reason::EmailMalformed, "is not an e-mail address"));
        }
        Ok(Self { text: text.to_owned(), key: text.to_lowercase() })
    }

    /// Gives the address as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives the canonical form: two addresses are the same if and only if their keys are equal, bytewise.
    ///
    /// Case is folded in both halves. Dots and plus signs stay: what they mean is the mail server's business.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    text.len() <= BYTES_MAX && is_local_part(local) && is_domain(domain)
}

/// A dot-atom (RFC 5322, 3.2.3), letters beyond ASCII allowed (RFC 6531).
fn is_local_part(local: &str) -> bool {
    local.len() <= 64
        && local.split('.').all(|atom| {
            !atom.is_empty()
                && atom.chars().all(|c| c.is_alphanumeric() || (c.is_ascii() && "!#$%&'*+-/=?^_`{|}~".contains(c)))
        })
}

/// At least two labels of letters, digits and inner hyphens (RFC 1123, 2.1); the last is no number.
fn is_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    labels.len() >= 2
        && labels.iter().all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
        && !labels.last().is_some_and(|label| label.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for right in ["ada@example.test", " Ada.L+x@Example.Test ", "ä@exämple.test", "a@b.co"] {
            assert!(Email::parse("email", right).is_ok(), "{right:?}");
        }
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
            "ada@127.0.0.1",
            "Ada <ada@example.test>",
            "a@b@c.test\n.x",
            "ada@example.test\r\nBcc: eve@example.test",
        ] {
            let error = Email::parse("email", wrong).expect_err(wrong);
            assert_eq!(error.reason, Reason::EmailMalformed, "{wrong:?}");
        }
    }

    #[test]
    fn case_does_not_make_another_address() {
        let one = Email::parse("email", "Ada@Example.test").expect("an address");
        let two = Email::parse("email", "ada@example.TEST").expect("an address");
        assert_eq!(one.key(), two.key());
        assert_eq!(one.text(), "Ada@Example.test");
    }

    proptest! {
        #[test]
        fn whatever_parses_has_no_space_or_control_character(text in "\\PC{0,40}|[a-z@. \r\n]{0,40}") {
            if let Ok(email) = Email::parse("email", &text) {
                prop_assert!(!email.key().chars().any(|c| c.is_control() || c.is_whitespace()));
                prop_assert!(Email::parse("email", email.key()).is_ok());
            }
        }
    }
}
