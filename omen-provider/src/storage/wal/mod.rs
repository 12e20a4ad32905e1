//! The write-ahead log: what makes a statement durable before any segment holds its rows.
//!
//! `record` says what a statement is made of, `writer` appends groups of statements, `reader`
//! gives back the complete ones and tells a torn tail from damage.

mod record;

pub use record::{Op, Statement};
