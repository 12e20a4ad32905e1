//! The picker on tables made by hand, and on thousands of flushes in a simulation that knows
//! segments as sizes and keys only.

mod simulation;
mod table;
