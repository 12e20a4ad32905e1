//! The power fails under databases that may lose their last milliseconds: what is left is what was
//! acknowledged before some moment, whole, and that moment is not before the last sync. When only
//! the process is killed, nothing is lost.
//!
//! The scripts are those of `files.rs`. The clock stands still but for the script, so that each run
//! is the same and no thread takes part: a statement that finds the time over syncs.
//!
//! Which statements are certain follows from the calls that the disk has seen: those whose log was
//! synced after they were appended; and all before a handle was closed or dropped.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use omen_provider::store::Store;
use omen_provider::{Clock, Database, Error, Options, Result};

use super::files::report;
use super::script::read;
use super::scripts::{Script, Turn, five};
use super::{block_on, difference, options};
use crate::faulty_disk::Seeded;
use crate::faulty_disk::files::{EIO, Failure, FaultyFiles, LogCall, Planted, Snapshot};

/// What may be lost.
const LIMIT_MS: u32 = 60;
/// The time between two statements, at most.
const STEP_MS: u64 = 30;
/// Every which point is read for its checksums too; has its recovery cut short; is a kill too.
const VERIFIED: usize = 16;
const IN_RECOVERY: usize = 151;
const KILLED: usize = 11;
/// Every which call fails.
const FAILING: usize = 61;
/// How calls fail.
const FAILURES: [Failure; 3] = [Failure::NoEffect(EIO), Failure::Short(5), Failure::MarksClean];

/// A script that ran on a disk.
struct Recorded {
    script: Script,
    snapshots: Vec<Snapshot>,
    /// For each acknowledged statement how many changes had been made by then.
    acknowledged: Vec<usize>,
    /// For each of these, after how many changes a power cut could no longer take it.
    certain: Vec<usize>,
    error: Option<Error>,
}

/// What was recovered, compared.
enum Left {
    /// So many statements.
    Statements(usize),
    Wrong(String),
}

impl Recorded {
    fn new(script: Script, disk: &FaultyFiles) -> Self {
        disk.record();
        let mut recorded = Self {
            script,
            snapshots: Vec::new(),
            acknowledged: Vec::new(),
            certain: Vec::new(),
            error: None,
        };
        let mut ended = Vec::new();
        recorded.error = block_on(recorded.run(disk, &mut ended)).err();
        recorded.snapshots = disk.snapshots();
        let calls = disk.log_calls();
        recorded.certain =
            recorded.acknowledged.iter().map(|at| certain(*at, &calls, &ended)).collect();
        recorded
    }

    /// Runs the script; notes when handles came to their end.
    async fn run(&mut self, disk: &FaultyFiles, ended: &mut Vec<usize>) -> Result<()> {
        let (clock, mut seeded) = (Clock::stopped(), Seeded::new(7));
        let open = || may_lose(disk.store(), &clock);
        let mut database = open().await?;
        for (number, statement) in self.script.statements.iter().enumerate() {
            match self.script.turns.get(&number) {
                Some(Turn::Look) => {
                    let reader = Options { read_only: true, ..options() };
                    let found = read(&reader.open_store(disk.store()).await?).await?;
                    assert!(found == self.script.states[number], "a reader sees something else");
                }
                Some(turn) => {
                    if *turn == Turn::Close {
                        database.close().await?;
                    }
                    drop(database);
                    ended.push(disk.changes());
                    database = open().await?;
                }
                None => {}
            }
            clock.advance(Duration::from_millis(seeded.below(STEP_MS)));
            statement.run(&database, number).await?;
            self.acknowledged.push(disk.changes());
        }
        database.close().await?;
        ended.push(disk.changes());
        Ok(())
    }

    /// The statements that may be left after a power cut before a change.
    fn allowed(&self, point: usize) -> RangeInclusive<usize> {
        let acknowledged = self.acknowledged_at(point);
        let certain = self.certain[..acknowledged].iter().rposition(|from| *from <= point);
        let next = (acknowledged + 1).min(self.script.statements.len());
        certain.map_or(0, |last| last + 1)..=next
    }

    fn acknowledged_at(&self, point: usize) -> usize {
        self.acknowledged.partition_point(|changes| *changes <= point)
    }

    /// What a store holds.
    fn left(&self, store: Store, allowed: RangeInclusive<usize>, verify: bool) -> Left {
        block_on(async {
            let database = match options().open_store(store).await {
                Ok(database) => database,
                Err(error) => return Left::Wrong(format!("does not open: {error}")),
            };
            let found = match read(&database).await {
                Ok(found) => found,
                Err(error) => return Left::Wrong(format!("does not read: {error}")),
            };
            if verify {
                let problems = database.verify().await.map(|report| report.problems);
                if !matches!(&problems, Ok(none) if none.is_empty()) {
                    return Left::Wrong(format!("is not sound: {problems:?}"));
                }
            }
            let states = &self.script.states;
            match allowed.clone().rev().find(|count| states[*count] == found) {
                Some(count) => Left::Statements(count),
                None => {
                    let nearest = difference(&found, &states[*allowed.start()]);
                    Left::Wrong(format!("not after {allowed:?} statements; {nearest}"))
                }
            }
        })
    }

    /// Cuts the power before a change; says how many acknowledged statements that took.
    fn cut(&self, point: usize, seed: u64) -> std::result::Result<usize, String> {
        let store = self.snapshots[point].after_power_cut(seed).store();
        match self.left(store, self.allowed(point), point.is_multiple_of(VERIFIED)) {
            Left::Statements(count) => Ok(self.acknowledged_at(point).saturating_sub(count)),
            Left::Wrong(wrong) => Err(format!("{}: {wrong}", self.story(point, seed))),
        }
    }

