//! Space in the log's file, taken before a statement is accepted: what is accepted must not fail
//! for want of it.
//!
//! Called by the engine under its commit lock, which keeps other statements and rotation away, and
//! by its background.

use std::sync::Arc;

use super::super::header::LogHeader;
use super::super::queue::{Encoded, seal_bytes};
use super::{LogWriter, lock};
use crate::error::Result;
use crate::storage::store::LogSpace;

/// The largest part of a file's space that is short when less of it is left.
const SHORT_BYTES: u64 = 1 << 20;

impl<V: Send + 'static> LogWriter<V> {
    /// Takes space in the file for a statement, as far as that is not done.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if there is none: the log is as it was, and takes what fits.
    pub(crate) async fn take_space(&self, encoded: &Encoded) -> Result<()> {
        self.take_bytes(encoded.bytes()).await
    }

    /// Whether [`LogWriter::take_space`] has nothing to do.
    pub(crate) fn has_space(&self, encoded: &Encoded) -> bool {
        let (bytes, space) = self.file_space();
        let end = bytes + encoded.bytes() + seal_bytes();
        space.is_none_or(|space| end <= space.taken())
    }

    /// Whether so little space is left that the next statements may have to take some. A file
    /// without statements has none before it gets the first.
    pub(crate) fn is_space_short(&self) -> bool {
        let (bytes, space) = self.file_space();
        let is_short = |space: Arc<dyn LogSpace>| {
            let taken = space.taken();
            taken.saturating_sub(bytes) < (taken / 4).min(SHORT_BYTES)
        };
        bytes > LogHeader::BYTES as u64 && space.is_some_and(is_short) && self.failure().is_none()
    }

    /// Takes space before a statement has to wait for it.
    ///
    /// # Errors
    /// As [`LogWriter::take_space`].
    pub(crate) async fn take_space_ahead(&self) -> Result<()> {
        let (bytes, space) = self.file_space();
        match space {
            // Some more than there is.
            Some(space) => space.take((space.taken() + 1).max(bytes)).await,
            None => Ok(()),
        }
    }

    async fn take_bytes(&self, count: u64) -> Result<()> {
        let (bytes, space) = self.file_space();
        match space {
            Some(space) => space.take(bytes + count + seal_bytes()).await,
            None => Ok(()),
        }
    }

    /// The bytes of the file, queued ones included, and what takes space for it.
    fn file_space(&self) -> (u64, Option<Arc<dyn LogSpace>>) {
        let order = lock(&self.order);
        (self.shared.lock().bytes, order.space.clone())
    }
}
