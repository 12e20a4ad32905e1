//! The parts of the bench of lookups: rounds, tables for people, figures for programs, what a load
//! costs; and the same for key ranges and for keys in pages.

pub mod figures;
pub mod latency;
pub mod pages;
pub mod ranges;
pub mod rounds;
mod sheet;
pub mod tables;
