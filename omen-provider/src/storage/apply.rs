//! What a statement does to a version: the same for a new statement and for one replayed.
//!
//! Called by the engine's commit path, which logs the statement, and by recovery, which read it
//! from the log.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures::{StreamExt, TryStreamExt};

use super::key::Keys;
use super::keyed_batch::KeyedBatch;
use super::row_ranges::RowRanges;
use super::run::Run;
use super::segment::{ReadStats, Segment};
use super::version::{PartId, Place, TableVersion};
use crate::error::{Error, Result};

/// Rows of a segment's keys that are looked up together.
const KEY_BATCH_ROWS: usize = 8192;

/// What to do with a key that the table holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// Refuse the statement.
    Insert,
    /// Write over the row.
    Upsert,
    /// Write over the row with what was made of it: no other one of the statement may have its key.
    Merge,
    /// Write over the row, which is there: it has its hidden row id, where that is the key.
    Update,
}

/// Adds rows to `table`, to none of its runs with ids below `frozen`; returns whether all keys were
/// new.
///
/// # Errors
/// [`Error::DuplicateKey`] in [`WriteMode::Insert`]; `table` is unchanged then.
pub async fn put_rows(
    table: &mut TableVersion,
    batch: &KeyedBatch,
    mode: WriteMode,
    frozen: u64,
) -> Result<bool> {
    let found = table.find_many(batch.keys(), &ReadStats::default()).await?;
    refuse_duplicates(table, batch.keys(), &found, mode)?;
    let fresh = found.is_empty();
    table.mark(found.into_iter().map(|(_, place)| place));
    table.add_rows(batch, frozen)?;
    Ok(fresh)
}

/// Adds segments to `table` in their order, each writing over the ones before; returns whether all
/// keys were new.
///
/// # Errors
/// [`Error::DuplicateKey`] in [`WriteMode::Insert`]; `table` must not be used then.
pub async fn put_segments(
    table: &mut TableVersion,
    segments: &[Arc<Segment>],
    mode: WriteMode,
) -> Result<bool> {
    let mut fresh = true;
    for segment in segments {
        let record = segment.record();
        if !table.is_above_all(&record.min_key) && overlaps(table, segment) {
            let mut batches = keys_of(segment);
            while let Some(keys) = batches.try_next().await? {
                let found = table.find_many(&keys, &ReadStats::default()).await?;
                refuse_duplicates(table, &keys, &found, mode)?;
                if mode == WriteMode::Merge {
                    refuse_own(table, &keys, &found, segments)?;
                }
                fresh &= found.is_empty();
                table.mark(found.into_iter().map(|(_, place)| place));
            }
        }
        table.add_segment(Arc::clone(segment), Default::default());
    }
    Ok(fresh)
}

/// Marks the rows of `keys` (ascending) as deleted; returns which of the keys had one.
pub async fn delete_keys(table: &mut TableVersion, keys: &Keys) -> Result<Vec<u32>> {
    let mut found = table.find_many(keys, &ReadStats::default()).await?;
    found.sort_unstable_by_key(|(index, _)| *index);
    table.mark(found.iter().map(|(_, place)| *place));
    Ok(found.into_iter().map(|(index, _)| index).collect())
}

/// Raises the counter of hidden row ids above all those in the table.
pub fn raise_row_id(table: &TableVersion) -> Result<()> {
    if table.schema.hidden_key
        && let Some(max) = table.max_key.clone()
    {
        let mut key = &max[..];
        let id = omen_index::key::encoding::take_i64(&mut key)
            .map_err(|e| Error::invalid(format!("a row id is damaged: {e}")))?;
        table.row_ids.fetch_max(id.saturating_add(1), Relaxed);
    }
    Ok(())
}

fn refuse_duplicates(
    table: &TableVersion,
    keys: &Keys,
    found: &[(u32, Place)],
    mode: WriteMode,
) -> Result<()> {
    let first = found.iter().map(|(index, _)| *index).min();
    match first {
        Some(index) if mode == WriteMode::Insert => {
            Err(duplicate_key(table, &keys.get(index as usize)))
        }
        _ => Ok(()),
    }
}

/// Refuses rows that the statement itself has written in one of its segments before.
fn refuse_own(
    table: &TableVersion,
    keys: &Keys,
    found: &[(u32, Place)],
    segments: &[Arc<Segment>],
) -> Result<()> {
    let is_own = |place: &Place| {
        let mut files = segments.iter().map(|segment| segment.record().file);
        files.any(|file| place.part == PartId::Segment(file))
    };
    match found.iter().find(|(_, place)| is_own(place)) {
        Some((index, _)) => Err(written_twice(table, &keys.get(*index as usize))),
        None => Ok(()),
    }
}

/// The error of a statement that makes two rows of one.
pub fn written_twice(table: &TableVersion, key: &[u8]) -> Error {
    Error::invalid(format!(
        "ON CONFLICT DO UPDATE is to write the row of {} in table \"{}\" twice; rows of one \
         statement must have different keys",
        table.schema.codec().describe(key),
        table.schema.name
    ))
}

/// The error of an INSERT that meets `key`.
pub fn duplicate_key(table: &TableVersion, key: &[u8]) -> Error {
    Error::DuplicateKey {
        table: table.schema.name.clone(),
        constraint: table.schema.constraint_name(),
        key: table.schema.codec().describe(key),
    }
}

fn overlaps(table: &TableVersion, segment: &Segment) -> bool {
    let (min, max) = (&segment.record().min_key, &segment.record().max_key);
    let apart = |low: &[u8], high: &[u8]| low > max.as_slice() || high < min.as_slice();
    let beside = |run: &Run| run.bounds().is_none_or(|(low, high)| apart(&low, &high));
    !table.runs.iter().all(beside)
        || table
            .segments
            .iter()
            .any(|v| !apart(&v.segment.record().min_key, &v.segment.record().max_key))
}

/// The keys of a segment in batches, ascending.
fn keys_of(segment: &Arc<Segment>) -> futures::stream::BoxStream<'static, Result<Keys>> {
    let schema = Arc::clone(segment.schema());
    let columns = Some(schema.key.clone());
    segment
        .scan(RowRanges::all(segment.rows()), columns, KEY_BATCH_ROWS)
        .map(move |batch| schema.codec().encode(batch?.columns()))
        .boxed()
}
