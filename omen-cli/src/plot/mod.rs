//! `omen inspect --plot`: draws the learned indexes of a table, to show why lookups are fast or
//! slow.
//!
//! The engine samples keys, `figures` counts, `page` lays out what the panels draw with `svg`,
//! `file` writes. Invariants: the picture needs nothing but itself; whatever keys hold, it is valid
//! XML; its size depends on the number of panels, not on that of the keys.

mod bars;
mod calendar;
mod caption;
mod curves;
mod figures;
mod file;
mod frame;
mod key_axis;
mod page;
mod scale;
mod svg;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use omen_provider::{Database, SampleLimits, TableSample};

pub(crate) use file::PlotFile;

use crate::failure::Result;
use crate::interrupt::interruptible_apart;
use crate::notes;
use crate::progress::Progress;

const LIMITS: SampleLimits = SampleLimits { parts_max: 6, keys_max: 20_000 };
/// What takes less needs no progress bar.
const QUICK: Duration = Duration::from_secs(1);

/// Draws the indexes of `table` into `file`.
pub(crate) async fn run(database: &Database, table: &str, file: &PlotFile) -> Result<()> {
    file.check_directory()?;
    let sample = sample(database.clone(), table.to_string()).await?;
    let bytes = file.write(&page::draw(&sample))?;
    notes::note(format!("wrote {} ({})", file.path().display(), notes::bytes(bytes)));
    Ok(())
}

async fn sample(database: Database, table: String) -> Result<TableSample> {
    let bar: Arc<OnceLock<Progress>> = Arc::default();
    let (shown, begun) = (Arc::clone(&bar), Instant::now());
    let outcome = interruptible_apart(async move {
        let counted = AtomicU64::new(0);
        let progress = move |done: u64, total: u64| {
            if begun.elapsed() > QUICK {
                let bar = shown.get_or_init(|| Progress::new("sampling keys", total));
                let new = done.saturating_sub(counted.swap(done, Ordering::Relaxed));
                bar.add_bytes(new);
                bar.add_rows(new);
            }
        };
        Ok(database.sample_indexes(&table, LIMITS, &progress).await?)
    });
    let outcome = outcome.await;
    if let Some(bar) = bar.get() {
        bar.clear();
    }
    outcome
}
