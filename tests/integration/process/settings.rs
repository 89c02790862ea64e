//! Settings: what is misspelt is refused, what is set is never shown, and which database it is is said.

use std::collections::BTreeSet;
use std::path::Path;

use guildhall::config::OF_CLIENTS_AND_TESTS;

use super::program::{Ended, Process, Site};
use super::refusals::assert_refused;
use crate::harness::{Database, cluster_url};
use crate::on_both;

/// Stands in each of the secrets.
const HUNTER: &str = "hunter2";

/// What may be given in a wrong place, or mistyped in the right one.
const SECRETS: [&str; 5] = [
    "postgres://ada:hunter2@127.0.0.1:1/guildhall",
    "postgres://ada:hunter2/x@127.0.0.1:1/guildhall",
    "ada:hunter2",
    "-----BEGIN PRIVATE KEY-----\nhunter2",
    // A key of 32 bytes.
    "hunter2hunter2hunter2hunter2hunter2hunter2g=",
];

/// Tells the options of a command, and the variables that set them, as its help lists them.
async fn listed(command: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let help = Process::start(&[command, "--help"], &[]).ended().await.output;
    let words = || help.split(|letter: char| !(letter.is_ascii_alphanumeric() || "-_".contains(letter)));
    let options = words().filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect();
    let variables = words().filter(|word| word.starts_with("GUILDHALL_") || word.starts_with("OTEL_"));
    (options, variables.map(str::to_owned).collect())
}

/// Runs a command where nothing is made that would last.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let data_dir = ("GUILDHALL_DATA_DIR", data_dir.to_str().unwrap());
    let here = [("GUILDHALL_LISTEN", "127.0.0.1:0"), ("GUILDHALL_HTTP_LISTEN", "127.0.0.1:0"), ("RUST_LOG", "trace")];
    let rest =
        std::iter::once(data_dir).chain(here).filter(|(name, _)| environment.iter().all(|(other, _)| other != name));
    let environment: Vec<(&str, &str)> = rest.chain(environment.iter().copied()).collect();
    Process::start(arguments, &environment).ended().await
}

