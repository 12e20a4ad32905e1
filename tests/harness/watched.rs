//! A store that notes what it is asked for: what the engine says of itself is checked against it.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use omen_provider::Result;
use omen_provider::store::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, Pin, Store};

/// Bytes of a file.
pub type Read = (String, Range<u64>);

/// A store, watched. Clones watch together.
#[derive(Debug, Clone)]
pub struct Watched {
    inner: Store,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    reads: Vec<Read>,
    writes: Vec<String>,
}

impl Watched {
    /// Watches `inner`.
    pub fn new(inner: Store) -> Self {
        Self { inner, notes: Arc::default() }
    }

    /// The store to be used.
    pub fn store(&self) -> Store {
        let blobs = Arc::new(self.clone());
        Store { logs: Arc::clone(&blobs) as _, blobs, location: self.inner.location.clone() }
    }

    /// What was read of blobs since the last call.
    pub fn take_reads(&self) -> Vec<Read> {
        std::mem::take(&mut self.notes.lock().unwrap().reads)
    }

    /// Every call that changes something, or may.
    pub fn writes(&self) -> Vec<String> {
        self.notes.lock().unwrap().writes.clone()
    }

    fn note_read(&self, name: &str, range: Range<u64>) {
        self.notes.lock().unwrap().reads.push((name.to_string(), range));
    }

    fn note_write(&self, call: &str, name: &str) {
        self.notes.lock().unwrap().writes.push(format!("{call} {name}"));
    }
}

#[async_trait]
impl Blobs for Watched {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.note_write("put", name);
        self.inner.blobs.put_if_absent(name, bytes).await
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        self.note_write("create", name);
        self.inner.blobs.create(name).await
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().for_each(|range| self.note_read(name, range.clone()));
        self.inner.blobs.read_ranges(name, ranges).await
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        let bytes = self.inner.blobs.read(name).await?;
        self.note_read(name, 0..bytes.len() as u64);
        Ok(bytes)
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        self.inner.blobs.list(folder).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.note_write("delete", name);
        self.inner.blobs.delete(name).await
    }

    async fn clean(&self) -> Result<()> {
        self.note_write("clean", "");
        self.inner.blobs.clean().await
    }

    async fn pin(&self, name: &str) -> Result<Option<Pin>> {
        self.inner.blobs.pin(name).await
    }

    async fn unpinned(&self, name: &str) -> Result<Option<Pin>> {
        self.inner.blobs.unpinned(name).await
    }
}

#[async_trait]
impl Logs for Watched {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        self.note_write("create", name);
        self.inner.logs.create(name).await
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.inner.logs.read(name).await
    }

    async fn read_durable(&self, name: &str, from: u64) -> Result<Bytes> {
        self.inner.logs.read_durable(name, from).await
    }

    async fn take_over(&self, name: &str) -> Result<Bytes> {
        self.note_write("take over", name);
        self.inner.logs.take_over(name).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.inner.logs.list().await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.note_write("delete", name);
        self.inner.logs.delete(name).await
    }
}
