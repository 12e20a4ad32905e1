//! The media that a database can lie on: every test of the engine's promises runs on each.

use std::path::Path;
use std::sync::Arc;

use object_store::memory::InMemory;
use omen_provider::store::Store;
use omen_provider::{Database, Options, Result};
use tempfile::TempDir;

use crate::faulty_disk::FaultyDisk;

/// Where a database lies; it stays there while the database is closed.
#[derive(Debug)]
pub enum Medium {
    /// A directory of the local disk.
    Disk(TempDir),
    /// An object store in memory.
    Objects(Arc<InMemory>),
    /// The faulty disk, which works as long as nobody asks for faults.
    Faulty(FaultyDisk),
}

impl Medium {
    /// A fresh directory.
    pub fn disk() -> Self {
        Self::Disk(tempfile::tempdir().expect("a temporary directory"))
    }

    /// A fresh object store.
    pub fn objects() -> Self {
        Self::Objects(Arc::new(InMemory::new()))
    }

    /// A fresh disk of the tests.
    pub fn faulty() -> Self {
        Self::Faulty(FaultyDisk::new())
    }

    /// One of each.
    pub fn all() -> Vec<Self> {
        vec![Self::disk(), Self::objects(), Self::faulty()]
    }

    /// Opens the database that lies here, or makes it.
    pub async fn open(&self, options: Options) -> Result<Database> {
        match self {
            Self::Disk(folder) => options.open(folder.path()).await,
            Self::Objects(_) | Self::Faulty(_) => options.open_store(self.store()).await,
        }
    }

    /// What lies below the database.
    pub fn store(&self) -> Store {
        match self {
            Self::Disk(folder) => Store::local(folder.path()),
            Self::Objects(objects) => Store::object_store(Arc::clone(objects) as _, "db"),
            Self::Faulty(disk) => disk.store(),
        }
    }

    /// The directory of a database on the local disk.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Disk(folder) => folder.path(),
            Self::Objects(_) | Self::Faulty(_) => panic!("not on the local disk"),
        }
    }
}

/// Options under which a few hundred rows fill several runs, segments and row groups.
pub fn small() -> Options {
    Options {
        memtable_bytes_max: 64 << 10,
        cache_bytes_max: 1 << 20,
        row_group_rows: 256,
        segment_rows_max: 1024,
        ..Options::default()
    }
}
