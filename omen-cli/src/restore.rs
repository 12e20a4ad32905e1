//! `omen restore`: makes a database of a backup, every file checked as it is copied.

use std::path::Path;
use std::time::Instant;

use omen_provider::Options;

use crate::backup::{Bar, summary, warn_of_impaired};
use crate::failure::Result;
use crate::interrupt::interruptible_apart;
use crate::notes;

/// Runs the subcommand.
pub(crate) async fn run(backup: &Path, path: &Path) -> Result<()> {
    let started = Instant::now();
    let (source, target) = (backup.to_path_buf(), path.to_path_buf());
    let work = async move {
        let (bar, options) = (Bar::new("copying"), Options::default());
        let report = options.restore(source, target, &|done, of| bar.show(done, of)).await;
        bar.clear();
        Ok(report?)
    };
    let report = interruptible_apart(work).await?;
    let elapsed = notes::time(started.elapsed());
    notes::note(format!("{} in {elapsed}", summary(&report)));
    warn_of_impaired(&report);
    notes::note(format!("{} is a database of its own from here on", path.display()));
    Ok(())
}
