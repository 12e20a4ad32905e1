//! Rounds of violence over one database: the command does something, it is struck in the middle of
//! it, and what is left is compared with what it had acknowledged.
//!
//! What each round leaves behind is what the next recovers from: recovery upon recovery, with
//! flushes and compactions in between. Rounds come in series, each with a database and a seed of
//! its own, so a long run can be gone on with at any series.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::ledger::{Ledger, Statement, create, query, slots};
use super::missing::number;
use super::running::{Ended, Running};
use crate::omen::Place;

/// Statements that are offered in a round, more than are done in one.
const STATEMENTS: usize = 60;

/// How many rounds, from which seed.
pub(super) struct Run {
    name: &'static str,
    seed: u64,
    rounds: u64,
    done: u64,
    series: u64,
    is_long: bool,
}

/// What the command does when it is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Statement after statement.
    Statements,
    /// It has done some statements and closes the database, which flushes them.
    Closing,
    /// It opens the database, which recovers it.
    Opening,
    /// It loads a file.
    Importing,
    /// It rewrites all tables.
    Compacting,
}

/// One database, struck time and again.
pub(super) struct Series<'a> {
    place: &'a Place,
    database: PathBuf,
    ledger: Ledger,
    /// Strikes that fell between the first and the last acknowledgement of a round of statements,
    /// and rounds of statements.
    pub(super) between: (u64, u64),
    /// Whether some rounds may lose their last milliseconds if the power is cut.
    of_any_durability: bool,
    /// Those that the present round may lose.
    may_lose_ms: Option<u64>,
}

/// What these rounds may lose: most of them end before it is synced, or while it is.
const MILLISECONDS: [u64; 4] = [1, 8, 50, 3_600_000];

impl Run {
    /// `variable` says how many rounds a long run has; with `_DONE` behind its name, how many of
    /// them are done.
    pub(super) fn new(name: &'static str, variable: &str, rounds: u64, series: u64) -> Self {
        let long = number(variable);
        let seed = number("OMEN_TEST_SEED");
        Self {
            name,
            seed: seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 0x5eed),
            rounds: long.unwrap_or(rounds),
            done: number(&format!("{variable}_DONE")).unwrap_or(0) / series * series,
            series,
            is_long: long.is_some(),
        }
    }

    /// Whether somebody asked for it.
    pub(super) fn is_long(&self) -> bool {
        self.is_long
    }

    /// Runs `series(seed, rounds)` for each series that is not done yet.
    pub(super) fn each(&self, mut series: impl FnMut(u64, u64) -> Result<(), String>) {
        println!("OMEN_TEST_SEED={}", self.seed);
        for first in (self.done..self.rounds).step_by(self.series as usize) {
            let rounds = self.series.min(self.rounds - first);
            let outcome = series(self.seed.wrapping_add(first), rounds);
            if let Err(wrong) = outcome {
                panic!(
                    "{}, OMEN_TEST_SEED={}, series from {first} on: {wrong}",
                    self.name, self.seed
                );
            }
            if self.is_long {
                let seed = self.seed;
                eprintln!("{}: {} of {}, seed {seed}", self.name, first + rounds, self.rounds);
            }
        }
    }
}

impl<'a> Series<'a> {
    /// A new database in `folder`.
    pub(super) fn new(place: &'a Place, folder: &Path, seed: u64) -> Self {
        let database = folder.join("db");
        let ledger = Ledger::new(seed);
        let between = (0, 0);
        let (of_any_durability, may_lose_ms) = (false, None);
        let series = Self { place, database, ledger, between, of_any_durability, may_lose_ms };
        let created = series.command(&["-c", &create()]).output().unwrap();
        assert!(created.status.success(), "{created:?}");
        series
    }

    /// With half of the statements acknowledged before they are synced.
    pub(super) fn of_any_durability(self) -> Self {
        Self { of_any_durability: true, ..self }
    }

    /// The command that runs statements.
    fn shell(&mut self) -> Command {
        if self.of_any_durability && self.ledger.random.below(2) == 1 {
            self.may_lose_ms = Some(MILLISECONDS[self.ledger.random.below(4) as usize]);
        }
        match self.may_lose_ms {
            Some(milliseconds) => self.command(&["--may-lose-last-ms", &milliseconds.to_string()]),
            None => self.command(&[]),
        }
    }

