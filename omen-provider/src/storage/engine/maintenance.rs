//! Work that nobody waits for, unless memory runs short: merging runs, flushing them to segments,
//! compacting segments, removing files.
//!
//! Each step makes new parts from a version, beside readers and writers, and then takes the commit
//! lock for a moment to put them in the place of the old ones, carrying over the marks that
//! arrived meanwhile. Only flush and compaction change what is durable, and both end in a
//! manifest.
//!
//! Called after commits (in the background), and by `checkpoint`, `compact` and `close`.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::{Durable, Engine, Writer, random};
use crate::error::{Error, Result};
use crate::storage::apply::merge_runs;
use crate::storage::carry::{carry_to_run, carry_to_segments};
use crate::storage::compaction::{self, CompactionOptions, Task, pick, pick_everything};
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::flush::{FlushedTable, write_runs};
use crate::storage::manifest::{self, deletions_name};
use crate::storage::publication::{describe, save_deletions};
use crate::storage::run::{Run, merge_candidates};
use crate::storage::schema::TableId;
use crate::storage::segment::Segment;
use crate::storage::version::{PartId, RunView, SegmentView, TableVersion, Version};
use crate::storage::wal::log_name;

/// A log longer than this many times the limit of rows in memory is flushed: statements that leave
/// few rows behind fill it too.
const LOG_SHARE: u64 = 2;

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
        let merges = |table: &Arc<TableVersion>| runs_to_merge(table).is_some();
        if !self.flush_is_due(writer) && !self.published.get().tables().iter().any(merges) {
            return;
        }
        // Without a runtime nothing runs in the background; `wait_for_memory` still bounds memory.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if writer.scheduled.swap(true, SeqCst) {
            return;
        }
        let scheduled = Scheduled(Arc::clone(self));
        runtime.spawn(async move {
            let engine = Arc::clone(&scheduled.0);
            drop(scheduled);
            // An error here costs nobody an acknowledged row; the next statement that needs the
            // memory meets it again and reports it.
            let _ = engine.maintain().await;
        });
    }

    /// Whether rows in memory, the log, or a bulk statement ask for a flush.
    fn flush_is_due(&self, writer: &Writer) -> bool {
        let limit = self.medium.options.memtable_bytes_max;
        self.published.get().run_bytes() > limit
            || writer.log.bytes() > (limit as u64).saturating_mul(LOG_SHARE)
            || writer.flush_wanted.load(SeqCst)
    }

    /// Waits while the rows in memory exceed twice their limit, flushing them if nobody else does.
    pub(super) async fn wait_for_memory(&self) -> Result<()> {
        let limit = self.medium.options.memtable_bytes_max.saturating_mul(2);
        if self.published.get().run_bytes() <= limit {
            return Ok(());
        }
        let writer = self.writer()?;
        let mut durable = writer.maintenance.lock().await;
        if self.published.get().run_bytes() > limit {
            self.flush(writer, &mut durable).await?;
        }
        Ok(())
    }

    /// Everything that is due.
    pub(super) async fn maintain(&self) -> Result<()> {
        let writer = self.writer()?;
        {
            let mut durable = writer.maintenance.lock().await;
            if self.flush_is_due(writer) {
                self.flush(writer, &mut durable).await?;
            } else {
                self.merge_large_runs(writer).await?;
            }
        }
        let Ok(_compacting) = writer.compacting.try_lock() else { return Ok(()) };
        while let Some(task) = self.pick_task(writer).await {
            self.compact_task(writer, &task).await?;
            let mut durable = writer.maintenance.lock().await;
            if self.flush_is_due(writer) {
                self.flush(writer, &mut durable).await?;
            }
        }
        Ok(())
    }

    /// Brings all rows into segments and empties the log.
    pub async fn checkpoint(&self) -> Result<()> {
        let writer = self.writer()?;
        let mut durable = writer.maintenance.lock().await;
        self.flush(writer, &mut durable).await
    }

    /// Leaves every table as disjoint segments without deleted rows (those that statements delete
    /// meanwhile aside).
    pub async fn compact(&self) -> Result<()> {
        let writer = self.writer()?;
        self.checkpoint().await?;
        let _compacting = writer.compacting.lock().await;
        let options = self.compaction_options();
        let tasks: Vec<Task> = {
            let durable = writer.maintenance.lock().await;
            let tables = durable.version.tables().iter();
            tables.filter_map(|table| pick_everything(table, &options)).collect()
        };
        for task in &tasks {
            self.compact_task(writer, task).await?;
        }
        self.sweep(&mut *writer.maintenance.lock().await).await;
        Ok(())
    }

    /// Flushes, seals the log and shuts the database.
    pub async fn close(&self) -> Result<()> {
        if let Some(writer) = &self.writer {
            let mut durable = writer.maintenance.lock().await;
            // Another call may have closed it meanwhile.
            if !self.closed.load(SeqCst) {
                self.flush(writer, &mut durable).await?;
                // A statement that comes in after the flush is in the log, whole.
                let accepted = writer.accepted.lock().await;
                writer.log.close().await?;
                drop(accepted);
                self.sweep(&mut durable).await;
            }
        }
        self.shut_down();
        Ok(())
    }

    fn compaction_options(&self) -> CompactionOptions {
        CompactionOptions { segment_rows_max: self.medium.options.segment_rows_max }
    }

    async fn pick_task(&self, writer: &Writer) -> Option<Task> {
        let version = Arc::clone(&writer.maintenance.lock().await.version);
        pick(&version, &self.compaction_options())
    }

    /// Turns all runs into segments and publishes the manifest of that log position.
    async fn flush(&self, writer: &Writer, durable: &mut Durable) -> Result<()> {
        self.check_open()?;
        let (base, log) = {
            let accepted = writer.accepted.lock().await;
            self.check_open()?;
            writer.flush_wanted.store(false, SeqCst);
            let unchanged = accepted.lsn <= durable.manifest.flushed_lsn && !durable.installing;
            if unchanged && accepted.tables().iter().all(|t| t.runs.is_empty()) {
                return Ok(());
            }
            let header =
                writer.log.rotate(self.medium.next_file(), u64::from_le_bytes(random()?)).await?;
            writer.frozen_runs.store(Run::next_id(), SeqCst);
            (Arc::clone(&accepted), header.number)
        };
        let result = self.flush_version(writer, durable, &base, log).await;
        writer.frozen_runs.store(0, SeqCst);
        result
    }

    async fn flush_version(
        &self,
        writer: &Writer,
        durable: &mut Durable,
        base: &Arc<Version>,
        log: u64,
    ) -> Result<()> {
        let flushed = write_runs(&self.medium, base).await?;
        let mut next = Version::clone(base);
        for table in &flushed {
            let old = base.require(table.table)?;
            let views = live_views(&table.segments);
            let mut new = TableVersion::clone(old);
            new.replace_parts(&run_ids(old), views);
            next.put_table(new);
        }
        if let Err(error) = self.publish(durable, next, log, base.lsn).await {
            if !matches!(error, Error::Io { .. } | Error::ObjectStore { .. }) {
                for table in &flushed {
                    self.medium.discard_segments(&table.segments).await;
                }
            }
            return Err(error);
        }
        self.install_flushed(writer, base, &flushed).await?;
        durable.installing = false;
        // What cannot be removed now is removed by the next open.
        let _ = self.remove_logs_before(log).await;
        self.sweep(durable).await;
        Ok(())
    }

    /// Publishes the manifest of `next` and makes it the durable version.
    async fn publish(
        &self,
        durable: &mut Durable,
        next: Version,
        log: u64,
        flushed_lsn: u64,
    ) -> Result<()> {
        let saved = save_deletions(&self.medium, next.tables(), &durable.saved).await?;
        let manifest = describe(&durable.manifest, &next, &saved, log, flushed_lsn);
        self.check_open()?;
        if let Err(error) = manifest::publish(&self.medium.store, &manifest).await {
            match error {
                Error::Conflict(_) => self.fenced.store(true, SeqCst),
                // It may have become durable all the same: its number is never used again, and
                // what it names stays until a later manifest stands.
                _ => durable.manifest.number = manifest.number,
            }
            return Err(error);
        }
        let segments = |version: &Version| -> Vec<Arc<Segment>> {
            let views = version.tables().iter().flat_map(|t| &t.segments);
            views.map(|view| Arc::clone(&view.segment)).collect()
        };
        let kept = segments(&next);
        durable.installing = true;
        durable
            .garbage
            .retain(|old| !kept.iter().any(|new| new.record().file == old.record().file));
        let dropped = segments(&durable.version)
            .into_iter()
            .filter(|old| !kept.iter().any(|new| new.record().file == old.record().file));
        durable.garbage.extend(dropped);
        let old_files: Vec<u64> = durable.saved.values().map(|record| record.file).collect();
        durable.saved = saved;
        durable.manifest = manifest;
        durable.version = Arc::new(next);
        // From here on nothing names these; failing to remove them only leaves files behind.
        for file in old_files {
            if durable.saved.values().all(|record| record.file != file) {
                let _ = self.medium.store.blobs.delete(&deletions_name(file)).await;
            }
        }
        let _ = manifest::discard_before(&self.medium.store, durable.manifest.number).await;
        Ok(())
    }

    async fn install_flushed(
        &self,
        writer: &Writer,
        base: &Version,
        flushed: &[FlushedTable],
    ) -> Result<()> {
        let mut accepted = writer.accepted.lock().await;
        let mut next = Version::clone(&accepted);
        for FlushedTable { table, segments } in flushed {
            let (Some(now), Some(old)) = (accepted.table(*table), base.table(*table)) else {
                continue;
            };
            let removed = run_ids(old);
            let views = carry_to_segments(old, now, &removed, segments).await?;
            let mut new = TableVersion::clone(now);
            new.replace_parts(&removed, views);
            next.put_table(new);
        }
        self.install(writer, &mut accepted, next).await
    }

    /// Makes `next`, the same rows in other parts, the newest version for writers and readers.
    async fn install(
        &self,
        writer: &Writer,
        accepted: &mut Arc<Version>,
        next: Version,
    ) -> Result<()> {
        // What readers get must be durable, and the versions that wait in the log for their sync
        // must not replace this one when they are published.
        writer.log.wait_all().await?;
        let next = Arc::new(next);
        self.published.set(Arc::clone(&next));
        *accepted = next;
        Ok(())
    }

    /// Merges runs of a full tier, whatever their size.
    async fn merge_large_runs(&self, writer: &Writer) -> Result<()> {
        loop {
            let (base, chosen) = {
                let accepted = writer.accepted.lock().await;
                let Some(chosen) = accepted
                    .tables()
                    .iter()
                    .find_map(|table| runs_to_merge(table).map(|runs| (table.schema.id, runs)))
                else {
                    return Ok(());
                };
                writer.frozen_runs.store(Run::next_id(), SeqCst);
                (Arc::clone(&accepted), chosen)
            };
            let result = self.merge_task(writer, &base, chosen.0, &chosen.1).await;
            writer.frozen_runs.store(0, SeqCst);
            result?;
        }
    }

    async fn merge_task(
        &self,
        writer: &Writer,
        base: &Version,
        id: TableId,
        runs: &[u64],
    ) -> Result<()> {
        let old = base.require(id)?;
        let mut merged = TableVersion::clone(old);
        merged.runs.retain(|view| runs.contains(&view.run.id()));
        merge_runs(&mut merged, |_| true)?;
        let mut accepted = writer.accepted.lock().await;
        let Some(now) = accepted.table(id) else { return Ok(()) };
        let removed: Vec<PartId> = runs.iter().map(|&id| PartId::Run(id)).collect();
        let mut new = TableVersion::clone(now);
        new.replace_runs(runs, None);
        for view in merged.runs {
            let dead = carry_to_run(old, now, &removed, &view.run).await?;
            new.runs.push(RunView { run: view.run, dead });
        }
        let mut next = Version::clone(&accepted);
        next.put_table(new);
        self.install(writer, &mut accepted, next).await
    }

    /// Carries out a compaction task and publishes its result.
    async fn compact_task(&self, writer: &Writer, task: &Task) -> Result<()> {
        self.check_open()?;
        let base = {
            let mut durable = writer.maintenance.lock().await;
            if durable.installing {
                self.flush(writer, &mut durable).await?;
            }
            Arc::clone(&durable.version)
        };
        let Some(old) = base.table(task.table).cloned() else { return Ok(()) };
        drop(base);
        if !task.segments.iter().all(|&file| old.holds(PartId::Segment(file))) {
            return Ok(());
        }
        let added = compaction::run(&self.medium, &old, task).await?;
        let removed: Vec<PartId> = task.segments.iter().map(|&f| PartId::Segment(f)).collect();
        let mut durable = writer.maintenance.lock().await;
        let current = durable.version.table(task.table).cloned();
        let usable = !durable.installing
            && current.as_ref().is_some_and(|now| removed.iter().all(|part| now.holds(*part)));
        let (Some(now), true) = (current, usable) else {
            // Dropped meanwhile, or to be tried again after the next flush.
            self.medium.discard_segments(&added).await;
            return Ok(());
        };
        let views = carry_to_segments(&old, &now, &removed, &added).await?;
        let mut table = TableVersion::clone(&now);
        drop(now);
        table.replace_parts(&removed, views);
        let mut next = Version::clone(&durable.version);
        next.put_table(table);
        let (log, lsn) = (durable.manifest.log, durable.manifest.flushed_lsn);
        self.publish(&mut durable, next, log, lsn).await?;
        self.install_compacted(writer, &old, &removed, &added).await?;
        durable.installing = false;
        drop(old);
        self.sweep(&mut durable).await;
        Ok(())
    }

    async fn install_compacted(
        &self,
        writer: &Writer,
        old: &TableVersion,
        removed: &[PartId],
        added: &[Arc<Segment>],
    ) -> Result<()> {
        let mut accepted = writer.accepted.lock().await;
        let Some(now) = accepted.table(old.schema.id) else { return Ok(()) };
        let views = carry_to_segments(old, now, removed, added).await?;
        let mut table = TableVersion::clone(now);
        table.replace_parts(removed, views);
        let mut next = Version::clone(&accepted);
        next.put_table(table);
        self.install(writer, &mut accepted, next).await
    }

    /// Removes segments that no manifest names and no reader uses.
    async fn sweep(&self, durable: &mut Durable) {
        let (unused, used): (Vec<_>, Vec<_>) =
            durable.garbage.drain(..).partition(|segment| Arc::strong_count(segment) == 1);
        durable.garbage = used;
        self.medium.discard_segments(&unused).await;
    }

    async fn remove_logs_before(&self, current: u64) -> Result<()> {
        let current = log_name(current);
        for name in self.medium.store.logs.list().await? {
            if name < current {
                self.medium.store.logs.delete(&name).await?;
            }
        }
        Ok(())
    }
}

/// The runs of a table that should be merged in the background.
fn runs_to_merge(table: &TableVersion) -> Option<Vec<u64>> {
    let rows: Vec<usize> = table.runs.iter().map(|v| v.run.keys().len()).collect();
    let chosen = merge_candidates(&rows)?;
    Some(chosen.iter().map(|&i| table.runs[i].run.id()).collect())
}

fn run_ids(table: &TableVersion) -> Vec<PartId> {
    table.runs.iter().map(|view| PartId::Run(view.run.id())).collect()
}

fn live_views(segments: &[Arc<Segment>]) -> Vec<SegmentView> {
    let view = |segment: &Arc<Segment>| SegmentView {
        segment: Arc::clone(segment),
        dead: DeletionVector::default(),
    };
    segments.iter().map(view).collect()
}
