//! The files of an embedded database: what belongs together, who has it, who may read it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sea_orm::{ConnectionTrait, Database as Connection, DbBackend, Statement};

use super::program::{Process, Site};
use super::refusals::assert_refused;
use crate::harness::Database;

/// Returns a file of a site.
fn file(site: &Site, name: &str) -> PathBuf {
    site.config.data_dir.join(name)
}

/// Tells all files of a site with their lengths and digests; locks hold nothing.
fn contents(site: &Site) -> Vec<(PathBuf, usize, u64)> {
    let digest =
        |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let mut files: Vec<_> = std::fs::read_dir(&site.config.data_dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "lock"))
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes.len(), digest(&bytes))
        })
        .collect();
    files.sort();
    files
}

/// Returns a place at which an installation was made.
async fn installed() -> (Site, String) {
    let site = Site::bare();
    let server = site.serve().await;
    let key = server.operator_key.clone().unwrap();
    server.found(&key, "ada@example.test").await;
    server.stop().await;
    (site, key)
}

fn key_text() -> String {
    STANDARD.encode([7; 32])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_without_its_key_is_refused_and_no_key_is_made() {
    let (site, operator_key) = installed().await;
    let key = file(&site, "installation.key");
    let elsewhere = file(&site, "kept");
    std::fs::rename(&key, &elsewhere).unwrap();
    let before = contents(&site);
    for argument in ["--http-listen=127.0.0.1:0".to_owned(), format!("--installation-key-file={}", key.display())] {
        let ended = site.run("serve", &[&argument]).await;
        assert_refused(&ended, &["its key is not there", "installation.key", "Restore the key"]);
        assert_eq!(contents(&site), before);
        let arguments: &[&str] = if argument.contains("key-file") { &[&argument] } else { &[] };
        let ended = site.run("migrate", arguments).await;
        assert_refused(&ended, &["its key is not there", "installation.key", "Restore the key"]);
        assert_eq!(contents(&site), before);
    }
    symlink(file(&site, "not-mounted"), &key).unwrap();
    assert_refused(&site.run("serve", &[]).await, &["reading the installation key"]);
    std::fs::remove_file(&key).unwrap();
    std::fs::rename(&elsewhere, &key).unwrap();
    site.serve().await.found(&operator_key, "bob@example.test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_beside_a_key_begins_no_installation() {
    let (site, operator_key) = installed().await;
    let (database, key) = (file(&site, "guildhall.sqlite"), file(&site, "installation.key"));
    let (good, key_file) = (std::fs::read(&database).unwrap(), std::fs::read(&key).unwrap());
    let another = file(&site, "another.sqlite");
    let db = Connection::connect(format!("sqlite://{}?mode=rwc", another.display())).await.unwrap();
    db.execute_unprepared("create table of_something_else (id integer)").await.unwrap();
    db.close().await.unwrap();
    let without_schema = std::fs::read(&another).unwrap();
    std::fs::remove_file(&another).unwrap();

    for empty in [vec![], without_schema] {
        std::fs::write(&database, &empty).unwrap();
        let before = contents(&site);
        let (named, given) =
            (format!("--installation-key-file={}", key.display()), format!("--installation-key={}", key_text()));
        for (command, argument) in [
            ("serve", "--http-listen=127.0.0.1:0"),
            ("serve", &named),
            ("serve", &given),
            ("migrate", "--http-listen=127.0.0.1:0"),
            ("migrate", &named),
        ] {
            let ended = site.run(command, &[argument]).await;
            assert_refused(&ended, &["guildhall.sqlite is empty", "restore the database"]);
            assert_eq!(contents(&site), before, "{command} {argument}");
        }
    }

    // Without a key there was no installation: what is empty may be begun with.
    std::fs::write(&database, []).unwrap();
    std::fs::remove_file(&key).unwrap();
    let begun = site.serve().await;
    let its_key = begun.operator_key.clone().expect("a new installation");
    begun.found(&its_key, "eve@example.test").await;
    begun.stop().await;

    std::fs::write(&database, good).unwrap();
    std::fs::write(&key, key_file).unwrap();
    site.serve().await.found(&operator_key, "bob@example.test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_is_not_begun_anew_beside_what_it_has_left() {
    let (site, operator_key) = installed().await;
    let (database, key) = (file(&site, "guildhall.sqlite"), file(&site, "installation.key"));
    let elsewhere = file(&site, "kept");
    std::fs::rename(&database, &elsewhere).unwrap();
    let before = contents(&site);
    for command in ["serve", "migrate"] {
        assert_refused(&site.run(command, &[]).await, &["there is no database at", "Restore the database"]);
        assert_eq!(contents(&site), before);
    }
    // A key that is named may be one for a new installation; the log of an old database is not.
    let named = format!("--installation-key-file={}", key.display());
    for companion in ["-wal", "-journal"] {
        let left = file(&site, &format!("guildhall.sqlite{companion}"));
        std::fs::write(&left, "of the database that is gone").unwrap();
        assert_refused(&site.run("serve", &[&named]).await, &["a log of SQLite"]);
        std::fs::remove_file(left).unwrap();
    }
    symlink(file(&site, "not-mounted"), &database).unwrap();
    assert_refused(&site.run("serve", &[&named]).await, &["guildhall.sqlite", "No such file"]);
    std::fs::remove_file(&database).unwrap();
    std::fs::create_dir(&database).unwrap();
    assert_refused(&site.run("serve", &[&named]).await, &["is not a file"]);
    std::fs::remove_dir(&database).unwrap();

    std::fs::rename(&elsewhere, &database).unwrap();
    site.serve().await.found(&operator_key, "bob@example.test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_without_an_installation_is_gone_on_from_with_the_key() {
    let site = Site::bare();
    assert_eq!(site.run("migrate", &[]).await.code, Some(0));
    assert!(!file(&site, "installation.key").exists(), "a schema needs no key");
    let text = key_text();
    std::fs::write(file(&site, "installation.key"), &text).unwrap();
    assert!(site.serve().await.operator_key.is_some());
    assert_eq!(std::fs::read_to_string(file(&site, "installation.key")).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_name_and_no_deleted_lock_admits_a_second_server() {
    let (site, operator_key) = installed().await;
    let first = site.serve().await;
    let (data_dir, database) = (&site.config.data_dir, file(&site, "guildhall.sqlite"));
    let other = data_dir.with_file_name("other");
    std::fs::create_dir(&other).unwrap();
    symlink(data_dir, data_dir.with_file_name("linked")).unwrap();
    symlink(&database, other.join("linked.sqlite")).unwrap();
    std::fs::hard_link(&database, other.join("hard.sqlite")).unwrap();
    let key = format!("--installation-key-file={}", file(&site, "installation.key").display());

    for turn in ["with its lock file", "without"] {
        for path in [
            database.clone(),
            data_dir.join("..").join("data").join("guildhall.sqlite"),
            data_dir.with_file_name("linked").join("guildhall.sqlite"),
            other.join("linked.sqlite"),
            other.join("hard.sqlite"),
        ] {
            let url = format!("--database-url=sqlite://{}", path.display());
            for command in ["serve", "migrate"] {
                let ended = site.run(command, &[&url, &key]).await;
                assert_refused(&ended, &["another guildhall uses"]);
            }
            let _ = std::fs::remove_file(file(&site, "guildhall.sqlite.lock"));
        }
        println!("refused {turn}");
    }
    first.found(&operator_key, "bob@example.test").await;
    assert_eq!(first.stop().await.code, Some(0));
    site.serve().await.found(&operator_key, "eve@example.test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_replaced_under_a_server_admits_no_second_one() {
    let (site, _) = installed().await;
    let (database, copy) = (file(&site, "guildhall.sqlite"), file(&site, "copy"));
    std::fs::copy(&database, &copy).unwrap();
    let _first = site.serve().await;
    std::fs::rename(&copy, &database).unwrap();
    assert_refused(&site.run("serve", &[]).await, &["another guildhall uses"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_locks_go_with_the_process_however_it_ends() {
    let (site, operator_key) = installed().await;
    site.serve().await.process.kill();
    assert!(file(&site, "guildhall.sqlite.lock").exists());
    site.serve().await.found(&operator_key, "bob@example.test").await;
}

/// Tells all below a directory, and itself, with what others than the owner may do.
fn open_to_others(directory: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![directory.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        if path.is_dir() {
            found.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    let mode = |path: &PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    found.iter().map(|path| (path.clone(), mode(path))).filter(|(_, mode)| mode & 0o077 != 0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_may_read_what_is_kept_whatever_the_umask_and_after_a_restore() {
    let site = Site::bare();
    let arguments = site.arguments("serve");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = site.listening(Process::start_in_shell("umask 000", "", &arguments)).await;
    let operator_key = server.operator_key.clone().unwrap();
    server.found(&operator_key, "ada@example.test").await;
    for name in ["guildhall.sqlite", "guildhall.sqlite-wal", "guildhall.sqlite-shm", "installation.key", "mail"] {
        assert!(file(&site, name).exists(), "{name}");
    }
    assert_eq!(open_to_others(&site.config.data_dir), []);
    // What a killed server leaves is what a backup of the directory holds.
    server.process.kill();
    let mail = std::fs::read_dir(site.config.mail_dir()).unwrap().next().unwrap().unwrap().path();
    std::fs::set_permissions(mail, PermissionsExt::from_mode(0o644)).unwrap();

    for (name, mode) in [
        ("guildhall.sqlite", 0o644),
        ("guildhall.sqlite-wal", 0o666),
        ("guildhall.sqlite-shm", 0o664),
        ("installation.key", 0o640),
        ("guildhall.sqlite.lock", 0o644),
        ("mail", 0o777),
    ] {
        std::fs::set_permissions(file(&site, name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let server = site.serve().await;
    server.found(&operator_key, "bob@example.test").await;
    assert_eq!(open_to_others(&site.config.data_dir), []);
    let told = server.stop().await.errors;
    assert_eq!(told.matches("was open to others than its owner").count(), 6, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_and_what_is_above_them_are_closed_with_postgresql_too() {
    let mut site = Site::new(Database::Postgres).await;
    site.config.data_dir = site.config.data_dir.join("a").join("b");
    let server = site.serve().await;
    server.found(server.operator_key.as_ref().unwrap(), "ada@example.test").await;
    assert_eq!(open_to_others(site.config.data_dir.parent().unwrap()), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_may_hold_what_means_something_in_a_url() {
    let mut site = Site::bare();
    site.config.data_dir = site.config.data_dir.with_file_name("50%25 of what? #1");
    let server = site.serve().await;
    server.found(server.operator_key.as_ref().unwrap(), "ada@example.test").await;
    assert!(file(&site, "guildhall.sqlite").exists());
    assert_refused(&site.run("serve", &[]).await, &["another guildhall uses"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_of_another_program_is_left_alone() {
    let site = Site::bare();
    std::fs::create_dir_all(&site.config.data_dir).unwrap();
    let path = file(&site, "guildhall.sqlite");
    let other = Connection::connect(format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    other.execute_unprepared("create table notes (text text)").await.unwrap();
    other.close().await.unwrap();
    for command in ["serve", "migrate"] {
        assert_refused(&site.run(command, &[]).await, &["another program"]);
    }
    let other = Connection::connect(format!("sqlite://{}", path.display())).await.unwrap();
    let tables = other.query_all_raw(Statement::from_string(DbBackend::Sqlite, "select name from sqlite_master")).await;
    assert_eq!(tables.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_that_are_refused_make_nothing() {
    let site = Site::bare();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--listen={}", taken.local_addr().unwrap());
    for arguments in [
        vec![port.as_str()],
        vec!["--listen=0.0.0.0:0"],
        vec!["--database-url=mysql://127.0.0.1/guildhall"],
        vec!["--database-url=postgres://127.0.0.1:x/guildhall"],
        vec!["--database-url=postgres://127.0.0.1/guildhall"],
        vec!["--mail-from=nobody"],
        vec!["--installation-key=AAAA"],
        vec!["--installation-key-file=/no/such/directory/installation.key"],
        vec!["--installation-key-file=/dev/null"],
        vec!["--tls-cert=/no/such/file", "--tls-key=/no/such/file"],
        vec!["--otlp-endpoint=http://"],
    ] {
        let ended = site.run("serve", &arguments).await;
        assert_ne!(ended.code, Some(0), "{arguments:?}");
        assert!(!ended.errors.contains("panicked"), "{ended:?}");
        assert!(!site.config.data_dir.exists(), "{arguments:?} has made {:?}", contents(&site));
    }

    // What stands in the way of the mails is found before the database is made.
    std::fs::create_dir(&site.config.data_dir).unwrap();
    std::fs::write(site.config.mail_dir(), "a file").unwrap();
    assert_refused(&site.run("serve", &[]).await, &["for mails"]);
    assert_eq!(contents(&site).len(), 1);
}
