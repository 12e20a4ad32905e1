//! A store whose every call is a point of the schedule, and may wait.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use omen_provider::Result;
use omen_provider::store::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, Pin, Store};

use super::scheduler::{pause, suspend};

/// The store below.
#[derive(Debug)]
struct Pausing(Store);

struct PausingBlob(Box<dyn BlobWriter>);

struct PausingLog(Box<dyn LogFile>);

/// `inner`, with points.
pub fn pausing(inner: Store) -> Store {
    let location = inner.location.clone();
    let pausing = Arc::new(Pausing(inner));
    Store { logs: Arc::clone(&pausing) as _, blobs: pausing, location }
}

#[async_trait]
impl Blobs for Pausing {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        suspend().await;
        self.0.blobs.put_if_absent(name, bytes).await?;
        suspend().await;
        Ok(())
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        suspend().await;
        Ok(Box::new(PausingBlob(self.0.blobs.create(name).await?)))
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        suspend().await;
        self.0.blobs.read_ranges(name, ranges).await
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        suspend().await;
        self.0.blobs.read(name).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        suspend().await;
        self.0.blobs.list(folder).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        suspend().await;
        self.0.blobs.delete(name).await
    }

    async fn clean(&self) -> Result<()> {
        self.0.blobs.clean().await
    }

    async fn pin(&self, name: &str) -> Result<Option<Pin>> {
        self.0.blobs.pin(name).await
    }

    async fn unpinned(&self, name: &str) -> Result<Option<Pin>> {
        self.0.blobs.unpinned(name).await
    }
}

#[async_trait]
impl BlobWriter for PausingBlob {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        pause();
        self.0.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        suspend().await;
        self.0.finish().await
    }
}

#[async_trait]
impl Logs for Pausing {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        suspend().await;
        Ok(Box::new(PausingLog(self.0.logs.create(name).await?)))
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.0.logs.read(name).await
    }

    async fn read_durable(&self, name: &str, from: u64) -> Result<Bytes> {
        self.0.logs.read_durable(name, from).await
    }

    async fn take_over(&self, name: &str) -> Result<Bytes> {
        self.0.logs.take_over(name).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.0.logs.list().await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        suspend().await;
        self.0.logs.delete(name).await
    }
}

#[async_trait]
impl LogFile for PausingLog {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        suspend().await;
        self.0.append(bytes).await
    }

    async fn sync(&mut self) -> Result<()> {
        suspend().await;
        self.0.sync().await?;
        suspend().await;
        Ok(())
    }
}
