//! Syncs that come after the acknowledgement, where the options allow that the last milliseconds
//! are lost with the power.
//!
//! A round then appends, publishes and acknowledges. What it appended is synced by a thread, at the
//! latest when half of the time is over that may be lost; the other half is for the sync itself. A
//! round that finds bytes for which the whole time is over syncs before it acknowledges: however
//! slow the disk, what can be lost was acknowledged within that time. Rotation and close sync the
//! file that they finish, a caller of `wait_durable` what it waits for, the end of the database all
//! that is left.
//!
//! On a clock that stands still there is no thread, only rounds that are late.
//!
//! Called by the writer and by the engine; calls `sync_thread`.
//!
//! Invariants: a commit frame calls durable what was synced before it was appended, never what was
//! acknowledged. One sync at a time, and none after one that failed. Nothing is appended to a file
//! before the one it follows on is synced.

use std::sync::Arc;
use std::time::Duration;

use super::super::sync_thread::SyncThread;
use super::{Failure, Inner, LogWriter, Mutex, lock};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::storage::store::{LogFile, LogSync};
use crate::teeth::{Tooth, planted};

/// What a statement is told that comes after a failed sync in the background.
const FAILED_LATE: &str = "closed to writes by a failed sync of its log in the background: a crash \
                           of the system may take the statements that were acknowledged last; \
                           open it again";

/// What is appended and not synced, and who syncs it.
pub(super) struct Deferred {
    /// What may be lost.
    limit: Duration,
    clock: Clock,
    /// Held during a sync: the system tells of a failure once, and whoever comes next must know.
    syncing: Mutex<()>,
    unsynced: Mutex<Unsynced>,
    thread: Mutex<Option<SyncThread>>,
}

struct Unsynced {
    /// Of the file being written.
    syncer: Arc<dyn LogSync>,
    appended_lsn: u64,
    synced_lsn: u64,
    /// Since when there are bytes for which no sync has begun; for which one runs.
    waiting_since: Option<Duration>,
    syncing_since: Option<Duration>,
    /// Nothing is deferred any more: the database is being shut.
    stopped: bool,
}

impl<V: Send + 'static> LogWriter<V> {
    /// Acknowledges from now on before syncing: a sync comes within `limit`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] on a medium that keeps nothing unsynced; [`Error::Io`] if the system
    /// has no thread left.
    pub(crate) fn defer_syncs(&self, limit: Duration) -> Result<()> {
        let clock = &self.shared.clock;
        let mut state = self.shared.lock();
        let Some((file, syncer)) = state.file.as_mut().and_then(|f| f.syncer().map(|s| (f, s)))
        else {
            return Err(Error::invalid("this log cannot be synced later than it is written"));
        };
        file.defer_syncs()?;
        let lsn = state.committed_lsn;
        let deferred = Deferred::new(limit, clock, syncer, lsn);
        if !clock.stands_still() {
            let inner = Arc::downgrade(&self.shared);
            let thread = SyncThread::start(move || {
                if let Some(inner) = inner.upgrade() {
                    // An error is kept in the log for the next statement.
                    let _ = inner.sync_now();
                }
            });
            let thread = thread.map_err(|e| Error::io("a thread that syncs the log", e))?;
            *lock(&deferred.thread) = Some(thread);
        }
        let _ = self.shared.deferred.set(deferred);
        Ok(())
    }

    /// Returns when everything up to `lsn` is published and durable, also where statements are
    /// acknowledged before they are.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the log failed before that was known.
    pub(crate) async fn wait_durable(&self, lsn: u64) -> Result<()> {
        self.wait_committed(lsn).await?;
        self.shared.sync_if(|unsynced| unsynced.synced_lsn < lsn)
    }
}

impl<V> LogWriter<V> {
    /// Syncs what is left, and defers nothing from now on. The thread has ended then.
    pub(crate) fn stop_deferring(&self) {
        let Some(deferred) = self.shared.deferred.get() else { return };
        lock(&deferred.unsynced).stopped = true;
        // An error is kept in the log for the next statement.
        let _ = self.shared.sync_now();
        let thread = lock(&deferred.thread).take();
        drop(thread);
    }

    /// Whether there is a thread that syncs.
    #[cfg(test)]
    pub(crate) fn has_sync_thread(&self) -> bool {
        self.shared.deferred.get().is_some_and(|deferred| lock(&deferred.thread).is_some())
    }
}

