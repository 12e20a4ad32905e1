//! Publishing a manifest, writing a segment, compacting or removing files fails again and again:
//! nothing grows without bound, everyone is told, and all goes on by itself when the disk does.

mod closing;
mod files;
mod flushes;

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use omen_provider::{Clock, Database, Options, Result};

use crate::harness::failing_store::{Call, Failing};
use crate::harness::media::Medium;
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};
use crate::harness::{assert_sound, block_on_one_thread as block_on, let_it_work};

const LIMIT: u64 = 64 << 10;

type Model = BTreeMap<i64, String>;

/// A database on a store that fails on demand, and a clock that stands still.
struct Case {
    store: Failing,
    clock: Clock,
    database: Database,
    model: Model,
    /// The directory of one on the disk goes away with it.
    _medium: Medium,
}

fn options(clock: &Clock) -> Options {
    Options {
        memtable_bytes_max: LIMIT as usize,
        cache_bytes_max: 0,
        row_group_rows: 256,
        clock: clock.clone(),
        ..Options::default()
    }
}

fn batch(keys: impl IntoIterator<Item = i64>, tag: &str) -> RecordBatch {
    let row =
        |id: i64| -> (Parts, Values) { (vec![Part::Int(id)], (Some(id), Some(text(id, tag)))) };
    to_batch(Shape::Int, &keys.into_iter().map(row).collect::<Vec<_>>())
}

fn text(id: i64, tag: &str) -> String {
    format!("{tag}-{id}")
}

async fn contents(database: &Database, table: &str) -> Model {
    let rows = database.table(table).unwrap().range::<i64>(..);
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let mut found = Model::new();
    for batch in &batches {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let notes = batch.column(2).as_string::<i32>();
        let rows = ids.values().iter().zip(notes).map(|(id, note)| (*id, note.unwrap().into()));
        found.extend(rows);
    }
    found
}

impl Case {
    async fn new() -> Self {
        Self::on(Medium::disk()).await
    }

    async fn on(medium: Medium) -> Self {
        let (store, clock) = (Failing::new(medium.store()), Clock::stopped());
        let database = options(&clock).open_store(store.store()).await.unwrap();
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
        Self { store, clock, database, model: Model::new(), _medium: medium }
    }

    /// Upserts `count` rows, some of which are there.
    async fn upsert(&mut self, number: i64, count: i64) -> Result<()> {
        let keys = (0..count).map(|i| (number * 7 + i * 31) % 5000);
        let tag = number.to_string();
        let table = self.database.table("t").unwrap();
        let outcome = table.upsert(batch(keys.clone(), &tag)).await.map(drop);
        if outcome.is_ok() {
            self.model.extend(keys.map(|id| (id, text(id, &tag))));
        }
        outcome
    }

    async fn delete(&mut self, keys: std::ops::Range<i64>) -> Result<()> {
        self.database.table("t").unwrap().delete(keys.clone()).await?;
        self.model.retain(|id, _| !keys.contains(id));
        Ok(())
    }

    async fn check(&self) {
        assert_eq!(contents(&self.database, "t").await, self.model);
    }

    /// What another process sees, whatever the background does meanwhile.
    async fn check_from_outside(&self) {
        let reader = Options { read_only: true, ..Options::default() };
        let reader = reader.open_store(self.store.store()).await.unwrap();
        assert_eq!(contents(&reader, "t").await, self.model);
    }

    /// Nothing is left but what the database needs: a log, a manifest, segments and their vectors.
    async fn assert_tidy(&self) {
        self.database.compact().await.unwrap();
        let inspection = self.database.inspect().await;
        let parts = inspection.tables.iter().flat_map(|table| &table.parts);
        let mut needed: Vec<String> = parts.map(|part| part.file.clone().unwrap()).collect();
        needed.push(format!("log/{:016x}.log", inspection.log.file));
        needed.push(format!("manifest/{:016x}.manifest", inspection.log.manifest));
        needed.sort();
        let (mut files, _) = self.store.files().await;
        files.sort();
        assert_eq!(files, needed);
        assert!(inspection.troubles.is_empty(), "{:?}", inspection.troubles);
        assert_sound(&self.database).await;
    }
}

fn manifests(call: Call, name: &str) -> bool {
    call == Call::Put && name.starts_with("manifest/")
}

fn segments(call: Call, name: &str) -> bool {
    call == Call::Finish && name.ends_with(".parquet")
}

fn vectors(call: Call, name: &str) -> bool {
    call == Call::Put && name.ends_with(".deletions")
}

fn new_logs(call: Call, _: &str) -> bool {
    call == Call::CreateLog
}

fn deletions(call: Call, _: &str) -> bool {
    call == Call::Delete
}
