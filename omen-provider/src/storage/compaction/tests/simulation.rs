//! Thousands of flushes, and the tasks that are picked meanwhile: that they end, what they write,
//! and what they leave.

use std::collections::BTreeSet;

use super::super::parts::{Part, Parts};
use super::super::picker::{INPUTS_MAX, due, everything};
use super::table::options;
use crate::dice::Dice;

/// Rows of a full segment, and of a flush.
const FULL: usize = 2048;
const FLUSHED: usize = 64;

/// Rows written for each row that came in, and for each that was written over, at most: what the
/// picker promises, for a table of `rows` rows.
fn bound(rows: usize) -> f64 {
    2.0 + 4.0 + (rows as f64 / FLUSHED as f64).log2()
}

struct Segment {
    file: u64,
    min: [u8; 4],
    max: [u8; 4],
    /// Ascending, the deleted ones included.
    rows: Vec<u32>,
    dead: BTreeSet<u32>,
}

#[derive(Default)]
struct Table {
    segments: Vec<Segment>,
    next_file: u64,
    /// Rows that came in, that were written over, that flush and compaction wrote.
    came: usize,
    replaced: usize,
    written: usize,
    tasks: usize,
}

impl Segment {
    fn live(&self) -> usize {
        self.rows.len() - self.dead.len()
    }

    fn part(&self) -> Part<'_> {
        let live = self.live() as u64;
        Part {
            file: self.file,
            min: &self.min,
            max: &self.max,
            live,
            dead: self.dead.len() as u64,
            bytes: self.rows.len() as u64,
            impaired: false,
            outdated: false,
            rank: Box::new(move |key| {
                let key = u32::from_be_bytes(key.try_into().unwrap());
                let position = self.rows.partition_point(|row| *row < key) as u64;
                position * live / self.rows.len() as u64
            }),
        }
    }
}

impl Table {
    fn add(&mut self, rows: Vec<u32>) {
        let (Some(min), Some(max)) = (rows.first(), rows.last()) else { return };
        self.written += rows.len();
        self.next_file += 1;
        let (min, max) = (min.to_be_bytes(), max.to_be_bytes());
        let (file, dead) = (self.next_file, BTreeSet::new());
        self.segments.push(Segment { file, min, max, rows, dead });
    }

    fn delete(&mut self, key: u32) -> bool {
        let holds = |s: &&mut Segment| s.rows.binary_search(&key).is_ok() && !s.dead.contains(&key);
        let found = self.segments.iter_mut().find(holds);
        found.is_some_and(|segment| segment.dead.insert(key))
    }

    fn flush(&mut self, keys: BTreeSet<u32>) {
        self.came += keys.len();
        for key in &keys {
            self.replaced += usize::from(self.delete(*key));
        }
        self.add(keys.into_iter().collect());
    }

    fn pick(&self, all: bool) -> Option<Vec<u64>> {
        let parts = Parts::new(self.segments.iter().map(Segment::part).collect());
        let files: Vec<u64> = self.segments.iter().map(|s| s.file).collect();
        let members = match all {
            false => due(&parts, &options(FULL as u64)),
            true => everything(&parts, &options(FULL as u64), &files),
        }?;
        Some(members.into_iter().map(|at| parts.all()[at].file).collect())
    }

    /// As `worker` does it.
    fn merge(&mut self, inputs: &[u64]) {
        assert!((1..=INPUTS_MAX).contains(&inputs.len()), "{inputs:?}");
        self.tasks += 1;
        let is_input = |s: &Segment| inputs.contains(&s.file);
        let (merged, rest) = std::mem::take(&mut self.segments).into_iter().partition(is_input);
        let merged: Vec<Segment> = merged;
        assert_eq!(merged.len(), inputs.len());
        self.segments = rest;
        let mut rows: Vec<u32> = Vec::new();
        for segment in &merged {
            rows.extend(segment.rows.iter().filter(|row| !segment.dead.contains(row)));
        }
        rows.sort_unstable();
        let pieces = rows.len().div_ceil(FULL).max(1);
        rows.chunks(rows.len().div_ceil(pieces).max(1)).for_each(|piece| self.add(piece.to_vec()));
    }

