//! Which segments to compact next. Pure: a version in, a task out.
//!
//! 1. A segment of which much is dead, or whose learned index is damaged, is rewritten.
//! 2. Segments belong to tiers by size; when a tier holds [`TIER_SEGMENTS`] segments of a table,
//!    they are merged: a row is rewritten once per tier, however the keys arrive. Segments of full
//!    size are left alone unless they overlap others of their tier.
//!
//! So all but the newest few segments of a table are disjoint by key, and write amplification grows
//! with the logarithm of the table.

use std::sync::Arc;

use crate::storage::schema::TableId;
use crate::storage::version::{PartId, SegmentView, TableVersion, Version};

/// Segments of one tier that are merged; also the ratio of sizes between tiers.
const TIER_SEGMENTS: usize = 4;
/// The smallest tier holds segments up to this many rows.
const SMALLEST_TIER_ROWS: u32 = 4096;
/// A segment with more than one dead row in this many is rewritten.
const DEAD_SHARE: u64 = 3;

/// What the picker goes by.
#[derive(Debug, Clone)]
pub struct CompactionOptions {
    /// Rows of a full segment.
    pub segment_rows_max: usize,
    /// File numbers of segments that [`pick`] acts as if there were none of: merging them failed.
    pub set_aside: Vec<u64>,
}

/// Segments of one table to be merged into others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The table.
    pub table: TableId,
    /// File numbers of the inputs.
    pub segments: Vec<u64>,
}

/// The most urgent task, if any.
pub fn pick(version: &Version, options: &CompactionOptions) -> Option<Task> {
    version.tables().iter().find_map(|table| {
        let table = &without(table, &options.set_aside);
        let segments = pick_worn(table).or_else(|| pick_tier(table, options))?;
        Some(Task { table: table.schema.id, segments })
    })
}

/// `table` without some of its segments. They do not count as neighbours either: a full segment
/// that overlaps no other would be rewritten as it is, again and again.
fn without(table: &Arc<TableVersion>, segments: &[u64]) -> Arc<TableVersion> {
    let removed: Vec<_> = segments.iter().map(|&file| PartId::Segment(file)).collect();
    if removed.iter().all(|part| !table.holds(*part)) {
        return Arc::clone(table);
    }
    let mut rest = TableVersion::clone(table);
    rest.replace_parts(&removed, Vec::new());
    Arc::new(rest)
}

/// The task that leaves `table` as disjoint, full segments without dead rows; `None` if it is so
/// already.
pub fn pick_everything(table: &TableVersion, options: &CompactionOptions) -> Option<Task> {
    let views = &table.segments;
    let small = views.iter().filter(|v| !is_full(v, options)).count();
    let worn = views.iter().any(|v| !v.dead.is_empty() || v.segment.is_impaired());
    if small <= 1 && !worn && views.iter().all(|v| !overlaps_another(v, views)) {
        return None;
    }
    Some(Task { table: table.schema.id, segments: views.iter().map(file).collect() })
}

fn pick_worn(table: &Arc<TableVersion>) -> Option<Vec<u64>> {
    let is_worn = |v: &&SegmentView| {
        v.segment.is_impaired() || v.dead.count() * DEAD_SHARE > u64::from(v.segment.rows())
    };
    table.segments.iter().find(is_worn).map(|view| vec![file(view)])
}

fn pick_tier(table: &Arc<TableVersion>, options: &CompactionOptions) -> Option<Vec<u64>> {
    let highest = table.segments.iter().map(tier).max()?;
    (0..=highest).find_map(|wanted| {
        let peers: Vec<&SegmentView> =
            table.segments.iter().filter(|v| tier(v) == wanted).collect();
        // A full segment is worth rewriting only together with one that overlaps it: alone, it
        // would come out as it went in, again and again.
        let members: Vec<u64> = peers
            .iter()
            .filter(|v| !is_full(v, options) || overlaps_another(v, peers.iter().copied()))
            .map(|v| file(v))
            .collect();
        (members.len() >= TIER_SEGMENTS).then_some(members)
    })
}

fn tier(view: &SegmentView) -> u32 {
    (view.segment.rows() / SMALLEST_TIER_ROWS).max(1).ilog(TIER_SEGMENTS as u32)
}

fn file(view: &SegmentView) -> u64 {
    view.segment.record().file
}

fn is_full(view: &SegmentView, options: &CompactionOptions) -> bool {
    view.segment.rows() as usize >= options.segment_rows_max
}

fn overlaps_another<'a>(
    view: &SegmentView,
    others: impl IntoIterator<Item = &'a SegmentView>,
) -> bool {
    let record = view.segment.record();
    others.into_iter().map(|o| o.segment.record()).any(|other| {
        other.file != record.file
            && other.min_key <= record.max_key
            && record.min_key <= other.max_key
    })
}
