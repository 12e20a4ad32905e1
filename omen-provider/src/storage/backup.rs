//! A database copied into another store, whose layout is the same: backup and restore.
//!
//! A backup is a reader: it takes one version, whose segments stay while it is held, and nobody
//! waits for it. What is in memory becomes segments of the copy, so that a copy has no log. In this
//! order they become durable: segments, deletion vectors, manifest; then what that does not name is
//! removed. So a crash leaves the backup that was there before, or the new one.
//!
//! Segments that are there already stay, if name, length and every checksum are those of the
//! manifest: a backup reads them, copies what is new, and copies again what was damaged since.
//! Which files may be there together is a matter of the *line*: whose manifests follow on one
//! another. A copy that was opened for writing has a line of its own and takes no further backup.
//!
//! Called by the engine (backup) and by the front door (restore).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::deletion_vector::file_head;
use super::flush::write_runs;
use super::manifest::{self, Line, Manifest, deletions_name, manifest_name};
use super::medium::{Medium, delete_unpinned};
use super::publication::{SavedDeletions, describe, save_deletions};
use super::record::SegmentRecord;
use super::recovery::{check_length, read_deletions, segment_lengths};
use super::segment::Segment;
use super::store::Store;
use super::version::{PartId, SegmentView, TableVersion, Version};
use crate::error::{Error, Result};
use crate::options::Options;

mod target;

use target::{check_line, of_backup, own_number, refuse_files, refuse_remains};

/// Files of a copy that are no copies are numbered from here on within their epoch, where no writer
/// ever comes.
const FIRST_OWN_FILE: u64 = 1 << 31;
/// Memory for the pages of those files, which nobody reads.
const CACHE_BYTES: usize = 1 << 20;

/// Told how many bytes of how many are done.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// What a backup or a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// The position of the newest statement in the copy.
    pub lsn: u64,
    /// Segments copied.
    pub copied: u64,
    /// Bytes of them.
    pub copied_bytes: u64,
    /// Segments that were there already.
    pub kept: u64,
    /// Bytes of them.
    pub kept_bytes: u64,
    /// Segments made of rows that were in memory.
    pub written: u64,
    /// Bytes of them.
    pub written_bytes: u64,
    /// Files removed, since nothing names them any more.
    pub removed: u64,
    /// Segments whose learned index or filter is damaged. No row is lost by that: the next
    /// compaction writes them anew.
    pub impaired: Vec<String>,
}

/// Brings the backup in `target` to the state of `version`, or makes one.
///
/// # Errors
/// [`Error::InvalidInput`] if `target` is not an earlier backup of this line, or of another file
/// there a backup would be; [`Error::Corruption`] naming the file if what is copied is damaged. The
/// backup that was there before stays.
pub async fn back_up(
    version: &Version,
    line: &Line,
    target: Store,
    options: &Options,
    progress: Progress<'_>,
) -> Result<BackupReport> {
    let before = manifest::newest(&target).await.map_err(|error| of_backup(error, &target))?;
    match &before {
        Some(before) => check_line(before, line, version.lsn, &target.location)?,
        None => refuse_remains(&target).await?,
    }
    let number = before.as_ref().map_or(0, |before| before.number);
    let identity = line.manifest(number, true);
    copy(version, identity, before, target, options, progress).await
}

/// Makes a database of its own in `target`, which must be empty, of `version`: with another id, so
/// that nobody takes it for the one that the backup is of.
///
/// # Errors
/// [`Error::Corruption`] naming the file if what is copied is damaged; `target` is empty then, as
/// after any error before the last step.
pub async fn restore(
    version: &Version,
    line: &Line,
    target: Store,
    options: &Options,
    progress: Progress<'_>,
) -> Result<BackupReport> {
    refuse_files(&target).await?;
    let mut database = vec![0; 16];
    getrandom::fill(&mut database)
        .map_err(|e| Error::io("the system's random numbers", std::io::Error::other(e)))?;
    let identity = Line { database, ..line.clone() }.manifest(0, false);
    let restored = copy(version, identity, None, target.clone(), options, progress).await;
    if restored.is_err() && target.blobs.list("manifest").await?.is_empty() {
        // The manifest comes last: without one, what is there is nothing.
        for blob in target.blobs.list("segments").await? {
            target.blobs.delete(&blob.name).await?;
        }
    }
    restored
}

