//! The power fails at every call that the engine makes to its disk, and at every call of the
//! recovery after it; then the same with calls that fail once or for ever while the power stays on.
//!
//! That disk stands in the place of the local disk's code; `files.rs` puts one under it.

use std::io::ErrorKind;

use omen_provider::Error;

use super::scripts::Script;
use super::{block_on, check, files::report, open};
use crate::faulty_disk::{Fault, FaultyDisk};

/// Crash at every call with this many seeds each.
const SEEDS: u64 = 2;
/// Ways to fail.
const FAULTS: [Fault; 4] = [
    Fault::NoEffect(ErrorKind::StorageFull),
    Fault::Partial(ErrorKind::StorageFull, 1),
    Fault::FullEffect(ErrorKind::TimedOut),
    Fault::MarksClean,
];

/// How the script went: statements acknowledged, and the error that ended it.
struct Run {
    acknowledged: usize,
    error: Option<Error>,
}

async fn run(disk: &FaultyDisk, script: &Script) -> Run {
    let database = match open(disk.store()).await {
        Ok(database) => database,
        Err(error) => return Run { acknowledged: 0, error: Some(error) },
    };
    for (number, statement) in script.statements.iter().enumerate() {
        if let Err(error) = statement.run(&database, number).await {
            return Run { acknowledged: number, error: Some(error) };
        }
    }
    Run { acknowledged: script.statements.len(), error: None }
}

/// Crashes at one call, recovers, compares.
fn crash(script: &Script, call: u64, seed: u64) -> Result<(), String> {
    let disk = FaultyDisk::new();
    disk.crash_at(call, seed);
    let Run { acknowledged, .. } = block_on(run(&disk, script));
    let image = disk.durable_image(seed);
    let outcome = block_on(check(image.store(), &script.allowed(acknowledged)));
    let statement = script.statements.get(acknowledged);
    outcome.map_err(|e| format!("crash at call {call}, seed {seed}, during {statement:?}: {e}"))
}

/// How many calls the whole script makes, at least.
fn count_calls(script: &Script) -> u64 {
    let disk = FaultyDisk::new();
    let run = block_on(run(&disk, script));
    assert!(run.error.is_none(), "{:?}", run.error);
    block_on(check(disk.store(), &script.allowed(script.statements.len()))).unwrap();
    disk.calls()
}

/// Crashes at every `every`-th call until something is lost, at most `most` times.
pub fn first_loss(script: &Script, every: usize, most: usize) -> Option<(u64, String)> {
    let calls = (1..=count_calls(script)).step_by(every).take(most);
    (1..).zip(calls).find_map(|(made, call)| Some((made, crash(script, call, call).err()?)))
}

#[test]
fn acknowledged_statements_survive_a_crash_at_every_call() {
    let script = Script::thought_of();
    let calls = count_calls(&script);
    let points = (1..=calls).flat_map(|call| (0..SEEDS).map(move |seed| (call, seed)));
    let crashes = points.map(|(call, seed)| crash(&script, call, seed * calls + call));
    let losses: Vec<String> = crashes.filter_map(Result::err).collect();
    println!("{calls} calls, {} crashes", calls * SEEDS);
    report(&losses, calls * SEEDS);
}

#[test]
fn a_crash_during_recovery_loses_nothing() {
    let script = Script::thought_of();
    let (mut crashes, mut losses) = (0, Vec::new());
    for call in (1..=count_calls(&script)).step_by(23) {
        let disk = FaultyDisk::new();
        disk.crash_at(call, call);
        let acknowledged = block_on(run(&disk, &script)).acknowledged;
        // The calls of the recovery alone.
        let counted = disk.durable_image(call);
        let before = counted.calls();
        block_on(async { drop(open(counted.store()).await) });
        for recovery_call in before + 1..=counted.calls() {
            let image = disk.durable_image(call);
            image.crash_at(recovery_call, call);
            block_on(async { drop(open(image.store()).await) });
            let again = image.durable_image(recovery_call);
            let outcome = block_on(check(again.store(), &script.allowed(acknowledged)));
            losses.extend(outcome.err().map(|e| format!("call {call}, then {recovery_call}: {e}")));
            crashes += 1;
        }
    }
    report(&losses, crashes);
}

/// Lets one call fail, or all from it on, while the power stays on; then cuts the power.
fn fail(script: &Script, call: u64, lasting: bool, fault: Fault) -> Result<(), String> {
    let disk = FaultyDisk::new();
    disk.fail_call(call, lasting, fault);
    let Run { acknowledged, error } = block_on(run(&disk, script));
    // Only an error that says so may leave a statement there.
    let unknown = matches!(error, Some(Error::OutcomeUnknown(_)));
    let allowed = &script.allowed(acknowledged)[..1 + usize::from(unknown)];
    let outcome = block_on(check(disk.durable_image(call).store(), allowed));
    let story = |e| {
        let statement = script.statements.get(acknowledged);
        format!("{fault:?} at call {call}, lasting {lasting}, in {statement:?} ({error:?}): {e}")
    };
    outcome.map_err(story)
}

/// All faults in turn, each at every fourth call.
fn nth_failure(script: &Script, call: u64) -> Result<(), String> {
    let turn = (call - 1) as usize;
    fail(script, call, turn % 8 < 4, FAULTS[turn % FAULTS.len()])
}

/// Fails at every `every`-th call until it is taken for success, at most `most` times.
pub fn first_false_success(script: &Script, every: usize, most: usize) -> Option<(u64, String)> {
    let calls = (1..=count_calls(script)).step_by(every).take(most);
    (1..).zip(calls).find_map(|(made, call)| Some((made, nth_failure(script, call).err()?)))
}

#[test]
fn a_failing_disk_is_never_taken_for_success() {
    let script = Script::thought_of();
    let calls = count_calls(&script);
    let failures: Vec<_> =
        (1..=calls).filter_map(|call| nth_failure(&script, call).err()).collect();
    report(&failures, calls);
}
