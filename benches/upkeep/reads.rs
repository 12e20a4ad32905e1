//! Reads of a table that was loaded in no order: as it came to rest, while it is compacted, and
//! afterwards. And commits beside a compaction: how long the longest takes.
//!
//! Every answer is checked: that the row is there, and its value. Lookups and ranges go by the key
//! lane, pages are in the cache; the sum goes by SQL.

use std::ops::Range;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use futures::TryStreamExt;
use omen_benches::figure::{Table, at_most, measured, median};
use omen_benches::{Random, reading_value, readings};
use omen_provider::Options;

use super::workload::Workload;
use super::{Counted, Result};

/// What the table is loaded with.
const WORKLOAD: Workload = Workload::Random;
/// Rows of a range.
const RANGE_ROWS: u64 = 100;
/// Lookups for each range.
const LOOKUPS_PER_RANGE: usize = 10;
/// How often the sum is asked for.
const SUMS: usize = 7;
/// Reads after a compaction take at most so many times as long as before: the same, but for what
/// two runs of one program differ by.
const NEVER_SLOWER: f64 = 1.1;
/// A lookup beside a compaction takes at most this, in 99 of 100 cases: it shares the processors
/// with it, and waits for nothing.
const BESIDE_P99_US: f64 = 1_000.0;
/// No commit beside a compaction takes longer.
const STALL_MS: f64 = 250.0;

/// How long reads take.
struct Times {
    get_us: f64,
    range_us: f64,
    sum_ms: f64,
}

/// Measures a table of `rows` rows and prints figures.
pub async fn measure(rows: u64, lookups: usize, options: &Options) -> Result<()> {
    eprintln!("reads: {rows} rows");
    let counted = loaded(rows, options).await?;
    let segments = counted.segments().await;
    let before = read(&counted, rows, lookups).await?;
    let beside = lookups_beside(&counted, rows).await?;
    let after = read(&counted, rows, lookups).await?;
    counted.db.close().await?;
    let title =
        format!("{rows} rows that came in no order, at rest in {segments} segments, and compacted");
    let columns = ["get p50 us", "range p50 us", "sum ms"].map(String::from).to_vec();
    let mut table = Table::new(title, columns, 2);
    table.row("at rest", vec![before.get_us, before.range_us, before.sum_ms]);
    table.row("compacted", vec![after.get_us, after.range_us, after.sum_ms]);
    table.print();
    report(&before, &after);
    let [p50, p99, longest] = micros(beside);
    measured("get_beside_compaction_p50_us", p50);
    at_most("get_beside_compaction_p99_us", p99, BESIDE_P99_US);
    measured("get_beside_compaction_longest_us", longest);
    commits(rows, options).await
}

fn report(before: &Times, after: &Times) {
    measured("get_us_at_rest", before.get_us);
    measured("get_us_compacted", after.get_us);
    at_most("get_compacted_to_at_rest", after.get_us / before.get_us, NEVER_SLOWER);
    at_most("range_compacted_to_at_rest", after.range_us / before.range_us, NEVER_SLOWER);
    at_most("sum_compacted_to_at_rest", after.sum_ms / before.sum_ms, NEVER_SLOWER);
}

async fn loaded(rows: u64, options: &Options) -> Result<Counted> {
    let counted = Counted::create(options.clone()).await?;
    WORKLOAD.load(&counted.table, rows).await?;
    counted.settle(WORKLOAD, rows).await?;
    Ok(counted)
}

async fn read(counted: &Counted, rows: u64, lookups: usize) -> Result<Times> {
    let mut random = Random::new(11);
    // The first turn brings the pages into the cache.
    let (mut gets, mut ranges) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        (gets, ranges) = (Vec::with_capacity(lookups), Vec::new());
        for _ in 0..lookups {
            gets.push(get(counted, WORKLOAD.key(random.below(rows))).await?);
        }
        for _ in 0..lookups / LOOKUPS_PER_RANGE {
            let first = random.below(rows.saturating_sub(RANGE_ROWS).max(1));
            ranges.push(range(counted, first..rows.min(first + RANGE_ROWS)).await?);
        }
    }
    let mut sums = Vec::new();
    for _ in 0..SUMS {
        sums.push(sum(counted, rows).await?.as_secs_f64() * 1e3);
    }
    Ok(Times { get_us: micros(gets)[0], range_us: micros(ranges)[0], sum_ms: median(&sums) })
}

