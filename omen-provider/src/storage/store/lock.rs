//! Locks on files: one writer per directory, and who reads a file that must not go away.
//!
//! The writer holds the lock on the `LOCK` file of its directory for life. A reader holds a shared
//! lock on what it reads, which writes nothing and works on media that nobody can write to; who
//! wants to delete that needs it alone.
//!
//! A whole-file lock of the operating system (flock), not a POSIX record lock: those vanish when
//! any descriptor of the file is closed. It also keeps out a second handle in the same process,
//! and ends with the process, however it ends. `LOCK` itself stays; its content means nothing.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::directory::make_root;
use super::files::SystemFiles;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Name of the lock file.
pub(super) const LOCK_FILE: &str = "LOCK";

/// How a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Together with others who do so.
    Shared,
    /// Alone.
    Exclusive,
}

/// A lock on a file; freed when dropped.
pub trait FileLock: Debug + Send + Sync {}

/// What a file system gives that knows no locks.
#[derive(Debug)]
pub(super) struct NoLock;

impl FileLock for NoLock {}

/// A lock of the operating system.
#[derive(Debug)]
struct SystemLock(File);

impl FileLock for SystemLock {}

impl Drop for SystemLock {
    /// Closing the file would not be enough: a process forked at this moment holds it open too.
    fn drop(&mut self) {
        // The system frees the lock with the last descriptor if this fails.
        let _ = self.0.unlock();
    }
}

/// Locks an existing file; `None` if another lock excludes it.
pub(super) fn lock_file(path: &Path, lock: Lock) -> io::Result<Option<Box<dyn FileLock>>> {
    // Some network file systems lock alone only what is open for writing; others do not ask.
    let file = match OpenOptions::new().read(true).write(lock == Lock::Exclusive).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path)?,
        file => file?,
    };
    let locked = match lock {
        Lock::Shared => file.try_lock_shared(),
        Lock::Exclusive => file.try_lock(),
    };
    match locked {
        Ok(()) => Ok(Some(Box::new(SystemLock(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            Ok(Some(Box::new(NoLock)))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The right to write in a directory; freed when dropped.
///
/// Work in the background may hold it a moment longer than the database is open. Who opens the
/// directory anew in the same process waits for that: the system only says that it is locked, so
/// the holders of this process are known by their paths.
#[derive(Debug)]
pub struct DirectoryLock {
    lock: Option<SystemLock>,
    path: PathBuf,
}

/// Directories locked by this process, and whether their holders are about to end.
static HELD: Mutex<Vec<(PathBuf, bool)>> = Mutex::new(Vec::new());

/// The pause between two looks at a lock whose holder is about to end.
const LOOK_PAUSE: Duration = Duration::from_millis(2);
/// How long that is waited for.
const LOOK_MAX: Duration = Duration::from_secs(30);

fn held() -> MutexGuard<'static, Vec<(PathBuf, bool)>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        let mut held = held();
        drop(self.lock.take());
        held.retain(|(path, _)| *path != self.path);
    }
}

impl DirectoryLock {
    /// Takes the lock of `directory`, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process or handle holds it.
    pub fn acquire(directory: &Path) -> Result<Self> {
        match Self::attempt(directory)? {
            Attempt::Acquired(lock) => Ok(lock),
            Attempt::GivenUp | Attempt::Locked => Err(locked(directory)),
        }
    }

    /// The lock, or whether a holder in this process is about to free it: both as of one moment.
    fn attempt(directory: &Path) -> Result<Attempt> {
        make_root(&SystemFiles, directory)?;
        let mut held = held();
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
            Ok(()) => {
                let lock = Some(SystemLock(file));
                let path = directory.canonicalize().map_err(|e| Error::io(shown(), e))?;
                held.push((path.clone(), false));
                Ok(Attempt::Acquired(Self { lock, path }))
            }
            Err(TryLockError::WouldBlock) => Ok(match is_given_up(&held, directory) {
                true => Attempt::GivenUp,
                false => Attempt::Locked,
            }),
            Err(TryLockError::Error(error)) => Err(Error::io(shown(), error)),
        }
    }

    /// As [`DirectoryLock::acquire`]; if a database of this process holds the lock that was closed
    /// or dropped, waits until its work in the background has ended.
    ///
    /// # Errors
    /// As [`DirectoryLock::acquire`].
    pub async fn acquire_after(directory: &Path) -> Result<Self> {
        let clock = Clock::default();
        let start = clock.now();
        loop {
            match Self::attempt(directory)? {
                Attempt::Acquired(lock) => return Ok(lock),
                Attempt::GivenUp if clock.now() - start < LOOK_MAX => {
                    clock.pause(LOOK_PAUSE).await;
                }
                Attempt::GivenUp | Attempt::Locked => return Err(locked(directory)),
            }
        }
    }

    /// Says that whoever holds the lock is about to end.
    pub fn give_up(&self) {
        held().iter_mut().filter(|(path, _)| *path == self.path).for_each(|held| held.1 = true);
    }

    /// Lets go of a lock that was given up, and returns when all others have.
    pub async fn free(lock: Arc<Self>) {
        let path = lock.path.clone();
        drop(lock);
        let clock = Clock::default();
        let start = clock.now();
        while is_given_up(&held(), &path) && clock.now() - start < LOOK_MAX {
            clock.pause(LOOK_PAUSE).await;
        }
    }
}

/// What came of trying to lock a directory.
enum Attempt {
    Acquired(DirectoryLock),
    /// A holder in this process is about to free it.
    GivenUp,
    Locked,
}

fn locked(directory: &Path) -> Error {
    Error::Locked { path: directory.display().to_string() }
}

/// Whether this process holds the lock of a directory and is about to free it.
fn is_given_up(held: &[(PathBuf, bool)], directory: &Path) -> bool {
    let Ok(path) = directory.canonicalize() else { return false };
    held.iter().any(|(held, given_up)| *given_up && *held == path)
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

    #[tokio::test]
    async fn who_waits_for_a_holder_that_ends_is_not_refused_at_that_moment() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..500 {
            let first = DirectoryLock::acquire_after(directory.path()).await.unwrap();
            first.give_up();
            let ending = std::thread::spawn(move || drop(first));
            drop(DirectoryLock::acquire_after(directory.path()).await.unwrap());
            ending.join().unwrap();
        }
    }
}
