//! How fast is a sorted map that is written to all the time?
//!
//! Keys arrive one by one at random, at random in batches, and in order; then the map is asked for
//! stored keys, for a mix of stored and absent ones, and for many at once. Each round fills new
//! maps, one contender after the other, merging included; the median counts. The longest insertion
//! is taken in a pass of its own, since looking at the clock takes time. Every answer is checked,
//! and so is that a snapshot does not see what came after it.
//!
//! At last what an engine does: statements of one entry and of a thousand, each of which leaves a
//! snapshot.
//!
//! `cargo bench -p omen-benches --features peers --bench index_runs`; `KEYS` and `ROUNDS` in the
//! environment choose what is run, as README.md says.

use std::hint::black_box;
use std::time::Instant;

use omen_benches::figure::{Table, at_least, at_most, measured, median};
use omen_benches::peers::allocator::CountingAllocator;
use omen_benches::peers::commits::{snapshot_ns, statement_ns};
use omen_benches::peers::{Background, MutableMap, OneThread, TreeMap};
use omen_benches::settings::{self, size_name};
use omen_benches::{Random, mixed};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const BATCH: usize = 1_000;
const PROBES: usize = 200_000;
/// At this size and above, rounds are long and few do.
const LARGE: usize = 5_000_000;

/// How keys arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    RandomSingles,
    RandomBatches,
    InOrder,
}

const ARRIVALS: [Arrival; 3] = [Arrival::RandomSingles, Arrival::RandomBatches, Arrival::InOrder];

/// What is measured after each kind of arrival, in the order of the table.
const COLUMNS: [&str; 7] = [
    "insert ns",
    "get ns",
    "half absent ns",
    "many ns",
    "longest insert us",
    "snapshot us",
    "bytes/key",
];

/// One number per column.
type Row = [f64; COLUMNS.len()];

fn main() {
    let sizes = settings::sizes("KEYS", "1M,10M");
    for size in sizes {
        let rounds = settings::count("ROUNDS", if size < LARGE { 7 } else { 3 });
        for arrival in ARRIVALS {
            eprintln!("{} {arrival:?}", size_name(size));
            let entries = arrival.entries(size);
            let (mut tree, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
            for round in 0..rounds {
                let round = round as u64;
                tree.push(round_of::<TreeMap>(arrival, &entries, round));
                one.push(round_of::<OneThread>(arrival, &entries, round));
                two.push(round_of::<Background>(arrival, &entries, round));
            }
            let found = [
                (TreeMap::NAME, medians(&tree)),
                (OneThread::NAME, medians(&one)),
                (Background::NAME, medians(&two)),
            ];
            report(size, arrival, rounds, &found);
        }
        statements(size, rounds);
    }
}

impl Arrival {
    fn name(self) -> &'static str {
        match self {
            Arrival::RandomSingles => "random_singles",
            Arrival::RandomBatches => "random_batches",
            Arrival::InOrder => "in_order",
        }
    }

    /// Entries in the order of arrival. Keys are odd, so that even ones are absent.
    fn entries(self, size: usize) -> Vec<(u64, u64)> {
        let entry = |i: u64| match self {
            Arrival::InOrder => 1_000_001 + 2 * i,
            _ => mixed(i) | 1,
        };
        let mut keys: Vec<u64> = (0..size as u64).map(entry).collect();
        if self != Arrival::InOrder {
            // Two numbers may differ in the bit that was set: keep one of them, in its place.
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            let doubled = |key: &u64| {
                let first = sorted.partition_point(|k| k < key);
                sorted.get(first + 1) == Some(key)
            };
            keys.retain(|key| !doubled(key));
        }
        keys.into_iter().map(|key| (key, value_of(key))).collect()
    }

    /// Puts all entries into a map.
    fn fill<M: MutableMap>(self, map: &mut M, entries: &[(u64, u64)]) {
        match self {
            Arrival::RandomBatches => entries.chunks(BATCH).for_each(|b| map.insert_batch(b)),
            _ => entries.iter().for_each(|&(key, value)| map.insert(key, value)),
        }
        map.settle();
    }

    /// The longest single call while filling, in microseconds.
    fn longest_call_us<M: MutableMap>(self, entries: &[(u64, u64)]) -> f64 {
        let mut map = M::default();
        let mut longest = 0;
        let mut timed = |call: &mut dyn FnMut()| {
            let started = Instant::now();
            call();
            longest = longest.max(started.elapsed().as_nanos());
        };
        match self {
            Arrival::RandomBatches => {
                entries.chunks(BATCH).for_each(|b| timed(&mut || map.insert_batch(b)));
            }
            _ => entries.iter().for_each(|&(k, v)| timed(&mut || map.insert(k, v))),
        }
        // A second thread must not go on while the next contender is timed.
        map.settle();
        longest as f64 / 1e3
    }
}

