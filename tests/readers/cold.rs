//! A directory that is read without any descriptor being kept open: what was removed is gone.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use omen_provider::Result;
use omen_provider::store::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, Pin, Store};

/// The directory. Each call goes to a store of its own.
#[derive(Debug, Clone)]
struct Cold {
    folder: PathBuf,
    pins: bool,
}

/// A store that keeps nothing open but pins, and not even those unless `pins`.
pub fn cold_store(folder: &Path, pins: bool) -> Store {
    let cold = Arc::new(Cold { folder: folder.to_path_buf(), pins });
    Store { blobs: Arc::clone(&cold) as _, logs: cold, location: folder.display().to_string() }
}

impl Cold {
    fn store(&self) -> Store {
        Store::local(&self.folder)
    }
}

#[async_trait]
impl Blobs for Cold {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.store().blobs.put_if_absent(name, bytes).await
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        self.store().blobs.create(name).await
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store().blobs.read_ranges(name, ranges).await
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.store().blobs.read(name).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        self.store().blobs.list(folder).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.store().blobs.delete(name).await
    }

    async fn clean(&self) -> Result<()> {
        self.store().blobs.clean().await
    }

    async fn pin(&self, name: &str) -> Result<Option<Pin>> {
        match self.pins {
            true => self.store().blobs.pin(name).await,
            false => Ok(Some(Pin::unseen())),
        }
    }

    async fn unpinned(&self, name: &str) -> Result<Option<Pin>> {
        self.store().blobs.unpinned(name).await
    }

    async fn hold_reserve(&self, bytes: u64) -> Result<()> {
        self.store().blobs.hold_reserve(bytes).await
    }

    async fn give_up_reserve(&self) -> Result<bool> {
        self.store().blobs.give_up_reserve().await
    }

    fn spill_folder(&self) -> Result<Option<PathBuf>> {
        self.store().blobs.spill_folder()
    }
}

#[async_trait]
impl Logs for Cold {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        self.store().logs.create(name).await
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.store().logs.read(name).await
    }

    async fn read_durable(&self, name: &str, from: u64) -> Result<Bytes> {
        self.store().logs.read_durable(name, from).await
    }

    async fn take_over(&self, name: &str) -> Result<Bytes> {
        self.store().logs.take_over(name).await
    }

    async fn resume(&self, name: &str, bytes: u64) -> Result<Box<dyn LogFile>> {
        self.store().logs.resume(name, bytes).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.store().logs.list().await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.store().logs.delete(name).await
    }
}
