//! Cuts the power of a real ext4 on which the command is writing, and looks at what is left.
//!
//! What was acknowledged is kept in this process, outside of the file system that is cut. What
//! counts is what was acknowledged before the cut: while Linux (6.18) stops an ext4, an fdatasync
//! that is under way may say yes and have done nothing, to the simplest of programs too, about once
//! in a hundred cuts. A real one leaves nobody to be told so.
//!
//! Half of the commands that run statements may lose their last milliseconds: then certain is only
//! what was acknowledged longer ago. What is lost must be the last statements, and none by halves.
//!
//! `OMEN_CUTS=1000 OMEN_TEST_SEED=1` is a long run; it says how far it is, and with
//! `OMEN_CUTS_DONE=300` goes on from there.

use std::time::Duration;

use super::ledger::{Ledger, Statement, create, query, slots};
use super::loop_disk::{Blocks, Journal, LoopDisk};
use super::missing::skip;
use super::rounds::{Run, Series};
use super::running::{Ended, Running};
use super::strace::{self, Strace};
use crate::omen::Place;

/// How often the power is cut.
const CUTS: u64 = 100;
/// Cuts of one database.
const CUTS_OF_SERIES: u64 = 25;
/// Milliseconds by which a sync may be late, on a machine that does other things too.
const LATE_MS: u64 = 200;
/// The size of the disk.
const MEBIBYTES: u64 = 64;

#[test]
fn power_cut_takes_nothing_that_was_acknowledged() {
    let run = Run::new("power cuts", "OMEN_CUTS", CUTS, CUTS_OF_SERIES);
    if let Err(what) = works() {
        assert!(!run.is_long(), "{what}");
        return skip("power cuts of a real ext4", &what);
    }
    run.each(|seed, rounds| {
        let place = Place::new();
        let blocks =
            if (seed / CUTS_OF_SERIES).is_multiple_of(2) { Blocks::Small } else { Blocks::Usual };
        let mut disk = LoopDisk::new(MEBIBYTES, blocks)?;
        let folder = disk.path();
        let mut series = Series::new(&place, &folder, seed).of_any_durability();
        for round in 0..rounds {
            let journal = if round % 2 == 0 { Journal::Lost } else { Journal::Written };
            let outcome = series.round(|running, may_lose_ms| {
                let certain = certainly_acknowledged(&running, may_lose_ms);
                disk.cut(journal).unwrap();
                let ended = Ended { certain, ..running.kill() };
                disk.restart().unwrap();
                ended
            });
            let wrong = |wrong| {
                format!("cut {round}, {journal:?}, {blocks:?} blocks: {wrong}; {}", series.keep())
            };
            outcome.map_err(wrong)?;
        }
        Ok(())
    });
}

/// How many statements a power cut that comes now must spare.
fn certainly_acknowledged(running: &Running, may_lose_ms: Option<u64>) -> usize {
    match may_lose_ms {
        None => running.acknowledged(),
        Some(long) if long > 1_000 => 0,
        Some(milliseconds) => {
            let acknowledged = running.acknowledged();
            std::thread::sleep(Duration::from_millis(milliseconds + LATE_MS));
            acknowledged
        }
    }
}

/// The command does everything right, but no sync reaches the disk: of what it acknowledges, the
/// cut takes some, and the ledger says so. Else the test above would prove nothing.
#[test]
fn without_syncs_the_power_cut_takes_rows_and_that_is_found() {
    if let Err(what) = works().and_then(|()| strace::works()) {
        return skip("power cuts without syncs", &what);
    }
    let found: Vec<bool> = (1..=3).map(|seed| loses_without_syncs(seed).unwrap()).collect();
    // Now and then the kernel writes everything by itself in time.
    assert!(found.contains(&true), "a loss was never found");
}

/// Whether a loss is found. An error: something else went wrong.
fn loses_without_syncs(seed: u64) -> Result<bool, String> {
    let place = Place::new();
    let mut disk = LoopDisk::new(MEBIBYTES, Blocks::Small)?;
    let mut ledger = Ledger::new(seed);
    let database = disk.path().join("db");
    let omen = |arguments: &[&str]| {
        let mut command = place.command(&[]);
        command.arg(&database).args(arguments).output().unwrap()
    };
    assert!(omen(&["-c", &create()]).status.success());

    let sent = ledger.statements(20);
    let syncs = Strace::new(&place).succeeding_without_effect(&["fsync", "fdatasync"]);
    let mut running = Running::start(syncs.command(&[database.as_os_str()]));
    running.send(sent.iter().map(Statement::sql));
    running.wait_for(sent.len())?;
    disk.cut(Journal::Lost)?;
    // It ends by itself, since nothing that it tries now succeeds. (Killing strace would not do.)
    running.end_input();
    let ended = running.wait()?;
    assert_eq!(ended.acknowledged, sent.len(), "{ended:?}");
    disk.restart()?;

    let answer = omen(&["--format", "csv", "--readonly", "-c", &query()]);
    if !answer.status.success() {
        return Ok(true);
    }
    let shown = slots(&String::from_utf8(answer.stdout).unwrap());
    Ok(shown.and_then(|shown| ledger.settle(&sent, sent.len(), sent.len(), shown)).is_err())
}

/// Whether power can be cut here. An error: what is missing.
fn works() -> Result<(), String> {
    let disk = LoopDisk::new(MEBIBYTES, Blocks::Small)?;
    disk.cut(Journal::Lost)
}
