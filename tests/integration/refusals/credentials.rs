//! Credentials that are malformed, unknown, expired, foreign or missing: no call gets through with one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guildhall::auth::Purpose;
use guildhall::config::ACCESS_TOKEN_LIFETIME;
use guildhall::rpc::{Required, Rpc};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use super::{NOBODY, later, revision_of};
use crate::harness::messages::{create_api_key, create_service_account, get_organization, get_resource, register};
use crate::harness::{Database, ManualClock, TestApp, assert_refused, project, raw, reason};
use crate::on_both;

/// Starts a server of another installation.
async fn another_installation() -> TestApp {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let config = Database::Sqlite.config(data_dir.path()).await;
    let clock = ManualClock::new();
    // The first draw is the other installation's: keys of the same seed would be the same keys.
    clock.start();
    TestApp::start_with(config, data_dir, clock).await.unwrap()
}

/// The private key of this installation: the strongest forger there could be.
async fn seed_of(app: &TestApp) -> [u8; 32] {
    let services = app.app.services();
    let keys = services.store.reads().signing_keys().await.unwrap();
    services.sealer.open(Purpose::SigningKey, &keys[0].sealed_private_key).unwrap().try_into().unwrap()
}

/// Reads one part of a JWT.
fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Puts `fields` over those of `value`; null takes one out.
fn with(value: &Value, fields: &Value) -> Value {
    let mut value = value.clone();
    for (name, field) in fields.as_object().unwrap() {
        match field {
            Value::Null => drop(value.as_object_mut().unwrap().remove(name)),
            field => value[name] = field.clone(),
        }
    }
    value
}

fn unsigned(header: &Value, payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(payload))
}

fn signed(header: &Value, payload: &Value, seed: [u8; 32]) -> String {
    let message = unsigned(header, payload);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())))
}

