//! Opens the database that a command line names, and closes it.
//!
//! Both may take their time (a long log, many rows to flush), and Ctrl-C ends both: nothing that
//! was acknowledged depends on them.

use std::path::Path;
use std::sync::Arc;

use datafusion::object_store::memory::InMemory;
use omen_provider::store::Store;
use omen_provider::{Database, Durability, Options};

use crate::failure::{Failure, Result};
use crate::interrupt::interruptible_apart;
use crate::notes;

/// Opens `path` with `options`; without a path a database in memory.
pub(crate) async fn open(path: Option<&Path>, options: Options) -> Result<Database> {
    if let Some(path) = path {
        refuse_file(path)?;
        let path = path.to_path_buf();
        let opened = interruptible_apart(async move { Ok(options.open(path).await?) }).await;
        return opened.inspect(tell_of_dropped_tail);
    }
    if options.read_only || !options.create {
        let message = "--readonly and --no-create need the PATH of a database";
        return Err(Failure::Usage(message.to_string()));
    }
    if options.durability != Durability::Sync {
        let message = "--may-lose-last-ms needs the PATH of a database: in memory all is lost";
        return Err(Failure::Usage(message.to_string()));
    }
    Ok(options.open_store(Store::object_store(Arc::new(InMemory::new()), "memory")).await?)
}

/// Opens an existing database without writing to it.
pub(crate) async fn open_read_only(path: &Path) -> Result<Database> {
    let options = Options { read_only: true, create: false, ..Options::default() };
    open(Some(path), options).await
}

/// Closes a database, so that the next open is quick.
pub(crate) async fn close(database: Database) -> Result<()> {
    interruptible_apart(async move { Ok(database.close().await?) }).await
}

/// A crash cut the last record short: nothing that was acknowledged, but people may wonder.
fn tell_of_dropped_tail(database: &Database) {
    let Some(tail) = database.dropped_tail() else { return };
    notes::note(format!(
        "the last record of {} was incomplete: {} from byte {} on, of a statement that was never \
         acknowledged, were dropped",
        tail.file,
        notes::counted(tail.bytes, "byte"),
        notes::grouped(tail.offset),
    ));
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
