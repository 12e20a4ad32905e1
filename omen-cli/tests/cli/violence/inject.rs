//! Makes calls of the system fail under the command, one class of calls after the other, and looks
//! at what it says and what is left.
//!
//! A run without faults tells which calls there are. Then for each kind of fault and each purpose
//! of a file one call is chosen, another one with each seed, and made to fail: once, or from then
//! on. After that no acknowledgement was false, a failure was told in words of the system, nobody
//! hangs, and the database opens, holds what was acknowledged, and takes statements.
//!
//! `OMEN_INJECTIONS=500 OMEN_TEST_SEED=1` is a long run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ledger::{Ledger, Statement, create, query, slots};
use super::missing::{number, skip};
use super::running::{Ended, Running};
use super::strace::{self, Call, Purpose, Strace};
use crate::omen::{Place, binary};

/// A fault, in words of strace and of the system.
struct Fault {
    kind: &'static str,
    calls: &'static [&'static str],
    what: &'static str,
    lasts: bool,
    /// What the command must say if it fails.
    says: &'static str,
}

const SYNC: &[&str] = &["fsync", "fdatasync"];
const WRITE: &[&str] = &["write", "pwrite64"];
const NAME: &[&str] = &["link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat"];
const OPEN: &[&str] = &["openat"];

const IO: (&str, &str) = ("error=EIO", "Input/output error");
const FULL: (&str, &str) = ("error=ENOSPC", "No space left on device");
const DESCRIPTORS: (&str, &str) = ("error=EMFILE", "Too many open files");
/// Not one byte is written, and that is no error.
const NOTHING: (&str, &str) = ("retval=0", "write zero");

const FAULTS: [Fault; 11] = [
    fault("sync", SYNC, IO, false),
    fault("sync", SYNC, IO, true),
    fault("sync", SYNC, FULL, false),
    fault("write", WRITE, IO, false),
    fault("write", WRITE, FULL, false),
    fault("write", WRITE, NOTHING, false),
    fault("name", NAME, IO, false),
    fault("name", NAME, FULL, true),
    fault("open", OPEN, DESCRIPTORS, false),
    fault("open", OPEN, DESCRIPTORS, true),
    fault("open", OPEN, IO, false),
];

const PURPOSES: [Purpose; 3] = [Purpose::Log, Purpose::Manifest, Purpose::Segment];

/// Runs for one fault until it hits what it was meant for and nothing else.
const ATTEMPTS: usize = 4;

const fn fault(
    kind: &'static str,
    calls: &'static [&'static str],
    (what, says): (&'static str, &'static str),
    lasts: bool,
) -> Fault {
    Fault { kind, calls, what, lasts, says }
}

/// What the command does while calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Doing {
    /// Recovers, runs statements, flushes and closes.
    Statements,
    /// Recovers, flushes and rewrites all tables.
    Compacting,
}

/// A database as it is before each run, and the calls of runs without faults.
struct Bench {
    place: Place,
    ledger: Ledger,
    calls: BTreeMap<Doing, Vec<Call>>,
}

