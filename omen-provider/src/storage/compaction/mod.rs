//! Compaction: segments become fewer, larger, disjoint segments without dead rows.
//!
//! `picker` decides, as a pure function of a version, by what `parts` knows of its segments;
//! `worker` acts. The engine runs one task at a time beside readers and writers and then replaces
//! the inputs by the output, carrying over the marks that arrived meanwhile. A task that is
//! cancelled, fails, or is cut off by a crash leaves the database as it was; what earlier tasks did
//! stays.

mod parts;
mod picker;
mod worker;

pub use picker::{CompactionOptions, Task, pick, pick_everything};
pub use worker::run;

#[cfg(test)]
mod tests;
