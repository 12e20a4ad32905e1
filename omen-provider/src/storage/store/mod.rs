//! The seam between the engine and the medium, in two halves.
//!
//! * [`Blobs`]: immutable named files (segments, deletion vectors, manifests), published whole or
//!   not at all.
//! * [`Logs`]: append-only files that are synced, and for which space is taken beforehand.
//!
//! Implementations: the local disk (its own write, fsync, link, fsync of the directory), any
//! `object_store`, and the faulty disk of the tests. Everything above this module goes through
//! it; nothing else in the engine opens a file. Below the local disk is a second seam, [`Files`]:
//! the calls of the file system, which the tests make fail and forget as well.
//!
//! Names are relative, with `/` between folders, made of numbers only, never from user input.
//!
//! Invariant: when [`Blobs::put_if_absent`], [`BlobWriter::finish`], [`Logs::create`] or
//! [`LogFile::sync`] has returned Ok, the bytes and the name survive a power cut.

mod block_file;
mod directory;
mod files;
mod local;
mod lock;
mod log_file;
mod object;
mod reserve;

use std::fmt::Debug;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore;

use crate::error::{Error, Result};

pub use files::{DirEntry, FileHandle, FileInfo, Files, SystemFiles, UNCACHED_BLOCK};
pub use lock::{DirectoryLock, FileLock, Lock};

/// A blob as [`Blobs::list`] sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// The full name, folder included.
    pub name: String,
    /// The length in bytes.
    pub bytes: u64,
}

/// Immutable named files.
#[async_trait]
pub trait Blobs: Debug + Send + Sync + 'static {
    /// Publishes `bytes` under `name`, durably and whole, if no blob has that name.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`] if the name is taken; the blob there is untouched.
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()>;

    /// Starts a large blob. It has no name until [`BlobWriter::finish`].
    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>>;

    /// Reads each range of the blob. A range that goes past the end is an error
    /// ([`crate::Error::Corruption`], naming the file), a missing blob is
    /// [`crate::Error::NotFound`].
    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>>;

    /// Reads the whole blob; [`crate::Error::NotFound`] if there is none.
    async fn read(&self, name: &str) -> Result<Bytes>;

    /// The published blobs of a folder, in order of their names; unfinished ones are not listed.
    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>>;

    /// Removes a blob; a missing one is not an error.
    async fn delete(&self, name: &str) -> Result<()>;

    /// Removes what unfinished writers and queries of an earlier process left behind.
    async fn clean(&self) -> Result<()>;

    /// Announces to all processes that a blob is read until the pin is dropped; writes nothing.
    /// `None` if there is no such blob, or it is just being deleted. A pin says nothing of what was
    /// there before: look again whether the blob is there.
    ///
    /// The default is that of stores on which nobody sees a reader (object stores): what it reads
    /// may go away, and it then begins again with what is newer.
    async fn pin(&self, _name: &str) -> Result<Option<Pin>> {
        Ok(Some(Pin::unseen()))
    }

    /// The right to delete a blob: nobody has pinned it, and nobody can before what is returned is
    /// dropped. `None` if somebody has. A missing blob is free to be deleted.
    async fn unpinned(&self, _name: &str) -> Result<Option<Pin>> {
        Ok(Some(Pin::unseen()))
    }

    /// Keeps at least `bytes` back for when there is no space left otherwise. A store that knows no
    /// such shortage, as the default, has nothing to do.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`] if there is no space; what was kept before still is.
    async fn hold_reserve(&self, bytes: u64) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Frees what was kept back; false if that was nothing.
    async fn give_up_reserve(&self) -> Result<bool> {
        Ok(false)
    }

    /// A folder for what queries write while they run, private to the owner, made if it is missing:
    /// a real one, of the operating system. `None`: the medium has none.
    ///
    /// # Errors
    /// If it cannot be made.
    fn spill_folder(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }
}

/// Keeps a blob from being deleted, or from being pinned, until it is dropped.
#[derive(Debug)]
pub struct Pin {
    _lock: Option<Box<dyn FileLock>>,
}

impl Pin {
    /// A pin that nobody sees.
    pub fn unseen() -> Self {
        Self { _lock: None }
    }
}

