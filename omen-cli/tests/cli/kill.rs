//! Kills the command with SIGKILL in the middle of a stream of statements, a hundred times over one
//! database, and looks at what is left.
//!
//! Two statements alternate, numbered upward over all rounds. The odd ones insert [`ROWS`] new rows
//! that carry the number; the even ones write their number over the same [`ROWS`] rows of a second
//! table. A statement counts as acknowledged when the line about it was read from standard error.
//! After each kill: every acknowledged statement is there whole, no other is there in part, and
//! what an earlier round has shown is still there.
//!
//! What each round leaves behind is what the next recovers from: recovery upon recovery, with
//! flushes and compactions in between.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use omen_provider::{Database, Options};

use crate::omen::Place;

/// How often the command is killed.
const KILLS: usize = 100;
/// How many of the kills must fall between the first and the last acknowledgement.
const KILLS_BETWEEN: usize = 90;
/// Rows of each statement.
const ROWS: u64 = 7;
/// Statements offered in a round, more than are ever done in one.
const STATEMENTS: u64 = 3_000;

/// Numbers that look random and repeat with the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn statement(number: u64) -> String {
    let (verb, table, first) = match number % 2 {
        1 => ("INSERT INTO", "added", number * ROWS),
        _ => ("INSERT OR REPLACE INTO", "latest", 0),
    };
    let rows: Vec<String> = (first..first + ROWS).map(|id| format!("({id}, {number})")).collect();
    format!("{verb} {table} VALUES {};\n", rows.join(", "))
}

/// Starts the command on the statements after `last`; returns it and the number of
/// acknowledgements as they are read.
fn start(path: &Path, last: u64) -> (Child, Arc<AtomicU64>, std::thread::JoinHandle<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_omen"))
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || {
        for number in last + 1..=last + STATEMENTS {
            if stdin.write_all(statement(number).as_bytes()).is_err() {
                return; // killed
            }
        }
        // The pipe stays open: the command must not come to its end by itself.
        std::thread::sleep(Duration::from_secs(60));
    });
    let acknowledged = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&acknowledged);
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut other = String::new();
        for line in stderr.lines().map_while(Result::ok) {
            if line.contains("rows inserted") {
                counter.fetch_add(1, Ordering::SeqCst);
            } else {
                other.push_str(&line);
            }
        }
        other
    });
    (child, acknowledged, reader)
}

