//! What does it cost to keep the table in order? Rows and bytes written for each that came in,
//! space on the disk, memory, and how reads and commits fare before, beside and after a compaction.
//!
//! `cargo bench -p omen-benches --features stores,peers --bench compaction`. `PARTS` chooses some
//! of `writes,memory,reads`, `WORKLOADS` some of `in_order,random,upserts,deletes`; `ROWS` is the
//! size of the tables that are loaded and read, `KEYS` the sizes whose memory is compared,
//! `LIMIT_MIB` the limit of memory that all options but those of the reads follow from, `PROBES`
//! the lookups. Every row is compared in the end.

mod upkeep;

use omen_benches::peers::allocator::CountingAllocator;
use omen_benches::settings;
use omen_provider::Options;
use tokio::runtime::Runtime;
use upkeep::workload::Workload;
use upkeep::{Result, memory, reads, writes};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

fn main() -> Result<()> {
    let parts = settings::chosen("PARTS", &["writes", "memory", "reads"]);
    let wanted = |part: &str| parts.as_ref().is_none_or(|parts| parts.iter().any(|p| p == part));
    let names = Workload::ALL.map(Workload::name);
    let chosen = settings::chosen("WORKLOADS", &names);
    let is_chosen = |workload: &Workload| {
        chosen.as_ref().is_none_or(|names| names.iter().any(|name| name == workload.name()))
    };
    let workloads: Vec<Workload> = Workload::ALL.into_iter().filter(is_chosen).collect();
    let rows = settings::count("ROWS", 1_000_000) as u64;
    let options = Options::within_memory(settings::count("LIMIT_MIB", 64) << 20);
    let runtime = Runtime::new()?;
    if wanted("memory") {
        let sizes = settings::sizes("KEYS", "500k,2M");
        memory::measure(&ALLOCATOR, &runtime, &workloads, &sizes, &options)?;
    }
    if wanted("writes") {
        runtime.block_on(writes::measure(&workloads, rows, &options))?;
    }
    if wanted("reads") {
        // All pages fit in the cache; flushes are as small as elsewhere.
        let memtable_bytes_max = options.memtable_bytes_max;
        let options = Options { memtable_bytes_max, ..Options::default() };
        let probes = settings::count("PROBES", 30_000);
        runtime.block_on(reads::measure(rows, probes, &options))?;
    }
    Ok(())
}
