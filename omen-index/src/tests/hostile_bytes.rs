//! Stored forms that someone made up: mutations of real ones, most with a checksum that fits.
//!
//! A few thousand in every run; for `FUZZ_SECONDS` if that is set in the environment, which prints
//! how many there were. Where `FUZZ_CORPUS` names a folder, the first input of every kind of
//! outcome is written to it. The folder `corpus` of this crate holds such inputs, and every one
//! that ever failed; they are read in every run.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::distributions::{ALL, Random};
use super::law::PLANS;
use crate::fit::Fitter;
use crate::fuzzing::{check_numbers, seal};
use crate::{Error, Rmi};

const RUNS: usize = 20_000;

/// Values that sit on the edge of something.
const EDGES: [u64; 10] = [0, 1, 2, 255, 256, 1 << 31, u32::MAX as u64, 1 << 32, 1 << 63, u64::MAX];

/// What is fuzzed: how a stored form gets checksums that fit, what it must bear, and what reading
/// it comes to.
pub(super) struct Target {
    pub(super) mutations: u64,
    pub(super) seal: fn(&mut [u8]),
    pub(super) check: fn(&[u8]) -> bool,
    pub(super) refusal: fn(&[u8]) -> Option<Error>,
}

const RMI: Target = Target {
    mutations: 5,
    seal,
    check: check_numbers,
    refusal: |bytes| Rmi::from_bytes(bytes).err(),
};

#[test]
fn made_up_bytes_are_refused_or_harmless() {
    let kinds = fuzz(&RMI, originals());
    assert!(kinds.contains("accepted") && kinds.len() > 15, "{kinds:?}");
}

#[test]
fn corpus_stays_harmless() {
    replay("corpus", check_numbers);
}

/// Makes up stored forms from the pool, and returns the kinds of outcomes.
pub(super) fn fuzz(target: &Target, mut pool: Vec<Vec<u8>>) -> HashSet<String> {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let seed = until.map_or(1, |_| std::process::id().into());
    println!("seed {seed}");
    let mut random = Random(seed);
    let (mut runs, mut accepted, mut kinds) = (0, 0, HashSet::new());
    while until.map_or(runs < RUNS, |until| Instant::now() < until) {
        let mut bytes = pool[random.below(pool.len() as u64) as usize].clone();
        for _ in 0..=random.below(target.mutations - 1) {
            mutate(&mut bytes, &pool, &mut random);
        }
        if random.below(10) > 0 && bytes.len() > 4 {
            (target.seal)(&mut bytes);
        }
        let kind = target.check_noting(&bytes);
        accepted += usize::from(kind == "accepted");
        if kinds.insert(kind.clone()) {
            keep(&bytes, &kind);
        }
        if kind == "accepted" && pool.len() < 200 && random.below(50) == 0 {
            pool.push(bytes);
        }
        runs += 1;
    }
    println!("{runs} made-up stored forms, {accepted} of them accepted, {kinds:?}");
    kinds
}

/// Checks all inputs in a folder of this crate.
pub(super) fn replay(folder: &str, check: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 5, "{count} files in the corpus");
}

impl Target {
    /// Checks the bytes, and says what became of them. A failure leaves them behind.
    fn check_noting(&self, bytes: &[u8]) -> String {
        let outcome = std::panic::catch_unwind(|| (self.check)(bytes));
        if let Err(panic) = outcome {
            keep(bytes, "failure");
            println!("{bytes:?}");
            std::panic::resume_unwind(panic);
        }
        match (self.refusal)(bytes) {
            None => "accepted".to_string(),
            Some(Error::Corrupt { reason, .. }) => reason.replace(' ', "-"),
            Some(other) => panic!("{other}"),
        }
    }
}

/// Small indexes of every shape.
fn originals() -> Vec<Vec<u8>> {
    let mut pool = Vec::new();
    for (seed, distribution) in (1..).zip(ALL) {
        for (plan, count) in PLANS.into_iter().zip([40, 9, 200, 30, 600]) {
            let keys = distribution.keys(count, seed);
            let fitter = Fitter::with_shape(plan.shape);
            pool.push(Rmi::train_with(fitter, plan.chunk, &keys).unwrap().to_bytes());
        }
    }
    pool
}

/// Changes the bytes in one place.
fn mutate(bytes: &mut Vec<u8>, pool: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len().max(1) as u64) as usize;
    let value = match random.below(3) {
        0 => EDGES[random.below(EDGES.len() as u64) as usize],
        1 => random.next() >> random.below(64),
        _ => bytes.get(at).copied().unwrap_or(0).into(),
    };
    match random.below(7) {
        0 => flip(bytes, at, random),
        1 => put(bytes, at, &value.to_le_bytes()[..1]),
        2 => put(bytes, at & !3, &value.to_le_bytes()[..4]),
        3 => put(bytes, at & !3, &value.to_le_bytes()),
        // One of the counts of the header.
        4 => put(bytes, 12 + 4 * (at % 4), &value.to_le_bytes()[..4]),
        5 => {
            let other = &pool[random.below(pool.len() as u64) as usize];
            let from = at.min(other.len());
            let len = random.below(64).min((other.len() - from) as u64) as usize;
            put(bytes, at, &other[from..from + len]);
        }
        _ => {
            let len = if random.below(2) == 0 { at } else { bytes.len() + at % 40 };
            bytes.resize(len, value as u8);
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn put(bytes: &mut [u8], at: usize, patch: &[u8]) {
    for (byte, patch) in bytes.iter_mut().skip(at).zip(patch) {
        *byte = *patch;
    }
}

fn keep(bytes: &[u8], kind: &str) {
    if let Some(folder) = std::env::var_os("FUZZ_CORPUS") {
        let path = PathBuf::from(folder).join(kind);
        std::fs::write(path, bytes).unwrap();
    }
}
