//! Flush: runs become segments, a manifest names them, and the accepted version takes them in.
//!
//! New parts are made from a version beside readers and writers; the commit lock is taken only to
//! choose the version and to put the parts in their place, with the marks that arrived meanwhile.
//!
//! Order of what becomes durable: the next log, segments, deletion vectors, manifest (`publish`);
//! then the log before is removed.
//!
//! A flush that fails, or whose caller goes away, stays *pending*: its version, its log, the
//! segments and vectors it has written. The next attempt goes on from there, so however often it
//! fails there is one more log and one set of files. Until then nothing else is published: the
//! pending version names the segments that are there now. Commits leave its runs in place. One that
//! found no space takes the newest version with the next attempt.
//!
//! Invariant: a log is begun only when the last one begun is the manifest's.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::publish::Publication;
use super::upkeep::lock;
use super::{Durable, Engine, LogFileInspection, Writer, random};
use crate::error::{Error, Result};
use crate::storage::carry::carry_to_segments;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::flush::{FlushedTable, write_runs};
use crate::storage::publication::{SavedDeletions, save_deletions};
use crate::storage::run::upcoming_id;
use crate::storage::segment::Segment;
use crate::storage::version::{PartId, SegmentView, TableVersion, Version};
use crate::storage::wal::log_name;

/// A flush that has begun and is in no manifest that stands.
#[derive(Debug)]
pub(super) struct Pending {
    base: Arc<Version>,
    /// The log that goes on after `base`.
    log: u64,
    /// The log before.
    sealed: LogFileInspection,
    flushed: Vec<FlushedTable>,
    saved: Option<SavedDeletions>,
}

impl Engine {
    /// As [`Engine::flush`], with the help of the reserve where the disk is full.
    pub(super) async fn flush_by_all_means(
        &self,
        writer: &Writer,
        durable: &mut Durable,
    ) -> Result<()> {
        let flushed = self.flush(writer, durable).await;
        match self.finds_room(&flushed).await {
            true => self.flush(writer, durable).await,
            false => flushed,
        }
    }

    /// Turns all runs into segments and publishes the manifest of that log position.
    pub(super) async fn flush(&self, writer: &Writer, durable: &mut Durable) -> Result<()> {
        self.check_open()?;
        // After a failure of the log no version can take the place of another.
        if let Some(error) = writer.log.failure() {
            return Err(error);
        }
        let outcome = self.flush_all(writer, durable).await;
        if matches!(outcome, Err(Error::Conflict(_) | Error::Unavailable(_))) {
            self.abandon_flush(writer, durable).await;
            return outcome;
        }
        if outcome.is_err() {
            writer.flush_wanted.store(true, SeqCst);
            self.medium.sweep().await;
        }
        writer.upkeep.note(&writer.upkeep.flush, &outcome);
        outcome
    }

    async fn flush_all(&self, writer: &Writer, durable: &mut Durable) -> Result<()> {
        // What an earlier attempt has left; rows that came since are not in it.
        self.renew_flush(writer, durable).await;
        self.finish_flush(writer, durable).await?;
        self.begin_flush(writer, durable).await?;
        self.finish_flush(writer, durable).await?;
        self.settle_publication(durable).await
    }

    /// Chooses the version to be flushed, if there is anything to flush, and begins the log that
    /// follows it.
    async fn begin_flush(&self, writer: &Writer, durable: &mut Durable) -> Result<()> {
        let generation = u64::from_le_bytes(random()?);
        if !self.has_unflushed(writer, durable).await {
            return Ok(());
        }
        let log = self.medium.next_file();
        let begun = self.medium.garbage.unless_kept(vec![log_name(log)]);
        let next = writer.log.prepare_next(log).await?;
        let accepted = writer.accepted.lock().await;
        self.check_open()?;
        writer.flush_wanted.store(false, SeqCst);
        begun.keep();
        durable.pending = Some(Pending {
            base: Arc::clone(&accepted),
            log,
            sealed: LogFileInspection::of(&writer.log, false),
            flushed: Vec::new(),
            saved: None,
        });
        writer.frozen_runs.store(upcoming_id(), SeqCst);
        let rotated = writer.log.rotate(next, generation).await;
        drop(accepted);
        if rotated.is_err() && writer.log.number() != log {
            self.abandon_flush(writer, durable).await;
        }
        rotated.map(drop)
    }

    /// Whether there is anything to flush; if not, a flush is not wanted any more.
    async fn has_unflushed(&self, writer: &Writer, durable: &Durable) -> bool {
        let accepted = writer.accepted.lock().await;
        let has_news = accepted.lsn > durable.manifest.flushed_lsn || durable.installing;
        let has_unflushed = has_news || accepted.tables().iter().any(|t| !t.runs.is_empty());
        if !has_unflushed {
            writer.flush_wanted.store(false, SeqCst);
        }
        has_unflushed
    }

