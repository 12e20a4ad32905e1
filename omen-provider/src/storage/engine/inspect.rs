//! A look inside an open database, for people: what is where, how large, how well indexed. What of
//! it is of a version alone can be had of any snapshot.

use super::Engine;
use super::upkeep::lock;
use crate::error::Error;
use crate::storage::manifest::{Line, Manifest};
use crate::storage::run::Run;
use crate::storage::schema::TableSchema;
use crate::storage::version::{SegmentView, TableVersion};
use crate::storage::wal::{LogPlace, LogWriter, log_name};

/// The state of a database.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Where it lies.
    pub location: String,
    /// The position of the newest visible statement.
    pub lsn: u64,
    /// Manifest and log; when opened read-only, as they were then, or at the last refresh.
    pub log: LogInspection,
    /// All tables, in the order of their creation.
    pub tables: Vec<TableInspection>,
    /// Work in the background that failed and is to be tried again, and a failure of the log, after
    /// which the database is to be opened again; of a database opened read-only, none.
    pub troubles: Vec<TroubleInspection>,
}

/// Work in the background that fails.
#[derive(Debug, Clone)]
pub struct TroubleInspection {
    /// What it is: `log`, `flush`, or a compaction and its segments.
    pub work: String,
    /// How often it failed since it last succeeded.
    pub failures: u32,
    /// Why, the last time.
    pub error: Error,
}

/// The state of log and manifest.
#[derive(Debug, Clone)]
pub struct LogInspection {
    /// The database's random id, as hexadecimal digits.
    pub database: String,
    /// Times it was opened for writing.
    pub epoch: u64,
    /// Number of the newest manifest.
    pub manifest: u64,
    /// Statements up to this position are in segments.
    pub flushed_lsn: u64,
    /// Number of the log file being written.
    pub file: u64,
    /// Bytes of all log files that a reopening would replay.
    pub bytes: u64,
    /// Whose manifest it is.
    pub(crate) line: Line,
}

/// The state of a table.
#[derive(Debug, Clone)]
pub struct TableInspection {
    /// Its name.
    pub name: String,
    /// The key columns; empty if the key is the hidden row id.
    pub key: Vec<String>,
    /// Rows.
    pub rows: u64,
    /// Its indexes, that over the key first.
    pub indexes: Vec<IndexInspection>,
    /// Its parts.
    pub parts: Vec<PartInspection>,
}

/// An index of a table.
#[derive(Debug, Clone)]
pub struct IndexInspection {
    /// Its name, of the key that of the constraint; `None`: it is over hidden row ids.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<String>,
    /// Whether it is over the declared primary key.
    pub is_primary: bool,
    /// Whether no two rows may share its values.
    pub is_unique: bool,
    /// Whether a constraint of the table made it.
    pub is_constraint: bool,
}

/// What a part has of an index.
#[derive(Debug, Clone)]
pub struct EntriesInspection {
    /// The name of the index.
    pub name: Option<String>,
    /// The file that it is in.
    pub file: Option<String>,
    /// Rows that it leads to, deleted ones included.
    pub keys: u64,
    /// Bytes on disk or in memory; of the index over the key of a segment, whose rows are its
    /// entries, those of the learned index.
    pub bytes: u64,
    /// Figures of the learned index; of a run as in [`PartInspection::index`]. `None`: there are
    /// too few keys for one, or it is damaged.
    pub model: Option<omen_index::RmiStats>,
}

/// A log file.
#[derive(Debug, Clone)]
pub struct LogFileInspection {
    /// Its name.
    pub file: String,
    /// Bytes that a reopening would read.
    pub bytes: u64,
    /// The sequence number with which it begins; `None`: who reads beside a writer does not know.
    pub first_lsn: Option<u64>,
    /// The last sequence number in it; `None`: it is empty.
    pub last_lsn: Option<u64>,
    /// Whether this database writes to it; `None`: it was opened read-only, another may.
    pub is_written: Option<bool>,
}

/// The state of a part.
#[derive(Debug, Clone)]
pub struct PartInspection {
    /// `segment` (on disk) or `run` (in memory).
    pub kind: &'static str,
    /// The file of a segment.
    pub file: Option<String>,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Deleted rows.
    pub deleted: u64,
    /// The smallest key.
    pub min_key: String,
    /// The largest key.
    pub max_key: String,
    /// Bytes on disk or in memory.
    pub bytes: u64,
    /// Figures of the learned index; of a run, that over the longest sorted list of its keys, if
    /// there is one.
    pub index: Option<omen_index::RmiStats>,
    /// What it has of the indexes of its table: of that over the key, first, and of the others as
    /// far as their entries were made.
    pub entries: Vec<EntriesInspection>,
}

impl LogInspection {
    pub(super) fn new(manifest: &Manifest, log_bytes: u64) -> Self {
        Self {
            database: manifest.database.iter().map(|byte| format!("{byte:02x}")).collect(),
            epoch: manifest.epoch,
            manifest: manifest.number,
            flushed_lsn: manifest.flushed_lsn,
            file: manifest.log,
            bytes: log_bytes,
            line: manifest.line(),
        }
    }
}

impl LogFileInspection {
    /// The file that `log` writes now.
    pub(super) fn of<V: Send + 'static>(log: &LogWriter<V>, is_written: bool) -> Self {
        let (first, next) = (log.first_lsn(), log.next_lsn());
        Self {
            file: log_name(log.number()),
            bytes: log.bytes(),
            first_lsn: Some(first),
            last_lsn: next.checked_sub(1).filter(|last| *last >= first),
            is_written: Some(is_written),
        }
    }

    /// A file that was written before the database was opened.
    pub(super) fn of_place(place: &LogPlace) -> Self {
        let first = place.header.first_lsn;
        Self {
            file: log_name(place.header.number),
            bytes: place.bytes,
            first_lsn: Some(first),
            last_lsn: place.next_lsn.checked_sub(1).filter(|last| *last >= first),
            is_written: Some(false),
        }
    }
}