/// A copy being made.
struct Copying<'a> {
    medium: Medium,
    /// The manifest of the copy that was there before.
    before: Option<Manifest>,
    /// The lengths of the files that are there.
    lengths: HashMap<String, u64>,
    report: BackupReport,
    progress: Progress<'a>,
    total: u64,
    /// Whether files were kept that no manifest names: seen, but perhaps not durable.
    unsure: bool,
}

async fn copy(
    version: &Version,
    identity: Manifest,
    before: Option<Manifest>,
    target: Store,
    options: &Options,
    progress: Progress<'_>,
) -> Result<BackupReport> {
    target.blobs.clean().await?;
    let options = Options { cache_bytes_max: CACHE_BYTES, ..options.clone() };
    let medium = Medium::new(target, options, identity.epoch);
    let lengths = segment_lengths(&medium).await?;
    let copied = segments(version).flat_map(|view| view.segment.record().file_names());
    let own = |name: String| own_number(&name, identity.epoch);
    let last = copied.chain(lengths.keys().cloned()).filter_map(own).max();
    medium.skip_files(last.unwrap_or(FIRST_OWN_FILE));
    let report = BackupReport { lsn: version.lsn, ..BackupReport::default() };
    let files = segments(version).flat_map(|view| view.segment.files());
    let total = files.map(|segment| segment.record().bytes).sum();
    let unsure = false;
    let mut copying = Copying { medium, before, lengths, report, progress, total, unsure };
    progress(0, total);
    for segment in segments(version).flat_map(|view| view.segment.files()) {
        copying.bring(segment).await?;
    }
    let next = copying.with_runs_written(version).await?;
    let saved = copying.vectors_there(&next).await?;
    let saved = save_deletions(&copying.medium, next.tables(), &saved).await?;
    copying.make_names_durable().await?;
    let mut manifest = describe(&identity, &next, &saved, 0, version.lsn);
    manifest.backup = identity.backup;
    manifest::publish(&copying.medium.store, &manifest).await?;
    copying.remove_unnamed(&manifest, &next, &saved).await?;
    Ok(copying.report)
}

