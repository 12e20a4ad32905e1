//! The power fails at every call that the engine makes to its disk, and at every call of the
//! recovery after it; nothing acknowledged is lost, nothing is there by halves.
//!
//! A script of fifty statements runs on the faulty disk. Of each run the harness knows how many
//! statements were acknowledged; what is recovered must be the model's state after these, or, where
//! the outcome of the last one was unknown, the state after one more. Then the same with calls that
//! fail once or for ever while the power stays on.
//!
//! That disk stands in the place of the local disk's code; `files.rs` puts one under it.
//!
//! The harness itself is tested by a disk that forgets to sync the log: it must find the loss.

mod failing;
mod files;
mod script;

use omen_provider::store::Store;
use omen_provider::{Database, Error, Options, Result};

use crate::faulty_disk::{Fault, FaultyDisk};
use crate::harness::media::small;
use script::{State, Statement, read, script, states};

/// Crash at every call with this many seeds each; `OMEN_CRASH_SEEDS=50` looks longer.
fn seeds() -> u64 {
    std::env::var("OMEN_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2)
}

/// How the script went: statements acknowledged, and the error that ended it.
struct Run {
    acknowledged: usize,
    error: Option<Error>,
}

fn options() -> Options {
    Options { memtable_bytes_max: 32 << 10, ..small() }
}

/// One thread, so that a run repeats.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

async fn open(store: Store) -> Result<Database> {
    options().open_store(store).await
}

async fn run(disk: &FaultyDisk, script: &[Statement]) -> Run {
    let database = match open(disk.store()).await {
        Ok(database) => database,
        Err(error) => return Run { acknowledged: 0, error: Some(error) },
    };
    for (number, statement) in script.iter().enumerate() {
        if let Err(error) = statement.run(&database, number).await {
            return Run { acknowledged: number, error: Some(error) };
        }
    }
    Run { acknowledged: script.len(), error: None }
}

/// What differs between two states, in a few words.
fn difference(found: &State, expected: &State) -> String {
    let names = |state: &State| state.keys().cloned().collect::<Vec<_>>().join(",");
    let mut words = format!("tables {} instead of {}", names(found), names(expected));
    for (name, rows) in expected {
        let Some(there) = found.get(name) else { continue };
        let gone = rows.iter().filter(|(key, text)| there.get(key) != Some(text)).count();
        let more = there.keys().filter(|key| !rows.contains_key(key)).count();
        words.push_str(&format!("; {name}: {gone} rows gone or wrong, {more} too many"));
    }
    words
}

/// Compares what was recovered with the states that are allowed.
async fn check(store: Store, allowed: &[&State]) -> std::result::Result<(), String> {
    let database = compare(store, allowed).await?;
    let report = database.verify().await.map_err(|e| format!("cannot be verified: {e}"))?;
    match report.problems.first() {
        Some(problem) => Err(format!("is not sound: {problem}")),
        None => Ok(()),
    }
}

/// The same without reading every byte for its checksum.
async fn compare(store: Store, allowed: &[&State]) -> std::result::Result<Database, String> {
    let database = open(store).await.map_err(|e| format!("does not open: {e}"))?;
    let found = read(&database).await.map_err(|e| format!("does not read: {e}"))?;
    if allowed.contains(&&found) { Ok(database) } else { Err(difference(&found, allowed[0])) }
}

/// Crashes at one call, recovers, compares.
fn crash(
    script: &[Statement],
    states: &[State],
    (call, seed): (u64, u64),
    omit_log_sync: bool,
) -> std::result::Result<(), String> {
    let disk = FaultyDisk::new();
    disk.omit_log_sync(omit_log_sync);
    disk.crash_at(call, seed);
    let run = block_on(run(&disk, script));
    let after = (run.acknowledged + 1).min(script.len());
    let allowed = [&states[run.acknowledged], &states[after]];
    let image = disk.durable_image(seed);
    let outcome = block_on(check(image.store(), &allowed));
    let statement = script.get(run.acknowledged);
    let story = |e| format!("crash at call {call}, seed {seed}, during {statement:?}: {e}");
    outcome.map_err(story)
}

/// How many calls the whole script makes, at least.
fn count_calls(script: &[Statement], states: &[State]) -> u64 {
    let disk = FaultyDisk::new();
    let run = block_on(run(&disk, script));
    assert!(run.error.is_none(), "{:?}", run.error);
    block_on(check(disk.store(), &[&states[script.len()]])).unwrap();
    disk.calls()
}

#[test]
fn acknowledged_statements_survive_a_crash_at_every_call() {
    let script = script();
    assert_eq!(script.len(), 50);
    let states = states(&script);
    let calls = count_calls(&script, &states);
    let points =
        (1..=calls).flat_map(|call| (0..seeds()).map(move |seed| (call, seed * calls + call)));
    let crashes = points.map(|point| crash(&script, &states, point, false));
    let failures: Vec<String> = crashes.filter_map(std::result::Result::err).collect();
    println!("{calls} calls, {} crashes", calls * seeds());
    assert!(
        failures.is_empty(),
        "{} of {}: {}",
        failures.len(),
        calls,
        failures[..failures.len().min(5)].join("\n")
    );
}

#[test]
fn without_log_sync_the_loss_is_found() {
    let script = script();
    let states = states(&script);
    let calls = count_calls(&script, &states);
    let found =
        (1..=calls).step_by(5).filter(|&call| crash(&script, &states, (call, call), true).is_err());
    let found = found.count();
    assert!(found > 0, "a log that is never synced loses nothing?");
}

#[test]
fn a_crash_during_recovery_loses_nothing() {
    let script = script();
    let states = states(&script);
    let calls = count_calls(&script, &states);
    let mut failures = Vec::new();
    for call in (1..=calls).step_by(23) {
        let disk = FaultyDisk::new();
        disk.crash_at(call, call);
        let acknowledged = block_on(run(&disk, &script)).acknowledged;
        let after = (acknowledged + 1).min(script.len());
        // The calls of the recovery alone.
        let counted = disk.durable_image(call);
        let before = counted.calls();
        block_on(async { drop(open(counted.store()).await) });
        for recovery_call in before + 1..=counted.calls() {
            let image = disk.durable_image(call);
            image.crash_at(recovery_call, call);
            block_on(async { drop(open(image.store()).await) });
            let again = image.durable_image(recovery_call);
            let allowed = [&states[acknowledged], &states[after]];
            let outcome = block_on(check(again.store(), &allowed));
            failures
                .extend(outcome.err().map(|e| format!("call {call}, then {recovery_call}: {e}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Lets one call fail, or all from it on, while the power stays on; then cuts the power.
fn fail(
    script: &[Statement],
    states: &[State],
    (call, lasting): (u64, bool),
    fault: Fault,
) -> std::result::Result<(), String> {
    let disk = FaultyDisk::new();
    disk.fail_call(call, lasting, fault);
    let run = block_on(run(&disk, script));
    let mut allowed = vec![&states[run.acknowledged]];
    // Only an error that says so may leave a statement there.
    if matches!(run.error, Some(Error::OutcomeUnknown(_))) {
        allowed.push(&states[run.acknowledged + 1]);
    }
    let outcome = block_on(check(disk.durable_image(call).store(), &allowed));
    let Run { acknowledged, error } = run;
    let story = |e| {
        let statement = script.get(acknowledged);
        format!("{fault:?} at call {call}, lasting {lasting}, in {statement:?} ({error:?}): {e}")
    };
    outcome.map_err(story)
}

#[test]
fn a_failing_disk_is_never_taken_for_success() {
    let script = script();
    let states = states(&script);
    let calls = count_calls(&script, &states);
    let kind = std::io::ErrorKind::StorageFull;
    let faults = [
        Fault::NoEffect(kind),
        Fault::Partial(kind, 1),
        Fault::FullEffect(std::io::ErrorKind::TimedOut),
        Fault::MarksClean,
    ];
    let mut failures = Vec::new();
    for (i, call) in (1..=calls).enumerate() {
        // All faults in turn, each on every fourth call.
        let fault = faults[i % faults.len()];
        failures.extend(fail(&script, &states, (call, i % 8 < 4), fault).err());
    }
    assert!(
        failures.is_empty(),
        "{} of {calls}: {}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
}
