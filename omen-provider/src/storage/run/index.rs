//! The learned index of a run, with the fingerprints by which lookups pass the run over.

use std::ops::Range;

use omen_index::fingerprints::Fingerprints;
use omen_index::key::common_prefix_len;

use crate::error::{Error, Result};
use crate::storage::key::{KeyModel, Keys};

/// Runs of at most this many rows are searched by halving: a model would cost more than it saves.
const UNINDEXED_ROWS_MAX: usize = 512;

/// What finds keys in a run.
#[derive(Debug)]
pub(super) struct RunIndex {
    model: KeyModel,
    fingerprints: Fingerprints,
}

impl RunIndex {
    /// An index over ascending keys; `None` if there are too few to be worth one.
    pub(super) fn train(keys: &Keys) -> Result<Option<Self>> {
        if keys.len() <= UNINDEXED_ROWS_MAX {
            return Ok(None);
        }
        let prefix_len = common_prefix_len(&keys.get(0), &keys.get(keys.len() - 1));
        let model = KeyModel::train(keys, prefix_len)
            .map_err(|e| Error::invalid(format!("keys cannot be indexed: {e}")))?;
        let hashes: Vec<u64> = (0..keys.len()).map(|i| keys.hash(i)).collect();
        let fingerprints = Fingerprints::new(&hashes);
        Ok(Some(Self { model, fingerprints }))
    }

    /// False if the key of this hash is certainly not in the run.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.fingerprints.may_contain(hash)
    }

    /// The first position of `keys` whose key is not below `probe`. The keys, those trained on,
    /// prove the answer.
    pub(super) fn lower_bound(&self, keys: &Keys, probe: &[u8]) -> usize {
        self.model.lower_bound(keys, probe)
    }

    /// The positions that hold the lower bound of `key`, and the one where the model expects it.
    pub(super) fn locate(&self, key: &[u8]) -> (Range<usize>, usize) {
        self.model.locate(key)
    }

    /// Size and sharpness of the model.
    pub(super) fn stats(&self) -> omen_index::RmiStats {
        self.model.stats()
    }
}
