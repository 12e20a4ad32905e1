//! Maps from key to value that grow while they are asked.
//!
//! A bench is generic over [`MutableMap`], so that no contender pays for a call through a table.

use std::collections::BTreeMap;

/// An ordered map from `u64` to `u64` that can be written to.
pub trait MutableMap: Default {
    /// The name in tables.
    const NAME: &'static str;

    /// Adds an entry whose key is new.
    fn insert(&mut self, key: u64, value: u64);

    /// Adds entries in any order whose keys are new.
    fn insert_batch(&mut self, entries: &[(u64, u64)]);

    /// The value of a key.
    fn get(&self, key: u64) -> Option<u64>;

    /// The values of many keys.
    fn get_many(&self, keys: &[u64], values: &mut [Option<u64>]);

    /// The map as it is now, whatever is added to the original later.
    fn snapshot(&self) -> Self;

    /// Ends what was put off while entries were added.
    fn settle(&mut self) {}
}

/// `BTreeMap` from key to value.
#[derive(Debug, Default)]
pub struct TreeMap(BTreeMap<u64, u64>);

impl MutableMap for TreeMap {
    const NAME: &'static str = "BTreeMap";

    #[inline]
    fn insert(&mut self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    /// In order: neighbours then share the upper nodes that were just visited.
    fn insert_batch(&mut self, entries: &[(u64, u64)]) {
        let mut sorted = entries.to_vec();
        sorted.sort_unstable();
        self.0.extend(sorted);
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key).copied()
    }

    fn get_many(&self, keys: &[u64], values: &mut [Option<u64>]) {
        for (value, &key) in values.iter_mut().zip(keys) {
            *value = self.get(key);
        }
    }

    fn snapshot(&self) -> Self {
        Self(self.0.clone())
    }
}
