//! Work that nobody waits for, unless memory runs short: when to flush runs to segments
//! (`checkpoint`), and to merge their keys and compact segments (`replace`).
//!
//! Called after commits, to work in the background, and by the front door. What fails is tried
//! again after a pause (`upkeep`) by the statements that come then; a failed flush stops
//! compaction, a failed compaction nothing else. Statements wait when a flush is behind and are
//! refused when it fails: nothing grows without bound.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::room::lacks_space;
use super::upkeep::lock;
use super::{Engine, Writer};
use crate::error::{Error, Result};
use crate::storage::compaction::{CompactionOptions, Task, pick, pick_everything};
use crate::storage::schema::TableId;
use crate::storage::store::DirectoryLock;
use crate::storage::version::TableVersion;

/// A log (all files of it that a reopening would read) longer than this many times the limit of
/// rows in memory is flushed: statements that leave few rows behind fill it too.
const LOG_SHARE: u64 = 2;

/// Statements wait at this many times what starts a flush.
const WAIT_FACTOR: u64 = 2;

/// The most that compactions read while somebody waits for the end of the database.
const CLOSING_BYTES: u64 = 8 << 20;
/// What a compaction takes besides reading and writing rows, in bytes that take as long.
const TASK_BYTES: u64 = 256 << 10;

/// A compaction that cannot be published, because flushes come between, is tried so often.
const ATTEMPTS: usize = 5;

/// What became of a compaction that no error stopped.
enum Compacted {
    /// It was published; these segments stand for its inputs.
    Into(Vec<u64>),
    /// Something else was published first.
    Overtaken,
    /// It failed and is set aside, and these segments with it.
    SetAside(Vec<u64>, Error),
}

/// The promise of a background task to run; given back when the task starts, or when its runtime
/// ends before it could.
struct Scheduled(Arc<Engine>);

impl Drop for Scheduled {
    fn drop(&mut self) {
        if let Some(writer) = &self.0.writer {
            writer.scheduled.store(false, SeqCst);
        }
    }
}

