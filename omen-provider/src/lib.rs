//! Keyed, durable Parquet tables for DataFusion.
//!
//! A [`Database`] is a directory (or a prefix of an object store) of tables with an enforced
//! primary key. A statement is durable when it returns (but see [`Durability`]); a key lookup reads
//! one page of each column; the files are plain Parquet. Three ways in:
//!
//! * [`Session`]: SQL, all of DataFusion's SELECT with CREATE TABLE and INSERT that persist;
//! * [`Table`]: Arrow batches in, rows out by key or key range, without a plan;
//! * [`Database::register`]: the same tables in any DataFusion `SessionContext`.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use omen_provider::Database;
//!
//! let db = Database::open(directory.path().join("my.db")).await?;
//! let session = db.session();
//! session.sql("CREATE TABLE readings (device TEXT, at BIGINT, value DOUBLE, \
//!              PRIMARY KEY (device, at))").await?;
//! session.sql("INSERT INTO readings VALUES ('boiler', 1, 20.5), ('boiler', 2, 21.0)")
//!     .await?.collect().await?;
//!
//! let readings = db.table("readings")?;
//! assert_eq!(readings.row_count()?, 2);
//! assert!(readings.get(("boiler", 1)).await?.is_some());
//! assert!(readings.get(("boiler", 3)).await?.is_none());
//!
//! // The same key again is refused, and nothing of the statement is stored.
//! let sql = "INSERT INTO readings VALUES ('boiler', 3, 1), ('boiler', 1, 1)";
//! let again = session.sql(sql).await?;
//! assert!(again.collect().await.is_err());
//! assert_eq!(readings.row_count()?, 2);
//! # db.close().await?; Ok(()) }
//! ```
//!
//! One process writes at a time; any number may read ([`Options::read_only`]). Dropping a
//! [`Database`] without [`Database::close`] loses nothing.

#![cfg_attr(
    test,
    allow(
        clippy::duplicate_mod,
        reason = "tests compile some files once more, over a scheduler's locks"
    )
)]

mod clock;
#[cfg(test)]
mod dice;
mod error;
mod expression;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod interchange;
mod options;
mod storage;
#[cfg(feature = "teeth")]
pub mod teeth;
#[cfg(not(feature = "teeth"))]
mod teeth;

mod provider;

pub use clock::Clock;
pub use error::{Error, Result};
pub use options::{Durability, Options};
pub use provider::{Session, Statement};
pub use storage::backup::BackupReport;
pub use storage::database::Database;
pub use storage::definition::{IdentityColumn, TableDefinition};
pub use storage::engine::{
    EntriesInspection, IndexInspection, Inspection, LogInspection, PartInspection, SampleLimits,
    TableInspection, TableSample, TroubleInspection, VerifyReport,
};
pub use storage::index_sample::{IndexSample, SampledKey};
pub use storage::key::{Key, KeyValue};
pub use storage::recovery::{DroppedTail, LogCut};
pub use storage::snapshot::{Snapshot, TableSnapshot};
pub use storage::store;
pub use storage::table::Table;
