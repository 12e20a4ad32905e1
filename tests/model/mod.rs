//! Random statements on a database and on a model of it, which must agree after each of them:
//! several tables of several kinds of keys, on every medium, with flushes, compactions, power cuts
//! and reopening in between, readers on other threads that keep old snapshots, and statements at
//! the same time.
//!
//! A history is made from its seed. One that fails is made shorter and printed with it.
//! `OMEN_MODEL=1000000` does so many statements and prints the seed to go on from,
//! `OMEN_MODEL_SEED=57` begins there.

mod case;
mod edits;
mod filters;
mod kinds;
mod place;
mod queries;
mod readers;
mod reads;
mod refused;
mod shorten;
mod steps;
mod together;
mod world;

use std::io::Write;

use case::Case;
use place::Place;
use shorten::{outcome, shorten};
use steps::{Step, history};

use crate::faulty_disk::files::FaultyFiles;
use crate::harness::block_on;
use crate::harness::media::Medium;

/// What was found wrong, in words.
type Outcome = Result<(), String>;

/// Statements of all tests together, if nothing else is asked for.
const STATEMENTS: u64 = 21_000;

/// Steps of a history.
const STEPS: usize = 180;

/// Runs histories on a place of its own each until `share` in 100 of all statements are done.
fn agree(name: &str, share: u64, place: fn() -> Place) {
    let asked = std::env::var("OMEN_MODEL").ok();
    let asked = asked.map(|text| text.parse::<u64>().expect("OMEN_MODEL: a number of statements"));
    let wanted = asked.unwrap_or(STATEMENTS) * share / 100;
    let first = std::env::var("OMEN_MODEL_SEED").ok();
    let mut seed = first.map_or(1, |text| text.parse::<u64>().expect("OMEN_MODEL_SEED: a seed"));
    let mut done = 0;
    while done < wanted {
        let steps = history(seed, STEPS);
        let run = |steps: &[Step]| block_on(run(place(), seed, steps));
        if let Err(error) = outcome(&run, &steps) {
            let (steps, error) = shorten(&run, steps, error);
            let trace: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
            panic!(
                "seed {seed} of model::{name}: {error}\nafter these steps:\n{}\n\
                 OMEN_MODEL=1 OMEN_MODEL_SEED={seed} cargo test -p omen-tests model::{name}",
                trace.join("\n")
            );
        }
        done += steps.iter().map(Step::statements).sum::<u64>();
        seed += 1;
        if asked.is_some() {
            // Not by a macro: what those print of a test is kept back.
            let line = format!("model::{name}: {done} of {wanted} statements, next seed {seed}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

async fn run(place: Place, seed: u64, steps: &[Step]) -> Outcome {
    let mut case = Case::new(place, seed).await?;
    for (number, step) in steps.iter().enumerate() {
        case.step(step).await.map_err(|error| format!("step {number}, {step:?}: {error}"))?;
    }
    case.finish().await
}

#[test]
fn files() {
    agree("files", 40, || Place::Files(FaultyFiles::new()));
}

#[test]
fn object_store() {
    agree("object_store", 25, || Place::Medium(Medium::objects()));
}

#[test]
fn faulty_disk() {
    agree("faulty_disk", 25, || Place::Medium(Medium::faulty()));
}

#[test]
fn disk() {
    agree("disk", 10, || Place::Medium(Medium::disk()));
}
