//! How fast does the index find a key, beside every other way to find one in sorted keys?
//!
//! For each workload and size all contenders stand in one process and take turns, round by round,
//! each with probes that nobody has had; the median of the rounds counts. Every answer of every
//! round is compared with the known one, outside the time that is measured.
//!
//! Key ranges and keys in pages are looked up by the index alone, in each way it has.
//!
//! `cargo bench -p omen-benches --features peers --bench index_lookup`; `KEYS`, `WORKLOADS`,
//! `PEERS`, `ROUNDS`, `PROBES` and `HUGE_PAGES` in the environment choose what is run, as README.md
//! says.

mod lookup;

use lookup::pages::{self, Paged};
use lookup::ranges::{self, Ranges};
use lookup::rounds::{self, ORDER, Outcome, Setup};
use lookup::{figures, latency, tables};
use omen_benches::peers::allocator::CountingAllocator;
use omen_benches::settings::{self, size_name};
use omen_benches::workload::Workload;
use omen_index::Rmi;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

fn main() {
    let sizes = settings::sizes("KEYS", "1M,10M");
    let setup = Setup {
        rounds: settings::count("ROUNDS", 9),
        probes: settings::count("PROBES", 30_000),
        peers: settings::chosen("PEERS", &ORDER),
        allocator: &ALLOCATOR,
    };
    let has_large_pages = settings::is_on("HUGE_PAGES", true);
    ALLOCATOR.use_large_pages(has_large_pages);
    println!(
        "{} rounds of {} probes; arrays of 2 MB and more {} on large pages",
        setup.rounds,
        setup.probes,
        if has_large_pages { "lie, if the system can," } else { "do not ask to lie" },
    );
    let workloads = Workload::chosen();
    for workload in &workloads {
        println!("{:12} {}", workload.name, workload.note);
    }
    print_latencies();
    for size in sizes {
        measure(size, &workloads, &setup);
    }
}

/// Measures and prints everything at one size.
fn measure(size: usize, workloads: &[Workload], setup: &Setup) {
    let turns = setup.turns();
    let mut lookups: Vec<Outcome> = Vec::new();
    let mut ranges: Vec<Ranges> = Vec::new();
    let mut pages: Vec<Paged> = Vec::new();
    for &workload in workloads {
        eprintln!("{} {}", size_name(size), workload.name);
        let keys = workload.keys(size);
        lookups.push(rounds::measure(workload, &keys, setup));
        if setup.takes_part("omen-index") {
            let index = Rmi::train(&keys);
            let index = index.unwrap_or_else(|error| panic!("training failed: {error}"));
            ranges.push(ranges::measure(workload, &keys, &index, &turns));
            pages.push(pages::measure(workload, &keys, &index, &turns));
        }
    }
    tables::print(size, &lookups);
    figures::print(size, &lookups);
    ranges::print(size, &ranges);
    pages::print(size, &pages);
}

/// What the machine is like: the time of one load that has to wait for the one before it.
fn print_latencies() {
    const STEPS: usize = 200_000;
    for megabytes in [1, 8, 80] {
        let next = latency::cycle(megabytes << 20);
        let ns = latency::chase_ns(&next, STEPS);
        println!("a load that waits for the one before it, in {megabytes} MB: {ns:.1} ns");
    }
}
