//! What is sorted anew beside readers and writers: the keys of runs, and segments.
//!
//! As in `checkpoint`, what is new takes its place under the commit lock. Merging the lists of a
//! run's keys moves no row and changes nothing durable; compaction carries over the marks that
//! arrived meanwhile and ends in a manifest. While a flush is pending, or the outcome of the last
//! publication unknown, no compaction begins: what it wrote could not be published.

use std::sync::Arc;

use super::publish::Publication;
use super::upkeep::lock;
use super::{Durable, Engine, Writer};
use crate::error::{Error, Result};
use crate::storage::carry::carry_to_segments;
use crate::storage::compaction::{self, Task};
use crate::storage::publication::save_deletions;
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

    /// Carries out a compaction task and publishes its result: the segments that stand for its
    /// inputs now. `None` if it could not be published, since the inputs or the manifest that they
    /// were of are no longer what they were.
    pub(super) async fn compact_task(
        &self,
        writer: &Writer,
        task: &Task,
    ) -> Result<Option<Vec<u64>>> {
        self.check_open()?;
        let base = {
            let mut durable = writer.maintenance.lock().await;
            self.settle(writer, &mut durable).await?;
            Arc::clone(&durable.version)
        };
        let Some(old) = base.table(task.table).cloned() else { return Ok(None) };
        drop(base);
        if !task.segments.iter().all(|&file| old.holds(PartId::Segment(file))) {
            return Ok(None);
        }
        let go_on = || self.check_compaction(writer);
        let added = compaction::run(&self.medium, &old, task, &go_on).await?;
        let names: Vec<String> = added.iter().flat_map(|s| s.record().file_names()).collect();
        let unnamed = self.medium.garbage.unless_kept(names.clone());
        let removed: Vec<PartId> = task.segments.iter().map(|&f| PartId::Segment(f)).collect();
        let mut durable = writer.maintenance.lock().await;
        let current = durable.version.table(task.table).cloned();
        let usable = durable.is_settled()
            && current.as_ref().is_some_and(|now| removed.iter().all(|part| now.holds(*part)));
        let (Some(now), true) = (current, usable) else {
            // Dropped meanwhile, or to be tried again after the next flush.
            drop(unnamed);
            self.medium.sweep().await;
            return Ok(None);
        };
        let views = carry_to_segments(&old, &now, &removed, &added).await?;
        let mut table = TableVersion::clone(&now);
        drop(now);
        table.replace_parts(&removed, views)?;
        let mut next = Version::clone(&durable.version);
        next.put_table(table);
        unnamed.keep();
        self.publish_compacted(writer, &mut durable, next, names).await?;
        self.install_compacted(writer, &old, &removed, &added).await?;
        durable.installing = false;
        let files = added.iter().map(|segment| segment.record().file).collect();
        drop((old, added));
        self.medium.sweep().await;
        Ok(Some(files))
    }

    /// Publishes `next`, the durable version with other segments, among them those of `names`.
    pub(super) async fn publish_compacted(
        &self,
        writer: &Writer,
        durable: &mut Durable,
        next: Version,
        mut names: Vec<String>,
    ) -> Result<()> {
        let saved = match save_deletions(&self.medium, next.tables(), &durable.saved).await {
            Ok(saved) => saved,
            Err(error) => {
                self.discard_unpublished(durable, names).await;
                return Err(error);
            }
        };
        names.extend(durable.new_deletions([&saved]));
        let (log, flushed_lsn) = (durable.manifest.log, durable.manifest.flushed_lsn);
        let publication = Publication { next, saved, log, flushed_lsn, replaces: true };
        let outcome = self.publish(durable, publication).await;
        if matches!(outcome, Err(Error::Conflict(_) | Error::Unavailable(_))) {
            self.discard_unpublished(durable, names).await;
            return outcome;
        }
        writer.upkeep.note(&writer.upkeep.publication, &outcome);
        outcome
    }

    /// Makes sure that no flush is half done and that the outcome of the last publication is known.
    pub(super) async fn settle(&self, writer: &Writer, durable: &mut Durable) -> Result<()> {
        if durable.pending.is_some() || durable.installing {
            self.flush(writer, durable).await?;
        }
        if !durable.unsettled {
            return Ok(());
        }
        let outcome = self.settle_publication(durable).await;
        writer.upkeep.note(&writer.upkeep.publication, &outcome);
        outcome
    }

    /// Whether compaction may go on: asked before each batch. Not once the database is shut
    /// ([`Engine::shut_down`]), displaced, or being closed.
    pub(super) fn check_compaction(&self, writer: &Writer) -> Result<()> {
        self.check_open()?;
        if writer.upkeep.is_stopping() { Err(Error::Unavailable("being closed")) } else { Ok(()) }
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
        table.replace_parts(removed, views)?;
        let mut next = Version::clone(&accepted);
        next.put_table(table);
        next.pin_segments(lock(&self.pin).as_ref());
        self.install(writer, &mut accepted, next).await
    }
}
