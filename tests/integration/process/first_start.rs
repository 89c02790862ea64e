//! The first start: whatever breaks it off, the next one works, and the operator's key is known to whoever began.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::program::{Process, Server, Site, shell};
use super::refusals::assert_refused;
use crate::harness::{Database, PATIENCE, eventually};
use crate::on_both;

/// At how many moments a first start is killed, evenly spread over the work that it takes.
const KILLS: u64 = 16;

/// Returns a place for a first start: with no key for an embedded database, so that it makes that, too.
async fn place(database: Database) -> Site {
    match database {
        Database::Sqlite => Site::bare(),
        Database::Postgres => Site::new(database).await,
    }
}

/// Returns the processor time that a process has taken so far, in nanoseconds.
fn work(process: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let taken = |task: std::fs::DirEntry| {
        let said = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        said.split(' ').next()?.parse::<u64>().ok()
    };
    tasks.filter_map(taken).sum()
}

/// Returns the operator's key that was printed, if the whole of it was.
fn key_in(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("GUILDHALL_KEY=")?;
    rest.split_once('\n').map(|(key, _)| key.to_owned())
}

fn names_in(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Starts a server and kills it once `has_come` so far, or has started. Gives the key that it has printed.
fn kill_when(site: &Site, mut has_come: impl FnMut(&Process) -> bool) -> Option<String> {
    let arguments = site.arguments("serve");
    let mut process = Process::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    // It must be caught in the act: no pause between two looks.
    while !has_come(&process) && !process.said().contains("guildhall listens") {
        assert!(!process.has_ended(), "the first start has ended");
        std::thread::yield_now();
    }
    key_in(&process.kill())
}

/// Starts a server where a first start was killed that had printed `printed`; asserts that a key works that is known.
async fn go_on(site: &Site, printed: Option<String>, when: &str) -> Server {
    let server = site.serve().await;
    let key = server.operator_key.clone().or(printed).unwrap_or_else(|| panic!("killed {when}: the key is lost"));
    server.found(&key, "ada@example.test").await;
    server
}

/// Starts a server by a command, with standard output a pipe, and gives that to no reader.
fn spawn(mut command: Command) -> Child {
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary")
}

/// Returns the command by which a server of the site starts with `redirections`, after a shell has done `before`.
fn command(site: &Site, before: &str, redirections: &str) -> Command {
    let arguments = site.arguments("serve");
    shell(before, redirections, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// As much as a pipe takes while nobody reads.
const FILL: &str = "/usr/bin/head -c 65536 /dev/zero";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_that_a_killed_first_start_leaves_is_gone_on_from() {
    for step in [
        "",
        "guildhall.sqlite.lock",
        "guildhall.sqlite.unfinished",
        "guildhall.sqlite",
        "guildhall.sqlite-wal",
        "installation.key.unfinished",
        "installation.key",
        "mail",
    ] {
        let site = Site::bare();
        let path = site.config.data_dir.join(step);
        let printed = kill_when(&site, |_| path.exists());
        println!("killed at {step:?}, with {:?}", names_in(&site.config.data_dir));
        go_on(&site, printed, step).await.stop().await;
        let names = names_in(&site.config.data_dir);
        let names: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !name.ends_with(".key.unfinished")).collect();
        assert_eq!(names, ["guildhall.sqlite", "guildhall.sqlite.lock", "installation.key", "mail"], "{step}");
    }
    let site = Site::bare();
    let printed = kill_when(&site, |process| key_in(&process.said()).is_some());
    assert!(printed.is_some());
    go_on(&site, printed, "once it had printed").await;
}

/// Returns whether a server at this address says that it is ready.
fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut answer = String::new();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

on_both! {
    async fn a_first_start_killed_at_any_moment_leaves_one_that_works(database: Database) {
        let mut all = 0;
        kill_when(&place(database).await, |process| {
            all = work(process.id()).max(all);
            false
        });
        for moment in 1..=KILLS {
            let site = place(database).await;
            let printed = kill_when(&site, |process| work(process.id()) >= all * moment / KILLS);
            println!("killed after {moment}/{KILLS} of {all} ns: printed {}", printed.is_some());
            go_on(&site, printed, &format!("after {moment}/{KILLS}")).await;
        }
    }

    async fn a_first_start_that_cannot_print_the_key_makes_no_installation(database: Database) {
        let site = place(database).await;
        for (before, redirections, is_read, why) in [
            ("true", ">/dev/full", true, "No space left on device"),
            ("true", ">&-", true, "standard output is closed, or is /dev/null"),
            ("true", ">/dev/null", true, "standard output is closed, or is /dev/null"),
            ("true", "", false, "Broken pipe"),
            (FILL, "", true, "nobody reads it"),
            // It would fit into the pipe.
            ("true", "", true, "nobody reads it"),
        ] {
            let mut child = spawn(command(&site, before, redirections));
            if !is_read {
                drop(child.stdout.take());
            }
            let status = eventually("the end of the process", || child.try_wait().unwrap()).await;
            let mut errors = String::new();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();

            assert_eq!(status.code(), Some(1), "{redirections}: {errors}");
            let sentence = errors.lines().last().unwrap_or_default();
            assert!(sentence.starts_with("guildhall: this is the first start") && sentence.contains(why), "{errors}");
            assert!(!errors.contains("panicked") && !errors.contains("ghk_"), "{errors}");
        }
        assert!(go_on(&site, None, "").await.operator_key.is_some(), "no start before has made an installation");
    }

    async fn a_first_start_killed_while_it_prints_has_made_no_installation(database: Database) {
        let site = place(database).await;
        let mut child = spawn(command(&site, FILL, ""));
        eventually("the step before", || site.config.mail_dir().exists().then_some(())).await;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(go_on(&site, None, "while it printed").await.operator_key.is_some());
    }

    async fn a_later_start_needs_nobody_to_read(database: Database) {
        let site = place(database).await;
        site.serve().await.stop().await;
        for redirections in [">/dev/full", ">&-", ">/dev/full 2>/dev/full"] {
            // Nothing is read, so nothing says which port was free.
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let arguments = site.arguments("serve").join("\n").replace("--http-listen=127.0.0.1:0", &format!("--http-listen={free}"));
            let arguments: Vec<&str> = arguments.lines().collect();
            let mut child = spawn(shell("true", redirections, &arguments));
            eventually("a server that listens", || {
                assert_eq!(child.try_wait().unwrap(), None, "{redirections}");
                is_ready(free).then_some(())
            })
            .await;
            assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
            let status = eventually("the end of the process", || child.try_wait().unwrap()).await;
            assert_eq!(status.code(), Some(0), "{redirections}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_first_starts_at_once_one_makes_the_installation() {
    let site = Site::new(Database::Postgres).await;
    let (one, other) = tokio::join!(site.serve(), site.serve());
    let keys = [one.operator_key.clone(), other.operator_key.clone()];
    let key = match keys {
        [Some(key), None] | [None, Some(key)] => key,
        both => panic!("one key, and not {both:?}"),
    };
    one.found(&key, "ada@example.test").await;
    other.found(&key, "bob@example.test").await;

    let site = Site::bare();
    let arguments = site.arguments("serve");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut both = [(); 2].map(|()| Process::start(&arguments, &[]));
    let loser = eventually("the end of one", || (0..2).find(|at| both[*at].has_ended())).await;
    let [one, other] = both;
    let (lost, won) = if loser == 0 { (one, other) } else { (other, one) };
    assert_refused(&lost.ended().await, &["another guildhall uses"]);
    let server = site.listening(won).await;
    server.found(server.operator_key.as_ref().unwrap(), "ada@example.test").await;
}
