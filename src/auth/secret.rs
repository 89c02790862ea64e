//! Bearer secrets: texts that prove something by being known. Only their hash is kept.
//!
//! They hold 256 random bits, so a plain SHA-256 protects them at rest and a look-up by the hash compares them. A new
//! kind is a variant of [`SecretKind`] with a prefix of its own, by which scanners and people recognise it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::clock::Env;

/// Random bytes in a secret.
const RANDOM_BYTES: usize = 32;

/// What a secret opens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SecretKind {
    /// Authenticates a service account.
    ApiKey,
    /// Accepts an invitation, once.
    Invitation,
    /// Tells that somebody has signed in here before. It signs nobody in.
    Device,
}

impl SecretKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: &[Self] = &[Self::ApiKey, Self::Invitation, Self::Device];

    /// Returns what the texts of this kind begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "ghk_",
            Self::Invitation => "ghi_",
            Self::Device => "ghd_",
        }
    }
}

/// A bearer secret that was just made; shown once, then only its hash is known.
pub struct Secret {
    kind: SecretKind,
    text: SecretString,
}

impl Secret {
    /// Draws a new secret: the kind's prefix and 32 random bytes as unpadded base64url (RFC 4648, 5), 47 characters.
    #[must_use]
    pub fn new(env: &Env, kind: SecretKind) -> Self {
        let random = env.random::<RANDOM_BYTES>();
        let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random));
        Self { kind, text: text.into() }
    }

    /// Returns what the secret opens.
    #[must_use]
    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    /// Returns the text for its bearer. It goes out once: never into a log, an error or a change.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// Returns what is kept of the secret: the SHA-256 of its whole text.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash_of(self.text())
    }
}

/// A link that carries a bearer secret; shown once, like the secret.
#[derive(Clone)]
pub struct SecretLink(SecretString);

impl SecretLink {
    /// Returns `before`, followed by the text of the secret.
    #[must_use]
    pub fn new(before: &str, secret: &Secret) -> Self {
        Self(format!("{before}{}", secret.text()).into())
    }

    /// Returns the text for its bearer, as [`Secret::text`].
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A secret that a caller presents: a password, or a token. From the moment that its message is decoded it has this
/// type, so that nothing writes it out; its memory is overwritten when it is dropped.
#[derive(Clone, Default)]
pub struct Presented(SecretString);

impl Presented {
    /// Returns the text, to be verified or hashed: never into a log, an error or a change.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the hash by which a token of one kind is looked up; `None` for what is no such token.
    #[must_use]
    pub fn hash_of_kind(&self, kind: SecretKind) -> Option<[u8; 32]> {
        (kind_of(self.text()) == Some(kind)).then(|| hash_of(self.text()))
    }
}

impl From<String> for Presented {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(…)")
    }
}

impl fmt::Debug for SecretLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretLink(…)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}…)", self.kind.prefix())
    }
}

/// Returns the SHA-256 of a secret's whole text, by which it is looked up.
#[must_use]
pub fn hash_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Returns which kind of secret `text` could be: its prefix, length and alphabet fit. Nothing else is known of it.
#[must_use]
pub fn kind_of(text: &str) -> Option<SecretKind> {
    let fits = |kind: &&SecretKind| {
        let random = text.strip_prefix(kind.prefix()).and_then(|random| URL_SAFE_NO_PAD.decode(random).ok());
        random.is_some_and(|random| random.len() == RANDOM_BYTES)
    };
    SecretKind::ALL.iter().find(fits).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_secret_is_of_its_kind_and_unlike_any_other() {
        let env = Env::system();
        for &kind in SecretKind::ALL {
            let secret = Secret::new(&env, kind);
            assert_eq!(secret.kind(), kind);
            assert_eq!(kind_of(secret.text()), Some(kind));
            assert_eq!(secret.text().len(), 47);
            assert_eq!(secret.hash(), hash_of(secret.text()));
            assert_ne!(secret.hash(), Secret::new(&env, kind).hash());
        }
    }

    #[test]
    fn debugging_a_secret_does_not_show_it() {
        let secret = Secret::new(&Env::system(), SecretKind::ApiKey);
        assert_eq!(format!("{secret:?}"), "Secret(ghk_…)");
    }

    #[test]
    fn the_hash_is_sha_256_of_the_whole_text() {
        // FIPS 180-2, B.1.
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(hash_of("abc"), expected);
    }

    #[test]
    fn what_is_no_secret_has_no_kind() {
        let random = "A".repeat(43);
        assert_eq!(kind_of(&format!("ghk_{random}")), Some(SecretKind::ApiKey));
        let short = "A".repeat(42);
        for wrong in [
            String::new(),
            "ghk_".to_owned(),
            random.clone(),
            format!("ghx_{random}"),
            format!("GHK_{random}"),
            format!("ghk_{short}"),
            format!("ghk_{random}A"),
            format!("ghk_{random}="),
            format!("ghk_{short}+"),
            format!(" ghk_{random}"),
            // The last character carries four bits; the other two are zero.
            format!("ghk_{short}B"),
        ] {
            assert_eq!(kind_of(&wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked_for_its_kind(text in "(ghk_|ghi_|ghd_)?\\PC{0,60}") {
            if let Some(kind) = kind_of(&text) {
                prop_assert_eq!(text.len(), 47);
                prop_assert!(text.starts_with(kind.prefix()));
            }
        }
    }
}
