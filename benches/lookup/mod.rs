//! The parts of the bench of lookups: rounds, tables for people, figures for
//! programs, and what a load costs.

pub mod figures;
pub mod latency;
pub mod rounds;
pub mod tables;
