//! A store of which chosen calls fail, by what they do and to which file, as long as a test wants.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use omen_provider::store::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, Pin, Store};
use omen_provider::{Error, Result};
use tokio::sync::Notify;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Publishes a small file.
    Put,
    /// Gives a large file its name.
    Finish,
    /// Makes a log.
    CreateLog,
    /// Appends to a log.
    Append,
    /// Removes a file.
    Delete,
    /// Reads a part of a file.
    Read,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing happens.
    Nothing,
    /// It happens, and the answer is lost.
    Whole,
    /// It waits until the store is mended, then happens.
    Waits,
}

/// Where a damaged file is damaged: in its first page.
const DAMAGE: u64 = 60;

/// Which calls fail.
type Fails = fn(Call, &str) -> bool;

/// The store. Clones fail together.
#[derive(Debug, Clone)]
pub struct Failing {
    inner: Store,
    rule: Arc<Mutex<Rule>>,
    mended: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Rule {
    fails: Option<(Fails, Effect)>,
    failures: usize,
    reads: Vec<String>,
    damaged: Vec<String>,
}

impl Failing {
    /// A store before `inner` that does not fail yet.
    pub fn new(inner: Store) -> Self {
        Self { inner, rule: Arc::default(), mended: Arc::default() }
    }

    /// The store to be used.
    pub fn store(&self) -> Store {
        let blobs = Arc::new(self.clone());
        Store { logs: Arc::clone(&blobs) as _, blobs, location: self.inner.location.clone() }
    }

    /// Lets calls fail from now on.
    pub fn fail(&self, fails: Fails, effect: Effect) {
        self.rule.lock().unwrap().fails = Some((fails, effect));
    }

    /// Lets all calls succeed from now on.
    pub fn mend(&self) {
        self.rule.lock().unwrap().fails = None;
        self.mended.notify_waiters();
    }

    /// How many calls have failed.
    pub fn failures(&self) -> usize {
        self.rule.lock().unwrap().failures
    }

    /// How often parts of a file were read.
    pub fn reads_of(&self, name: &str) -> usize {
        self.rule.lock().unwrap().reads.iter().filter(|read| *read == name).count()
    }

    /// All files, and their bytes as far as the store tells them.
    pub async fn files(&self) -> (Vec<String>, u64) {
        let mut names = self.inner.logs.list().await.unwrap();
        let mut bytes = self.log_bytes().await;
        for folder in ["segments", "manifest"] {
            for blob in self.inner.blobs.list(folder).await.unwrap() {
                bytes += blob.bytes;
                names.push(blob.name);
            }
        }
        (names, bytes)
    }

    /// Bytes of all logs.
    pub async fn log_bytes(&self) -> u64 {
        let mut bytes = 0;
        for name in self.inner.logs.list().await.unwrap() {
            bytes += self.inner.logs.read(&name).await.unwrap().len() as u64;
        }
        bytes
    }

    /// The names of all segments.
    pub async fn inner_segments(&self) -> Vec<String> {
        let blobs = self.inner.blobs.list("segments").await.unwrap();
        let names = blobs.into_iter().map(|blob| blob.name);
        names.filter(|name| name.ends_with(".parquet")).collect()
    }

    /// Flips a bit of the first page of a file whenever it is read.
    pub fn damage(&self, name: &str) {
        self.rule.lock().unwrap().damaged.push(name.to_string());
    }

    /// Takes that back.
    pub fn heal(&self, name: &str) {
        self.rule.lock().unwrap().damaged.retain(|damaged| damaged != name);
    }

    /// Runs a call as the rule says.
    async fn run<T>(
        &self,
        (call, name): (Call, &str),
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let effect = {
            let mut rule = self.rule.lock().unwrap();
            let effect =
                rule.fails.filter(|(fails, _)| fails(call, name)).map(|(_, effect)| effect);
            rule.failures += usize::from(effect.is_some());
            effect
        };
        let source = Arc::new(io::Error::other("planned fault"));
        let error = Error::Io { path: name.to_string(), source };
        match effect {
            None => work.await,
            Some(Effect::Nothing) => Err(error),
            Some(Effect::Whole) => work.await.and(Err(error)),
            Some(Effect::Waits) => {
                self.mended.notified().await;
                work.await
            }
        }
    }
}

#[async_trait]
impl Blobs for Failing {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.run((Call::Put, name), self.inner.blobs.put_if_absent(name, bytes)).await
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        let inner = self.inner.blobs.create(name).await?;
        Ok(Box::new(Writing { store: self.clone(), name: name.to_string(), inner }))
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let is_damaged = {
            let mut rule = self.rule.lock().unwrap();
            rule.reads.push(name.to_string());
            rule.damaged.iter().any(|damaged| damaged == name)
        };
        let reads = self.inner.blobs.read_ranges(name, ranges);
        let mut read = self.run((Call::Read, name), reads).await?;
        for (range, bytes) in ranges.iter().zip(&mut read) {
            if is_damaged && range.contains(&DAMAGE) {
                let mut flipped = bytes.to_vec();
                flipped[(DAMAGE - range.start) as usize] ^= 1;
                *bytes = Bytes::from(flipped);
            }
        }
        Ok(read)
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.inner.blobs.read(name).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        self.inner.blobs.list(folder).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.run((Call::Delete, name), self.inner.blobs.delete(name)).await
    }

    async fn clean(&self) -> Result<()> {
        self.inner.blobs.clean().await
    }

    async fn pin(&self, name: &str) -> Result<Option<Pin>> {
        self.inner.blobs.pin(name).await
    }

    async fn unpinned(&self, name: &str) -> Result<Option<Pin>> {
        self.inner.blobs.unpinned(name).await
    }
}

struct Writing<W: ?Sized> {
    store: Failing,
    name: String,
    inner: Box<W>,
}

#[async_trait]
impl BlobWriter for Writing<dyn BlobWriter> {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let Self { store, name, inner } = *self;
        store.run((Call::Finish, &name), inner.finish()).await
    }
}

#[async_trait]
impl Logs for Failing {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        let inner = self.run((Call::CreateLog, name), self.inner.logs.create(name)).await?;
        Ok(Box::new(Writing { store: self.clone(), name: name.to_string(), inner }))
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.inner.logs.read(name).await
    }

    async fn read_durable(&self, name: &str, from: u64) -> Result<Bytes> {
        self.inner.logs.read_durable(name, from).await
    }

    async fn take_over(&self, name: &str) -> Result<Bytes> {
        self.inner.logs.take_over(name).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.inner.logs.list().await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.run((Call::Delete, name), self.inner.logs.delete(name)).await
    }
}

#[async_trait]
impl LogFile for Writing<dyn LogFile> {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.store.run((Call::Append, &self.name), self.inner.append(bytes)).await
    }

    async fn sync(&mut self) -> Result<()> {
        self.inner.sync().await
    }
}