#[track_caller]
fn assert_unshown(ended: &Ended, how: &str) {
    for (where_to, said) in [("output", &ended.output), ("errors", &ended.errors)] {
        let line = said.lines().find(|line| line.contains(HUNTER));
        assert_eq!(line, None, "{how} is shown in the {where_to}");
    }
    assert!(!ended.errors.contains("panicked"), "{how}: {}", ended.errors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mistake_shows_what_was_given() {
    let (options, variables) = listed("serve").await;
    assert!(options.contains("--database-url") && variables.contains("GUILDHALL_DATABASE_URL"), "{options:?}");
    let options = options.iter().map(|option| option.trim_start_matches('-'));
    let options: Vec<&str> = options.chain(["installation-key"]).collect();
    // Nothing with which it would serve, whatever else is wrong.
    let broken = ("GUILDHALL_MAIL_FROM", "nobody");
    for secret in SECRETS {
        for option in &options {
            let how = format!("--{option}={secret}");
            assert_unshown(&run(&["serve", &how], &[broken]).await, &how);
        }
        for variable in &variables {
            let how = format!("{variable}={secret}");
            let environment =
                if *variable == broken.0 { vec![(broken.0, secret)] } else { vec![broken, (variable, secret)] };
            assert_unshown(&run(&["serve"], &environment).await, &how);
        }
        for arguments in [
            vec![secret],
            vec!["serve", secret],
            vec!["migrate", secret],
            vec!["demo", secret],
            vec!["serve", "--", secret],
            vec!["serve", "--database", secret],
            vec!["serve", &format!("--databaseurl={secret}")],
            vec!["serve", &format!("--database-url:{secret}")],
            vec!["serve", &format!("--{secret}")],
            vec!["serve", &format!("-d{secret}")],
            vec!["serve", "--database-url", "postgres://127.0.0.1/x", "--database-url", secret],
            vec!["demo", &format!("--database-url={secret}")],
            vec!["demo", &format!("--operator-key={secret}"), "--database-url=mysql://"],
            vec!["help", secret],
        ] {
            let how = format!("{arguments:?}");
            assert_unshown(&run(&arguments, &[broken]).await, &how);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_help_shows_nothing_that_is_set() {
    let (_, variables) = listed("serve").await;
    let environment: Vec<(&str, &str)> = variables.iter().map(|name| (name.as_str(), HUNTER)).collect();
    for command in ["serve", "migrate", "demo"] {
        for help in ["--help", "-h"] {
            let ended = Process::start(&[command, help], &environment).ended().await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert_unshown(&ended, "the environment");
        }
    }
}

#[test]
fn debugging_shows_no_secret_of_the_settings() {
    let mut config = guildhall::config::Config::local("data".into());
    config.database_url = Some(SECRETS[0].into());
    config.installation_key = Some(HUNTER.into());
    let settings = guildhall::app::store_settings(&config);
    let told = format!("{config:?} {settings:?} {:?}", settings.location());
    assert!(!told.contains(HUNTER), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_variable_is_refused_before_anything_is_made() {
    let site = Site::bare();
    for (name, meant) in [
        ("GUILDHALL_DATABSE_URL", "did you mean GUILDHALL_DATABASE_URL?"),
        ("GUILDHAL_DATABASE_URL", "did you mean GUILDHALL_DATABASE_URL?"),
        ("guildhall_database_url", "did you mean GUILDHALL_DATABASE_URL?"),
        ("GUILDHALL_INSTALATION_KEY", "did you mean GUILDHALL_INSTALLATION_KEY?"),
        ("GUILDHALL_Q", "no settings"),
    ] {
        for command in ["serve", "migrate"] {
            let arguments = site.arguments(command);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let ended = Process::start(&arguments, &[(name, SECRETS[0])]).ended().await;
            assert_refused(&ended, &[name, meant]);
            assert_unshown(&ended, name);
            assert!(!site.config.data_dir.exists());
        }
    }
}

/// Returns the variables that Kubernetes puts into pods for a Service, as
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables> has it.
fn of_service(name: &str, ports: &[(u16, &str, &str)]) -> Vec<(String, String)> {
    let (name, host) = (name.to_uppercase().replace('-', "_"), "10.0.0.11");
    let mut variables = vec![(format!("{name}_SERVICE_HOST"), host.to_owned())];
    for (at, (port, protocol, word)) in ports.iter().enumerate() {
        let (lower, url) = (protocol.to_lowercase(), format!("{}://{host}:{port}", protocol.to_lowercase()));
        if at == 0 {
            variables.push((format!("{name}_SERVICE_PORT"), port.to_string()));
            variables.push((format!("{name}_PORT"), url.clone()));
        }
        variables.push((format!("{name}_SERVICE_PORT_{}", word.to_uppercase().replace('-', "_")), port.to_string()));
        let prefix = format!("{name}_PORT_{port}_{protocol}");
        variables.push((prefix.clone(), url));
        for (what, value) in [("PROTO", lower), ("PORT", port.to_string()), ("ADDR", host.to_owned())] {
            variables.push((format!("{prefix}_{what}"), value));
        }
    }
    variables
}

/// Tells every variable of ours that the files at or below a path name.
fn variables_at(path: &Path) -> BTreeSet<String> {
    if path.is_dir() {
        let is_made = path.file_name().is_some_and(|name| name == "target");
        let entries = std::fs::read_dir(path).unwrap().filter(|_| !is_made);
        return entries.flat_map(|entry| variables_at(&entry.unwrap().path())).collect();
    }
    let text = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text);
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("GUILDHALL_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kubernetes_sets_for_services_and_readers_export_starts_a_server() {
    let mut environment = of_service("guildhall", &[(50051, "TCP", "grpc"), (8080, "TCP", "http"), (53, "UDP", "dns")]);
    environment.extend(of_service("guildhall-database", &[(5432, "TCP", "sql")]));
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let exported = readme.lines().filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='));
    let exported: Vec<_> = exported.filter(|(name, _)| *name != "PATH").collect();
    assert!(exported.iter().any(|(name, _)| *name == "GUILDHALL_KEY"), "{exported:?}");
    environment.extend(exported.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    environment.extend(OF_CLIENTS_AND_TESTS.map(|name| (name.to_owned(), "1".to_owned())));

    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let site = Site::bare();
    assert!(site.serve_with(&environment).await.operator_key.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_variable_that_the_repository_names_is_a_setting_or_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let parts = ["README.md", "Makefile", ".ci", "benches", "client", "docs", "examples", "scripts"];
    let named: BTreeSet<String> = parts.iter().flat_map(|part| variables_at(&root.join(part))).collect();
    let (_, settings) = listed("serve").await;
    // The last is how docs/operations.md shows what is refused.
    let is_known = |name: &&String| {
        name.ends_with('_')
            || *name == "GUILDHALL_DATABSE_URL"
            || settings.contains(*name)
            || OF_CLIENTS_AND_TESTS.contains(&name.as_str())
            || *name == "GUILDHALL_INSTALLATION_KEY"
    };
    let unknown: Vec<&String> = named.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} would be refused: is it a setting, or does a client or a test read it?");
}

on_both! {
    async fn serve_and_migrate_say_which_database_and_never_the_password(database: Database) {
        let mut site = Site::new(database).await;
        let shown = match database {
            Database::Sqlite => format!("the SQLite database {}/guildhall.sqlite", site.config.data_dir.display()),
            Database::Postgres => {
                let url = site.config.database_url();
                let (_, place) = url.split_once('@').unwrap();
                let (host, name) = place.split_once('/').unwrap();
                site.config.database_url = Some(format!("postgres://postgres:hunter2@{place}").into());
                format!("the PostgreSQL database {name} on {host}")
            }
        };
        let migrated = site.run("migrate", &[]).await;
        assert_eq!(migrated.output, format!("This is {shown}.\nThe schema is up to date.\n"));
        assert_unshown(&migrated, "the password");

        for is_first in [true, false] {
            let server = site.serve_logging("trace").await;
            assert!(server.greeting.contains(&format!("It uses {shown}.\n")), "{}", server.greeting);
            let begins = server.greeting.contains(&format!("It makes a new installation, in {shown}.\n"));
            assert_eq!(begins, is_first, "{}", server.greeting);
            // A call, of which every layer says what it does.
            let request = guildhall::proto::ListCatalogsRequest::default();
            server.anyone().list_catalogs(request).await.expect_err("no credential");
            let ended = server.stop().await;
            assert!(ended.errors.contains("TRACE"));
            assert_unshown(&ended, "the password");
        }
    }

    async fn the_demo_uses_data_of_its_own_whatever_the_environment_says(database: Database) {
        let site = Site::new(database).await;
        let scratch = tempfile::tempdir().unwrap();
        let (url, data_dir) = (site.config.database_url(), site.config.data_dir.join("of-another"));
        let environment = [
            ("TMPDIR", scratch.path().to_str().unwrap()),
            ("GUILDHALL_DATABASE_URL", &url),
            ("GUILDHALL_DATA_DIR", data_dir.to_str().unwrap()),
            ("GUILDHALL_INSTALLATION_KEY", "no key"),
            ("GUILDHALL_INSTALLATION_KEY_FILE", "/dev/null"),
            ("GUILDHALL_KEY", "ghk_of_another"),
            ("GUILDHALL_LISTEN", "192.0.2.1:1"),
            ("GUILDHALL_DATABSE_URL", "misspelt"),
            ("PGHOST", "192.0.2.1"),
        ];
        let ended = Process::start(&["demo"], &environment).ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.output.contains("a server on SQLite listens"), "{ended:?}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        assert!(!data_dir.exists());
        assert!(site.serve().await.operator_key.is_some(), "the demo has left this database alone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_said_so() {
    let site = Site::new(Database::Sqlite).await;
    for command in ["serve", "migrate"] {
        let mut arguments = site.arguments(command);
        arguments.push("--database-url=postgres://ada:hunter2@127.0.0.1:1/guildhall".to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = Process::start(&arguments, &[("RUST_LOG", "trace")]).ended().await;
        assert_refused(
            &ended,
            &["the PostgreSQL database guildhall on 127.0.0.1:1", "connection refused", "is it running?"],
        );
        assert_unshown(&ended, "the password");
    }
    let absent = site.run("serve", &[&format!("--database-url={}", cluster_url("no_such_database"))]).await;
    assert_refused(&absent, &["the PostgreSQL database no_such_database on ", "does not exist"]);
}
