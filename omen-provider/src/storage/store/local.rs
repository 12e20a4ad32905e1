//! The seam on a directory of the local disk, with its own fsyncs.
//!
//! Calls of the file system ([`Files`]) are made where they are needed, on the calling thread: an
//! append and a sync of the log must not wait for another thread. `directory.rs` knows the folders.
//!
//! A blob is written to `tmp/`, fsynced, linked to its name (which fails if the name is taken) and
//! its directory fsynced. A log is created exclusively, it and its directory fsynced; how it is
//! written says `log_file.rs`. `reserve.rs` keeps room for when there is none.
//!
//! Invariant: what is acknowledged is fsynced, the bytes before the name that leads to them.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::block_file::BlockFile;
use super::directory::{Directory, OpenFile, failed};
use super::files::{FileHandle, Files, read_full_at, write_all_at};
use super::log_file::LocalLog;
use super::reserve::Reserve;
use super::{BlobInfo, BlobWriter, Blobs, Lock, LogFile, Logs, Pin, check_name};
use crate::error::{Error, Result};

/// Folder of logs.
const LOG_FOLDER: &str = "log";
/// Bytes of a growing log that are read at once.
const PIECE_BYTES: usize = 64 << 10;
/// Folder of blobs without a name yet.
const TEMP_FOLDER: &str = "tmp";
/// Folder of what queries write while they run.
const SPILL_FOLDER: &str = "spill";

/// Blobs and logs in one directory.
#[derive(Debug)]
pub(super) struct LocalDisk {
    directory: Arc<Directory>,
    reserve: Reserve,
    /// Whether queries may write here; they do so past [`Files`].
    has_spill: bool,
}

impl LocalDisk {
    pub(super) fn new(root: PathBuf, files: Arc<dyn Files>) -> Self {
        let directory = Arc::new(Directory::new(root, files));
        Self { reserve: Reserve::new(Arc::clone(&directory)), directory, has_spill: false }
    }

    /// With a folder for what queries write.
    pub(super) fn with_spill(self) -> Self {
        Self { has_spill: true, ..self }
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
        match self.has_spill {
            true => self.directory.remove_tree(SPILL_FOLDER),
            false => Ok(()),
        }
    }

    fn spill_folder(&self) -> Result<Option<PathBuf>> {
        match self.has_spill {
            true => self.directory.make_folder(SPILL_FOLDER).map(Some),
            false => Ok(None),
        }
    }

    async fn hold_reserve(&self, bytes: u64) -> Result<()> {
        self.reserve.hold(bytes)
    }

    async fn give_up_reserve(&self) -> Result<bool> {
        self.reserve.give_up()
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
        let file = self.directory.with_descriptor(|files| open_log(files, &path));
        let file = file.map_err(|e| failed(&path, e))?;
        Ok(Box::new(LocalLog::new(&self.directory, file, path)))
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

    async fn resume(&self, name: &str, bytes: u64) -> Result<Box<dyn LogFile>> {
        let path = self.directory.path(name)?;
        Ok(Box::new(LocalLog::resume(&self.directory, path, bytes)?))
    }

    fn keeps_unsynced(&self) -> bool {
        true
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.directory.list(LOG_FOLDER)?.into_iter().map(|info| info.name).collect())
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.directory.delete(name)
    }
}

/// A file for a log, past the system's cache where that is possible.
pub(super) fn open_log(files: &dyn Files, path: &Path) -> io::Result<Box<dyn FileHandle>> {
    match files.open_uncached(path)? {
        Some(file) => Ok(Box::new(BlockFile::new(file))),
        None => files.open_to_write(path),
    }
}

/// The bytes of a file that may be growing.
pub(super) fn read_whole(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
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

/// A blob without a name yet.
struct TempFile {
    directory: Arc<Directory>,
    /// None after publication.
    temp: Option<PathBuf>,
    file: Box<dyn FileHandle>,
    bytes: u64,
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
                    let name = name.to_string();
                    return Ok(Self { directory, temp: Some(temp), file, bytes: 0, name });
                }
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let written = write_all_at(self.file.as_ref(), bytes, self.bytes);
        self.bytes += bytes.len() as u64;
        written.map_err(|e| failed(Path::new(&self.name), e))
    }

    fn publish(mut self) -> Result<()> {
        let path = self.directory.path(&self.name)?;
        let files = Arc::clone(&self.directory.files);
        self.file.sync_all().map_err(|e| failed(Path::new(&self.name), e))?;
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
