//! How fast does the index find keys that are byte strings?
//!
//! For each kind of keys and size the index, binary search and `BTreeMap` take turns, round by
//! round, each with probes that nobody has had; the median of the rounds counts. The index and
//! binary search look into the same strings, which lie one after the other in one block. Every
//! answer is checked, outside the time that is measured.
//!
//! `cargo bench -p omen-benches --features peers --bench index_bytes`; `KEYS`, `WORKLOADS`,
//! `ROUNDS`, `PROBES` and `HUGE_PAGES` in the environment choose what is run, as README.md says.

use std::collections::BTreeMap;
use std::time::Instant;

use omen_benches::Random;
use omen_benches::figure::{Table, at_least, measured};
use omen_benches::peers::allocator::CountingAllocator;
use omen_benches::settings::{self, size_name};
use omen_benches::turns::{Contender, Turns};
use omen_benches::workload::{MISS, TextWorkload, draw_absent_text, draw_stored_text};
use omen_index::key::{ByteIndex, ByteIndexBuilder, common_prefix_len};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const COLUMNS: [&str; 3] = ["omen-index", "partition_point", "BTreeMap"];

/// What was found for one kind of keys at one size.
struct Outcome {
    workload: TextWorkload,
    /// Nanoseconds per lookup in the order of the columns: stored keys, absent keys.
    ns: [Vec<f64>; 2],
    /// Bytes per key: the key itself, stored index, index in memory, `BTreeMap`.
    bytes: [f64; 4],
    /// Nanoseconds per key of training.
    training_ns: f64,
    /// Mean and longest search range of stored keys, and the number of models.
    shape: [f64; 3],
}

fn main() {
    let turns = Turns {
        rounds: settings::count("ROUNDS", 9),
        questions: settings::count("PROBES", 30_000),
        warm_up: 100_000,
    };
    ALLOCATOR.use_large_pages(settings::is_on("HUGE_PAGES", true));
    let workloads = TextWorkload::chosen();
    for workload in &workloads {
        println!("{:12} {}", workload.name, workload.note);
    }
    for size in settings::sizes("KEYS", "1M") {
        let outcomes: Vec<Outcome> = workloads
            .iter()
            .map(|workload| {
                eprintln!("{} {}", size_name(size), workload.name);
                measure(*workload, size, &turns)
            })
            .collect();
        print_tables(size, &outcomes);
        print_figures(size, &outcomes);
    }
}

fn measure(workload: TextWorkload, size: usize, turns: &Turns) -> Outcome {
    let packed = workload.keys(size);
    let keys = packed.slices();
    let started = Instant::now();
    let (index, index_bytes) = ALLOCATOR.bytes_of(|| trained(&keys));
    let training_ns = started.elapsed().as_nanos() as f64 / size as f64;
    let (map, map_bytes) = ALLOCATOR.bytes_of(|| {
        keys.iter().map(|key| key.to_vec()).zip(0..).collect::<BTreeMap<Vec<u8>, u32>>()
    });
    let got = |position: usize, key: &[u8]| match keys.get(position) {
        Some(&found) if found == key => position,
        _ => MISS,
    };
    let contenders = [
        Contender::each(COLUMNS[0], |key: &Vec<u8>| {
            got(index.lower_bound_by(key, |position| keys[position].cmp(key)), key)
        }),
        Contender::each(COLUMNS[1], |key: &Vec<u8>| {
            got(keys.partition_point(|stored| *stored < key.as_slice()), key)
        }),
        Contender::each(COLUMNS[2], |key: &Vec<u8>| {
            map.get(key).map_or(MISS, |&position| position as usize)
        }),
    ];
    let mut random = Random::new(16);
    let stored = turns.ns(&contenders, &(MISS - 1), || draw_stored_text(&keys, &mut random));
    let absent = turns
        .ns(&contenders, &(MISS - 1), || (draw_absent_text(workload, &keys, &mut random).0, MISS));
    let key_bytes: usize = keys.iter().map(|key| key.len()).sum();
    let bytes = [key_bytes, index.to_bytes().len(), index_bytes, map_bytes];
    let shape = shape(&index, &keys);
    let bytes = bytes.map(|bytes| bytes as f64 / size as f64);
    Outcome { workload, ns: [stored, absent], bytes, training_ns, shape }
}

/// Without the bytes that all keys begin with, as the engine trains.
fn trained(keys: &[&[u8]]) -> ByteIndex {
    let prefix_len = match keys {
        [first, .., last] => common_prefix_len(first, last),
        _ => 0,
    };
    let mut builder = ByteIndexBuilder::new(prefix_len);
    let pushed = keys.iter().try_for_each(|key| builder.push(key));
    pushed
        .and_then(|()| builder.finish())
        .unwrap_or_else(|error| panic!("training failed: {error}"))
}

fn shape(index: &ByteIndex, keys: &[&[u8]]) -> [f64; 3] {
    let lens = keys.iter().map(|key| index.search_range(key).len());
    let (sum, longest) = lens.fold((0, 0), |(sum, max), len| (sum + len, len.max(max)));
    [sum as f64 / keys.len() as f64, longest as f64, index.models() as f64]
}

fn print_tables(size: usize, outcomes: &[Outcome]) {
    let keys = size_name(size);
    for (asked, title) in ["stored keys", "absent keys"].into_iter().enumerate() {
        let title = format!("{keys} keys, ns per lookup: one by one, {title}");
        let mut table = Table::new(title, COLUMNS.map(str::to_string).to_vec(), 1);
        outcomes.iter().for_each(|o| table.row(o.workload.name, o.ns[asked].clone()));
        table.print();
    }
    let columns = ["the key", "stored", "in memory", "BTreeMap with keys"];
    let title = format!("{keys} keys, bytes per key");
    let mut bytes = Table::new(title, columns.map(str::to_string).to_vec(), 3);
    let columns = ["ns/key", "range mean", "range max", "models"];
    let title = format!("{keys} keys, training, and search ranges (positions) of stored keys");
    let mut training = Table::new(title, columns.map(str::to_string).to_vec(), 1);
    for outcome in outcomes {
        let [mean, longest, models] = outcome.shape;
        bytes.row(outcome.workload.name, outcome.bytes.to_vec());
        training.row(outcome.workload.name, vec![outcome.training_ns, mean, longest, models]);
    }
    bytes.print();
    training.print();
}

/// The worst of all kinds.
fn print_figures(size: usize, outcomes: &[Outcome]) {
    println!();
    let prefix = format!("index_bytes_{}", size_name(size));
    let least =
        |value: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(value).fold(f64::NAN, f64::min);
    let most =
        |value: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(value).fold(f64::NAN, f64::max);
    for (asked, name) in ["", "absent_"].into_iter().enumerate() {
        let ratio = |peer: usize| least(&|o| o.ns[asked][peer] / o.ns[asked][0]);
        at_least(&format!("{prefix}_{name}vs_binary_search_any"), ratio(1), 1.0);
        measured(&format!("{prefix}_{name}vs_btreemap_any"), ratio(2));
    }
    measured(&format!("{prefix}_bytes_per_key_any"), most(&|o| o.bytes[1]));
    measured(&format!("{prefix}_memory_bytes_per_key_any"), most(&|o| o.bytes[2]));
    measured(
        &format!("{prefix}_btreemap_bytes_to_index_bytes_any"),
        least(&|o| o.bytes[3] / o.bytes[2]),
    );
    measured(&format!("{prefix}_training_ns_per_key_any"), most(&|o| o.training_ns));
}
