//! `omen restore`: makes a database of a backup, every file checked as it is copied.

use std::path::Path;

use omen_provider::Options;

use crate::backup::{Bar, told};
use crate::failure::Result;
use crate::notes;

/// Runs the subcommand.
pub(crate) async fn run(backup: &Path, path: &Path) -> Result<()> {
    let (source, target) = (backup.to_path_buf(), path.to_path_buf());
    let work = async move {
        let (bar, options) = (Bar::new("copying"), Options::default());
        let report = options.restore(source, target, &|done, of| bar.show(done, of)).await;
        bar.clear();
        Ok(report?)
    };
    told(work).await?;
    notes::note(format!("{} is a database of its own from here on", path.display()));
    Ok(())
}
