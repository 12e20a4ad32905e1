//! UPDATE and DELETE beside other statements, and in a context of the application's own.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use futures::future::try_join_all;

use super::{database, fails, lines, number, run};
use crate::{Database, Error};

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

/// Statements that a plain context has optimised before the rules see them.
#[tokio::test]
async fn what_a_plain_context_prepares_takes_no_row_too_many() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    run(&session, "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)").await;
    run(&session, "CREATE TABLE h (a INT, b INT)").await;
    run(&session, "INSERT INTO h VALUES (1, 10), (2, 20), (3, 30)").await;
    for (sql, all) in [
        ("DELETE FROM t WHERE id > 2", ["10,20", "10,20,30"]),
        ("DELETE FROM t WHERE 1 = 0", ["10,20", "10,20"]),
        ("UPDATE t SET v = 1 WHERE 1 = 0", ["10,20", "10,20"]),
        ("UPDATE t SET v = v + 1 WHERE id IN (SELECT 1)", ["11,20", "10,20"]),
        ("DELETE FROM h WHERE a IN (SELECT id FROM t WHERE id = 1)", ["20,30", "10,20,30"]),
    ] {
        let ctx = SessionContext::new();
        db.register(&ctx).unwrap();
        ctx.sql(&format!("PREPARE p AS {sql}")).await.unwrap();
        let done = async { ctx.sql("EXECUTE p").await?.collect().await };
        let done = done.await;
        let table = if sql.contains(" h ") { "h" } else { "t" };
        let column = if table == "h" { "b" } else { "v" };
        let found = lines(&session, &format!("SELECT {column} FROM {table} ORDER BY 1")).await;
        // As it should be, or refused.
        let wanted = if done.is_ok() { all[0] } else { all[1] };
        assert_eq!(found.join(","), wanted, "{sql}: {done:?}");
        if done.is_err() && table == "t" {
            let error = fails(&session, &sql.replace("t ", "nosuch ")).await;
            drop(error);
            run(&session, sql).await;
        }
    }
}

/// A statement that returns rows may be deep, repeated at the same time, and have parameters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_return_rows_are_statements_like_others() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "INSERT INTO t VALUES (1, 0), (2, 0)").await;
    let deep = format!("UPDATE t SET v = v{} WHERE id = 1 RETURNING v", " + 1".repeat(240));
    let other = session.clone();
    let deep = tokio::spawn(async move { number(&other, &deep).await }).await.unwrap();
    assert_eq!(deep, 240);

    let frame = session.sql("UPDATE t SET v = v + 1 WHERE id = 2 RETURNING v").await.unwrap();
    let each = (0..3).map(|_| {
        let frame = frame.clone();
        tokio::spawn(async move {
            let mut returned = Vec::new();
            for _ in 0..10 {
                let rows = frame.clone().collect().await.unwrap();
                returned.push(rows.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>());
            }
            returned
        })
    });
    let each: Vec<_> = each.collect();
    for returned in try_join_all(each).await.unwrap() {
        assert_eq!(returned, [1; 10]);
    }
    assert_eq!(lines(&session, "SELECT v FROM t WHERE id = 2").await, ["30"]);

    for sql in [
        "UPDATE t SET v = $1 WHERE id = 2 RETURNING v",
        "INSERT INTO t VALUES (2, $1) ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING v",
    ] {
        let frame = session.sql(sql).await.unwrap();
        let bound = frame.with_param_values(vec![datafusion::common::ScalarValue::from(7i64)]);
        let rows = bound.unwrap().collect().await.unwrap();
        assert_eq!(rows[0].num_rows(), 1, "{sql}");
    }
}

/// However slow the disk, and however many they are, statements end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_updates_of_one_row_all_succeed() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path()).await.unwrap();
    run(&db.session(), "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&db.session(), "INSERT INTO t VALUES (1, 0)").await;
    let writers = (0..12).map(|_| {
        let session = db.session();
        tokio::spawn(async move {
            for _ in 0..8 {
                run(&session, "UPDATE t SET v = v + 1 WHERE id = 1").await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    try_join_all(writers).await.unwrap();
    assert_eq!(number(&db.session(), "SELECT v FROM t").await, 96);
}

/// Another table that has taken the name is left alone.
#[tokio::test]
async fn a_plan_does_not_empty_another_table() {
    let session = database().await.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
    let frame = session.sql("DELETE FROM t").await.unwrap();
    let planned = frame.create_physical_plan().await.unwrap();
    run(&session, "DROP TABLE t").await;
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
    run(&session, "INSERT INTO t VALUES (1)").await;
    let context = session.context().task_ctx();
    assert!(datafusion::physical_plan::collect(planned, context).await.is_err());
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 1);
}
