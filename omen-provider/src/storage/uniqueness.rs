//! That no two live rows of a table have the same values in a UNIQUE index.
//!
//! Called by the engine when a statement was applied to a version, under the commit lock: its rows
//! are there already, each of which must be the only live one with its values. (NULL is like
//! nothing, itself included.) What is in a log was checked before it came there.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::key::KeyRange;
use super::keyed_batch::KeyedBatch;
use super::row_ranges::RowRanges;
use super::schema::IndexSchema;
use super::segment::{ReadStats, Segment};
use super::version::{SegmentView, TableVersion};
use crate::error::{Error, Result};

/// Entries read at a time.
const BATCH_ROWS: usize = 8192;

/// Refuses rows that `table` has now, if there are others with their values.
///
/// # Errors
/// [`Error::NotUnique`].
pub async fn check_rows(table: &TableVersion, rows: &KeyedBatch) -> Result<()> {
    let stats = ReadStats::default();
    for index in unique(table) {
        let ranges = index.value_ranges(rows.rows())?;
        for (row, range) in ranges.iter().enumerate() {
            let Some(range) = range else { continue };
            if table.places_of(index, range, None, &stats).await?.len() > 1 {
                let entry = index.keys(&rows.rows().slice(row, 1), 0)?;
                return Err(duplicate(table, index, &entry.get(0)));
            }
        }
    }
    Ok(())
}

/// Refuses the rows of segments that `table` has now, if there are others with their values.
///
/// # Errors
/// [`Error::NotUnique`].
pub async fn check_segments(table: &TableVersion, segments: &[Arc<Segment>]) -> Result<()> {
    for index in unique(table) {
        for segment in segments {
            let file = segment.record().file;
            let mut views = table.segments.iter();
            if let Some(view) = views.find(|view| view.segment.record().file == file) {
                check_segment(table, index, view).await?;
            }
        }
    }
    Ok(())
}

async fn check_segment(
    table: &TableVersion,
    index: &IndexSchema,
    view: &SegmentView,
) -> Result<()> {
    let (segment, stats) = (&view.segment, ReadStats::default());
    let mut entries = match segment.entries(index.index.id) {
        Some(entries) => entries.scan(RowRanges::all(entries.rows()), None, BATCH_ROWS),
        None => match segment.make_entries(index).await? {
            Some((entries, _)) => stream::iter([Ok(entries)]).boxed(),
            None => return Err(too_long(table, index)),
        },
    };
    let mut last: Option<KeyRange> = None;
    while let Some(batch) = entries.try_next().await? {
        let (columns, keys) = (batch.columns(), index.encode(batch.columns())?);
        let positions = IndexSchema::positions(&batch);
        let is_counted = |row: usize| {
            !IndexSchema::has_null(columns, row) && !view.dead.contains(positions[row])
        };
        for row in (0..keys.len()).filter(|&row| is_counted(row)) {
            let range = IndexSchema::same_values(&keys.get(row));
            let is_taken = last.as_ref() == Some(&range)
                || !table.places_of(index, &range, Some(segment), &stats).await?.is_empty();
            if is_taken {
                return Err(duplicate(table, index, &keys.get(row)));
            }
            last = Some(range);
        }
    }
    Ok(())
}

/// The UNIQUE indexes of a table.
fn unique(table: &TableVersion) -> impl Iterator<Item = &IndexSchema> {
    table.schema.indexes.iter().filter(|index| index.index.is_unique)
}

fn duplicate(table: &TableVersion, index: &IndexSchema, entry: &[u8]) -> Error {
    Error::NotUnique {
        table: table.schema.name.clone(),
        constraint: index.index.name.clone(),
        values: index.describe(&table.schema, entry),
    }
}

fn too_long(table: &TableVersion, index: &IndexSchema) -> Error {
    Error::invalid(format!(
        "the values of UNIQUE \"{}\" of table \"{}\" are too long to be compared; give fewer rows \
         in one statement",
        index.index.name, table.schema.name
    ))
}
