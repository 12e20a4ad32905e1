//! The engine: one open database, and the locks that order what happens to it.
//!
//! `open` (and `begin_log`) brings it up from the store, `commit` takes statements (made of a
//! `change` for each table, and refused where `recent_writes` says so), `load` takes streams of
//! rows of any length, `edit` what is computed from rows that are there, `maintenance` decides
//! when to flush (`checkpoint`), merge and compact (`replace`), and to complete indexes
//! (`entries`); all end in `publish`. `room` sees
//! to space on the disk, `upkeep` knows what fails. `follow` is what a reader beside a writer
//! does. `inspect` and `verify` look inside. The front doors and the provider call it.
//!
//! Locks, always taken in this order:
//! 1. `compacting`: one compaction at a time;
//! 2. `maintenance`: the manifest and the version it describes;
//! 3. `accepted`: the newest version, durable or not; held while a statement is applied.
//!
//! Readers take none of them: they clone the `Arc` of the published version. `inspect` takes none
//! either: what it shows of manifest and log is kept with the upkeep.
//!
//! Invariant: what is published is durable (where the options allow a loss, written), and what a
//! manifest stands for is.

mod alter;
mod backup;
mod begin_log;
mod change;
mod checkpoint;
mod comments;
mod commit;
mod edit;
mod entries;
mod follow;
mod inspect;
mod load;
mod maintenance;
mod open;
mod publish;
mod recent_writes;
mod replace;
mod room;
mod sample;
mod schemas;
mod transaction;
mod upkeep;
mod verify;
mod views;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use comments::Commented;
pub use commit::{Alone, Existing};
pub use edit::Basis;
pub use inspect::{
    EntriesInspection, IndexInspection, Inspection, LogFileInspection, LogInspection,
    PartInspection, TableInspection, TroubleInspection, inspect_table,
};
pub use sample::{SampleLimits, TableSample};
pub use transaction::{Transaction, Within};
pub use verify::VerifyReport;

use checkpoint::Pending;
use follow::Following;
use recent_writes::RecentWrites;
use upkeep::{Upkeep, lock};

use super::manifest::Manifest;
use super::medium::{Medium, Suspects};
use super::publication::SavedDeletions;
use super::recovery::DroppedTail;
use super::snapshot::{Snapshot, TableSnapshot};
use super::store::{DirectoryLock, Pin};
use super::version::Version;
use super::wal::LogWriter;
use crate::error::{Error, Result};
use crate::options::Options;

/// An open database.
#[derive(Debug)]
pub struct Engine {
    medium: Medium,
    published: Arc<Published>,
    /// Absent in a database opened read-only.
    writer: Option<Writer>,
    /// Where a database opened read-only stands.
    following: Option<tokio::sync::Mutex<Following>>,
    /// What the log looked like when it was opened, or brought up to date.
    opened: Mutex<LogInspection>,
    closed: AtomicBool,
    /// Another writer has taken the database over; nothing may be written any more.
    fenced: AtomicBool,
    /// Free when the last task is done that holds it too.
    lock: Mutex<Option<Arc<DirectoryLock>>>,
    /// The pin on the manifest that stands, by which statements' segments are held.
    pin: Mutex<Option<Arc<Pin>>>,
}

/// The right to write, held by whoever works on the database: while one is there no other writer
/// is, though the database be closed meanwhile. Empty where the store knows no lock.
#[derive(Debug)]
struct Lease {
    _lock: Option<Arc<DirectoryLock>>,
}

/// The version that readers see.
#[derive(Debug, Default)]
struct Published(RwLock<Arc<Version>>);

/// What only a writer has.
struct Writer {
    log: LogWriter<Arc<Version>>,
    accepted: tokio::sync::Mutex<Arc<Version>>,
    maintenance: tokio::sync::Mutex<Durable>,
    compacting: tokio::sync::Mutex<()>,
    /// Whether a background task is about to run.
    scheduled: AtomicBool,
    /// Whether the background is to flush although memory does not ask for it.
    flush_wanted: AtomicBool,
    /// Whether the background is to look for segments to compact: whoever flushed left some.
    compaction_wanted: AtomicBool,
    /// Runs below this id are being merged or flushed; a commit must leave them in place.
    frozen_runs: AtomicU64,
    next_table_id: AtomicU32,
    /// What was written lately; changed under the lock of `accepted` only.
    recent: Mutex<RecentWrites>,
    /// Held by the statement, of those that were overtaken, that is being computed anew.
    retrying: tokio::sync::Mutex<()>,
    /// Bytes of statements that wait for the commits of their transactions.
    held_bytes: AtomicUsize,
    /// What opening found behind the last complete statement of the log.
    dropped: Option<DroppedTail>,
    upkeep: Upkeep,
}