#[test]
fn when_the_system_refuses_a_call_nothing_acknowledged_is_lost_and_it_says_why() {
    let runs = number("OMEN_INJECTIONS");
    if let Err(what) = strace::works() {
        assert_eq!(runs, None, "{what}");
        return skip("failing calls of the system", &what);
    }
    let seed = number("OMEN_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("OMEN_TEST_SEED={seed}");
    let mut bench = Bench::new(seed);
    let all = FAULTS.len() * PURPOSES.len();
    let mut hits: BTreeMap<(&str, Purpose), u32> = BTreeMap::new();
    for run in 0..runs.unwrap_or(all as u64) as usize {
        let fault = &FAULTS[run / PURPOSES.len() % FAULTS.len()];
        let purpose = PURPOSES[run % PURPOSES.len()];
        let hit = (0..ATTEMPTS).any(|_| {
            bench.run(fault, purpose).unwrap_or_else(|wrong| {
                panic!("run {run} of OMEN_TEST_SEED={seed}, {} {}: {wrong}", fault.kind, fault.what)
            })
        });
        *hits.entry((fault.kind, purpose)).or_default() += u32::from(hit);
    }
    println!("{hits:?}");
    let missed: Vec<_> = hits.iter().filter(|(_, count)| **count == 0).collect();
    assert!(missed.is_empty(), "never hit: {missed:?}");
}

impl Bench {
    fn new(seed: u64) -> Self {
        let place = Place::new();
        let mut ledger = Ledger::new(seed);
        place.sql(&create());
        let omen = |sent: &[Statement], closes| {
            let mut running = Running::start(place.command(&["db"]));
            running.send(sent.iter().map(Statement::sql));
            running.wait_for(sent.len()).unwrap();
            if closes {
                running.end_input();
                running.wait().unwrap();
            } else {
                running.kill();
            }
        };
        let sent = ledger.statements(12);
        omen(&sent[..8], true);
        omen(&sent[8..], false);
        ledger
            .settle(&sent, sent.len(), sent.len(), shown(&place, &["--readonly"]).unwrap())
            .unwrap();
        std::fs::rename(place.path().join("db"), place.path().join("pristine")).unwrap();
        let mut bench = Self { place, ledger, calls: BTreeMap::new() };
        for doing in [Doing::Statements, Doing::Compacting] {
            let strace = Strace::new(&bench.place);
            let (_, ended) = bench.start(doing, &strace).unwrap();
            assert!(ended.status.success(), "{ended:?}");
            let calls = strace.calls();
            bench.calls.insert(doing, calls);
        }
        bench
    }

    /// Puts the database back and does something with it; returns what was sent.
    fn start(&self, doing: Doing, strace: &Strace) -> Result<(Vec<Statement>, Ended), String> {
        let database = self.place.path().join("db");
        let _ = std::fs::remove_dir_all(&database);
        copy(&self.place.path().join("pristine"), &database);
        let (arguments, sent): (&[&str], _) = match doing {
            Doing::Statements => (&["db"], self.ledger.clone().statements(3)),
            Doing::Compacting => (&["compact", "db"], Vec::new()),
        };
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let mut running = Running::start(strace.command(&arguments));
        running.send(sent.iter().map(Statement::sql));
        running.end_input();
        Ok((sent, running.wait()?))
    }

    /// One run; whether the fault hit a file of that purpose and nothing but the database. An
    /// error: what is wrong.
    fn run(&mut self, fault: &Fault, purpose: Purpose) -> Result<bool, String> {
        let Some((doing, call)) = self.choose(fault, purpose) else { return Ok(false) };
        let when = format!("{}{}", call.number, if fault.lasts { "+" } else { "" });
        let strace = Strace::new(&self.place);
        let strace = strace.failing(&call.name, fault.what, &when);
        let (sent, ended) = self.start(doing, &strace)?;
        let hits: Vec<Call> = strace.calls().into_iter().filter(|call| call.injected).collect();
        if hits.is_empty() || hits.iter().any(|call| call.purpose == Purpose::Foreign) {
            return Ok(false);
        }
        let lines: Vec<&str> = hits.iter().map(|call| call.line.as_str()).take(3).collect();
        let wrong = |wrong: &str| format!("{doing:?}, {lines:#?}: {wrong}: {ended:#?}");
        if ended.status.success() && ended.acknowledged < sent.len() {
            return Err(wrong("success, and not everything is acknowledged"));
        }
        if !ended.status.success() && !ended.said.contains(fault.says) {
            return Err(wrong("it does not say what happened"));
        }
        if ended.status.code().is_none() {
            return Err(wrong("it died"));
        }
        let insert = "INSERT INTO odd VALUES (-1, 0, 'writes go on')";
        let shown = shown(&self.place, &["-c", insert]).map_err(|error| wrong(&error))?;
        let (certain, under_way) = (ended.acknowledged, ended.acknowledged + 1);
        let settled = self.ledger.clone().settle(&sent, certain, under_way, shown);
        settled.map_err(|error| wrong(&error))?;
        let verified = self.place.run(&["verify", "db"]);
        if verified.code != Some(0) {
            return Err(wrong(&format!("{verified:?}")));
        }
        Ok(hits.iter().any(|call| call.purpose == purpose))
    }

    /// A call to fail: one whose number on its thread no call outside of the database has.
    fn choose(&mut self, fault: &Fault, purpose: Purpose) -> Option<(Doing, Call)> {
        let mut fitting = Vec::new();
        for (doing, calls) in &self.calls {
            let of_kind = || calls.iter().filter(|call| fault.calls.contains(&call.name.as_str()));
            let foreign = |of: &Call| {
                let mut same = of_kind().filter(|c| c.name == of.name && c.number == of.number);
                same.any(|call| call.purpose == Purpose::Foreign)
            };
            let meant = of_kind().filter(|call| call.purpose == purpose && !foreign(call));
            fitting.extend(meant.map(|call| (*doing, call.clone())));
        }
        let count = fitting.len() as u64;
        (count > 0).then(|| fitting.swap_remove(self.ledger.random.below(count) as usize))
    }
}

/// What the database holds.
fn shown(place: &Place, arguments: &[&str]) -> Result<super::ledger::Slots, String> {
    let query = query();
    let arguments = [&["db", "--format", "csv", "-c", &query], arguments].concat();
    let answer = place.run(&arguments);
    if answer.code == Some(0) { slots(&answer.stdout) } else { Err(format!("{answer:?}")) }
}

fn copy(from: &Path, to: &PathBuf) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

/// A write that says that it has written what it has not is no fault that a program could survive:
/// what the run above compares finds it. (In a log the next write may make good for it: it begins
/// with the block in which the one before ended.)
#[test]
fn a_write_that_lies_is_found() {
    if let Err(what) = strace::works() {
        return skip("failing calls of the system", &what);
    }
    let lie = fault("write", WRITE, ("retval=20", ""), false);
    let mut bench = Bench::new(3);
    let found = (0..12).filter(|_| bench.run(&lie, Purpose::Segment).is_err()).count();
    assert!(found > 0, "segments that lack bytes are no loss?");
}

/// A limit on the length of files: the write that reaches it is short, the next one is refused.
#[test]
fn short_writes_take_nothing_that_was_acknowledged() {
    let place = Place::new();
    let mut ledger = Ledger::new(7);
    place.sql(&create());
    // The limit, of 6 or 12 MiB, is in blocks whose size is up to the shell.
    let script = format!("trap '' XFSZ; ulimit -f 12288; exec '{}' db", binary());
    let mut running = Running::start(place.program("sh", &["-c", &script]));
    let sent = ledger.wide_statements(250);
    running.send(sent.iter().map(Statement::sql));
    running.end_input();
    let ended = running.wait().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.said.contains("File too large"), "{ended:?}");
    let count = ended.acknowledged;
    ledger.settle(&sent, count, count + 1, shown(&place, &[]).unwrap()).unwrap();
}
