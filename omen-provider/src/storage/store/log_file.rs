//! A log file on the local disk: written at a position, in space that was taken beforehand.
//!
//! Space is taken by writing zeros behind what is there, and one fsync for them: in steps that
//! double from 64 KiB to 4 MiB, so that a small log stays small. An append within changes nothing
//! but bytes of the file: it finds no disk full, and its fdatasync writes no metadata. (Zeros, not
//! a reservation by the file system: the first sync of reserved blocks writes metadata each time.)
//!
//! What is appended is accepted and must not fail for want of space; what takes space may. So the
//! zeros have a descriptor of their own: the system tells each one once of a failed write-back, and
//! the log's must learn what became of the log's bytes.
//!
//! After a crash the end of a log may hold a torn append, in which zeros have survived: telling it
//! from damage is up to the log's reader.
//!
//! Invariant: zeros are only written behind all that was appended.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::directory::{Directory, failed};
use super::files::{FileHandle, write_all_at, write_zeros};
use super::local::{open_log, read_whole};
use super::{LogFile, LogSpace, LogSync};
use crate::error::Result;
use crate::teeth::{Tooth, planted};

/// The first space that is taken.
const FIRST_STEP: u64 = 64 << 10;
/// The most that is taken at once, but for what is asked for.
const LAST_STEP: u64 = 4 << 20;

/// What file systems give out at once.
const BLOCK_BYTES: u64 = 4 << 10;

/// A log being written.
pub(super) struct LocalLog {
    opened: Arc<Opened>,
    /// Where the next append goes.
    position: u64,
    space: Arc<LocalSpace>,
}

/// The file of a log: one descriptor for who appends and who syncs, since the system tells each
/// descriptor once of a write-back that failed.
#[derive(Debug)]
struct Opened {
    file: Box<dyn FileHandle>,
    path: PathBuf,
    /// After a failed write or sync nobody knows what the file holds.
    broken: AtomicBool,
}

/// The space of a log.
#[derive(Debug)]
struct LocalSpace {
    directory: Arc<Directory>,
    path: PathBuf,
    /// The length that the file has but for the rest of a block, or may get without more space.
    taken: AtomicU64,
    /// Held while the file becomes longer.
    growing: Mutex<()>,
}

impl LocalLog {
    pub(super) fn new(
        directory: &Arc<Directory>,
        file: Box<dyn FileHandle>,
        path: PathBuf,
    ) -> Self {
        let space = LocalSpace {
            directory: Arc::clone(directory),
            path: path.clone(),
            taken: AtomicU64::new(0),
            growing: Mutex::new(()),
        };
        let opened = Opened { file, path, broken: AtomicBool::new(false) };
        Self { opened: Arc::new(opened), position: 0, space: Arc::new(space) }
    }

    /// Writes the first `bytes` of a log anew, and zeros over the rest, and goes on behind them.
    /// Bytes that were there stay what they are, so this may be cut short anywhere.
    pub(super) fn resume(directory: &Arc<Directory>, path: PathBuf, bytes: u64) -> Result<Self> {
        let content = directory.with_descriptor(|files| read_whole(files, &path));
        let content = content.map_err(|e| failed(&path, e))?;
        let file = directory.with_descriptor(|files| open_log(files, &path));
        let file = file.map_err(|e| failed(&path, e))?;
        let end = content.len() as u64;
        let kept = &content[..content.len().min(bytes as usize)];
        let written = write_all_at(file.as_ref(), kept, 0)
            .and_then(|()| write_zeros(file.as_ref(), bytes, end))
            .and_then(|()| file.sync_all());
        written.map_err(|e| failed(&path, e))?;
        let mut log = Self::new(directory, file, path);
        log.position = kept.len() as u64;
        log.space.taken.store(end, SeqCst);
        Ok(log)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.position + bytes.len() as u64;
        let space = Arc::clone(&self.space);
        // Who appends what no space was taken for keeps the zeros away from it.
        let growing = (end > space.taken()).then(|| space.lock());
        space.taken.fetch_max(end, SeqCst);
        write_all_at(self.opened.file.as_ref(), bytes, self.position)?;
        drop(growing);
        self.position = end;
        Ok(())
    }
}

impl Opened {
    fn attempt(&self, action: impl FnOnce() -> io::Result<()>) -> Result<()> {
        if self.broken.load(SeqCst) {
            let error = io::Error::other("an earlier write or sync of this log failed");
            return Err(failed(&self.path, error));
        }
        action().map_err(|error| {
            self.broken.store(!planted(Tooth::NoPoisoning), SeqCst);
            failed(&self.path, error)
        })
    }
}

impl LogSync for Opened {
    fn sync(&self) -> Result<()> {
        self.attempt(|| self.file.sync_data())
    }
}

