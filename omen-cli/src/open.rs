//! Opens the database that a command line names.

use std::path::Path;
use std::sync::Arc;

use datafusion::object_store::memory::InMemory;
use omen_provider::store::Store;
use omen_provider::{Database, Options};

use crate::failure::{Failure, Result};

/// Opens `path` with `options`; without a path a database in memory.
pub(crate) async fn open(path: Option<&Path>, options: Options) -> Result<Database> {
    if let Some(path) = path {
        refuse_file(path)?;
        return Ok(options.open(path).await?);
    }
    if options.read_only || !options.create {
        let message = "--readonly and --no-create need the PATH of a database";
        return Err(Failure::Usage(message.to_string()));
    }
    Ok(options.open_store(Store::object_store(Arc::new(InMemory::new()), "memory")).await?)
}

/// Opens an existing database without writing to it.
pub(crate) async fn open_read_only(path: &Path) -> Result<Database> {
    let options = Options { read_only: true, create: false, ..Options::default() };
    open(Some(path), options).await
}

fn refuse_file(path: &Path) -> Result<()> {
    if path.is_file() {
        return Err(Failure::Error(format!(
            "{} is a file; a database is a directory (to load a file: omen import PATH TABLE {0})",
            path.display()
        )));
    }
    Ok(())
}
