//! How fast is the main job? One million readings: durable ingestion in commits of 1,000 rows, key
//! lookups, key ranges, an aggregate, opening again. Every answer is checked.
//!
//! `cargo bench -p omen-benches --features engine`; `ROWS=100000` in the environment makes it
//! smaller. It prints figures and sets no goals.

use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use futures::TryStreamExt;
use omen_benches::{Random, reading_value, readings, readings_schema};
use omen_provider::{Database, TableDefinition};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const COMMIT_ROWS: i64 = 1000;
const LOOKUPS: u64 = 20_000;
const RANGES: u64 = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    let rows: i64 = std::env::var("ROWS").ok().map_or(Ok(1_000_000), |rows| rows.parse())?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("readings.db");
    let db = Database::open(&path).await?;
    db.create_table(
        TableDefinition::new("readings", &readings_schema()).primary_key(["id"]),
        false,
    )
    .await?;

    let started = Instant::now();
    let table = db.table("readings")?;
    for first in (0..rows).step_by(COMMIT_ROWS as usize) {
        table.insert(readings(first..rows.min(first + COMMIT_ROWS))).await?;
    }
    figure("ingest_mrows_per_s", rows as f64 / started.elapsed().as_secs_f64() / 1e6);
    db.checkpoint().await?;
    db.compact().await?;

    let mut random = Random::new(7);
    let started = Instant::now();
    for _ in 0..LOOKUPS {
        let id = random.below(rows as u64) as i64;
        let row = table.get(id).await?.ok_or(format!("no row {id}"))?;
        check(row.column(3).as_primitive::<Float64Type>().value(0), reading_value(id))?;
    }
    figure("lookup_us", started.elapsed().as_secs_f64() * 1e6 / LOOKUPS as f64);

    let started = Instant::now();
    for _ in 0..RANGES {
        let first = random.below((rows - 100).max(1) as u64) as i64;
        let batches: Vec<_> = table.range(first..first + 100).try_collect().await?;
        let ids = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values());
        if !ids.copied().eq(first..(first + 100).min(rows)) {
            return Err(format!("wrong rows in the range from {first}").into());
        }
    }
    figure("range_100_us", started.elapsed().as_secs_f64() * 1e6 / RANGES as f64);

    let session = db.session();
    let expected: f64 = (0..rows).map(reading_value).sum();
    let started = Instant::now();
    let batches = session.sql("SELECT sum(value) FROM readings").await?.collect().await?;
    figure("sum_ms", started.elapsed().as_secs_f64() * 1e3);
    let sum = batches[0].column(0).as_primitive::<Float64Type>().value(0);
    check((sum - expected).abs() / expected < 1e-9, true)?;

    let parts = &db.inspect().await.tables[0].parts;
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    figure("bytes_per_row", bytes as f64 / rows as f64);
    drop(session);
    db.close().await?;
    let started = Instant::now();
    let db = Database::open(&path).await?;
    figure("open_ms", started.elapsed().as_secs_f64() * 1e3);
    check(db.table("readings")?.row_count()?, rows as u64)
}

fn check<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<()> {
    if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}").into()) }
}

/// One line per figure: name, value, goal, verdict.
fn figure(name: &str, value: f64) {
    println!("FIGURE {name} {value:.3} - measured");
}
