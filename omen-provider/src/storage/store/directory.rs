//! The directory of a database on the local disk: its folders, who may look into them, and the
//! descriptors that are kept open.
//!
//! Called by `local.rs` and `lock.rs`; calls the file system through [`Files`] only.
//!
//! A directory made here has mode 0700. One that is there already must not be open to others, for
//! who may write in it could put a file of theirs in the place of ours:
//!
//! * a folder of the database, and an empty directory that becomes one, are narrowed to 0700;
//! * a directory that holds something and in which others may write is refused;
//! * a directory with files of other kinds that others may read is left as it is, for it is not
//!   ours alone; what lies in the database's own folders is hidden all the same.
//!
//! Invariant: a directory that this process did not fsync yet, parents included, is fsynced before
//! the first file in it counts as durable.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use super::files::{FileHandle, Files};
use super::lock::LOCK_FILE;
use super::{BlobInfo, Lock, Pin, check_name};
use crate::error::{Error, Result, is_full};
use crate::teeth::{Tooth, planted};

/// Blobs kept open for reading.
const OPEN_FILES_MAX: usize = 256;
/// What all but the owner may do, in a mode.
const OTHERS: u32 = 0o077;
/// What all but the owner may write, in a mode.
const OTHERS_WRITE: u32 = 0o022;

/// The directory of a database.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    pub(super) files: Arc<dyn Files>,
    /// Folders whose own directory entries this process has made durable.
    durable: Mutex<HashSet<PathBuf>>,
    next_temp: AtomicU64,
    pub(super) open_files: Cache<String, Arc<OpenFile>>,
}

/// A blob open for reading; blobs never change, so neither does the length.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: Box<dyn FileHandle>,
    pub(super) bytes: u64,
}

impl Directory {
    pub(super) fn new(root: PathBuf, files: Arc<dyn Files>) -> Self {
        Self {
            root,
            durable: Mutex::new(HashSet::new()),
            next_temp: AtomicU64::new(files.first_number()),
            open_files: Cache::new(OPEN_FILES_MAX),
            files,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    /// A number for a temporary file. Every handle on a directory begins somewhere else, so that
    /// one that was dropped and still writes never meets a name of its successor's: it would link
    /// the other's half-written file.
    pub(super) fn temp_number(&self) -> u64 {
        self.next_temp.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a call that needs a descriptor. If there is none to be had, those of the blobs that
    /// are only kept open are given back, and it is made once more.
    pub(super) fn with_descriptor<T>(
        &self,
        call: impl Fn(&dyn Files) -> io::Result<T>,
    ) -> io::Result<T> {
        match call(self.files.as_ref()) {
            Err(error) if lacks_descriptors(&error) => {
                self.open_files.clear();
                call(self.files.as_ref())
            }
            result => result,
        }
    }

    /// Makes the folder of `name`, durably, and returns it.
    pub(super) fn make_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name.split('/').next().unwrap_or_default());
        match self.make_durable(&folder) {
            Err(Error::Io { source, .. }) if lacks_descriptors(&source) => {
                self.open_files.clear();
                self.make_durable(&folder)?;
            }
            result => result?,
        }
        Ok(folder)
    }

    fn make_durable(&self, folder: &Path) -> Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.contains(folder) {
            return Ok(());
        }
        let files = self.files.as_ref();
        if !durable.contains(&self.root) {
            make_root(files, &self.root)?;
            durable.insert(self.root.clone());
        }
        make_directory(files, folder)?;
        narrow(files, folder)?;
        durable.insert(folder.to_path_buf());
        Ok(())
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync(&self, folder: &Path) -> Result<()> {
        self.with_descriptor(|files| sync_names(files, folder)).map_err(|e| failed(folder, e))
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        let path = self.root.join(folder);
        let entries = match self.with_descriptor(|files| files.read_dir(&path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| failed(&path, e))?,
        };
        let named = entries.into_iter().map(|entry| BlobInfo {
            name: format!("{folder}/{}", entry.name.to_string_lossy()),
            bytes: entry.bytes,
        });
        let mut found: Vec<_> = named.filter(|info| check_name(&info.name).is_ok()).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Locks a file; `None` if another lock excludes that.
    pub(super) fn lock(&self, name: &str, lock: Lock) -> Result<Option<Pin>> {
        let path = self.path(name)?;
        let locked = self.with_descriptor(|files| files.lock(&path, lock));
        Ok(locked.map_err(|e| failed(&path, e))?.map(|lock| Pin { _lock: Some(lock) }))
    }

    pub(super) fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match self.files.unlink(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map_err(|e| failed(&path, e)),
        }
    }
}

impl Directory {
    /// Removes a folder of the system's with all that is in it; a link to one is removed itself.
    pub(super) fn remove_tree(&self, folder: &str) -> Result<()> {
        let path = self.root.join(folder);
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map_err(|e| failed(&path, e)),
        }
    }
}

