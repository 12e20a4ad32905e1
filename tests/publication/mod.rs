//! What the newest manifest names is there, whoever publishes what at the same time, whatever
//! becomes of the answers; and it is the truth, or the database does not open.
//!
//! Two or three writers on one object store whose requests get lost or come late (`committers`),
//! chosen moments of them (`takeover`), files whose bytes are not what they were (`lost`), and keys
//! too long to stand in a manifest (`long_keys`).

mod committers;
mod long_keys;
mod lost;
mod objects;
mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use omen_provider::store::Store;
use omen_provider::{Database, Options, Result};

use crate::harness::assert_sound;
use crate::harness::block_on_one_thread as block_on;
use crate::harness::media::small;
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};

/// Rows by key.
type Rows = BTreeMap<i64, i64>;

/// With room for all rows of a test: what is flushed, it says.
fn options() -> Options {
    Options { memtable_bytes_max: 1 << 20, cache_bytes_max: 0, ..small() }
}

fn batch(keys: impl IntoIterator<Item = i64>, number: i64) -> RecordBatch {
    let row = |id: i64| -> (Parts, Values) { (vec![Part::Int(id)], (Some(number), None)) };
    to_batch(Shape::Int, &keys.into_iter().map(row).collect::<Vec<_>>())
}

/// Makes a database with an empty table `t`.
async fn made(store: Store) -> Database {
    let database = options().open_store(store).await.unwrap();
    database.create_table(Shape::Int.definition("t"), false).await.unwrap();
    database
}

async fn upsert(database: &Database, keys: std::ops::Range<i64>, number: i64) -> Result<u64> {
    database.table("t")?.upsert(batch(keys, number)).await
}

async fn rows_of(database: &Database) -> Rows {
    let batches: Vec<RecordBatch> =
        database.table("t").unwrap().range::<i64>(..).try_collect().await.unwrap();
    let mut found = Rows::new();
    for batch in &batches {
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        let numbers = batch.column(1).as_primitive::<Int64Type>().values();
        found.extend(ids.iter().copied().zip(numbers.iter().copied()));
    }
    found
}

/// What somebody reads who comes now, after everything was checked.
async fn seen(objects: &Arc<InMemory>) -> Rows {
    let store = Store::object_store(Arc::clone(objects) as _, "db");
    let reader = Options { read_only: true, ..options() }.open_store(store).await.unwrap();
    assert_sound(&reader).await;
    rows_of(&reader).await
}
