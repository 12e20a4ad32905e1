//! The seam on a directory of the local disk, with its own fsyncs.
//!
//! Calls of the operating system are made where they are needed, on the calling thread: an append
//! and a sync of the log must not wait for another thread.
//!
//! A blob is written to `tmp/`, fsynced, linked to its name (which fails if the name is taken) and
//! its directory fsynced. A log is created exclusively, it and its directory fsynced; appends are
//! plain writes at its end, a sync is fdatasync. After a crash the end of a log may hold a torn
//! append: telling it from damage is up to the log's reader.
//!
//! Invariant: a directory that this process did not fsync yet, parents included, is fsynced before
//! the first file in it counts as durable.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use quick_cache::sync::Cache;

use super::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, check_name};
use crate::error::{Error, Result};

/// Folder of logs.
const LOG_FOLDER: &str = "log";
/// Folder of blobs without a name yet.
const TEMP_FOLDER: &str = "tmp";
/// Blobs kept open for reading.
const OPEN_FILES_MAX: usize = 256;

/// Blobs and logs in one directory.
#[derive(Debug)]
pub(super) struct LocalDisk {
    directory: Arc<Directory>,
    open_files: Cache<String, Arc<OpenFile>>,
}

/// A blob open for reading; blobs never change, so neither does the length.
#[derive(Debug)]
struct OpenFile {
    file: File,
    bytes: u64,
}

impl LocalDisk {
    pub(super) fn new(root: PathBuf) -> Self {
        let directory = Arc::new(Directory {
            root,
            durable: Mutex::new(HashSet::new()),
            next_temp: AtomicU64::new(0),
        });
        Self { directory, open_files: Cache::new(OPEN_FILES_MAX) }
    }

    fn open_file(&self, name: &str) -> Result<Arc<OpenFile>> {
        if let Some(open) = self.open_files.get(name) {
            return Ok(open);
        }
        let path = self.directory.path(name)?;
        let file = File::open(&path).map_err(|e| failed(&path, e))?;
        let bytes = file.metadata().map_err(|e| failed(&path, e))?.len();
        let open = Arc::new(OpenFile { file, bytes });
        self.open_files.insert(name.to_string(), Arc::clone(&open));
        Ok(open)
    }
}

impl OpenFile {
    fn read(&self, name: &str, range: &Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.bytes {
            return Err(Error::corruption(
                name,
                range.start,
                format!("the file has {} bytes, {} expected", self.bytes, range.end),
            ));
        }
        let mut buffer = vec![0; (range.end - range.start) as usize];
        read_exact_at(&self.file, &mut buffer, range.start).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => {
                Error::corruption(name, range.start, "the file became shorter while open")
            }
            _ => Error::io(name, e),
        })?;
        Ok(Bytes::from(buffer))
    }
}

#[async_trait]
impl Blobs for LocalDisk {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        let mut writer = TempFile::create(&self.directory, name)?;
        writer.write_all(&bytes)?;
        writer.publish()
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(TempFile::create(&self.directory, name)?))
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let open = self.open_file(name)?;
        ranges.iter().map(|range| open.read(name, range)).collect()
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        let open = self.open_file(name)?;
        open.read(name, &(0..open.bytes))
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        self.directory.list(folder)
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.open_files.remove(name);
        self.directory.delete(name)
    }

    async fn clean(&self) -> Result<()> {
        for left in self.directory.list(TEMP_FOLDER)? {
            self.directory.delete(&left.name)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Logs for LocalDisk {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        let path = self.directory.path(name)?;
        let folder = self.directory.make_folder(name)?;
        let file = new_file(&path).map_err(|e| failed(&path, e))?;
        file.sync_all().map_err(|e| failed(&path, e))?;
        sync_directory(&folder)?;
        Ok(Box::new(LocalLog { file, path, broken: false }))
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        let path = self.directory.path(name)?;
        Ok(Bytes::from(fs::read(&path).map_err(|e| failed(&path, e))?))
    }

    async fn take_over(&self, name: &str) -> Result<Bytes> {
        // The lock on the directory keeps every other writer out.
        Logs::read(self, name).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.directory.list(LOG_FOLDER)?.into_iter().map(|info| info.name).collect())
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.directory.delete(name)
    }
}

/// A log being written.
struct LocalLog {
    file: File,
    path: PathBuf,
    /// After a failed write or sync nobody knows what the file holds.
    broken: bool,
}

impl LocalLog {
    fn attempt(&mut self, action: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
        if self.broken {
            let error = io::Error::other("an earlier write or sync of this log failed");
            return Err(failed(&self.path, error));
        }
        self.broken = true;
        action(&mut self.file).map_err(|e| failed(&self.path, e))?;
        self.broken = false;
        Ok(())
    }
}

#[async_trait]
impl LogFile for LocalLog {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.attempt(|file| file.write_all(&bytes))
    }

    async fn sync(&mut self) -> Result<()> {
        self.attempt(|file| file.sync_data())
    }
}

/// A blob without a name yet.
struct TempFile {
    directory: Arc<Directory>,
    /// None after publication.
    temp: Option<PathBuf>,
    file: File,
    name: String,
}

