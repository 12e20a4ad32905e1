//! How long does training take, and how large is what it makes?
//!
//! For each workload and size the index is trained in both ways it can be, from a slice and from a
//! stream of keys, beside the `radix_spline` crate and the other structures over the same keys,
//! round by round; the median counts. Each trained index is verified, once, outside the time.
//!
//! `cargo bench -p omen-benches --features peers --bench index_train`; `KEYS`, `WORKLOADS` and
//! `ROUNDS` in the environment choose what is run, as README.md says.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use omen_benches::figure::{Table, at_most, measured, median};
use omen_benches::peers::allocator::CountingAllocator;
use omen_benches::peers::{STree, Spline, Tree};
use omen_benches::settings::{self, size_name};
use omen_benches::workload::Workload;
use omen_index::{Rmi, RmiBuilder};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Keys that a bench of training has `BTreeMap` take in.
const MAP_KEYS_MAX: usize = 20_000_000;

/// Ways to build something over sorted keys.
const BUILDERS: [&str; 5] = ["omen-index", "omen streaming", "radix_spline", "S+-tree", "BTreeMap"];

/// What was found for one workload at one size.
struct Outcome {
    workload: Workload,
    /// Median nanoseconds per key of each builder.
    ns: [f64; BUILDERS.len()],
    /// Bytes per key: stored index, index in memory, radix_spline in memory.
    bytes: [f64; 3],
    /// Most bytes per key allocated while streaming.
    streaming_peak: f64,
    /// Mean and longest search range.
    range: [f64; 2],
    /// Microseconds to open the stored index: where it lies, and as a copy.
    open_us: [f64; 2],
}

fn main() {
    let sizes = settings::sizes("KEYS", "1M,10M");
    let rounds = settings::count("ROUNDS", 7);
    let workloads = Workload::chosen();
    for workload in &workloads {
        println!("{:12} {}", workload.name, workload.note);
    }
    for size in sizes {
        let outcomes: Vec<Outcome> = workloads
            .iter()
            .map(|workload| {
                eprintln!("{} {}", size_name(size), workload.name);
                measure(*workload, size, rounds)
            })
            .collect();
        print_tables(size, rounds, &outcomes);
        print_figures(size, &outcomes);
    }
}

fn measure(workload: Workload, size: usize, rounds: usize) -> Outcome {
    let keys = workload.keys(size);
    let mut samples: [Vec<f64>; BUILDERS.len()] = Default::default();
    for round in 0..rounds {
        for turn in 0..BUILDERS.len() {
            // The first to go changes.
            let builder = (round + turn) % BUILDERS.len();
            if BUILDERS[builder] == "BTreeMap" && size > MAP_KEYS_MAX {
                continue;
            }
            let started = Instant::now();
            build(BUILDERS[builder], &keys);
            samples[builder].push(started.elapsed().as_nanos() as f64 / size as f64);
        }
    }
    let per_key = |bytes: usize| bytes as f64 / size as f64;
    let (index, index_bytes) = ALLOCATOR.bytes_of(|| trained(&keys));
    let (streamed, streaming_peak) = ALLOCATOR.peak_of(|| streamed(&keys));
    let (_, spline_bytes) = ALLOCATOR.bytes_of(|| Spline::new(&keys));
    assert!(index.verify(&keys).is_ok(), "{}: a wrong index", workload.name);
    assert!(streamed.verify(&keys).is_ok(), "{}: a wrong streamed index", workload.name);
    let stats = index.stats();
    Outcome {
        workload,
        ns: samples.map(|samples| median(&samples)),
        bytes: [stats.bytes, index_bytes, spline_bytes].map(per_key),
        streaming_peak: per_key(streaming_peak),
        range: [stats.range_mean, stats.range_max as f64],
        open_us: open_us(&index, rounds),
    }
}

/// Builds one of [`BUILDERS`] and lets it go; freeing is part of the price of many small blocks.
fn build(builder: &str, keys: &[u64]) {
    match builder {
        "omen-index" => drop(black_box(trained(keys))),
        "omen streaming" => drop(black_box(streamed(keys))),
        "radix_spline" => drop(black_box(Spline::new(keys))),
        "S+-tree" => drop(black_box(STree::new(keys))),
        _ => drop(black_box(Tree::new(keys))),
    }
}

