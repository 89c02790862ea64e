//! The lock that keeps a second server off an SQLite file, whatever name leads there.
//!
//! There are two, since each can be got round alone. The one **on the file itself** goes with its inode: no link, mount or
//! deleted lock file leads past it. The one **beside it** goes with the real path: it holds where the database was deleted or
//! replaced under a running server, whose write-ahead log stays behind under the same name.
//!
//! SQLite locks its file with `fcntl`, and the kernel drops those locks of a process as soon as it closes *any* descriptor of
//! that file. So the descriptor that holds our lock outlives the connections, and is not closed where the lock is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::connect::OpenError;
use crate::private;

/// The lock beside a database, by its real path.
#[derive(Debug)]
pub(in crate::store) struct Beside {
    _file: File,
}

/// Both locks; they go with the process, however that ends.
#[derive(Debug)]
pub(in crate::store) struct FileLock {
    _beside: Beside,
    _itself: File,
}

impl Beside {
    /// Takes the lock beside the database at `path`, a real path, whether or not there is a file.
    ///
    /// # Errors
    /// - [`OpenError::InUse`] if another server holds it.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let refuse = |source| OpenError::Directory { path: path.to_owned(), source };
        let file = private::open(&path.with_added_extension("lock")).map_err(refuse)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(refuse(source)),
        }
    }

    /// Takes the other lock too, on the file itself.
    ///
    /// # Errors
    /// - [`OpenError::InUse`] if another server holds it.
    pub fn and_itself(self, path: &Path) -> Result<FileLock, OpenError> {
        let refuse = |source| OpenError::Directory { path: path.to_owned(), source };
        let itself = OpenOptions::new().read(true).write(true).open(path).map_err(refuse)?;
        match lock_beyond(&itself) {
            Ok(()) => Ok(FileLock { _beside: self, _itself: itself }),
            Err(error) => {
                // Closing it would drop SQLite's locks, if it is this process that has the file open.
                std::mem::forget(itself);
                Err(error.map_or_else(|| OpenError::InUse(path.to_owned()), refuse))
            }
        }
    }
}

/// Returns the real path of a database: of the file, or of where it will be made.
///
/// # Errors
/// - [`OpenError::Directory`] if its directory is not there, or its name is a link that leads nowhere.
pub(in crate::store) fn real_path(path: &Path) -> Result<PathBuf, OpenError> {
    let refuse = |source| OpenError::Directory { path: path.to_owned(), source };
    match path.canonicalize() {
        // A link to what is not there may lead to a disk that is not mounted: nothing is begun in its place.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
        found => return found.map_err(refuse),
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| refuse(io::ErrorKind::InvalidInput.into()))?;
    Ok(directory.canonicalize().map_err(refuse)?.join(name))
}

/// Locks a byte that SQLite neither locks nor writes, far beyond the end of the file. The lock belongs to this descriptor:
/// unlike a lock of the process it stays when others of the same file are closed, and unlike `flock` it is in nobody's way on
/// file systems that turn that into a lock of the whole file. Fails with `None` if another descriptor holds it.
#[cfg(target_os = "linux")]
fn lock_beyond(file: &File) -> Result<(), Option<io::Error>> {
    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    let kind = |constant: libc::c_int| libc::c_short::try_from(constant).expect("constants of one digit");
    let lock = libc::flock {
        l_type: kind(libc::F_WRLCK),
        l_whence: kind(libc::SEEK_SET),
        l_start: libc::off_t::MAX - 1,
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(None),
        Err(error) => Err(Some(error.into())),
    }
}

/// Elsewhere `flock` on the file would keep out SQLite itself: there is the lock beside it alone.
#[cfg(not(target_os = "linux"))]
fn lock_beyond(_file: &File) -> Result<(), Option<io::Error>> {
    Ok(())
}