impl TempFile {
    fn create(directory: &Arc<Directory>, name: &str) -> Result<Self> {
        check_name(name)?;
        loop {
            let number = directory.next_temp.fetch_add(1, Ordering::Relaxed);
            let temp_name = format!("{TEMP_FOLDER}/{number:016x}.tmp");
            let temp = directory.path(&temp_name)?;
            directory.make_folder(&temp_name)?;
            match new_file(&temp) {
                // Another handle on this directory, or an earlier process, has this number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&temp, error)),
                Ok(file) => {
                    let directory = Arc::clone(directory);
                    return Ok(Self { directory, temp: Some(temp), file, name: name.to_string() });
                }
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Error::io(&self.name, e))
    }

    fn publish(mut self) -> Result<()> {
        let path = self.directory.path(&self.name)?;
        self.file.sync_all().map_err(|e| Error::io(&self.name, e))?;
        let folder = self.directory.make_folder(&self.name)?;
        if let Some(temp) = &self.temp {
            link(temp, &path).map_err(|e| failed(&path, e))?;
        }
        if let Some(temp) = self.temp.take() {
            // Left over, it costs space until the next open cleans it away.
            let _ = fs::remove_file(temp);
        }
        sync_directory(&folder)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(temp) = self.temp.take() {
            let _ = fs::remove_file(temp);
        }
    }
}

#[async_trait]
impl BlobWriter for TempFile {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.write_all(&bytes)
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.publish()
    }
}

/// The directory of a database.
#[derive(Debug)]
struct Directory {
    root: PathBuf,
    /// Folders whose own directory entries this process has made durable.
    durable: Mutex<HashSet<PathBuf>>,
    next_temp: AtomicU64,
}

impl Directory {
    fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    /// Makes the folder of `name`, durably, and returns it.
    fn make_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name.split('/').next().unwrap_or_default());
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if !durable.contains(&folder) {
            if !durable.contains(&self.root) {
                make_directory(&self.root)?;
                durable.insert(self.root.clone());
            }
            make_directory(&folder)?;
            durable.insert(folder.clone());
        }
        Ok(folder)
    }

    fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        let path = self.root.join(folder);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| failed(&path, e))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| failed(&path, e))?;
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if check_name(&name).is_err() {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) => found.push(BlobInfo { name, bytes: metadata.len() }),
                // Deleted since the directory was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map_err(|e| failed(&path, e)),
        }
    }
}

/// Makes `path` and what is missing above it, each entry fsynced in its parent.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    if !path.is_dir() {
        if !parent.is_dir() {
            make_directory(parent)?;
        }
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => result.map_err(|e| failed(path, e))?,
        }
        return sync_directory(parent);
    }
    // It exists, perhaps made by a process that died before its fsync. A parent that may not be
    // read cannot be fsynced; then the entry is older than this database.
    match sync_directory(parent) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Makes the entries of a directory durable.
fn sync_directory(path: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|e| failed(path, e))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A new file for appending; an error if the name is taken, also by a symbolic link.
fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Gives `temp` the name `path`, as a second name; an error if that is taken.
fn link(temp: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temp, path) {
        Err(error)
            if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) =>
        {
            // A file system without hard links. The lock on the directory keeps others out
            // between the two steps.
            if path.exists() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(temp, path)
        }
        result => result,
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn failed(path: &Path, error: io::Error) -> Error {
    let path = path.display().to_string();
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound(path),
        ErrorKind::AlreadyExists => Error::AlreadyExists(path),
        _ => Error::io(path, error),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::storage::store::Store;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn only_the_owner_may_look() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("a/b");
        let store = Store::local(&root);
        store.blobs.put_if_absent("segments/01.parquet", Bytes::from("x")).await.unwrap();
        store.logs.create("log/01.log").await.unwrap();
        for folder in ["", "log", "segments", "tmp"] {
            assert_eq!(mode(&root.join(folder)), 0o700, "{folder}");
        }
        for file in ["log/01.log", "segments/01.parquet"] {
            assert_eq!(mode(&root.join(file)), 0o600, "{file}");
        }
        assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn left_overs_are_cleaned_and_do_not_stop_writers() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tmp")).unwrap();
        let left = root.path().join("tmp/0000000000000000.tmp");
        fs::write(&left, "half").unwrap();
        let store = Store::local(root.path());
        store.blobs.put_if_absent("manifest/01.manifest", Bytes::from("m")).await.unwrap();
        assert!(left.exists());
        store.blobs.clean().await.unwrap();
        assert!(!left.exists());
    }

    #[tokio::test]
    async fn foreign_files_are_not_listed() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::local(root.path());
        store.blobs.put_if_absent("segments/01.parquet", Bytes::from("x")).await.unwrap();
        fs::write(root.path().join("segments/Read me.txt"), "hello").unwrap();
        let listed = store.blobs.list("segments").await.unwrap();
        assert_eq!(listed, [BlobInfo { name: "segments/01.parquet".into(), bytes: 1 }]);
    }

    #[test]
    fn a_log_takes_nothing_after_a_failure() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        let mut log = LocalLog { file: new_file(&path).unwrap(), path, broken: false };
        assert!(log.attempt(|_| Err(io::Error::other("disk full"))).is_err());
        assert!(log.attempt(|_| Ok(())).is_err());
    }
}
