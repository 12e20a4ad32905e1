//! A round: a group is appended and, where that is not deferred, synced; then what it leaves is
//! published, and those who wait for it are told.
//!
//! Driven by the waiters of the writer; calls `queue` and `deferred`.
//!
//! Invariant: after a failure the file is let go of, and no other takes its place.

use bytes::Bytes;
use futures::FutureExt;

use super::super::queue::Group;
use super::{Arc, Inner, Round, State};
use crate::error::{Error, Result};
use crate::storage::store::LogFile;
use crate::teeth::{Tooth, planted};

/// What a statement is told that comes after a failure.
pub(super) const FAILED: &str = "closed to writes by a failure of its log; open it again";

/// Why the log takes no more statements.
pub(super) struct Failure {
    /// What those are told that wait.
    pub(super) error: Error,
    /// What those are told that come later.
    pub(super) refusal: &'static str,
}

impl<V: Send + 'static> Inner<V> {
    /// Takes the queue and begins to write it; none if there is nothing to write.
    pub(super) fn start_round(shared: &Arc<Self>, state: &mut State<V>) -> Option<Round> {
        if state.queue.is_empty() {
            return None;
        }
        let file = state.file.take()?;
        let group = Group::take(&mut state.queue, shared.synced_lsn(state.committed_lsn));
        let round = Arc::clone(shared).run_round(file, group).boxed().shared();
        state.round = Some(round.clone());
        Some(round)
    }

    async fn run_round(self: Arc<Self>, mut file: Box<dyn LogFile>, group: Group<V>) {
        let (count, ends_file) = (group.count, group.sealed.is_some());
        let written = match self.deferred.get() {
            None => write_durably(file.as_mut(), group.bytes).await,
            Some(deferred) => match file.append(group.bytes).await {
                Ok(()) => self.note_appended(deferred, group.lsn, ends_file),
                failed => failed,
            },
        };
        if written.is_ok() && ends_file {
            // Zeros that stay behind a seal harm nobody.
            let _ = file.trim().await;
        }
        if written.is_ok()
            && let Some(version) = group.version
        {
            (self.publish)(version);
        }
        if let Err(error) = &written {
            self.fail(Failure::of_round(error));
        }
        if let (true, Some(Some(next))) = (written.is_ok(), &group.sealed) {
            self.note_next_file(next.as_ref());
        }
        let mut state = self.lock();
        state.round = None;
        state.together = count + state.queue.len();
        state.rounds += 1;
        if written.is_err() {
            state.file = planted(Tooth::NoPoisoning).then_some(file);
        } else if state.failed.is_none() {
            // (A sync in the background may have failed meanwhile.)
            state.committed_lsn = group.lsn;
            state.file = group.sealed.unwrap_or(Some(file));
        }
    }
}

impl<V> Inner<V> {
    /// Ends the log; the first failure is the one that is told.
    pub(super) fn fail(&self, failure: Failure) {
        if planted(Tooth::NoPoisoning) {
            return;
        }
        let mut state = self.lock();
        state.failed.get_or_insert(failure);
        state.queue = Vec::new();
    }
}

impl Failure {
    fn of_round(error: &Error) -> Self {
        let error = format!("the log failed and takes no more statements: {error}");
        Self { error: Error::OutcomeUnknown(error), refusal: FAILED }
    }
}

/// Appends a group; when this returns, it is on the medium.
async fn write_durably(file: &mut dyn LogFile, group: Bytes) -> Result<()> {
    if planted(Tooth::AcknowledgedBeforeSync) {
        file.sync().await?;
        return file.append(group).await;
    }
    file.append(group).await?;
    if planted(Tooth::NoLogSync) { Ok(()) } else { file.sync().await }
}
