//! Files and directories that nobody but their owner may read: made so, and put right where they came from elsewhere.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// What others than the owner may do with a file.
const OTHERS: u32 = 0o077;

/// Makes the directory at `path`, and those above it that are absent. One that is there stays as it is.
///
/// # Errors
/// What the operating system says.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens the file at `path` for reading and writing; makes it if it is absent.
///
/// # Errors
/// What the operating system says.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

/// Makes a file at which there was none, opened for writing.
///
/// # Errors
/// What the operating system says.
pub fn make(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)
}

/// Takes away what others may do with what is at `path`, as after a restore; nothing if it is absent.
///
/// Where that is not allowed (a file of somebody else, a file system without modes) the log says so, and it stays as it is.
/// Returns whether it was open to others.
///
/// # Errors
/// What the operating system says when it is asked how it is.
pub fn restrict(path: &Path) -> io::Result<bool> {
    let mode = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?.permissions().mode() & 0o7777,
    };
    if mode & OTHERS == 0 {
        return Ok(false);
    }
    let (shown, was) = (path.display(), format!("{mode:03o}"));
    match std::fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => tracing::warn!(path = %shown, mode = was, "was open to others than its owner, and is so no more"),
        Err(error) => tracing::warn!(path = %shown, mode = was, %error, "is open to others than its owner"),
    }
    Ok(true)
}

/// As [`restrict`], for a directory, and for the files in one that was open: what was restored was restored with them.
///
/// # Errors
/// As [`restrict`], and what the operating system says when it is asked what is there.
pub fn restrict_with_files(directory: &Path) -> io::Result<()> {
    if restrict(directory)? {
        for entry in std::fs::read_dir(directory)? {
            // The directory keeps others off now; of the files, which may be many, the log says nothing.
            let _ = std::fs::set_permissions(entry?.path(), Permissions::from_mode(0o600));
        }
    }
    Ok(())
}

/// Has the name of what is at `path` outlive a loss of power.
///
/// # Errors
/// What the operating system says.
pub fn sync_name(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
