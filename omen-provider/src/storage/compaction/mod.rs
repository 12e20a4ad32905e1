//! Compaction: segments become fewer, larger, disjoint segments without dead rows.
//!
//! `picker` decides, as a pure function of a version; `worker` acts. The engine runs one task at a
//! time beside readers and writers and then replaces the inputs by the output, carrying over the
//! marks that arrived meanwhile.

mod picker;
mod worker;

pub use picker::{CompactionOptions, Task, pick, pick_everything};
pub use worker::run;
