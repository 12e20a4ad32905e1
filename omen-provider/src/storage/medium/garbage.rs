//! Files that nothing needs any more, and files that something may still name.
//!
//! *Garbage* is a file that certainly no manifest, no log and no unfinished work names: parts that
//! were replaced, logs that are in segments, what a failed operation wrote. It is deleted as soon
//! as no reader uses it; a deletion that fails is tried again with every later sweep.
//!
//! A *suspect* is a file of which that is not certain: a manifest names it whose publication had an
//! unknown outcome, or another writer's that went on from it, or the log, up to some statement. It
//! is decided when a later manifest stands: what that does not name, nor the log that goes on from
//! it, becomes garbage.
//!
//! Every file that is written is, until something names it, in one of these hands: those of an
//! [`Unnamed`] (which turns it into garbage when it is dropped), the suspects, or whoever retries
//! with it. Only a crash leaves others behind; the next open removes them.
//!
//! Called by all that writes files (`rewrite`, `publication`, the engine).
//!
//! Invariant: a suspect is never deleted.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::storage::segment::Segment;
use crate::storage::store::Store;
use crate::storage::wal::log_number;

/// A file, and the segment in it if readers may use that.
#[derive(Debug, Clone)]
pub struct File {
    name: String,
    segment: Option<Arc<Segment>>,
}

/// Files to be deleted.
#[derive(Debug, Default)]
pub struct Garbage {
    files: Mutex<Vec<File>>,
}

/// Files that are garbage unless [`Unnamed::keep`] is called before this is dropped.
#[derive(Debug)]
pub struct Unnamed<'a> {
    garbage: &'a Garbage,
    names: Vec<String>,
}

/// Files that a manifest or the log may name.
#[derive(Debug, Default)]
pub struct Suspects {
    /// Each with the last statement of the log that names it; 0 if only manifests may.
    files: Vec<(File, u64)>,
}

impl File {
    /// A file that no reader uses.
    pub fn named(name: String) -> Self {
        Self { name, segment: None }
    }

    /// The file of a segment that readers may use.
    pub fn of(segment: &Arc<Segment>) -> Self {
        Self { name: segment.record().file_name(), segment: Some(Arc::clone(segment)) }
    }

    /// Whether nobody else holds the segment.
    fn is_unused(&self) -> bool {
        self.segment.as_ref().is_none_or(|segment| Arc::strong_count(segment) == 1)
    }
}

impl Garbage {
    /// Adds files that nothing names.
    pub fn add(&self, files: impl IntoIterator<Item = File>) {
        let mut list = self.lock();
        for file in files {
            if list.iter().all(|other| other.name != file.name) {
                list.push(file);
            }
        }
    }

    /// Files about to be written that nothing names yet.
    pub fn unless_kept(&self, names: Vec<String>) -> Unnamed<'_> {
        Unnamed { garbage: self, names }
    }

    /// Takes back files that a manifest names again.
    pub fn spare(&self, named: &HashSet<String>) {
        self.lock().retain(|file| !named.contains(&file.name));
    }

    /// Deletes what no reader uses. After a failure the rest is left for the next time: the medium
    /// is not asked over and over while it fails.
    pub async fn sweep(&self, store: &Store) {
        let mut left = self.lock().len();
        while left > 0 {
            left -= 1;
            let unused = self.lock().iter().find(|file| file.is_unused()).map(|f| f.name.clone());
            let Some(name) = unused else { return };
            let deleted = delete(store, &name).await;
            let mut list = self.lock();
            let Some(at) = list.iter().position(|file| file.name == name) else { continue };
            let file = list.remove(at);
            if deleted.is_err() {
                // Others come first next time: one file must not keep all of them here.
                list.push(file);
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unnamed<'_> {
    /// Adds a file that is about to be written.
    pub fn push(&mut self, name: String) {
        self.names.push(name);
    }

    /// Something else answers for the files now.
    pub fn keep(mut self) {
        self.names.clear();
    }
}

impl Drop for Unnamed<'_> {
    fn drop(&mut self) {
        self.garbage.add(self.names.drain(..).map(File::named));
    }
}

impl Suspects {
    /// Adds a file that a manifest may name, or the log up to statement `lsn`.
    pub fn add(&mut self, file: File, lsn: u64) {
        if !self.holds(&file.name) {
            self.files.push((file, lsn));
        }
    }

    /// Whether the file of that name is one of them.
    pub fn holds(&self, name: &str) -> bool {
        self.files.iter().any(|(file, _)| file.name == name)
    }

    /// A manifest stands that names `named` and all statements up to `flushed_lsn` by its segments:
    /// decides whom it can decide, and returns those that nothing names.
    pub fn settle(&mut self, flushed_lsn: u64, named: &HashSet<String>) -> Vec<File> {
        let (decided, open) =
            self.files.drain(..).partition::<Vec<_>, _>(|(_, lsn)| *lsn <= flushed_lsn);
        self.files = open;
        let unnamed = decided.into_iter().map(|(file, _)| file);
        unnamed.filter(|file| !named.contains(&file.name)).collect()
    }
}

async fn delete(store: &Store, name: &str) -> Result<()> {
    match log_number(name) {
        Some(_) => store.logs.delete(name).await,
        None => store.blobs.delete(name).await,
    }
}
