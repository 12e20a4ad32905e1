//! A full disk: the statement that finds no space fails alone, what frees finds some, and when
//! there is space again all goes on, without opening the database again. And what it means when the
//! log itself fails.
//!
//! Under the engine's own code for the local disk lies the faulty file system, which has so many
//! bytes and no more, or fails a chosen write.

mod budget;
mod descriptors;
mod fills;
mod poison;

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use omen_provider::{Clock, Database, Error, Options, Result};

use crate::faulty_disk::files::FaultyFiles;
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};
use crate::harness::{assert_sound, block_on_one_thread as block_on, let_it_work};

type Model = BTreeMap<i64, String>;

/// A database on a disk that may be full, and what is in it.
struct Case {
    disk: FaultyFiles,
    clock: Clock,
    database: Database,
    model: Model,
}

fn options(clock: &Clock) -> Options {
    let options = Options { cache_bytes_max: 0, row_group_rows: 256, ..Options::default() };
    Options { clock: clock.clone(), ..options }
}

async fn open(disk: &FaultyFiles, clock: &Clock) -> Result<Database> {
    options(clock).open_store(disk.store()).await
}

fn text(id: i64, tag: i64, bytes: usize) -> String {
    let start = format!("{tag}-{id}-");
    // Differs from row to row, so that segments are not much shorter than the log.
    let mut number = (id as u64) << 32 | tag as u64;
    let letters = std::iter::repeat_with(|| {
        number = number.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        char::from(b'a' + (number >> 59) as u8 % 26)
    });
    start.chars().chain(letters).take(bytes).collect()
}

async fn contents(database: &Database) -> Model {
    let rows = database.table("t").unwrap().range::<i64>(..);
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
    /// A database with an empty table; what already fails may fail that.
    async fn new(disk: FaultyFiles) -> Result<Self> {
        let clock = Clock::stopped();
        let database = open(&disk, &clock).await?;
        database.create_table(Shape::Int.definition("t"), false).await?;
        Ok(Self { disk, clock, database, model: Model::new() })
    }

    /// Upserts 20 rows of 2,000 bytes.
    async fn upsert(&mut self, number: i64) -> Result<()> {
        self.upsert_rows(number * 20..number * 20 + 20, number, 2000).await
    }

    async fn upsert_rows(
        &mut self,
        keys: std::ops::Range<i64>,
        tag: i64,
        bytes: usize,
    ) -> Result<()> {
        let row = |id: i64| -> (Parts, Values) {
            (vec![Part::Int(id)], (Some(tag), Some(text(id, tag, bytes))))
        };
        let rows = to_batch(Shape::Int, &keys.clone().map(row).collect::<Vec<_>>());
        let outcome = self.database.table("t").unwrap().upsert(rows).await;
        if outcome.is_ok() {
            self.model.extend(keys.map(|id| (id, text(id, tag, bytes))));
        }
        outcome.map(drop)
    }

    async fn delete(&mut self, keys: std::ops::Range<i64>) -> Result<()> {
        self.database.table("t").unwrap().delete(keys.clone()).await?;
        self.model.retain(|id, _| !keys.contains(id));
        Ok(())
    }

    async fn check(&self) {
        assert!(contents(&self.database).await == self.model);
    }

    /// Opens the database again as if its process had been killed.
    async fn reopen(&mut self) -> Result<()> {
        self.database = {
            let opened = open(&self.disk, &self.clock);
            opened.await?
        };
        Ok(())
    }

    /// What is on the medium if the power goes now.
    async fn check_after_power_cut(&self, seeds: std::ops::Range<u64>) {
        for seed in seeds {
            let disk = self.disk.after_power_cut(seed);
            let database = open(&disk, &self.clock).await.unwrap();
            assert!(contents(&database).await == self.model, "seed {seed}");
            assert_sound(&database).await;
        }
    }
}

fn is_exhausted<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::Exhausted { .. }))
}