on_both! {
    async fn a_header_that_holds_no_credential_of_ours_is_refused(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let before = revision_of(owner, &organization.id).await;
        let key = app.operator_key();
        let invitation = app.token_mailed_to(&organization.owner.email).await;
        let post = async |header: &[u8]| {
            let message = register(&organization.id, project("alpha"));
            raw::post_message(
                app.app.grpc_address,
                Rpc::RegisterResource.path(),
                &[("authorization", header)],
                &message,
            )
            .await
        };

        for header in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            key.into(),
            "Basic YWRhOnBhc3N3b3Jk".into(),
            format!("Token {key}"),
            format!("Bearer  {key}"),
            format!("Bearer {key},{key}"),
            format!("Bearer\t{key}"),
            format!("Bearer {}", &key[..key.len() - 1]),
            format!("Bearer {key}A"),
            format!("Bearer {}", key.to_uppercase()),
            format!("Bearer ghk_{}", "A".repeat(43)),
            format!("Bearer {invitation}"),
            "Bearer a.b.c".into(),
            "Bearer ..".into(),
            format!("Bearer {}", "A".repeat(5_000)),
            format!("Bearer {}.A.A", "A".repeat(5_000)),
        ] {
            let status = post(header.as_bytes()).await;
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unauthenticated, "CREDENTIAL_INVALID"),
                "{header}"
            );
        }
        assert_eq!(post(b"Bearer \xff\xfe").await.code(), Code::Unauthenticated);
        assert_eq!(revision_of(owner, &organization.id).await, before);

        let right = format!("bEARER {}", owner.credential.as_ref().unwrap());
        assert_eq!(post(right.as_bytes()).await.code(), Code::Ok, "a scheme has no case (RFC 9110, 11.1)");
    }

    async fn a_forged_token_is_refused_and_why_is_not_told(app) {
        let organization = app.found().await;
        let genuine = organization.owner.call.credential.clone().unwrap();
        let (seed, header, payload) = (seed_of(&app).await, part(&genuine, 0), part(&genuine, 1));
        let ask = async |token: &str| app.with(token).get_organization(get_organization(&organization.id)).await;
        ask(&signed(&header, &payload, seed)).await.expect("what this forger signs is as good as genuine");

        let public_key = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().public_key().as_ref().to_vec();
        let symmetric = unsigned(&with(&header, &json!({"alg": "HS256"})), &payload);
        let mac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public_key), symmetric.as_bytes());
        let none = unsigned(&with(&header, &json!({"alg": "none"})), &payload);
        let signature = genuine.rsplit('.').next().unwrap();
        let header_with = |fields: Value| signed(&with(&header, &fields), &payload, seed);
        let payload_with = |fields: Value| signed(&header, &with(&payload, &fields), seed);

        for (name, token) in [
            ("another key", signed(&header, &payload, [7; 32])),
            ("an empty signature", format!("{none}.AA")),
            ("the public key as a secret", format!("{symmetric}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()))),
            (
                "an altered payload",
                format!("{}.{signature}", unsigned(&header, &with(&payload, &json!({"exp": 9_999_999_999_u64})))),
            ),
            ("an unknown key id", header_with(json!({"kid": NOBODY}))),
            ("no key id", header_with(json!({"kid": null}))),
            ("a critical extension", header_with(json!({"crit": ["exp"]}))),
            ("another issuer", payload_with(json!({"iss": "https://elsewhere.example.test"}))),
            ("no issuer", payload_with(json!({"iss": null}))),
            ("another audience", payload_with(json!({"aud": "a-product"}))),
            ("no audience", payload_with(json!({"aud": null}))),
            ("no expiry", payload_with(json!({"exp": null}))),
            ("no session", payload_with(json!({"sid": null}))),
            ("a subject that is no id", payload_with(json!({"sub": "ada"}))),
        ] {
            let status = ask(&token).await.expect_err(name);
            let told = (status.code(), reason(&status), status.message().to_owned());
            let expected = (Code::Unauthenticated, "CREDENTIAL_INVALID".into(), "the access token is not valid".into());
            assert_eq!(told, expected, "{name}");
        }
        assert_refused(ask(&format!("{none}.")).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
        let expired = payload_with(json!({"exp": payload["iat"]}));
        assert_refused(ask(&expired).await, Code::Unauthenticated, "TOKEN_EXPIRED");
    }

    async fn credentials_of_another_installation_are_worth_nothing(app) {
        let organization = app.found().await;
        let elsewhere = another_installation().await;
        let stranger = elsewhere.found().await;
        let token = stranger.owner.call.credential.clone().unwrap();
        assert_eq!(part(&token, 1)["iss"], part(organization.owner.call.credential.as_ref().unwrap(), 1)["iss"]);

        for credential in [elsewhere.operator_key(), token.as_str()] {
            let answer = app.with(credential).get_organization(get_organization(&organization.id)).await;
            assert_refused(answer, Code::Unauthenticated, "CREDENTIAL_INVALID");
        }
    }

    async fn an_expired_credential_is_refused_though_it_was_good_a_moment_ago(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let account = owner.create_service_account(create_service_account(&organization.id, "job")).await.unwrap();
        let request = create_api_key(&organization.id, &account.service_account.unwrap().id);
        let expire_time = Some(later(&app, Duration::from_mins(1)));
        let key = owner.create_api_key(guildhall::proto::CreateApiKeyRequest { expire_time, ..request }).await.unwrap();
        let job = app.with(&key.secret);
        let ask = get_organization(&organization.id);
        let mut stream = owner.stream().await.unwrap();

        app.clock.advance(Duration::from_mins(1) - Duration::from_micros(1));
        job.get_organization(ask.clone()).await.expect("a key that is good for another microsecond");
        app.clock.advance(Duration::from_micros(1));
        assert_refused(job.get_organization(ask.clone()).await, Code::Unauthenticated, "TOKEN_EXPIRED");

        let gone = Duration::from_mins(1) + Duration::from_micros(1);
        app.clock.advance(ACCESS_TOKEN_LIFETIME.saturating_sub(gone));
        owner.get_organization(ask.clone()).await.expect("a token that is good for another microsecond");
        stream.progress(1).await;
        app.clock.advance(Duration::from_micros(1));
        assert_refused(owner.get_organization(ask).await, Code::Unauthenticated, "TOKEN_EXPIRED");
        assert_refused(stream.receive().await, Code::Unauthenticated, "TOKEN_EXPIRED");
        assert_refused(
            owner.register_resource(register(&organization.id, project("alpha"))).await,
            Code::Unauthenticated,
            "TOKEN_EXPIRED",
        );
        let again = app.sign_in(&organization.owner.email, "").await.call;
        assert_refused(
            again.get_resource(get_resource(&organization.id, project("alpha"))).await,
            Code::NotFound,
            "NOT_FOUND",
        );
    }

    async fn without_a_credential_only_what_is_public_answers(app) {
        for rpc in Rpc::ALL {
            let status = raw::post(app.app.grpc_address, rpc.path(), &[], raw::framed(b"")).await;
            let is_public = rpc.required() == Required::Public;
            assert_eq!(status.code() != Code::Unauthenticated, is_public, "{rpc:?}: {status:?}");
            if !is_public {
                assert_eq!(reason(&status), "CREDENTIAL_MISSING", "{rpc:?}");
            }
        }
    }
}
