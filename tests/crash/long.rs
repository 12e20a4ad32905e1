//! Power cuts and failures without end: for a run of hours, which can be taken up again.
//!
//! The work comes in rounds. Round `n` runs script of chance `n`, cuts the power before each of its
//! changes and, at some of them, within the recovery and within the recovery after that; and it
//! goes on through all ways in which the five scripts can fail. Equal rounds do equal work. Each
//! thread takes the next round.
//!
//! | variable | meaning |
//! |---|---|
//! | `OMEN_CRASH_POINTS` | power cuts to be made, all in all |
//! | `OMEN_CRASH_STATE` | a file that says how far it has come, to go on from |
//! | `OMEN_CRASH_ROUND` | the first round, where no file says it |
//!
//! Without them a small part is done, so that it is known to work.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::failing::{Way, fail};
use super::files::{Recorded, THIRD, report};
use super::scripts::{Script, five};

/// Power cuts where no variable says how many.
const POINTS: u64 = 300;
/// The first round whose script is none of the five.
const FIRST_ROUND: u64 = 5;
/// Every which point of a script has its recovery cut short too.
const IN_RECOVERY: usize = 40;
/// Runs on a failing file system in each round.
const FAILING_RUNS: u64 = 40;
/// Between two lines about the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// What was done in some rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Done {
    cuts: u64,
    failing_runs: u64,
}

/// How far the run has come.
#[derive(Debug)]
struct Progress {
    /// The round that the next thread takes.
    next: u64,
    /// All rounds before this one are done.
    finished: u64,
    done: Done,
    /// Rounds done out of turn.
    ahead: BTreeMap<u64, Done>,
    losses: Vec<String>,
    state: Option<PathBuf>,
    started: Instant,
    at_start: u64,
    said: Instant,
}

impl Progress {
    fn new(first: u64, state: Option<PathBuf>) -> Self {
        let text = state.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let saved = text.map(|text| {
            let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
            let [round, cuts, failing_runs] = numbers[..] else { panic!("no state: {text}") };
            (round, Done { cuts, failing_runs })
        });
        let (finished, done) = saved.unwrap_or((first, Done::default()));
        Self {
            next: finished,
            finished,
            done,
            ahead: BTreeMap::new(),
            losses: Vec::new(),
            state,
            started: Instant::now(),
            at_start: done.cuts,
            said: Instant::now(),
        }
    }

