//! Every Arrow type that Parquet can hold comes back from a table as it went in: from memory, from
//! a segment, and after reopening.
//!
//! Parquet itself is asked what it can hold: a column that its writer and reader carry through
//! unchanged must be carried by a table; any other must be refused when the table is made.

pub mod columns;
mod files;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use omen_provider::{Database, Error, Options, TableDefinition};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::harness::media::Medium;
use crate::harness::{block_on, query};

/// Types that Parquet is known to hold, at least.
const HELD_MIN: usize = 60;

fn batch(column: &ArrayRef) -> RecordBatch {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("v", column.data_type().clone(), true),
    ];
    let ids = Int64Array::from_iter_values(0..column.len() as i64);
    let columns = vec![Arc::new(ids) as ArrayRef, Arc::clone(column)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Whether Parquet gives the column back unchanged.
pub fn parquet_holds(column: &ArrayRef) -> bool {
    let batch = batch(column);
    let through = || {
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None)?;
        writer.write(&batch)?;
        writer.close()?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file))?;
        let mut reader = builder.build()?;
        Ok::<_, parquet::errors::ParquetError>(reader.next())
    };
    let outcome = catch_unwind(AssertUnwindSafe(through));
    matches!(outcome, Ok(Ok(Some(Ok(read)))) if read.column(1) == batch.column(1))
}

fn definition(name: &str, column: &ArrayRef) -> TableDefinition {
    let columns =
        batch(column).schema().fields().iter().map(|f| (f.as_ref().clone(), None)).collect();
    TableDefinition {
        name: name.to_string(),
        columns,
        key: vec!["id".to_string()],
        checks: Vec::new(),
        uniques: Vec::new(),
        identity: None,
    }
}

/// Compares the table with what was put in: key by key, as a range, and by a query.
async fn check(database: &Database, table: &str, column: &ArrayRef, when: &str) {
    let handle = database.table(table).unwrap();
    for row in 0..column.len() {
        let found = handle.get(row as i64).await.unwrap().expect("a row");
        assert_eq!(found.column(1), &column.slice(row, 1), "{} {when}", column.data_type());
    }
    let sql = format!("SELECT v FROM {table} ORDER BY id");
    let batches = query(database, &sql).await;
    let found = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(found.column(0), column, "{} by query {when}", column.data_type());
}

#[test]
fn every_type_that_parquet_holds_comes_back() {
    block_on(async {
        let medium = Medium::disk();
        let database = medium.open(Options::default()).await.unwrap();
        let (mut held, mut wrong) = (Vec::new(), Vec::new());
        for (number, column) in columns::all().into_iter().enumerate() {
            let name = format!("t{number}");
            let made = database.create_table(definition(&name, &column), false).await;
            let kind = column.data_type();
            if parquet_holds(&column) {
                if let Err(error) = made {
                    wrong.push(format!("{kind}: {error}"));
                    continue;
                }
                let count = database.table(&name).unwrap().insert(batch(&column)).await.unwrap();
                assert_eq!(count, column.len() as u64);
                check(&database, &name, &column, "in memory").await;
                held.push((name, column));
            } else {
                match made {
                    Err(Error::InvalidInput(message)) if message.contains("\"v\"") => {}
                    other => wrong.push(format!("{kind}, not held by Parquet: {other:?}")),
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(held.len() >= HELD_MIN, "only {} types", held.len());

        // Dropped without closing: from the log.
        drop(database);
        let database = medium.open(Options::default()).await.unwrap();
        for (name, column) in &held {
            check(&database, name, column, "from the log").await;
        }
        database.checkpoint().await.unwrap();
        for (name, column) in &held {
            check(&database, name, column, "from a segment").await;
        }
        database.close().await.unwrap();
        let database = medium.open(Options::default()).await.unwrap();
        database.compact().await.unwrap();
        for (name, column) in &held {
            check(&database, name, column, "compacted and reopened").await;
        }
    });
}

#[test]
fn parquet_is_asked_truthfully() {
    let known = columns::all();
    let holds = |wanted: &DataType| {
        known.iter().find(|c| c.data_type() == wanted).is_some_and(parquet_holds)
    };
    assert!(holds(&DataType::Int64) && holds(&DataType::Utf8View));
    assert!(known.iter().any(|c| !parquet_holds(c)), "a union is not held");
}