    /// Kills the process before a change: nothing is lost. If the power goes during the recovery
    /// from that, what it could take before is all that it takes.
    fn kill(&self, point: usize) -> std::result::Result<(), String> {
        let killed = self.snapshots[point].after_kill();
        let last = *self.allowed(point).end();
        let all = self.acknowledged_at(point)..=last;
        let outcome = |left| match left {
            Left::Statements(_) => Ok(()),
            Left::Wrong(wrong) => Err(format!("kill, {}: {wrong}", self.story(point, 0))),
        };
        killed.record();
        outcome(self.left(killed.store(), all.clone(), false))?;
        if !point.is_multiple_of(IN_RECOVERY) {
            return Ok(());
        }
        let snapshots = killed.snapshots();
        for (change, snapshot) in snapshots.iter().enumerate() {
            let cut = snapshot.after_power_cut(change as u64).store();
            // What was opened was shown: it stays.
            let allowed =
                if change + 1 < snapshots.len() { self.allowed(point) } else { all.clone() };
            outcome(self.left(cut, allowed, false))?;
        }
        Ok(())
    }

    /// Cuts until one is not survived, at most `most` times.
    fn first_loss(&self, most: usize) -> Option<(usize, String)> {
        let points = (0..10).flat_map(|turn| (0..self.snapshots.len()).map(move |p| (p, turn)));
        (1..).zip(points.take(most)).find_map(|(made, (point, turn))| {
            let seed = (turn * self.snapshots.len() + point) as u64;
            self.cut(point, seed).err().map(|loss| (made, loss))
        })
    }

    fn story(&self, point: usize, seed: u64) -> String {
        let statement = self.script.statements.get(self.acknowledged_at(point));
        format!("\"{}\", change {point}, seed {seed}, in {statement:?}", self.script.name)
    }
}

async fn may_lose(store: Store, clock: &Clock) -> Result<Database> {
    let options = Options { clock: clock.clone(), ..options() };
    options.may_lose_last_ms(LIMIT_MS).open_store(store).await
}

/// After how many changes a statement is certain that was acknowledged after so many: its log is
/// synced, or its handle gone.
fn certain(acknowledged: usize, calls: &[LogCall], ended: &[usize]) -> usize {
    let written = calls.iter().rfind(|call| !call.is_sync && call.change < acknowledged);
    let synced = written.and_then(|written| {
        let covers = |call: &&LogCall| {
            call.is_sync && call.path == written.path && call.change > written.change
        };
        calls.iter().find(covers).map(|call| call.change + 1)
    });
    let gone = ended.iter().copied().find(|at| *at >= acknowledged);
    synced.into_iter().chain(gone).min().unwrap_or(usize::MAX)
}

#[test]
fn a_power_cut_takes_the_last_statements_whole_and_none_that_was_synced() {
    let started = Instant::now();
    let (mut cuts, mut kills, mut lossy, mut losses) = (0, 0, 0, Vec::new());
    for script in five() {
        let run = Recorded::new(script, &FaultyFiles::new());
        assert!(run.error.is_none(), "\"{}\": {:?}", run.script.name, run.error);
        for point in 0..run.snapshots.len() {
            cuts += 1;
            match run.cut(point, point as u64) {
                Ok(lost) => lossy += usize::from(lost > 0),
                Err(loss) => losses.push(loss),
            }
            if point.is_multiple_of(KILLED) || point.is_multiple_of(IN_RECOVERY) {
                kills += 1;
                losses.extend(run.kill(point).err());
            }
        }
    }
    println!(
        "{cuts} cuts, {lossy} of them took statements, {kills} kills, {:.1?}",
        started.elapsed()
    );
    report(&losses, cuts);
    assert!(lossy > cuts as usize / 20, "only {lossy} of {cuts} cuts took anything: too few");
}

#[test]
fn it_syncs_more_rarely_than_it_acknowledges() {
    let script = || five().swap_remove(1);
    let disk = FaultyFiles::new();
    let statements = Recorded::new(script(), &disk).acknowledged.len();
    let durably = FaultyFiles::new();
    let each = super::files::Recorded::on(script(), &durably).points();
    println!("{} syncs instead of {}", disk.file_syncs(), durably.file_syncs());
    assert!(each > 0 && disk.file_syncs() + statements / 2 < durably.file_syncs());
}

#[test]
fn a_log_that_is_never_synced_is_found() {
    let disk = FaultyFiles::new();
    disk.plant(Some(Planted::NoFileSync("log")));
    let found = Recorded::new(Script::thought_of(), &disk).first_loss(1500);
    let (cuts, loss) = found.expect("a loss");
    println!("after {cuts} cuts: {loss}");
}

#[test]
fn a_failed_sync_takes_nothing_that_was_synced_before_it() {
    let started = Instant::now();
    let (mut runs, mut failed, mut losses) = (0, 0, Vec::new());
    for script in five() {
        let disk = FaultyFiles::new();
        Recorded::new(script.clone(), &disk);
        let calls = disk.calls() as usize;
        for call in (1..calls).step_by(FAILING) {
            let disk = FaultyFiles::new();
            disk.fail_call(call as u64, false, FAILURES[runs % FAILURES.len()]);
            let run = Recorded::new(script.clone(), &disk);
            runs += 1;
            failed += usize::from(run.error.is_some());
            let now = run.snapshots.len() - 1;
            losses.extend(run.cut(now, call as u64).err());
            losses.extend(run.kill(now).err());
        }
    }
    println!("{runs} runs, {failed} with an error, {:.1?}", started.elapsed());
    report(&losses, runs as u64);
    assert!(failed > runs / 4);
}
