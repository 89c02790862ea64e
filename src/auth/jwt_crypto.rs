//! What `jsonwebtoken` signs and verifies with: Ed25519 (RFC 8037) by `ring`, and nothing else.
//!
//! The backends that it comes with bring RSA, three curves and HMAC, none of which is ever asked for here: what could not be
//! misused had better not be there. Whatever is not Ed25519 is refused with an error.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result, new_error};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| signer(*algorithm, key),
    verifier_factory: |algorithm, key| verifier(*algorithm, key),
    // Asked for JWKs alone, which `SigningKey` writes itself.
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| unsupported(),
        rsa_pub_components_from_public_key: |_| unsupported(),
        ec_pub_components_from_private_key: |_, _| unsupported(),
        ed_pub_components_from_private_key: |_, _| unsupported(),
        compute_digest: |_, _| unsupported(),
    },
};

/// Makes Ed25519 by `ring` what every JWT of this process is signed and verified with. Again, it does nothing.
///
/// The first use of `jsonwebtoken` settles the provider for good, so this comes before: `main` begins with it, and
/// [`Tokens`](super::Tokens) cannot be made without it.
pub fn install_jwt_crypto() {
    // An error says that a provider is there. Whether it works, `Tokens::new` proves.
    let _ = PROVIDER.install_default();
}

fn unsupported<T>() -> Result<T> {
    Err(new_error(ErrorKind::UnsupportedAlgorithm))
}

fn signer(algorithm: Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
        return unsupported();
    }
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes());
    Ok(Box::new(EdDsaSigner(pair.map_err(|_| new_error(ErrorKind::InvalidEddsaKey))?)))
}

fn verifier(algorithm: Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
        return unsupported();
    }
    let key = key.try_get_as_bytes()?.try_into().map_err(|_| new_error(ErrorKind::InvalidEddsaKey))?;
    Ok(Box::new(EdDsaVerifier(UnparsedPublicKey::new(&ED25519, key))))
}

struct EdDsaSigner(Ed25519KeyPair);

impl Signer<Vec<u8>> for EdDsaSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for EdDsaSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct EdDsaVerifier(UnparsedPublicKey<[u8; 32]>);

impl Verifier<Vec<u8>> for EdDsaVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.0.verify(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for EdDsaVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::crypto::{sign, verify};
    use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
    use uuid::Uuid;

    use super::*;
    use crate::auth::SigningKey;

    /// RFC 8037, A.1: the seed, and A.2: the public key.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    /// RFC 8037, A.4: what is signed, and the signature.
    const MESSAGE: &[u8] = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    const OTHERS: [Algorithm; 11] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ];

    fn keys() -> (EncodingKey, DecodingKey) {
        install_jwt_crypto();
        let seed = URL_SAFE_NO_PAD.decode(SEED).expect("base64").try_into().expect("32 bytes");
        let key = SigningKey::from_seed(Uuid::nil(), seed);
        (key.encoding_key(), DecodingKey::from_ed_components(PUBLIC_KEY).expect("base64"))
    }

    #[test]
    fn it_signs_as_rfc_8037_says() {
        assert_eq!(sign(MESSAGE, &keys().0, Algorithm::EdDSA).expect("signed"), SIGNATURE);
    }

    #[test]
    fn it_verifies_what_rfc_8037_has_signed_and_nothing_else() {
        let key = keys().1;
        let verified =
            |signature: &str, message: &[u8]| verify(signature, message, &key, Algorithm::EdDSA).expect("asked");
        assert!(verified(SIGNATURE, MESSAGE));
        assert!(!verified(SIGNATURE, b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd"));
        assert!(!verified(&SIGNATURE[..84], MESSAGE));
        assert!(!verified("", MESSAGE));
    }

    #[test]
    fn any_other_algorithm_is_refused_with_an_error() {
        let (encoding_key, decoding_key) = keys();
        for other in OTHERS {
            let signed = sign(MESSAGE, &encoding_key, other).expect_err("refused");
            assert!(matches!(signed.kind(), ErrorKind::UnsupportedAlgorithm), "{other:?}: {signed}");
            let verified = verify(SIGNATURE, MESSAGE, &decoding_key, other).expect_err("refused");
            assert!(matches!(verified.kind(), ErrorKind::UnsupportedAlgorithm), "{other:?}: {verified}");
        }
    }

    #[test]
    fn a_key_of_another_kind_or_length_is_refused_with_an_error() {
        keys();
        for key in [EncodingKey::from_secret(&[7; 32]), EncodingKey::from_ec_der(&[7; 32])] {
            assert!(sign(MESSAGE, &key, Algorithm::EdDSA).is_err(), "{key:?}");
        }
        assert!(sign(MESSAGE, &EncodingKey::from_ed_der(&[7; 32]), Algorithm::EdDSA).is_err(), "no PKCS #8");
        for key in [
            DecodingKey::from_secret(&[7; 32]),
            DecodingKey::from_rsa_raw_components(&[7; 32], &[3]),
            DecodingKey::from_ed_der(&[7; 31]),
            DecodingKey::from_ed_der(&[7; 33]),
        ] {
            assert!(verify(SIGNATURE, MESSAGE, &key, Algorithm::EdDSA).is_err(), "{key:?}");
        }
    }

    #[test]
    fn what_is_asked_about_jwks_is_refused_with_an_error() {
        let utils = &PROVIDER.key_utils;
        assert!((utils.rsa_pub_components_from_private_key)(&[]).is_err());
        assert!((utils.rsa_pub_components_from_public_key)(&[]).is_err());
        assert!((utils.ec_pub_components_from_private_key)(&[], Algorithm::ES256).is_err());
        assert!((utils.ed_pub_components_from_private_key)(&[], &EllipticCurve::Ed25519).is_err());
        assert!((utils.compute_digest)(&[], ThumbprintHash::SHA256).is_err());
    }
}
