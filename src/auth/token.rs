//! Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037). They say who, in which session and until when, and
//! hold no permission: those are asked, not carried.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::jwt_crypto::install_jwt_crypto;
use super::signing_key::{SigningKey, kid};
use crate::clock::Env;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::{AHEAD_MAX, Timestamp};

/// Most bytes of an access token; a longer text is refused unread.
const TOKEN_BYTES_MAX: usize = 4_096;

/// The audience of the tokens that Guildhall's own RPCs take.
const AUDIENCE: &str = "guildhall";

/// An access token that was just made.
pub struct AccessToken {
    text: SecretString,
    expires_at: Timestamp,
}

impl AccessToken {
    /// Returns the token for its bearer; never into a log, an error or a change.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// Returns from when on it is refused; a whole second.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What a valid access token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claims {
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// From when on the token is refused.
    pub expires_at: Timestamp,
}

/// The claims as they stand in a token; all are required, and an audience or issuer is one text.
#[derive(serde::Serialize, serde::Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    /// Seconds since the Unix epoch.
    iat: i64,
    /// Seconds since the Unix epoch.
    exp: i64,
}

/// Makes and verifies access tokens. Cloning it is cheap.
#[derive(Clone)]
pub struct Tokens {
    shared: Arc<Shared>,
}

struct Shared {
    issuer: String,
    lifetime: Duration,
    env: Env,
    signer: EncodingKey,
    header: Header,
    /// Each with its `kid`.
    verifiers: Vec<(String, DecodingKey)>,
    validation: Validation,
    jwks: serde_json::Value,
}

impl Tokens {
    /// Takes the installation's keys, newest first: that one signs, all of them verify. No token is good for longer
    /// than
    /// `lifetime`.
    ///
    /// Signs and verifies once, so that a backend that cannot is found at start and not by a caller.
    ///
    /// # Errors
    /// - [`Reason::Internal`] if there is no key, or signing does not work.
    pub fn new(issuer: String, keys: Vec<SigningKey>, lifetime: Duration, env: Env) -> Result<Self, Error> {
        install_jwt_crypto();
        let newest = keys.first().ok_or_else(|| Error::internal("there is no key to sign access tokens with"))?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid(newest.id()));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // These would read the system's clock, and allow a minute's leeway: `verify` asks our clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let signer = newest.encoding_key();
        let jwks = serde_json::json!({ "keys": keys.iter().map(SigningKey::jwk).collect::<Vec<_>>() });
        let verifier = |key: SigningKey| (kid(key.id()), DecodingKey::from_ed_der(key.public_key()));
        let verifiers = keys.into_iter().map(verifier).collect();
        let shared = Shared { issuer, lifetime, env, signer, header, verifiers, validation, jwks };
        let tokens = Self { shared: Arc::new(shared) };
        let nobody = Payload {
            iss: tokens.shared.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: UserId(Uuid::nil()),
            sid: SessionId(Uuid::nil()),
            iat: 0,
            exp: 0,
        };
        let proof = Zeroizing::new(tokens.sign(&nobody)?);
        tokens.payload(&proof).ok_or_else(|| Error::internal("a signature that was just made does not verify"))?;
        Ok(tokens)
    }

    /// Makes a token for `user` in `session`. It lapses with the last whole second of the lifetime.
    ///
    /// # Errors
    /// - [`Reason::Internal`] if signing does not work.
    pub fn issue(&self, user: UserId, session: SessionId) -> Result<AccessToken, Error> {
        let now = self.shared.env.now();
        let exp = seconds(now.plus(self.shared.lifetime));
        let payload = Payload {
            iss: self.shared.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: session,
            iat: seconds(now),
            exp,
        };
        let text = self.sign(&payload)?;
        let expires_at = instant(exp).ok_or_else(|| Error::internal("the expiry is out of range"))?;
        Ok(AccessToken { text: text.into(), expires_at })
    }

    /// Verifies a token and gives what it says. Whether its session still counts is not known here.
    ///
    /// # Errors
    /// - [`Reason::TokenExpired`] once `now >= expires_at`, if everything else is right.
    /// - [`Reason::CredentialInvalid`] for anything this installation did not sign for itself, that was issued more
    ///   than a minute from now, or that would be good for longer than it ever lets one be.
    pub fn verify(&self, text: &str) -> Result<Claims, Error> {
        let now = self.shared.env.now();
        let claims = self.payload(text).filter(|payload| self.is_timely(payload, now)).and_then(|payload| {
            Some(Claims { user: payload.sub, session: payload.sid, expires_at: instant(payload.exp)? })
        });
        let Some(claims) = claims else {
            return Err(Error::new(Reason::CredentialInvalid, "the access token is not valid"));
        };
        if now >= claims.expires_at {
            return Err(Error::new(Reason::TokenExpired, "the access token has expired"));
        }
        Ok(claims)
    }

    /// Returns the public halves as a JWK set (RFC 7517, 5), the one that signs now first.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        self.shared.jwks.clone()
    }

    fn sign(&self, payload: &Payload) -> Result<String, Error> {
        jsonwebtoken::encode(&self.shared.header, payload, &self.shared.signer).map_err(Error::internal)
    }

    /// Returns whether a token can be of now: one that was issued while a clock was ahead would be good for as long as
    /// the clock was ahead, and ours.
    fn is_timely(&self, payload: &Payload, now: Timestamp) -> bool {
        let lifetime = i64::try_from(self.shared.lifetime.as_secs()).unwrap_or(i64::MAX);
        instant(payload.iat).is_some_and(|issued_at| issued_at <= now.plus(AHEAD_MAX))
            && payload.exp.checked_sub(payload.iat).is_some_and(|good_for| good_for <= lifetime)
    }

    /// Reads what one of our keys has signed, expired or not.
    ///
    /// Why a token is refused is told to nobody: it would help only who forges.
    fn payload(&self, text: &str) -> Option<Payload> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let header = jsonwebtoken::decode_header(text).ok()?;
        // We know no extension that could be critical (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return None;
        }
        let kid = header.kid?;
        let (_, key) = self.shared.verifiers.iter().find(|(id, _)| *id == kid)?;
        let token = jsonwebtoken::decode::<Payload>(text, key, &self.shared.validation).ok()?;
        Some(token.claims)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.shared.issuer).finish_non_exhaustive()
    }
}

fn seconds(instant: Timestamp) -> i64 {
    instant.as_micros().div_euclid(1_000_000)
}

fn instant(seconds: i64) -> Option<Timestamp> {
    seconds.checked_mul(1_000_000).map(Timestamp::from_micros)
}

/// Returns whether `text` has the shape of a signed JWT: three parts of base64url (RFC 7515, 7.1).
#[must_use]
pub fn looks_like_jwt(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests;
