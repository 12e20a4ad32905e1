//! Work that nobody waits for, unless memory runs short: when to flush runs to segments
//! (`checkpoint`), and to merge their keys and compact segments (`replace`).
//!
//! Called after commits, to work in the background, and by the front door.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::{Engine, Writer};
use crate::error::Result;
use crate::storage::compaction::{CompactionOptions, Task, pick, pick_everything};
use crate::storage::version::TableVersion;

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
        let merges = |table: &Arc<TableVersion>| table.runs.merge_due().is_some();
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
                self.merge_keys(writer).await?;
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
}
