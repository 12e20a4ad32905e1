//! A progress bar on standard error, on a terminal only.
//!
//! It advances by bytes read (or another quantity whose end is known from the start); rows and rows
//! a second stand beside it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::notes;

/// Redraws a second.
const REDRAWS_PER_S: u8 = 10;

/// A bar that can be advanced from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    rows: Arc<AtomicU64>,
}

impl Progress {
    /// A bar for `bytes` bytes of work. Hidden by itself where standard error is no terminal.
    pub(crate) fn new(task: &str, bytes: u64) -> Self {
        const TEMPLATE: &str = "{prefix:<14} {bar:28} {percent:>3}%  {msg}  {eta} left";
        let bar = ProgressBar::with_draw_target(
            Some(bytes),
            ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_S),
        );
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(task.to_string());
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, rows: Arc::default() }
    }

    /// Counts bytes.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Counts rows.
    pub(crate) fn add_rows(&self, rows: u64) {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let rate = notes::grouped(notes::rate(rows, self.bar.elapsed()));
        self.bar.set_message(format!("{}  {rate} rows/s", notes::rows(rows)));
    }

    /// Begins again at nothing, with another task.
    pub(crate) fn begin(&self, task: &str) {
        self.rows.store(0, Ordering::Relaxed);
        self.bar.reset();
        self.bar.set_message("");
        self.bar.set_prefix(task.to_string());
    }

    /// Shows that all is read and the rest takes its time.
    pub(crate) fn set_task(&self, task: &str) {
        self.bar.set_prefix(task.to_string());
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// A reader that advances the bar.
    pub(crate) fn reader<R: Read>(&self, inner: R) -> CountingReader<R> {
        CountingReader { inner, progress: self.clone() }
    }
}

/// Advances a bar by what is read.
pub(crate) struct CountingReader<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.progress.add_bytes(length as u64);
        Ok(length)
    }
}
