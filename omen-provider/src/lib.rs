//! Keyed, durable Parquet tables for DataFusion.
#![allow(dead_code)]

mod error;
mod options;
mod storage;

mod provider;

pub use error::{Error, Result};
pub use options::{Durability, Options};
pub use storage::store;