impl<V> Inner<V> {
    /// What a frame that is appended now may call durable.
    pub(super) fn synced_lsn(&self, committed_lsn: u64) -> u64 {
        self.deferred.get().map_or(committed_lsn, |deferred| lock(&deferred.unsynced).synced_lsn)
    }

    /// Notes that everything up to `lsn` is appended, and syncs it if that is not to wait.
    pub(super) fn note_appended(
        &self,
        deferred: &Deferred,
        lsn: u64,
        ends_file: bool,
    ) -> Result<()> {
        deferred.note_appended(lsn);
        match ends_file {
            true => self.sync_if(|unsynced| unsynced.synced_lsn < lsn),
            false => self.sync_if(|unsynced| deferred.is_urgent(unsynced)),
        }
    }

    /// Goes on in the next file; all before it is synced.
    pub(super) fn note_next_file(&self, file: &dyn LogFile) {
        if let (Some(deferred), Some(syncer)) = (self.deferred.get(), file.syncer()) {
            lock(&deferred.unsynced).syncer = syncer;
        }
    }

    /// Syncs what is appended and not synced, if anything is.
    pub(super) fn sync_now(&self) -> Result<()> {
        self.sync_if(|_| true)
    }

    /// Syncs what is appended, if something is that is not synced, and if that is still `wanted`
    /// when those before have synced. Does nothing where no sync is deferred.
    fn sync_if(&self, wanted: impl Fn(&Unsynced) -> bool) -> Result<()> {
        let Some(deferred) = self.deferred.get() else { return Ok(()) };
        let is_wanted = |unsynced: &Unsynced| unsynced.is_behind() && wanted(unsynced);
        // Who has nothing to sync does not wait for those who have.
        if !is_wanted(&lock(&deferred.unsynced)) {
            return Ok(());
        }
        let _one_at_a_time = lock(&deferred.syncing);
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let (syncer, lsn) = {
            let mut unsynced = lock(&deferred.unsynced);
            if !is_wanted(&unsynced) {
                return Ok(());
            }
            unsynced.syncing_since = unsynced.waiting_since.take();
            (Arc::clone(&unsynced.syncer), unsynced.appended_lsn)
        };
        let synced = if planted(Tooth::NoLogSync) { Ok(()) } else { syncer.sync() };
        if let Err(error) = synced {
            let failure = Failure::of_sync(&error, deferred.limit);
            let error = failure.error.clone();
            self.fail(failure);
            return Err(error);
        }
        let mut unsynced = lock(&deferred.unsynced);
        unsynced.synced_lsn = lsn;
        unsynced.syncing_since = None;
        Ok(())
    }
}

impl Deferred {
    fn new(limit: Duration, clock: &Clock, syncer: Arc<dyn LogSync>, lsn: u64) -> Self {
        let unsynced = Unsynced {
            syncer,
            appended_lsn: lsn,
            synced_lsn: lsn,
            waiting_since: None,
            syncing_since: None,
            stopped: false,
        };
        Self {
            limit,
            clock: clock.clone(),
            syncing: Mutex::new(()),
            unsynced: Mutex::new(unsynced),
            thread: Mutex::new(None),
        }
    }

    fn note_appended(&self, lsn: u64) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.appended_lsn = lsn;
        if unsynced.waiting_since.is_none() {
            unsynced.waiting_since = Some(self.clock.now());
            if let Some(thread) = &*lock(&self.thread) {
                thread.work_after(self.limit / 2);
            }
        }
    }

    /// Whether a round must sync before it acknowledges.
    fn is_urgent(&self, unsynced: &Unsynced) -> bool {
        let oldest = unsynced.syncing_since.or(unsynced.waiting_since);
        let is_late = |since| self.clock.now().saturating_sub(since) >= self.limit;
        unsynced.stopped || oldest.is_some_and(is_late)
    }
}

impl Unsynced {
    fn is_behind(&self) -> bool {
        self.synced_lsn < self.appended_lsn
    }
}

impl Failure {
    fn of_sync(error: &Error, limit: Duration) -> Self {
        let error = Error::OutcomeUnknown(format!(
            "a sync of the log failed in the background, and it takes no more statements: {error}; \
             statements that were acknowledged in the {} ms before may be gone after a crash of \
             the system",
            limit.as_millis()
        ));
        Self { error, refusal: FAILED_LATE }
    }
}
