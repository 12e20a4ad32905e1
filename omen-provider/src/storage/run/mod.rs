//! The parts of a table that lie in memory.
//!
//! `sorted` is a run (rows sorted by key, with the learned index of `index`), `view` a part as one
//! version sees it, `set` all parts of a table, `merge` makes one part of several, `select` takes
//! rows out. A flush turns all of them into segments; they are rebuilt from the log at open.

mod index;
mod merge;
mod sample;
mod select;
mod set;
mod sorted;
mod view;

pub use set::Runs;
pub use sorted::{Run, batch_bytes, upcoming_id};
pub use view::RunView;

#[cfg(test)]
mod tests;
