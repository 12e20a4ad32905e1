//! Statements longer than memory holds are refused as a whole too, and leave no file behind.

use arrow::array::RecordBatch;
use futures::stream;
use omen_provider::{Database, Error, Result};

use super::{assert_untouched, rows, with_three_rows};
use crate::harness::block_on;
use crate::harness::media::{Medium, small};

/// Rows of a batch; 40 of them exceed what the options let a statement hold in memory.
const BATCH: i64 = 100;

/// Batches of keys from 1,000 on, and one more row behind them.
fn batches(last: Result<RecordBatch>) -> Vec<Result<RecordBatch>> {
    let batch = |i: i64| Ok(rows((1000 + i * BATCH..1000 + (i + 1) * BATCH).collect()));
    (0..40).map(batch).chain([last]).collect()
}

async fn segment_files(medium: &Medium) -> Vec<String> {
    let files = medium.store().blobs.list("segments").await.unwrap();
    files.into_iter().map(|file| file.name).collect()
}

async fn small_with_three_rows(medium: &Medium) -> Database {
    drop(with_three_rows(medium).await);
    medium.open(small()).await.unwrap()
}

#[test]
fn a_duplicate_key_refuses_a_long_statement() {
    for medium in Medium::all() {
        block_on(async {
            let database = small_with_three_rows(&medium).await;
            let t = database.table("t").unwrap();
            let before = segment_files(&medium).await;
            // In a segment, in memory, and in an earlier part of the statement itself.
            for key in [1, 3, 1000] {
                let given = batches(Ok(rows(vec![key])));
                match t.insert_stream(stream::iter(given)).await {
                    Err(Error::DuplicateKey { key: found, .. }) => {
                        assert!(found.contains(&format!("({key})")), "{key}: {found}");
                    }
                    other => panic!("{key}: {other:?}"),
                }
                assert_untouched(&database).await;
                assert_eq!(segment_files(&medium).await, before, "files are left");
            }
            // The last one wins where rows are written over.
            let given = batches(Ok(rows(vec![1000])));
            assert_eq!(t.upsert_stream(stream::iter(given)).await.unwrap(), 4001);
            assert_eq!(t.row_count().unwrap(), 4003);
            assert!(segment_files(&medium).await.len() > before.len(), "not a long statement");
        });
    }
}

#[test]
fn a_long_stream_that_fails_leaves_nothing() {
    for medium in Medium::all() {
        block_on(async {
            let database = small_with_three_rows(&medium).await;
            let before = segment_files(&medium).await;
            let given = batches(Err(Error::InvalidInput("line 4001 is bad".to_string())));
            let t = database.table("t").unwrap();
            let refused = t.insert_stream(stream::iter(given)).await.unwrap_err();
            assert!(refused.to_string().contains("line 4001 is bad"), "{refused}");
            assert_untouched(&database).await;
            assert_eq!(segment_files(&medium).await, before, "files are left");
        });
    }
}
