//! UPDATE and DELETE beside other statements, and in a context of the application's own.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use futures::future::try_join_all;

use super::{database, fails, lines, number, run};
use crate::Error;

/// Of what it is given in a plain context, a statement takes no row too many.
#[tokio::test]
async fn a_plain_context_edits_as_a_session_does() {
    let db = database().await;
    let ctx = SessionContext::new();
    db.register(&ctx).unwrap();
    let session = db.session();
    run(&session, "CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    run(&session, "INSERT INTO t SELECT value, value AS v FROM generate_series(1, 10) AS g(value)")
        .await;
    for (sql, count, left) in [
        ("DELETE FROM t WHERE 1 = 0", 0, "10,55"),
        ("DELETE FROM t WHERE id = 1 AND id = 2", 0, "10,55"),
        ("DELETE FROM t WHERE id IN (SELECT 77)", 0, "10,55"),
        ("DELETE FROM t WHERE id IN (SELECT 10)", 1, "9,45"),
        ("UPDATE t SET v = 0 WHERE id = 1 AND id = 2", 0, "9,45"),
        ("UPDATE t SET v = v + 100 WHERE id = 1", 1, "9,145"),
        ("UPDATE t SET id = id + 100", 9, "9,145"),
        ("DELETE FROM t WHERE id > 105", 4, "5,115"),
        ("DELETE FROM t WHERE id > 0 LIMIT 2", 2, ""),
        ("DELETE FROM t", 3, "0,"),
    ] {
        let rows = ctx.sql(sql).await.unwrap().collect().await.unwrap();
        let found = arrow::util::display::array_value_to_string(rows[0].column(0), 0).unwrap();
        assert_eq!(found, count.to_string(), "{sql}");
        let now = lines(&session, "SELECT count(*), sum(v) FROM t").await;
        assert!(left.is_empty() || now == [left], "{sql}: {now:?}");
    }
    let refused = ctx.sql("TRUNCATE TABLE t").await.unwrap().collect().await;
    assert!(refused.is_ok(), "{refused:?}");
}

/// No update is lost, though all of them read before they write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_of_one_row_add_up() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "INSERT INTO t VALUES (1, 0), (2, 0)").await;
    let writers = (0..6).map(|writer| {
        let session = db.session();
        tokio::spawn(async move {
            let mut done = 0;
            while done < 25 {
                let sql = format!("UPDATE t SET v = v + 1 WHERE id = {}", 1 + writer % 2);
                match session.sql(&sql).await.unwrap().collect().await.map_err(Error::from) {
                    Ok(_) => done += 1,
                    // It was overtaken too often.
                    Err(Error::SerializationFailure(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..5 {
        db.checkpoint().await.unwrap();
        db.compact().await.unwrap();
    }
    try_join_all(writers).await.unwrap();
    assert_eq!(lines(&session, "SELECT * FROM t ORDER BY id").await, ["1,75", "2,75"]);
}

/// What is deleted beside an update does not come back with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deleted_row_stays_deleted() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    for _ in 0..20 {
        run(&session, "INSERT INTO t SELECT value, 0 FROM generate_series(1, 50) AS g(value)")
            .await;
        let (update, delete) = (db.session(), db.session());
        let update = tokio::spawn(async move { number(&update, "UPDATE t SET v = 1").await });
        let delete =
            tokio::spawn(async move { number(&delete, "DELETE FROM t WHERE id <= 25").await });
        let (updated, deleted) = (update.await.unwrap(), delete.await.unwrap());
        assert_eq!(deleted, 25);
        assert!(updated == 25 || updated == 50, "{updated}");
        assert_eq!(lines(&session, "SELECT count(*), sum(v) FROM t").await, ["25,25"]);
        run(&session, "DELETE FROM t").await;
    }
}

/// A statement that is computed again and again while others come first says so in the end.
#[tokio::test]
async fn what_is_overtaken_is_told_so_by_the_engine() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "INSERT INTO t VALUES (1, 0), (2, 0)").await;
    let frame = session.sql("UPDATE t SET v = v + 1 WHERE id = 1").await.unwrap();
    let planned = frame.create_physical_plan().await.unwrap();
    run(&session, "UPDATE t SET v = 10 WHERE id = 1").await;
    // Planned before, carried out after: computed anew.
    let context = Arc::new(session.context().task_ctx());
    let done = datafusion::physical_plan::collect(planned, Arc::unwrap_or_clone(context)).await;
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(lines(&session, "SELECT * FROM t ORDER BY id").await, ["1,11", "2,0"]);
}

#[tokio::test]
async fn statements_that_are_prepared_edit_what_is_there_when_they_run() {
    let session = database().await.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "INSERT INTO t VALUES (1, 0), (2, 0)").await;
    run(&session, "PREPARE up AS UPDATE t SET v = v + $1 WHERE id = $2").await;
    run(&session, "PREPARE gone AS DELETE FROM t WHERE id = $1").await;
    for _ in 0..3 {
        assert_eq!(number(&session, "EXECUTE up(5, 1)").await, 1);
    }
    assert_eq!(number(&session, "EXECUTE gone(2)").await, 1);
    assert_eq!(number(&session, "EXECUTE gone(2)").await, 0);
    assert_eq!(lines(&session, "SELECT * FROM t").await, ["1,15"]);
}

/// Many rows: the new ones are written as segments, which the statement names.
#[tokio::test]
async fn bulk_updates_are_whole() {
    let store = crate::storage::store::Store::object_store(
        Arc::new(object_store::memory::InMemory::new()),
        "db",
    );
    let options = crate::Options { memtable_bytes_max: 64 << 10, ..crate::Options::default() };
    let db = options.open_store(store).await.unwrap();
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT, note TEXT)").await;
    run(
        &session,
        "INSERT INTO t SELECT value, value AS v, 'note ' || value \
         FROM generate_series(1, 20000) AS g(value)",
    )
    .await;
    assert_eq!(number(&session, "UPDATE t SET v = -v WHERE id % 2 = 0").await, 10_000);
    assert_eq!(
        number(&session, "UPDATE t SET id = id + 20000, v = 0 WHERE id <= 5000").await,
        5_000
    );
    let error = fails(&session, "UPDATE t SET id = 1 + id % 19000").await;
    assert!(matches!(error, Error::DuplicateKey { .. }), "{error}");
    let sum: i64 = (5_001..=20_000).map(|id: i64| if id % 2 == 0 { -id } else { id }).sum();
    let now = lines(&session, "SELECT count(*), sum(v), min(id), max(id) FROM t").await;
    assert_eq!(now, [format!("20000,{sum},5001,25000")]);
    assert_eq!(number(&session, "DELETE FROM t WHERE v = 0").await, 5_000);
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 15_000);
}
