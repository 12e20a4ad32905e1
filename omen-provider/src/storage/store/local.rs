//! The seam on a directory of the local disk, with its own fsyncs.
//!
//! Calls of the file system ([`Files`]) are made where they are needed, on the calling thread: an
//! append and a sync of the log must not wait for another thread. `directory.rs` knows the folders.
//!
//! A blob is written to `tmp/`, fsynced, linked to its name (which fails if the name is taken) and
//! its directory fsynced. A log is created exclusively, it and its directory fsynced; appends are
//! plain writes at its end, a sync is fdatasync. After a crash the end of a log may hold a torn
//! append: telling it from damage is up to the log's reader.
//!
//! Invariant: what is acknowledged is fsynced, the bytes before the name that leads to them.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::directory::{Directory, OpenFile, failed};
use super::files::{FileHandle, Files, append_all, read_full_at};
use super::{BlobInfo, BlobWriter, Blobs, Lock, LogFile, Logs, Pin, check_name};
use crate::error::{Error, Result};

/// Folder of logs.
const LOG_FOLDER: &str = "log";
/// Bytes of a growing log that are read at once.
const PIECE_BYTES: usize = 64 << 10;
/// Folder of blobs without a name yet.
const TEMP_FOLDER: &str = "tmp";

/// Blobs and logs in one directory.
#[derive(Debug)]
pub(super) struct LocalDisk {
    directory: Arc<Directory>,
}

impl LocalDisk {
    pub(super) fn new(root: PathBuf, files: Arc<dyn Files>) -> Self {
        Self { directory: Arc::new(Directory::new(root, files)) }
    }

    fn open_file(&self, name: &str) -> Result<Arc<OpenFile>> {
        let directory = &self.directory;
        if let Some(open) = directory.open_files.get(name) {
            return Ok(open);
        }
        let path = directory.path(name)?;
        let file =
            directory.with_descriptor(|files| files.open(&path)).map_err(|e| failed(&path, e))?;
        let bytes = file.bytes().map_err(|e| failed(&path, e))?;
        let open = Arc::new(OpenFile { file, bytes });
        directory.open_files.insert(name.to_string(), Arc::clone(&open));
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
        let count = read_full_at(self.file.as_ref(), &mut buffer, range.start)
            .map_err(|e| Error::io(name, e))?;
        if count < buffer.len() {
            let reason = "the file became shorter while open";
            return Err(Error::corruption(name, range.start, reason));
        }
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
        self.directory.open_files.remove(name);
        self.directory.delete(name)
    }

    async fn pin(&self, name: &str) -> Result<Option<Pin>> {
        match self.directory.lock(name, Lock::Shared) {
            Err(Error::NotFound(_)) => Ok(None),
            pin => pin,
        }
    }

    async fn unpinned(&self, name: &str) -> Result<Option<Pin>> {
        match self.directory.lock(name, Lock::Exclusive) {
            Err(Error::NotFound(_)) => Ok(Some(Pin::unseen())),
            right => right,
        }
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
        let file = self.directory.with_descriptor(|files| files.create_new(&path));
        let file = file.map_err(|e| failed(&path, e))?;
        file.sync_all().map_err(|e| failed(&path, e))?;
        self.directory.sync(&folder)?;
        Ok(Box::new(LocalLog { file, path, broken: false }))
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        let path = self.directory.path(name)?;
        let bytes = self.directory.with_descriptor(|files| read_whole(files, &path));
        Ok(Bytes::from(bytes.map_err(|e| failed(&path, e))?))
    }

    async fn read_durable(&self, name: &str, from: u64) -> Result<Bytes> {
        let path = self.directory.path(name)?;
        let bytes = self.directory.with_descriptor(|files| read_synced(files, &path, from));
        Ok(Bytes::from(bytes.map_err(|e| failed(&path, e))?))
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

/// The bytes of a file that may be growing.
fn read_whole(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    let file = files.open(path)?;
    let mut bytes = vec![0; file.bytes()? as usize];
    let count = read_full_at(file.as_ref(), &mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// What was written from `from` on, durable. Nothing that was written is zero for the length of a
/// piece: that is room which the file has for more.
fn read_synced(files: &dyn Files, path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let file = files.open(path)?;
    let mut bytes = Vec::new();
    loop {
        let start = bytes.len();
        bytes.resize(start + PIECE_BYTES, 0);
        let count = read_full_at(file.as_ref(), &mut bytes[start..], from + start as u64)?;
        bytes.truncate(start + count);
        if count < PIECE_BYTES || bytes[start..].iter().all(|byte| *byte == 0) {
            break;
        }
    }
    if bytes.iter().any(|byte| *byte != 0) {
        match file.sync_data() {
            // Nobody writes there; what can be read is on the medium. (Windows syncs only what was
            // opened for writing.)
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem || cfg!(windows) => {}
            result => result?,
        }
    }
    Ok(bytes)
}

/// A log being written.
struct LocalLog {
    file: Box<dyn FileHandle>,
    path: PathBuf,
    /// After a failed write or sync nobody knows what the file holds.
    broken: bool,
}

impl LocalLog {
    fn attempt(&mut self, action: impl FnOnce(&dyn FileHandle) -> io::Result<()>) -> Result<()> {
        if self.broken {
            let error = io::Error::other("an earlier write or sync of this log failed");
            return Err(failed(&self.path, error));
        }
        self.broken = true;
        action(self.file.as_ref()).map_err(|e| failed(&self.path, e))?;
        self.broken = false;
        Ok(())
    }
}

#[async_trait]
impl LogFile for LocalLog {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.attempt(|file| append_all(file, &bytes))
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
    file: Box<dyn FileHandle>,
    name: String,
}

impl TempFile {
    fn create(directory: &Arc<Directory>, name: &str) -> Result<Self> {
        check_name(name)?;
        loop {
            let temp_name = format!("{TEMP_FOLDER}/{:016x}.tmp", directory.temp_number());
            let temp = directory.path(&temp_name)?;
            directory.make_folder(&temp_name)?;
            match directory.with_descriptor(|files| files.create_new(&temp)) {
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
        append_all(self.file.as_ref(), bytes).map_err(|e| Error::io(&self.name, e))
    }

    fn publish(mut self) -> Result<()> {
        let path = self.directory.path(&self.name)?;
        let files = Arc::clone(&self.directory.files);
        self.file.sync_all().map_err(|e| Error::io(&self.name, e))?;
        let folder = self.directory.make_folder(&self.name)?;
        if let Some(temp) = &self.temp {
            link(files.as_ref(), temp, &path).map_err(|e| failed(&path, e))?;
        }
        if let Some(temp) = self.temp.take() {
            // Left over, it costs space until the next open cleans it away.
            let _ = files.unlink(&temp);
        }
        self.directory.sync(&folder)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(temp) = self.temp.take() {
            let _ = self.directory.files.unlink(&temp);
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

/// Gives `temp` the name `path`, as a second name; an error if that is taken.
fn link(files: &dyn Files, temp: &Path, path: &Path) -> io::Result<()> {
    match files.hard_link(temp, path) {
        Err(error)
            if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) =>
        {
            // A file system without hard links. The lock on the directory keeps others out
            // between the two steps.
            if files.metadata(path).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            files.rename(temp, path)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests;
