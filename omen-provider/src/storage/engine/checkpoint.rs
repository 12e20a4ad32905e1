//! Flush and publication: runs become segments, a manifest names them, and the accepted version
//! takes them in.
//!
//! New parts are made from a version beside readers and writers; the commit lock is taken only to
//! choose the version and to put the parts in their place, with the marks that arrived meanwhile.
//!
//! Order of what becomes durable: segments, deletion vectors, manifest; then the old log is
//! removed. `publish` serves compaction (`replace`) too.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::{Durable, Engine, Writer, random};
use crate::error::{Error, Result};
use crate::storage::carry::carry_to_segments;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::flush::{FlushedTable, write_runs};
use crate::storage::manifest::{self, deletions_name};
use crate::storage::publication::{describe, save_deletions};
use crate::storage::segment::Segment;
use crate::storage::version::{PartId, SegmentView, TableVersion, Version};
use crate::storage::wal::log_name;

impl Engine {
    /// Turns all runs into segments and publishes the manifest of that log position.
    pub(super) async fn flush(&self, writer: &Writer, durable: &mut Durable) -> Result<()> {
        self.check_open()?;
        let (base, log, _frozen) = {
            let accepted = writer.accepted.lock().await;
            self.check_open()?;
            writer.flush_wanted.store(false, SeqCst);
            let unchanged = accepted.lsn <= durable.manifest.flushed_lsn && !durable.installing;
            if unchanged && accepted.tables().iter().all(|t| t.runs.is_empty()) {
                return Ok(());
            }
            let header =
                writer.log.rotate(self.medium.next_file(), u64::from_le_bytes(random()?)).await?;
            (Arc::clone(&accepted), header.number, writer.freeze())
        };
        self.flush_version(writer, durable, &base, log).await
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
            // Only after these it is certain that no manifest names the new segments.
            if matches!(error, Error::Conflict(_) | Error::Unavailable(_)) {
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
    pub(super) async fn publish(
        &self,
        durable: &mut Durable,
        next: Version,
        log: u64,
        flushed_lsn: u64,
    ) -> Result<()> {
        let saved = save_deletions(&self.medium, next.tables(), &durable.saved).await?;
        let manifest = describe(&durable.manifest, &next, &saved, log, flushed_lsn);
        self.check_open()?;
        // However this ends (an error, a caller that stops waiting), the manifest may have become
        // durable: its number is never used again, and what it names stays until a later one
        // stands.
        durable.manifest.number = manifest.number;
        if let Err(error) = manifest::publish(&self.medium.store, &manifest).await {
            if matches!(error, Error::Conflict(_)) {
                self.fenced.store(true, SeqCst);
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
    pub(super) async fn install(
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

    /// Removes segments that no manifest names and no reader uses.
    pub(super) async fn sweep(&self, durable: &mut Durable) {
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

fn run_ids(table: &TableVersion) -> Vec<PartId> {
    table.runs.iter().map(|view| PartId::Run(view.id())).collect()
}

fn live_views(segments: &[Arc<Segment>]) -> Vec<SegmentView> {
    let view = |segment: &Arc<Segment>| SegmentView {
        segment: Arc::clone(segment),
        dead: DeletionVector::default(),
    };
    segments.iter().map(view).collect()
}
