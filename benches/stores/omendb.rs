//! OmenDB itself, in its default mode: a commit returns when its log record is on the disk.
//!
//! Called by [`super::CONTENDERS`]. Writers are tasks of a runtime with as many threads as the
//! machine has cores, as in an application; the others' writers are threads.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use futures::TryStreamExt;
use omen_provider::{Database, Table, TableDefinition};
use tokio::runtime::Runtime;

use super::{Result, Statement, Store, Turn, Written};
use crate::{readings, readings_schema};

struct OmenDb {
    runtime: Runtime,
    db: Database,
    table: Table,
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Store>> {
    let runtime = Runtime::new()?;
    let (db, table) = runtime.block_on(open_table(path))?;
    Ok(Box::new(OmenDb { runtime, db, table }))
}

async fn open_table(path: &Path) -> Result<(Database, Table)> {
    let db = Database::open(path).await?;
    let readings = TableDefinition::new("readings", &readings_schema()).primary_key(["id"]);
    db.create_table(readings, true).await?;
    let table = db.table("readings")?;
    Ok((db, table))
}

async fn write(turn: Arc<Turn>, table: Table, time: Duration) -> Result<()> {
    while let Some(id) = turn.next(time) {
        table.insert(readings([id])).await?;
    }
    Ok(())
}

impl Store for OmenDb {
    fn statement(&self, ids: Range<i64>) -> Statement<'_> {
        let rows = readings(ids);
        Box::new(move || {
            self.runtime.block_on(self.table.insert(rows))?;
            Ok(())
        })
    }

    fn rows(&self) -> Result<Vec<(i64, f64)>> {
        let all = self.table.range(i64::MIN..i64::MAX);
        let batches: Vec<_> = self.runtime.block_on(all.try_collect())?;
        let mut rows = Vec::new();
        for batch in &batches {
            let ids = batch.column(0).as_primitive::<Int64Type>().values();
            let values = batch.column(3).as_primitive::<Float64Type>().values();
            rows.extend(ids.iter().copied().zip(values.iter().copied()));
        }
        Ok(rows)
    }

    fn write_one_by_one(&self, writers: usize, time: Duration) -> Result<Written> {
        let turn = Arc::new(Turn::new());
        let tasks: Vec<_> = (0..writers)
            .map(|_| self.runtime.spawn(write(turn.clone(), self.table.clone(), time)))
            .collect();
        for task in tasks {
            self.runtime.block_on(task)??;
        }
        Ok(turn.written())
    }
}

impl Drop for OmenDb {
    fn drop(&mut self) {
        // What is in the log is durable; closing only moves it into a segment.
        if let Err(error) = self.runtime.block_on(self.db.close()) {
            eprintln!("closing: {error}");
        }
    }
}
