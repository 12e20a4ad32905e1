//! The learned index of a run, with the fingerprints by which lookups pass the run over.

use std::cmp::Ordering;
use std::ops::Range;

use omen_index::Rmi;
use omen_index::key::{common_prefix_len, model_key};

use crate::error::{Error, Result};
use crate::storage::key::{Keys, least_not_below};
use omen_index::fingerprints::Fingerprints;

/// Runs of at most this many rows are searched by halving: a model would cost more than it saves.
const UNINDEXED_ROWS_MAX: usize = 512;

/// What finds keys in a run.
#[derive(Debug)]
pub(super) struct RunIndex {
    rmi: Rmi,
    /// What all keys begin with, left out of model keys.
    prefix: Vec<u8>,
    fingerprints: Fingerprints,
}

impl RunIndex {
    /// An index over ascending keys; `None` if there are too few to be worth one.
    pub(super) fn train(keys: &Keys) -> Result<Option<Self>> {
        if keys.len() <= UNINDEXED_ROWS_MAX {
            return Ok(None);
        }
        let min_key = keys.get(0);
        let prefix_len = match keys {
            Keys::Fixed { .. } => 0,
            Keys::Bytes { .. } => common_prefix_len(&min_key, &keys.get(keys.len() - 1)),
        };
        let trained = match keys {
            Keys::Fixed { values, .. } => Rmi::train(values),
            Keys::Bytes { .. } => {
                let models: Vec<u64> =
                    (0..keys.len()).map(|i| keys.model_key(i, prefix_len)).collect();
                Rmi::train(&models)
            }
        };
        let rmi = trained.map_err(|e| Error::invalid(format!("keys cannot be indexed: {e}")))?;
        let hashes: Vec<u64> = (0..keys.len()).map(|i| keys.hash(i)).collect();
        let fingerprints = Fingerprints::new(&hashes);
        Ok(Some(Self { rmi, prefix: min_key[..prefix_len].to_vec(), fingerprints }))
    }

    /// False if the key of this hash is certainly not in the run.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.fingerprints.may_contain(hash)
    }

    /// The first position of `keys`, those trained on, whose key is not below `probe`.
    pub(super) fn lower_bound(&self, keys: &Keys, probe: &[u8]) -> usize {
        match keys {
            Keys::Fixed { width, values } => match least_not_below(*width, probe) {
                Some(least) => self.rmi.lower_bound(values, least),
                None => values.len(),
            },
            Keys::Bytes { .. } => {
                let range = self.search_range(probe, keys.len());
                let hint = self.rmi.predict(model_key(probe, self.prefix.len()));
                keys.lower_bound_near(range, hint, probe)
            }
        }
    }

    /// Positions that hold the lower bound of `probe` for sure, of `rows` in all.
    fn search_range(&self, probe: &[u8], rows: usize) -> Range<usize> {
        let head = &probe[..probe.len().min(self.prefix.len())];
        match head.cmp(self.prefix.as_slice()) {
            // All keys begin with the prefix: a probe that differs is below or above all of them.
            // (A probe that is shorter compares as less, and is below all of them.)
            Ordering::Less => 0..0,
            Ordering::Greater => rows..rows,
            Ordering::Equal => self.rmi.search_range(model_key(probe, self.prefix.len())),
        }
    }

    /// Where the model expects `key`, and the positions that hold it for sure, of `rows` in all.
    pub(super) fn sight(&self, key: &[u8], rows: usize) -> (usize, Range<usize>) {
        let predicted = self.rmi.predict(model_key(key, self.prefix.len()));
        (predicted, self.search_range(key, rows))
    }

    /// Size and sharpness of the model.
    pub(super) fn stats(&self) -> omen_index::RmiStats {
        self.rmi.stats()
    }
}
