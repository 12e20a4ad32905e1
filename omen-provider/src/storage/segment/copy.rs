//! Copies a segment into another store, every byte checked on its way; or checks one that is there.
//!
//! Called by backup and restore. Reads pages as the layout has them, one run of neighbours at a
//! time, and never decodes any.
//!
//! Invariant: what gets a name in the other store is what was written here, but for hints that are
//! damaged already: they cost no row, and a compaction writes them anew.

use std::ops::Range;

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
        for run in self.all_runs() {
            let bytes = self.verified_run(run).await?;
            copied(bytes.len() as u64);
            blob.write(bytes).await?;
            tokio::task::yield_now().await;
        }
        let tail = self.tail_with_any_hints().await?;
        copied(tail.len() as u64);
        blob.write(tail).await?;
        blob.finish().await
    }

    /// Reads all pages and compares their checksums, as [`Segment::copy_to`] does, and keeps none:
    /// with the tail, which was read when the segment was opened, that is every byte.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] naming the file if it is not what was written.
    pub async fn verify_bytes(&self) -> Result<()> {
        self.verify_magic().await?;
        for run in self.all_runs() {
            self.verified_run(run).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn all_runs(&self) -> Vec<Range<u32>> {
        let pages: Vec<u32> = (0..self.layout.pages().len() as u32).collect();
        self.runs(&pages)
    }

    /// The bytes of neighbouring pages, each of which is what was written.
    async fn verified_run(&self, run: Range<u32>) -> Result<Bytes> {
        let range = self.run_range(&run);
        let read = self.store.blobs.read_ranges(&self.name, std::slice::from_ref(&range)).await;
        let bytes = read?.pop().unwrap_or_default();
        for index in run {
            self.verified(&self.layout.pages()[index as usize], &bytes, range.start)?;
        }
        Ok(bytes)
    }
}