#[async_trait]
impl LogFile for LocalLog {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        let opened = Arc::clone(&self.opened);
        opened.attempt(|| self.write(&bytes))
    }

    async fn sync(&mut self) -> Result<()> {
        LogSync::sync(self.opened.as_ref())
    }

    fn syncer(&self) -> Option<Arc<dyn LogSync>> {
        Some(Arc::clone(&self.opened) as _)
    }

    fn space(&self) -> Option<Arc<dyn LogSpace>> {
        Some(Arc::clone(&self.space) as _)
    }

    fn defer_syncs(&mut self) -> Result<()> {
        let opened = &self.opened;
        opened.file.go_through_cache().map_err(|e| failed(&opened.path, e))
    }

    async fn trim(&mut self) -> Result<()> {
        let space = Arc::clone(&self.space);
        let _growing = space.lock();
        let opened = &self.opened;
        if opened.broken.load(SeqCst) || self.position == space.taken() {
            return Ok(());
        }
        // Not synced: with the zeros or without them, the log is the same.
        opened.file.set_len(self.position).map_err(|e| failed(&opened.path, e))?;
        space.taken.store(self.position, SeqCst);
        Ok(())
    }
}

impl LocalSpace {
    fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, file: &dyn FileHandle, end: u64) -> io::Result<()> {
        let start = self.taken();
        let filled = write_zeros(file, start, end).and_then(|()| file.sync_all());
        match filled {
            Ok(()) => self.taken.store(end, SeqCst),
            // What there was no space for should not keep others from it. If that fails too,
            // the zeros are written anew all the same.
            Err(_) => drop(file.set_len(start)),
        }
        filled
    }
}

#[async_trait]
impl LogSpace for LocalSpace {
    async fn take(&self, bytes: u64) -> Result<()> {
        if bytes <= self.taken() {
            return Ok(());
        }
        let _growing = self.lock();
        let taken = self.taken();
        if bytes <= taken {
            return Ok(());
        }
        let file = self.directory.with_descriptor(|files| files.open_to_write(&self.path));
        let file = file.map_err(|e| failed(&self.path, e))?;
        let step = taken.clamp(FIRST_STEP, LAST_STEP);
        let whole = (taken + step).max(bytes).next_multiple_of(FIRST_STEP);
        // On a disk that is almost full the rest may do.
        let filled = self.fill(file.as_ref(), whole);
        let rest = bytes.next_multiple_of(BLOCK_BYTES);
        let filled = filled.or_else(|_| self.fill(file.as_ref(), rest));
        filled.map_err(|e| failed(&self.path, e))
    }

    fn taken(&self) -> u64 {
        self.taken.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::{Files, SystemFiles};

    fn new_log(root: &std::path::Path) -> (LocalLog, PathBuf) {
        let path = root.join("log");
        let directory = Arc::new(Directory::new(root.to_path_buf(), Arc::new(SystemFiles)));
        let file = SystemFiles.create_new(&path).unwrap();
        (LocalLog::new(&directory, file, path.clone()), path)
    }

    #[tokio::test]
    async fn a_log_takes_nothing_after_a_failure() {
        let root = tempfile::tempdir().unwrap();
        let (mut log, _) = new_log(root.path());
        assert!(log.opened.attempt(|| Err(io::Error::other("disk full"))).is_err());
        assert!(log.append(Bytes::from("more")).await.is_err());
        assert!(log.sync().await.is_err() && log.syncer().unwrap().sync().is_err());
    }

    #[tokio::test]
    async fn space_grows_in_steps_and_is_given_back() {
        let root = tempfile::tempdir().unwrap();
        let (mut log, path) = new_log(root.path());
        let space = log.space().unwrap();
        let bytes = || path.metadata().unwrap().len();
        log.append(Bytes::from(vec![1; 64])).await.unwrap();
        assert_eq!((space.taken(), bytes()), (64, 64));
        let mut steps = vec![space.taken()];
        let mut content = vec![1; 64];
        for number in 2..100 {
            let part = vec![number; 100_000];
            content.extend_from_slice(&part);
            space.take(content.len() as u64).await.unwrap();
            assert_eq!(bytes(), space.taken());
            log.append(Bytes::from(part)).await.unwrap();
            log.sync().await.unwrap();
            assert_eq!(bytes(), space.taken(), "an append does not make the file longer");
            steps.push(space.taken());
        }
        steps.dedup();
        assert_eq!(steps[1] % FIRST_STEP, 0);
        assert!(steps.windows(2).all(|two| two[1] <= 2 * two[0].max(FIRST_STEP) + FIRST_STEP));
        assert!(steps.windows(2).all(|two| two[1] - two[0] <= LAST_STEP + FIRST_STEP));
        let written = std::fs::read(&path).unwrap();
        assert!(written[..content.len()] == content);
        assert!(written[content.len()..].iter().all(|byte| *byte == 0));
        log.trim().await.unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
    }
}