async fn get(counted: &Counted, id: i64) -> Result<Duration> {
    let started = Instant::now();
    let row = counted.table.get(id).await?;
    let time = started.elapsed();
    let row = row.ok_or_else(|| format!("no row {id}"))?;
    let value = row.column(3).as_primitive::<Float64Type>().value(0);
    match value == reading_value(id) {
        true => Ok(time),
        false => Err(format!("row {id} has {value}").into()),
    }
}

async fn range(counted: &Counted, places: Range<u64>) -> Result<Duration> {
    let (first, end) = (WORKLOAD.key(places.start), WORKLOAD.key(places.end));
    let started = Instant::now();
    let batches: Vec<_> = counted.table.range(first..end).try_collect().await?;
    let time = started.elapsed();
    let found = batches.iter().flat_map(|batch| {
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        let values = batch.column(3).as_primitive::<Float64Type>().values();
        ids.iter().copied().zip(values.iter().copied())
    });
    let ids = places.map(|place| WORKLOAD.key(place));
    match found.eq(ids.map(|id| (id, reading_value(id)))) {
        true => Ok(time),
        false => Err(format!("wrong rows in the range from {first}").into()),
    }
}

async fn sum(counted: &Counted, rows: u64) -> Result<Duration> {
    let session = counted.db.session();
    let started = Instant::now();
    let batches = session.sql("SELECT sum(value) FROM readings").await?.collect().await?;
    let time = started.elapsed();
    let found = batches[0].column(0).as_primitive::<Float64Type>().value(0);
    let expected: f64 = (0..rows).map(|place| reading_value(WORKLOAD.key(place))).sum();
    match ((found - expected) / expected).abs() < 1e-9 {
        true => Ok(time),
        false => Err(format!("the sum is {found}, not {expected}").into()),
    }
}

/// Times of lookups as long as the table is being compacted.
async fn lookups_beside(counted: &Counted, rows: u64) -> Result<Vec<Duration>> {
    let db = counted.db.clone();
    let compaction = tokio::spawn(async move { db.compact().await });
    let (mut random, mut times) = (Random::new(13), Vec::new());
    while !compaction.is_finished() {
        times.push(get(counted, WORKLOAD.key(random.below(rows))).await?);
        tokio::task::consume_budget().await;
    }
    compaction.await??;
    Ok(times)
}

/// Commits of one row, at the end of the table and in its midst in turn: alone, and beside a
/// compaction.
async fn commits(rows: u64, options: &Options) -> Result<()> {
    let counted = loaded(rows, options).await?;
    let first = WORKLOAD.key(rows) + 1;
    let mut next = first;
    let alone = Instant::now();
    let mut times = [Vec::new(), Vec::new()];
    while alone.elapsed() < Duration::from_secs(1) {
        times[0].push(commit(&counted, &mut next).await?);
    }
    let written_alone = next;
    let db = counted.db.clone();
    let started = Instant::now();
    let compaction = tokio::spawn(async move { db.compact().await });
    while !compaction.is_finished() {
        times[1].push(commit(&counted, &mut next).await?);
    }
    compaction.await??;
    let seconds = started.elapsed().as_secs_f64();
    for id in first..next {
        get(&counted, id).await?;
    }
    counted.db.close().await?;
    let columns = ["commits/s", "p50 us", "p99 us", "longest us"].map(String::from).to_vec();
    let mut table = Table::new("commits of one row, by one writer".into(), columns, 0);
    let [alone, beside] = times;
    let longest = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
    let stall = longest(&beside).as_secs_f64() * 1e3;
    let row = |rate: f64, times: Vec<Duration>| {
        let [p50, p99, longest] = micros(times);
        vec![rate, p50, p99, longest]
    };
    table.row("alone", row((written_alone - first) as f64, alone));
    table.row("beside", row((next - written_alone) as f64 / seconds, beside));
    table.print();
    at_most("longest_commit_beside_compaction_ms", stall, STALL_MS);
    Ok(())
}

async fn commit(counted: &Counted, next: &mut i64) -> Result<Duration> {
    let batch = readings([*next]);
    *next += 1;
    let started = Instant::now();
    counted.table.insert(batch).await?;
    Ok(started.elapsed())
}

/// Microseconds: median, 99 of 100 below, longest.
fn micros(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last());
    [0.5, 0.99, 1.0].map(|share| at(share).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6))
}
