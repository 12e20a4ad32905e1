//! How the work fares that keeps an open database small: what failed last, and when it may be tried
//! again.
//!
//! After a failure of flush or publication the next attempt waits for a pause that doubles with
//! each one and is bounded; only who asks for it (a checkpoint, closing) tries at once. A
//! compaction that failed is set aside with its inputs: for such a pause, or, if the error says
//! that an input is damaged, as long as that is a part of its table. The last error of each stays
//! until the work succeeds, for `inspect` and for the statements that wait for it.
//!
//! Called by `checkpoint`, `replace`, `maintenance`, `commit`, `inspect`. Nothing here waits: the
//! locks are held for a few instructions, so that a look inside needs no other.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{LogFileInspection, LogInspection, TroubleInspection};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::storage::compaction::Task;
use crate::storage::medium::{File, Suspects};
use crate::storage::record::segment_name;
use crate::storage::version::{PartId, Version};
use crate::storage::wal::{Op, Statement};

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What an open database knows of its upkeep.
#[derive(Debug)]
pub(super) struct Upkeep {
    clock: Clock,
    /// Flushes.
    pub(super) flush: Retry,
    /// Manifests of compactions.
    pub(super) publication: Retry,
    /// Space in the log, and the reserve.
    pub(super) room: Retry,
    set_aside: Mutex<Vec<SetAside>>,
    /// The logs before the current one that a reopening would replay.
    pub(super) sealed: Mutex<Vec<LogFileInspection>>,
    /// What the manifest that stands says of itself.
    pub(super) standing: Mutex<LogInspection>,
    /// Segments that statements attached, which only the log names yet, and the statement.
    attached: Mutex<Vec<(File, u64)>>,
    /// How large the reserve is, at least.
    pub(super) reserve_held: AtomicU64,
    /// Bytes of all segments when there was last a flush.
    pub(super) segment_bytes: AtomicU64,
    /// Whether compaction is to end, since the database is being closed.
    stopping: AtomicBool,
    /// Segments whose entries in an index cannot be made.
    pub(super) without_entries: Mutex<HashSet<u64>>,
}

/// Work that is tried again after pauses.
#[derive(Debug, Default)]
pub(super) struct Retry(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    count: u32,
    not_before: Duration,
    last: Option<Error>,
}

/// A compaction that failed.
#[derive(Debug)]
struct SetAside {
    task: Task,
    /// Those of its inputs that are left alone.
    segments: Vec<u64>,
    failures: u32,
    error: Error,
    /// When it may be tried again; never, if an input is damaged.
    until: Option<Duration>,
}

/// While it lives, compaction ends at its next step.
pub(super) struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

impl Upkeep {
    pub(super) fn new(clock: Clock, standing: LogInspection) -> Self {
        Self {
            clock,
            flush: Retry::default(),
            publication: Retry::default(),
            room: Retry::default(),
            set_aside: Mutex::default(),
            sealed: Mutex::default(),
            standing: Mutex::new(standing),
            attached: Mutex::default(),
            reserve_held: AtomicU64::new(0),
            segment_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            without_entries: Mutex::default(),
        }
    }

    /// Whether the pause after the last failure of `work` is over.
    pub(super) fn may_try(&self, work: &Retry) -> bool {
        lock(&work.0).not_before <= self.clock.now()
    }

    /// Notes how `work` went.
    pub(super) fn note(&self, work: &Retry, outcome: &Result<()>) {
        let mut failures = lock(&work.0);
        match outcome {
            Ok(()) => *failures = Failures::default(),
            Err(error) => {
                failures.count = failures.count.saturating_add(1);
                failures.not_before = self.clock.now() + pause(failures.count);
                failures.last = Some(error.clone());
            }
        }
    }

    /// Sets a failed compaction aside; returns those of its inputs that are left alone.
    pub(super) fn set_aside(&self, task: &Task, error: &Error) -> Vec<u64> {
        let mut list = lock(&self.set_aside);
        let before = list.iter().position(|aside| aside.task == *task).map(|at| list.remove(at));
        let failures = before.map_or(0, |aside| aside.failures).saturating_add(1);
        let damaged: Vec<u64> = match error {
            Error::Corruption { path, .. } => {
                let is_named = |file: &u64| path.ends_with(&segment_name(*file));
                task.segments.iter().copied().filter(is_named).collect()
            }
            _ => Vec::new(),
        };
        let (segments, until) = match damaged.is_empty() {
            true => (task.segments.clone(), Some(self.clock.now() + pause(failures))),
            false => (damaged, None),
        };
        let (task, error) = (task.clone(), error.clone());
        list.push(SetAside { task, segments: segments.clone(), failures, error, until });
        segments
    }

