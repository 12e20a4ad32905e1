//! Room on the disk: space in the log for a statement, and the reserve for when there is none.
//!
//! A statement takes its space before it is accepted. If there is none it is refused, and nothing
//! else happens. What frees (deletions, a flush that is asked for, closing, opening) gives up the
//! reserve then and tries once more; what brings rows takes no space while there is no reserve, or
//! it would eat what the reserve gave up. The background makes the reserve again.
//!
//! Called by `commit`, `checkpoint`, `maintenance` and `open`; calls the log and the store.
//!
//! Invariant: a failure here is no failure of the log.

use std::sync::atomic::Ordering::SeqCst;

use super::{Engine, Writer};
use crate::error::{Error, Result};
use crate::storage::store::Store;
use crate::storage::version::Version;
use crate::storage::wal::Encoded;

/// The smallest reserve: enough for a step of the log and a few small files.
const RESERVE_BYTES_MIN: u64 = 256 << 10;

impl Engine {
    /// Takes space in the log for a statement. Called under the commit lock, and seldom has
    /// anything to do there: the background takes space ahead.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if there is none. `frees`: the statement only deletes.
    pub(super) async fn take_log_space(
        &self,
        writer: &Writer,
        encoded: &Encoded,
        frees: bool,
    ) -> Result<()> {
        if writer.log.has_space(encoded) {
            return Ok(());
        }
        let held = match frees {
            true => Ok(()),
            false => self.hold_reserve(writer, RESERVE_BYTES_MIN).await,
        };
        let mut taken = match held {
            Ok(()) => writer.log.take_space(encoded).await,
            Err(error) => Err(error),
        };
        if frees && self.finds_room(&taken).await {
            taken = writer.log.take_space(encoded).await;
        }
        if lacks_space(&taken) {
            // It would give back the space of the log.
            writer.flush_wanted.store(true, SeqCst);
        }
        taken
    }

    /// Whether what failed may be tried once more: it lacked space, and the reserve gave some up.
    pub(super) async fn finds_room<T>(&self, outcome: &Result<T>) -> bool {
        if !lacks_space(outcome) || !give_up_reserve(&self.medium.store).await {
            return false;
        }
        if let Some(writer) = &self.writer {
            writer.upkeep.reserve_held.store(0, SeqCst);
        }
        true
    }

    /// Whether the background is to take space in the log, or to make the reserve larger.
    pub(super) fn room_is_due(&self, writer: &Writer) -> bool {
        let upkeep = &writer.upkeep;
        let reserve = upkeep.reserve_held.load(SeqCst) < self.reserve_wanted(writer);
        (reserve || writer.log.is_space_short()) && upkeep.may_try(&upkeep.room)
    }

    /// Takes space ahead and makes the reserve as large as it should be, as far as there is space.
    pub(super) async fn make_room(&self, writer: &Writer) {
        let made = self.try_make_room(writer).await;
        writer.upkeep.note(&writer.upkeep.room, &made);
    }

    async fn try_make_room(&self, writer: &Writer) -> Result<()> {
        let wanted = self.reserve_wanted(writer);
        loop {
            let held = writer.upkeep.reserve_held.load(SeqCst);
            if held >= wanted {
                break;
            }
            // In steps, so that a disk that has little space gives some.
            self.hold_reserve(writer, (2 * held).max(RESERVE_BYTES_MIN)).await?;
        }
        match writer.log.is_space_short() {
            true => writer.log.take_space_ahead().await,
            false => Ok(()),
        }
    }

    /// Makes the reserve at least so large, or as the options allow.
    async fn hold_reserve(&self, writer: &Writer, bytes: u64) -> Result<()> {
        let bytes = bytes.min(self.medium.options.reserve_bytes);
        if writer.upkeep.reserve_held.load(SeqCst) >= bytes {
            return Ok(());
        }
        self.medium.store.blobs.hold_reserve(bytes).await?;
        writer.upkeep.reserve_held.fetch_max(bytes, SeqCst);
        Ok(())
    }

    /// Notes how large the segments are of which the database now consists.
    pub(super) fn note_segments(&self, writer: &Writer, version: &Version) {
        let segments = version.tables().iter().flat_map(|table| &table.segments);
        let bytes = segments.map(|view| view.segment.record().bytes).sum();
        writer.upkeep.segment_bytes.store(bytes, SeqCst);
    }

    /// How large the reserve should be: a small database needs little, and takes little.
    fn reserve_wanted(&self, writer: &Writer) -> u64 {
        let bytes = writer.upkeep.segment_bytes.load(SeqCst) + writer.log_bytes();
        let size = bytes.checked_next_power_of_two().unwrap_or(u64::MAX);
        size.max(RESERVE_BYTES_MIN).min(self.medium.options.reserve_bytes)
    }
}

/// Whether something failed for want of space on the disk.
pub(super) fn lacks_space<T>(outcome: &Result<T>) -> bool {
    outcome.as_ref().is_err_and(Error::lacks_space)
}

/// Frees the reserve; false if there was none, or it cannot be removed.
pub(super) async fn give_up_reserve(store: &Store) -> bool {
    store.blobs.give_up_reserve().await.unwrap_or(false)
}
