//! A version as a manifest: deletion vectors saved beside the segments, everything named.
//!
//! Called by the engine after a flush or a compaction. Order of what becomes durable: segments,
//! deletion vectors, manifest. A failure in between leaves files that no manifest names: garbage
//! (`medium`). A crash does so too; the next open removes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::deletion_vector::{self, DeletionVector};
use super::manifest::{
    DeletionsRecord, FORMAT_VERSION, Manifest, SegmentEntry, TableEntry, deletions_name,
};
use super::medium::Medium;
use super::record::TableRecord;
use super::version::{TableVersion, Version};
use crate::error::Result;

/// The saved deletion vectors, by segment.
pub type SavedDeletions = HashMap<u64, DeletionsRecord>;

/// Writes the deletion vectors of `tables` that `saved` does not hold yet, as one file, and returns
/// all that are in force. A vector only grows, so an equal count means an equal vector.
pub async fn save_deletions(
    medium: &Medium,
    tables: &[Arc<TableVersion>],
    saved: &SavedDeletions,
) -> Result<SavedDeletions> {
    let mut current = SavedDeletions::new();
    let mut fresh: Vec<(u64, &DeletionVector)> = Vec::new();
    for view in tables.iter().flat_map(|t| &t.segments).filter(|v| !v.dead.is_empty()) {
        let file = view.segment.record().file;
        match saved.get(&file) {
            Some(record) if record.count == view.dead.count() => {
                current.insert(file, record.clone());
            }
            _ => fresh.push((file, &view.dead)),
        }
    }
    if fresh.is_empty() {
        return Ok(current);
    }
    let file = medium.next_file();
    let mut bytes = deletion_vector::file_head().to_vec();
    for (segment, dead) in fresh {
        let offset = bytes.len();
        dead.encode(&mut bytes);
        let crc = crc32c::crc32c(&bytes[offset..]);
        let length = (bytes.len() - offset) as u32;
        let record =
            DeletionsRecord { file, offset: offset as u64, length, crc, count: dead.count() };
        current.insert(segment, record);
    }
    let unnamed = medium.garbage.unless_kept(vec![deletions_name(file)]);
    medium.store.blobs.put_if_absent(&deletions_name(file), Bytes::from(bytes)).await?;
    unnamed.keep();
    Ok(current)
}

/// The manifest that describes tables without runs. `previous` gives identity and log.
pub fn describe(
    previous: &Manifest,
    base: &Version,
    deletions: &SavedDeletions,
    log: u64,
    flushed_lsn: u64,
) -> Manifest {
    let entry = |table: &Arc<TableVersion>| TableEntry {
        table: Some(TableRecord::from(&*table.schema)),
        next_row_id: table.row_ids.load(Relaxed),
        next_number: table.numbers.load(Relaxed),
        segments: table
            .segments
            .iter()
            .map(|view| SegmentEntry {
                segment: Some(view.segment.record().bounded()),
                deletions: deletions.get(&view.segment.record().file).cloned(),
            })
            .collect(),
    };
    Manifest {
        database: previous.database.clone(),
        epoch: previous.epoch,
        writer: previous.writer,
        format: FORMAT_VERSION,
        number: previous.number + 1,
        flushed_lsn,
        log,
        next_table_id: base.next_table_id,
        backup: false,
        tables: base.tables().iter().map(entry).collect(),
        views: base.views().cloned().collect(),
        schemas: base.schemas().cloned().collect(),
    }
}