/// A blob being written. Dropping it unfinished leaves no blob.
#[async_trait]
pub trait BlobWriter: Send {
    /// Appends bytes.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;
    /// Makes the blob durable and gives it its name;
    /// [`crate::Error::AlreadyExists`] if the name is taken.
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// Append-only files.
#[async_trait]
pub trait Logs: Debug + Send + Sync + 'static {
    /// Creates an empty log, its name durable; an error if the name is taken.
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>>;
    /// Everything appended so far, and maybe zeros behind it; [`crate::Error::NotFound`] if there
    /// is no such log.
    async fn read(&self, name: &str) -> Result<Bytes>;
    /// What was appended from byte `from` on, after making sure that all of it survives a power
    /// cut, whether its writer has done so or not. Room behind the end of what was written may be
    /// left out.
    async fn read_durable(&self, name: &str, from: u64) -> Result<Bytes> {
        let bytes = self.read(name).await?;
        Ok(bytes.slice(bytes.len().min(from as usize)..))
    }
    /// Like [`Logs::read`], after making sure that no earlier writer can append any more: what it
    /// returns is final. (On one machine the directory lock has done so already.)
    async fn take_over(&self, name: &str) -> Result<Bytes>;
    /// Goes on with a log of an earlier writer behind its first `bytes`. These are written anew in
    /// their place, zeros behind them: what the log shows is durable then, in the space it has.
    /// Only where the caller keeps other writers out; a medium on which an append needs no space,
    /// as the default, has no use for it.
    async fn resume(&self, name: &str, bytes: u64) -> Result<Box<dyn LogFile>> {
        Err(Error::invalid(format!("{name} cannot be gone on with after {bytes} bytes here")))
    }
    /// Whether what was appended outlives the process before it is synced, as where the system has
    /// it by then, and whether log files have a [`LogFile::syncer`]. The default: no.
    fn keeps_unsynced(&self) -> bool {
        false
    }
    /// The names of all logs, in order.
    async fn list(&self) -> Result<Vec<String>>;
    /// Removes a log; a missing one is not an error.
    async fn delete(&self, name: &str) -> Result<()>;
}

/// A log being written.
#[async_trait]
pub trait LogFile: Send {
    /// Appends bytes; they are durable after the next [`LogFile::sync`].
    async fn append(&mut self, bytes: Bytes) -> Result<()>;
    /// Returns when everything appended is durable (fdatasync). After an error the state of the
    /// appended bytes is unknown and the file must not be appended to again.
    async fn sync(&mut self) -> Result<()>;
    /// What syncs this file while more is appended to it; none where nothing is kept unsynced, as
    /// the default.
    fn syncer(&self) -> Option<Arc<dyn LogSync>> {
        None
    }
    /// Where space is taken for what is to be appended; none where an append needs no space of its
    /// own, as the default.
    fn space(&self) -> Option<Arc<dyn LogSpace>> {
        None
    }
    /// Syncs come later than appends from now on, of several at once: appends need not reach the
    /// medium by themselves. The default: nothing changes.
    fn defer_syncs(&mut self) -> Result<()> {
        Ok(())
    }
    /// Gives back space that was taken and not used; nothing is appended any more.
    async fn trim(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The sync of a log file, for another thread than the one that appends.
pub trait LogSync: Debug + Send + Sync {
    /// Returns when everything is durable that was appended before the call. After an error as
    /// [`LogFile::sync`]: nothing may be appended or synced any more.
    fn sync(&self) -> Result<()>;
}

/// Space for a log file, taken while others append to it.
#[async_trait]
pub trait LogSpace: Debug + Send + Sync {
    /// Makes sure that the file has space until it is `bytes` long: an append within needs no
    /// more, and no sync of anything but its bytes.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`] if there is none. Nothing is changed then, and it may be asked
    /// for again.
    async fn take(&self, bytes: u64) -> Result<()>;
    /// How long the file may become in the space taken so far.
    fn taken(&self) -> u64;
}

/// The two halves together, and what keeps a second writer out.
#[derive(Debug, Clone)]
pub struct Store {
    /// Immutable files.
    pub blobs: Arc<dyn Blobs>,
    /// Append-only files.
    pub logs: Arc<dyn Logs>,
    /// What to call this store in errors: the directory or URL.
    pub location: String,
}

impl Store {
    /// A directory of the local disk. Nothing is made before something is written; a writer holds
    /// the [`DirectoryLock`].
    pub fn local(directory: impl AsRef<Path>) -> Self {
        let files = Arc::new(SystemFiles);
        Self::of_disk(directory.as_ref(), |root| local::LocalDisk::new(root, files).with_spill())
    }

    /// Like [`Store::local`], on a file system of the caller's.
    pub fn on_files(directory: impl AsRef<Path>, files: Arc<dyn Files>) -> Self {
        Self::of_disk(directory.as_ref(), |root| local::LocalDisk::new(root, files))
    }

    fn of_disk(directory: &Path, make: impl FnOnce(PathBuf) -> local::LocalDisk) -> Self {
        let disk = Arc::new(make(directory.to_path_buf()));
        Self {
            blobs: Arc::clone(&disk) as _,
            logs: disk,
            location: directory.display().to_string(),
        }
    }

    /// Everything below `prefix` of an object store, whose conditional put must be atomic.
    pub fn object_store(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let location = format!("{store}/{prefix}");
        let objects = Arc::new(object::Objects::new(store, prefix));
        Self { blobs: Arc::clone(&objects) as _, logs: objects, location }
    }
}

/// Refuses every name but `folder/number.suffix`, for example `log/00000001000000a0.log`.
fn check_name(name: &str) -> Result<()> {
    let letters = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase());
    let digits = |s: &str| {
        !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let valid = name.split_once('/').is_some_and(|(folder, file)| {
        let parts = file.split_once('.');
        letters(folder) && parts.is_some_and(|(number, suffix)| digits(number) && letters(suffix))
    });
    if valid { Ok(()) } else { Err(Error::invalid(format!("{name:?} is not the name of a file"))) }
}

#[cfg(test)]
mod tests;
