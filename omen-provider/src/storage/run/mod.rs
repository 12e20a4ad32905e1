//! Rows in memory: what was written since the last flush.
//!
//! A run keeps rows where they arrived (`rows`) and a map from key to place (`key_map`, over
//! `omen_index::runs`): only keys are sorted and merged, a row is copied when it is read or
//! flushed. `set` is all runs of a table, `scan` reads rows in key order.

mod key_map;
mod part;
mod rows;
mod sample;
mod scan;
mod set;

pub use part::{Run, upcoming_id};
pub use rows::batch_bytes;
pub use scan::RunScan;
pub use set::Runs;

#[cfg(test)]
mod tests;
