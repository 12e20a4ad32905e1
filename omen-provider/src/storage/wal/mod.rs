//! The write-ahead log: what makes a statement durable before any segment holds its rows.
//!
//! `record` says what a statement is made of, `rows` how rows lie in it, `header` how a log file
//! begins; `writer` appends groups (`queue`) of statements, `reader` gives back the complete ones
//! and tells a torn tail from damage.
//!
//! ```text
//! log file: header, 64 bytes | frames (see `frame`), lsn = first lsn, + 1, + 1, …
//! statement: frames of its operations | commit frame
//! finished file: … | seal frame, the last; zeros may follow
//! ```
//!
//! Invariant: a statement counts only with its complete commit frame.

mod header;
mod queue;
mod reader;
mod record;
#[cfg(test)]
mod scheduled;
mod sync_thread;
mod writer;

// What the writer's threads meet in; `scheduled` has others in its place.
use std::sync;

pub(crate) use header::{LogHeader, log_name, log_number};
pub(crate) use queue::Encoded;
pub(crate) use reader::{LogContents, LogPlace, has_records, read_log, read_log_before_damage};
#[cfg(feature = "fuzzing")]
pub(crate) use record::{Commit, KIND_COMMIT, KIND_PUT};
pub(crate) use record::{Op, Statement};
pub(crate) use writer::LogWriter;
