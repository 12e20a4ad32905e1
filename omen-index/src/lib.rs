//! A two-layer recursive model index over sorted `u64` keys.
#![allow(missing_docs)]
pub mod key;
use std::ops::Range;
mod error;
pub use error::Error;
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rmi {
    n: usize,
}
#[derive(Debug, Clone)]
pub struct RmiStats {
    pub keys: usize,
    pub leaves: usize,
    pub bytes: usize,
    pub range_max: usize,
    pub range_mean: f64,
}
impl Rmi {
    pub fn train(keys: &[u64]) -> Result<Rmi, Error> {
        Ok(Rmi { n: keys.len() })
    }
    pub fn len(&self) -> usize {
        self.n
    }
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }
    pub fn search_range(&self, _key: u64) -> Range<usize> {
        0..self.n
    }
    pub fn lower_bound(&self, keys: &[u64], key: u64) -> usize {
        keys.partition_point(|k| *k < key)
    }
    pub fn upper_bound(&self, keys: &[u64], key: u64) -> usize {
        keys.partition_point(|k| *k <= key)
    }
    pub fn stats(&self) -> RmiStats {
        RmiStats { keys: self.n, leaves: 0, bytes: 0, range_max: self.n, range_mean: self.n as f64 }
    }
    pub fn to_bytes(&self) -> Vec<u8> {
        (self.n as u64).to_le_bytes().to_vec()
    }
    pub fn from_bytes(bytes: &[u8]) -> Result<Rmi, Error> {
        Ok(Rmi {
            n: u64::from_le_bytes(bytes.try_into().map_err(|_| Error::InvalidKey { reason: "x" })?)
                as usize,
        })
    }
}
#[derive(Debug, Default)]
pub struct RmiBuilder {
    n: usize,
}
impl RmiBuilder {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn push(&mut self, _key: u64) -> Result<(), Error> {
        self.n += 1;
        Ok(())
    }
    pub fn finish(self) -> Result<Rmi, Error> {
        Ok(Rmi { n: self.n })
    }
}
