//! Opens the database that a command line names.

use std::path::Path;

use omen_provider::{Database, Options};
use tempfile::TempDir;

use crate::failure::{Failure, Result};

/// An open database; without a path a temporary one, removed with this value.
pub(crate) struct Opened {
    /// The database.
    pub(crate) database: Database,
    temporary: Option<TempDir>,
}

impl Opened {
    /// Whether the database is gone at the end.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Ends the use of the database, with all of it on disk.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.database.close().await?)
    }
}

/// Opens `path` with `options`.
pub(crate) async fn open(path: Option<&Path>, options: Options) -> Result<Opened> {
    if let Some(path) = path {
        refuse_file(path)?;
        return Ok(Opened { database: options.open(path).await?, temporary: None });
    }
    if options.read_only {
        return Err(Failure::Usage("--readonly needs the PATH of a database".to_string()));
    }
    let temporary = TempDir::with_prefix("omen-")?;
    let database = options.open(temporary.path()).await?;
    Ok(Opened { database, temporary: Some(temporary) })
}

/// Opens an existing database without writing to it.
pub(crate) async fn open_read_only(path: &Path) -> Result<Database> {
    refuse_file(path)?;
    Ok(Options { read_only: true, create: false, ..Options::default() }.open(path).await?)
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
