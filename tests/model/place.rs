//! Where the databases of the histories lie.

use omen_provider::{Database, Options, Result};

use crate::faulty_disk::files::FaultyFiles;
use crate::harness::media::Medium;

/// A place that outlives the database.
pub enum Place {
    /// One of the media.
    Medium(Medium),
    /// A file system in memory, below the engine's own code for the local disk. Power can fail.
    Files(FaultyFiles),
}

impl Place {
    /// Opens the database here, or makes it.
    pub async fn open(&self, options: Options) -> Result<Database> {
        match self {
            Self::Medium(medium) => medium.open(options).await,
            Self::Files(files) => options.open_store(files.store()).await,
        }
    }

    /// Goes on with what a power cut leaves, where there are power cuts.
    pub fn cut_power(&mut self, seed: u64) {
        if let Self::Files(files) = self {
            *files = files.after_power_cut(seed);
        }
    }
}
