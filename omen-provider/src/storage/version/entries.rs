//! Finding live rows by their values in a secondary index, whether a part has entries or not.

use std::sync::Arc;

use futures::TryStreamExt;

use super::{PartId, Place, SegmentView, TableVersion};
use crate::error::Result;
use crate::storage::key::KeyRange;
use crate::storage::row_ranges::RowRanges;
use crate::storage::schema::IndexSchema;
use crate::storage::segment::{ReadStats, Segment};

/// Rows read at a time where there are no entries.
const BATCH_ROWS: usize = 8192;

impl TableVersion {
    /// The live rows that have an entry in `range`, in all parts but one.
    pub async fn places_of(
        &self,
        index: &IndexSchema,
        range: &KeyRange,
        but: Option<&Arc<Segment>>,
        stats: &ReadStats,
    ) -> Result<Vec<Place>> {
        let (id, ranges) = (index.index.id, std::slice::from_ref(range));
        let mut places = Vec::new();
        for run in self.runs.iter() {
            let part = PartId::Run(run.id());
            let positions = run.positions(id, ranges).unwrap_or_default().into_iter();
            places.extend(positions.map(|position| Place { part, position }));
        }
        let is_other =
            |view: &&SegmentView| !but.is_some_and(|but| Arc::ptr_eq(but, &view.segment));
        for view in self.segments.iter().filter(is_other) {
            let part = PartId::Segment(view.segment.record().file);
            let positions = entry_positions(&view.segment, index, ranges, stats).await?;
            let live = positions.into_iter().filter(|position| !view.dead.contains(*position));
            places.extend(live.map(|position| Place { part, position }));
        }
        Ok(places)
    }
}

/// The positions of a segment's rows, deleted or not, whose entries lie in `ranges`, whether there
/// are entries or not.
async fn entry_positions(
    segment: &Arc<Segment>,
    index: &IndexSchema,
    ranges: &[KeyRange],
    stats: &ReadStats,
) -> Result<Vec<u32>> {
    let id = index.index.id;
    if let Some(found) = segment.entry_ranges(id, ranges, stats).await?
        && let Some(positions) = segment.entry_positions(id, found, stats).await?
    {
        return Ok(positions);
    }
    let all = RowRanges::all(segment.rows());
    let mut rows = segment.scan(all, Some(index.places.clone()), BATCH_ROWS);
    let (mut positions, mut first) = (Vec::new(), 0);
    while let Some(batch) = rows.try_next().await? {
        let columns = index.columns(batch.columns(), first)?;
        let keys = index.encode(&columns);
        for row in 0..batch.num_rows() {
            let entry = match &keys {
                Ok(keys) => keys.get(row).into_owned(),
                // One of them is too long: it has no entry, and none is like it.
                Err(_) => {
                    let one: Vec<_> = columns.iter().map(|column| column.slice(row, 1)).collect();
                    let Ok(key) = index.encode(&one) else { continue };
                    key.get(0).into_owned()
                }
            };
            if ranges.iter().any(|range| range.contains(&entry)) {
                positions.push(first + row as u32);
            }
        }
        first += batch.num_rows() as u32;
    }
    Ok(positions)
}
