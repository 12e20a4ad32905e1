//! Made-up entries of a segment's rows in an index: the record of a table, that of the segment,
//! which names entries, the segment's file and that of the entries.
//!
//! ```text
//! length u16 | TableRecord | length u16 | SegmentRecord | length u16 | file | file of the entries
//! ```
//! The first entries count, others are left out. Checksums are made to fit in both files, as in
//! `segment`.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::executor::block_on;
use prost::Message;

use super::rows::is_clear;
use super::segment::{ROWS_MAX, probes, seal};
use super::{medium, part, push_part};
use crate::error::Result;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::index_choice::{FirstRows, IndexProbe};
use crate::storage::key::KeyRange;
use crate::storage::merge_scan::merge_scan;
use crate::storage::record::{EntriesRecord, SegmentRecord, TableRecord};
use crate::storage::schema::{IndexSchema, TableSchema};
use crate::storage::segment::{ReadStats, Segment};
use crate::storage::snapshot::{ScanSet, TableSnapshot};
use crate::storage::version::TableVersion;

/// Rows of a batch.
const BATCH_ROWS: usize = 512;

/// A segment and its entries; see above.
pub fn entries(mut input: &[u8]) -> bool {
    let table = TableRecord::decode(part(&mut input));
    let record = SegmentRecord::decode(part(&mut input));
    let (Ok(table), Ok(mut record)) = (table, record) else { return false };
    let Ok(schema) = TableSchema::try_from(table) else { return false };
    let (mut file, mut entries) = (part(&mut input).to_vec(), input.to_vec());
    record.entries.truncate(1);
    let own = record.file;
    let named = record.entries.iter_mut().find_map(|entries| entries.segment.as_mut());
    let Some(named) = named.filter(|named| named.file != own) else { return false };
    seal(named, &mut entries);
    let entries_name = named.file_name();
    seal(&mut record, &mut file);
    let read = async {
        let medium = medium();
        medium.store.blobs.put_if_absent(&entries_name, Bytes::from(entries)).await?;
        medium.store.blobs.put_if_absent(&record.file_name(), Bytes::from(file)).await?;
        let schema = Arc::new(schema);
        let open = || Segment::open(&medium.store, &medium.cache, record.clone(), &schema);
        ask(&open().await?).await?;
        verify(&open().await?).await
    };
    match block_on(read) {
        Ok(is_whole) => is_whole,
        Err(error) => {
            assert!(is_clear(&error), "not a clear error: {error:?}");
            false
        }
    }
}

/// The index in which the segment has entries, and these.
fn entries_of(segment: &Segment) -> Option<(&IndexSchema, Arc<Segment>)> {
    let found = segment.schema().indexes.iter().find_map(|index| {
        let entries = segment.entries(index.index.id)?;
        Some((index, Arc::clone(entries)))
    });
    found.filter(|(_, entries)| entries.rows() <= ROWS_MAX)
}

/// Asks the entries in all ways, true or not: rows are read, or an error says what is wrong.
async fn ask(segment: &Arc<Segment>) -> Result<()> {
    let Some((index, entries)) = entries_of(segment) else { return Ok(()) };
    let index = index.index.id;
    let mut table = TableVersion::new(Arc::clone(segment.schema()));
    table.add_segment(Arc::clone(segment), DeletionVector::default());
    let snapshot = TableSnapshot::new(Arc::new(table));
    let mut ranges = vec![KeyRange::default()];
    for key in probes(&entries) {
        ranges.extend([KeyRange::one(&key), KeyRange::prefix(&key)]);
    }
    for range in ranges {
        let probe = IndexProbe { index, ranges: vec![range] };
        scan(segment, snapshot.select_by(None, &[probe]).await?).await?;
    }
    for (count, descending) in [(1, false), (7, true)] {
        let first = FirstRows { index, count, descending };
        scan(segment, snapshot.select_first(first).await?).await?;
    }
    Ok(())
}

async fn scan(segment: &Segment, set: ScanSet) -> Result<()> {
    let batches = merge_scan(segment.schema(), set.into_sources(), BATCH_ROWS);
    let rows: usize = batches.map_ok(|batch| batch.len()).try_fold(0, add).await?;
    assert!(rows <= segment.rows() as usize, "{rows} rows of {}", segment.rows());
    Ok(())
}

async fn add(sum: usize, rows: usize) -> Result<usize> {
    Ok(sum + rows)
}

/// Entries that verification accepts lead to every row.
async fn verify(segment: &Arc<Segment>) -> Result<bool> {
    if segment.rows() > ROWS_MAX {
        return Ok(false);
    }
    segment.verify().await?;
    let Some((index, _)) = entries_of(segment) else { return Ok(false) };
    let (stats, id) = (ReadStats::default(), index.index.id);
    let made = segment.make_entries(index).await?;
    let Some((_, keys)) = made else { return Ok(false) };
    for row in 0..keys.len() {
        let range = IndexSchema::same_values(&keys.get(row));
        let found = segment.entry_ranges(id, &[range], &stats).await?;
        let places = found.unwrap_or_default();
        let is_there = places.iter().any(|places| places.contains(&(row as u32)));
        assert!(is_there, "entry {row} is not found by its values");
    }
    let all = segment.entry_positions(id, vec![0..segment.rows()], &stats).await?;
    let mut all = all.unwrap_or_default();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..segment.rows()), "not each row has an entry");
    Ok(true)
}

/// The input for a segment and its entries in one index.
pub(super) fn input(
    table: &TableRecord,
    record: &SegmentRecord,
    named: &EntriesRecord,
    files: [&[u8]; 2],
) -> Option<Vec<u8>> {
    let record = SegmentRecord { entries: vec![named.clone()], ..record.clone() };
    let mut out = Vec::new();
    let fits = push_part(&table.encode_to_vec(), &mut out)
        && push_part(&record.encode_to_vec(), &mut out)
        && push_part(files[0], &mut out);
    out.extend_from_slice(files[1]);
    fits.then_some(out)
}
