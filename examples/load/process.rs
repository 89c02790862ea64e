//! The measured processes from outside: starting and stopping them, and what they take of the machine (Linux).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::Failure;
use crate::serve::Hello;

/// A process that was started here; it ends when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it told of itself.
    pub hello: Hello,
}

impl Process {
    /// Starts this program again with other arguments, on so many threads, and waits until it serves.
    ///
    /// # Errors
    /// If it cannot be started, or ends before it serves; what it says of that is on standard error.
    pub fn start(arguments: &[String], threads: usize) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("TOKIO_WORKER_THREADS", threads.to_string());
        // Where spans go is said by the arguments.
        command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match serde_json::from_str(&line) {
            Ok(hello) => Ok(Self { child, stdin, hello }),
            Err(_) => {
                child.wait()?;
                Err("a server that was to be measured did not start".into())
            }
        }
    }

    /// Returns the process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It stops by itself within its grace; there is nothing to do about one that has gone already.
        let _ = self.child.wait();
    }
}

/// Returns the time that a process has spent on processors, its own and the kernel's for it; in steps of a tick, 10 ms
/// as a rule. `None` if there is no such process, or nobody tells.
pub fn cpu_time(id: u32) -> Option<Duration> {
    cpu_time_of(&Path::new("/proc").join(id.to_string()))
}

/// Returns the same of a process or thread by its directory in /proc.
pub fn cpu_time_of(directory: &Path) -> Option<Duration> {
    time(&Stat::read(directory)?, [14, 15])
}

/// Returns the processor time of a process's children that have ended.
pub fn cpu_time_of_ended_children(id: u32) -> Option<Duration> {
    time(&Stat::of(id)?, [16, 17])
}

/// Returns the process that started another.
pub fn parent(id: u32) -> Option<u32> {
    Stat::of(id)?.field(4)
}

/// Returns the processes that another has started and that still run.
pub fn children(id: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|child| parent(*child) == Some(id)).collect()
}

/// What the kernel tells of a process in one line, proc(5).
struct Stat(String);

impl Stat {
    fn of(id: u32) -> Option<Self> {
        Self::read(&Path::new("/proc").join(id.to_string()))
    }

    fn read(directory: &Path) -> Option<Self> {
        std::fs::read_to_string(directory.join("stat")).ok().map(Self)
    }

    /// Returns a field by the number that it has there.
    fn field<T: std::str::FromStr>(&self, number: usize) -> Option<T> {
        // The name, field 2, may hold anything.
        let (_, fields) = self.0.rsplit_once(") ")?;
        fields.split(' ').nth(number - 3)?.parse().ok()
    }
}

/// Adds two fields that count ticks.
fn time(stat: &Stat, fields: [usize; 2]) -> Option<Duration> {
    let ticks = stat.field::<u64>(fields[0])? + stat.field::<u64>(fields[1])?;
    Some(Duration::from_micros(ticks.checked_mul(1_000_000)? / ticks_per_second()?))
}

/// Reads how long a tick is from what the kernel told this process at its start, as getauxval(3) does.
fn ticks_per_second() -> Option<u64> {
    const AT_CLKTCK: usize = 17;
    const WORD: usize = size_of::<usize>();
    let told = std::fs::read("/proc/self/auxv").ok()?;
    let mut words = told.chunks_exact(WORD).filter_map(|word| word.try_into().ok().map(usize::from_ne_bytes));
    loop {
        let (key, value) = (words.next()?, words.next()?);
        if key == AT_CLKTCK {
            return u64::try_from(value).ok().filter(|ticks| *ticks > 0);
        }
    }
}

/// Returns how much memory of a process is resident, in bytes.
pub fn resident(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}
