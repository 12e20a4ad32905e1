//! Suites that others wrote, on OmenDB's tables: DataFusion's own SQL scripts, and TPC-H.
//!
//! They take minutes, so they are outside the workspace's default members; CONTRIBUTING.md says
//! how to run them, and `.ci/run` does.

mod slt;
mod tpch;
