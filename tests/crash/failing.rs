//! Calls of the file system fail, once or for ever, under the engine's own code for the local disk.
//!
//! The script runs until a statement fails; then the power goes, or the disk gets well and the
//! database is opened again: it may hold what a cache still shows and no medium has, and must not
//! lose it, or anything written afterwards, when the power goes then.

use std::time::Instant;

use omen_provider::{Error, Result};

use super::files::{report, take_turn};
use super::script::{State, Statement, read};
use super::scripts::{Script, five};
use super::{block_on, compare, difference, open};
use crate::faulty_disk::files::{EIO, EMFILE, ENOSPC, Failure, FaultyFiles};

/// Every which way to fail is tried in every run of the tests; the long run tries all of them. (A
/// prime, so that calls, failures and their duration mix.)
const EVERY: u64 = 251;
/// A signal came in between.
const EINTR: i32 = 4;
/// How a call can fail.
const FAILURES: [Failure; 7] = [
    Failure::NoEffect(EIO),
    Failure::NoEffect(ENOSPC),
    Failure::NoEffect(EMFILE),
    Failure::NoEffect(EINTR),
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

/// Runs the script to its first error, and then one more statement, which may well succeed.
async fn run(disk: &FaultyFiles, script: &Script) -> Run {
    let mut run = Run { acknowledged: 0, error: None, allowed: vec![State::new()] };
    run.error = run_on(disk, script, &mut run).await.err();
    run
}

async fn run_on(disk: &FaultyFiles, script: &Script, run: &mut Run) -> Result<()> {
    let mut database = open(disk.store()).await?;
    for (number, statement) in script.statements.iter().enumerate() {
        if let Some(turn) = script.turns.get(&number) {
            let (store, state) = (|| disk.store(), &script.states[number]);
            database = take_turn(store, database, *turn, state).await?;
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

/// A way in which a run of a script can fail.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// The call that fails first.
    call: u64,
    /// Whether all later ones fail too.
    lasting: bool,
    failure: Failure,
}

impl Way {
    /// Ways by number, those of one call side by side.
    pub fn numbered(number: u64) -> Self {
        let ways = FAILURES.len() as u64;
        let failure = FAILURES[(number / 2 % ways) as usize];
        // Signals come to an end; writes are repeated until then.
        let lasting = number % 2 == 1 && failure != Failure::NoEffect(EINTR);
        Self { call: 1 + number / 2 / ways, lasting, failure }
    }

    /// How many ways there are.
    pub fn count(script: &Script) -> u64 {
        let disk = FaultyFiles::new();
        let run = block_on(run(&disk, script));
        assert!(run.error.is_none(), "\"{}\": {:?}", script.name, run.error);
        disk.calls() * 2 * FAILURES.len() as u64
    }
}

/// Runs a script that fails in this way. Cuts the power; and, from the same moment, opens the
/// database while the power stays on, writes to it, and cuts the power then.
pub fn fail(script: &Script, way: Way) -> std::result::Result<(), String> {
    let Way { call, lasting, failure } = way;
    let disk = FaultyFiles::new();
    disk.fail_call(call, lasting, failure);
    let Run { acknowledged, error, allowed } = block_on(run(&disk, script));
    let allowed: Vec<&State> = allowed.iter().collect();
    let left = disk.after_power_cut(call);
    disk.heal();
    let outcome = block_on(compare(left.store(), &allowed)).map(drop);
    let outcome = outcome.and_then(|()| block_on(go_on(&disk, &allowed, call)));
    let statement = script.statements.get(acknowledged);
    let name = &script.name;
    outcome.map_err(|e| format!("\"{name}\", {way:?}, in {statement:?} ({error:?}): {e}"))
}

/// Fails in every `every`-th way until one is not survived, at most `most` times; says how many
/// were tried.
pub fn first_false_success(script: &Script, every: usize, most: usize) -> Option<(u64, String)> {
    let ways = (0..Way::count(script)).step_by(every).take(most);
    (1..).zip(ways).find_map(|(tried, number)| {
        fail(script, Way::numbered(number)).err().map(|loss| (tried, loss))
    })
}

#[test]
fn a_failing_file_system_is_never_taken_for_success() {
    let started = Instant::now();
    let (mut ways, mut runs, mut failures) = (0, 0, Vec::new());
    for script in five() {
        let count = Way::count(&script);
        for number in (0..count).step_by(EVERY as usize) {
            runs += 1;
            failures.extend(fail(&script, Way::numbered(number)).err());
        }
        ways += count;
    }
    println!("{ways} ways to fail, {runs} runs, {:.1?}", started.elapsed());
    report(&failures, runs);
}
