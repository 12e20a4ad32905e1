//! A file system in memory that forgets at a power cut and fails on demand, the same way for the
//! same seed. It lies below the engine's own code for the local disk.
//!
//! It keeps apart what a program sees and what is on the medium, and promises no more than POSIX:
//!
//! * bytes that were not synced survive in sectors of 512, any of them; the length of the file is a
//!   matter of its own, and what was not written below it reads as zeros; what is written over
//!   what was there leaves either, sector by sector;
//! * a sync that fails is told to every open file once, whoever made it;
//! * a file's sync says nothing of its name; names given and taken survive, each or not, until
//!   their directory is synced.
//!
//! Story of a crash test: switch on [`FaultyFiles::record`], run a script once, take the
//! [`FaultyFiles::snapshots`]: the disk before every call that changes it. Each with some seeds:
//! [`Snapshot::after_power_cut`], open what is left, compare with what was acknowledged until then.
//!
//! No clock, no threads, no randomness but the seeds.

mod contents;
pub mod editing;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use omen_provider::store::{DirEntry, FileHandle, FileInfo, Files, Store};

use super::{SECTOR_BYTES, Seeded};
use contents::Contents;
use tree::{Inode, InodeNumber, Names, Tree};

/// Codes of the operating system.
pub const EIO: i32 = 5;
/// Too many open files.
pub const EMFILE: i32 = 24;
/// No space left.
pub const ENOSPC: i32 = 28;

/// How a call fails while the disk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing happens; the code of the error.
    NoEffect(i32),
    /// It happens, and fails all the same.
    FullEffect(i32),
    /// A write writes a part and says so; a sync writes some sectors and fails with EIO. Others:
    /// nothing happens, EIO.
    Short(u64),
    /// A sync fails with EIO and takes the bytes for clean: no later sync writes them. Others:
    /// nothing happens, EIO.
    MarksClean,
}

/// A bug of the code above, planted by a disk that does not do what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Files in this folder are not synced.
    NoFileSync(&'static str),
    /// This folder is not synced.
    NoDirectorySync(&'static str),
    /// Before a manifest gets its name, every log but the newest is removed.
    LogRemovedEarly,
}

/// The file system; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct FaultyFiles {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    calls: u64,
    recording: bool,
    snapshots: Vec<Snapshot>,
    file_syncs: usize,
    log_calls: Vec<LogCall>,
    /// From which call on (once, or for ever), and how.
    failure: Option<(u64, bool, Failure)>,
    planted: Option<Planted>,
    /// Open files, and how often.
    open: BTreeMap<InodeNumber, usize>,
    bytes_max: Option<u64>,
    /// Writes of zeros, and from which on they fail for want of space: once, or for ever.
    zero_fills: u64,
    failing_fill: Option<(u64, bool)>,
    descriptors: usize,
    descriptors_max: Option<usize>,
    openings: u64,
}

/// A write to a log that succeeded, or a sync of one.
#[derive(Debug, Clone)]
pub struct LogCall {
    /// The number of the change: of the snapshot before it.
    pub change: usize,
    pub path: PathBuf,
    pub is_sync: bool,
}

/// The disk at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(Tree);

impl Snapshot {
    /// A disk with what is there if the process is killed at this moment: everything.
    pub fn after_kill(&self) -> FaultyFiles {
        let state = State { tree: self.0.clone(), ..State::default() };
        FaultyFiles { state: Arc::new(Mutex::new(state)) }
    }

    /// A disk with what is left if power is lost at this moment.
    pub fn after_power_cut(&self, seed: u64) -> FaultyFiles {
        let tree = self.0.after_power_cut(&mut Seeded::new(seed));
        let state = State { tree, ..State::default() };
        FaultyFiles { state: Arc::new(Mutex::new(state)) }
    }
}

impl FaultyFiles {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A database's directory on this disk, by the engine's own code.
    pub fn store(&self) -> Store {
        Store::on_files("/db", Arc::new(self.clone()))
    }

    /// How many calls the disk has seen, failed ones included.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Keeps a snapshot before every call from now on that changes something.
    pub fn record(&self) {
        self.lock().recording = true;
    }

