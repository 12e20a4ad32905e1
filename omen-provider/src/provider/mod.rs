//! The boundary to DataFusion: tables, scans, inserts and SQL sessions.
//!
//! Knows DataFusion and opens no file: rows and bytes come from a snapshot of the engine.

mod filter;
