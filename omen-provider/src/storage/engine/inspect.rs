//! A look inside an open database, for people: what is where, how large, how well indexed.

use super::Engine;
use super::upkeep::lock;
use crate::error::Error;
use crate::storage::manifest::{Line, Manifest};
use crate::storage::run::Run;
use crate::storage::schema::TableSchema;
use crate::storage::version::{SegmentView, TableVersion};

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
    /// Its parts.
    pub parts: Vec<PartInspection>,
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

impl Engine {
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

pub(super) fn inspect_table(table: &TableVersion) -> TableInspection {
    let schema = &*table.schema;
    let segments = table.segments.iter().map(|view| inspect_segment(schema, view));
    let runs = table.runs.iter().map(|run| inspect_run(schema, run));
    let key = match schema.hidden_key {
        true => Vec::new(),
        false => schema.key_names().into_iter().map(String::from).collect(),
    };
    let parts = segments.chain(runs).collect();
    TableInspection { name: schema.name.clone(), key, rows: table.live_rows, parts }
}

fn inspect_segment(schema: &TableSchema, view: &SegmentView) -> PartInspection {
    let record = view.segment.record();
    PartInspection {
        kind: "segment",
        file: Some(record.file_name()),
        rows: u64::from(record.rows),
        deleted: view.dead.count(),
        min_key: schema.codec().display(&record.min_key),
        max_key: schema.codec().display(&record.max_key),
        bytes: record.bytes,
        index: view.segment.index_stats(),
    }
}

fn inspect_run(schema: &TableSchema, run: &Run) -> PartInspection {
    let codec = schema.codec();
    let (min_key, max_key) = run
        .bounds()
        .map(|(min, max)| (codec.display(&min), codec.display(&max)))
        .unwrap_or_default();
    PartInspection {
        kind: "run",
        file: None,
        rows: u64::from(run.rows()),
        deleted: run.dead().count(),
        min_key,
        max_key,
        bytes: run.byte_size() as u64,
        index: run.index_stats(),
    }
}
