//! Publication: a version becomes the one that the next open finds.
//!
//! Called by flush (`checkpoint`) and compaction (`replace`) when segments and deletion vectors are
//! durable. What the new manifest no longer needs becomes garbage: segments, deletion vectors, the
//! log before, manifests below it. (A reader in another process may have pinned one of those; what
//! it names then waits for it, see `medium/garbage.rs`.)
//!
//! However a publication ends (an error, a caller that stops waiting), the manifest may have become
//! durable: what it names stays, as suspects, until a later one stands. Compaction waits for that
//! (`settle_publication`); a flush is one. The next manifest is tried under the same number, which
//! decides who has it: none, this writer's earlier one, or another writer's.
//!
//! Invariant: what the newest manifest on the medium names is there, whichever it is.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::upkeep::lock;
use super::{Durable, Engine, LogInspection};
use crate::error::{Error, Result};
use crate::storage::manifest::{self, Manifest, deletions_name, manifest_name};
use crate::storage::medium::{File, Named};
use crate::storage::publication::{SavedDeletions, describe};
use crate::storage::segment::Segment;
use crate::storage::store::Pin;
use crate::storage::version::Version;
use crate::storage::wal::log_name;
use crate::teeth::{Tooth, planted};

/// What a manifest is to say.
pub(super) struct Publication {
    pub(super) next: Version,
    pub(super) saved: SavedDeletions,
    pub(super) log: u64,
    pub(super) flushed_lsn: u64,
    /// Whether it has other parts than the version before, which the accepted version must take in.
    pub(super) replaces: bool,
}

impl Engine {
    /// Publishes a manifest and makes what it says the durable version.
    ///
    /// # Errors
    /// After [`Error::Unavailable`] the manifest is certainly not there; after all others it may
    /// be. After [`Error::Conflict`] the database has another writer, whose manifest may name what
    /// this one does: nothing of it is removed by this one any more.
    pub(super) async fn publish(
        &self,
        durable: &mut Durable,
        publication: Publication,
    ) -> Result<()> {
        self.check_open()?;
        let Publication { mut next, saved, log, flushed_lsn, replaces } = publication;
        let mut manifest = describe(&durable.manifest, &next, &saved, log, flushed_lsn);
        manifest.number = durable.next_number;
        self.suspect_attached(durable);
        durable.suspect(&next, &saved);
        let mut tried = named(&manifest, &next, &saved);
        tried.extend(durable.suspects.names().map(String::from));
        let earlier = durable.tried.drain(..).flatten().collect();
        durable.tried.extend([earlier, tried]);
        durable.unsettled = true;
        if planted(Tooth::LogRemovedEarly) {
            self.retire_log(durable, log);
            self.medium.sweep().await;
        }
        let published = manifest::publish_next(&self.medium.store, &mut manifest).await;
        durable.next_number = manifest.number;
        if let Err(error) = published {
            if matches!(error, Error::Conflict(_)) {
                self.fenced.store(true, SeqCst);
            }
            return Err(error);
        }
        durable.next_number += 1;
        durable.unsettled = false;
        durable.installing |= replaces;
        // A reader that still takes the manifest before for the newest has found them in its log.
        self.suspect_attached(durable);
        self.retire(durable, &next, &saved, &manifest);
        durable.saved = saved;
        let pin = self.pin_manifest(manifest.number).await;
        durable.manifest = manifest;
        next.pin_segments(pin.as_ref());
        durable.version = Arc::new(next);
        if let Some(writer) = &self.writer {
            *lock(&writer.upkeep.standing) = LogInspection::new(&durable.manifest, 0);
            if writer.log.number() == log {
                lock(&writer.upkeep.sealed).clear();
            }
        }
        Ok(())
    }

    /// Decides about suspects and throws away what the manifest that stands now does not need.
    fn retire(
        &self,
        durable: &mut Durable,
        next: &Version,
        saved: &SavedDeletions,
        manifest: &Manifest,
    ) {
        let garbage = &self.medium.garbage;
        let named: HashSet<String> = names(next, saved).collect();
        garbage.spare(&named);
        garbage.add(durable.suspects.settle(manifest.flushed_lsn, &named));
        let old = segments(&durable.version);
        garbage.add(old.filter(|s| !named.contains(&s.record().file_name())).map(File::of));
        let vectors = durable.saved.values().map(|record| deletions_name(record.file));
        garbage.add(vectors.filter(|name| !named.contains(name)).map(File::named));
        self.retire_log(durable, manifest.log);
        let standing = durable.tried.pop();
        // Under each number below there may be any of those that were tried before.
        let files: HashSet<String> = durable.tried.drain(..).flatten().collect();
        durable.tried.extend(standing);
        let below = durable.manifest.number..manifest.number;
        let files_of = |number| Named { manifest: manifest_name(number), files: files.clone() };
        garbage.supersede(below.map(files_of));
    }

