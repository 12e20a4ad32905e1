//! The most memory that ingestion and compaction hold, for a small and a large table with the same
//! options: it follows from the options, not from the rows.
//!
//! Counted are the bytes that this process asks its allocator for, from before the database is
//! opened: everything is in them, indexes and pages of segments too.

use omen_benches::figure::{Table, at_most, measured};
use omen_benches::peers::allocator::CountingAllocator;
use omen_benches::settings::size_name;
use omen_provider::Options;
use tokio::runtime::Runtime;

use super::workload::{COMMIT_ROWS, ROW_BYTES, Workload};
use super::{Counted, Result};

/// The peak of the largest table, as a multiple of that of the smallest.
const GROWTH: f64 = 1.5;
/// Inputs of a task, and encoded bytes of each that are in memory.
const INPUTS: usize = 8;
const WINDOW_BYTES: usize = 4 << 20;
/// Rows of the batches that go from inputs to output.
const BATCH_ROWS: usize = 8192;

/// The most bytes of one table.
#[derive(Debug, Clone, Copy)]
struct Peaks {
    ingestion: usize,
    resident: usize,
    compaction: usize,
}

/// Measures tables of these sizes, filled in these ways, and prints figures.
pub fn measure(
    allocator: &CountingAllocator,
    runtime: &Runtime,
    workloads: &[Workload],
    sizes: &[usize],
    options: &Options,
) -> Result<()> {
    let columns = ["ingestion", "resident", "compaction", "bound"].map(String::from).to_vec();
    let title = "the most memory, MB: while rows come in, when the database rests, while it is \
                 compacted";
    let mut table = Table::new(title.into(), columns, 1);
    let bound = bound(options);
    let mut found = Vec::new();
    for &workload in workloads.iter().filter(|workload| !workload.replaces()) {
        let mut peaks = Vec::new();
        for &rows in sizes {
            let name = format!("{} {}", size_name(rows), workload.name());
            eprintln!("memory: {name}");
            let most = one(allocator, runtime, workload, rows as u64, options)?;
            let bytes = [most.ingestion, most.resident, most.compaction, bound];
            table.row(&name, bytes.map(|bytes| bytes as f64 / 1e6).to_vec());
            peaks.push(most);
        }
        found.push((workload, peaks));
    }
    table.print();
    for (workload, peaks) in &found {
        report(*workload, peaks, bound);
    }
    Ok(())
}

fn report(workload: Workload, peaks: &[Peaks], bound: usize) {
    let (Some(first), Some(last)) = (peaks.first(), peaks.last()) else { return };
    let name = workload.name();
    measured(&format!("memory_ingestion_mb_{name}"), last.ingestion as f64 / 1e6);
    measured(&format!("memory_compaction_mb_{name}"), last.compaction as f64 / 1e6);
    let growth = |of: fn(&Peaks) -> usize| of(last) as f64 / of(first) as f64;
    at_most(&format!("memory_growth_ingestion_{name}"), growth(|p| p.ingestion), GROWTH);
    at_most(&format!("memory_growth_compaction_{name}"), growth(|p| p.compaction), GROWTH);
    let most = last.ingestion.max(last.compaction);
    at_most(&format!("memory_to_bound_{name}"), most as f64 / bound as f64, 1.0);
}

/// What may be in memory with these options and rows of this width.
fn bound(options: &Options) -> usize {
    let row = ROW_BYTES as usize;
    // Statements wait at twice the limit; the last one is let in below it.
    let waiting = 2 * options.memtable_bytes_max + COMMIT_ROWS as usize * row;
    // Flush and compaction write at the same time: what is waiting, and a full segment.
    let writing = written(options, waiting / row) + written(options, options.segment_rows_max);
    // Windows as they were read and as they are being decoded, and a batch of each.
    let reading = INPUTS * (2 * WINDOW_BYTES + 2 * BATCH_ROWS * row);
    waiting + options.cache_bytes_max + writing + reading
}

/// What a segment of `rows` rows takes while it is written: its row group, in pages and, while it
/// goes to the store, in one piece that doubles as it grows; for each key a hash, in a list that
/// doubles as well, and at the end about 2 bytes of filter and index.
fn written(options: &Options, rows: usize) -> usize {
    let group = options.row_group_rows.min(rows) * ROW_BYTES as usize;
    4 * group + (3 * 8 + 2) * rows
}

fn one(
    allocator: &CountingAllocator,
    runtime: &Runtime,
    workload: Workload,
    rows: u64,
    options: &Options,
) -> Result<Peaks> {
    let ingest = || runtime.block_on(ingested(workload, rows, options));
    let ((counted, ingestion), resident) = allocator.bytes_of(|| allocator.peak_of(ingest));
    let counted = counted?;
    let (compacted, more) = allocator.peak_of(|| runtime.block_on(counted.db.compact()));
    compacted?;
    runtime.block_on(workload.check(&counted.table, rows))?;
    runtime.block_on(counted.db.close())?;
    Ok(Peaks { ingestion, resident, compaction: resident + more })
}

async fn ingested(workload: Workload, rows: u64, options: &Options) -> Result<Counted> {
    let counted = Counted::create(options.clone()).await?;
    workload.load(&counted.table, rows).await?;
    counted.rest().await?;
    Ok(counted)
}