/// Statements that each leave a snapshot, one after the other; and a snapshot alone, which is
/// asked for when the inbox is as full as it happens to be at the end.
fn statements(size: usize, rounds: usize) {
    let title = format!("{} keys, a snapshot per statement, median of {rounds}", size_name(size));
    let columns = ["statement of 1, ns", "of 1,000, ns per entry", "snapshot alone, ns"];
    let mut table = Table::new(title, columns.map(String::from).into(), 1);
    let mut figures = Vec::new();
    for arrival in [Arrival::RandomSingles, Arrival::InOrder] {
        let entries = arrival.entries(size);
        let rows: Vec<[f64; 3]> = (0..rounds)
            .map(|_| {
                let (single, map) = statement_ns(&entries, 1);
                let (batch, _) = statement_ns(&entries, BATCH);
                [single, batch / BATCH as f64, snapshot_ns(&map)]
            })
            .collect();
        let column = |i: usize| median(&rows.iter().map(|row| row[i]).collect::<Vec<f64>>());
        let name = if arrival == Arrival::InOrder { "in_order" } else { "random" };
        table.row(name, (0..3).map(column).collect());
        figures.push((name, [column(0), column(1), column(2)]));
    }
    table.print();
    for (name, [single, batch, snapshot]) in figures {
        let prefix = format!("index_runs_{}_{name}", size_name(size));
        measured(&format!("{prefix}_statement_of_1_ns"), single);
        measured(&format!("{prefix}_statement_of_1000_ns_per_entry"), batch);
        at_most(&format!("{prefix}_snapshot_ns"), snapshot, 300.0);
    }
}

/// What a lookup is checked against.
fn value_of(key: u64) -> u64 {
    mixed(key ^ 0x5EED)
}

/// Fills a new map and asks it.
fn round_of<M: MutableMap>(arrival: Arrival, entries: &[(u64, u64)], round: u64) -> Row {
    let mut map = M::default();
    let started = Instant::now();
    let ((), bytes) = ALLOCATOR.bytes_of(|| arrival.fill(&mut map, entries));
    let insert_ns = started.elapsed().as_nanos() as f64 / entries.len() as f64;

    let mut random = Random::new(round);
    let mut probes = |absent: u64| -> Vec<u64> {
        let key = |random: &mut Random| {
            let key = entries[random.below(entries.len() as u64) as usize].0;
            // A stored key is odd: the one below it is absent.
            key - u64::from(random.below(2) < absent)
        };
        (0..PROBES).map(|_| key(&mut random)).collect()
    };
    let (stored, mixed, many) = (probes(0), probes(1), probes(0));
    let get_ns = one_by_one(&map, &stored);
    let mixed_ns = one_by_one(&map, &mixed);
    let mut values = vec![None; PROBES];
    let started = Instant::now();
    map.get_many(&many, &mut values);
    let many_ns = started.elapsed().as_nanos() as f64 / PROBES as f64;
    check::<M>(&many, &values);

    let started = Instant::now();
    let snapshot = black_box(map.snapshot());
    let snapshot_us = started.elapsed().as_nanos() as f64 / 1e3;
    map.insert(2, value_of(2));
    assert!(map.get(2) == Some(value_of(2)), "{}: an entry is lost", M::NAME);
    assert!(snapshot.get(2).is_none(), "{}: a snapshot sees a later entry", M::NAME);
    drop((map, snapshot));

    let longest_us = arrival.longest_call_us::<M>(entries);
    let bytes_per_key = bytes as f64 / entries.len() as f64;
    [insert_ns, get_ns, mixed_ns, many_ns, longest_us, snapshot_us, bytes_per_key]
}

/// Nanoseconds of a lookup; the answers are checked afterwards.
fn one_by_one<M: MutableMap>(map: &M, probes: &[u64]) -> f64 {
    let mut values = vec![None; probes.len()];
    let started = Instant::now();
    for (value, &key) in values.iter_mut().zip(probes) {
        *value = map.get(key);
    }
    let ns = started.elapsed().as_nanos() as f64 / probes.len() as f64;
    check::<M>(probes, &values);
    ns
}

fn check<M: MutableMap>(probes: &[u64], values: &[Option<u64>]) {
    for (&key, &value) in probes.iter().zip(values) {
        let expected = (key % 2 == 1).then(|| value_of(key));
        assert!(value == expected, "{}: {key} has {value:?}, not {expected:?}", M::NAME);
    }
}

fn medians(rounds: &[Row]) -> Row {
    std::array::from_fn(|column| {
        median(&rounds.iter().map(|row| row[column]).collect::<Vec<f64>>())
    })
}

/// A table of all contenders; figures against the first, `BTreeMap`: of all work done by one
/// thread, but for the longest insertion, which is that of a writer who leaves merging to another.
fn report(size: usize, arrival: Arrival, rounds: usize, found: &[(&str, Row)]) {
    let title = format!("{} {}, median of {rounds} rounds", size_name(size), arrival.name());
    let columns = COLUMNS.iter().map(|name| name.to_string()).collect();
    let mut table = Table::new(title, columns, 1);
    for (name, row) in found {
        table.row(name, row.to_vec());
    }
    table.print();
    let [(_, tree), (_, runs), (_, background)] = found else { return };
    let prefix = format!("index_runs_{}_{}", size_name(size), arrival.name());
    let goal = match arrival {
        Arrival::RandomSingles => 3.5,
        Arrival::RandomBatches => 10.0,
        Arrival::InOrder => 7.0,
    };
    at_least(&format!("{prefix}_insert_vs_btreemap"), tree[0] / runs[0], goal);
    at_least(&format!("{prefix}_get_vs_btreemap"), tree[1] / runs[1], 2.0);
    at_least(&format!("{prefix}_half_absent_vs_btreemap"), tree[2] / runs[2], 2.0);
    at_least(&format!("{prefix}_get_many_vs_btreemap"), tree[3] / runs[3], 2.0);
    at_most(&format!("{prefix}_longest_insert_ms"), background[4] / 1e3, 5.0);
}
