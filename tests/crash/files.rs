//! The power fails at every change that the engine's own code for the local disk makes to the file
//! system: between writing, syncing, linking and removing files.
//!
//! A script runs once, closed and opened again on the way; the disk is kept as it was before each
//! change. From each of these moments, with several seeds for what the medium had of it by then, a
//! database is recovered and compared with the model: what was acknowledged until that moment, or
//! one statement more.
//!
//! The harness is tested by disks that do not what they are asked for: each is a bug of the code
//! above, and must be found.

use std::time::Instant;

use super::script::{State, Statement, random_script, script, states};
use super::{block_on, check, compare, open};
use crate::faulty_disk::files::{FaultyFiles, Planted, Snapshot};

/// Statements before which the database is closed and opened again.
pub const REOPENED: [usize; 3] = [9, 24, 44];
/// Scripts of chance, besides the one that was thought of.
const RANDOM_SCRIPTS: u64 = 3;
/// Power cuts at each point of each script, for every one that the other harnesses make.
const CUTS_EACH: u64 = 2;
/// Every which point is read for its checksums too.
const VERIFIED: usize = 16;

/// A run of the script.
struct Recorded {
    snapshots: Vec<Snapshot>,
    /// For each statement how many changes had been made when it was acknowledged.
    acknowledged: Vec<usize>,
    states: Vec<State>,
    script: Vec<Statement>,
}

impl Recorded {
    /// Runs a script on a disk with a planted bug, or none.
    fn new(script: Vec<Statement>, planted: Option<Planted>) -> Self {
        let disk = FaultyFiles::new();
        disk.plant(planted);
        disk.record();
        let acknowledged = block_on(async {
            let mut database = open(disk.store()).await.unwrap();
            let mut acknowledged = Vec::new();
            for (number, statement) in script.iter().enumerate() {
                if REOPENED.contains(&number) {
                    database.close().await.unwrap();
                    database = open(disk.store()).await.unwrap();
                }
                statement.run(&database, number).await.unwrap();
                acknowledged.push(disk.changes());
            }
            database.close().await.unwrap();
            acknowledged
        });
        let states = states(&script);
        Self { snapshots: disk.snapshots(), acknowledged, states, script }
    }

    /// The states that are allowed after a power cut before change `point`.
    fn allowed(&self, point: usize) -> (usize, [&State; 2]) {
        let done = self.acknowledged.partition_point(|changes| *changes <= point);
        (done, [&self.states[done], &self.states[(done + 1).min(self.script.len())]])
    }

    /// Cuts the power before a change, recovers, compares.
    fn cut(&self, point: usize, seed: u64) -> Result<(), String> {
        let (done, allowed) = self.allowed(point);
        let store = self.snapshots[point].after_power_cut(seed).store();
        let outcome = block_on(async {
            match point % VERIFIED {
                0 => check(store, &allowed).await,
                _ => compare(store, &allowed).await.map(drop),
            }
        });
        let statement = self.script.get(done);
        outcome
            .map_err(|e| format!("cut before change {point}, seed {seed}, in {statement:?}: {e}"))
    }

    /// Cuts until one is not survived; says how many were made.
    fn first_loss(&self, every: usize) -> Option<(usize, String)> {
        let points = (0..self.snapshots.len()).step_by(every).flat_map(|p| [(p, 1), (p, 2)]);
        let mut cuts = points.enumerate();
        cuts.find_map(|(i, (point, seed))| {
            let seed = seed * self.snapshots.len() as u64 + point as u64;
            self.cut(point, seed).err().map(|loss| (i + 1, loss))
        })
    }
}

/// Fails with the first few failures, if there are any.
pub fn report(failures: &[String], cuts: u64) {
    let shown = failures[..failures.len().min(5)].join("\n");
    assert!(failures.is_empty(), "{} of {cuts}: {shown}", failures.len());
}

#[test]
fn acknowledged_statements_survive_a_power_cut_before_every_change() {
    let started = Instant::now();
    let (mut cuts, mut failures) = (0, Vec::new());
    let scripts = (0..RANDOM_SCRIPTS * super::seeds() / 2).map(random_script);
    for (number, script) in [script()].into_iter().chain(scripts).enumerate() {
        let recorded = Recorded::new(script, None);
        let points = recorded.snapshots.len() as u64;
        for seed in 0..points * super::seeds().min(10) * CUTS_EACH {
            let outcome = recorded.cut((seed % points) as usize, seed);
            failures.extend(outcome.err().map(|e| format!("script {number}, {e}")));
            cuts += 1;
        }
    }
    println!("{cuts} cuts, {:.1?}", started.elapsed());
    report(&failures, cuts);
}

#[test]
fn planted_bugs_of_the_local_disk_are_found() {
    for planted in [
        Planted::NoFileSync("log"),
        Planted::NoDirectorySync("db"),
        Planted::NoDirectorySync("log"),
        Planted::NoDirectorySync("manifest"),
        Planted::NoDirectorySync("segments"),
        Planted::NoFileSync("tmp"),
        Planted::LogRemovedEarly,
    ] {
        let found = Recorded::new(script(), Some(planted)).first_loss(3);
        let (cuts, loss) = found.unwrap_or_else(|| panic!("{planted:?} is not found"));
        println!("{planted:?} after {cuts} cuts: {loss}");
    }
}

#[test]
fn a_power_cut_during_recovery_loses_nothing() {
    let started = Instant::now();
    let recorded = Recorded::new(script(), None);
    let (mut failures, mut cuts) = (Vec::new(), 0);
    for point in (0..recorded.snapshots.len()).step_by(7) {
        let (done, allowed) = recorded.allowed(point);
        let disk = recorded.snapshots[point].after_power_cut(point as u64);
        disk.record();
        block_on(async { drop(open(disk.store()).await) });
        for (change, snapshot) in disk.snapshots().iter().enumerate() {
            let seed = (point * 1000 + change) as u64;
            let outcome = block_on(compare(snapshot.after_power_cut(seed).store(), &allowed));
            let story = |e| format!("cut before change {point}, then {change}, after {done}: {e}");
            failures.extend(outcome.err().map(story));
            cuts += 1;
        }
    }
    println!("{cuts} cuts, {:.1?}", started.elapsed());
    report(&failures, cuts);
}
