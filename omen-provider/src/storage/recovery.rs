//! Opening: the newest manifest, then the log replayed on top of it.
//!
//! Called by the engine. Reads only; what a writer then does (rewriting the surviving log, the
//! next manifest, removing files that nothing names) is the engine's part.
//!
//! Invariant: the result is the state after the last complete statement of the log. Replay names
//! rows by key, so it does not matter which part holds them.

mod logs;
mod replay;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

pub use logs::{Access, LogEnd, Logged, read_logs, read_on};
pub use replay::replay;

use super::deletion_vector::{self, DeletionVector};
use super::manifest::{DeletionsRecord, Manifest, TableEntry};
use super::medium::Medium;
use super::publication::SavedDeletions;
use super::record::SegmentRecord;
use super::schema::TableSchema;
use super::segment::Segment;
use super::store::Pin;
use super::version::{TableVersion, Version};
use super::wal::{LogPlace, Statement};
use crate::error::{Error, Result};
use crate::teeth::{Tooth, planted};

/// A database read back.
#[derive(Debug)]
pub struct Recovered {
    /// The manifest's version: no runs.
    pub durable: Version,
    /// The saved deletion vectors of that version.
    pub saved: SavedDeletions,
    /// The state after the last statement.
    pub version: Version,
    /// The statements after the manifest, in order.
    pub statements: Vec<Statement>,
    /// The lsn that follows the log.
    pub next_lsn: u64,
    /// Bytes of all log files read, and these files, in order.
    pub log_bytes: u64,
    pub logs: Vec<LogPlace>,
    /// Where the last log ends; none if there is no log.
    pub end: Option<LogEnd>,
    /// Where the log was given up; never, unless that was asked for.
    pub cut: Option<LogCut>,
    /// What was in the last log after its last complete statement.
    pub dropped: Option<DroppedTail>,
}

/// What to do about a damaged log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDamage {
    /// Refuse the database.
    Refuse,
    /// Go on with the statements before it.
    Cut,
}

/// A place where the log of a database was given up, and what stands before it.
#[derive(Debug, Clone)]
pub struct LogCut {
    /// What is damaged, and how.
    pub damage: Error,
    /// Statements before that place that are in no segment yet; they are kept.
    pub statements: u64,
    /// Bytes of the damaged file from there on.
    pub bytes: u64,
}

/// The pieces of a last record that a crash cut short: of a statement that was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTail {
    /// The log file, by its name in the database.
    pub file: String,
    /// Where the pieces begin: the end of the last complete statement.
    pub offset: u64,
    /// How many bytes they were.
    pub bytes: u64,
}

/// Opens segments.
#[derive(Debug)]
pub struct Opener<'a> {
    /// Where they lie.
    pub medium: &'a Medium,
    /// What keeps them from being removed, if that is not the caller's own doing.
    pub pin: Option<Arc<Pin>>,
    /// Those that are open already.
    pub known: HashMap<u64, Arc<Segment>>,
}

impl<'a> Opener<'a> {
    /// Who alone removes files needs no pin.
    pub fn unpinned(medium: &'a Medium) -> Self {
        Self { medium, pin: None, known: HashMap::new() }
    }

    async fn open(
        &self,
        record: &SegmentRecord,
        schema: &Arc<TableSchema>,
    ) -> Result<Arc<Segment>> {
        let known = self.known.get(&record.file);
        if let Some(known) = known.filter(|segment| segment.record() == record) {
            return known.pinned(self.pin.as_ref()).of_schema(schema);
        }
        let opened = open_segment(self.medium, record, schema).await?;
        Ok(if self.pin.is_some() { opened.pinned(self.pin.as_ref()) } else { opened })
    }
}

/// Reads the database that `manifest` describes.
pub async fn recover(
    opener: &Opener<'_>,
    manifest: &Manifest,
    access: Access,
    on_damage: LogDamage,
) -> Result<Recovered> {
    let (durable, saved) = load(opener, manifest).await?;
    let logged = read_logs(opener.medium, manifest, access, on_damage).await?;
    let Logged { statements, next_lsn, bytes: log_bytes, logs, cut, dropped, end } = logged;
    let mut version = durable.clone();
    replay(opener, &mut version, &statements).await?;
    let recovered = Recovered {
        durable,
        saved,
        version,
        statements,
        next_lsn,
        log_bytes,
        logs,
        end,
        cut,
        dropped,
    };
    Ok(recovered)
}

