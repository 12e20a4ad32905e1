//! Samples the keys of a segment, and what its index says of each.
//!
//! Called by the engine for whoever looks inside. Reads the key columns of at most a few hundred
//! pages, whatever the segment's size.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use omen_index::key::{common_prefix_len, model_key};

use super::{ReadStats, Segment};
use crate::error::Result;
use crate::storage::index_sample::{IndexSample, SamplePlan, SampledKey};

/// Pages read together.
const PAGES_TOGETHER: usize = 32;

impl Segment {
    /// About `keys_max` keys, evenly spread; `progress` is told of keys as they are read. `None` if
    /// there is no index, because it was damaged.
    pub async fn sample(
        &self,
        keys_max: u32,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Option<IndexSample>> {
        if self.index.stats().is_none() {
            return Ok(None);
        }
        let plan = SamplePlan::new(self.rows(), self.layout.page_rows(), keys_max);
        let pages: Vec<u32> = plan.pages().collect();
        let stats = ReadStats::default();
        let mut entries = Vec::new();
        let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.schema.key.len()];
        for group in pages.chunks(PAGES_TOGETHER) {
            let arrays = self.page_columns(group, &self.schema.key, &stats).await?;
            for (&page, arrays) in group.iter().zip(arrays) {
                let rows = plan.rows_of(page);
                progress(rows.len() as u64);
                let picked = UInt32Array::from(rows.clone());
                let taken: Vec<ArrayRef> = (arrays.iter())
                    .map(|array| take(array, &picked, None))
                    .collect::<Result<_, _>>()?;
                entries.extend(self.sampled_keys(
                    self.layout.positions(page).start,
                    &rows,
                    &taken,
                )?);
                columns.iter_mut().zip(taken).for_each(|(column, array)| column.push(array));
            }
        }
        Ok(Some(IndexSample {
            rows: self.rows(),
            page_rows: Some(self.layout.page_rows()),
            fixed_width: self.schema.codec().fixed_width().is_some(),
            entries,
            columns: columns.iter().map(|arrays| joined(arrays)).collect::<Result<_>>()?,
        }))
    }

    /// What the index says of keys, given by their columns and their rows of the page at `start`.
    fn sampled_keys(
        &self,
        start: u32,
        rows: &[u32],
        columns: &[ArrayRef],
    ) -> Result<Vec<SampledKey>> {
        let keys = self.schema.codec().encode(columns)?;
        let prefix_len = match self.schema.codec().fixed_width() {
            Some(_) => 0,
            None => common_prefix_len(&self.record.min_key, &self.record.max_key),
        };
        let sampled = |(index, row): (usize, &u32)| {
            let (range, predicted) = self.index.locate_in_file(&keys.get(index));
            SampledKey {
                position: start + row,
                predicted,
                range,
                number: model_key(&keys.get(index), prefix_len),
            }
        };
        Ok(rows.iter().enumerate().map(sampled).collect())
    }
}

fn joined(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    match arrays {
        [array] => Ok(Arc::clone(array)),
        _ => Ok(concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
    }
}