fn trained(keys: &[u64]) -> Rmi {
    Rmi::train(keys).unwrap_or_else(|error| panic!("training failed: {error}"))
}

fn streamed(keys: &[u64]) -> Rmi {
    let mut builder = RmiBuilder::new();
    let pushed = keys.iter().try_for_each(|&key| builder.push(key));
    pushed
        .and_then(|()| builder.finish())
        .unwrap_or_else(|error| panic!("training on a stream failed: {error}"))
}

/// The median times from stored bytes to an index that answers.
fn open_us(index: &Rmi, rounds: usize) -> [f64; 2] {
    let stored: Arc<[u8]> = index.stored_form().into();
    let in_place = || Rmi::open(stored.clone(), 0..stored.len());
    let copied = || Rmi::from_bytes(black_box(&stored));
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        samples[0].push(timed_us(index, in_place));
        samples[1].push(timed_us(index, copied));
    }
    samples.map(|samples| median(&samples))
}

fn timed_us(index: &Rmi, open: impl Fn() -> Result<Rmi, omen_index::Error>) -> f64 {
    let started = Instant::now();
    let opened = black_box(open());
    let us = started.elapsed().as_nanos() as f64 / 1e3;
    assert!(opened.as_ref() == Ok(index), "the stored index is another");
    us
}

fn print_tables(size: usize, rounds: usize, outcomes: &[Outcome]) {
    let keys = size_name(size);
    let columns = BUILDERS.iter().map(|name| name.to_string()).collect();
    let title = format!("{keys} keys, ns per key to build and let go, median of {rounds} rounds");
    let mut times = Table::new(title, columns, 2);
    let columns = ["stored", "in memory", "radix_spline", "peak while streaming"];
    let columns = columns.iter().map(|name| name.to_string()).collect();
    let mut bytes = Table::new(format!("{keys} keys, bytes per key"), columns, 3);
    let columns = ["range mean", "range max", "open us", "open a copy us"];
    let columns = columns.iter().map(|name| name.to_string()).collect();
    let title = format!("{keys} keys, search ranges (positions) and opening of the stored index");
    let mut ranges = Table::new(title, columns, 1);
    for outcome in outcomes {
        let name = outcome.workload.name;
        times.row(name, outcome.ns.to_vec());
        let [stored, in_memory, spline] = outcome.bytes;
        bytes.row(name, vec![stored, in_memory, spline, outcome.streaming_peak]);
        ranges.row(name, [outcome.range, outcome.open_us].concat());
    }
    for table in [times, bytes, ranges] {
        table.print();
    }
}

/// The worst of the smooth workloads, and of all.
fn print_figures(size: usize, outcomes: &[Outcome]) {
    println!();
    let prefix = format!("index_train_{}", size_name(size));
    let worst = |smooth_only: bool, value: fn(&Outcome) -> f64| {
        let kind = outcomes.iter().filter(|o| o.workload.is_smooth || !smooth_only);
        kind.map(value).fold(f64::NAN, f64::max)
    };
    let at_most = |name: &str, smooth_only: bool, value: fn(&Outcome) -> f64, goal: f64| {
        let found = worst(smooth_only, value);
        if !found.is_nan() {
            at_most(&format!("{prefix}_{name}"), found, goal);
        }
    };
    at_most("ns_per_key_smooth", true, |o| o.ns[0], 4.0);
    at_most("ns_per_key_any", false, |o| o.ns[0], 4.5);
    at_most("streaming_ns_per_key_smooth", true, |o| o.ns[1], 4.0);
    at_most("streaming_ns_per_key_any", false, |o| o.ns[1], 4.5);
    at_most("bytes_per_key_smooth", true, |o| o.bytes[0], 0.13);
    at_most("bytes_per_key_any", false, |o| o.bytes[0], 0.27);
    // Memory in proportion to the leaves: far less than the 8 bytes of a key.
    at_most("streaming_peak_bytes_per_key_any", false, |o| o.streaming_peak, 1.0);
    if size == 10_000_000 {
        at_most("open_us_any", false, |o| o.open_us[0], 50.0);
    } else {
        measured(&format!("{prefix}_open_us_any"), worst(false, |o| o.open_us[0]));
    }
    measured(&format!("{prefix}_open_copy_us_any"), worst(false, |o| o.open_us[1]));
    measured(&format!("{prefix}_memory_bytes_per_key_any"), worst(false, |o| o.bytes[1]));
}