    /// The next round to be done, if any.
    fn take(&mut self, points: u64) -> Option<u64> {
        let ahead: u64 = self.ahead.values().map(|done| done.cuts).sum();
        if self.done.cuts + ahead >= points || !self.losses.is_empty() {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Takes in what a round found. A round with a loss is never finished.
    fn note(&mut self, round: u64, done: Done, losses: Vec<String>, points: u64) {
        if losses.is_empty() {
            self.ahead.insert(round, done);
        }
        self.losses.extend(losses.into_iter().map(|loss| format!("round {round}: {loss}")));
        while let Some(done) = self.ahead.remove(&self.finished) {
            self.finished += 1;
            self.done.cuts += done.cuts;
            self.done.failing_runs += done.failing_runs;
        }
        if let Some(path) = &self.state {
            let Done { cuts, failing_runs } = self.done;
            // Renamed, so that whoever ends the run finds the old state or the new one.
            let new = path.with_extension("new");
            std::fs::write(&new, format!("{} {cuts} {failing_runs}\n", self.finished)).unwrap();
            std::fs::rename(&new, path).unwrap();
        }
        if self.said.elapsed() >= PROGRESS_EVERY {
            self.said = Instant::now();
            self.say(points);
        }
    }

    /// Tells who waits, past the test's own output, which is kept until the end.
    fn say(&self, points: u64) {
        let Done { cuts, failing_runs } = self.done;
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = (cuts - self.at_start) as f64 / seconds.max(0.001);
        let left = points.saturating_sub(cuts) as f64 / rate.max(0.001) / 60.0;
        let line = format!(
            "crash: {cuts} of {points} cuts, {failing_runs} failing runs, round {}, \
             {rate:.0} cuts/s, {left:.0} min left\n",
            self.finished
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// The five scripts, each with the ways in which it can fail.
fn failing_scripts() -> &'static [(Script, u64)] {
    static SCRIPTS: OnceLock<Vec<(Script, u64)>> = OnceLock::new();
    SCRIPTS.get_or_init(|| {
        let counted = |script: Script| {
            let ways = Way::count(&script);
            (script, ways)
        };
        five().into_iter().map(counted).collect()
    })
}

/// Fails in one of all ways of the five scripts.
fn nth_failure(number: u64) -> Result<(), String> {
    let all: u64 = failing_scripts().iter().map(|(_, ways)| ways).sum();
    let mut number = number % all;
    for (script, ways) in failing_scripts() {
        match number.checked_sub(*ways) {
            Some(rest) => number = rest,
            None => return fail(script, Way::numbered(number)),
        }
    }
    Ok(())
}

/// One round, or its beginning if that makes as many cuts as are wanted.
fn round(number: u64, most: u64) -> (Done, Vec<String>) {
    let (mut done, mut losses) = (Done::default(), Vec::new());
    let recorded = Recorded::new(Script::of_chance(number));
    for point in 0..recorded.points() {
        if done.cuts >= most {
            break;
        }
        // Seeds of one round are far from those of the next.
        let seed = (number << 24) + point as u64;
        losses.extend(recorded.cut(point, seed).err());
        done.cuts += 1;
        if (point + number as usize).is_multiple_of(IN_RECOVERY) {
            let cuts = recorded.cut_in_recovery(point, seed, THIRD);
            done.cuts += cuts.made;
            losses.extend(cuts.losses);
        }
    }
    let runs = FAILING_RUNS.min(most / 10);
    for run in 0..runs {
        losses.extend(nth_failure(number * FAILING_RUNS + run).err());
        done.failing_runs += 1;
    }
    (done, losses)
}

/// Rounds until so many cuts are made, on every processor.
fn run(progress: &Mutex<Progress>, points: u64) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(number) = progress.lock().unwrap().take(points) else { return };
                    let (done, losses) = round(number, points);
                    progress.lock().unwrap().note(number, done, losses, points);
                }
            });
        }
    });
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[test]
fn as_many_power_cuts_as_are_asked_for_lose_nothing() {
    let points = number("OMEN_CRASH_POINTS").unwrap_or(POINTS);
    let state = std::env::var_os("OMEN_CRASH_STATE").map(PathBuf::from);
    let progress = Progress::new(number("OMEN_CRASH_ROUND").unwrap_or(FIRST_ROUND), state);
    let progress = Mutex::new(progress);
    run(&progress, points);
    let progress = progress.into_inner().unwrap();
    println!("{:?}, {:.1?}", progress.done, progress.started.elapsed());
    if points > POINTS {
        progress.say(points);
    }
    report(&progress.losses, progress.done.cuts);
    assert!(progress.done.cuts >= points);
}

#[test]
fn a_round_finds_a_planted_bug() {
    let _planted = omen_provider::teeth::plant(omen_provider::teeth::Tooth::NoLogSync);
    let (done, losses) = round(FIRST_ROUND, 200);
    assert!(done.cuts >= 200 && !losses.is_empty(), "{done:?}");
}

#[test]
fn a_long_run_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let state = || Some(folder.path().join("state"));
    let mut first = Progress::new(7, state());
    assert_eq!((first.take(100), first.take(100), first.take(100)), (Some(7), Some(8), Some(9)));
    let done = Done { cuts: 40, failing_runs: 2 };
    // A later round before an earlier one: it is done again by whoever goes on.
    first.note(8, done, Vec::new(), 100);
    assert_eq!(Progress::new(7, state()).finished, 7);
    first.note(7, done, Vec::new(), 100);
    first.note(9, done, vec!["a row is gone".to_string()], 100);
    assert_eq!(first.take(100), None, "nothing goes on after a loss");
    let mut second = Progress::new(7, state());
    assert_eq!((second.finished, second.done.cuts), (9, 80));
    assert_eq!(second.take(100), Some(9));
    second.note(9, done, Vec::new(), 100);
    assert_eq!(second.take(100), None, "enough is enough");
}
