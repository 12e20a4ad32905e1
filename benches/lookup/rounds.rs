//! Rounds: every contender, every way to look up, every answer checked.

use std::time::Instant;

use omen_benches::Random;
use omen_benches::figure::{median, spread};
use omen_benches::peers::allocator::CountingAllocator;
use omen_benches::peers::{
    BinarySearch, Contender, Eytzinger, Floor, Omen, Pgm, STree, Spline, Tree,
};
use omen_benches::turns::Turns;
use omen_benches::workload::{Absence, Absent, MISS, Pool, Probes, Workload};

/// Above this many keys `BTreeMap` and `pgm_index` are left out, for time and memory.
const MAPS_KEYS_MAX: usize = 20_000_000;

/// Above this many keys `pgm_index` sits out where there are outliers: it goes through a large
/// part of all keys there, at 10 million for 0.2 ms per lookup.
const PGM_OUTLIERS_KEYS_MAX: usize = 1_000_000;

/// Lookups timed in one go.
const BLOCK_PROBES: usize = 5_000;

/// Lookups with which a turn begins, not timed.
const WARM_UP_PROBES: usize = 300_000;

/// How a run measures.
pub struct Setup {
    pub rounds: usize,
    /// Lookups in one turn of a contender.
    pub probes: usize,
    /// The contenders that take part; all if none are named.
    pub peers: Option<Vec<String>>,
    pub allocator: &'static CountingAllocator,
}

impl Setup {
    /// Whether a contender is measured.
    pub fn takes_part(&self, name: &str) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.iter().any(|peer| peer == name))
    }

    /// The same for contenders that are not [`Contender`]s.
    pub fn turns(&self) -> Turns {
        Turns { rounds: self.rounds, questions: self.probes, warm_up: WARM_UP_PROBES }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Stored,
    Absent(Absence),
}

/// Ways to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One by one; the processor may overlap them.
    Independent,
    /// Each key known when the one before is found.
    Dependent,
    /// Many at once.
    Batched,
}

/// Kinds of absent keys.
pub const ABSENCES: [Asked; 3] =
    [Asked::Absent(Absence::Near), Asked::Absent(Absence::Domain), Asked::Absent(Absence::Outside)];

/// Everything that a contender does in a round. Chains are of stored keys alone.
const TURNS: [(Asked, Way); 9] = [
    (Asked::Stored, Way::Independent),
    (Asked::Stored, Way::Dependent),
    (Asked::Stored, Way::Batched),
    (ABSENCES[0], Way::Independent),
    (ABSENCES[0], Way::Batched),
    (ABSENCES[1], Way::Independent),
    (ABSENCES[1], Way::Batched),
    (ABSENCES[2], Way::Independent),
    (ABSENCES[2], Way::Batched),
];

/// What was found for one contender.
pub struct Measured {
    pub name: &'static str,
    /// Bytes it needs beside the sorted keys, or with them if it replaces them.
    pub bytes: usize,
    /// Median nanoseconds of a lookup in each of [`TURNS`]; NaN if it has no such way.
    ns: [f64; TURNS.len()],
    /// How far apart the rounds are in each turn, by their quartiles.
    pub spread: [f64; TURNS.len()],
    /// Share of right answers.
    pub right: f64,
    /// Share of the stored keys asked for that were found.
    pub hits: f64,
}

/// What was found for one workload at one size.
pub struct Outcome {
    pub workload: Workload,
    pub size: usize,
    pub contenders: Vec<Measured>,
}

impl Outcome {
    /// The median of a contender; NaN if it did not take part.
    pub fn ns(&self, name: &str, asked: Asked, way: Way) -> f64 {
        let found = self.contenders.iter().find(|contender| contender.name == name);
        let turn = TURNS.iter().position(|turn| *turn == (asked, way));
        found.zip(turn).map_or(f64::NAN, |(contender, turn)| contender.ns[turn])
    }

    /// The bytes that a contender keeps allocated, for each key; NaN if it did not take part.
    pub fn bytes_per_key(&self, name: &str) -> f64 {
        let found = self.contenders.iter().find(|contender| contender.name == name);
        found.map_or(f64::NAN, |contender| contender.bytes as f64 / self.size as f64)
    }
}

/// One contender and what is known of it so far.
struct Lane<'a> {
    contender: Box<dyn Contender + 'a>,
    bytes: usize,
    samples: [Vec<f64>; TURNS.len()],
    asked: usize,
    right: usize,
    asked_stored: usize,
    hits: usize,
}

/// Measures all contenders on one workload.
///
/// # Panics
/// If a contender that must not be wrong is.
pub fn measure(workload: Workload, keys: &[u64], setup: &Setup) -> Outcome {
    let size = keys.len();
    let mut random = Random::new(size as u64);
    let mut lanes = lanes(workload, keys, setup);
    let absent = Absent::of(keys);
    let warm_up = Pool::present(keys, WARM_UP_PROBES, &mut random);
    let mut warm_answers = vec![0; WARM_UP_PROBES];
    let mut block = Block::default();
    for round in 0..setup.rounds {
        // The first to go changes, lest someone always follows the same neighbour.
        lanes.rotate_left(usize::from(round > 0));
        let count = lanes.len() * setup.probes;
        let mut pools = TURNS.map(|(asked, _)| match asked {
            Asked::Stored => Pool::present(keys, count, &mut random),
            Asked::Absent(kind) => Pool::absent(&absent, kind, count, &mut random),
        });
        for lane in &mut lanes {
            // What the others left in the caches is not this one's to clear away.
            lane.contender.independent(warm_up.all(), &mut warm_answers);
            for (turn, pool) in pools.iter_mut().enumerate() {
                lane.turn(turn, pool.fresh(setup.probes), &mut block, keys);
            }
        }
    }
    lanes.sort_by_key(|lane| ORDER.iter().position(|name| *name == lane.contender.name()));
    let contenders: Vec<Measured> = lanes.into_iter().map(Lane::measured).collect();
    for contender in &contenders {
        let may_be_wrong = contender.name == "pgm_index";
        assert!(
            may_be_wrong || contender.right == 1.0,
            "{}: {} is right in {} of all answers",
            workload.name,
            contender.name,
            contender.right,
        );
    }
    Outcome { workload, size, contenders }
}

