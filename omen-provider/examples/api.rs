//! Without SQL: Arrow batches in, single rows and ranges out, by key.
//!
//! `cargo run -p omen-provider --example api`

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use arrow::util::pretty::print_batches;
use futures::TryStreamExt;
use omen_provider::{Database, Error, TableDefinition};

fn batch(ids: Vec<i64>, names: Vec<&str>) -> Result<RecordBatch, arrow::error::ArrowError> {
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
        ("name", Arc::new(StringArray::from(names))),
    ])
}

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let db = Database::open(folder.path().join("people.db")).await?;
    let definition = TableDefinition {
        name: "people".to_string(),
        columns: vec![
            (Field::new("id", DataType::Int64, false), None),
            (Field::new("name", DataType::Utf8, true), None),
        ],
        key: vec!["id".to_string()],
        checks: Vec::new(),
        uniques: Vec::new(),
        identity: None,
    };
    db.create_table(definition, false).await?;
    let people = db.table("people")?;

    people.insert(batch(vec![1, 2, 3, 10], vec!["Ann", "Bob", "Cy", "Di"])?).await?;
    match people.insert(batch(vec![4, 2], vec!["Ed", "Flo"])?).await {
        Err(Error::DuplicateKey { key, .. }) => println!("refused as a whole: {key} is there"),
        other => panic!("{other:?}"),
    }
    people.upsert(batch(vec![2, 4], vec!["Bea", "Ed"])?).await?;
    assert_eq!(people.delete([3, 99]).await?, 1);

    let bea = people.get(2).await?.ok_or("2 is there")?;
    print_batches(&[bea])?;
    let found = people.get_many([1, 3]).await?;
    assert!(found[0].is_some() && found[1].is_none());

    // Half-open, in the order of the key, as a stream of batches.
    let rows: Vec<RecordBatch> = people.range(1..10).try_collect().await?;
    print_batches(&rows)?;
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    assert_eq!(people.row_count()?, 4);

    db.checkpoint().await?; // all rows in segments, plain Parquet files
    db.close().await?;
    Ok(())
}
