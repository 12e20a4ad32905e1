//! EXPORT and IMPORT DATABASE beside other sessions, and of more than may be held in memory.

use object_store::memory::InMemory;
use std::sync::Arc;

use super::{database, fails, number, run};
use crate::options::Options;
use crate::storage::store::Store;

#[tokio::test]
async fn an_export_is_of_one_moment() {
    let db = database().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all").display().to_string();
    let (one, other) = (db.session(), db.session());
    for name in ["a", "b"] {
        run(&one, &format!("CREATE TABLE {name} (id BIGINT PRIMARY KEY)")).await;
        run(&one, &format!("INSERT INTO {name} VALUES (1)")).await;
    }
    // In a transaction: what that sees, with what it wrote itself.
    run(&one, "BEGIN").await;
    run(&one, "INSERT INTO a VALUES (2)").await;
    run(&other, "INSERT INTO b VALUES (2), (3)").await;
    run(&one, &format!("EXPORT DATABASE '{path}'")).await;
    run(&one, "ROLLBACK").await;
    let fresh = database().await.session();
    run(&fresh, &format!("IMPORT DATABASE '{path}'")).await;
    assert_eq!(number(&fresh, "SELECT count(*) FROM a").await, 2);
    assert_eq!(number(&fresh, "SELECT count(*) FROM b").await, 1);
    // The rows of the export's own moment are the transaction's no more.
    assert_eq!(number(&one, "SELECT count(*) FROM a").await, 1);
    assert!(!one.in_transaction() && !fresh.in_transaction());
}

/// All tables together exceed what transactions may hold; each alone does not.
#[tokio::test]
async fn an_import_takes_little_memory() {
    let db = database().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all").display().to_string();
    let session = db.session();
    for number in 0..8 {
        let table = format!("CREATE TABLE t{number} (id BIGINT PRIMARY KEY, v BIGINT)");
        run(&session, &table).await;
        let rows = "SELECT value, value FROM generate_series(1, 20000) AS g(value)";
        run(&session, &format!("INSERT INTO t{number} {rows}")).await;
    }
    run(&session, &format!("EXPORT DATABASE '{path}'")).await;
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let options =
        Options { memtable_bytes_max: 1 << 20, load_bytes_max: 2 << 20, ..Options::default() };
    let small = options.open_store(store).await.unwrap();
    let session = small.session();
    run(&session, &format!("IMPORT DATABASE '{path}'")).await;
    assert_eq!(number(&session, "SELECT count(*) FROM t7").await, 20_000);
    let again = fails(&session, &format!("IMPORT DATABASE '{path}'")).await;
    assert!(matches!(again, crate::Error::AlreadyExists(_)), "{again}");
}

/// Bytes that were never written whole leave nothing beside the file.
#[tokio::test]
async fn a_copy_that_is_given_up_leaves_nothing() {
    let db = database().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv").display().to_string();
    let session = db.session();
    let rows = "SELECT CAST(CASE WHEN value < 50000 THEN '1' ELSE 'x' END AS BIGINT) AS v \
                FROM generate_series(1, 60000) AS g(value)";
    fails(&session, &format!("COPY ({rows}) TO '{path}'")).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
