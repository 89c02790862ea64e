//! Starts that succeed.

use super::program::{Process, Site};
use crate::harness::messages::{get_organization, get_resource, register};
use crate::harness::project;
use crate::on_both;

on_both! {
    async fn the_first_start_tells_the_operators_key_once_and_the_second_finds_everything(database: Database) {
        let site = Site::new(database).await;
        let server = site.serve().await;
        let key = server.operator_key.clone().expect("the first start tells it");
        assert_eq!(server.greeting.matches(&key).count(), 1);
        let organization = server.found(&key, "ada@example.test").await;
        let token = organization.owner.call.credential.clone().unwrap();
        let alpha = register(&organization.id, project("alpha"));
        let revision = organization.owner.call.register_resource(alpha).await.unwrap().revision;
        let keys = server.get("/.well-known/jwks.json");
        assert_eq!(server.stop().await.code, Some(0));

        let server = site.serve().await;
        assert_eq!(server.operator_key, None);
        assert!(!server.greeting.contains("ghk_"), "{}", server.greeting);
        server.with(&key).get_organization(get_organization(&organization.id)).await.expect("the operator's key stays");
        let found = server.with(&token).get_resource(get_resource(&organization.id, project("alpha"))).await;
        assert_eq!(found.expect("the session stays").revision, revision);
        assert_eq!(server.get("/.well-known/jwks.json"), keys);
        server.sign_in("ada@example.test", "").await;
    }

    async fn signs_of_life_metrics_and_keys_are_given_over_http(database: Database) {
        let server = Site::new(database).await.serve().await;
        assert_eq!(server.get("/healthz"), (200, "ok\n".into()));
        let (status, detail) = server.get("/readyz");
        assert_eq!((status, detail.lines().next()), (200, Some("ready")), "{detail}");
        for worker in ["log", "deliveries", "activity", "removals", "keys"] {
            assert!(detail.contains(&format!("\nworker {worker}: progress ")), "{detail}");
        }
        assert_eq!(server.get("/no-such-page").0, 404);

        let (status, metrics) = server.get("/metrics");
        assert_eq!((status, metrics.lines().last()), (200, Some("# EOF")));
        for name in ["rpc_calls_total{", "log_age_seconds", "round_age_seconds", "worker_stuck{worker=\"log\"} 0"] {
            assert!(metrics.contains(&format!("guildhall_{name}")), "{metrics}");
        }

        let (status, keys) = server.get("/.well-known/jwks.json");
        let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
        let fields: Vec<&str> = keys["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!((status, fields), (200, vec!["alg", "crv", "kid", "kty", "use", "x"]), "no private half");
    }

    async fn migrate_can_be_run_before_a_server_and_again(database: Database) {
        let site = Site::new(database).await;
        let arguments = site.arguments("migrate");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let database = guildhall::app::store_settings(&site.config).location().unwrap();
        let said = format!("This is {database}.\nThe schema is up to date.\n");
        for _ in 0..2 {
            let ended = Process::start(&arguments, &[]).ended().await;
            assert_eq!((ended.code, ended.output.as_str()), (Some(0), said.as_str()), "{ended:?}");
        }
        assert!(site.serve().await.operator_key.is_some(), "it makes no installation");
    }

    async fn the_demo_succeeds_and_leaves_nothing_behind(database: Database) {
        let site = Site::new(database).await;
        let scratch = tempfile::tempdir().unwrap();
        // What stays in PostgreSQL needs a key that stays.
        let data_dir = format!("--data-dir={}", site.config.data_dir.display());
        let url = (!site.config.is_embedded()).then(|| format!("--database-url={}", site.config.database_url()));
        let kept = url.iter().flat_map(|url| [url.as_str(), &data_dir]);
        let arguments: Vec<&str> = std::iter::once("demo").chain(kept).collect();
        let ended = Process::start(&arguments, &[("TMPDIR", scratch.path().to_str().unwrap())]).ended().await;

        assert_eq!(ended.code, Some(0), "{ended:?}");
        let last = ended.output.lines().last().unwrap();
        assert!(last.starts_with("All ") && last.contains("steps did what they promise"), "{last}");
        assert!(!ended.errors.contains("WARN") && !ended.errors.contains("ERROR"), "{}", ended.errors);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
