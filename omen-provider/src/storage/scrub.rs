//! Checking a database file by file, whether it opens or not.
//!
//! Called by the engine's verification and by the command. Reads everything that the newest
//! manifest names, and whatever that names in turn; one problem does not hide the next. Writes
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::manifest::{self, Manifest};
use super::medium::Medium;
use super::record::SegmentRecord;
use super::recovery::{
    Access, LogDamage, check_length, open_segment, read_deletions, read_logs, segment_lengths,
};
use super::schema::TableSchema;
use super::wal::Op;
use crate::error::{Error, Result};

/// Times that a check begins again because a live writer went on and removed what was being read.
const ATTEMPTS: usize = 20;

/// What a check of the files found.
#[derive(Debug, Default)]
pub struct Scrubbed {
    /// Segments read.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is wrong; empty if all is well.
    pub problems: Vec<Error>,
}

/// Checks the files of a database: manifest, deletion vectors, logs, and, if they are wanted, all
/// pages and sections of every segment.
pub async fn scrub(medium: &Medium, segments: bool) -> Scrubbed {
    let mut attempt = 1;
    loop {
        let (manifest, _pin) = match manifest::pin_newest(&medium.store).await {
            Ok(Some(pinned)) => pinned,
            Ok(None) => {
                let location = &medium.store.location;
                let none = Error::NotFound(format!("there is no database in {location}"));
                return Scrubbed { problems: vec![none], ..Scrubbed::default() };
            }
            Err(error) => return Scrubbed { problems: vec![error], ..Scrubbed::default() },
        };
        let found = scrub_manifest(medium, &manifest, segments).await;
        let newest = manifest::newest(&medium.store).await;
        let is_newest = !matches!(newest, Ok(Some(newest)) if newest.number != manifest.number);
        if found.problems.is_empty() || is_newest || attempt == ATTEMPTS {
            return found;
        }
        attempt += 1;
    }
}

async fn scrub_manifest(medium: &Medium, manifest: &Manifest, segments: bool) -> Scrubbed {
    let mut found = Scrubbed::default();
    let mut named: Vec<(SegmentRecord, Arc<TableSchema>)> = Vec::new();
    let mut schemas = HashMap::new();
    let mut files = HashMap::new();
    for entry in &manifest.tables {
        let schema = match manifest.schema(entry) {
            Ok(schema) => Arc::new(schema),
            Err(error) => {
                found.problems.push(error);
                continue;
            }
        };
        for entry in &entry.segments {
            let segment = match manifest.segment(entry) {
                Ok(segment) => segment,
                Err(error) => {
                    found.problems.push(error);
                    continue;
                }
            };
            if let Some(record) = &entry.deletions
                && let Err(error) = read_deletions(medium, record, segment.rows, &mut files).await
            {
                found.problems.push(error);
            }
            named.push((segment.clone(), Arc::clone(&schema)));
        }
        schemas.insert(schema.id, schema);
    }
    match read_logs(medium, manifest, Access::Look, LogDamage::Refuse).await {
        Ok(logged) => {
            let ops = logged.statements.iter().flat_map(|statement| &statement.ops);
            ops.for_each(|op| name_segments(op, &mut schemas, &mut named, &mut found.problems));
        }
        Err(error) => found.problems.push(error),
    }
    match segment_lengths(medium).await {
        Ok(lengths) => {
            for (record, schema) in &named {
                if let Err(error) = check_segment(medium, record, schema, &lengths, segments).await
                {
                    found.problems.push(error);
                }
                found.segments += 1;
                found.bytes += record.bytes;
            }
        }
        Err(error) => found.problems.push(error),
    }
    found
}

/// Adds the segments that a logged operation names.
fn name_segments(
    op: &Op,
    schemas: &mut HashMap<u32, Arc<TableSchema>>,
    named: &mut Vec<(SegmentRecord, Arc<TableSchema>)>,
    problems: &mut Vec<Error>,
) {
    match op {
        Op::CreateTable(record) | Op::AlterTable(record) => {
            match TableSchema::try_from(record.clone()) {
                Ok(schema) => drop(schemas.insert(schema.id, Arc::new(schema))),
                Err(error) => problems.push(error),
            }
        }
        Op::Attach { table, segments, .. } => match schemas.get(table) {
            Some(schema) => {
                named.extend(segments.iter().map(|segment| (segment.clone(), Arc::clone(schema))));
            }
            None => problems.push(Error::invalid(format!("the log names no table {table}"))),
        },
        Op::Put { .. }
        | Op::Delete { .. }
        | Op::DropTable(_)
        | Op::Truncate(_)
        | Op::CreateView(_)
        | Op::DropView(_)
        | Op::CreateSchema(_)
        | Op::DropSchema(_) => {}
    }
}

async fn check_segment(
    medium: &Medium,
    record: &SegmentRecord,
    schema: &Arc<TableSchema>,
    lengths: &HashMap<String, u64>,
    whole: bool,
) -> Result<()> {
    check_length(record, lengths)?;
    for entries in record.entries.iter().flat_map(|entries| &entries.segment) {
        check_length(entries, lengths)?;
    }
    if whole { open_segment(medium, record, schema).await?.verify().await } else { Ok(()) }
}
