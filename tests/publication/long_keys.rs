//! Keys so long that a manifest would have no room for two of each segment: it has the beginning of
//! them, the segments have them whole, and everything is found as if they were short.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use omen_provider::TableDefinition;

use super::*;
use crate::harness::media::Medium;

/// Rows of a segment.
const SEGMENT_ROWS: usize = 64;
const ROWS: i64 = 600;

fn key(lead: &[u8], number: i64) -> Vec<u8> {
    [lead, &number.to_be_bytes()[..]].concat()
}

async fn insert(database: &Database, keys: &[Vec<u8>]) -> Result<u64> {
    let ids = BinaryArray::from_iter_values(keys);
    let numbers = Int64Array::from_iter_values(0..keys.len() as i64);
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(numbers)];
    let batch = RecordBatch::try_new(schema(), columns).unwrap();
    database.table("k").unwrap().insert(batch).await
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Binary, false),
        Field::new("number", DataType::Int64, true),
    ]))
}

async fn files(database: &Database) -> BTreeSet<String> {
    let tables = database.inspect().await.tables;
    tables[0].parts.iter().filter_map(|part| part.file.clone()).collect()
}

/// `lead`: what all keys begin with.
async fn long_keys(lead: Vec<u8>, manifest_bytes_max: u64) {
    let medium = Medium::disk();
    let (segment_rows_max, memtable_bytes_max) = (SEGMENT_ROWS, 8 << 10);
    let small = Options { segment_rows_max, memtable_bytes_max, ..options() };
    let database = medium.open(small.clone()).await.unwrap();
    let columns = schema().fields().iter().map(|field| (field.as_ref().clone(), None)).collect();
    let definition = TableDefinition {
        name: "k".to_string(),
        columns,
        key: vec!["id".to_string()],
        checks: Vec::new(),
        uniques: Vec::new(),
        identity: None,
    };
    database.create_table(definition, false).await.unwrap();
    let keys: Vec<Vec<u8>> = (0..ROWS).map(|number| key(&lead, number * 2)).collect();
    let mut scattered = keys.clone();
    scattered.sort_by_key(|key| key[lead.len() + 7] ^ 0x5a);
    for some in scattered.chunks(50) {
        insert(&database, some).await.unwrap();
    }
    database.compact().await.unwrap();
    let compacted = files(&database).await;
    assert!(compacted.len() > 3, "{compacted:?}");
    database.compact().await.unwrap();
    assert_eq!(files(&database).await, compacted, "disjoint segments are merged again");
    database.close().await.unwrap();

    let manifests = medium.store().blobs.list("manifest").await.unwrap();
    assert!(manifests[0].bytes < manifest_bytes_max, "{manifests:?}");
    let database = medium.open(small).await.unwrap();
    assert_sound(&database).await;
    database.compact().await.unwrap();
    assert_eq!(files(&database).await, compacted, "bounds take the place of keys");
    let table = database.table("k").unwrap();
    for number in 0..ROWS * 2 {
        let found = table.get(key(&lead, number)).await.unwrap();
        assert_eq!(found.is_some(), number % 2 == 0, "{number}");
    }
    let range = key(&lead, 100)..key(&lead, 1000);
    let batches: Vec<RecordBatch> = table.range(range).try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 450);
    assert!(insert(&database, &keys[300..301]).await.is_err(), "a key is there twice");
    insert(&database, &[key(&lead, 601)]).await.unwrap();
}

#[test]
fn long_keys_do_not_fill_the_manifest() {
    let ordinary = vec![b'k'; 3000];
    // Nothing short is above it: it is kept whole.
    let highest = vec![0xFF; 700];
    // Cut in the middle of what may be raised.
    let nearly = [vec![b'k'; 200], vec![0xFF; 400]].concat();
    for (lead, manifest_bytes_max) in [(ordinary, 8_000), (highest, 16_000), (nearly, 8_000)] {
        block_on(long_keys(lead, manifest_bytes_max));
    }
}