    /// The snapshots until now, and one of this moment.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let state = self.lock();
        let now = Snapshot(state.tree.clone());
        state.snapshots.iter().cloned().chain([now]).collect()
    }

    /// How many snapshots were kept: those before the changes that happened until now.
    pub fn changes(&self) -> usize {
        self.lock().snapshots.len()
    }

    /// How many of these are syncs of a file, which change nothing that anybody can read.
    pub fn file_syncs(&self) -> usize {
        self.lock().file_syncs
    }

    /// Writes to logs, and their syncs, since snapshots are kept.
    pub fn log_calls(&self) -> Vec<LogCall> {
        self.lock().log_calls.clone()
    }

    /// A disk with what is left if power is lost now.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        Snapshot(self.lock().tree.clone()).after_power_cut(seed)
    }

    /// Fails call number `call` (the first is 1) and, if `lasting`, every later one.
    pub fn fail_call(&self, call: u64, lasting: bool, failure: Failure) {
        self.lock().failure = Some((call, lasting, failure));
    }

    /// Ends all failures.
    pub fn heal(&self) {
        let mut state = self.lock();
        (state.failure, state.failing_fill, state.bytes_max) = (None, None, None);
    }

    /// Allows so many bytes of files together; a write that needs more writes what there is space
    /// for, or fails with ENOSPC, as does a new file.
    pub fn limit_bytes(&self, max: Option<u64>) {
        self.lock().bytes_max = max;
    }

    /// Bytes of all files.
    pub fn bytes_used(&self) -> u64 {
        let state = self.lock();
        state.tree.bytes_used(&state.open)
    }

    /// How many writes of nothing but zeros there were.
    pub fn zero_fills(&self) -> u64 {
        self.lock().zero_fills
    }

    /// Fails that write of nothing but zeros (the first is 1) with ENOSPC and, if `lasting`, every
    /// later one.
    pub fn fail_fill(&self, number: u64, lasting: bool) {
        self.lock().failing_fill = Some((number, lasting));
    }

    /// Allows so many open files; with more, whatever opens one fails with EMFILE.
    pub fn limit_descriptors(&self, max: Option<usize>) {
        self.lock().descriptors_max = max;
    }

    /// Plants a bug.
    pub fn plant(&self, planted: Option<Planted>) {
        self.lock().planted = planted;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn handle(&self, inode: InodeNumber, path: &Path) -> Box<dyn FileHandle> {
        let mut state = self.lock();
        state.descriptors += 1;
        *state.open.entry(inode).or_default() += 1;
        let failed_syncs = match state.tree.inode(inode) {
            Inode::File(contents) => contents.failed_syncs(),
            Inode::Directory(_) => 0,
        };
        Box::new(Handle {
            disk: self.clone(),
            inode,
            path: path.to_path_buf(),
            seen: AtomicU64::new(failed_syncs),
        })
    }

    /// Runs a call that happens or does not.
    fn run<T>(&self, kind: Kind, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock();
        match state.begin(kind) {
            None => act(&mut state),
            Some(Failure::NoEffect(code)) => Err(io::Error::from_raw_os_error(code)),
            Some(Failure::FullEffect(code)) => {
                act(&mut state)?;
                Err(io::Error::from_raw_os_error(code))
            }
            Some(Failure::Short(_) | Failure::MarksClean) => Err(io::Error::from_raw_os_error(EIO)),
        }
    }
}

/// What a call does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It reads.
    Reads,
    /// It reads and takes a descriptor.
    Opens,
    /// It changes something.
    Changes,
    /// It changes something and takes a descriptor.
    Creates,
}

impl State {
    /// Counts a call and says how it fails.
    fn begin(&mut self, kind: Kind) -> Option<Failure> {
        self.calls += 1;
        if self.recording && matches!(kind, Kind::Changes | Kind::Creates) {
            self.snapshots.push(Snapshot(self.tree.clone()));
        }
        if let Some((from, lasting, failure)) = self.failure
            && (self.calls == from || lasting && self.calls > from)
        {
            return Some(failure);
        }
        let takes_one = matches!(kind, Kind::Opens | Kind::Creates);
        let none_left = self.descriptors_max.is_some_and(|max| self.descriptors >= max);
        (takes_one && none_left).then_some(Failure::NoEffect(EMFILE))
    }

