//! The parts of the bench of lookups: rounds, tables for people, figures for programs.

pub mod figures;
pub mod rounds;
pub mod tables;
