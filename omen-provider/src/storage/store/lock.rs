//! One writer per directory: the lock on its `LOCK` file, held for life.
//!
//! A whole-file lock of the operating system (flock), not a POSIX record lock: those vanish when
//! any descriptor of the file is closed. It also keeps out a second handle in the same process,
//! and ends with the process, however it ends. The file itself stays; its content means nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::directory::make_root;
use super::files::SystemFiles;
use crate::error::{Error, Result};

/// Name of the lock file.
pub(super) const LOCK_FILE: &str = "LOCK";

/// The right to write in a directory; freed when dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    /// Closing the file would not be enough: a process forked at this moment holds it open too.
    fn drop(&mut self) {
        // The system frees the lock with the last descriptor if this fails.
        let _ = self.file.unlock();
    }
}

impl DirectoryLock {
    /// Takes the lock of `directory`, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process or handle holds it.
    pub fn acquire(directory: &Path) -> Result<Self> {
        make_root(&SystemFiles, directory)?;
        let path = directory.join(LOCK_FILE);
        let shown = || path.display().to_string();
        if path.is_symlink() {
            return Err(Error::invalid(format!("{} is a symbolic link", shown())));
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|e| Error::io(shown(), e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::Locked { path: directory.display().to_string() })
            }
            Err(TryLockError::Error(error)) => Err(Error::io(shown(), error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_writer_is_refused_until_the_first_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        let first = DirectoryLock::acquire(&directory).unwrap();
        let second = DirectoryLock::acquire(&directory);
        assert!(matches!(second, Err(Error::Locked { path }) if path.ends_with("db")));
        drop(first);
        DirectoryLock::acquire(&directory).unwrap();
    }
}
