//! The engine: log, runs, segments, manifest, recovery.
//!
//! Knows Arrow, Parquet and `omen-index`; does not know DataFusion and calls back into nobody.
//! The modules stand in the order of their layers; each may import only from those above it.

pub mod store;

pub(crate) mod frame;
pub(crate) mod key;
pub mod record;
pub(crate) mod row_ranges;
pub(crate) mod schema;

pub(crate) mod deletion_vector;
pub(crate) mod run;
pub(crate) mod wal;

pub(crate) mod segment;

pub(crate) mod manifest;