/// The version that a manifest describes.
async fn load(opener: &Opener<'_>, manifest: &Manifest) -> Result<(Version, SavedDeletions)> {
    let medium = opener.medium;
    let mut version = Version::default();
    version.lsn = manifest.flushed_lsn;
    version.next_table_id = manifest.next_table_id;
    manifest.views.iter().for_each(|view| version.put_view(view.clone()));
    manifest.schemas.iter().for_each(|schema| version.put_schema(schema.clone()));
    let lengths = segment_lengths(medium).await?;
    let mut saved = SavedDeletions::new();
    let mut files: HashMap<u64, Bytes> = HashMap::new();
    for entry in &manifest.tables {
        let TableEntry { segments, next_row_id, next_number, .. } = entry;
        let schema = Arc::new(manifest.schema(entry)?);
        let mut table = TableVersion::new(Arc::clone(&schema));
        table.row_ids.fetch_max(*next_row_id, Relaxed);
        table.numbers.fetch_max(*next_number, Relaxed);
        for entry in segments {
            let record = manifest.segment(entry)?;
            check_length(record, &lengths)?;
            let segment = opener.open(record, &schema).await?;
            let dead = match &entry.deletions {
                Some(deletions) => {
                    saved.insert(record.file, deletions.clone());
                    read_deletions(medium, deletions, record.rows, &mut files).await?
                }
                None => DeletionVector::default(),
            };
            table.add_segment(segment, dead);
        }
        version.put_table(table);
    }
    Ok((version, saved))
}

/// The lengths of all files in the folder of segments, by name.
pub async fn segment_lengths(medium: &Medium) -> Result<HashMap<String, u64>> {
    let files = medium.store.blobs.list("segments").await?;
    Ok(files.into_iter().map(|blob| (blob.name, blob.bytes)).collect())
}

/// Refuses a segment that is missing or was cut or extended. Its bytes are checked when they are
/// read; what follows them never would be.
pub fn check_length(record: &SegmentRecord, lengths: &HashMap<String, u64>) -> Result<()> {
    let name = record.file_name();
    match lengths.get(&name) {
        Some(length) if *length == record.bytes => Ok(()),
        Some(length) => {
            let reason = format!("the file should be {} bytes long, it is {length}", record.bytes);
            Err(Error::corruption(name, record.bytes.min(*length), reason))
        }
        None => Err(missing_segment(name)),
    }
}

fn missing_segment(name: String) -> Error {
    Error::corruption(name, 0, "the file is missing; the manifest or the log names it")
}

/// Opens a segment that the manifest or the log names.
pub async fn open_segment(
    medium: &Medium,
    record: &SegmentRecord,
    schema: &Arc<TableSchema>,
) -> Result<Arc<Segment>> {
    match Segment::open(&medium.store, &medium.cache, record.clone(), schema).await {
        Err(Error::NotFound(_)) => Err(missing_segment(record.file_name())),
        other => other,
    }
}

/// Reads a deletion vector of a part of `rows` rows; `files` are those read before.
pub async fn read_deletions(
    medium: &Medium,
    record: &DeletionsRecord,
    rows: u32,
    files: &mut HashMap<u64, Bytes>,
) -> Result<DeletionVector> {
    let name = record.file_name();
    let damaged = |reason: String| Error::corruption(&name, record.offset, reason);
    let file = match files.get(&record.file) {
        Some(file) => file.clone(),
        None => match medium.store.blobs.read(&name).await {
            Ok(file) => {
                deletion_vector::check_file_head(&name, &file)?;
                files.entry(record.file).or_insert(file).clone()
            }
            Err(Error::NotFound(_)) => {
                return Err(damaged("the file is missing; the manifest names it".to_string()));
            }
            Err(error) => return Err(error),
        },
    };
    let start = usize::try_from(record.offset).unwrap_or(usize::MAX);
    let bytes = file
        .get(start..start.saturating_add(record.length as usize))
        .ok_or_else(|| damaged("the file ends within a deletion vector".to_string()))?;
    if crc32c::crc32c(bytes) != record.crc && !planted(Tooth::ChecksumSkipped) {
        return Err(damaged("the checksum of a deletion vector differs".to_string()));
    }
    let dead = DeletionVector::decode(bytes, rows).map_err(damaged)?;
    if dead.count() != record.count {
        return Err(Error::corruption(&name, record.offset, "a deletion vector has another count"));
    }
    Ok(dead)
}
