//! `omen verify`: reads every file and checks every checksum; fit for cron.

use std::io::Write;
use std::path::Path;

use crate::failure::{Failure, Result};
use crate::interrupt::interruptible_apart;
use crate::{notes, open};

/// Runs the subcommand: problems go to standard error, one a line, and make it fail.
pub(crate) async fn run(path: &Path) -> Result<()> {
    let database = open::open_read_only(path).await?;
    let report = interruptible_apart(async move { Ok(database.verify().await?) }).await?;
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
