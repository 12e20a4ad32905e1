//! Made-up segments: the record of a table, that of the segment, and the file.
//!
//! ```text
//! length u16 | TableRecord | length u16 | SegmentRecord | file
//! ```
//! Length and checksums of the record, those of the sections of the tail, of the index in it and of
//! the pages are made to fit.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::executor::block_on;
use prost::Message;

use super::rows::{check_columns, check_table, is_clear};
use super::{medium, part, push_part};
use crate::error::Result;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::frame::le_u32;
use crate::storage::medium::Medium;
use crate::storage::record::{SegmentRecord, TableRecord};
use crate::storage::row_ranges::RowRanges;
use crate::storage::schema::TableSchema;
use crate::storage::segment::{ReadStats, Segment, SegmentWriter};
use crate::storage::version::TableVersion;

/// Kind of the section of the learned index, and of the page layout.
const KIND_INDEX: u32 = 1;
const KIND_LAYOUT: u32 = 2;
/// The last kind of section that there is.
const KIND_MAX: u32 = 5;
/// Bytes of the layout before its pages.
const LAYOUT_HEAD_BYTES: usize = 16;
/// Rows at most that are read.
pub(super) const ROWS_MAX: u32 = 1 << 16;

/// A segment; see above.
pub fn segment(mut input: &[u8]) -> bool {
    let table = TableRecord::decode(part(&mut input));
    let record = SegmentRecord::decode(part(&mut input));
    let (Ok(table), Ok(mut record)) = (table, record) else { return false };
    let Ok(schema) = TableSchema::try_from(table) else { return false };
    let mut file = input.to_vec();
    seal(&mut record, &mut file);
    let read = block_on(read(&Arc::new(schema), &record, file.into()));
    match read {
        Ok(is_whole) => is_whole,
        Err(error) => {
            assert!(is_clear(&error), "not a clear error: {error:?}");
            false
        }
    }
}

/// Opens and reads the segment in all ways; whether it is whole.
async fn read(schema: &Arc<TableSchema>, record: &SegmentRecord, file: Bytes) -> Result<bool> {
    let medium = medium();
    medium.store.blobs.put_if_absent(&record.file_name(), file).await?;
    let segment = Segment::open(&medium.store, &medium.cache, record.clone(), schema).await?;
    if segment.rows() > ROWS_MAX {
        return Ok(false);
    }
    let whole = segment.verify().await;
    for key in probes(&segment) {
        let found = segment.find(&key, &ReadStats::default()).await;
        assert!(found.is_err() || found.is_ok_and(|at| at.is_none_or(|at| at < segment.rows())));
        let bound = segment.lower_bound(&key, &ReadStats::default()).await;
        assert!(bound.is_err() || bound.is_ok_and(|at| at <= segment.rows()));
        assert!(segment.rank(&key) <= segment.rows());
    }
    let all = RowRanges::all(segment.rows());
    let rows = segment.read_rows(&all, None, &ReadStats::default()).await;
    let scanned: Result<Vec<_>> = segment.scan(all, None, 100).try_collect().await;
    if let Ok(rows) = &rows {
        check_columns(rows);
        assert_eq!(rows.num_rows() as u32, segment.rows());
    }
    if let Ok(scanned) = &scanned {
        scanned.iter().for_each(check_columns);
    }
    whole?;
    let (rows, _) = (rows?, scanned?);
    let mut table = TableVersion::new(Arc::clone(schema));
    table.add_segment(Arc::clone(&segment), DeletionVector::default());
    let batches = check_table(&Arc::new(table)).await?;
    let read: Vec<_> = batches.iter().map(|(rows, _)| rows.clone()).collect();
    assert_eq!(arrow::compute::concat_batches(schema.stored(), &read)?, rows);
    check_writing(&medium, &segment, &batches, &rows).await?;
    Ok(true)
}

type Batches = [(arrow::array::RecordBatch, crate::storage::key::Keys)];

/// What was read is read again when it is written again.
async fn check_writing(
    medium: &Medium,
    segment: &Segment,
    batches: &Batches,
    rows: &arrow::array::RecordBatch,
) -> Result<()> {
    let record = segment.record();
    let file = record.file ^ 1;
    let bounds = (record.min_key.as_slice(), record.max_key.as_slice());
    let schema = segment.schema();
    let mut writer =
        SegmentWriter::create(&medium.store, file, schema, bounds, ROWS_MAX as usize, true).await?;
    for (rows, keys) in batches {
        writer.write(rows, keys).await?;
    }
    let Some(written) = writer.finish().await? else { panic!("rows are gone") };
    let again = Segment::open(&medium.store, &medium.cache, written.bounded(), schema).await?;
    again.verify().await?;
    let all = RowRanges::all(again.rows());
    assert_eq!(again.read_rows(&all, None, &ReadStats::default()).await?, *rows);
    Ok(())
}

