//! The index that this package is about.

use omen_index::Rmi;

use super::{Contender, checked};
use crate::workload::Probes;

/// `omen_index::Rmi` over the sorted keys.
#[derive(Debug)]
pub struct Omen<'a> {
    model: Rmi,
    keys: &'a [u64],
}

impl<'a> Omen<'a> {
    /// Trained on sorted keys.
    ///
    /// # Panics
    /// If training refuses the keys.
    pub fn new(keys: &'a [u64]) -> Self {
        match Rmi::train(keys) {
            Ok(model) => Self { model, keys },
            Err(error) => panic!("training failed: {error}"),
        }
    }
}

impl Contender for Omen<'_> {
    fn name(&self) -> &'static str {
        "omen-index"
    }

    #[inline(always)]
    fn find(&self, key: u64) -> usize {
        checked(self.keys, self.model.lower_bound(self.keys, key), key)
    }

    fn batched(&self, probes: Probes<'_>, answers: &mut [usize]) -> bool {
        self.model.lower_bound_batch(self.keys, probes.keys, answers);
        true
    }
}