    /// Carries out tasks until there are none.
    fn settle(&mut self, all: bool, is_checked: bool) {
        let mut before = is_checked.then(|| self.measure());
        while let Some(inputs) = self.pick(all) {
            self.merge(&inputs);
            if let Some(before) = &mut before {
                let now = self.measure();
                assert!(now.0 >= before.0, "{before:?}, then {now:?} by {inputs:?}");
                assert!(now.0 > before.0 || now.1 < before.1, "{before:?}, {now:?}: {inputs:?}");
                *before = now;
            }
        }
    }

    /// How large the segments are around all rows, up to half full ones; and the sum of all
    /// reaches, the dead rows and the segments. The first never falls. With each task it rises, or
    /// the rest falls, in the order of the dictionary.
    fn measure(&self) -> (usize, [usize; 3]) {
        let mut keys: Vec<u32> = self.segments.iter().flat_map(|s| s.rows.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        let below = |key: u32| keys.partition_point(|k| *k < key);
        let last = |s: &Segment| u32::from_be_bytes(s.max);
        let reach = |s: &Segment| below(last(s)) + 1 - below(u32::from_be_bytes(s.min));
        let dead = self.segments.iter().map(|s| s.dead.len()).sum();
        let size = |s: &Segment| s.live() * s.live().min(FULL / 2);
        let sizes = self.segments.iter().map(size).sum();
        (sizes, [self.segments.iter().map(reach).sum(), dead, self.segments.len()])
    }

    fn live(&self) -> usize {
        self.segments.iter().map(Segment::live).sum()
    }

    /// The most segments that hold one key in their range.
    fn depth(&self) -> usize {
        let parts = Parts::new(self.segments.iter().map(Segment::part).collect());
        parts.stacks().iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The largest share of rows that lies in disjoint segments.
    fn disjoint_share(&self) -> f64 {
        let mut by_end: Vec<&Segment> = self.segments.iter().collect();
        by_end.sort_by_key(|s| s.max);
        let mut best = vec![0];
        for (at, segment) in by_end.iter().enumerate() {
            let before = by_end.partition_point(|other| other.max < segment.min);
            best.push(best[at].max(best[before.min(at)] + segment.live()));
        }
        best[by_end.len()] as f64 / self.live().max(1) as f64
    }
}

/// Keys of one flush.
type Keys = fn(&mut Dice, usize) -> u32;

fn random(dice: &mut Dice, _: usize) -> u32 {
    dice.below(1 << 31) as u32
}

fn ascending(_: &mut Dice, row: usize) -> u32 {
    row as u32 * 16
}

/// Most keys fall into few ranges, which move.
fn zipfian(dice: &mut Dice, row: usize) -> u32 {
    let rank = 1 << dice.below(16);
    let place = (dice.below(rank) + row as u64 / 5000) * 0x9E37_79B9 % (1 << 31);
    (place / 64 * 64 + dice.below(20_000)) as u32
}

/// Each flush falls into a short range of its own.
fn bursts(dice: &mut Dice, row: usize) -> u32 {
    let place = (row / FLUSHED) as u64 * 0x9E37_79B9_7F4A % (1 << 20);
    (place * 100 + dice.below(200)) as u32
}

/// Every flush falls into one of few short ranges, which lie among many other rows.
fn hot(dice: &mut Dice, row: usize) -> u32 {
    match row < 20_000 {
        true => random(dice, row),
        false => (((row / FLUSHED) as u64 % 3) << 28 | dice.below(100_000)) as u32,
    }
}

/// `flushes` flushes, a share of whose rows are written over rows there are.
fn grown(keys: Keys, seed: u64, flushes: usize, updates: u64) -> Table {
    let (mut table, mut dice) = (Table::default(), Dice(seed));
    let mut known: Vec<u32> = Vec::new();
    for flush in 0..flushes {
        let mut rows = BTreeSet::new();
        for row in 0..FLUSHED {
            match dice.below(100) < updates && !known.is_empty() {
                true => rows.insert(known[dice.below(known.len() as u64) as usize]),
                false => {
                    let key = keys(&mut dice, flush * FLUSHED + row);
                    known.push(key);
                    rows.insert(key)
                }
            };
        }
        table.flush(rows);
        table.settle(false, false);
    }
    table
}

const WORKLOADS: [(&str, Keys); 5] = [
    ("random", random),
    ("ascending", ascending),
    ("zipfian", zipfian),
    ("bursts", bursts),
    ("hot", hot),
];

#[test]
fn what_is_written_is_bounded_and_so_is_what_rests() {
    for (name, keys) in WORKLOADS {
        for updates in [0, 20, 90] {
            let mut table = grown(keys, 7, 500, updates);
            let allowed = bound(table.live()) * table.came as f64 + 2.0 * table.replaced as f64;
            let factor = table.written as f64 / table.came as f64;
            let (depth, disjoint) = (table.depth(), table.disjoint_share());
            println!(
                "{name}, {updates} % updates: {} rows, {} segments, {} tasks, written {factor:.2} \
                 times of {:.2}, depth {depth}, disjoint {disjoint:.3}",
                table.live(),
                table.segments.len(),
                table.tasks,
                allowed / table.came as f64
            );
            assert!((table.written as f64) <= allowed, "{name}: {factor:.2} times");
            let levels = (table.live() as f64 / FLUSHED as f64).log2();
            assert!(depth as f64 <= 4.0 + levels, "{name}: depth {depth}");
            assert!(disjoint >= 0.5, "{name}: {disjoint:.2} of the rows are disjoint");
            for segment in &table.segments {
                assert!(segment.dead.len() * 3 <= segment.rows.len(), "{name}");
            }
            let written = table.written;
            table.settle(true, false);
            let factor = (table.written - written) as f64 / table.live() as f64;
            println!("    everything: {} segments, {factor:.2} times", table.segments.len());
            assert!(factor <= 4.0, "{name}: everything wrote {factor:.2} times the table");
            assert_eq!(table.depth(), 1, "{name}");
            assert!(table.segments.iter().all(|s| s.dead.is_empty() && s.rows.len() <= FULL));
            assert!(table.segments.len() <= table.live().div_ceil(FULL / 2) + 1, "{name}");
        }
    }
}

/// From any version, with nothing coming in, every task brings the end nearer.
#[test]
fn tasks_come_to_an_end_from_any_version() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut table = Table::default();
        for _ in 0..dice.below(40) {
            let rows = 1 << dice.below(12);
            let (start, most) = (dice.below(50_000), 1 << dice.below(17));
            let width = 1 + dice.below(most);
            let keys: BTreeSet<u32> =
                (0..rows).map(|_| (start + dice.below(width)) as u32).collect();
            table.flush(keys);
            for _ in 0..dice.below(300) {
                table.delete(dice.below(60_000) as u32);
            }
        }
        let rows = table.live();
        table.settle(dice.below(2) == 0, true);
        table.settle(false, true);
        table.settle(true, true);
        assert_eq!(table.live(), rows, "seed {seed}");
        assert!(table.depth() <= 1, "seed {seed}");
    }
}

/// However far compaction is behind, a task has few inputs, and what has gathered is merged.
#[test]
fn lag_is_made_up_for() {
    let (mut table, mut dice) = (Table::default(), Dice(3));
    for _ in 0..400 {
        table.flush((0..FLUSHED).map(|_| random(&mut dice, 0)).collect());
    }
    let written = table.written;
    table.settle(false, false);
    let factor = (table.written - written) as f64 / table.live() as f64;
    assert!(factor <= 5.0, "{factor:.2} times, in {} tasks", table.tasks);
    assert!(table.depth() <= 12, "depth {}", table.depth());
}
