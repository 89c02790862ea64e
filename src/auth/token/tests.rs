use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use super::*;
use crate::clock::SystemEntropy;
use crate::clock::testing::ManualClock;

const ISSUER: &str = "https://guildhall.example.test";
const KEY: Uuid = Uuid::from_u128(0x018f_4e9a_7b3c_7def_8a12_0123_4567_89ab);
const USER: UserId = UserId(Uuid::from_u128(1));
const SESSION: SessionId = SessionId(Uuid::from_u128(2));
const TEN_MINUTES: Duration = Duration::from_mins(10);
/// Half a second past a whole one.
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_500_000);

fn env() -> (Env, Arc<ManualClock>) {
    let clock = ManualClock::at(NOW);
    (Env { clock: clock.clone(), entropy: Arc::new(SystemEntropy) }, clock)
}

fn key() -> SigningKey {
    SigningKey::from_seed(KEY, [7; 32])
}

fn tokens() -> Tokens {
    Tokens::new(ISSUER.to_owned(), vec![key()], TEN_MINUTES, env().0).expect("a key")
}

fn reason(tokens: &Tokens, text: &str) -> Reason {
    tokens.verify(text).expect_err("refused").reason
}

fn payload() -> Value {
    json!({
        "iss": ISSUER, "aud": "guildhall", "sub": USER, "sid": SESSION,
        "iat": 1_800_000_000, "exp": 1_800_000_600,
    })
}

fn header() -> Value {
    json!({ "typ": "JWT", "alg": "EdDSA", "kid": kid(KEY) })
}

/// Signs whatever it is given, with the right key unless told otherwise.
fn forge(header: &Value, payload: &Value, seed: [u8; 32]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())))
}

#[test]
fn a_token_says_what_it_was_issued_for() {
    let tokens = tokens();
    let token = tokens.issue(USER, SESSION).expect("signed");
    let expires_at = Timestamp::from_micros(1_800_000_600_000_000);
    assert_eq!(token.expires_at(), expires_at);
    assert_eq!(tokens.verify(token.text()).expect("valid"), Claims { user: USER, session: SESSION, expires_at });
    assert!(looks_like_jwt(token.text()));
    assert!(!format!("{token:?}").contains(token.text()));
}

#[test]
fn the_forger_of_these_tests_can_make_a_valid_token() {
    assert!(tokens().verify(&forge(&header(), &payload(), [7; 32])).is_ok());
}

#[test]
fn a_token_expires_to_the_microsecond() {
    let (env, clock) = env();
    let tokens = Tokens::new(ISSUER.to_owned(), vec![key()], TEN_MINUTES, env).expect("a key");
    let token = tokens.issue(USER, SESSION).expect("signed");

    clock.advance_short_of(token.expires_at().since(NOW));
    assert!(tokens.verify(token.text()).is_ok());
    for _late in 0..2 {
        clock.tick();
        assert_eq!(reason(&tokens, token.text()), Reason::TokenExpired);
    }
}

#[test]
fn that_it_has_expired_is_told_of_a_genuine_token_alone() {
    let mut expired = payload();
    expired["exp"] = json!(1_799_999_999);
    expired["iat"] = json!(1_799_999_400);
    assert_eq!(reason(&tokens(), &forge(&header(), &expired, [7; 32])), Reason::TokenExpired);
    assert_eq!(reason(&tokens(), &forge(&header(), &expired, [8; 32])), Reason::CredentialInvalid);
}

#[test]
fn a_token_issued_while_a_clock_was_ahead_is_refused_and_not_good_for_as_long_as_it_was_ahead() {
    let (env, clock) = env();
    let tokens = Tokens::new(ISSUER.to_owned(), vec![key()], TEN_MINUTES, env).expect("a key");
    for (ahead, is_good) in [(0, true), (60, true), (61, false), (3_600, false), (30 * 86_400, false)] {
        clock.set(NOW.plus(Duration::from_secs(ahead)));
        let token = tokens.issue(USER, SESSION).expect("signed");
        clock.set(NOW);
        match tokens.verify(token.text()) {
            Ok(_) => assert!(is_good, "{ahead} s ahead"),
            Err(error) => {
                assert_eq!((error.reason, is_good), (Reason::CredentialInvalid, false), "{ahead} s ahead");
            }
        }
    }
}

