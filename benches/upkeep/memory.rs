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

/// Measures tables of these sizes and prints figures.
pub fn measure(
    allocator: &CountingAllocator,
    runtime: &Runtime,
    sizes: &[usize],
    options: &Options,
) -> Result<()> {
    let columns = ["ingestion", "resident", "compaction", "bound"].map(String::from).to_vec();
    let title = "the most memory, MB: while rows come in, when the database rests, while it is \
                 compacted";
    let mut table = Table::new(title.into(), columns, 1);
    let bound = bound(options);
    let mut peaks = Vec::new();
    for &rows in sizes {
        eprintln!("memory: {rows} rows");
        let found = one(allocator, runtime, rows as u64, options)?;
        let bytes = [found.ingestion, found.resident, found.compaction, bound];
        table.row(&size_name(rows), bytes.map(|bytes| bytes as f64 / 1e6).to_vec());
        peaks.push(found);
    }
    table.print();
    let (Some(first), Some(last), Some(rows)) = (peaks.first(), peaks.last(), sizes.last()) else {
        return Ok(());
    };
    let name = size_name(*rows);
    measured(&format!("memory_ingestion_mb_{name}"), last.ingestion as f64 / 1e6);
    measured(&format!("memory_compaction_mb_{name}"), last.compaction as f64 / 1e6);
    let growth = |of: fn(&Peaks) -> usize| of(last) as f64 / of(first) as f64;
    at_most("memory_growth_ingestion", growth(|peaks| peaks.ingestion), GROWTH);
    at_most("memory_growth_compaction", growth(|peaks| peaks.compaction), GROWTH);
    let most = peaks.iter().map(|peaks| peaks.ingestion.max(peaks.compaction)).max();
    at_most("memory_to_bound", most.unwrap_or(0) as f64 / bound as f64, 1.0);
    Ok(())
}

/// What may be in memory with these options and rows of these widths.
fn bound(options: &Options) -> usize {
    let row = ROW_BYTES as usize;
    // Statements wait at twice the limit; the last one is let in below it.
    let rows = 2 * options.memtable_bytes_max + 2 * COMMIT_ROWS as usize * row;
    // What a segment is made of while it is written: its row group, encoded, once more as it goes
    // to the store; hashes of its keys, in a list that doubles.
    let writing = 3 * options.row_group_rows * row + 24 * options.segment_rows_max;
    let reading = INPUTS * (2 * WINDOW_BYTES + 2 * BATCH_ROWS * row);
    // Flush and compaction write at the same time.
    rows + options.cache_bytes_max + 2 * writing + reading
}

fn one(
    allocator: &CountingAllocator,
    runtime: &Runtime,
    rows: u64,
    options: &Options,
) -> Result<Peaks> {
    let workload = Workload::Random;
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
