//! What the fuzz targets (`fuzz/`) do with an input, done with each of their seeds, with damaged
//! seeds, and with every input that has ever found something. So the targets keep compiling, and
//! begin with inputs that get past the first check.
//!
//! Fuzzing itself is `fuzz/run`.

#[path = "../../fuzz/src/seeds.rs"]
mod seeds;
#[path = "../../fuzz/src/sql.rs"]
mod sql;

use std::fs;
use std::path::Path;
use std::time::Duration;

use omen_provider::fuzzing;
use sql::{Answering, Outcome};

/// What a target does with an input.
type Decode = fn(&[u8]) -> bool;

const DECODERS: [(&str, Decode); 6] = [
    ("log", fuzzing::log),
    ("manifest", fuzzing::manifest),
    ("segment", fuzzing::segment),
    ("entries", fuzzing::entries),
    ("index", fuzzing::index),
    ("deletion_vector", fuzzing::deletion_vector),
];

/// What a statement may take, in a build without optimisation beside many others.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Damaged copies of a seed.
const COPIES: u64 = 40;

#[test]
fn every_seed_is_read() {
    for (target, decode) in DECODERS {
        let seeds = seeds::of(target);
        assert!(seeds.len() > 2, "{target}: {} seeds", seeds.len());
        for (number, seed) in seeds.iter().enumerate() {
            assert!(decode(seed), "{target}: seed {number} of {} bytes is refused", seed.len());
        }
    }
}

#[test]
fn damaged_seeds_are_refused_or_harmless() {
    for (target, decode) in DECODERS {
        let (mut read, mut refused) = (0, 0);
        for seed in seeds::of(target) {
            // The same for every run.
            let mut state = seed.len() as u64;
            let mut next = move || {
                state =
                    state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                (state >> 33) as usize
            };
            for _ in 0..COPIES.min(1 + 200_000 / (seed.len() as u64 + 1)) {
                let mut copy = seed.clone();
                for _ in 0..1 + next() % 3 {
                    let at = next() % copy.len();
                    copy[at] ^= 1 << (next() % 8);
                }
                match decode(&copy) {
                    true => read += 1,
                    false => refused += 1,
                }
            }
        }
        assert!(read > 0 && refused > 0, "{target}: {read} read, {refused} refused");
    }
}

#[test]
fn what_was_found_stays_mended() {
    let findings = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzzing/findings");
    let decoded = ["log", "segment"].map(|target| {
        let (_, decode) = DECODERS.into_iter().find(|(name, _)| *name == target).unwrap();
        let inputs = inputs_in(&findings.join(target));
        inputs.iter().for_each(|input| _ = decode(input));
        inputs.len()
    });
    assert_eq!(decoded, [1, 2]);
    let mut answering = Answering::begin(TIME_MAX);
    for input in inputs_in(&findings.join("sql")) {
        let outcome = answering.answer(&String::from_utf8(input).unwrap());
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
}

fn inputs_in(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn seeds_of_statements_are_answered_as_datafusion_answers() {
    let mut answering = Answering::begin(TIME_MAX);
    let (mut count, mut compared) = (0, 0);
    for text in seeds::statements() {
        let outcome = answering.answer(text);
        compared += usize::from(outcome == Outcome::Compared);
        count += usize::from(text.starts_with("SELECT"));
        let is_answered = match ["COPY", "EXPORT"].iter().any(|word| text.starts_with(word)) {
            true => outcome == Outcome::Parsed,
            false => matches!(outcome, Outcome::Answered | Outcome::Compared),
        };
        assert!(is_answered, "{text}: {outcome:?}");
    }
    assert!(compared * 2 > count, "{compared} of {count} compared");
    for (text, right) in [("SELECT", false), ("COPY n TO 'x.parquet'", true)] {
        assert_eq!(answering.answer(text) == Outcome::Parsed, right, "{text}");
    }
}

#[test]
fn every_target_has_a_program_and_the_command_names_it() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz");
    let command = fs::read_to_string(fuzz.join("run")).unwrap();
    let targets = DECODERS.iter().map(|(target, _)| *target).chain(["sql"]);
    for target in targets.clone() {
        let program = fs::read_to_string(fuzz.join(format!("src/bin/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("begin(\"{target}\")")), "{target}");
        assert!(command.contains(&format!("[{target}]=")), "{target}");
    }
    assert_eq!(fs::read_dir(fuzz.join("src/bin")).unwrap().count(), targets.count());
}
