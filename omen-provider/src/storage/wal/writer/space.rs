//! Space in the log's file, taken before a statement is accepted: what is accepted must not fail for
//! want of it.
//!
//! Called by the engine under its commit lock, which keeps other statements and rotation away, and
//! by its background.

use std::sync::Arc;

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
        let end = self.bytes() + encoded.bytes() + seal_bytes();
        self.space().is_none_or(|space| end <= space.taken())
    }

    /// Whether so little space is left that the next statements may have to take some.
    pub(crate) fn is_space_short(&self) -> bool {
        let bytes = self.bytes();
        self.space().is_some_and(|space| {
            let taken = space.taken();
            taken.saturating_sub(bytes) < (taken / 4).min(SHORT_BYTES) && self.failure().is_none()
        })
    }

    /// Takes space before a statement has to wait for it.
    ///
    /// # Errors
    /// As [`LogWriter::take_space`].
    pub(crate) async fn take_space_ahead(&self) -> Result<()> {
        let short = self.space().map_or(0, |space| (space.taken() / 4).min(SHORT_BYTES));
        self.take_bytes(short).await
    }

    async fn take_bytes(&self, bytes: u64) -> Result<()> {
        let end = self.bytes() + bytes + seal_bytes();
        match self.space() {
            Some(space) => space.take(end).await,
            None => Ok(()),
        }
    }

    fn space(&self) -> Option<Arc<dyn LogSpace>> {
        lock(&self.order).space.clone()
    }
}