    /// Bytes that files may still take.
    fn room(&self) -> usize {
        let used = || self.tree.bytes_used(&self.open);
        self.bytes_max.map_or(usize::MAX, |max| max.saturating_sub(used()) as usize)
    }

    /// How a write fails that may be a fill.
    fn begin_fill(&mut self, bytes: &[u8]) -> Option<Failure> {
        if bytes.iter().any(|byte| *byte != 0) {
            return None;
        }
        self.zero_fills += 1;
        let (from, lasting) = self.failing_fill?;
        let fails = self.zero_fills == from || lasting && self.zero_fills > from;
        fails.then_some(Failure::NoEffect(ENOSPC))
    }

    /// The bytes of a write that there is space for.
    fn fitting<'a>(
        &self,
        inode: InodeNumber,
        bytes: &'a [u8],
        offset: u64,
    ) -> io::Result<&'a [u8]> {
        let room = self.room();
        if room == usize::MAX {
            return Ok(bytes);
        }
        let sectors = match self.tree.inode(inode) {
            Inode::File(contents) => contents.sectors(),
            Inode::Directory(_) => 0,
        };
        let end = (sectors + room / SECTOR_BYTES) * SECTOR_BYTES;
        match end.saturating_sub(offset as usize).min(bytes.len()) {
            0 => Err(io::Error::from_raw_os_error(ENOSPC)),
            count => Ok(&bytes[..count]),
        }
    }

    /// Notes a call that succeeded, which was the last one.
    fn note_log_call(&mut self, path: &Path, is_sync: bool) {
        if self.recording && lies_in(path, "log") {
            let (change, path) = (self.snapshots.len() - 1, path.to_path_buf());
            self.log_calls.push(LogCall { change, path, is_sync });
        }
    }

    fn omits_file_sync(&self, path: &Path) -> bool {
        matches!(self.planted, Some(Planted::NoFileSync(folder)) if lies_in(path, folder))
    }

    fn omits_directory_sync(&self, path: &Path) -> bool {
        matches!(self.planted, Some(Planted::NoDirectorySync(folder)) if path.ends_with(folder))
    }

    /// The planted bug of who removes a log too soon.
    fn remove_logs_early(&mut self, path: &Path) {
        let folder = path.ancestors().nth(2).map(|root| root.join("log")).unwrap_or_default();
        let Ok(number) = self.tree.resolve(&folder) else { return };
        let Ok(Names { live, .. }) = self.tree.names(number) else { return };
        let mut logs: Vec<String> = live.keys().cloned().collect();
        logs.pop();
        for name in logs {
            let _ = self.tree.unlink(&folder.join(name));
        }
        self.tree.sync_dir(number);
        if self.recording {
            self.snapshots.push(Snapshot(self.tree.clone()));
        }
    }
}

fn lies_in(path: &Path, folder: &str) -> bool {
    path.iter().any(|part| part == folder)
}

