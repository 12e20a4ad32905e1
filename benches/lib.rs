//! What the benches share: workloads, peers, and the lines that report a figure.
//!
//! Everything is seeded, so that every run and every peer sees the same rows and keys. Each bench
//! is a program of its own and answers one question, stated at its top; README.md says how they
//! are run and what was last measured.

pub mod figure;
mod random;
pub mod settings;

#[cfg(feature = "engine")]
mod readings;

#[cfg(feature = "stores")]
pub mod engines;

#[cfg(feature = "peers")]
pub mod peers;
#[cfg(feature = "stores")]
pub mod stores;
#[cfg(feature = "peers")]
pub mod turns;
#[cfg(feature = "peers")]
pub mod workload;

pub use random::{Random, mixed};
#[cfg(feature = "engine")]
pub use readings::{reading_value, readings, readings_schema};
