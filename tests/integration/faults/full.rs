//! A disk without room: SQLite cannot write what it is to commit, and goes on once there is room again.
//!
//! A child process may write files of a certain length and no longer; and where file systems can be mounted, the disk
//! is one that is really full. Growth is bounded by SQLite itself, too.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use guildhall::proto;
use sea_orm::{ConnectionTrait, Database as Connection, DbBackend, Statement};
use tempfile::TempDir;

use super::load::now;
use crate::harness::messages::{check, disable, get_resource, item, register};
use crate::harness::{Caller, Database, Organization, project, reason};
use crate::process::program::{Process, Server, Site};

/// Writes while there is no room.
const WRITES: usize = 12;
/// Within what time a server writes again once there is room.
const BACK_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// Size of the disk.
const DISK: &str = "size=24m";
/// Has the system answer a write that would make a file too long, in the place of ending the process.
const TOLERANT: &str = "trap '' XFSZ";

/// A write, and what it came to.
struct Asked {
    request: proto::RegisterResourceRequest,
    refused: Option<String>,
}

impl Asked {
    fn id(&self) -> &str {
        &self.request.resource.as_ref().expect("a resource").id
    }
}

async fn ask(call: &Caller, organization: &str, number: usize) -> Asked {
    let request = proto::RegisterResourceRequest {
        request_id: format!("018f4e9a-0000-7000-8000-{number:012x}"),
        display_name: "A name of some length".repeat(6),
        ..register(organization, project(&format!("project-{number}")))
    };
    let refused = call.register_resource(request.clone()).await.err().map(|status| reason(&status));
    Asked { request, refused }
}

/// Returns the ids of the resources that are in the file, past the server.
async fn stored(site: &Site) -> Vec<String> {
    let url = format!("{}?mode=ro", site.config.database_url());
    let connection = Connection::connect(url).await.expect("the file");
    let sql = Statement::from_string(DbBackend::Sqlite, "select id from resources");
    let rows = connection.query_all_raw(sql).await.expect("the resources");
    connection.close().await.expect("a connection that closes");
    rows.into_iter().map(|row| row.try_get("", "id").expect("an id")).collect()
}

/// Holds answers against what is in the file.
async fn hold(site: &Site, asked: &[Asked]) {
    let stored = stored(site).await;
    for asked in asked {
        let is_there = stored.iter().any(|id| id == asked.id());
        match asked.refused.as_deref() {
            None => assert!(is_there, "{} was answered, and is not there", asked.id()),
            Some("COMMIT_UNKNOWN") => {}
            Some(reason) => assert!(!is_there, "{} was refused with {reason}, and is there", asked.id()),
        }
    }
}

/// Has a server run out of room and get it back, and be asked about everything before and after a restart.
async fn run_out(site: &Site, server: Server, fill: impl FnOnce(&Server), clear: impl FnOnce(&Server)) {
    let key = server.operator_key.clone().expect("the first start tells it");
    let organization = server.found(&key, "ada@example.test").await;
    let bob = server.invite_and_join(&organization, "bob@example.test").await;
    let (id, operator) = (organization.id.as_str(), server.with(&key));

    fill(&server);
    let mut asked = Vec::new();
    for number in 0..WRITES {
        asked.push(ask(&operator, id, number).await);
    }
    let told: Vec<_> = asked.iter().map(|asked| asked.refused.as_deref().unwrap_or("OK")).collect();
    println!("without room: {told:?}");
    assert!(told.iter().any(|told| *told != "OK"), "there was room");
    for told in told {
        assert!(["OK", "DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"].contains(&told), "{told}");
    }
    hold(site, &asked).await;

    clear(&server);
    let cleared_at = now();
    let mut after = ask(&operator, id, WRITES).await;
    while after.refused.is_some() {
        assert!(now().since(cleared_at) <= BACK_WITHIN, "there is room, and yet {:?}", after.refused);
        after = ask(&operator, id, WRITES).await;
    }
    operator.disable_member(disable(id, &bob.membership_id)).await.expect("a member to shut out");
    server.sign_in("ada@example.test", "").await;
    asked.push(after);
    hold(site, &asked).await;
    inspect(&operator, &organization, &bob.user_id, &mut asked).await;
    hold(site, &asked).await;

    assert_eq!(server.stop().await.code, Some(0));
    let server = site.serve().await;
    inspect(&server.with(&key), &organization, &bob.user_id, &mut asked).await;
    hold(site, &asked).await;
    assert_eq!(server.stop().await.code, Some(0));
}

/// Asks for everything again, and whether who was shut out still is.
async fn inspect(call: &Caller, organization: &Organization, shut_out: &str, asked: &mut [Asked]) {
    for asked in asked {
        let again = call.register_resource(asked.request.clone()).await;
        again.unwrap_or_else(|status| panic!("{}: {status:?}", asked.id()));
        call.get_resource(get_resource(&organization.id, project(asked.id()))).await.expect("what was registered");
        asked.refused = None;
    }
    let answer = call.check(check(&organization.id, item(shut_out, "project.view", None))).await.expect("an answer");
    assert!(!answer.decision.expect("it is in the answer").allowed, "who was shut out is let in");
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_files_that_could_not_grow_what_was_answered_is_there_and_writes_go_on() {
    let site = Site::new(Database::Sqlite).await;
    let arguments = site.arguments("serve");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = site.listening(Process::start_in_shell(TOLERANT, "", &arguments)).await;
    let limit = |server: &Server, length: &str| {
        let arguments = [format!("--pid={}", server.process.id()), format!("--fsize={length}:unlimited")];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert!(run("prlimit", &arguments), "prlimit, of util-linux, is needed");
    };
    let data_dir = site.config.data_dir.clone();
    let fill = |server: &Server| limit(server, &longest(&data_dir).to_string());
    run_out(&site, server, fill, |server| limit(server, "unlimited")).await;
}

/// Returns the length of the longest file in a directory.
fn longest(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let lengths = entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len());
    lengths.max().expect("files")
}

/// A disk of its own; unmounted when dropped.
struct Disk {
    path: PathBuf,
    _outer: TempDir,
}

impl Disk {
    /// Mounts one, where that is permitted.
    fn mount() -> Option<Self> {
        let outer = TempDir::new().expect("a temporary directory");
        let path = outer.path().join("disk");
        std::fs::create_dir(&path).expect("a directory");
        let mounted = run("mount", &["-t", "tmpfs", "-o", DISK, "tmpfs", path.to_str().expect("a path")]);
        mounted.then_some(Self { path, _outer: outer })
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Writes until nothing can be written any more.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        for piece in [1 << 16, 1 << 10, 1] {
            while filler.write_all(&vec![1; piece]).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &["--lazy", self.path.to_str().expect("a path")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_disk_was_full_what_was_answered_is_there_and_writes_go_on() {
    let Some(disk) = Disk::mount() else {
        println!(
            "no file system can be mounted here: files that cannot grow stand for a full disk, in the test beside"
        );
        return;
    };
    let site = Site::in_(TempDir::new_in(&disk.path).expect("a directory"), Database::Sqlite).await;
    let server = site.serve_logging("warn").await;
    let clear = |_: &Server| std::fs::remove_file(disk.filler()).expect("the filler");
    run_out(&site, server, |_| disk.fill(), clear).await;
}