/// The newest manifest and what it stands for.
#[derive(Debug)]
struct Durable {
    manifest: Manifest,
    version: Arc<Version>,
    saved: SavedDeletions,
    /// The number that the next manifest is tried under: those before are this writer's.
    next_number: u64,
    /// Files that a manifest may name whose publication failed, or the log.
    suspects: Suspects,
    /// A flush that has begun; nothing else is published before it is.
    pending: Option<Pending>,
    /// What the newest manifest that was tried names, or its log; before it what those do that
    /// certainly stand, or were tried since.
    tried: Vec<HashSet<String>>,
    /// Whether the outcome of the last publication is unknown.
    unsettled: bool,
    /// Whether the parts of a published manifest have not yet taken their place in the accepted
    /// version: a flush must make the two agree before anything else is built on `version`.
    installing: bool,
}

impl Engine {
    /// The database as of the newest statement that was acknowledged.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.published.get())
    }

    /// One table, likewise.
    ///
    /// # Errors
    /// [`Error::NotFound`] naming the tables there are.
    pub fn table(&self, name: &str) -> Result<TableSnapshot> {
        self.snapshot().require(name)
    }

    /// Where the database lies.
    pub fn location(&self) -> &str {
        &self.medium.store.location
    }

    /// What opening it for writing dropped from the end of the log.
    pub fn dropped_tail(&self) -> Option<&DroppedTail> {
        self.writer.as_ref()?.dropped.as_ref()
    }

    /// How the database was opened.
    pub fn options(&self) -> &Options {
        &self.medium.options
    }

    /// Bytes of rows in memory that start a flush, as they are now.
    pub fn memtable_bytes_max(&self) -> usize {
        self.medium.memtable_bytes_max()
    }

    /// Changes them, as long as the database is open.
    pub fn set_memtable_bytes_max(&self, bytes: usize) {
        self.medium.set_memtable_bytes_max(bytes);
    }

    /// Where queries may write files while they run; `None`: where the system keeps such.
    pub fn spill_folder(&self) -> Result<Option<PathBuf>> {
        match self.writer {
            Some(_) => self.medium.store.blobs.spill_folder(),
            None => Ok(None),
        }
    }

    /// Stops background work at its next step; with the last of it the directory is free. Loses
    /// nothing: every acknowledged statement is in the log.
    pub fn shut_down(&self) {
        if let Some(writer) = &self.writer {
            // What is acknowledged is synced while nobody else can have the directory.
            writer.log.stop_deferring();
        }
        let mut lock = lock(&self.lock);
        self.closed.store(true, SeqCst);
        if let Some(lock) = lock.take() {
            lock.give_up();
        }
    }

    /// The right to work on the database.
    fn lease(&self) -> Result<Lease> {
        let lock = lock(&self.lock);
        self.check_open()?;
        Ok(Lease { _lock: lock.clone() })
    }

    fn check_open(&self) -> Result<()> {
        if self.fenced.load(SeqCst) {
            return Err(Error::Conflict(format!(
                "another writer has taken over {}; open it again to write",
                self.location()
            )));
        }
        if self.closed.load(SeqCst) { Err(Error::Unavailable("closed")) } else { Ok(()) }
    }

    fn writer(&self) -> Result<&Writer> {
        self.check_open()?;
        self.writer.as_ref().ok_or(Error::Unavailable("opened read-only"))
    }
}

impl Writer {
    /// Bytes of all log files that a reopening would read.
    fn log_bytes(&self) -> u64 {
        let sealed = lock(&self.upkeep.sealed);
        sealed.iter().map(|log| log.bytes).sum::<u64>() + self.log.bytes()
    }
}

impl Durable {
    /// What a manifest stands for; `suspects` are the files that the log names.
    fn new(
        manifest: Manifest,
        version: Version,
        saved: SavedDeletions,
        suspects: Suspects,
    ) -> Self {
        let mut stands = publish::named(&manifest, &version, &saved);
        stands.extend(suspects.names().map(String::from));
        Self {
            tried: vec![stands],
            next_number: manifest.number + 1,
            manifest,
            version: Arc::new(version),
            saved,
            suspects,
            pending: None,
            unsettled: false,
            installing: false,
        }
    }

    /// Whether something else than a flush may be published: nothing is half done or unknown.
    fn is_settled(&self) -> bool {
        self.pending.is_none() && !self.installing && !self.unsettled
    }
}

impl Published {
    fn get(&self) -> Arc<Version> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, version: Arc<Version>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = version;
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("log", &self.log.number()).finish_non_exhaustive()
    }
}

/// Milliseconds since the Unix epoch; only for display.
fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// Random bytes from the operating system.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::io("the system's random numbers", std::io::Error::other(e)))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
