//! The power fails at every change that the engine's own code for the local disk makes to the file
//! system: between writing, syncing, linking and removing files.
//!
//! A script runs once; the disk is kept as it was before each change. From each of these moments,
//! with several seeds for what the medium had of it by then, a database is recovered and compared
//! with the model: what was acknowledged until that moment, or one statement more. So a power cut
//! costs one recovery. That recovery has changes of its own, before which the power is cut again,
//! and now and then a third time.
//!
//! The harness is tested by disks that do not what they are asked for: each is a bug of the code
//! above, and must be found. (`tests/teeth/` plants others in that code itself.)

use std::time::Instant;

use omen_provider::store::Store;
use omen_provider::{Database, Error, Options, Result};

use super::script::{State, read};
use super::scripts::{Script, Turn, five};
use super::{block_on, check, compare, difference, open, options};
use crate::faulty_disk::files::{FaultyFiles, Planted, Snapshot};

/// Power cuts in every run of the tests, at least.
const CUTS: usize = 10_000;
/// Every which point is read for its checksums too.
const VERIFIED: usize = 16;
/// Every which point has its recovery cut short in every run of the tests, and every which of these
/// cuts is followed by a third one.
const IN_RECOVERY: usize = 53;
pub const THIRD: usize = 100;

/// A script that ran on a disk without faults.
pub struct Recorded {
    script: Script,
    snapshots: Vec<Snapshot>,
    /// For each statement how many changes had been made when it was acknowledged.
    acknowledged: Vec<usize>,
}

/// Power cuts, and those that lost something.
#[derive(Debug, Default)]
pub struct Cuts {
    pub made: u64,
    pub losses: Vec<String>,
}

impl Cuts {
    fn add(&mut self, outcome: std::result::Result<(), String>, story: impl FnOnce() -> String) {
        self.made += 1;
        self.losses.extend(outcome.err().map(|loss| format!("{}: {loss}", story())));
    }
}

/// What a script does with its handle between two statements.
pub async fn take_turn(
    store: impl Fn() -> Store,
    database: Database,
    turn: Turn,
    expected: &State,
) -> Result<Database> {
    match turn {
        Turn::Close => database.close().await?,
        Turn::Drop => {}
        Turn::Look => {
            let reader = Options { read_only: true, ..options() }.open_store(store()).await?;
            let found = read(&reader).await?;
            assert!(found == *expected, "a reader: {}", difference(&found, expected));
            return Ok(database);
        }
    }
    drop(database);
    open(store()).await
}

impl Recorded {
    pub fn new(script: Script) -> Self {
        Self::on(script, &FaultyFiles::new())
    }

    pub fn on(script: Script, disk: &FaultyFiles) -> Self {
        disk.record();
        let run = async {
            let mut database = open(disk.store()).await?;
            let mut acknowledged = Vec::new();
            for (number, statement) in script.statements.iter().enumerate() {
                if let Some(turn) = script.turns.get(&number) {
                    let (store, state) = (|| disk.store(), &script.states[number]);
                    database = take_turn(store, database, *turn, state).await?;
                }
                statement.run(&database, number).await?;
                acknowledged.push(disk.changes());
            }
            database.close().await?;
            Ok::<_, Error>(acknowledged)
        };
        let acknowledged = block_on(run);
        let acknowledged = acknowledged.unwrap_or_else(|e| panic!("\"{}\": {e}", script.name));
        Self { script, snapshots: disk.snapshots(), acknowledged }
    }

    /// Moments at which the power can go.
    pub fn points(&self) -> usize {
        self.snapshots.len()
    }

    /// How many statements had been acknowledged before a change.
    fn acknowledged_at(&self, point: usize) -> usize {
        self.acknowledged.partition_point(|changes| *changes <= point)
    }

    fn story(&self, point: usize, seed: u64) -> String {
        let statement = self.script.statements.get(self.acknowledged_at(point));
        format!("\"{}\", change {point}, seed {seed}, in {statement:?}", self.script.name)
    }

    /// Cuts the power before a change, recovers, compares.
    pub fn cut(&self, point: usize, seed: u64) -> std::result::Result<(), String> {
        let allowed = self.script.allowed(self.acknowledged_at(point));
        let store = self.snapshots[point].after_power_cut(seed).store();
        let outcome = block_on(async {
            match point % VERIFIED {
                0 => check(store, &allowed).await,
                _ => compare(store, &allowed).await.map(drop),
            }
        });
        outcome.map_err(|loss| format!("{}: {loss}", self.story(point, seed)))
    }