/// Contenders in the order of tables.
pub const ORDER: [&str; 8] = [
    "omen-index",
    "S+-tree",
    "radix_spline",
    "Eytzinger",
    "partition_point",
    "BTreeMap",
    "pgm_index",
    "floor",
];

fn lanes<'a>(workload: Workload, keys: &'a [u64], setup: &Setup) -> Vec<Lane<'a>> {
    let make = |name: &str| -> Box<dyn Contender + 'a> {
        match name {
            "omen-index" => Box::new(Omen::new(keys)),
            "S+-tree" => Box::new(STree::new(keys)),
            "radix_spline" => Box::new(Spline::new(keys)),
            "Eytzinger" => Box::new(Eytzinger::new(keys)),
            "partition_point" => Box::new(BinarySearch(keys)),
            "BTreeMap" => Box::new(Tree::new(keys)),
            "pgm_index" => Box::new(Pgm::new(keys)),
            _ => Box::new(Floor(keys)),
        }
    };
    let is_asked = |name: &&&str| match **name {
        "BTreeMap" | "pgm_index" if keys.len() > MAPS_KEYS_MAX => false,
        "pgm_index" if keys.len() > PGM_OUTLIERS_KEYS_MAX && workload.name == "outliers" => false,
        name => setup.takes_part(name),
    };
    ORDER
        .iter()
        .filter(is_asked)
        .map(|name| {
            let (contender, bytes) = setup.allocator.bytes_of(|| make(name));
            Lane::new(contender, bytes)
        })
        .collect()
}

/// A few probes at hand: where the time is taken, reading them costs next to nothing.
#[derive(Default)]
struct Block {
    keys: Vec<u64>,
    positions: Vec<usize>,
    answers: Vec<usize>,
}

impl Block {
    /// Copies probes, and makes room for answers that no lookup gives.
    fn take(&mut self, probes: Probes<'_>) -> (Probes<'_>, &mut [usize]) {
        self.keys.clear();
        self.keys.extend(probes.keys);
        self.positions.clear();
        self.positions.extend(probes.positions);
        self.answers.clear();
        self.answers.resize(probes.keys.len(), MISS - 1);
        (Probes { keys: &self.keys, positions: &self.positions }, &mut self.answers)
    }
}

impl<'a> Lane<'a> {
    fn new(contender: Box<dyn Contender + 'a>, bytes: usize) -> Self {
        let samples = Default::default();
        Self { contender, bytes, samples, asked: 0, right: 0, asked_stored: 0, hits: 0 }
    }

    /// Looks up one slice of probes, timed, and checks the answers, not timed.
    fn turn(&mut self, turn: usize, probes: Probes<'_>, block: &mut Block, keys: &[u64]) {
        let (kind, way) = TURNS[turn];
        let mut ns = 0;
        let mut right = 0;
        for probes in probes.chunks(BLOCK_PROBES) {
            let (probes, answers) = block.take(probes);
            let started = Instant::now();
            if !self.look_up(way, probes, answers) {
                return;
            }
            ns += started.elapsed().as_nanos();
            right += right_answers(kind, way, probes, answers, keys);
        }
        let asked = probes.keys.len();
        self.samples[turn].push(ns as f64 / asked as f64);
        self.asked += asked;
        self.right += right;
        if kind == Asked::Stored {
            self.asked_stored += asked;
            self.hits += right;
        }
    }

    /// Looks up one slice of probes; `false` if the contender has no such way.
    fn look_up(&self, way: Way, probes: Probes<'_>, answers: &mut [usize]) -> bool {
        match way {
            Way::Independent => self.contender.independent(probes, answers),
            Way::Dependent => self.contender.dependent(probes, answers),
            Way::Batched => return self.contender.batched(probes, answers),
        }
        true
    }

    fn measured(self) -> Measured {
        Measured {
            name: self.contender.name(),
            bytes: self.bytes,
            ns: self.samples.each_ref().map(|samples| median(samples)),
            spread: self.samples.each_ref().map(|samples| spread(samples)),
            right: self.right as f64 / self.asked as f64,
            hits: self.hits as f64 / self.asked_stored as f64,
        }
    }
}

/// How many answers are right: a stored key's position with that key in it, or its absence.
fn right_answers(
    kind: Asked,
    way: Way,
    probes: Probes<'_>,
    answers: &[usize],
    keys: &[u64],
) -> usize {
    let asked = probes.keys.iter().zip(probes.positions).zip(answers);
    let right = asked.filter(|&((&key, &position), &answer)| match (kind, way) {
        (Asked::Stored, _) => answer == position && keys.get(answer) == Some(&key),
        (Asked::Absent(_), Way::Batched) => answer == position,
        (Asked::Absent(_), _) => answer == MISS,
    });
    right.count()
}
