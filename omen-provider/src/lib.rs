//! Keyed, durable Parquet tables for DataFusion.
#![allow(dead_code)]

mod error;
mod options;
mod storage;

pub use error::{Error, Result};
pub use options::{Durability, Options};
pub use storage::database::Database;
pub use storage::definition::TableDefinition;
pub use storage::engine::{
    Inspection, LogInspection, PartInspection, TableInspection, VerifyReport,
};
pub use storage::key::{Key, KeyValue};
pub use storage::snapshot::{Snapshot, TableSnapshot};
pub use storage::store;
pub use storage::table::Table;
