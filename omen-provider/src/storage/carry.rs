//! Carrying marks over: parts are replaced while statements go on marking rows in them.
//!
//! A flush or compaction starts from one version and ends on a later one. Rows that were marked in
//! between are looked up by key in the parts that take over, and marked there.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::deletion_vector::DeletionVector;
use super::row_ranges::RowRanges;
use super::segment::{ReadStats, Segment};
use super::version::{PartId, SegmentView, TableVersion};
use crate::error::{Error, Result};

/// `added`, with marks for the rows of `removed` that are live in `base` and marked in `now`.
pub async fn carry_to_segments(
    base: &TableVersion,
    now: &TableVersion,
    removed: &[PartId],
    added: &[Arc<Segment>],
) -> Result<Vec<SegmentView>> {
    let stats = ReadStats::default();
    let mut dead = vec![DeletionVector::default(); added.len()];
    for key in marked_keys(base, now, removed).await? {
        let mut found = false;
        for (segment, dead) in added.iter().zip(&mut dead) {
            if segment.may_contain(&key)
                && let Some(position) = segment.find(&key, &stats).await?
            {
                found = true;
                dead.insert(position);
            }
        }
        if !found {
            return Err(lost_mark(base, &key));
        }
    }
    let views = added.iter().zip(dead);
    Ok(views.map(|(s, dead)| SegmentView { segment: Arc::clone(s), dead }).collect())
}

/// A row that was live in the old parts is in none of the new ones. Without its mark it could come
/// back, so the new parts must not be used.
fn lost_mark(table: &TableVersion, key: &[u8]) -> Error {
    Error::invalid(format!(
        "table \"{}\": the row of {} is in none of the parts that should hold it now",
        table.schema.name,
        table.schema.codec().describe(key)
    ))
}

/// The keys of the rows of `removed` that `now` marks and `base` does not.
async fn marked_keys(
    base: &TableVersion,
    now: &TableVersion,
    removed: &[PartId],
) -> Result<Vec<Vec<u8>>> {
    let (schema, stats) = (&base.schema, ReadStats::default());
    let mut keys = Vec::new();
    for old in base.runs.iter().filter(|run| removed.contains(&PartId::Run(run.id()))) {
        let Some(new) = now.runs.get(old.id()) else { continue };
        let marked: Vec<u32> = new.dead().since(old.dead()).collect();
        if !marked.is_empty() {
            let encoded = schema.codec().encode(&old.columns_at(marked, &schema.key)?)?;
            keys.extend((0..encoded.len()).map(|i| encoded.get(i).into_owned()));
        }
    }
    for old in &base.segments {
        let file = old.segment.record().file;
        let new = now.segments.iter().find(|v| v.segment.record().file == file);
        let Some(new) = new.filter(|_| removed.contains(&PartId::Segment(file))) else { continue };
        let marked: RowRanges = new.dead.since(&old.dead).map(|p| p..p + 1).collect();
        if marked.is_empty() {
            continue;
        }
        let rows = old.segment.read_rows(&marked, Some(&schema.key), &stats).await?;
        let columns: Vec<ArrayRef> = rows.columns().to_vec();
        let encoded = schema.codec().encode(&columns)?;
        keys.extend((0..encoded.len()).map(|i| encoded.get(i).into_owned()));
    }
    Ok(keys)
}