    /// Cuts the power before a change, and again before each change of the recovery; before every
    /// `third`-th of these a third time, at each change of the recovery from that.
    pub fn cut_in_recovery(&self, point: usize, seed: u64, third: usize) -> Cuts {
        let allowed = self.script.allowed(self.acknowledged_at(point));
        let survives = |snapshot: &Snapshot, seed| {
            block_on(compare(snapshot.after_power_cut(seed).store(), &allowed)).map(drop)
        };
        let mut cuts = Cuts::default();
        for (second, snapshot) in recovery(&self.snapshots[point], seed).iter().enumerate() {
            let again = seed + second as u64;
            let story = || format!("{}, then {second}", self.story(point, seed));
            cuts.add(survives(snapshot, again), story);
            if (again as usize).is_multiple_of(third) {
                for (change, last) in recovery(snapshot, again).iter().enumerate() {
                    let outcome = survives(last, again + change as u64);
                    cuts.add(outcome, || format!("{}, then {change}", story()));
                }
            }
        }
        cuts
    }

    /// Cuts until one is not survived, at most `most` times; says how many were made.
    pub fn first_loss(&self, every: usize, most: usize) -> Option<(u64, String)> {
        let points = (0..).flat_map(|turn| {
            (0..self.points()).step_by(every).map(move |p| (p, turn * self.points() + p))
        });
        (1..).zip(points.take(most)).find_map(|(made, (point, seed))| {
            self.cut(point, seed as u64).err().map(|loss| (made, loss))
        })
    }

    /// The same within recoveries.
    pub fn first_loss_in_recovery(&self, every: usize, most: usize) -> Option<(u64, String)> {
        let mut made = 0;
        for point in (0..self.points()).step_by(every).take(most) {
            let cuts = self.cut_in_recovery(point, point as u64, usize::MAX);
            made += cuts.made;
            if let Some(loss) = cuts.losses.into_iter().next() {
                return Some((made, loss));
            }
        }
        None
    }
}

/// The disk before each change that a recovery makes after a power cut.
fn recovery(snapshot: &Snapshot, seed: u64) -> Vec<Snapshot> {
    let disk = snapshot.after_power_cut(seed);
    disk.record();
    block_on(async { drop(open(disk.store()).await) });
    disk.snapshots()
}

/// Fails with the first few failures, if there are any.
pub fn report(failures: &[String], tries: u64) {
    let shown = failures[..failures.len().min(5)].join("\n");
    assert!(failures.is_empty(), "{} of {tries}: {shown}", failures.len());
}

#[test]
fn acknowledged_statements_survive_a_power_cut_before_every_change() {
    let started = Instant::now();
    let recorded: Vec<Recorded> = five().into_iter().map(Recorded::new).collect();
    let points: usize = recorded.iter().map(Recorded::points).sum();
    let (mut cuts, mut losses) = (0, Vec::new());
    for seed in 0..CUTS.div_ceil(points) {
        for run in &recorded {
            for point in 0..run.points() {
                losses.extend(run.cut(point, (seed * run.points() + point) as u64).err());
                cuts += 1;
            }
        }
    }
    println!("{points} points, {cuts} cuts, {:.1?}", started.elapsed());
    assert!(cuts >= CUTS as u64);
    report(&losses, cuts);
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
        let disk = FaultyFiles::new();
        disk.plant(Some(planted));
        let found = Recorded::on(Script::thought_of(), &disk).first_loss(3, 400);
        let (cuts, loss) = found.unwrap_or_else(|| panic!("{planted:?} is not found"));
        println!("{planted:?} after {cuts} cuts: {loss}");
    }
}

#[test]
fn a_power_cut_during_recovery_loses_nothing() {
    let started = Instant::now();
    let mut all = Cuts::default();
    for recorded in five().into_iter().map(Recorded::new) {
        for point in (0..recorded.points()).step_by(IN_RECOVERY) {
            let cuts = recorded.cut_in_recovery(point, (point * 1000) as u64, THIRD);
            all.made += cuts.made;
            all.losses.extend(cuts.losses);
        }
    }
    println!("{} cuts, {:.1?}", all.made, started.elapsed());
    report(&all.losses, all.made);
}