impl Copying<'_> {
    /// Makes sure that the copy has a segment.
    async fn bring(&mut self, segment: &Arc<Segment>) -> Result<()> {
        let record = segment.record();
        let (name, bytes) = (record.file_name(), record.bytes);
        let done = self.report.copied_bytes + self.report.kept_bytes;
        if self.lengths.contains_key(&name) {
            if self.is_there(segment).await? {
                self.unsure |= self.record_before(record.file).is_none();
                self.report.kept += 1;
                self.report.kept_bytes += bytes;
                (self.progress)(done + bytes, self.total);
                return Ok(());
            }
            self.make_way(record).await?;
        }
        let (progress, total) = (self.progress, self.total);
        let copied = std::sync::atomic::AtomicU64::new(done);
        let advance = |bytes| {
            let before = copied.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            progress(before + bytes, total);
        };
        segment.copy_to(&self.medium.store, &advance).await?;
        self.report.copied += 1;
        self.report.copied_bytes += bytes;
        if segment.is_impaired() {
            self.report.impaired.push(name);
        }
        Ok(())
    }

    /// Whether the file of that name is what the record says, to the last byte: a copy that was
    /// damaged since would otherwise be kept until the day when it is needed.
    async fn is_there(&self, segment: &Segment) -> Result<bool> {
        let (record, medium) = (segment.record(), &self.medium);
        if check_length(record, &self.lengths).is_err() {
            return Ok(false);
        }
        let schema = segment.schema();
        let checked = async {
            let there = Segment::open(&medium.store, &medium.cache, record.clone(), schema).await?;
            match there.verify_bytes().await {
                // Its pages cannot be read: they are copied again.
                Err(Error::Io { .. }) => return Ok(false),
                verified => verified?,
            }
            Ok(!there.is_impaired() || segment.is_impaired())
        };
        match checked.await {
            Ok(same) => Ok(same),
            Err(error @ (Error::Io { .. } | Error::ObjectStore { .. })) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Removes a file that is not the one of its name: it was damaged since, or no manifest names
    /// it.
    async fn make_way(&self, record: &SegmentRecord) -> Result<()> {
        let name = record.file_name();
        match self.record_before(record.file) {
            Some(there) if there.alone() != record.bounded().alone() => {
                Err(Error::invalid(format!(
                    "{} takes no backup of this database: {name} is another file there; it is a \
                 backup of a copy that has gone another way; name another directory",
                    self.medium.store.location
                )))
            }
            _ => self.medium.store.blobs.delete(&name).await,
        }
    }

    /// What the manifest that was there before says of a segment.
    fn record_before(&self, file: u64) -> Option<&SegmentRecord> {
        let tables = self.before.iter().flat_map(|before| &before.tables);
        let records = tables.flat_map(|table| &table.segments).flat_map(|s| &s.segment);
        records.flat_map(SegmentRecord::all).find(|there| there.file == file)
    }

    /// An attempt that failed, or died, may have left files whose names are not durable. Any file
    /// that is published makes those of its folder durable.
    async fn make_names_durable(&self) -> Result<()> {
        if !self.unsure {
            return Ok(());
        }
        let (blobs, name) = (&self.medium.store.blobs, deletions_name(self.medium.next_file()));
        blobs.put_if_absent(&name, Bytes::copy_from_slice(&file_head())).await?;
        blobs.delete(&name).await
    }

    /// The version with its runs written as segments of the copy.
    async fn with_runs_written(&mut self, version: &Version) -> Result<Version> {
        let mut flushed = Vec::new();
        write_runs(&self.medium, version, &mut flushed, &|| Ok(())).await?;
        let mut next = version.clone();
        for written in flushed {
            let old = version.require(written.table)?;
            let runs: Vec<PartId> = old.runs.iter().map(|view| PartId::Run(view.id())).collect();
            self.report.written += written.segments.len() as u64;
            let bytes = written.segments.iter().map(|segment| segment.record().bytes);
            self.report.written_bytes += bytes.sum::<u64>();
            let live = |segment| SegmentView { segment, dead: Default::default() };
            let views = written.segments.into_iter().map(live).collect();
            let mut table = TableVersion::clone(old);
            table.replace_parts(&runs, views)?;
            next.put_table(table);
        }
        Ok(next)
    }

    /// The deletion vectors that are there already and are still those of `next`.
    async fn vectors_there(&self, next: &Version) -> Result<SavedDeletions> {
        let mut saved = SavedDeletions::new();
        let mut files = HashMap::new();
        let tables = self.before.iter().flat_map(|before| &before.tables);
        for entry in tables.flat_map(|table| &table.segments) {
            let (Some(segment), Some(deletions)) = (&entry.segment, &entry.deletions) else {
                continue;
            };
            let Some(view) = segments(next).find(|v| v.segment.record().file == segment.file)
            else {
                continue;
            };
            let rows = view.segment.rows();
            match read_deletions(&self.medium, deletions, rows, &mut files).await {
                Ok(there) if there == view.dead => {
                    saved.insert(segment.file, deletions.clone());
                }
                Err(error @ (Error::Io { .. } | Error::ObjectStore { .. })) => return Err(error),
                // Another one, or damaged: it is written anew.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(saved)
    }

    /// Removes what neither the manifest that stands now names, nor one that somebody has pinned.
    async fn remove_unnamed(
        &mut self,
        manifest: &Manifest,
        version: &Version,
        saved: &SavedDeletions,
    ) -> Result<()> {
        let store = &self.medium.store;
        let mut named: HashSet<String> =
            segments(version).flat_map(|view| view.segment.record().file_names()).collect();
        named.extend(saved.values().map(|record| record.file_name()));
        for number in manifest::before(store, manifest.number).await? {
            if delete_unpinned(store, &manifest_name(number)).await? {
                continue;
            }
            // Somebody reads there. The next backup removes what is left.
            match manifest::read(store, number).await {
                Ok(pinned) => named.extend(pinned.files()),
                Err(Error::NotFound(_) | Error::Corruption { .. } | Error::InvalidInput(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for blob in store.blobs.list("segments").await? {
            if !named.contains(&blob.name) {
                store.blobs.delete(&blob.name).await?;
                self.report.removed += 1;
            }
        }
        Ok(())
    }
}

fn segments(version: &Version) -> impl Iterator<Item = &SegmentView> {
    version.tables().iter().flat_map(|table| &table.segments)
}
