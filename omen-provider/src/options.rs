//! How a database is opened: few options, each with its default, its cost and when to touch it.
//!
//! Memory has one limit with parts: see [`Options::within_memory`].

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::error::{Error, Result};

/// Options of [`crate::Database`]; validated once, at open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Open without the writer lock and refuse every write. Default: false.
    pub read_only: bool,
    /// Create the database if the directory is missing or empty. Default: true.
    pub create: bool,
    /// Bytes of rows in memory that start a flush to segments (so does a log of twice as much);
    /// writers wait at twice as much of either, and are refused if the flush then fails.
    /// Larger: fewer, larger segments, longer recovery. SQL may change it
    /// (`SET omen.memtable_bytes_max`). Default: 64 MiB.
    pub memtable_bytes_max: usize,
    /// Bytes of verified pages kept in memory, for lookups and scans together. What is always in
    /// memory of each segment (index, fingerprints, where pages lie) is taken from it, down to a
    /// quarter. Default: 256 MiB.
    pub cache_bytes_max: usize,
    /// Bytes of the disk at most that are kept back for when it is full: for deletions, flushes,
    /// closing and opening. A small database keeps back as much as it takes itself. 0: none; a full
    /// disk may then refuse to open for writing. Default: 16 MiB.
    pub reserve_bytes: u64,
    /// Bytes that all queries of the sessions of [`crate::Database::session`] together may hold in
    /// memory: what sorts, joins and aggregates collect. What does not fit is written to files and
    /// read again, as far as the operator can; else the query ends with
    /// [`crate::Error::Exhausted`]. When queries come while others hold much, and while sorted
    /// files are merged, up to half more may be held for a time. Not counted: pages and batches in
    /// passing, and copies of rows in memory in the order of their keys. SQL may change it
    /// (`SET datafusion.runtime.memory_limit`). Default: 512 MiB.
    pub query_bytes_max: usize,
    /// Bytes of the files together that queries write when memory does not do. They lie in the
    /// folder `spill` of the database, or, if it is opened read-only or lies in an object store, in
    /// the system's folder for temporary files, and take space that the database needs too. SQL may
    /// change it (`SET datafusion.runtime.max_temp_directory_size`). Default: 64 GiB.
    pub spill_bytes_max: u64,
    /// Bytes that all statements of many rows (streams, batches) together may hold while they are
    /// sorted and written; a statement for which nothing is left waits. Those of few rows, an
    /// eighth of what starts a flush, are not counted. Larger: more of them at once.
    /// Default: 128 MiB.
    pub load_bytes_max: usize,
    /// Rows of a Parquet row group. Larger: better compression, more memory while writing.
    /// Default: 131,072.
    pub row_group_rows: usize,
    /// Rows of a segment at most; compaction cuts its output there. Default: 4,194,304.
    pub segment_rows_max: usize,
    /// Bytes of a segment at most, about; rows that are wide fill it before they are as many as
    /// that. Compaction needs disk for eight of them at a time. Default: 512 MiB.
    pub segment_bytes_max: usize,
    /// The runtime that commits statements and works in the background. Set it where statements
    /// run on runtimes that may end, or be left, before the database is closed: what they have
    /// begun to commit is then carried through. Costs one hop between threads for each commit.
    /// Default: none, the runtime of each statement.
    pub runtime: Option<Handle>,
    /// What an acknowledged statement has survived: a power cut by default, or, for more statements
    /// in the same time, a crash of the process alone for the first few milliseconds. Ignored by a
    /// database that is opened read-only. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// What the pauses go by after which a failed flush or compaction is tried again. Default: the
    /// system's clock.
    pub clock: Clock,
}

