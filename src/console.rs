//! Standard output, where it matters whether what is written arrives.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Duration;

/// How often it is looked whether a pipe was read.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// Prints a text.
///
/// # Errors
/// What the operating system says: that nobody reads, that the disk is full.
pub fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Prints a text that must arrive, within `patience`.
///
/// # Errors
/// - If it is known to arrive nowhere, or is not taken in time; and what the operating system says.
pub async fn print_surely(text: String, patience: Duration) -> io::Result<()> {
    let (done, printed) = tokio::sync::oneshot::channel();
    // A thread of its own: of one that the runtime lends, the end of the process would wait for as long as nobody reads.
    std::thread::Builder::new().name("print".into()).spawn(move || {
        // Whoever waited has given up.
        let _ = done.send(print_to_somebody(&text));
    })?;
    match tokio::time::timeout(patience, printed).await {
        Ok(printed) => printed.map_err(io::Error::other)?,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it")),
    }
}

#[expect(clippy::disallowed_methods, reason = "it has a thread of its own")]
fn print_to_somebody(text: &str) -> io::Result<()> {
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let kind = output.metadata()?;
    // Standard output that was closed leads there, too, before our first line runs.
    let is_null = |null: std::fs::Metadata| null.rdev() == kind.rdev();
    if kind.file_type().is_char_device() && std::fs::metadata("/dev/null").is_ok_and(is_null) {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "standard output is closed, or is /dev/null"));
    }
    print(text)?;
    if kind.file_type().is_fifo() {
        // A pipe takes what nobody reads: it has arrived when the pipe is empty.
        while rustix::io::ioctl_fionread(&output)? > 0 {
            std::thread::sleep(LOOK_PERIOD);
        }
    }
    if kind.is_file() { output.sync_data() } else { Ok(()) }
}
