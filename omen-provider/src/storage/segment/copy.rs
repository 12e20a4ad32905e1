//! Copies a segment into another store, every byte checked on its way.
//!
//! Called by backup and restore. Reads pages as the layout has them, one run of neighbours at a
//! time, and never decodes any.
//!
//! Invariant: what gets a name in the other store is what was written here, but for hints that are
//! damaged already: they cost no row, and a compaction writes them anew.

use bytes::Bytes;

use super::Segment;
use super::file_bytes::MAGIC;
use crate::error::Result;
use crate::storage::store::Store;

impl Segment {
    /// Copies the file under its own name into `target`; `copied` is told of bytes as they go.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] naming the file if it is not what was written: `target` has no
    /// file of that name then. [`crate::Error::AlreadyExists`] if it has one before.
    pub async fn copy_to(
        &self,
        target: &Store,
        copied: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        self.verify_magic().await?;
        let mut blob = target.blobs.create(&self.name).await?;
        blob.write(Bytes::from_static(MAGIC)).await?;
        copied(MAGIC.len() as u64);
        let pages: Vec<u32> = (0..self.layout.pages().len() as u32).collect();
        for run in self.runs(&pages) {
            let range = self.run_range(&run);
            let read = self.store.blobs.read_ranges(&self.name, std::slice::from_ref(&range)).await;
            let bytes = read?.pop().unwrap_or_default();
            for index in run {
                self.verified(&self.layout.pages()[index as usize], &bytes, range.start)?;
            }
            blob.write(bytes).await?;
            copied(range.end - range.start);
            tokio::task::yield_now().await;
        }
        let tail = self.tail_with_any_hints().await?;
        copied(tail.len() as u64);
        blob.write(tail).await?;
        blob.finish().await
    }
}
