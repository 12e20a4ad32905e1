//! OmenDB through a SQL session, statements as text.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
use futures::{TryStreamExt, stream};
use omen_provider::{Database, Session, TableDefinition};
use tokio::runtime::Runtime;

use super::{Change, Engine, Result, expect_changed, reading};
use crate::{readings, readings_schema};

/// Rows of a batch while the table is filled.
const BATCH_ROWS: i64 = 8_192;

struct OmenDb {
    runtime: Runtime,
    db: Database,
    session: Session,
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Engine>> {
    let runtime = Runtime::new()?;
    let db = runtime.block_on(Database::open(path.join("omendb")))?;
    let session = db.session();
    Ok(Box::new(OmenDb { runtime, db, session }))
}

impl OmenDb {
    /// Runs a statement; the rows that it changed.
    fn run(&self, sql: &str) -> Result<u64> {
        let rows = self.runtime.block_on(async { self.session.sql(sql).await?.collect().await })?;
        let count = rows.first().filter(|batch| batch.num_rows() == 1);
        let count = count.and_then(|batch| batch.column(0).as_primitive_opt::<UInt64Type>());
        Ok(count.map_or(0, |count| count.value(0)))
    }

    /// Makes a table of whole readings.
    fn fill(&self, table: &str, batches: Vec<RecordBatch>, key: &[&str]) -> Result<()> {
        let definition =
            TableDefinition::new(table, &readings_schema()).primary_key(key.iter().copied());
        self.runtime.block_on(async {
            self.db.create_table(definition, false).await?;
            let rows = stream::iter(batches.into_iter().map(Ok));
            self.db.table(table)?.insert_stream(rows).await?;
            Ok(())
        })
    }
}

/// Readings with values of their own.
fn valued(rows: &[(i64, f64)]) -> Result<RecordBatch> {
    let batch = readings(rows.iter().map(|(id, _)| *id));
    let mut columns = batch.columns().to_vec();
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1)));
    columns[3] = values;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

impl Engine for OmenDb {
    fn load(&mut self, rows: i64) -> Result<()> {
        let firsts = (0..rows).step_by(BATCH_ROWS as usize);
        let batches = firsts.map(|first| readings(first..rows.min(first + BATCH_ROWS)));
        self.fill("readings", batches.collect(), &["id"])
    }

    fn one_by_one(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration> {
        let started = Instant::now();
        for &(id, value) in rows {
            let sql = match change {
                Change::Update => format!("UPDATE readings SET value = {value} WHERE id = {id}"),
                Change::Delete => format!("DELETE FROM readings WHERE id = {id}"),
                Change::Upsert => {
                    let (id, ts, device, value, note) = reading(id, value);
                    format!(
                        "INSERT INTO readings VALUES \
                         ({id}, to_timestamp_millis({ts}), {device}, {value}, '{note}') \
                         ON CONFLICT (id) DO UPDATE SET value = excluded.value"
                    )
                }
            };
            expect_changed(self.run(&sql)?, 1)?;
        }
        Ok(started.elapsed())
    }

    fn at_once(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration> {
        self.fill("chosen", vec![valued(rows)?], &[])?;
        let started = Instant::now();
        let changed = self.run(change.bulk_sql())?;
        let elapsed = started.elapsed();
        expect_changed(changed, rows.len())?;
        self.run("DROP TABLE chosen")?;
        Ok(elapsed)
    }

    fn rows(&mut self) -> Result<Vec<(i64, f64)>> {
        let all = self.db.table("readings")?.range(i64::MIN..i64::MAX);
        let batches: Vec<RecordBatch> = self.runtime.block_on(all.try_collect())?;
        let mut rows = Vec::new();
        for batch in &batches {
            let ids = batch.column(0).as_primitive::<Int64Type>().values();
            let values = batch.column(3).as_primitive::<Float64Type>().values();
            rows.extend(ids.iter().copied().zip(values.iter().copied()));
        }
        Ok(rows)
    }
}

impl Drop for OmenDb {
    fn drop(&mut self) {
        if let Err(error) = self.runtime.block_on(self.db.close()) {
            eprintln!("closing: {error}");
        }
    }
}
