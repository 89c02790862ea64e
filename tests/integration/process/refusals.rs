//! Starts that are refused: each says why in one sentence, ends with code 1, and changes nothing.

use std::net::TcpListener;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sea_orm::{ConnectionTrait, Database as Connection, Statement};

use super::program::{Ended, Site};
use crate::harness::Database;
use crate::on_both;

/// Asserts that a start was refused, and that it says so with these words.
#[track_caller]
pub fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""), "{ended:?}");
    let sentence = ended.errors.lines().last().unwrap_or_default();
    assert!(sentence.starts_with("guildhall: "), "{ended:?}");
    for word in words {
        assert!(sentence.contains(word), "{word:?} is not in {sentence:?}");
    }
    assert!(!ended.errors.contains("panicked") && !ended.errors.contains("ERROR"), "{}", ended.errors);
}

/// Tells every table with its number of rows.
async fn tables(site: &Site) -> Vec<(String, i64)> {
    let db = Connection::connect(site.config.database_url()).await.unwrap();
    let backend = db.get_database_backend();
    let names = if site.config.is_embedded() {
        "select name from sqlite_master where type = 'table' order by name"
    } else {
        "select table_name as name from information_schema.tables where table_schema = current_schema() order by 1"
    };
    let mut tables = Vec::new();
    for row in db.query_all_raw(Statement::from_string(backend, names)).await.unwrap() {
        let name: String = row.try_get("", "name").unwrap();
        let count = Statement::from_string(backend, format!("select count(*) as n from {name}"));
        let row = db.query_one_raw(count).await.unwrap().unwrap();
        tables.push((name, row.try_get("", "n").unwrap()));
    }
    db.close().await.unwrap();
    tables
}

