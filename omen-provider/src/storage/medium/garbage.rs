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
//! A manifest that a newer one took the place of goes first, once nobody has pinned it: until then
//! it stays with all that it names, for a reader in another process may be there. What is left of
//! a manifest after a crash still counts, so it is gone before any file that only it names.
//!
//! Every file that is written is, until something names it, in one of these hands: those of an
//! [`Unnamed`] (which turns it into garbage when it is dropped), the suspects, or whoever retries
//! with it. Only a crash leaves others behind; the next open removes them.
//!
//! Called by all that writes files (`rewrite`, `publication`, the engine).
//!
//! Invariant: a suspect is never deleted, nor what a pinned manifest names.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::storage::segment::Segment;
use crate::storage::store::Store;
use crate::storage::wal::log_number;

/// A file, and who uses it if readers may.
#[derive(Debug, Clone)]
pub struct File {
    name: String,
    users: Option<Arc<()>>,
}

/// A manifest and the files that it names, or the log that goes on from it.
#[derive(Debug, Clone)]
pub struct Named {
    /// The manifest's own name.
    pub manifest: String,
    /// The names of the files.
    pub files: HashSet<String>,
}

/// Files to be deleted.
#[derive(Debug, Default)]
pub struct Garbage {
    files: Mutex<Vec<File>>,
    /// Manifests below the newest that may still be there.
    superseded: Mutex<Vec<Named>>,
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
        Self { name, users: None }
    }

    /// The file of a segment that readers may use.
    pub fn of(segment: &Arc<Segment>) -> Self {
        Self { name: segment.record().file_name(), users: Some(segment.users()) }
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nobody holds the segment.
    fn is_unused(&self) -> bool {
        self.users.as_ref().is_none_or(|users| Arc::strong_count(users) == 1)
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

    /// Adds manifests that a newer one has taken the place of.
    pub fn supersede(&self, manifests: impl IntoIterator<Item = Named>) {
        lock(&self.superseded).extend(manifests);
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
        self.sweep_manifests(store).await;
        let spared: HashSet<String> =
            lock(&self.superseded).iter().flat_map(|named| named.files.iter().cloned()).collect();
        let mut left = self.lock().len();
        while left > 0 {
            left -= 1;
            let may_go = |file: &&File| file.is_unused() && !spared.contains(&file.name);
            let unused = self.lock().iter().find(may_go).map(|file| file.name.clone());
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

    /// Deletes the superseded manifests that nobody has pinned.
    async fn sweep_manifests(&self, store: &Store) {
        let names: Vec<String> =
            lock(&self.superseded).iter().map(|named| named.manifest.clone()).collect();
        for name in names {
            let deleted = delete_unpinned(store, &name).await;
            let mut list = lock(&self.superseded);
            let Some(at) = list.iter().position(|named| named.manifest == name) else { continue };
            match deleted {
                Ok(true) => drop(list.remove(at)),
                Ok(false) => {}
                Err(_) => {
                    // As with files.
                    let named = list.remove(at);
                    list.push(named);
                    return;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<File>> {
        lock(&self.files)
    }
}

/// No code that holds one of these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deletes a blob unless somebody has pinned it; says whether it is gone.
pub async fn delete_unpinned(store: &Store, name: &str) -> Result<bool> {
    // Held until the name is gone: who pins it then finds that it is.
    let Some(_right) = store.blobs.unpinned(name).await? else { return Ok(false) };
    store.blobs.delete(name).await?;
    Ok(true)
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

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(file, _)| file.name())
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

/// Deletes a file, whatever it is.
async fn delete(store: &Store, name: &str) -> Result<()> {
    match log_number(name) {
        Some(_) => store.logs.delete(name).await,
        None => store.blobs.delete(name).await,
    }
}