/// Keys in the segment, beside it and in its gaps.
pub(super) fn probes(segment: &Segment) -> Vec<Vec<u8>> {
    let record = segment.record();
    let mut probes = vec![Vec::new(), vec![0xFF; 20], vec![0; 8]];
    for key in [&record.min_key, &record.max_key] {
        probes.extend([key.clone(), [key, &[0][..]].concat()]);
        let mut near = key.clone();
        if let Some(last) = near.last_mut() {
            *last = last.wrapping_add(1);
        }
        probes.push(near);
    }
    let width = record.min_key.len().min(record.max_key.len());
    for part in 1..8u8 {
        let pairs = record.min_key.iter().zip(&record.max_key).take(width);
        probes.push(pairs.map(|(a, b)| if part % 2 == 0 { *a } else { a.midpoint(*b) }).collect());
        probes.push(vec![part << 5; width]);
    }
    probes
}

/// Makes lengths and checksums fit.
pub(super) fn seal(record: &mut SegmentRecord, file: &mut [u8]) {
    record.bytes = file.len() as u64;
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(file.len());
    let (tail, core) = (place(record.tail_offset), place(record.core_offset));
    for section in sections(file, tail) {
        let (kind, payload) = (le_u32(&file[section.start..]), section.start + 8..section.end - 4);
        match kind {
            KIND_INDEX => seal_index(&mut file[payload]),
            KIND_LAYOUT => seal_pages(file, payload),
            _ => {}
        }
        let crc = crc32c::crc32c(&file[section.start..section.end - 4]);
        file[section.end - 4..section.end].copy_from_slice(&crc.to_le_bytes());
    }
    record.hints_crc = file.get(tail..core).map_or(0, crc32c::crc32c);
    record.core_crc = crc32c::crc32c(&file[core..]);
}

/// Where the sections lie from `at` on, head and checksum included.
fn sections(file: &[u8], mut at: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    while let Some(head) = file.get(at..at.saturating_add(8)) {
        let end = at.saturating_add(le_u32(&head[4..]) as usize).saturating_add(12);
        if !(1..=KIND_MAX).contains(&le_u32(head)) || end > file.len() {
            break;
        }
        found.push(at..end);
        at = end;
    }
    found
}

fn seal_index(payload: &mut [u8]) {
    let Some(index) = payload.get_mut(4..) else { return };
    match index.starts_with(b"OMENBYT") {
        true => omen_index::fuzzing::seal_byte_strings(index),
        false => omen_index::fuzzing::seal(index),
    }
}

/// Gives each page of the layout the checksum of its bytes.
fn seal_pages(file: &mut [u8], layout: Range<usize>) {
    let mut page = 4usize;
    for at in (layout.start + LAYOUT_HEAD_BYTES..layout.end.saturating_sub(7)).step_by(8) {
        let end = page.saturating_add(le_u32(&file[at..]) as usize);
        let Some(bytes) = file.get(page..end).filter(|bytes| !bytes.is_empty()) else { continue };
        let crc = crc32c::crc32c(bytes);
        file[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        page = end;
    }
}

/// The input for a segment file, without entries in indexes.
pub(super) fn input(table: &TableRecord, record: &SegmentRecord, file: &[u8]) -> Option<Vec<u8>> {
    let (mut out, alone) = (Vec::new(), record.alone());
    let fits =
        push_part(&table.encode_to_vec(), &mut out) && push_part(&alone.encode_to_vec(), &mut out);
    out.extend_from_slice(file);
    fits.then_some(out)
}

/// The stored index of a segment file, behind the byte that says of what.
pub(super) fn index(record: &SegmentRecord, file: &[u8]) -> Option<Vec<u8>> {
    let tail = usize::try_from(record.tail_offset).ok()?;
    let section = sections(file, tail).into_iter().find(|s| le_u32(&file[s.start..]) == KIND_INDEX);
    let payload = section.and_then(|s| file.get(s.start + 8..s.end - 4))?;
    let (width, index) = payload.split_first_chunk::<4>()?;
    Some([&[u8::from(*width == [0; 4])], index].concat())
}
