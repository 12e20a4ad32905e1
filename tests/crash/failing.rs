//! Calls of the file system fail, once or for ever, under the engine's own code for the local disk.
//!
//! The script runs until a statement fails; then the power goes, or the disk gets well and the
//! database is opened again: it may hold what a cache still shows and no medium has, and must not
//! lose it, or anything written afterwards, when the power goes then.

use std::time::Instant;

use omen_provider::{Error, Result};

use super::files::{REOPENED, report};
use super::script::{State, Statement, read, script};
use super::{block_on, compare, difference, open};
use crate::faulty_disk::files::{EIO, EMFILE, ENOSPC, Failure, FaultyFiles};

/// Every which pair of a call and a way to fail is tried; `OMEN_CRASH_SEEDS=50` tries all of them,
/// once and for ever.
const EVERY: u64 = 29;
/// Ways to fail.
const FAILURES: [Failure; 6] = [
    Failure::NoEffect(EIO),
    Failure::NoEffect(ENOSPC),
    Failure::NoEffect(EMFILE),
    Failure::FullEffect(EIO),
    Failure::Short(5),
    Failure::MarksClean,
];

/// How a run on a failing disk went.
struct Run {
    acknowledged: usize,
    /// What ended it.
    error: Option<Error>,
    /// What the database may hold now.
    allowed: Vec<State>,
}

/// What `allowed` becomes by a statement with this outcome.
fn after(
    allowed: Vec<State>,
    (statement, number): (&Statement, usize),
    outcome: &Result<()>,
) -> Vec<State> {
    let with = |state: &State| {
        let mut state = state.clone();
        statement.apply(&mut state, number);
        state
    };
    match outcome {
        Ok(()) => allowed.iter().map(with).collect(),
        // Only an error that says so may leave a statement there.
        Err(Error::OutcomeUnknown(_)) => {
            let done: Vec<State> = allowed.iter().map(with).collect();
            allowed.into_iter().chain(done).collect()
        }
        Err(_) => allowed,
    }
}

/// Runs the script, with the database closed and opened again on the way, to its first error, and
/// then one more statement, which may well succeed.
async fn run(disk: &FaultyFiles, script: &[Statement]) -> Run {
    let mut run = Run { acknowledged: 0, error: None, allowed: vec![State::new()] };
    run.error = run_on(disk, script, &mut run).await.err();
    run
}

async fn run_on(disk: &FaultyFiles, script: &[Statement], run: &mut Run) -> Result<()> {
    let mut database = open(disk.store()).await?;
    for (number, statement) in script.iter().enumerate() {
        if REOPENED.contains(&number) {
            database.close().await?;
            database = open(disk.store()).await?;
        }
        let outcome = statement.run(&database, number).await;
        run.allowed = after(std::mem::take(&mut run.allowed), (statement, number), &outcome);
        if outcome.is_err() {
            let more = Statement::Create("more");
            let late = more.run(&database, number).await;
            run.allowed = after(std::mem::take(&mut run.allowed), (&more, number), &late);
            return outcome;
        }
        run.acknowledged += 1;
    }
    database.close().await
}

/// Opens the database while the power stays on, writes, and only then cuts the power.
async fn go_on(
    disk: &FaultyFiles,
    allowed: &[&State],
    seed: u64,
) -> std::result::Result<(), String> {
    let database = open(disk.store()).await.map_err(|e| format!("does not open again: {e}"))?;
    let mut found = read(&database).await.map_err(|e| format!("does not read: {e}"))?;
    if !allowed.contains(&&found) {
        return Err(format!("opened again: {}", difference(&found, allowed[0])));
    }
    for statement in [Statement::Create("z"), Statement::Insert("z", vec![1, 2, 3])] {
        let done = statement.run(&database, 99).await;
        done.map_err(|e| format!("opened again, but {statement:?} fails: {e}"))?;
        statement.apply(&mut found, 99);
    }
    let left = disk.after_power_cut(seed);
    let compared = compare(left.store(), &[&found]).await.map(drop);
    compared.map_err(|e| format!("opened again, written to and cut: {e}"))
}

/// Lets one call fail, or all from it on.
fn fail(
    script: &[Statement],
    (call, lasting): (u64, bool),
    failure: Failure,
) -> std::result::Result<(), String> {
    let disk = FaultyFiles::new();
    disk.fail_call(call, lasting, failure);
    let Run { acknowledged, error, allowed } = block_on(run(&disk, script));
    let allowed: Vec<&State> = allowed.iter().collect();
    let left = disk.after_power_cut(call);
    disk.heal();
    let outcome = block_on(compare(left.store(), &allowed)).map(drop);
    let outcome = outcome.and_then(|()| block_on(go_on(&disk, &allowed, call)));
    let story = |e| {
        let statement = script.get(acknowledged);
        format!("{failure:?} at call {call}, lasting {lasting}, in {statement:?} ({error:?}): {e}")
    };
    outcome.map_err(story)
}

#[test]
fn a_failing_file_system_is_never_taken_for_success() {
    let started = Instant::now();
    let script = script();
    let disk = FaultyFiles::new();
    assert!(block_on(run(&disk, &script)).error.is_none());
    let all = super::seeds() >= 50;
    let calls = 1..=disk.calls();
    let ways = calls.flat_map(|call| FAILURES.into_iter().map(move |failure| (call, failure)));
    let mut runs = 0;
    let mut failures = Vec::new();
    for (turn, (call, failure)) in ways.enumerate() {
        for lasting in [false, true] {
            if all
                || (turn as u64).is_multiple_of(EVERY) && (turn as u64 / EVERY % 2 == 1) == lasting
            {
                runs += 1;
                failures.extend(fail(&script, (call, lasting), failure).err());
            }
        }
    }
    println!("{} calls, {runs} runs, {:.1?}", disk.calls(), started.elapsed());
    report(&failures, runs);
}
