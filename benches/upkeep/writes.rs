//! What a load has the database write, and how much lies on the disk: while rows come in, when the
//! database has come to rest, and when it was compacted. And how fast it is compacted.
//!
//! Bytes are those that the files of the database were given (`counted_files`); what the system
//! counts for the whole process stands beside them, to check one by the other.

use std::time::{Duration, Instant};

use omen_benches::figure::{Table, at_least, at_most, measured};
use omen_provider::Options;

use super::counted_files::{Live, Totals};
use super::workload::{Load, ROW_BYTES, Workload};
use super::{Counted, Result};

/// Rows that flush and compaction write for each row that comes in, at most: the most that the
/// simulation of the picker's rules comes to. What is proved is `6 + log2(flushes)`.
const ROWS_WRITTEN: f64 = 7.5;
/// Bytes written for each byte of the user's, at most: the log writes each twice (zeros that take
/// the space, then records of some more bytes than the row), segments take about half of what a row
/// has, for each time that it is written.
const BYTES_WRITTEN: f64 = 2.5 + 0.5 * ROWS_WRITTEN;
/// Bytes at rest for each byte of the compacted database, at most, where no row was ever dead.
const AT_REST: f64 = 1.3;
/// The same where rows are deleted or written over: a segment keeps a dead row in three.
const AT_REST_WITH_DEAD: f64 = 1.5 * 1.1;
/// Bytes at the worst moment, logs aside, for each byte that the live rows of the fullest moment
/// take when compacted: those at rest, and once more the output of a task, which is as large as its
/// inputs. This is what was at rest, so many times.
const AT_PEAK: f64 = 2.0;
/// Bytes of all logs at a time, for each byte at which rows in memory are flushed, at most: that is
/// where statements wait.
const LOGS_AT_PEAK: f64 = 4.0;

/// What was counted of one workload.
struct Outcome {
    workload: Workload,
    load: Load,
    /// Until the database had come to rest.
    counted: Totals,
    /// What the system counted for the process meanwhile: bytes given to it, bytes for the disk.
    system: [u64; 2],
    peak: Live,
    rest: Live,
    rest_segments: usize,
    compacting: Totals,
    compacting_time: Duration,
    compacted: u64,
    compacted_segments: usize,
    live_rows: u64,
}

/// Measures these workloads, `rows` rows each, and prints tables and figures.
pub async fn measure(workloads: &[Workload], rows: u64, options: &Options) -> Result<()> {
    let mut outcomes = Vec::new();
    for &workload in workloads {
        eprintln!("writes: {}", workload.name());
        outcomes.push(one(workload, rows, options).await?);
    }
    print_written(&outcomes, rows);
    print_space(&outcomes);
    print_compaction(&outcomes);
    outcomes.iter().for_each(|outcome| outcome.figures(options));
    Ok(())
}

async fn one(workload: Workload, rows: u64, options: &Options) -> Result<Outcome> {
    let system = system_bytes()?;
    let counted = Counted::create(options.clone()).await?;
    let load = workload.load(&counted.table, rows).await?;
    counted.settle(workload, rows).await?;
    let totals = counted.files.totals();
    let now = system_bytes()?;
    let system = [now[0] - system[0], now[1] - system[1]];
    let listed = counted.listed_bytes()?;
    if listed != totals.live.all() {
        let live = totals.live.all();
        return Err(format!("{live} bytes counted, {listed} in the directory").into());
    }
    let rest_segments = counted.segments().await;
    workload.check(&counted.table, rows).await?;
    let started = Instant::now();
    counted.db.compact().await?;
    let compacting_time = started.elapsed();
    let compacting = counted.files.totals().since(&totals);
    workload.check(&counted.table, rows).await?;
    let live_rows = counted.table.row_count()?;
    let compacted_segments = counted.segments().await;
    counted.db.close().await?;
    Ok(Outcome {
        workload,
        load,
        counted: totals,
        system,
        peak: totals.peak,
        rest: totals.live,
        rest_segments,
        compacting,
        compacting_time,
        compacted: counted.listed_bytes()?,
        compacted_segments,
        live_rows,
    })
}

/// Bytes that this process gave to the system, and that it made the system write to disks.
fn system_bytes() -> Result<[u64; 2]> {
    let Ok(text) = std::fs::read_to_string("/proc/self/io") else { return Ok([0; 2]) };
    let value = |name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(line.ok_or_else(|| format!("/proc/self/io does not say {name}"))?.parse()?)
    };
    Ok([value("wchar")?, value("write_bytes")?])
}

impl Outcome {
    /// Rows that flush and compaction wrote for each row that came in.
    fn rows_written(&self) -> f64 {
        self.counted.segment_rows as f64 / self.load.rows as f64
    }

