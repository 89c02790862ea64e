//! The keys that sign access tokens: Ed25519 (RFC 8032), kept as their seeds.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use ring::signature::{Ed25519KeyPair, KeyPair};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};
use uuid::Uuid;

use crate::clock::Env;

/// Bytes of a seed, and of a public key.
const KEY_BYTES: usize = 32;

/// What stands before the seed in PKCS #8 version 1 (RFC 8410, 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A key that signs access tokens (Ed25519).
pub struct SigningKey {
    id: Uuid,
    seed: SecretBox<[u8; KEY_BYTES]>,
    public_key: [u8; KEY_BYTES],
}

impl SigningKey {
    /// Draws a new key; `id` stands in the tokens' header as `kid`.
    #[must_use]
    pub fn generate(id: Uuid, env: &Env) -> Self {
        Self::from_boxed(id, SecretBox::init_with(|| env.random()))
    }

    /// Takes a key that was kept as its seed.
    #[must_use]
    pub fn from_seed(id: Uuid, seed: [u8; KEY_BYTES]) -> Self {
        Self::from_boxed(id, SecretBox::init_with(|| seed))
    }

    fn from_boxed(id: Uuid, seed: SecretBox<[u8; KEY_BYTES]>) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret()).expect("any 32 bytes are a seed");
        let mut public_key = [0; KEY_BYTES];
        public_key.copy_from_slice(pair.public_key().as_ref());
        Self { id, seed, public_key }
    }

    /// Returns what stands in the tokens' header as `kid`.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the 32 bytes that the key is made of. They are kept sealed, and nowhere else.
    #[must_use]
    pub fn seed(&self) -> &[u8] {
        self.seed.expose_secret()
    }

    /// Returns the public half, 32 bytes (RFC 8032, 5.1.5).
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Returns the key in the form that signing takes.
    pub(super) fn encoding_key(&self) -> EncodingKey {
        let der = Zeroizing::new([PKCS8_PREFIX.as_slice(), self.seed()].concat());
        EncodingKey::from_ed_der(&der)
    }

    /// Returns the public half as a JWK (RFC 8037, 2).
    pub(super) fn jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(self.public_key),
            "kid": kid(self.id),
            "use": "sig",
            "alg": "EdDSA",
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Writes an id as it stands in a token's header.
pub(super) fn kid(id: Uuid) -> String {
    id.hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugging_a_key_shows_no_seed() {
        let shown = format!(
            "{:?}",
            SigningKey::from_seed(Uuid::from_u128(0x018f_4e9a_7b3c_7def_8a12_0123_4567_89ab), [7; KEY_BYTES])
        );
        assert_eq!(shown, "SigningKey { id: 018f4e9a-7b3c-7def-8a12-0123456789ab, .. }");
    }
}
