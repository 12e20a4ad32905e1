//! Opening: the newest manifest, then the log replayed on top of it.
//!
//! Called by the engine. Reads only; what a writer then does (rewriting the surviving log, the
//! next manifest, removing files that nothing names) is the engine's part.
//!
//! Invariant: the result is the state after the last complete statement of the log. Replay names
//! rows by key, so it does not matter which part holds them.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::apply::{WriteMode, delete_keys, put_rows, put_segments, raise_row_id};
use super::deletion_vector::{self, DeletionVector};
use super::key::Keys;
use super::keyed_batch::KeyedBatch;
use super::manifest::{DeletionsRecord, Manifest, TableEntry};
use super::medium::{Medium, epoch_of};
use super::publication::SavedDeletions;
use super::record::SegmentRecord;
use super::schema::TableSchema;
use super::segment::Segment;
use super::version::{TableVersion, Version};
use super::wal::{
    LogContents, LogPlace, Op, Statement, decode_rows, has_records, log_name, log_number, read_log,
    read_log_before_damage,
};
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
    /// Where the log was given up; never, unless that was asked for.
    pub cut: Option<LogCut>,
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

/// Reads the database that `manifest` describes. `take_over`: no other writer may append to its
/// log any more.
pub async fn recover(
    medium: &Medium,
    manifest: &Manifest,
    take_over: bool,
    on_damage: LogDamage,
) -> Result<Recovered> {
    let (durable, saved) = load(medium, manifest).await?;
    let logged = read_logs(medium, manifest, take_over, on_damage).await?;
    let Logged { statements, next_lsn, bytes, logs, cut } = logged;
    let mut version = durable.clone();
    for statement in &statements {
        replay(medium, &mut version, statement).await?;
    }
    Ok(Recovered { durable, saved, version, statements, next_lsn, log_bytes: bytes, logs, cut })
}

