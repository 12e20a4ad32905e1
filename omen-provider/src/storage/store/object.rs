//! The seam on any `object_store`: S3, Google Cloud Storage, Azure, memory.
//!
//! A blob is one object, put on condition that its name is free. A log is a folder of objects
//! numbered from 0, one for each synced group of appends, each put on the same condition:
//!
//! ```text
//! log/0000000100000002.log/00000000000000000000   empty: the log exists
//! log/0000000100000002.log/00000000000000000001   the first group
//! log/0000000100000002.log/00000000000000000002   …
//! ```
//!
//! Whoever takes a log over puts an empty object, a *fence*, at the next number: the former
//! writer's next sync finds its number taken and fails. Deleting a log spares its fence, so that a
//! writer long asleep still meets it; a log whose object 0 is gone is no log any more.
//!
//! Invariant: the objects of a log are numbered without a gap, the fence last.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, check_name};
use crate::error::{Error, Result};

/// Folder of logs.
const LOG_FOLDER: &str = "log";

/// Blobs and logs below one prefix of an object store.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self { store, prefix: Path::from(prefix) }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Puts an object if its name is free.
    async fn put(&self, path: &Path, payload: PutPayload) -> Result<()> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(path, payload, options).await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }

    async fn get(&self, path: &Path) -> Result<Bytes> {
        let object = self.store.get(path).await.map_err(|e| failed(path, e))?;
        object.bytes().await.map_err(|e| failed(path, e))
    }

    /// Deletes an object; a missing one is not an error.
    async fn remove(&self, path: &Path) -> Result<()> {
        match self.store.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            result => result.map_err(|e| failed(path, e)),
        }
    }

    /// The files of a folder below the prefix, by name: relative name and length.
    async fn list_folder(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        let path = self.path(folder);
        let objects: Vec<_> =
            self.store.list(Some(&path)).try_collect().await.map_err(|e| failed(&path, e))?;
        let mut found: Vec<BlobInfo> = objects
            .into_iter()
            .filter_map(|object| {
                let rest: Vec<_> = object.location.prefix_match(&path)?.collect();
                let rest: Vec<_> = rest.iter().map(|part| part.as_ref()).collect();
                Some(BlobInfo { name: rest.join("/"), bytes: object.size })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The objects of a log in order, checked to have no gap.
    async fn log_objects(&self, name: &str) -> Result<Vec<BlobInfo>> {
        check_name(name)?;
        let objects = self.list_folder(name).await?;
        if objects.first().is_none_or(|first| first.name != object_name(0)) {
            return Err(Error::NotFound(self.path(name).to_string()));
        }
        for (number, object) in objects.iter().enumerate() {
            if object.name != object_name(number as u64) {
                return Err(Error::corruption(
                    format!("{name}/{}", object.name),
                    0,
                    format!("object {} of the log is missing", object_name(number as u64)),
                ));
            }
        }
        Ok(objects)
    }

    /// The content of a log and the number that its next object gets.
    async fn read_log(&self, name: &str) -> Result<(Bytes, u64)> {
        let objects = self.log_objects(name).await?;
        let mut content = Vec::new();
        for object in objects.iter().filter(|object| object.bytes > 0) {
            let path = self.path(name).join(object.name.as_str());
            content.extend_from_slice(&self.get(&path).await?);
        }
        Ok((Bytes::from(content), objects.len() as u64))
    }
}

fn object_name(number: u64) -> String {
    format!("{number:020}")
}

#[async_trait]
impl Blobs for Objects {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        check_name(name)?;
        self.put(&self.path(name), bytes.into()).await
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        check_name(name)?;
        let path = self.path(name);
        Ok(Box::new(ObjectWriter { objects: self.clone(), path, pieces: Vec::new() }))
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        check_name(name)?;
        let path = self.path(name);
        let read = match self.store.get_ranges(&path, ranges).await {
            Ok(read) => read,
            Err(error @ object_store::Error::NotFound { .. }) => return Err(failed(&path, error)),
            Err(error) => {
                // Stores differ in how they refuse a range past the end.
                let length = self.store.head(&path).await.map_err(|e| failed(&path, e))?.size;
                match ranges.iter().find(|range| range.end > length) {
                    Some(range) => return Err(too_short(name, range)),
                    None => return Err(failed(&path, error)),
                }
            }
        };
        for (range, bytes) in ranges.iter().zip(&read) {
            if bytes.len() as u64 != range.end.saturating_sub(range.start) {
                return Err(too_short(name, range));
            }
        }
        Ok(read)
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        check_name(name)?;
        self.get(&self.path(name)).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        let mut found = self.list_folder(folder).await?;
        for info in &mut found {
            info.name = format!("{folder}/{}", info.name);
        }
        found.retain(|info| check_name(&info.name).is_ok());
        Ok(found)
    }

    async fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.remove(&self.path(name)).await
    }

    async fn clean(&self) -> Result<()> {
        // An unfinished object was never put.
        Ok(())
    }
}