/// Waits for some acknowledgements and then a moment more. An error: the command ended by itself.
fn wait(
    child: &mut Child,
    acknowledged: &AtomicU64,
    count: u64,
    moment: Duration,
) -> Result<(), String> {
    let started = Instant::now();
    while acknowledged.load(Ordering::SeqCst) < count {
        assert!(started.elapsed() < Duration::from_secs(60), "no acknowledgement for a minute");
        if let Some(status) = child.try_wait().unwrap() {
            return Err(format!("the command ended by itself: {status}"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(moment);
    Ok(())
}

/// Pairs of (number, rows that carry it).
async fn numbers(database: &Database, table: &str) -> Vec<(u64, u64)> {
    let sql = format!("SELECT number, count(*) FROM {table} GROUP BY number ORDER BY number");
    let batches = database.session().sql(&sql).await.unwrap().collect().await.unwrap();
    let mut pairs = Vec::new();
    for batch in batches {
        let (numbers, counts) = (
            batch.column(0).as_primitive::<Int64Type>(),
            batch.column(1).as_primitive::<Int64Type>(),
        );
        let both = numbers.values().iter().zip(counts.values());
        pairs.extend(both.map(|(&number, &count)| (number as u64, count as u64)));
    }
    pairs
}

/// What a round must show: statements up to `acknowledged`, and whole ones only.
fn check(
    added: &[(u64, u64)],
    latest: &[(u64, u64)],
    before: &[u64],
    last: u64,
    acknowledged: u64,
) {
    for (number, rows) in added.iter().chain(latest) {
        assert_eq!(*rows, ROWS, "statement {number} is there in part");
        assert!(*number <= last + STATEMENTS, "statement {number} was never sent");
    }
    let shown: Vec<u64> = added.iter().map(|(number, _)| *number).collect();
    assert!(shown.starts_with(before), "a statement of an earlier round is gone");
    let expected = (last + 1..=last + acknowledged).filter(|number| number % 2 == 1);
    let of_round = &shown[before.len()..];
    let expected: Vec<u64> = expected.collect();
    assert!(of_round.starts_with(&expected), "acknowledged {expected:?}, there {of_round:?}");
    // Statements run one after the other: at most one more than was acknowledged was under way,
    // and one more may have been acknowledged without being read.
    let newest = of_round.iter().chain(latest.iter().map(|(number, _)| number)).max();
    let acknowledged_even = (last + acknowledged) / 2 * 2;
    if acknowledged >= 2 {
        assert_eq!(latest.len(), 1, "the rows of one statement over all: {latest:?}");
        assert!(latest[0].0 >= acknowledged_even, "{latest:?} after {acknowledged_even}");
    }
    // Whole, in order, without a gap.
    let gapless = (last + 1..=newest.copied().unwrap_or(last)).filter(|number| number % 2 == 1);
    assert!(gapless.eq(of_round.iter().copied()), "a gap in {of_round:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_keeps_what_it_acknowledged_and_nothing_by_halves() {
    let place = Place::new();
    let path = place.path().join("db");
    let columns = "(id BIGINT PRIMARY KEY, number BIGINT NOT NULL)";
    let create = ["added", "latest"].map(|table| format!("CREATE TABLE {table} {columns};"));
    place.sql(&create.concat());

    let seed = std::env::var("OMEN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 0x5eed);
    println!("OMEN_TEST_SEED={seed}");
    let mut random = Random(seed);
    let (mut last, mut before, mut between) = (0, Vec::new(), 0);
    for round in 0..KILLS {
        let (mut child, acknowledged, reader) = start(&path, last);
        // Now and then before the first acknowledgement: during recovery.
        let count = if round % 16 == 15 { 0 } else { 1 + random.below(40) };
        let moment = Duration::from_micros(random.below(if count == 0 { 60_000 } else { 4_000 }));
        let waited = wait(&mut child, &acknowledged, count, moment);
        child.kill().unwrap();
        child.wait().unwrap();
        let other = reader.join().unwrap();
        assert_eq!(waited, Ok(()), "{other}");
        assert!(!other.contains("error"), "{other}");
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        between += usize::from((1..STATEMENTS).contains(&acknowledged));

        let read_only = round % 3 == 0;
        let options = Options { read_only, ..Options::default() };
        let database = options.open(&path).await.unwrap();
        let (added, latest) =
            (numbers(&database, "added").await, numbers(&database, "latest").await);
        check(&added, &latest, &before, last, acknowledged);
        before = added.iter().map(|(number, _)| *number).collect();
        last = before.iter().copied().chain(latest.iter().map(|(n, _)| *n)).max().unwrap_or(0);
        match round % 12 {
            4 => database.checkpoint().await.unwrap(),
            7 => database.compact().await.unwrap(),
            10 => database.close().await.unwrap(),
            _ => drop(database),
        }
    }
    println!("{between} of {KILLS} kills between acknowledgements, {last} statements");
    assert!(between >= KILLS_BETWEEN, "only {between} kills between acknowledgements");
}

#[test]
fn a_lost_or_halved_statement_is_found() {
    let found = |added: &[(u64, u64)], latest: &[(u64, u64)], acknowledged| {
        std::panic::catch_unwind(|| check(added, latest, &[], 0, acknowledged)).is_err()
    };
    assert!(!found(&[(1, ROWS), (3, ROWS)], &[(2, ROWS)], 3));
    assert!(!found(&[(1, ROWS), (3, ROWS)], &[(2, ROWS)], 2));
    assert!(found(&[(1, ROWS)], &[(2, ROWS)], 3));
    assert!(found(&[(1, ROWS), (3, ROWS - 1)], &[(2, ROWS)], 2));
    assert!(found(&[(1, ROWS), (3, ROWS)], &[(2, 3), (4, 4)], 3));
    assert!(found(&[(3, ROWS)], &[(2, ROWS)], 0));
}
