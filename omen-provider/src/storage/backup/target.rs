//! What may be in the place of a copy before it is made.
//!
//! Called by `backup`. Invariant: what is refused here was not touched.

use super::FIRST_OWN_FILE;
use crate::error::{Error, Result};
use crate::storage::manifest::{Line, Manifest};
use crate::storage::store::Store;

/// Says whose manifest is damaged. Without one, nobody can tell what the backup is of.
pub(super) fn of_backup(error: Error, target: &Store) -> Error {
    match error {
        Error::Corruption { path, offset, reason } => Error::corruption(
            format!("{}/{path}", target.location),
            offset,
            format!(
                "{reason}; if this is a backup of the same database, remove its folder \
                 \"manifest\" and back up again: segments that are whole stay"
            ),
        ),
        error => error,
    }
}

/// Refuses what a backup of `line` must not write over.
pub(super) fn check_line(before: &Manifest, line: &Line, lsn: u64, location: &str) -> Result<()> {
    let there = before.line();
    let why = if there.database != line.database {
        "it holds another database"
    } else if !before.backup {
        "it is the database itself, or a backup that was opened for writing and has gone its own \
         way since"
    } else if there.epoch == line.epoch && there.writer != line.writer {
        "it is a backup of a copy of this database that has gone another way"
    } else if there.epoch > line.epoch || before.flushed_lsn > lsn {
        "it is a backup of a later state of this database, or of a copy that went another way"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!(
        "{location} takes no backup of this database: {why}; name another directory"
    )))
}

/// Refuses a target without a manifest that is not what an interrupted backup leaves.
pub(super) async fn refuse_remains(target: &Store) -> Result<()> {
    match target.logs.list().await?.first() {
        None => Ok(()),
        Some(log) => Err(Error::corruption(
            log,
            0,
            format!("{} has a log and no manifest; was that removed?", target.location),
        )),
    }
}

/// Refuses a place for a restored database in which there is something.
pub(super) async fn refuse_files(target: &Store) -> Result<()> {
    let mut files = target.logs.list().await?;
    files.extend(target.blobs.list("manifest").await?.into_iter().map(|blob| blob.name));
    match files.first() {
        // Segments alone are what a killed restore leaves: without a manifest they are nothing.
        // (Names that no segment has are not listed.)
        None => {
            for blob in target.blobs.list("segments").await? {
                target.blobs.delete(&blob.name).await?;
            }
            Ok(())
        }
        Some(file) => Err(Error::invalid(format!(
            "{} is not empty: it holds {file}; a backup is restored into a new directory",
            target.location
        ))),
    }
}

/// The counter in the number of a file that a copy of that epoch has made itself.
pub(super) fn own_number(name: &str, epoch: u64) -> Option<u64> {
    let digits = name.strip_prefix("segments/")?.split('.').next()?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    let counter = number & u64::from(u32::MAX);
    (number >> 32 == epoch && counter >= FIRST_OWN_FILE).then_some(counter)
}
