//! `omen backup`: brings a copy of a database up to date, whoever writes to the database meanwhile.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use omen_provider::BackupReport;

use crate::failure::Result;
use crate::interrupt::interruptible_apart;
use crate::progress::Progress;
use crate::{notes, open};

/// Runs the subcommand. The database is opened as a reader: its writer goes on.
pub(crate) async fn run(path: &Path, directory: &Path) -> Result<()> {
    let database = open::open_read_only(path).await?;
    let target = directory.to_path_buf();
    let work = async move {
        let bar = Bar::new("copying");
        let report = database.backup_with_progress(target, &|done, of| bar.show(done, of)).await;
        bar.clear();
        Ok(report?)
    };
    let report = told(work).await?;
    notes::note(format!("{} is as of log position {}", directory.display(), report.lsn));
    Ok(())
}

/// Copies, and says what was copied and how long that took.
pub(crate) async fn told(
    work: impl Future<Output = Result<BackupReport>> + Send + 'static,
) -> Result<BackupReport> {
    let started = Instant::now();
    let report = interruptible_apart(work).await?;
    let elapsed = notes::time(started.elapsed());
    notes::note(format!("{} in {elapsed}", summary(&report)));
    warn_of_impaired(&report);
    Ok(report)
}

/// What was copied and what was not.
fn summary(report: &BackupReport) -> String {
    let files = |count| notes::counted(count, "file");
    let mut words =
        format!("copied {}, {}", files(report.copied), notes::bytes(report.copied_bytes));
    if report.written > 0 {
        let bytes = notes::bytes(report.written_bytes);
        words.push_str(&format!("; wrote {}, {bytes}, of rows in memory", files(report.written)));
    }
    if report.kept > 0 {
        let bytes = notes::bytes(report.kept_bytes);
        words.push_str(&format!("; skipped {}, {bytes}, there already", files(report.kept)));
    }
    if report.removed > 0 {
        words.push_str(&format!("; removed {}", files(report.removed)));
    }
    words
}

/// Names files that are copied as they are although something in them is damaged.
fn warn_of_impaired(report: &BackupReport) {
    for name in &report.impaired {
        notes::note(format!(
            "warning: the learned index of {name} is damaged, in the copy too; no row is lost by \
             that, and omen compact writes it anew"
        ));
    }
}

/// A progress bar that learns from its first news how long it is.
pub(crate) struct Bar {
    task: &'static str,
    bar: Mutex<Option<(Progress, u64)>>,
}

impl Bar {
    pub(crate) fn new(task: &'static str) -> Self {
        Self { task, bar: Mutex::new(None) }
    }

    pub(crate) fn show(&self, done: u64, of: u64) {
        let Ok(mut bar) = self.bar.lock() else { return };
        let (progress, before) = bar.get_or_insert_with(|| (Progress::new(self.task, of), 0));
        progress.add_bytes(done.saturating_sub(*before));
        *before = done.max(*before);
    }

    pub(crate) fn clear(&self) {
        if let Ok(bar) = self.bar.lock()
            && let Some((progress, _)) = &*bar
        {
            progress.clear();
        }
    }
}
