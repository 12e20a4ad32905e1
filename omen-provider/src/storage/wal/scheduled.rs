//! The log's writer once more, compiled over the locks of a scheduler, by which its tests here run
//! it under many schedules of its threads.
//!
//! Of a module that is included by path, `mod tests` is the file beside it: `wal/tests.rs`.

#![allow(dead_code, reason = "the tests need a part of it")]

#[path = "../../../../tests/schedules/scheduler.rs"]
mod scheduler;
#[path = "writer.rs"]
mod writer;

use scheduler::sync;

use super::{header, queue, record, sync_thread};
