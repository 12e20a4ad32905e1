//! `omen verify`: reads every file and checks every checksum; fit for cron.

use std::io::Write;
use std::path::Path;

use omen_provider::{Options, VerifyReport};

use crate::failure::{Failure, Result};
use crate::interrupt::interruptible_apart;
use crate::{notes, open};

/// Runs the subcommand: problems go to standard error, one a line, and make it fail.
pub(crate) async fn run(path: &Path) -> Result<()> {
    let report = match open::open_read_only(path).await {
        Ok(database) => interruptible_apart(async move { Ok(database.verify().await?) }).await?,
        Err(Failure::Error(error)) if path.is_dir() => verify_files(path, error).await?,
        Err(failure) => return Err(failure),
    };
    for problem in &report.problems {
        notes::note(format!("error: {problem}"));
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "checked {}, {}, {}: {}",
        notes::counted(report.segments, "segment"),
        notes::bytes(report.bytes),
        notes::rows(report.rows),
        match report.problems.len() {
            0 => "no problems".to_string(),
            count => notes::counted(count as u64, "problem"),
        }
    )?;
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(Failure::Error(format!("{} is damaged; the list above names each place", path.display())))
}

/// What is wrong with a database that does not open, for the reason given.
async fn verify_files(path: &Path, reason: String) -> Result<VerifyReport> {
    let directory = path.to_path_buf();
    let verify = async move { Ok(Options::default().verify(directory).await) };
    let report = interruptible_apart(verify).await?;
    // Nothing that a file by itself shows, or no database at all.
    let is_there = path.join("manifest").is_dir();
    match is_there && !report.problems.is_empty() {
        true => Ok(report),
        false => Err(Failure::Error(reason)),
    }
}