#[test]
fn no_token_is_good_for_longer_than_the_lifetime() {
    for (iat, exp, is_good) in [
        (1_800_000_000, 1_800_000_600, true),
        (1_800_000_000, 1_800_000_601, false),
        (1_800_000_060, 1_800_000_660, true),
        (1_800_000_061, 1_800_000_600, false),
        (1_799_999_000, 1_800_000_001, false),
        (0, 1_800_000_600, false),
        (i64::MIN, 1_800_000_600, false),
        (i64::MAX, i64::MIN, false),
    ] {
        let mut payload = payload();
        payload["iat"] = json!(iat);
        payload["exp"] = json!(exp);
        let verified = tokens().verify(&forge(&header(), &payload, [7; 32]));
        assert_eq!(verified.is_ok(), is_good, "{iat} to {exp}: {verified:?}");
    }
}

#[test]
fn a_token_of_another_making_is_refused() {
    let tokens = tokens();
    let mut forged = vec![
        ("another key", forge(&header(), &payload(), [8; 32])),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
    ];
    for (what, header) in [
        ("no kid", json!({ "alg": "EdDSA" })),
        ("another kid", json!({ "alg": "EdDSA", "kid": kid(Uuid::from_u128(9)) })),
        ("another algorithm", json!({ "alg": "ES256", "kid": kid(KEY) })),
        ("an unknown algorithm", json!({ "alg": "none", "kid": kid(KEY) })),
        ("a critical extension", json!({ "alg": "EdDSA", "kid": kid(KEY), "crit": ["b64"], "b64": false })),
    ] {
        forged.push((what, forge(&header, &payload(), [7; 32])));
    }
    for (claim, value) in [
        ("iss", json!("https://elsewhere.example.test")),
        ("iss", json!([ISSUER])),
        ("aud", json!("another product")),
        ("aud", json!(["guildhall"])),
        ("sub", json!("ada")),
        ("sid", json!(1)),
        ("iat", json!("yesterday")),
        ("exp", json!("tomorrow")),
        ("exp", json!(i64::MAX)),
        ("exp", json!(-1)),
    ] {
        let mut payload = payload();
        payload[claim] = value;
        forged.push((claim, forge(&header(), &payload, [7; 32])));
    }
    for claim in ["iss", "aud", "sub", "sid", "iat", "exp"] {
        let mut payload = payload();
        payload.as_object_mut().expect("an object").remove(claim);
        forged.push((claim, forge(&header(), &payload, [7; 32])));
    }
    for (what, text) in forged {
        assert_eq!(reason(&tokens, &text), Reason::CredentialInvalid, "{what}: {text}");
    }
}

#[test]
fn an_unsigned_token_is_refused() {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": "none", "kid": kid(KEY) });
    assert_eq!(reason(&tokens(), &format!("{}.{}.", part(header), part(payload()))), Reason::CredentialInvalid);
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let header = json!({ "typ": "JWT", "alg": "HS256", "kid": kid(KEY) });
    let [header, payload] = [header, payload()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{payload}");
    for secret in [key().public_key().to_vec(), URL_SAFE_NO_PAD.encode(key().public_key()).into_bytes()] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let text = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(reason(&tokens(), &text), Reason::CredentialInvalid);
    }
}

#[test]
fn no_character_of_a_token_can_be_altered() {
    let tokens = tokens();
    let token = tokens.issue(USER, SESSION).expect("signed");
    for index in 0..token.text().len() {
        let mut altered = token.text().as_bytes().to_vec();
        altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).expect("ASCII");
        assert_eq!(reason(&tokens, &altered), Reason::CredentialInvalid, "character {index}");
    }
}

#[test]
fn an_oversized_token_is_refused() {
    let mut padded = payload();
    padded["pad"] = json!("x".repeat(TOKEN_BYTES_MAX));
    assert_eq!(reason(&tokens(), &forge(&header(), &padded, [7; 32])), Reason::CredentialInvalid);
}

