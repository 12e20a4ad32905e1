//! Which runs to merge, and merging them: the logarithmic method.
//!
//! Live rows of different runs never share a key, so any runs may be merged, in any order. A run
//! belongs to the tier of its size; when [`TIER_RUNS`] runs share a tier, they become one run of a
//! higher tier: a row is copied once per tier, and there are few runs to look into.

use arrow::compute::interleave_record_batch;

use super::Run;
use crate::error::Result;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::Keys;

/// Runs of one tier that are merged; also the ratio of sizes between tiers.
const TIER_RUNS: usize = 4;

/// The indices of runs (given by their row counts) that should become one, if any: those of the
/// lowest tier that is full.
pub fn merge_candidates(rows: &[usize]) -> Option<Vec<usize>> {
    let tier = |rows: usize| rows.max(1).ilog(TIER_RUNS);
    let highest = rows.iter().map(|&r| tier(r)).max()?;
    (0..=highest).find_map(|t| {
        let members: Vec<usize> = (0..rows.len()).filter(|&i| tier(rows[i]) == t).collect();
        (members.len() >= TIER_RUNS).then_some(members)
    })
}

/// One run of the live rows of `parts`; `None` if there are none.
pub fn merge(parts: &[(&Run, &DeletionVector)]) -> Result<Option<Run>> {
    let Some((first, _)) = parts.first() else { return Ok(None) };
    let mut keys = match first.keys() {
        Keys::Fixed { width, .. } => Keys::new(Some(*width)),
        Keys::Bytes { .. } => Keys::new(None),
    };
    let mut places = Vec::new();
    for (part, (run, dead)) in parts.iter().enumerate() {
        for row in (0..run.keys().len()).filter(|&row| !dead.contains(row as u32)) {
            keys.push_from(run.keys(), row);
            places.push((part, row));
        }
    }
    if places.is_empty() {
        return Ok(None);
    }
    // The keys are a few ascending sequences, which the stable sort finds and merges.
    let order = keys.sorted_order();
    let sorted: Vec<(usize, usize)> = order.iter().map(|&i| places[i as usize]).collect();
    let batches: Vec<_> = parts.iter().map(|(run, _)| run.rows()).collect();
    let rows = interleave_record_batch(&batches, &sorted)?;
    Run::new(rows, keys.take(&order)).map(Some)
}