    /// The command on the database, with arguments behind its path.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(&[]);
        command.arg(&self.database).args(arguments);
        command
    }

    /// A subcommand on the database.
    fn subcommand(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.command(&[name]);
        command.arg(&self.database).args(arguments);
        command
    }

    /// One round. `strike` ends the command by violence, and leaves the database as that left it;
    /// it is told what the command may lose if the power is cut.
    pub(super) fn round(
        &mut self,
        strike: impl FnOnce(Running, Option<u64>) -> Ended,
    ) -> Result<(), String> {
        self.may_lose_ms = None;
        let doing = match self.ledger.random.below(16) {
            0..=8 => Doing::Statements,
            9..=10 => Doing::Closing,
            11..=12 => Doing::Opening,
            13 => Doing::Compacting,
            _ => Doing::Importing,
        };
        let (running, sent) = self.begin(doing)?;
        let ended = strike(running, self.may_lose_ms);
        if doing == Doing::Statements {
            self.between.0 += u64::from((1..sent.len()).contains(&ended.acknowledged));
            self.between.1 += 1;
        }
        let wrong = |wrong: String| format!("struck while {doing:?}: {wrong}; {ended:?}");
        self.compare(&sent, &ended).map_err(wrong)?;
        match self.ledger.random.below(12) {
            0 => self.expect_success(self.subcommand("compact", &[])),
            1 => self.expect_success(self.subcommand("verify", &[])),
            _ => Ok(()),
        }
    }

    /// Starts the command and waits for a moment that suits what it does.
    fn begin(&mut self, doing: Doing) -> Result<(Running, Vec<Statement>), String> {
        let mut moment = |micros| Duration::from_micros(self.ledger.random.below(micros));
        let pause = match doing {
            Doing::Statements => moment(4_000),
            Doing::Closing => moment(40_000),
            Doing::Opening => moment(60_000),
            Doing::Importing | Doing::Compacting => moment(150_000),
        };
        let (running, sent) = match doing {
            Doing::Statements | Doing::Closing => {
                let sent = self.ledger.statements(STATEMENTS);
                let count = 1 + self.ledger.random.below(40) as usize;
                let mut running = Running::start(self.shell());
                let closes = doing == Doing::Closing;
                let sent = if closes { sent[..count].to_vec() } else { sent };
                running.send(sent.iter().map(Statement::sql));
                if let Err(wrong) = running.wait_for(count) {
                    return Err(format!("{wrong}: {:?}", running.kill()));
                }
                if closes {
                    running.end_input();
                }
                (running, sent)
            }
            Doing::Opening => (Running::start(self.command(&["-c", "SELECT 1"])), Vec::new()),
            Doing::Compacting => (Running::start(self.subcommand("compact", &[])), Vec::new()),
            Doing::Importing => {
                let import = self.ledger.import();
                let (table, csv) = import.csv();
                let file = self.place.file("import.csv", csv);
                let arguments = [table, &file.display().to_string()];
                (Running::start(self.subcommand("import", &arguments)), vec![import])
            }
        };
        std::thread::sleep(pause);
        Ok((running, sent))
    }

    /// Reads the database by the command, beside a writer's rights or with them, and compares.
    fn compare(&mut self, sent: &[Statement], ended: &Ended) -> Result<(), String> {
        let query = query();
        let mut arguments = vec!["--format", "csv", "-c", &query];
        if self.ledger.random.below(3) == 0 {
            arguments.push("--readonly");
        }
        let answer = self.command(&arguments).output().unwrap();
        if !answer.status.success() {
            return Err(format!("it does not open: {}", String::from_utf8_lossy(&answer.stderr)));
        }
        let shown = slots(&String::from_utf8(answer.stdout).unwrap())?;
        self.ledger.settle(sent, ended.certain, ended.acknowledged + 1, shown)
    }

    fn expect_success(&self, mut command: Command) -> Result<(), String> {
        let outcome = command.output().unwrap();
        if outcome.status.success() { Ok(()) } else { Err(format!("{command:?}: {outcome:?}")) }
    }

    /// Copies the database to where it can be looked at after the test.
    pub(super) fn keep(&self) -> String {
        let kept = std::env::temp_dir().join(format!("omen-violence-{}", std::process::id()));
        let copied = Command::new("cp").arg("-r").args([&self.database, &kept]).status();
        format!("a copy of the database is in {} ({copied:?})", kept.display())
    }
}
