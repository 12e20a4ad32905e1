//! A writer and four readers, each a process of its own: this very program, started again for one
//! of the two tests below that do nothing unless they are told where the database lies.

use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use omen_provider::{Database, Options};

use crate::harness::media::small;
use crate::harness::{block_on, query, run};

const DIRECTORY: &str = "OMEN_READERS_DIRECTORY";
/// Before what the processes say to their parent; the rest is the test program's own talk.
const MARK: &str = "\n=";
/// Statements of the writer.
const STATEMENTS: u64 = 400;
const READERS: usize = 4;

fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

fn say(number: u64) {
    println!("{MARK}{number}");
    stdout().flush().unwrap();
}

/// The numbers that a process says.
fn heard(output: impl std::io::Read) -> impl Iterator<Item = u64> {
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    lines.filter_map(|line| line.strip_prefix('=').and_then(|number| number.parse().ok()))
}

fn start(test: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("readers::processes::{test}");
    command.args([name.as_str(), "--exact", "--nocapture"]).env(DIRECTORY, folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

async fn largest(database: &Database) -> u64 {
    let batches = query(database, "SELECT coalesce(max(number), 0) FROM t").await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0) as u64
}

/// Every number in turn: rows, one statement each; flushed and compacted all the time.
#[test]
fn writer_process() {
    let Some(folder) = directory() else { return };
    block_on(async {
        let database =
            Options { memtable_bytes_max: 8 << 10, ..small() }.open(folder).await.unwrap();
        say(0);
        for number in 1..=STATEMENTS {
            let rows = format!("SELECT {number} * 10 + value, {number} FROM generate_series(1, 9)");
            run(&database, &format!("INSERT INTO t {rows}")).await;
            say(number);
            if number % 50 == 0 {
                database.compact().await.unwrap();
            }
        }
    });
}

/// For every line: the largest number that is visible after a refresh.
#[test]
fn reader_process() {
    let Some(folder) = directory() else { return };
    block_on(async {
        let options = Options { read_only: true, cache_bytes_max: 0, ..small() };
        let database = options.open(folder).await.unwrap();
        for _ in stdin().lines().map_while(Result::ok) {
            database.refresh().await.unwrap();
            say(largest(&database).await);
        }
    });
}

/// Asks a reader until the writer has ended, and once more; returns how often.
fn ask(folder: &Path, acknowledged: &AtomicU64, ended: &AtomicBool) -> usize {
    let mut child = start("reader_process", folder);
    let mut input = child.stdin.take().unwrap();
    let mut answers = heard(child.stdout.take().unwrap());
    let mut asked = 0;
    loop {
        let last = ended.load(SeqCst);
        let before = acknowledged.load(SeqCst);
        writeln!(input, "now").unwrap();
        let seen = answers.next().expect("the reader failed");
        assert!(seen >= before, "{before} was acknowledged, the reader saw {seen}");
        asked += 1;
        if last {
            assert_eq!(seen, STATEMENTS);
            break;
        }
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    asked
}

#[test]
fn readers_in_other_processes_see_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    block_on(async {
        let database = Database::open(&path).await.unwrap();
        run(&database, "CREATE TABLE t (id BIGINT PRIMARY KEY, number BIGINT)").await;
    });
    let acknowledged = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let mut writer = start("writer_process", &path);
    let numbers = heard(writer.stdout.take().unwrap());
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..READERS).map(|_| scope.spawn(|| ask(&path, &acknowledged, &ended))).collect();
        numbers.for_each(|number| acknowledged.store(number, SeqCst));
        let status = writer.wait().unwrap();
        ended.store(true, SeqCst);
        assert!(status.success());
        assert_eq!(acknowledged.load(SeqCst), STATEMENTS);
        for reader in readers {
            let asked = reader.join().unwrap();
            assert!(asked > 5, "asked {asked} times only");
        }
    });
}
