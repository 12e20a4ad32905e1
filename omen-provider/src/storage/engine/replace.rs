//! Parts by parts with the same live rows: runs merged into larger runs, segments compacted.
//!
//! As in `checkpoint`, the new parts are made beside readers and writers and take their place under
//! the commit lock, with the marks that arrived meanwhile. Merging runs changes nothing durable;
//! compaction ends in a manifest.

use std::sync::Arc;

use super::{Engine, Writer};
use crate::error::Result;
use crate::storage::carry::{carry_to_run, carry_to_segments};
use crate::storage::compaction::{self, Task};
use crate::storage::run::RunView;
use crate::storage::schema::TableId;
use crate::storage::segment::Segment;
use crate::storage::version::{PartId, TableVersion, Version};

impl Engine {
    /// Merges runs of a full tier, whatever their size.
    pub(super) async fn merge_large_runs(&self, writer: &Writer) -> Result<()> {
        loop {
            let (base, chosen, _frozen) =
                {
                    let accepted = writer.accepted.lock().await;
                    let Some(chosen) = accepted.tables().iter().find_map(|table| {
                        table.runs.merge_due().map(|runs| (table.schema.id, runs))
                    }) else {
                        return Ok(());
                    };
                    (Arc::clone(&accepted), chosen, writer.freeze())
                };
            self.merge_task(writer, &base, chosen.0, &chosen.1).await?;
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
        let merged = old.runs.merged(runs)?.map(Arc::new);
        let mut accepted = writer.accepted.lock().await;
        let Some(now) = accepted.table(id) else { return Ok(()) };
        let removed: Vec<PartId> = runs.iter().map(|&id| PartId::Run(id)).collect();
        let view = match merged {
            Some(run) => {
                let dead = carry_to_run(old, now, &removed, &run).await?;
                Some(RunView::new(run, dead))
            }
            None => None,
        };
        let mut new = TableVersion::clone(now);
        new.runs.replace(runs, view);
        let mut next = Version::clone(&accepted);
        next.put_table(new);
        self.install(writer, &mut accepted, next).await
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
