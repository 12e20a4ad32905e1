//! What a damaged database may do: give the right rows, or an error that names what is damaged.
//!
//! Called by [`super::worker`]. The files lie in memory under the engine's own code for the local
//! disk; whoever opens them only to read must not change any.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use omen_provider::store::Files;
use omen_provider::{Clock, Error, Options, Result};

use super::mutants::Change;
use super::specimen::{FileList, Specimen, everything};
use crate::faulty_disk::files::FaultyFiles;
use crate::harness::media::small;

/// What became of a damaged database.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Every row and every definition is there and right, and nothing was noticed.
    Right,
    /// They are those of an earlier moment, as after a power cut.
    Earlier,
    /// An error, naming what is wrong.
    Refused,
    /// None of these: the story.
    Wrong(String),
}

/// A disk with these files in the directory of a database.
pub fn disk_of(files: &FileList) -> FaultyFiles {
    let disk = FaultyFiles::new();
    let root = Path::new("/db");
    disk.make_dir(root).unwrap();
    for folder in ["log", "manifest", "segments", "tmp"] {
        disk.make_dir(&root.join(folder)).unwrap();
    }
    for (name, bytes) in files {
        let handle = disk.create_new(&root.join(name)).unwrap();
        assert_eq!(handle.write_at(bytes, 0).unwrap(), bytes.len());
        handle.sync_all().unwrap();
    }
    disk
}

/// Opens the damaged files, reads all rows and definitions, asks views and indexes, and verifies;
/// read-only, so that nothing is mended.
pub async fn look(disk: &FaultyFiles) -> Result<(String, Result<()>)> {
    let options = Options { read_only: true, clock: Clock::stopped(), ..small() };
    let database = options.open_store(disk.store()).await?;
    let rows = everything(&database).await?;
    if database.table("n")?.get(150).await?.is_none() {
        return Ok(("key 150 is not found by itself".to_string(), Ok(())));
    }
    let problem = database.verify().await?.problems.into_iter().next();
    Ok((rows, problem.map_or(Ok(()), Err)))
}

/// Judges one mutant; `look` runs to its end on the caller's runtime.
pub fn judge(
    specimen: &Specimen,
    (file, change): (usize, Change),
    damaged: &FileList,
    runtime: &tokio::runtime::Runtime,
) -> Verdict {
    let disk = disk_of(damaged);
    disk.record();
    let looked = catch_unwind(AssertUnwindSafe(|| runtime.block_on(look(&disk))));
    // (It syncs what it reads of the log.)
    if disk.changes() > disk.file_syncs() {
        return Verdict::Wrong("a read-only opener wrote".to_string());
    }
    let (rows, verified) = match looked {
        Err(_) => return Verdict::Wrong("a panic".to_string()),
        Ok(Err(error)) => return refused(&error),
        Ok(Ok(looked)) => looked,
    };
    let whole = specimen.states.last();
    match verified {
        // What nobody noticed while reading must be right, whatever verification finds later.
        _ if Some(&rows) != whole => {
            let is_earlier = specimen.states.contains(&rows);
            match is_earlier && verified.is_ok() && may_be_torn(specimen, file, change) {
                true => Verdict::Earlier,
                false => Verdict::Wrong(difference(&rows, whole)),
            }
        }
        Ok(()) => Verdict::Right,
        Err(error) => refused(&error),
    }
}

/// The first line that is another than what there should be.
fn difference(found: &str, whole: Option<&String>) -> String {
    let mut whole = whole.map_or("", |whole| whole).lines();
    let line = found.lines().find(|line| Some(*line) != whole.next());
    line.unwrap_or("lines are missing").to_string()
}

/// A log cut at its end cannot be told from one that was never written further; so the last
/// statements, whole ones, may be missing. After any other damage nothing may.
fn may_be_torn(specimen: &Specimen, file: usize, change: Change) -> bool {
    let is_shorter = match change {
        Change::Cut(_) | Change::Zeroed(_) => true,
        Change::Replaced(old) | Change::Returned(old) => {
            specimen.older[old].0 == specimen.files[file].0
        }
        _ => false,
    };
    is_shorter && file == specimen.newest_log()
}

fn refused(error: &Error) -> Verdict {
    match error {
        Error::Corruption { .. } | Error::NotFound(_) | Error::InvalidInput(_) => Verdict::Refused,
        _ => Verdict::Wrong(format!("not a clear error: {error:?}")),
    }
}