    fn per_user_byte(&self, bytes: u64) -> f64 {
        bytes as f64 / self.load.user_bytes as f64
    }

    /// Bytes at rest for each byte of the compacted database.
    fn at_rest(&self) -> f64 {
        self.rest.all() as f64 / self.compacted as f64
    }

    /// Bytes at the worst moment, logs aside, for each byte that the most live rows take when
    /// compacted.
    fn at_peak(&self) -> f64 {
        let most = if self.workload == Workload::Deletes { self.load.rows } else { self.live_rows };
        let bytes_per_row = self.compacted as f64 / self.live_rows as f64;
        self.peak.data as f64 / (bytes_per_row * most as f64)
    }

    fn figures(&self, options: &Options) {
        let name = self.workload.name();
        let at_rest = if self.workload.replaces() { AT_REST_WITH_DEAD } else { AT_REST };
        at_most(&format!("rows_written_{name}"), self.rows_written(), ROWS_WRITTEN);
        let written = self.per_user_byte(self.counted.written());
        at_most(&format!("bytes_written_{name}"), written, BYTES_WRITTEN);
        at_most(&format!("space_at_rest_{name}"), self.at_rest(), at_rest);
        at_most(&format!("space_at_peak_{name}"), self.at_peak(), at_rest * AT_PEAK);
        let logs = self.peak.logs as f64 / options.memtable_bytes_max as f64;
        at_most(&format!("logs_at_peak_{name}"), logs, LOGS_AT_PEAK);
        let all = (self.counted.written() + self.counted.reserve) as f64;
        if self.system[0] > 0 {
            at_least(&format!("counted_to_system_{name}"), all / self.system[0] as f64, 0.98);
        }
        let seconds = self.compacting_time.as_secs_f64();
        let rows = self.compacting.segment_rows as f64;
        measured(&format!("compaction_mrows_per_s_{name}"), rows / seconds / 1e6);
    }
}

fn print_written(outcomes: &[Outcome], rows: u64) {
    let columns =
        ["rows", "segments", "logs", "others", "bytes", "system", "disk", "new files", "max ms"];
    let columns = columns.map(String::from).to_vec();
    let title = format!(
        "{rows} rows: rows written for each that came; bytes written for each of the user's; \
         segments made; the longest commit"
    );
    let mut table = Table::new(title, columns, 2);
    for outcome in outcomes {
        let counted = &outcome.counted;
        let parts = [counted.segments, counted.logs, counted.others, counted.written()];
        let bytes = parts.into_iter().chain(outcome.system).map(|b| outcome.per_user_byte(b));
        let mut numbers = vec![outcome.rows_written()];
        numbers.extend(bytes);
        numbers.push(counted.segment_count as f64);
        numbers.push(outcome.load.longest.as_secs_f64() * 1e3);
        table.row(outcome.workload.name(), numbers);
    }
    table.print();
}

fn print_space(outcomes: &[Outcome]) {
    let columns =
        ["logs MB", "peak MB", "rest MB", "compacted MB", "peak", "rest", "segments", "after"];
    let columns = columns.map(String::from).to_vec();
    let title = "in the directory: logs and all else at the peak, at rest, compacted; for each \
                 byte compacted";
    let mut table = Table::new(title.into(), columns, 2);
    for outcome in outcomes {
        let Live { logs, data } = outcome.peak;
        let bytes = [logs, data, outcome.rest.all(), outcome.compacted];
        let megabytes = bytes.map(|bytes| bytes as f64 / 1e6);
        let mut numbers = megabytes.to_vec();
        numbers.extend([outcome.at_peak(), outcome.at_rest()]);
        numbers.extend([outcome.rest_segments as f64, outcome.compacted_segments as f64]);
        table.row(outcome.workload.name(), numbers);
    }
    table.print();
}

fn print_compaction(outcomes: &[Outcome]) {
    let columns = ["Mrows in/s", "seconds", "Mrows/s", "MB/s", "rows MB/s", "rows"];
    let columns = columns.map(String::from).to_vec();
    let title = "the load; then one compaction: time, rows and bytes that it wrote, bytes of these \
                 rows, rows written for each live one";
    let mut table = Table::new(title.into(), columns, 2);
    for outcome in outcomes {
        let seconds = outcome.compacting_time.as_secs_f64();
        let rows = outcome.compacting.segment_rows as f64;
        table.row(
            outcome.workload.name(),
            vec![
                outcome.load.rows as f64 / outcome.load.time.as_secs_f64() / 1e6,
                seconds,
                rows / seconds / 1e6,
                outcome.compacting.segments as f64 / seconds / 1e6,
                rows * ROW_BYTES as f64 / seconds / 1e6,
                rows / outcome.live_rows as f64,
            ],
        );
    }
    table.print();
}
