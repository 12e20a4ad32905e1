//! The engine: log, runs, segments, manifest, recovery.
//!
//! Knows Arrow, Parquet and `omen-index`; does not know DataFusion and calls back into nobody.
//! The modules stand in the order of their layers; each may import only from those above it.

pub mod store;

pub(crate) mod budget;
pub(crate) mod comment;
pub(crate) mod frame;
pub(crate) mod key;
pub mod record;
pub(crate) mod row_bytes;
pub(crate) mod row_ranges;
pub(crate) mod schema;
pub(crate) mod schema_names;
pub(crate) mod storable;
pub(crate) mod system_tables;

pub(crate) mod alteration;
pub(crate) mod definition;
pub(crate) mod deletion_vector;
pub(crate) mod index_sample;
pub(crate) mod keyed_batch;
pub(crate) mod live_rows;
pub(crate) mod run;
pub(crate) mod wal;

pub(crate) mod segment;

pub(crate) mod manifest;
pub(crate) mod medium;

pub(crate) mod merge_scan;
pub(crate) mod version;

pub(crate) mod numbering;

pub(crate) mod apply;
pub(crate) mod carry;
pub(crate) mod index_choice;
pub(crate) mod prepare;
pub(crate) mod publication;
pub(crate) mod rewrite;
pub(crate) mod snapshot;
pub(crate) mod uniqueness;

pub(crate) mod compaction;
pub(crate) mod flush;
pub(crate) mod recovery;

pub(crate) mod backup;
pub(crate) mod scrub;

pub(crate) mod engine;

pub(crate) mod handle;

pub(crate) mod table;

pub(crate) mod database;
