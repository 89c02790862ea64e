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

    /// Gives the process's id.
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

/// Gives the time that a process has spent on processors, its own and the kernel's for it; in steps of a tick, 10 ms as a
/// rule. `None` if there is no such process, or nobody tells.
pub fn cpu_time(id: u32) -> Option<Duration> {
    cpu_time_of(&Path::new("/proc").join(id.to_string()))
}

/// Gives the same of a process or thread by its directory in /proc.
pub fn cpu_time_of(directory: &Path) -> Option<Duration> {
    let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
    // The name before may hold anything; of what follows, proc(5) counts the state as field 3.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let micros = (ticks(14)? + ticks(15)?).checked_mul(1_000_000)? / ticks_per_second()?;
    Some(Duration::from_micros(micros))
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

/// Gives how much memory of a process is resident, in bytes.
pub fn resident(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}
