//! The inbox once more, compiled over the atomics of a scheduler, by which its tests here run it
//! under many schedules of its threads.
//!
//! Of a module that is included by path, `mod tests` is the file beside it: `runs/tests.rs`.

#![allow(dead_code, reason = "the inbox needs a part of what is compiled with it")]

#[path = "inbox.rs"]
mod inbox;
#[path = "keys.rs"]
mod keys;
#[path = "numbers.rs"]
mod numbers;
#[path = "../../../tests/schedules/scheduler.rs"]
mod scheduler;

use scheduler::sync;

use super::{merge, sort};