/// A blob being gathered. It is put in one request, because only that can be made conditional on
/// every store; it is bounded by the size of a segment.
struct ObjectWriter {
    objects: Objects,
    path: Path,
    pieces: Vec<Bytes>,
}

#[async_trait]
impl BlobWriter for ObjectWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.pieces.push(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.objects.put(&self.path, PutPayload::from_iter(self.pieces)).await
    }
}

#[async_trait]
impl Logs for Objects {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        check_name(name)?;
        let path = self.path(name);
        self.put(&path.clone().join(object_name(0)), PutPayload::new()).await?;
        let objects = self.clone();
        Ok(Box::new(ObjectLog { objects, path, next: 1, pieces: Vec::new(), broken: false }))
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        Ok(self.read_log(name).await?.0)
    }

    async fn take_over(&self, name: &str) -> Result<Bytes> {
        loop {
            let (content, next) = self.read_log(name).await?;
            let fence = self.path(name).join(object_name(next));
            match self.put(&fence, PutPayload::new()).await {
                Ok(()) => return Ok(content),
                // The former writer was faster: read again what it wrote.
                Err(Error::AlreadyExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn list(&self) -> Result<Vec<String>> {
        let first = object_name(0);
        let objects = self.list_folder(LOG_FOLDER).await?;
        let names = objects.iter().filter_map(|object| {
            let (log, number) = object.name.split_once('/')?;
            (number == first).then(|| format!("{LOG_FOLDER}/{log}"))
        });
        Ok(names.filter(|name| check_name(name).is_ok()).collect())
    }

    async fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut objects = self.list_folder(name).await?;
        // An empty object that is not the first is a fence; it stays.
        objects.retain(|object| object.bytes > 0 || object.name == object_name(0));
        // The first object last: without it the others would never be listed again.
        for object in objects.into_iter().rev() {
            self.remove(&self.path(name).join(object.name.as_str())).await?;
        }
        Ok(())
    }
}

/// A log being written.
struct ObjectLog {
    objects: Objects,
    path: Path,
    /// Number of the next object.
    next: u64,
    /// Appended and not yet synced.
    pieces: Vec<Bytes>,
    /// After a failed sync nobody knows whether its object is there.
    broken: bool,
}

#[async_trait]
impl LogFile for ObjectLog {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        if !bytes.is_empty() {
            self.pieces.push(bytes);
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<()> {
        let object = self.path.clone().join(object_name(self.next));
        if self.broken {
            return Err(Error::Conflict(format!("an earlier sync of log {} failed", self.path)));
        }
        if self.pieces.is_empty() {
            return Ok(());
        }
        // Also if this call is dropped half-way.
        self.broken = true;
        let payload = PutPayload::from_iter(std::mem::take(&mut self.pieces));
        match self.objects.put(&object, payload.clone()).await {
            Ok(()) => {}
            Err(Error::AlreadyExists(_)) => {
                // A request repeated after a lost answer meets its own object.
                if self.objects.get(&object).await? != Bytes::from(payload) {
                    return Err(Error::Conflict(format!(
                        "another writer has taken over log {}",
                        self.path
                    )));
                }
            }
            Err(error) => return Err(error),
        }
        self.next += 1;
        self.broken = false;
        Ok(())
    }
}

fn too_short(name: &str, range: &Range<u64>) -> Error {
    Error::corruption(name, range.start, format!("the file ends before byte {}", range.end))
}

fn failed(path: &Path, error: object_store::Error) -> Error {
    let path = path.to_string();
    match error {
        object_store::Error::NotFound { .. } => Error::NotFound(path),
        object_store::Error::AlreadyExists { .. } => Error::AlreadyExists(path),
        source => Error::ObjectStore { path, source: Arc::new(source) },
    }
}