impl Engine {
    /// Starts background work if there is some. Called after each commit.
    pub fn schedule_maintenance(self: &Arc<Self>) {
        let Some(writer) = &self.writer else { return };
        let merges = |table: &Arc<TableVersion>| table.runs.merge_due().is_some();
        // While somebody compacts, he is the one who looks.
        let has_segments =
            || writer.compaction_wanted.load(SeqCst) && writer.compacting.try_lock().is_ok();
        let has_work = self.flush_is_due(writer) || self.room_is_due(writer) || has_segments();
        if !has_work && !self.published.get().tables().iter().any(merges) {
            return;
        }
        // Without a runtime nothing runs in the background; `wait_for_room` still bounds memory.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if writer.scheduled.swap(true, SeqCst) {
            return;
        }
        let scheduled = Scheduled(Arc::clone(self));
        runtime.spawn(async move {
            let engine = Arc::clone(&scheduled.0);
            drop(scheduled);
            // An error here costs nobody an acknowledged row. It is kept with the upkeep, for who
            // looks inside and for statements that need the memory.
            let _ = engine.maintain().await;
        });
    }

    /// Whether rows in memory, the log, or a bulk statement ask for a flush, and it is not to wait
    /// because the last one failed.
    fn flush_is_due(&self, writer: &Writer) -> bool {
        let limit = self.medium.memtable_bytes_max();
        let is_wanted = self.published.get().run_bytes() > limit
            || writer.log_bytes() > (limit as u64).saturating_mul(LOG_SHARE)
            || writer.flush_wanted.load(SeqCst);
        is_wanted && writer.upkeep.may_try(&writer.upkeep.flush)
    }

    /// Waits while flushes are behind (rows in memory exceed twice their limit, or the log twice
    /// its), flushing if nobody else does. `frees`: the statement only deletes; it may go twice as
    /// far.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if the flush fails.
    pub(super) async fn wait_for_room(&self, frees: bool) -> Result<()> {
        let writer = self.writer()?;
        // After a failure of the log it is that which statements are told.
        if self.lacks_room(writer, frees).is_none() || writer.log.failure().is_some() {
            return Ok(());
        }
        let mut durable = writer.maintenance.lock().await;
        let Some(what) = self.lacks_room(writer, frees) else { return Ok(()) };
        let failed = match writer.upkeep.may_try(&writer.upkeep.flush) {
            true => self.flush(writer, &mut durable).await.err(),
            false => writer.upkeep.flush.error(),
        };
        match failed {
            None => Ok(()),
            Some(
                error @ (Error::Conflict(_) | Error::Unavailable(_) | Error::OutcomeUnknown(_)),
            ) => Err(error),
            Some(error) => {
                let what = format!(
                    "{what}; nothing was written, and statements are taken again as soon as a \
                     flush succeeds, the last of which failed"
                );
                Err(Error::Exhausted { what, source: Arc::new(error) })
            }
        }
    }

    /// What there is too much of for another statement, in words.
    fn lacks_room(&self, writer: &Writer, frees: bool) -> Option<String> {
        let factor = if frees { 2 * WAIT_FACTOR } else { WAIT_FACTOR };
        let limit = (self.medium.memtable_bytes_max() as u64).saturating_mul(factor);
        let rows = self.published.get().run_bytes() as u64;
        if rows > limit {
            return Some(no_room(&format!("rows in memory take {rows} bytes"), limit));
        }
        let (log, limit) = (writer.log_bytes(), limit.saturating_mul(LOG_SHARE));
        (log > limit).then(|| no_room(&format!("the log is {log} bytes long"), limit))
    }

    /// Everything that is due.
    pub(super) async fn maintain(&self) -> Result<()> {
        let _lease = self.lease()?;
        let writer = self.writer()?;
        let flushed = self.flush_if_due(writer, true).await;
        if self.room_is_due(writer) {
            self.make_room(writer).await;
        }
        flushed?;
        self.compact_due(writer).await
    }

    async fn compact_due(&self, writer: &Writer) -> Result<()> {
        // One that fails does not stop the others, and is not tried again before they are done.
        let (mut failed, mut last, mut overtaken) = (Vec::new(), None, 0);
        loop {
            // Who waits for it has its turn between two tasks.
            let Ok(_compacting) = writer.compacting.try_lock() else { break };
            // Whatever is flushed from here on is for the next look.
            writer.compaction_wanted.store(false, SeqCst);
            let Some(task) = self.pick_task(writer, &failed, last).await else { break };
            last = Some(task.table);
            match self.compact_or_set_aside(writer, &task).await? {
                Compacted::SetAside(segments, _) => failed.extend(segments),
                Compacted::Overtaken if overtaken == ATTEMPTS => break,
                Compacted::Overtaken => overtaken += 1,
                Compacted::Into(_) => self.flush_if_due(writer, false).await?,
            }
        }
        let Ok(_compacting) = writer.compacting.try_lock() else { return Ok(()) };
        if self.lacks_entries(writer) {
            self.build_entries(writer, &|_, _| ()).await
        } else {
            Ok(())
        }
    }

    async fn flush_if_due(&self, writer: &Writer, or_merge: bool) -> Result<()> {
        let mut durable = writer.maintenance.lock().await;
        match (self.flush_is_due(writer), or_merge) {
            (true, _) => self.flush(writer, &mut durable).await,
            (false, true) => self.merge_keys(writer).await,
            (false, false) => Ok(()),
        }
    }

    /// Carries out a task. An error says that no other task can be carried out either.
    async fn compact_or_set_aside(&self, writer: &Writer, task: &Task) -> Result<Compacted> {
        match self.compact_task(writer, task).await {
            Err(error @ (Error::Conflict(_) | Error::Unavailable(_))) => Err(error),
            Err(error) => Ok(Compacted::SetAside(writer.upkeep.set_aside(task, &error), error)),
            Ok(None) => Ok(Compacted::Overtaken),
            Ok(Some(segments)) => {
                writer.upkeep.no_longer_aside(task);
                Ok(Compacted::Into(segments))
            }
        }
    }

    /// Brings all rows into segments and empties the log.
    pub async fn checkpoint(&self) -> Result<()> {
        let _lease = self.lease()?;
        let writer = self.writer()?;
        let mut durable = writer.maintenance.lock().await;
        self.flush_by_all_means(writer, &mut durable).await
    }

    /// Leaves every table as disjoint segments without deleted rows; those that statements add or
    /// delete meanwhile aside. Many tasks, each published by itself: what was done stays, whatever
    /// comes between.
    pub async fn compact(&self) -> Result<()> {
        let _lease = self.lease()?;
        let writer = self.writer()?;
        self.checkpoint().await?;
        let _compacting = writer.compacting.lock().await;
        let ids: Vec<TableId> = {
            let durable = writer.maintenance.lock().await;
            durable.version.tables().iter().map(|table| table.schema.id).collect()
        };
        let mut first = None;
        for id in ids {
            let error = self.compact_table(writer, id).await?;
            first = first.or(error);
        }
        self.build_entries(writer, &|_, _| ()).await?;
        self.medium.sweep().await;
        first.map_or(Ok(()), Err)
    }

    /// Compacts the segments that a table has now, as far as it can be done; the first error that
    /// stops a task but not the others.
    async fn compact_table(&self, writer: &Writer, id: TableId) -> Result<Option<Error>> {
        let files = |table: &TableVersion| -> Vec<u64> {
            table.segments.iter().map(|view| view.segment.record().file).collect()
        };
        let durable = writer.maintenance.lock().await;
        // Those that are there now, of which rows that are deleted later stay, and what comes of
        // them.
        let there = durable.version.table(id).map_or(Vec::new(), |table| files(table));
        drop(durable);
        let (mut ours, mut failed, mut first) = (there.clone(), Vec::new(), None);
        let mut overtaken = 0;
        while overtaken < ATTEMPTS {
            let Some(table) = writer.maintenance.lock().await.version.table(id).cloned() else {
                break;
            };
            let is_left = |file: &u64| !ours.contains(file) || failed.contains(file);
            let set_aside = files(&table).into_iter().filter(is_left).collect();
            let options = self.compaction_options(set_aside, None);
            let Some(task) = pick_everything(&table, &options, &there) else { break };
            drop(table);
            match self.compact_or_set_aside(writer, &task).await? {
                Compacted::Into(segments) => ours.extend(segments),
                Compacted::Overtaken => overtaken += 1,
                Compacted::SetAside(segments, error) => {
                    failed.extend(segments);
                    first = first.or(Some(error));
                }
            }
        }
        Ok(first)
    }

    /// Flushes, if the disk has space for that, seals the log and shuts the database. Whatever
    /// fails, background work is stopped and the directory is free afterwards; the first error is
    /// returned.
    pub async fn close(&self) -> Result<()> {
        let outcome = match (&self.writer, self.lease()) {
            (Some(writer), Ok(_lease)) => {
                self.compact_before_closing(writer).await;
                self.finish(writer).await
            }
            // Closed already; or another writer has it.
            (Some(_), Err(error)) if !self.closed.load(SeqCst) => Err(error),
            _ => Ok(()),
        };
        let lock = lock(&self.lock).clone();
        self.shut_down();
        if let Some(lock) = lock {
            DirectoryLock::free(lock).await;
        }
        outcome
    }

    /// Flushes, and compacts what takes little time: a database that is opened, written to and
    /// closed again and again has no other moment for it. What fails is no reason not to close.
    async fn compact_before_closing(&self, writer: &Writer) {
        let mut durable = writer.maintenance.lock().await;
        let flushed = self.flush_by_all_means(writer, &mut durable).await;
        drop(durable);
        let _compacting = match writer.compacting.try_lock() {
            Ok(compacting) => compacting,
            Err(_) => {
                // What is under way may take long: it ends, and is begun again if it does not.
                let _stopping = writer.upkeep.stop();
                writer.compacting.lock().await
            }
        };
        let (mut left, mut too_large, mut last) = (CLOSING_BYTES, Vec::new(), None);
        while flushed.is_ok() {
            let Some(task) = self.pick_task(writer, &too_large, last).await else { break };
            last = Some(task.table);
            match left.checked_sub(task.bytes + TASK_BYTES) {
                None => too_large.extend(task.segments),
                Some(rest) => match self.compact_or_set_aside(writer, &task).await {
                    Ok(Compacted::Into(_)) => left = rest,
                    _ => break,
                },
            }
        }
    }

    async fn finish(&self, writer: &Writer) -> Result<()> {
        let _stopping = writer.upkeep.stop();
        let _compacting = writer.compacting.lock().await;
        let mut durable = writer.maintenance.lock().await;
        // Another call may have closed it meanwhile.
        if self.closed.load(SeqCst) {
            return Ok(());
        }
        let mut flushed = self.flush_by_all_means(writer, &mut durable).await;
        if lacks_space(&flushed) {
            // Everything is in the log.
            flushed = Ok(());
        }
        self.abandon_flush(writer, &mut durable).await;
        // A statement that comes in after the flush is in the log, whole.
        let accepted = writer.accepted.lock().await;
        let sealed = match self.check_open() {
            Ok(()) => writer.log.close().await,
            // It belongs to another writer.
            fenced => fenced,
        };
        drop(accepted);
        self.medium.sweep().await;
        flushed.and(sealed)
    }

    fn compaction_options(&self, set_aside: Vec<u64>, last: Option<TableId>) -> CompactionOptions {
        let options = &self.medium.options;
        CompactionOptions {
            segment_rows_max: options.segment_rows_max,
            segment_bytes_max: options.segment_bytes_max,
            set_aside,
            last,
        }
    }

    /// The next task for the background; none while something fails that each of them needs.
    async fn pick_task(
        &self,
        writer: &Writer,
        failed: &[u64],
        last: Option<TableId>,
    ) -> Option<Task> {
        let upkeep = &writer.upkeep;
        let mut durable = writer.maintenance.lock().await;
        let flush_waits = durable.pending.is_some() || durable.installing;
        if flush_waits && !upkeep.may_try(&upkeep.flush)
            || durable.unsettled && !upkeep.may_try(&upkeep.publication)
        {
            return None;
        }
        // The error is kept with the upkeep.
        self.settle(writer, &mut durable).await.ok()?;
        let version = Arc::clone(&durable.version);
        drop(durable);
        let mut aside = upkeep.segments_aside(&version);
        aside.extend(failed);
        pick(&version, &self.compaction_options(aside, last))
    }
}

fn no_room(what: &str, limit: u64) -> String {
    format!("{what}, at most {limit} are allowed, and the flush that would make room fails")
}
