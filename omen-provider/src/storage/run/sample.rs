//! Samples the keys of a run, and what the learned index over them says of each.
//!
//! Called by the engine for whoever looks inside; everything is in memory. A run keeps its keys in
//! several sorted lists; the longest one that has an index is what is shown.

use std::ops::Range;

use omen_index::key::{common_prefix_len, model_key};

use super::key_map::KeyMap;
use super::part::Run;
use crate::error::Result;
use crate::storage::index_sample::{IndexSample, SamplePlan, SampledKey};

impl KeyMap {
    /// Figures of the learned index over the longest list of keys, if one is long enough.
    pub(super) fn index_stats(&self) -> Option<omen_index::RmiStats> {
        match self {
            Self::Numbers { map, .. } => map.longest_run().map(|(_, _, index)| index.stats()),
            Self::Strings(map) => map.longest_run().map(|(_, _, index)| index.stats()),
        }
    }
}

impl Run {
    /// Figures of the learned index over the longest list of keys, if one is long enough.
    pub fn index_stats(&self) -> Option<omen_index::RmiStats> {
        self.key_map.index_stats()
    }

    /// About `keys_max` keys, evenly spread, with the columns `key` of their rows; `None` if there
    /// is no index.
    pub fn sample(&self, key: &[usize], keys_max: u32) -> Result<Option<IndexSample>> {
        match &self.key_map {
            KeyMap::Numbers { map, .. } => {
                let Some((keys, positions, index)) = map.longest_run() else { return Ok(None) };
                let sight = |i: usize| (keys[i], index.locate(keys[i]));
                self.sample_list(positions, true, sight, key, keys_max).map(Some)
            }
            KeyMap::Strings(map) => {
                let Some((keys, positions, index)) = map.longest_run() else { return Ok(None) };
                let (first, last) = (keys.get(0), keys.get(positions.len() - 1));
                let prefix_len = common_prefix_len(first, last);
                let sight =
                    |i: usize| (model_key(keys.get(i), prefix_len), index.locate(keys.get(i)));
                self.sample_list(positions, false, sight, key, keys_max).map(Some)
            }
        }
    }

    /// Samples a list of keys, whose rows are at `positions`. `sight` gives the number that stands
    /// for a key of the list, and where the index sees it.
    fn sample_list(
        &self,
        positions: &[u64],
        fixed_width: bool,
        sight: impl Fn(usize) -> (u64, (Range<usize>, usize)),
        key: &[usize],
        keys_max: u32,
    ) -> Result<IndexSample> {
        let rows = positions.len() as u32;
        let sampled = SamplePlan::new(rows, rows, keys_max).rows_of(0);
        let entry = |&place: &u32| {
            let (number, (range, predicted)) = sight(place as usize);
            let range = range.start as u32..range.end as u32;
            SampledKey { position: place, predicted: predicted as u32, range, number }
        };
        let entries = sampled.iter().map(entry).collect();
        let rows_of = sampled.iter().map(|&place| positions[place as usize] as u32).collect();
        let columns = self.columns_at(rows_of, key)?;
        Ok(IndexSample { rows, page_rows: None, fixed_width, entries, columns })
    }
}