/// The version that a manifest describes.
async fn load(medium: &Medium, manifest: &Manifest) -> Result<(Version, SavedDeletions)> {
    let mut version = Version::default();
    version.lsn = manifest.flushed_lsn;
    version.next_table_id = manifest.next_table_id;
    let lengths = segment_lengths(medium).await?;
    let mut saved = SavedDeletions::new();
    let mut files: HashMap<u64, Bytes> = HashMap::new();
    for entry in &manifest.tables {
        let TableEntry { segments, next_row_id, .. } = entry;
        let schema = Arc::new(manifest.schema(entry)?);
        let mut table = TableVersion::new(Arc::clone(&schema));
        table.row_ids.fetch_max(*next_row_id, Relaxed);
        for entry in segments {
            let record = manifest.segment(entry)?;
            check_length(record, &lengths)?;
            let segment = open_segment(medium, record, &schema).await?;
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

/// What the logs of a database hold.
#[derive(Debug, Default)]
pub struct Logged {
    /// The statements after the manifest, in order.
    pub statements: Vec<Statement>,
    /// The lsn that follows.
    pub next_lsn: u64,
    /// Bytes of all log files, these files, in order, and where they were given up.
    pub bytes: u64,
    pub logs: Vec<LogPlace>,
    pub cut: Option<LogCut>,
}

/// Reads the chain of logs that begins with the manifest's.
pub async fn read_logs(
    medium: &Medium,
    manifest: &Manifest,
    take_over: bool,
    on_damage: LogDamage,
) -> Result<Logged> {
    let next_lsn = manifest.flushed_lsn + 1;
    let mut logged = Logged { next_lsn, ..Logged::default() };
    let mut database = [0; 16];
    database.copy_from_slice(&manifest.database);
    // A database whose creation was cut short has a manifest and no log yet.
    let mut next = (manifest.log != 0).then_some(manifest.log);
    // Of the first log any: what a reopening wrote anew got new numbers.
    let mut first_lsns = 0..=u64::MAX;
    while let Some(number) = next {
        let read = read_whole(medium, &database, number, take_over).await;
        let read = read.and_then(|(log, bytes)| match first_lsns.contains(&log.header.first_lsn) {
            true => Ok((log, bytes)),
            false => Err(does_not_follow(number, log.header.first_lsn)),
        });
        let (log, bytes) = match read {
            Ok(read) => read,
            Err(damage @ Error::Corruption { .. }) if on_damage == LogDamage::Cut => {
                let before = read_before_damage(medium, &database, number, &first_lsns).await?;
                let bytes = before.as_ref().map_or(0, |(_, cut)| *cut);
                logged.cut = Some(LogCut { damage, statements: 0, bytes });
                let Some((log, _)) = before else { break };
                // What the seal names, if there is one, cannot be relied on.
                (LogContents { next_log: None, ..log }, bytes)
            }
            Err(error) => return Err(error),
        };
        first_lsns = log.next_lsn..=log.next_lsn;
        logged.bytes += bytes;
        logged.logs.push(log.place());
        logged.next_lsn = logged.next_lsn.max(log.next_lsn);
        let later = log.statements.into_iter().filter(|s| s.lsn > manifest.flushed_lsn);
        logged.statements.extend(later);
        next = log.next_log;
    }
    if let Some(cut) = &mut logged.cut {
        cut.statements = logged.statements.len() as u64;
    }
    Ok(logged)
}

fn does_not_follow(number: u64, first_lsn: u64) -> Error {
    let reason = format!(
        "the log begins at statement {first_lsn}, which does not follow on what comes before it"
    );
    Error::corruption(log_name(number), 0, reason)
}

/// What stands in a damaged log before the damage, and how many bytes follow; `None` if there is no
/// such file, or not even its header can be relied on.
async fn read_before_damage(
    medium: &Medium,
    database: &[u8; 16],
    number: u64,
    first_lsns: &RangeInclusive<u64>,
) -> Result<Option<(LogContents, u64)>> {
    let bytes = match medium.store.logs.read(&log_name(number)).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok((log, _)) = read_log_before_damage(number, database, &bytes) else { return Ok(None) };
    let follows = first_lsns.contains(&log.header.first_lsn);
    Ok(follows.then(|| {
        let cut = log.dropped_tail_bytes;
        (log, cut)
    }))
}

/// Reads a log, which has so many bytes, and makes sure that nothing of it is missing at its end.
///
/// A log file is begun before its predecessor is sealed, but written to only when the seal is
/// durable. So a log without a seal has lost its end if a file that follows it has records.
async fn read_whole(
    medium: &Medium,
    database: &[u8; 16],
    number: u64,
    take_over: bool,
) -> Result<(LogContents, u64)> {
    let name = log_name(number);
    let logs = &medium.store.logs;
    let read = if take_over { logs.take_over(&name).await } else { logs.read(&name).await };
    let bytes = read.map_err(|error| missing_log(&name, error))?;
    let mut log = read_log(number, database, &bytes)?;
    if !log.sealed
        && let Some(successor) = written_successor(medium, database, number).await?
    {
        // A live writer may have gone on meanwhile.
        let bytes = logs.read(&name).await.map_err(|error| missing_log(&name, error))?;
        log = read_log(number, database, &bytes)?;
        if !log.sealed {
            let end = bytes.len() as u64 - log.dropped_tail_bytes;
            let reason = format!("the end of the log is missing: {successor} follows it");
            return Err(Error::corruption(name, end, reason));
        }
    }
    let bytes = log.bytes;
    Ok((log, bytes))
}

fn missing_log(name: &str, error: Error) -> Error {
    match error {
        Error::NotFound(_) => Error::corruption(
            name,
            0,
            "the log is missing; the manifest or the log before it names it, and acknowledged \
             statements may be in it",
        ),
        other => other,
    }
}

/// The first log of the same writer after `number` that has records in it.
async fn written_successor(
    medium: &Medium,
    database: &[u8; 16],
    number: u64,
) -> Result<Option<String>> {
    for name in medium.store.logs.list().await? {
        let Some(other) = log_number(&name) else { continue };
        if other <= number || epoch_of(other) != epoch_of(number) {
            continue;
        }
        match medium.store.logs.read(&name).await {
            Ok(bytes) if has_records(other, database, &bytes) => return Ok(Some(name)),
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Applies one logged statement.
async fn replay(medium: &Medium, version: &mut Version, statement: &Statement) -> Result<()> {
    for op in &statement.ops {
        match op {
            Op::CreateTable(record) => {
                let schema = TableSchema::try_from(record.clone())?;
                version.put_table(TableVersion::new(Arc::new(schema)));
            }
            Op::DropTable(table) => version.remove_table(*table),
            Op::Put { table, fresh, rows } => {
                let mut table = version.require(*table)?.as_ref().clone();
                let batch = decode_rows(rows, table.schema.stored())?;
                let key: Vec<_> =
                    table.schema.key.iter().map(|&i| Arc::clone(batch.column(i))).collect();
                let keys = table.schema.codec().encode(&key)?;
                let batch = KeyedBatch::new(batch, keys)?;
                if *fresh {
                    table.add_rows(&batch, 0);
                } else {
                    put_rows(&mut table, &batch, WriteMode::Upsert, 0).await?;
                }
                table.runs.merge_all();
                raise_row_id(&table)?;
                version.put_table(table);
            }
            Op::Delete { table, keys } => {
                let mut table = version.require(*table)?.as_ref().clone();
                let mut list = Keys::new(table.schema.codec().fixed_width());
                keys.iter().for_each(|key| list.push(key));
                delete_keys(&mut table, &list).await?;
                version.put_table(table);
            }
            Op::Attach { table, fresh, segments } => {
                let lengths = segment_lengths(medium).await?;
                let mut table = version.require(*table)?.as_ref().clone();
                let mut opened = Vec::with_capacity(segments.len());
                for record in segments {
                    check_length(record, &lengths)?;
                    opened.push(open_segment(medium, record, &table.schema).await?);
                }
                if *fresh {
                    for segment in opened {
                        table.add_segment(segment, DeletionVector::default());
                    }
                } else {
                    put_segments(&mut table, &opened, WriteMode::Upsert).await?;
                }
                raise_row_id(&table)?;
                version.put_table(table);
            }
        }
    }
    version.lsn = statement.lsn;
    Ok(())
}
