//! Scans, inserts and sessions over a real engine in memory.

mod alter;
mod edits;
mod export;
mod filter_places;
mod functions;
mod identity;
mod indexes;
mod introspection;
mod masks;
mod panics;
mod plans;
mod scans;
mod schemas;
mod statements;
mod transactions;
mod views;

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use object_store::memory::InMemory;

use super::Session;
use crate::options::Options;
use crate::storage::database::Database;
use crate::storage::store::Store;

async fn database() -> Database {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let options = Options { row_group_rows: 4_096, ..Options::default() };
    options.open_store(store).await.unwrap()
}

/// The rows of one statement.
async fn run(session: &Session, sql: &str) -> Vec<RecordBatch> {
    let frame = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// The error of one statement, as the engine's.
async fn fails(session: &Session, sql: &str) -> crate::Error {
    let outcome = match session.sql(sql).await {
        Ok(frame) => frame.collect().await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(rows) => panic!("{sql} gave {rows:?}"),
        Err(error) => error.into(),
    }
}

/// The rows as lines of comma-separated values.
async fn lines(session: &Session, sql: &str) -> Vec<String> {
    let text = text(&run(session, sql).await);
    text.lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(","))
        .collect()
}

fn text(rows: &[RecordBatch]) -> String {
    pretty_format_batches(rows).unwrap().to_string()
}

/// The one integer that a statement gives.
async fn number(session: &Session, sql: &str) -> i64 {
    let rows = run(session, sql).await;
    let column = arrow::compute::cast(rows[0].column(0), &arrow::datatypes::DataType::Int64);
    column.unwrap().as_primitive::<Int64Type>().value(0)
}

/// The physical plan that EXPLAIN shows.
async fn plan(session: &Session, sql: &str) -> String {
    text(&run(session, &format!("EXPLAIN {sql}")).await)
}
