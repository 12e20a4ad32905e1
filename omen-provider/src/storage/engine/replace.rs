//! What is sorted anew beside readers and writers: the keys of runs, and segments.
//!
//! As in `checkpoint`, what is new takes its place under the commit lock. Merging the lists of a
//! run's keys moves no row and changes nothing durable; compaction carries over the marks that
//! arrived meanwhile and ends in a manifest.

use std::sync::Arc;

use super::{Engine, Writer};
use crate::error::Result;
use crate::storage::carry::carry_to_segments;
use crate::storage::compaction::{self, Task};
use crate::storage::segment::Segment;
use crate::storage::version::{PartId, TableVersion, Version};

impl Engine {
    /// Merges the lists of keys in runs that are due.
    pub(super) async fn merge_keys(&self, writer: &Writer) -> Result<()> {
        loop {
            let due = {
                let accepted = writer.accepted.lock().await;
                accepted.tables().iter().find_map(|table| {
                    table.runs.merge_due().map(|(run, merge)| (table.schema.id, run, merge))
                })
            };
            let Some((table, run, merge)) = due else { return Ok(()) };
            let merged = merge.run();
            let mut accepted = writer.accepted.lock().await;
            let Some(now) = accepted.table(table) else { continue };
            let mut new = TableVersion::clone(now);
            if new.runs.install(run, merged) {
                let mut next = Version::clone(&accepted);
                next.put_table(new);
                self.install(writer, &mut accepted, next).await?;
            }
        }
    }

    /// Carries out a compaction task and publishes its result.
    pub(super) async fn compact_task(&self, writer: &Writer, task: &Task) -> Result<()> {
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
}