impl Files for FaultyFiles {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        let file = |state: &mut State| {
            // What a name takes in its directory.
            if state.room() < SECTOR_BYTES {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            state.tree.create(path, Inode::File(Contents::default()))
        };
        self.run(Kind::Creates, file).map(|inode| self.handle(inode, path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        let inode = self.run(Kind::Opens, |state| state.tree.resolve(path))?;
        Ok(self.handle(inode, path))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        self.open(path)
    }

    /// As an ordinary file: what matters is that logs are written in blocks.
    fn open_uncached(&self, path: &Path) -> io::Result<Option<Box<dyn FileHandle>>> {
        self.open(path).map(Some)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Kind::Changes, |state| {
            let is_manifest = to.parent().is_some_and(|parent| parent.ends_with("manifest"));
            if is_manifest && state.planted == Some(Planted::LogRemovedEarly) {
                state.remove_logs_early(to);
            }
            state.tree.hard_link(from, to)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Kind::Changes, |state| state.tree.rename(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.run(Kind::Changes, |state| state.tree.unlink(path))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let directory = Inode::Directory(Names::default());
        self.run(Kind::Changes, |state| state.tree.create(path, directory).map(drop))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.run(Kind::Creates, |state| {
            let directory = state.tree.resolve(path)?;
            state.tree.names(directory)?;
            if !state.omits_directory_sync(path) {
                state.tree.sync_dir(directory);
            }
            Ok(())
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.run(Kind::Opens, |state| {
            let tree = &state.tree;
            let entry = |(name, number): (&String, &InodeNumber)| DirEntry {
                name: name.into(),
                bytes: tree.bytes(*number),
            };
            Ok(tree.names(tree.resolve(path)?)?.live.iter().map(entry).collect())
        })
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        self.run(Kind::Reads, |state| {
            let is_dir = matches!(state.tree.inode(state.tree.resolve(path)?), Inode::Directory(_));
            Ok(FileInfo { is_dir, mode: None })
        })
    }

    fn make_private(&self, path: &Path) -> io::Result<()> {
        self.run(Kind::Changes, |state| state.tree.resolve(path).map(drop))
    }

    fn first_number(&self) -> u64 {
        let mut state = self.lock();
        state.openings += 1;
        // Repeatable, and after a power cut as likely to meet an older number as it can be.
        state.openings << 32
    }
}

/// An open file.
#[derive(Debug)]
struct Handle {
    disk: FaultyFiles,
    inode: InodeNumber,
    path: PathBuf,
    /// Failed syncs of the file that this handle was told of.
    seen: AtomicU64,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        state.descriptors -= 1;
        let left = state.open.get_mut(&self.inode).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            state.open.remove(&self.inode);
        }
    }
}

impl FileHandle for Handle {
    fn bytes(&self) -> io::Result<u64> {
        self.disk.run(Kind::Reads, |state| Ok(state.tree.bytes(self.inode)))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.run(Kind::Reads, |state| match state.tree.inode(self.inode) {
            Inode::File(contents) => Ok(contents.read_at(buffer, offset)),
            Inode::Directory(_) => Err(ErrorKind::IsADirectory.into()),
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        let failure = state.begin(Kind::Changes);
        let failure = failure.or_else(|| state.begin_fill(bytes));
        let bytes = match failure {
            None => state.fitting(self.inode, bytes, offset)?,
            Some(_) => bytes,
        };
        let (count, error) = match failure {
            None => (bytes.len(), None),
            Some(Failure::Short(seed)) => {
                let most = bytes.len().saturating_sub(1).max(1) as u64;
                (bytes.len().min(1 + Seeded::new(seed).below(most) as usize), None)
            }
            Some(Failure::NoEffect(code)) => (0, Some(code)),
            Some(Failure::FullEffect(code)) => (bytes.len(), Some(code)),
            Some(Failure::MarksClean) => (0, Some(EIO)),
        };
        state.tree.file(self.inode).write_at(&bytes[..count], offset);
        if error.is_none() {
            state.note_log_call(&self.path, false);
        }
        error.map_or(Ok(count), |code| Err(io::Error::from_raw_os_error(code)))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.disk.run(Kind::Changes, |state| {
            state.tree.file(self.inode).cut(bytes);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let failure = state.begin(Kind::Changes);
        state.file_syncs += usize::from(state.recording);
        let is_planted = state.omits_file_sync(&self.path);
        let contents = state.tree.file(self.inode);
        let code = match failure {
            None if is_planted => None,
            None => {
                contents.sync();
                // A failure of which only another handle was told.
                (self.seen.load(SeqCst) < contents.failed_syncs()).then_some(EIO)
            }
            Some(Failure::NoEffect(code)) => Some(code),
            Some(Failure::FullEffect(code)) => {
                contents.sync();
                Some(code)
            }
            Some(Failure::Short(seed)) => {
                contents.sync_some(&mut Seeded::new(seed));
                Some(EIO)
            }
            Some(Failure::MarksClean) => {
                contents.forget();
                Some(EIO)
            }
        };
        self.seen.store(contents.failed_syncs(), SeqCst);
        if code.is_none() {
            state.note_log_call(&self.path, true);
        }
        code.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn go_through_cache(&self) -> io::Result<()> {
        Ok(())
    }
}