/// Runs one statement on the database of a site that nobody serves.
pub async fn execute(site: &Site, sql: &str) {
    let db = Connection::connect(site.config.database_url()).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

/// Returns the embedded database's file, byte by byte.
fn bytes(site: &Site) -> Vec<u8> {
    std::fs::read(site.config.data_dir.join("guildhall.sqlite")).unwrap()
}

/// Asserts that there is the key, which the harness has made, and nothing else.
#[track_caller]
fn assert_untouched(site: &Site) {
    let files = std::fs::read_dir(&site.config.data_dir).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(files.collect::<Vec<_>>(), ["installation.key"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_said_so_without_its_password() {
    let site = Site::new(Database::Sqlite).await;
    for url in [
        "postgres://guildhall:hunter2@127.0.0.1:1/guildhall".to_owned(),
        "postgres://guildhall:hunter2@no-such-host.invalid/guildhall".to_owned(),
        crate::harness::cluster_url("no_such_database"),
    ] {
        let ended = site.run("serve", &[&format!("--database-url={url}")]).await;
        assert_refused(&ended, &["the database cannot be reached"]);
        assert!(!ended.errors.contains("hunter2"), "{}", ended.errors);
    }
}

#[tokio::test]
async fn a_database_of_another_kind_is_refused() {
    let site = Site::new(Database::Sqlite).await;
    for url in ["mysql://root@127.0.0.1/guildhall", "guildhall.sqlite", "/var/lib/guildhall", "://", ""] {
        for command in ["serve", "migrate"] {
            let ended = site.run(command, &[&format!("--database-url={url}")]).await;
            assert_refused(&ended, &["must begin with postgres:// or sqlite://"]);
        }
    }
    assert_untouched(&site);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    let site = Site::new(Database::Sqlite).await;
    site.serve().await.stop().await;
    let good = bytes(&site);
    let header = &good[..100];
    let noise: Vec<u8> = (0..good.len()).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
    let path = site.config.data_dir.join("guildhall.sqlite");

    for (name, bad) in [
        ("text", b"this is no database\n".to_vec()),
        ("noise", noise.clone()),
        ("noise after a good header", [header, &noise[100..]].concat()),
        ("a good header alone", header.to_vec()),
        ("half a page", good[..2_000].to_vec()),
        ("no schema page", [&good[..100], &vec![0; 3_996], &good[4_096..]].concat()),
    ] {
        std::fs::write(&path, &bad).unwrap();
        let ended = site.run("serve", &[]).await;
        println!("{name}: {}", ended.errors);
        assert_refused(&ended, &["the database cannot be read"]);
        assert_eq!(bytes(&site), bad, "{name}");
    }
    std::fs::write(&path, &good).unwrap();
    site.serve().await;
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused_and_the_first_goes_on() {
    let site = Site::new(Database::Sqlite).await;
    let first = site.serve().await;
    for command in ["serve", "migrate"] {
        assert_refused(&site.run(command, &[]).await, &["another guildhall uses"]);
    }
    assert_eq!(first.get("/readyz").0, 200);
    first.found(first.operator_key.as_ref().unwrap(), "ada@example.test").await;
}

#[tokio::test]
async fn a_port_in_use_is_refused_before_the_data_is_touched() {
    let site = Site::new(Database::Sqlite).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--http-listen"] {
        let ended = site.run("serve", &[&format!("{option}={address}")]).await;
        assert_refused(&ended, &["cannot listen on", &address]);
    }
    assert_untouched(&site);
}

#[tokio::test]
async fn plaintext_does_not_leave_the_machine_unasked() {
    let site = Site::new(Database::Sqlite).await;
    for option in ["--listen", "--http-listen"] {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let ended = site.run("serve", &[&format!("{option}={address}")]).await;
            assert_refused(&ended, &[address, "--allow-plaintext"]);
        }
    }
    assert_untouched(&site);
}

#[tokio::test]
async fn postgresql_needs_a_key_that_is_named() {
    let site = Site::new(Database::Postgres).await;
    let before = tables(&site).await;
    let (data_dir, url) = (&site.config.data_dir, site.config.database_url());
    let arguments = ["serve", &format!("--data-dir={}", data_dir.display()), &format!("--database-url={url}")];
    let arguments = [&arguments[..], &["--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"]].concat();
    let ended = super::program::Process::start(&arguments, &[]).ended().await;
    assert_refused(&ended, &["--installation-key-file"]);
    assert_eq!(tables(&site).await, before);
}

on_both! {
    async fn a_newer_schema_is_refused_and_left_as_it_is(database: Database) {
        let site = Site::new(database).await;
        site.serve().await.stop().await;
        execute(&site, "insert into seaql_migrations (version, applied_at) values ('m9999_from_tomorrow', 0)").await;
        let before = tables(&site).await;
        let file = site.config.is_embedded().then(|| bytes(&site));

        for command in ["serve", "migrate"] {
            assert_refused(&site.run(command, &[]).await, &["newer guildhall", "m9999_from_tomorrow"]);
        }
        assert_eq!(tables(&site).await, before);
        assert_eq!(site.config.is_embedded().then(|| bytes(&site)), file);
        execute(&site, "delete from seaql_migrations where version = 'm9999_from_tomorrow'").await;
        site.serve().await;
    }

    async fn another_installation_key_is_refused_and_the_right_one_still_fits(database: Database) {
        let site = Site::new(database).await;
        site.serve().await.stop().await;
        let path = site.config.installation_key_file.clone().unwrap();
        let right = std::fs::read(&path).unwrap();
        let before = tables(&site).await;

        for (wrong, words) in [
            (STANDARD.encode([7; 32]), "does not fit this database"),
            (STANDARD.encode([7; 31]), "does not hold an installation key"),
            (String::new(), "does not hold an installation key"),
        ] {
            std::fs::write(&path, &wrong).unwrap();
            let ended = site.run("serve", &[]).await;
            assert_refused(&ended, &[words]);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), wrong, "a key file is never written over");
        }
        std::fs::remove_file(&path).unwrap();
        let words = if site.config.is_embedded() { "its key is not there" } else { "--installation-key-file" };
        assert_refused(&site.run("serve", &[]).await, &[words]);
        assert!(!path.exists(), "no key takes the place of one that is lost");
        assert_eq!(tables(&site).await, before);
        std::fs::write(&path, right).unwrap();
        assert_eq!(site.serve().await.operator_key, None);
    }
}