    /// Begins the pending flush anew with the newest version, if there was no space for it: what
    /// was deleted since needs none. Its log stays, with statements that are flushed then.
    async fn renew_flush(&self, writer: &Writer, durable: &mut Durable) {
        let lacked_space = writer.upkeep.flush.error().is_some_and(|error| error.lacks_space());
        let Some(pending) = &mut durable.pending else { return };
        if !lacked_space || writer.log.number() != pending.log {
            return;
        }
        let accepted = writer.accepted.lock().await;
        if accepted.lsn == pending.base.lsn {
            return;
        }
        pending.base = Arc::clone(&accepted);
        writer.frozen_runs.store(upcoming_id(), SeqCst);
        drop(accepted);
        let (flushed, saved) = (std::mem::take(&mut pending.flushed), pending.saved.take());
        let names = written_files(durable, &flushed, &saved);
        self.discard_unpublished(durable, names).await;
    }

    /// Carries the pending flush through, if there is one.
    async fn finish_flush(&self, writer: &Writer, durable: &mut Durable) -> Result<()> {
        let Some(pending) = &mut durable.pending else { return Ok(()) };
        if writer.log.number() != pending.log {
            // Its caller went away before the log was begun.
            self.abandon_flush(writer, durable).await;
            return Ok(());
        }
        *lock(&writer.upkeep.sealed) = vec![pending.sealed.clone()];
        // Recovery goes on from the manifest's position: the log must reach it.
        writer.log.wait_all().await?;
        let go_on = || self.check_open();
        write_runs(&self.medium, &pending.base, &mut pending.flushed, &go_on).await?;
        let next = pending.next()?;
        let saved = match &pending.saved {
            Some(saved) => saved.clone(),
            None => save_deletions(&self.medium, next.tables(), &durable.saved).await?,
        };
        pending.saved = Some(saved.clone());
        let (log, flushed_lsn) = (pending.log, pending.base.lsn);
        let publication = Publication { next, saved, log, flushed_lsn, replaces: true };
        self.publish(durable, publication).await?;
        let Some(Pending { base, flushed, .. }) = durable.pending.take() else { return Ok(()) };
        let installed = self.install_flushed(writer, &base, &flushed).await;
        writer.frozen_runs.store(0, SeqCst);
        installed?;
        durable.installing = false;
        drop((base, flushed));
        self.note_segments(writer, &durable.version);
        writer.compaction_wanted.store(true, SeqCst);
        self.medium.sweep().await;
        Ok(())
    }

    /// Gives up the pending flush, if there is one, and what it has written.
    pub(super) async fn abandon_flush(&self, writer: &Writer, durable: &mut Durable) {
        let Some(pending) = durable.pending.take() else { return };
        writer.frozen_runs.store(0, SeqCst);
        let mut names = written_files(durable, &pending.flushed, &pending.saved);
        if writer.log.number() != pending.log && writer.log.failure().is_none() {
            names.push(log_name(pending.log));
        }
        self.discard_unpublished(durable, names).await;
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
            new.replace_parts(&removed, views)?;
            next.put_table(new);
        }
        next.pin_segments(lock(&self.pin).as_ref());
        self.install(writer, &mut accepted, next).await
    }

    /// Makes `next`, the same rows in other parts, the newest version for writers and readers.
    pub(super) async fn install(
        &self,
        writer: &Writer,
        accepted: &mut Arc<Version>,
        next: Version,
    ) -> Result<()> {
        // What readers get must be acknowledged, and the versions that wait in the log for that
        // must not replace this one when they are published.
        writer.log.wait_published().await?;
        let next = Arc::new(next);
        self.published.set(Arc::clone(&next));
        *accepted = next;
        Ok(())
    }
}

impl Pending {
    /// The version with its runs replaced by segments.
    fn next(&self) -> Result<Version> {
        let mut next = Version::clone(&self.base);
        for table in &self.flushed {
            let old = self.base.require(table.table)?;
            let mut new = TableVersion::clone(old);
            new.replace_parts(&run_ids(old), live_views(&table.segments))?;
            next.put_table(new);
        }
        Ok(next)
    }
}

/// The files that a flush has written.
fn written_files(
    durable: &Durable,
    flushed: &[FlushedTable],
    saved: &Option<SavedDeletions>,
) -> Vec<String> {
    let segments = flushed.iter().flat_map(|table| &table.segments);
    let names = segments.flat_map(|segment| segment.record().file_names());
    names.chain(durable.new_deletions(saved)).collect()
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