impl Engine {
    /// The log files that a reopening would read, the oldest first; to who reads beside a writer
    /// they are one. Waits for nothing.
    pub fn log_files(&self) -> Vec<LogFileInspection> {
        if let Some(writer) = &self.writer {
            let mut files = lock(&writer.upkeep.sealed).clone();
            files.push(LogFileInspection::of(&writer.log, true));
            return files;
        }
        let (log, lsn) = (lock(&self.opened).clone(), self.published.get().lsn);
        let file = LogFileInspection {
            file: log_name(log.file),
            bytes: log.bytes,
            first_lsn: None,
            last_lsn: Some(lsn).filter(|lsn| *lsn > log.flushed_lsn),
            is_written: None,
        };
        // A database whose creation was cut short has no log yet.
        if log.file == 0 { Vec::new() } else { vec![file] }
    }

    /// The state of everything. Waits for nothing.
    pub async fn inspect(&self) -> Inspection {
        let version = self.published.get();
        let (log, troubles) = match &self.writer {
            Some(writer) => {
                let standing = lock(&writer.upkeep.standing).clone();
                let (file, bytes) = (writer.log.number(), writer.log_bytes());
                let failed = |error| TroubleInspection { work: "log".into(), failures: 1, error };
                let mut troubles: Vec<_> = writer.log.failure().map(failed).into_iter().collect();
                troubles.extend(writer.upkeep.troubles(&version));
                (LogInspection { file, bytes, ..standing }, troubles)
            }
            None => (lock(&self.opened).clone(), Vec::new()),
        };
        let tables = version.tables().iter().map(|table| inspect_table(table)).collect();
        let location = self.location().to_string();
        Inspection { location, lsn: version.lsn, log, tables, troubles }
    }
}

/// The state of a table.
pub fn inspect_table(table: &TableVersion) -> TableInspection {
    let schema = &*table.schema;
    let segments = table.segments.iter().map(|view| inspect_segment(schema, view));
    let runs = table.runs.iter().map(|run| inspect_run(schema, run));
    let key = match schema.hidden_key {
        true => Vec::new(),
        false => schema.key_names().into_iter().map(String::from).collect(),
    };
    let (indexes, parts) = (inspect_indexes(schema), segments.chain(runs).collect());
    TableInspection { name: schema.name.clone(), key, rows: table.live_rows, indexes, parts }
}

fn inspect_indexes(schema: &TableSchema) -> Vec<IndexInspection> {
    let owned = |names: Vec<&str>| names.into_iter().map(String::from).collect();
    let of_key = IndexInspection {
        name: key_index_name(schema),
        columns: owned(schema.key_names()),
        is_primary: !schema.hidden_key,
        is_unique: true,
        is_constraint: !schema.hidden_key,
    };
    let others = schema.indexes.iter().map(|index| IndexInspection {
        name: Some(index.index.name.clone()),
        columns: owned(index.names(schema)),
        is_primary: false,
        is_unique: index.index.is_unique,
        is_constraint: index.index.is_constraint,
    });
    std::iter::once(of_key).chain(others).collect()
}

fn key_index_name(schema: &TableSchema) -> Option<String> {
    (!schema.hidden_key).then(|| schema.constraint_name())
}

fn inspect_segment(schema: &TableSchema, view: &SegmentView) -> PartInspection {
    let record = view.segment.record();
    let model = view.segment.index_stats();
    let of_key = EntriesInspection {
        name: key_index_name(schema),
        file: Some(record.file_name()),
        keys: u64::from(record.rows),
        bytes: model.map_or(0, |model| model.bytes as u64),
        model,
    };
    let others = schema.indexes.iter().filter_map(|index| {
        let entries = view.segment.entries(index.index.id)?;
        Some(EntriesInspection {
            name: Some(index.index.name.clone()),
            file: Some(entries.record().file_name()),
            keys: u64::from(entries.rows()),
            bytes: entries.record().bytes,
            model: entries.index_stats(),
        })
    });
    PartInspection {
        kind: "segment",
        file: Some(record.file_name()),
        rows: u64::from(record.rows),
        deleted: view.dead.count(),
        min_key: schema.codec().display(&record.min_key),
        max_key: schema.codec().display(&record.max_key),
        bytes: record.bytes,
        index: model,
        entries: std::iter::once(of_key).chain(others).collect(),
    }
}

fn inspect_run(schema: &TableSchema, run: &Run) -> PartInspection {
    let codec = schema.codec();
    let (min_key, max_key) = run
        .bounds()
        .map(|(min, max)| (codec.display(&min), codec.display(&max)))
        .unwrap_or_default();
    let entries = |name: Option<String>, (bytes, model): (usize, Option<_>)| EntriesInspection {
        name,
        file: None,
        keys: u64::from(run.rows()),
        bytes: bytes as u64,
        model,
    };
    let of_key = entries(key_index_name(schema), (run.key_bytes(), run.index_stats()));
    let others = schema.indexes.iter().filter_map(|index| {
        let found = run.entries_stats(index.index.id)?;
        Some(entries(Some(index.index.name.clone()), found))
    });
    PartInspection {
        kind: "run",
        file: None,
        rows: u64::from(run.rows()),
        deleted: run.dead().count(),
        min_key,
        max_key,
        bytes: run.byte_size() as u64,
        index: run.index_stats(),
        entries: std::iter::once(of_key).chain(others).collect(),
    }
}