    /// The segments of `version` that compaction leaves alone now. What concerns segments that are
    /// no longer there is forgotten.
    pub(super) fn segments_aside(&self, version: &Version) -> Vec<u64> {
        let now = self.clock.now();
        let mut list = lock(&self.set_aside);
        list.retain(|aside| aside.concerns(version));
        let waiting = list.iter().filter(|aside| aside.until.is_none_or(|until| now < until));
        waiting.flat_map(|aside| aside.segments.iter().copied()).collect()
    }

    /// A compaction succeeded.
    pub(super) fn no_longer_aside(&self, task: &Task) {
        lock(&self.set_aside).retain(|aside| aside.task != *task);
    }

    /// Notes the segments that statement `lsn` attaches; `version` holds them.
    pub(super) fn note_attached(&self, version: &Version, lsn: u64, ops: &[Op]) {
        lock(&self.attached).extend(attached(version, lsn, ops));
    }

    /// The segments attached since the last call.
    pub(super) fn take_attached(&self) -> Vec<(File, u64)> {
        std::mem::take(&mut *lock(&self.attached))
    }

    /// Ends compaction at its next step, until what it returns is dropped.
    pub(super) fn stop(&self) -> Stopping<'_> {
        self.stopping.store(true, SeqCst);
        Stopping(&self.stopping)
    }

    /// Whether compaction is to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// All that fails; of compactions, those whose segments `version` still has.
    pub(super) fn troubles(&self, version: &Version) -> Vec<TroubleInspection> {
        let retry = |work: &str, retry: &Retry| {
            let failures = lock(&retry.0);
            let error = failures.last.clone()?;
            Some(TroubleInspection { work: work.to_string(), failures: failures.count, error })
        };
        let mut troubles: Vec<_> = retry("flush", &self.flush).into_iter().collect();
        troubles.extend(retry("compaction: manifest", &self.publication));
        troubles.extend(retry("space on the disk", &self.room));
        let set_aside = lock(&self.set_aside);
        troubles.extend(set_aside.iter().filter(|aside| aside.concerns(version)).map(|aside| {
            let names: Vec<String> = aside.segments.iter().map(|&f| segment_name(f)).collect();
            TroubleInspection {
                work: format!("compaction of {}", names.join(", ")),
                failures: aside.failures,
                error: aside.error.clone(),
            }
        }));
        troubles
    }
}

impl SetAside {
    /// Whether the segments that are left alone are parts of their table.
    fn concerns(&self, version: &Version) -> bool {
        let table = version.table(self.task.table);
        table.is_some_and(|t| self.segments.iter().all(|&file| t.holds(PartId::Segment(file))))
    }
}

impl Retry {
    /// The last error, if the last attempt failed.
    pub(super) fn error(&self) -> Option<Error> {
        lock(&self.0).last.clone()
    }
}

/// The files that the statement `lsn` attaches, with the segment where `version` has it.
fn attached(version: &Version, lsn: u64, ops: &[Op]) -> Vec<(File, u64)> {
    let mut files = Vec::new();
    for op in ops {
        let Op::Attach { table, segments, .. } = op else { continue };
        let views = version.table(*table).map_or(&[][..], |table| &table.segments);
        for record in segments {
            let view = views.iter().find(|view| view.segment.record().file == record.file);
            let held: Vec<File> =
                view.iter().flat_map(|view| view.segment.files()).map(File::of).collect();
            let is_held = |name: &String| held.iter().any(|file| file.name() == name);
            let unheld = record.file_names().filter(|name| !is_held(name)).map(File::named);
            let unheld: Vec<File> = unheld.collect();
            files.extend(held.into_iter().chain(unheld).map(|file| (file, lsn)));
        }
    }
    files
}

/// The files that the statements of a log attach: suspects until they are flushed.
pub(super) fn suspects_of_log(version: &Version, statements: &[Statement]) -> Suspects {
    let mut suspects = Suspects::default();
    for Statement { ops, lsn, .. } in statements {
        for (file, lsn) in attached(version, *lsn, ops) {
            suspects.add(file, lsn);
        }
    }
    suspects
}

/// Doubles with each failure.
fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE)
}

/// No code that holds one of these locks can panic half-way through a change.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