/// Makes the directory of a database, durably; one that others may write in is narrowed if it is
/// empty, else refused.
pub(super) fn make_root(files: &dyn Files, root: &Path) -> Result<()> {
    make_directory(files, root)?;
    let mode = mode(files, root)?;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let entries = files.read_dir(root).map_err(|e| failed(root, e))?;
    if mode & OTHERS_WRITE != 0 && !entries.is_empty() {
        return Err(Error::invalid(format!(
            "{} has mode {mode:04o}: others may write in it, and it is not empty; take their \
             rights (chmod go-w), or choose a directory of your own for the database",
            root.display()
        )));
    }
    let is_ours = entries.is_empty() || entries.iter().any(|entry| entry.name == LOCK_FILE);
    if is_ours { narrow(files, root) } else { Ok(()) }
}

/// Leaves a directory to its owner alone.
fn narrow(files: &dyn Files, path: &Path) -> Result<()> {
    let mode = mode(files, path)?;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match files.make_private(path) {
        // Somebody else's directory, in which only they, and we, may write.
        Err(error) if error.kind() == ErrorKind::PermissionDenied && mode & OTHERS_WRITE == 0 => {
            Ok(())
        }
        result => result.map_err(|e| failed(path, e)),
    }
}

fn mode(files: &dyn Files, path: &Path) -> Result<u32> {
    Ok(files.metadata(path).map_err(|e| failed(path, e))?.mode.unwrap_or_default())
}

/// Makes the names in a directory durable.
fn sync_names(files: &dyn Files, directory: &Path) -> io::Result<()> {
    if planted(Tooth::NoDirectorySync) { Ok(()) } else { files.sync_dir(directory) }
}

/// Makes `path` and what is missing above it, each entry fsynced in its parent.
fn make_directory(files: &dyn Files, path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    let is_dir = |path: &Path| files.metadata(path).is_ok_and(|info| info.is_dir);
    let sync_parent = || sync_names(files, parent).map_err(|e| failed(parent, e));
    if !is_dir(path) {
        if !is_dir(parent) {
            make_directory(files, parent)?;
        }
        match files.make_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => result.map_err(|e| failed(path, e))?,
        }
        return sync_parent();
    }
    // It exists, perhaps made by a process that died before its fsync. A parent that may not be
    // read cannot be fsynced; then the entry is older than this database.
    match sync_parent() {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Whether the process or the machine has as many files open as it may.
fn lacks_descriptors(error: &io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[4] } else { &[23, 24] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

pub(super) fn failed(path: &Path, error: io::Error) -> Error {
    let path = path.display().to_string();
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound(path),
        ErrorKind::AlreadyExists => Error::AlreadyExists(path),
        _ if is_full(&error) => {
            let what = format!("there is no space left for {path}");
            Error::Exhausted { what, source: Arc::new(Error::io(path, error)) }
        }
        _ => Error::io(path, error),
    }
}

#[cfg(test)]
mod tests;