/// What a statement has survived by the time it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Everything, a power cut too: the log is synced first.
    #[default]
    Sync,
    /// A crash of the process, or its end by a signal: the log is written, and synced in the
    /// background, also when nothing else happens. A power cut or a crash of the system may take
    /// the statements of the last so many milliseconds, at least 1: the last ones, in the order of
    /// their acknowledgement, each whole.
    ///
    /// The sync begins after half of that time. While a disk is slower than the other half, the
    /// time counts from one statement to another: none is acknowledged before those are synced
    /// that were acknowledged so long before, so what can be lost stays bounded. If the process
    /// crashes first, the last milliseconds before that are what a later crash of the system may
    /// take, until the database is opened again.
    ///
    /// As durable as ever are statements of so many rows that they are written as segments,
    /// checkpoints, compaction, and everything once the database is closed or dropped. If a sync in
    /// the background fails, later statements are refused, and of those that were acknowledged
    /// last a crash of the system may take any that were not synced.
    ///
    /// Only for databases in a directory: what an object store does not have dies with the process.
    MayLoseLastMs(u32),
}

/// What the limits of memory of the default options add up to.
const DEFAULT_MEMORY: usize = 1 << 30;

impl Default for Options {
    /// [`Options::within_memory`] of 1 GiB.
    fn default() -> Self {
        Self::within_memory(DEFAULT_MEMORY)
    }
}

impl Options {
    /// Options whose limits of memory add up to `memory_bytes_max`: one half for queries, a quarter
    /// for pages, an eighth for rows that are not in segments yet (at half of which a flush starts,
    /// at all of which writers wait), an eighth for statements of many rows while they are
    /// prepared. A limit that is named besides is what it says. Not in it: what flush and
    /// compaction work with, a row group and a few pages of each part.
    ///
    /// ```
    /// # use omen_provider::Options;
    /// let options = Options { cache_bytes_max: 1 << 30, ..Options::within_memory(2 << 30) };
    /// assert_eq!(options.query_bytes_max, 1 << 30);
    /// assert_eq!(options.memtable_bytes_max, 128 << 20);
    /// ```
    pub fn within_memory(memory_bytes_max: usize) -> Self {
        Self {
            read_only: false,
            create: true,
            memtable_bytes_max: memory_bytes_max / 16,
            cache_bytes_max: memory_bytes_max / 4,
            query_bytes_max: memory_bytes_max / 2,
            reserve_bytes: 16 << 20,
            spill_bytes_max: 64 << 30,
            load_bytes_max: memory_bytes_max / 8,
            row_group_rows: 128 << 10,
            segment_rows_max: 4 << 20,
            segment_bytes_max: 512 << 20,
            runtime: None,
            durability: Durability::Sync,
            clock: Clock::default(),
        }
    }

    /// These options with [`Durability::MayLoseLastMs`].
    ///
    /// ```
    /// # async fn example() -> Result<(), omen_provider::Error> {
    /// # use omen_provider::Options;
    /// // A power cut may take the last 50 ms; kill -9 takes nothing.
    /// let db = Options::default().may_lose_last_ms(50).open("weather").await?;
    /// # Ok(()) }
    /// ```
    pub fn may_lose_last_ms(self, milliseconds: u32) -> Self {
        Self { durability: Durability::MayLoseLastMs(milliseconds), ..self }
    }

    /// Refuses values that no database can work with.
    pub(crate) fn check(&self) -> Result<()> {
        let positive = [
            ("memtable_bytes_max", self.memtable_bytes_max),
            ("query_bytes_max", self.query_bytes_max),
            ("load_bytes_max", self.load_bytes_max),
            ("row_group_rows", self.row_group_rows),
            ("segment_rows_max", self.segment_rows_max),
            ("segment_bytes_max", self.segment_bytes_max),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::invalid(format!("option {name} must not be 0")));
        }
        if self.durability == Durability::MayLoseLastMs(0) {
            return Err(Error::invalid(
                "option durability may lose the last 0 ms, which is to lose nothing: leave it at \
                 Sync, or name 1 ms at least",
            ));
        }
        if u32::try_from(self.segment_rows_max).is_err() {
            return Err(Error::invalid(format!(
                "option segment_rows_max is {}; at most {} are possible",
                self.segment_rows_max,
                u32::MAX
            )));
        }
        Ok(())
    }
}
