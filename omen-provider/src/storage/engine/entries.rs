//! Entries in indexes for segments that have none: those that were there before the index, or whose
//! entries are damaged.
//!
//! As in `replace`: they are written beside readers and writers, segment by segment, each published
//! by a manifest of its own. What was done stays, whatever comes between. Called when an index is
//! created, and after compaction, for what was left behind by a crash or by damage.

use std::collections::HashSet;
use std::sync::Arc;

use super::upkeep::lock;
use super::{Engine, Writer};
use crate::error::{Error, Result};
use crate::storage::rewrite::write_entries;
use crate::storage::segment::Segment;
use crate::storage::version::{TableVersion, Version};

/// Entries that cannot be published, because flushes come between, are made so often.
const ATTEMPTS: usize = 5;

/// Called with how many rows of segments have got their entries, and of how many.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

impl Engine {
    /// Makes all entries that are missing, after a checkpoint, so that the indexes are known to
    /// the manifest.
    pub async fn build_indexes(&self, progress: Progress<'_>) -> Result<()> {
        let _lease = self.lease()?;
        let writer = self.writer()?;
        self.checkpoint().await?;
        let _compacting = writer.compacting.lock().await;
        self.build_entries(writer, progress).await
    }

    /// Makes all entries that are missing in the durable version. Nobody compacts meanwhile.
    pub(super) async fn build_entries(
        &self,
        writer: &Writer,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (mut done, mut overtaken) = (0, 0);
        while overtaken < ATTEMPTS {
            let version = {
                let mut durable = writer.maintenance.lock().await;
                self.settle(writer, &mut durable).await?;
                Arc::clone(&durable.version)
            };
            let due: Vec<_> = self.lacking(writer, &version).cloned().collect();
            drop(version);
            let left: u64 = due.iter().map(|segment| u64::from(segment.rows())).sum();
            progress(done, done + left);
            let Some(segment) = due.into_iter().next() else { return Ok(()) };
            match self.build_entries_of(writer, &segment).await {
                Ok(true) => done += u64::from(segment.rows()),
                Ok(false) => overtaken += 1,
                // Its rows cannot be read: that is for who reads them, and in nobody's way here.
                Err(Error::Corruption { .. }) => {
                    lock(&writer.upkeep.without_entries).insert(segment.record().file);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the entries that a segment lacks, and publishes them; false if the segment was dropped
    /// meanwhile, or a flush is to be completed first.
    async fn build_entries_of(&self, writer: &Writer, segment: &Arc<Segment>) -> Result<bool> {
        let mut begun = self.medium.garbage.unless_kept(Vec::new());
        let go_on = || self.check_compaction(writer);
        let complete = write_entries(&self.medium, segment, &mut begun, &go_on).await?;
        if complete.missing_entries().next().is_some() {
            // They are too many for memory: the rows are read instead.
            lock(&writer.upkeep.without_entries).insert(segment.record().file);
        }
        let before: HashSet<String> = segment.record().file_names().collect();
        let names = complete.record().file_names().filter(|name| !before.contains(name));
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            return Ok(true);
        }
        let mut durable = writer.maintenance.lock().await;
        let next = with_entries(&durable.version, &complete)?;
        let Some(next) = next.filter(|_| durable.is_settled()) else {
            drop(begun);
            self.medium.sweep().await;
            return Ok(false);
        };
        begun.keep();
        self.publish_compacted(writer, &mut durable, next, names).await?;
        let mut accepted = writer.accepted.lock().await;
        if let Some(mut next) = with_entries(&accepted, &complete)? {
            next.pin_segments(lock(&self.pin).as_ref());
            self.install(writer, &mut accepted, next).await?;
        }
        durable.installing = false;
        drop((accepted, durable));
        self.medium.sweep().await;
        Ok(true)
    }

    /// Whether a segment of the newest version lacks entries.
    pub(super) fn lacks_entries(&self, writer: &Writer) -> bool {
        self.lacking(writer, &self.published.get()).next().is_some()
    }

    /// The segments that lack entries in an index of their table, but for those that can have none.
    fn lacking<'a>(
        &self,
        writer: &Writer,
        version: &'a Version,
    ) -> impl Iterator<Item = &'a Arc<Segment>> + use<'a> {
        let given_up = lock(&writer.upkeep.without_entries).clone();
        let views = version.tables().iter().flat_map(|table| &table.segments);
        views.map(|view| &view.segment).filter(move |segment| {
            segment.missing_entries().next().is_some() && !given_up.contains(&segment.record().file)
        })
    }
}

/// A version with entries beside a segment; `None` if the segment is not there any more.
fn with_entries(version: &Version, complete: &Arc<Segment>) -> Result<Option<Version>> {
    let file = complete.record().file;
    let has_it = |table: &&Arc<TableVersion>| {
        table.segments.iter().any(|view| view.segment.record().file == file)
    };
    let Some(table) = version.tables().iter().find(has_it) else { return Ok(None) };
    let mut table = TableVersion::clone(table);
    table.put_entries(complete)?;
    let mut next = Version::clone(version);
    next.put_table(table);
    Ok(Some(next))
}