#[test]
fn an_older_key_verifies_and_the_newest_signs() {
    let (env, _) = env();
    let newer = SigningKey::generate(Uuid::from_u128(5), &env);
    let newer_kid = kid(newer.id());
    let old = tokens().issue(USER, SESSION).expect("signed");
    let tokens = Tokens::new(ISSUER.to_owned(), vec![newer, key()], TEN_MINUTES, env).expect("keys");

    assert!(tokens.verify(old.text()).is_ok());
    let new = tokens.issue(USER, SESSION).expect("signed");
    assert_eq!(jsonwebtoken::decode_header(new.text()).expect("a header").kid, Some(newer_kid));
    assert!(tokens.verify(new.text()).is_ok());
}

#[test]
fn without_a_key_there_are_no_tokens() {
    let refused = Tokens::new(ISSUER.to_owned(), Vec::new(), TEN_MINUTES, env().0).expect_err("refused");
    assert_eq!(refused.reason, Reason::Internal);
}

/// Signed by `PyJWT` 2.15.1 with cryptography 50.0.2, by the key of RFC 8037, A.1:
///
/// ```python
/// seed = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
/// jwt.encode(
///     {"iss": "https://guildhall.example.test", "aud": "guildhall", "iat": 1800000000, "exp": 1800000600,
///      "sub": str(uuid.UUID(int=1)), "sid": str(uuid.UUID(int=2))},
///     Ed25519PrivateKey.from_private_bytes(seed), algorithm="EdDSA",
///     headers={"kid": "018f4e9a-7b3c-7def-8a12-0123456789ab"})
/// ```
const OF_PYJWT: &str = "\
    eyJhbGciOiJFZERTQSIsImtpZCI6IjAxOGY0ZTlhLTdiM2MtN2RlZi04YTEyLTAxMjM0NTY3ODlhYiIsInR5cCI6IkpXVCJ9\
    .eyJpc3MiOiJodHRwczovL2d1aWxkaGFsbC5leGFtcGxlLnRlc3QiLCJhdWQiOiJndWlsZGhhbGwiLCJpYXQiOjE4MDAwMDA\
    wMDAsImV4cCI6MTgwMDAwMDYwMCwic3ViIjoiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAxIiwic2lkIjo\
    iMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAyIn0.GUciaAMZ3ZOpmOoVkmEMV5hSN_ZQHMe-FNostXizfft\
    eKugQjWcSQvpcnWabiPSgd2KT-RJ8pWHA5dOeGWntAg";

#[test]
fn a_token_that_another_library_has_signed_with_the_key_verifies() {
    let tokens = Tokens::new(ISSUER.to_owned(), vec![key_of_rfc_8037()], TEN_MINUTES, env().0).expect("a key");
    let expires_at = Timestamp::from_micros(1_800_000_600_000_000);
    assert_eq!(tokens.verify(OF_PYJWT).expect("valid"), Claims { user: USER, session: SESSION, expires_at });
}

fn key_of_rfc_8037() -> SigningKey {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64");
    SigningKey::from_seed(KEY, seed.try_into().expect("32 bytes"))
}

#[test]
fn the_public_half_is_published_as_rfc_8037_says() {
    // RFC 8037, A.1 and A.2.
    let key = key_of_rfc_8037();
    assert_eq!(URL_SAFE_NO_PAD.encode(key.seed()), "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let tokens = Tokens::new(ISSUER.to_owned(), vec![key], TEN_MINUTES, env().0).expect("a key");
    let expected = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
        "kid": "018f4e9a-7b3c-7def-8a12-0123456789ab",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }] });
    assert_eq!(tokens.jwks(), expected);
}

proptest! {
    #[test]
    fn any_text_can_be_verified(text in "\\PC{0,200}|([A-Za-z0-9_-]{0,60}\\.){2}[A-Za-z0-9_-]{0,90}") {
        prop_assert_eq!(reason(&tokens(), &text), Reason::CredentialInvalid);
        let _ = looks_like_jwt(&text);
    }

    #[test]
    fn any_json_can_be_verified(header in "\\PC{0,60}", payload in "\\PC{0,60}", signature: Vec<u8>) {
        let parts = [header.as_bytes(), payload.as_bytes(), &signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        prop_assert_eq!(reason(&tokens(), &parts.join(".")), Reason::CredentialInvalid);
    }
}
