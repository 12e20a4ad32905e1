//! Samples the keys of a run, and what its index says of each.
//!
//! Called by the engine for whoever looks inside; everything is in memory.

use arrow::array::ArrayRef;
use arrow::compute::interleave;
use omen_index::key::{common_prefix_len, model_key};

use super::sorted::Run;
use super::view::RunView;
use crate::error::Result;
use crate::storage::index_sample::{IndexSample, SamplePlan, SampledKey};
use crate::storage::key::Keys;

impl RunView {
    /// About `keys_max` keys, evenly spread, with the columns `key` of their rows; `None` if the
    /// part has no index.
    pub fn sample(&self, key: &[usize], keys_max: u32) -> Result<Option<IndexSample>> {
        self.as_run().map_or(Ok(None), |run| run.sample(key, keys_max))
    }
}

impl Run {
    fn sample(&self, key: &[usize], keys_max: u32) -> Result<Option<IndexSample>> {
        let rows = self.len() as u32;
        let keys = self.keys();
        let fixed_width = matches!(keys, Keys::Fixed { .. });
        let prefix_len =
            if fixed_width { 0 } else { common_prefix_len(self.min_key(), self.max_key()) };
        let positions = SamplePlan::new(rows, rows, keys_max).rows_of(0);
        let sampled = |&position: &u32| {
            let index = position as usize;
            let (predicted, range) = self.sight(&keys.get(index))?;
            let number = model_key(&keys.get(index), prefix_len);
            Some(SampledKey { position, predicted, range, number })
        };
        let Some(entries) = positions.iter().map(sampled).collect() else { return Ok(None) };
        let columns = key.iter().map(|&column| self.values(column, &positions));
        let columns = columns.collect::<Result<_>>()?;
        Ok(Some(IndexSample { rows, page_rows: None, fixed_width, entries, columns }))
    }

    /// The values of a column at positions.
    fn values(&self, column: usize, positions: &[u32]) -> Result<ArrayRef> {
        let batches = self.batches();
        let arrays: Vec<_> = batches.iter().map(|(_, rows)| rows.column(column).as_ref()).collect();
        let place = |&position: &u32| {
            let batch = batches.partition_point(|(first, _)| *first <= position) - 1;
            (batch, (position - batches[batch].0) as usize)
        };
        Ok(interleave(&arrays, &positions.iter().map(place).collect::<Vec<_>>())?)
    }
}
