//! What the tests share: the media that a database can lie on, and rows in and out.

pub mod failing_store;
pub mod log_kinds;
pub mod media;
pub mod rows;
pub mod watched;

use std::future::Future;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use omen_provider::Database;

/// Runs a test to its end on two threads, as an application would.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime").block_on(work)
}

/// Runs a test to its end on one thread, so that it repeats: what works in the background does so
/// when the test lets it.
pub fn block_on_one_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// Runs a test to its end without a runtime: nothing works in the background.
pub fn block_on_without_background<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(work)
}

/// Lets the background do what it can.
pub async fn let_it_work() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// The answer to a query.
pub async fn query(database: &Database, sql: &str) -> Vec<RecordBatch> {
    let frame = database.session().sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// The answer to a query, drawn as a table.
pub async fn drawn(database: &Database, sql: &str) -> String {
    pretty_format_batches(&query(database, sql).await).unwrap().to_string()
}

/// Checks every byte of a database.
pub async fn assert_sound(database: &Database) {
    let report = database.verify().await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

/// Runs a statement for its effect.
pub async fn run(database: &Database, sql: &str) {
    query(database, sql).await;
}
