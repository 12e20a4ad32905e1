//! What does durability cost? Commits that are on the disk before they return, by 1 to 64 writers
//! and in statements of 1,000 rows, beside SQLite, redb and fjall; then how fast the log is read
//! back, and how soon a database that was closed is open.
//!
//! `cargo bench -p omen-benches --features stores --bench durability`. `STORES` and `WRITERS`
//! choose contenders and numbers of writers, `ROUNDS` and `MILLIS` how often and how long, `ROWS`
//! the rows of the ingestion, `KEYS` the sizes that are opened, `PARTS` some of
//! `commits,ingest,replay,open`. All stores write to the same disk, under `TMPDIR`, in turn; after
//! each turn the store is opened again and every row compared.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream;
use omen_benches::figure::{Table, at_least, at_most, measured, median};
use omen_benches::settings;
use omen_benches::stores::{CONTENDERS, Contender, Result, check};
use omen_benches::{readings, readings_schema};
use omen_provider::{Database, Options, TableDefinition};
use tokio::runtime::Runtime;

const COMMIT_ROWS: i64 = 1_000;
/// Bytes in memory that no run of this bench reaches: what is replayed is all in the log.
const NEVER_FLUSH: usize = 8 << 30;

fn main() -> Result<()> {
    let names: Vec<&str> = CONTENDERS.iter().map(|contender| contender.name).collect();
    let chosen = settings::chosen("STORES", &names);
    let contenders: Vec<Contender> = CONTENDERS
        .into_iter()
        .filter(|c| chosen.as_ref().is_none_or(|names| names.iter().any(|n| n == c.name)))
        .collect();
    let parts = settings::chosen("PARTS", &["commits", "ingest", "replay", "open"]);
    let wanted = |part: &str| parts.as_ref().is_none_or(|parts| parts.iter().any(|p| p == part));
    let rounds = settings::count("ROUNDS", 5);
    if wanted("commits") {
        commits(&contenders, rounds)?;
    }
    if wanted("ingest") {
        ingest(&contenders, rounds.div_ceil(2))?;
    }
    if wanted("replay") {
        replay()?;
    }
    if wanted("open") {
        open()?;
    }
    Ok(())
}

/// Commits of one row in a second, for each number of writers and contender.
fn commits(contenders: &[Contender], rounds: usize) -> Result<()> {
    let writers = settings::sizes("WRITERS", "1,4,16,64");
    let time = Duration::from_millis(settings::count("MILLIS", 1_000) as u64);
    let columns = writers.iter().map(|writers| format!("{writers} writers")).collect();
    let mut table = Table::new("durable commits of one row in a second".into(), columns, 0);
    let mut rates = vec![vec![Vec::new(); writers.len()]; contenders.len()];
    for round in 0..rounds {
        for (place, &count) in writers.iter().enumerate() {
            for turn in 0..contenders.len() {
                let contender = (turn + round) % contenders.len();
                let rate = one_by_one(contenders[contender], count, time)?;
                rates[contender][place].push(rate);
            }
        }
    }
    let rates: Vec<Vec<f64>> =
        rates.iter().map(|places| places.iter().map(|rates| median(rates)).collect()).collect();
    for (contender, rates) in contenders.iter().zip(&rates) {
        table.row(contender.name, rates.clone());
    }
    table.print();
    let best_at = |place: usize| best(contenders, &rates, place);
    let single = writers.iter().position(|&count| count == 1).map(best_at);
    let Some(ours) = contenders.iter().position(|contender| contender.name == "omendb") else {
        return Ok(());
    };
    for (place, &count) in writers.iter().enumerate() {
        let rate = rates[ours][place];
        measured(&format!("commits_per_s_{count}"), rate);
        match (count, single) {
            (1, Some(single)) => at_least("commits_vs_best_1", rate / single, 1.0),
            (16, Some(single)) => at_least("commits_16_vs_best_single", rate / single, 8.0),
            _ => measured(&format!("commits_vs_best_{count}"), rate / best_at(place)),
        }
    }
    Ok(())
}

/// The best of the others.
fn best(contenders: &[Contender], rates: &[Vec<f64>], place: usize) -> f64 {
    let others = contenders.iter().zip(rates).filter(|(c, _)| c.name != "omendb");
    others.map(|(_, rates)| rates[place]).fold(f64::NAN, f64::max)
}