    /// Pins a manifest that was published here for all that reads by it: snapshots and streams may
    /// outlive this database, and the next writer must spare their files. If it cannot be pinned,
    /// they are safe only as long as this database is open.
    pub(super) async fn pin_manifest(&self, number: u64) -> Option<Arc<Pin>> {
        let name = manifest_name(number);
        let pin = self.medium.store.blobs.pin(&name).await.ok().flatten().map(Arc::new);
        *lock(&self.pin) = pin.clone();
        pin
    }

    /// Makes suspects of the segments that statements have attached: the log names them, and with
    /// it every manifest that it goes on from.
    fn suspect_attached(&self, durable: &mut Durable) {
        for (file, lsn) in self.writer.iter().flat_map(|writer| writer.upkeep.take_attached()) {
            for tried in &mut durable.tried {
                tried.insert(file.name().to_string());
            }
            durable.suspects.add(file, lsn);
        }
    }

    /// Throws away the log of the manifest that stood, if the next one has another.
    fn retire_log(&self, durable: &Durable, log: u64) {
        if durable.manifest.log != log {
            self.medium.garbage.add([File::named(log_name(durable.manifest.log))]);
        }
    }

    /// Throws away files that were to be published and certainly are not, but for those that an
    /// earlier attempt may have published.
    pub(super) async fn discard_unpublished(&self, durable: &Durable, files: Vec<String>) {
        let certain = files.into_iter().filter(|name| !durable.suspects.holds(name));
        self.medium.garbage.add(certain.map(File::named));
        self.medium.sweep().await;
    }

    /// If the outcome of the last publication is unknown: publishes the durable version once more,
    /// and thereby decides.
    pub(super) async fn settle_publication(&self, durable: &mut Durable) -> Result<()> {
        if !durable.unsettled {
            return Ok(());
        }
        let publication = Publication {
            next: Version::clone(&durable.version),
            saved: durable.saved.clone(),
            log: durable.manifest.log,
            flushed_lsn: durable.manifest.flushed_lsn,
            replaces: false,
        };
        self.publish(durable, publication).await?;
        self.medium.sweep().await;
        Ok(())
    }
}

impl Durable {
    /// Makes suspects of the files that a manifest is to name and no earlier one names.
    fn suspect(&mut self, next: &Version, saved: &SavedDeletions) {
        let known: HashSet<String> = names(&self.version, &self.saved).collect();
        for name in names(next, saved).filter(|name| !known.contains(name)) {
            self.suspects.add(File::named(name), 0);
        }
    }

    /// The files of deletion vectors in `saved` that the durable version does not have.
    pub(super) fn new_deletions<'a>(
        &self,
        saved: impl IntoIterator<Item = &'a SavedDeletions>,
    ) -> Vec<String> {
        let files = saved.into_iter().flat_map(|saved| saved.values()).map(|record| record.file);
        let is_new = |file: &u64| self.saved.values().all(|record| record.file != *file);
        files.filter(is_new).map(deletions_name).collect()
    }
}

/// What a manifest names.
pub(super) fn named(
    manifest: &Manifest,
    version: &Version,
    saved: &SavedDeletions,
) -> HashSet<String> {
    names(version, saved).chain([log_name(manifest.log)]).collect()
}

/// The files that a manifest names.
fn names(version: &Version, saved: &SavedDeletions) -> impl Iterator<Item = String> {
    let vectors = saved.values().map(|record| deletions_name(record.file));
    segments(version).map(|segment| segment.record().file_name()).chain(vectors)
}

/// The segments of a version and their entries in indexes.
fn segments(version: &Version) -> impl Iterator<Item = &Arc<Segment>> {
    let views = version.tables().iter().flat_map(|table| &table.segments);
    views.flat_map(|view| view.segment.files())
}