fn one_by_one(contender: Contender, writers: usize, time: Duration) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join(contender.name);
    let written = (contender.open)(&path)?.write_one_by_one(writers, time)?;
    check(contender, &path, written.rows)?;
    Ok(written.rows as f64 / written.time.as_secs_f64())
}

/// Rows in a second, in commits of 1,000 by one writer.
fn ingest(contenders: &[Contender], rounds: usize) -> Result<()> {
    let rows = settings::count("ROWS", 1_000_000) as i64;
    let mut rates = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let contender = (turn + round) % contenders.len();
            rates[contender].push(ingest_into(contenders[contender], rows)?);
        }
    }
    let rates: Vec<Vec<f64>> = rates.iter().map(|rates| vec![median(rates)]).collect();
    let title = format!("{rows} rows in durable commits of {COMMIT_ROWS}, Mrows/s");
    let mut table = Table::new(title, vec!["Mrows/s".into()], 3);
    for (contender, rates) in contenders.iter().zip(&rates) {
        table.row(contender.name, rates.clone());
    }
    table.print();
    if let Some(ours) = contenders.iter().position(|contender| contender.name == "omendb") {
        measured("ingest_mrows_per_s", rates[ours][0]);
        at_least("ingest_vs_best", rates[ours][0] / best(contenders, &rates, 0), 2.5);
    }
    Ok(())
}

fn ingest_into(contender: Contender, rows: i64) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join(contender.name);
    let store = (contender.open)(&path)?;
    // The rows are there, in the form that each store takes, before the time begins.
    let firsts = (0..rows).step_by(COMMIT_ROWS as usize);
    let statement = |first: i64| store.statement(first..rows.min(first + COMMIT_ROWS));
    let statements: Vec<_> = firsts.map(statement).collect();
    let started = Instant::now();
    for commit in statements {
        commit()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(store);
    check(contender, &path, rows)?;
    Ok(rows as f64 / seconds / 1e6)
}

/// Rows in a second that come back from the log at opening, written in large and small statements.
fn replay() -> Result<()> {
    let rows = settings::count("ROWS", 1_000_000) as i64;
    let large = replay_of(rows, COMMIT_ROWS)?;
    at_least("replay_mrows_per_s", large, 2.0);
    measured("replay_single_row_statements_mrows_per_s", replay_of(rows / 10, 1)?);
    Ok(())
}

fn replay_of(rows: i64, statement_rows: i64) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("replay");
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let options = Options { memtable_bytes_max: NEVER_FLUSH, ..Options::default() };
        let db = options.clone().open(&path).await?;
        let definition = TableDefinition::new("readings", &readings_schema()).primary_key(["id"]);
        db.create_table(definition, false).await?;
        let table = db.table("readings")?;
        for first in (0..rows).step_by(statement_rows as usize) {
            table.insert(readings(first..rows.min(first + statement_rows))).await?;
        }
        drop((table, db));
        let started = Instant::now();
        let db = options.open(&path).await?;
        let seconds = started.elapsed().as_secs_f64();
        let found = db.table("readings")?.row_count()?;
        if found != rows as u64 {
            return Err(format!("{found} rows of {rows} came back").into());
        }
        Ok(rows as f64 / seconds / 1e6)
    })
}

/// Milliseconds until a database that was closed is open, for each size.
fn open() -> Result<()> {
    for rows in settings::sizes("KEYS", "1M,10M") {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("open");
        let runtime = Runtime::new()?;
        let name = format!("open_ms_{}", settings::size_name(rows));
        at_most(&name, runtime.block_on(opening(&path, rows as i64))?, 50.0);
    }
    Ok(())
}

async fn opening(path: &Path, rows: i64) -> Result<f64> {
    let db = Database::open(path).await?;
    let definition = TableDefinition::new("readings", &readings_schema()).primary_key(["id"]);
    db.create_table(definition, false).await?;
    let batches =
        (0..rows).step_by(8_192).map(move |first| Ok(readings(first..rows.min(first + 8_192))));
    db.table("readings")?.insert_stream(stream::iter(batches)).await?;
    db.close().await?;
    let mut times = Vec::new();
    for _ in 0..7 {
        let started = Instant::now();
        let db = Database::open(path).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        let found = db.table("readings")?.row_count()?;
        if found != rows as u64 {
            return Err(format!("{found} rows of {rows} were there").into());
        }
        db.close().await?;
    }
    Ok(median(&times))
}
