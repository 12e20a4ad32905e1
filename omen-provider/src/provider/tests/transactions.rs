//! Transactions: what two of them see of each other, by the names that the literature has for what
//! goes wrong (Adya; Bailis and others; Berenson and others), and what is left of them.

use futures::future::join_all;

use super::{database, fails, lines, number, run};
use crate::{Database, Error, Session};

/// A table of accounts, and two sessions, each with a transaction.
async fn two() -> (Database, Session, Session) {
    let db = database().await;
    let (one, other) = (db.session(), db.session());
    run(&one, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&one, "INSERT INTO t VALUES (1, 10), (2, 20)").await;
    run(&one, "BEGIN").await;
    run(&other, "BEGIN").await;
    (db, one, other)
}

async fn rows(session: &Session) -> Vec<String> {
    lines(session, "SELECT * FROM t ORDER BY id").await
}

async fn is_overtaken(session: &Session, sql: &str) {
    let error = fails(session, sql).await;
    assert!(matches!(error, Error::SerializationFailure(_)), "{error}");
}

/// Writes of two transactions are never mixed.
#[tokio::test]
async fn g0_dirty_write_cannot_happen() {
    let (db, one, other) = two().await;
    run(&one, "UPDATE t SET v = 11 WHERE id = 1").await;
    run(&other, "UPDATE t SET v = 12 WHERE id = 1").await;
    run(&one, "UPDATE t SET v = 21 WHERE id = 2").await;
    run(&one, "COMMIT").await;
    run(&other, "UPDATE t SET v = 22 WHERE id = 2").await;
    is_overtaken(&other, "COMMIT").await;
    assert_eq!(rows(&db.session()).await, ["1,11", "2,21"]);
}

/// What is undone was seen by nobody.
#[tokio::test]
async fn g1a_aborted_read_cannot_happen() {
    let (db, one, other) = two().await;
    run(&one, "UPDATE t SET v = 101 WHERE id = 1").await;
    assert_eq!(rows(&other).await, ["1,10", "2,20"]);
    assert_eq!(rows(&db.session()).await, ["1,10", "2,20"]);
    run(&one, "ROLLBACK").await;
    assert_eq!(rows(&other).await, ["1,10", "2,20"]);
    run(&other, "COMMIT").await;
}

/// What is written over before the commit was seen by nobody.
#[tokio::test]
async fn g1b_intermediate_read_cannot_happen() {
    let (db, one, other) = two().await;
    run(&one, "UPDATE t SET v = 101 WHERE id = 1").await;
    assert_eq!(rows(&other).await, ["1,10", "2,20"]);
    run(&one, "UPDATE t SET v = 11 WHERE id = 1").await;
    run(&one, "COMMIT").await;
    assert_eq!(rows(&other).await, ["1,10", "2,20"]);
    assert_eq!(rows(&db.session()).await, ["1,11", "2,20"]);
}

/// No two transactions see each other's writes.
#[tokio::test]
async fn g1c_circular_information_flow_cannot_happen() {
    let (_db, one, other) = two().await;
    run(&one, "UPDATE t SET v = 11 WHERE id = 1").await;
    run(&other, "UPDATE t SET v = 22 WHERE id = 2").await;
    assert_eq!(number(&one, "SELECT v FROM t WHERE id = 2").await, 20);
    assert_eq!(number(&other, "SELECT v FROM t WHERE id = 1").await, 10);
    run(&one, "COMMIT").await;
    run(&other, "COMMIT").await;
    assert_eq!(rows(&one).await, ["1,11", "2,22"]);
}

/// Of another transaction all is seen, or nothing.
#[tokio::test]
async fn otv_observed_transaction_vanishes_cannot_happen() {
    let (db, one, other) = two().await;
    let reader = db.session();
    run(&one, "UPDATE t SET v = 11 WHERE id = 1").await;
    run(&one, "UPDATE t SET v = 19 WHERE id = 2").await;
    run(&other, "UPDATE t SET v = 12 WHERE id = 1").await;
    run(&one, "COMMIT").await;
    run(&reader, "BEGIN").await;
    assert_eq!(number(&reader, "SELECT v FROM t WHERE id = 1").await, 11);
    run(&other, "UPDATE t SET v = 18 WHERE id = 2").await;
    is_overtaken(&other, "COMMIT").await;
    assert_eq!(rows(&reader).await, ["1,11", "2,19"]);
}

/// A condition meets the same rows throughout.
#[tokio::test]
async fn pmp_predicate_many_preceders_cannot_happen() {
    let (_db, one, other) = two().await;
    assert_eq!(number(&one, "SELECT count(*) FROM t WHERE v = 30").await, 0);
    run(&other, "INSERT INTO t VALUES (3, 30)").await;
    run(&other, "COMMIT").await;
    assert_eq!(number(&one, "SELECT count(*) FROM t WHERE v % 3 = 0").await, 0);
    // The same for one that writes.
    assert_eq!(number(&one, "UPDATE t SET v = v + 1 WHERE v >= 30").await, 0);
    run(&one, "COMMIT").await;
    assert_eq!(rows(&one).await, ["1,10", "2,20", "3,30"]);
}

/// No update is computed from a row that another one has written since.
#[tokio::test]
async fn p4_lost_update_cannot_happen() {
    let (db, one, other) = two().await;
    assert_eq!(number(&one, "SELECT v FROM t WHERE id = 1").await, 10);
    assert_eq!(number(&other, "SELECT v FROM t WHERE id = 1").await, 10);
    run(&one, "UPDATE t SET v = 10 + 1 WHERE id = 1").await;
    run(&other, "UPDATE t SET v = 10 + 5 WHERE id = 1").await;
    run(&one, "COMMIT").await;
    is_overtaken(&other, "COMMIT").await;
    // Nor where the other one is a statement by itself.
    run(&one, "BEGIN").await;
    run(&one, "DELETE FROM t WHERE id = 1").await;
    run(&db.session(), "UPDATE t SET v = v + 1 WHERE id = 1").await;
    is_overtaken(&one, "COMMIT").await;
    assert_eq!(rows(&db.session()).await, ["1,12", "2,20"]);
}

/// Two reads are of one moment.
#[tokio::test]
async fn g_single_read_skew_cannot_happen() {
    let (_db, one, other) = two().await;
    assert_eq!(number(&one, "SELECT v FROM t WHERE id = 1").await, 10);
    run(&other, "UPDATE t SET v = 12 WHERE id = 1").await;
    run(&other, "UPDATE t SET v = 18 WHERE id = 2").await;
    run(&other, "COMMIT").await;
    assert_eq!(number(&one, "SELECT v FROM t WHERE id = 2").await, 20);
    run(&one, "COMMIT").await;
}

/// Two transactions may each write what the other one has read: snapshot isolation allows it.
#[tokio::test]
async fn g2_write_skew_can_happen() {
    let (db, one, other) = two().await;
    assert_eq!(number(&one, "SELECT sum(v) FROM t").await, 30);
    assert_eq!(number(&other, "SELECT sum(v) FROM t").await, 30);
    run(&one, "UPDATE t SET v = -10 WHERE id = 1").await;
    run(&other, "UPDATE t SET v = -20 WHERE id = 2").await;
    run(&one, "COMMIT").await;
    run(&other, "COMMIT").await;
    assert_eq!(rows(&db.session()).await, ["1,-10", "2,-20"]);
    let refused = fails(&one, "BEGIN ISOLATION LEVEL SERIALIZABLE").await.to_string();
    assert!(refused.contains("snapshot isolation"), "{refused}");
}

#[tokio::test]
async fn a_transaction_reads_its_own_writes_of_all_tables() {
    let (db, one, other) = two().await;
    run(&one, "CREATE TABLE u (a TEXT, b BIGINT)").await;
    run(&one, "INSERT INTO u SELECT 'row', v FROM t").await;
    run(&one, "INSERT INTO t SELECT id + 10, v FROM t").await;
    run(&one, "UPDATE u SET b = b + 1 WHERE b = 10").await;
    run(&one, "DELETE FROM t WHERE id = 2").await;
    run(&one, "INSERT INTO t VALUES (2, 2) ON CONFLICT (id) DO UPDATE SET v = 0").await;
    assert_eq!(rows(&one).await, ["1,10", "2,2", "11,10", "12,20"]);
    assert_eq!(lines(&one, "SELECT * FROM u ORDER BY b").await, ["row,11", "row,20"]);
    fails(&other, "SELECT * FROM u").await;
    assert_eq!(rows(&db.session()).await, ["1,10", "2,20"]);
    run(&one, "COMMIT").await;
    assert_eq!(rows(&db.session()).await, ["1,10", "2,2", "11,10", "12,20"]);
    assert_eq!(lines(&db.session(), "SELECT * FROM u ORDER BY b").await, ["row,11", "row,20"]);
    run(&other, "ROLLBACK").await;
}

#[tokio::test]
async fn a_statement_that_fails_leaves_the_transaction_as_it_was() {
    let (db, one, _other) = two().await;
    run(&one, "INSERT INTO t VALUES (3, 30)").await;
    assert!(matches!(
        fails(&one, "INSERT INTO t VALUES (4, 40), (1, 0)").await,
        Error::DuplicateKey { .. }
    ));
    fails(&one, "UPDATE t SET v = 1 / (id - 2)").await;
    fails(&one, "SELEC 1").await;
    assert_eq!(rows(&one).await, ["1,10", "2,20", "3,30"]);
    run(&one, "COMMIT").await;
    assert_eq!(rows(&db.session()).await, ["1,10", "2,20", "3,30"]);
}

#[tokio::test]
async fn savepoints_undo_a_part() {
    let (db, one, _other) = two().await;
    run(&one, "UPDATE t SET v = v + 1").await;
    run(&one, "SAVEPOINT a").await;
    run(&one, "INSERT INTO t VALUES (3, 30)").await;
    run(&one, "SAVEPOINT b").await;
    run(&one, "DELETE FROM t WHERE id < 3").await;
    assert_eq!(rows(&one).await, ["3,30"]);
    run(&one, "ROLLBACK TO SAVEPOINT b").await;
    assert_eq!(rows(&one).await, ["1,11", "2,21", "3,30"]);
    run(&one, "INSERT INTO t VALUES (4, 40)").await;
    run(&one, "ROLLBACK TO a").await;
    assert_eq!(rows(&one).await, ["1,11", "2,21"]);
    let gone = fails(&one, "ROLLBACK TO SAVEPOINT b").await.to_string();
    assert!(gone.contains("savepoints there are: a"), "{gone}");
    run(&one, "INSERT INTO t VALUES (4, 41)").await;
    run(&one, "RELEASE SAVEPOINT a").await;
    fails(&one, "ROLLBACK TO SAVEPOINT a").await;
    run(&one, "COMMIT").await;
    assert_eq!(rows(&db.session()).await, ["1,11", "2,21", "4,41"]);
}

#[tokio::test]
async fn what_has_no_transaction_is_told_so() {
    let session = database().await.session();
    for sql in
        ["COMMIT", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "RELEASE SAVEPOINT a"]
    {
        let error = fails(&session, sql).await.to_string();
        assert!(error.contains("BEGIN"), "{sql}: {error}");
    }
    run(&session, "START TRANSACTION").await;
    let error = fails(&session, "BEGIN").await.to_string();
    assert!(error.contains("SAVEPOINT"), "{error}");
    run(&session, "END").await;
}

/// A statement that was planned within a transaction does not outlive it.
#[tokio::test]
async fn a_plan_ends_with_its_transaction() {
    let (db, one, _other) = two().await;
    let planned = one.sql("INSERT INTO t VALUES (3, 30)").await.unwrap();
    let planned = planned.create_physical_plan().await.unwrap();
    run(&one, "ROLLBACK").await;
    let context = one.context().task_ctx();
    let refused = datafusion::physical_plan::collect(planned, context).await.unwrap_err();
    assert!(refused.to_string().contains("has ended"), "{refused}");
    assert_eq!(rows(&db.session()).await, ["1,10", "2,20"]);
}

/// What is planned anew has the values of its parameters.
#[tokio::test]
async fn a_statement_with_parameters_that_was_overtaken_is_computed_anew() {
    let (db, one, _other) = two().await;
    run(&one, "ROLLBACK").await;
    let planned = one.sql("UPDATE t SET v = v + $1 WHERE id = $2").await.unwrap();
    let values: Vec<datafusion::common::ScalarValue> = vec![5i64.into(), 2i64.into()];
    let planned = planned.with_param_values(values).unwrap();
    let planned = planned.create_physical_plan().await.unwrap();
    run(&db.session(), "UPDATE t SET v = 50 WHERE id = 2").await;
    let context = one.context().task_ctx();
    datafusion::physical_plan::collect(planned, context).await.unwrap();
    assert_eq!(rows(&one).await, ["1,10", "2,55"]);
}

/// A statement that was planned by itself stays by itself, whatever its session begins meanwhile.
#[tokio::test]
async fn a_plan_made_before_begin_is_not_of_the_transaction() {
    let (db, one, _other) = two().await;
    run(&one, "ROLLBACK").await;
    let planned = one.sql("UPDATE t SET v = v + 1 WHERE id = 1").await.unwrap();
    let planned = planned.create_physical_plan().await.unwrap();
    // It is planned anew when it runs.
    run(&db.session(), "UPDATE t SET v = 50 WHERE id = 1").await;
    run(&one, "BEGIN").await;
    let context = one.context().task_ctx();
    datafusion::physical_plan::collect(planned, context).await.unwrap();
    run(&one, "ROLLBACK").await;
    assert_eq!(rows(&one).await, ["1,51", "2,20"]);
}

/// Rows that wait for their commit take no more memory than they may, and give it back.
#[tokio::test]
async fn rows_that_wait_for_a_commit_are_bounded() {
    let store = crate::storage::store::Store::object_store(
        std::sync::Arc::new(object_store::memory::InMemory::new()),
        "db",
    );
    let options = crate::Options { load_bytes_max: 256 << 10, ..crate::Options::default() };
    let db = options.open_store(store).await.unwrap();
    let (one, other) = (db.session(), db.session());
    run(&one, "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)").await;
    let insert = |turn: i64| {
        let (first, last) = (turn * 100, turn * 100 + 99);
        format!(
            "INSERT INTO t SELECT value, repeat('x', 100) FROM generate_series({first}, {last}) \
             AS g(value)"
        )
    };
    for undone in ["ROLLBACK TO SAVEPOINT a", "ROLLBACK", "COMMIT"] {
        run(&one, "BEGIN").await;
        run(&one, "SAVEPOINT a").await;
        run(&other, "BEGIN").await;
        let mut turns = 0;
        let refused = loop {
            assert!(turns < 20, "nothing was refused");
            let session = if turns % 2 == 0 { &one } else { &other };
            match session.sql(&insert(turns)).await.unwrap().collect().await {
                Ok(_) => turns += 1,
                Err(error) => break Error::from(error),
            }
        };
        assert!(matches!(refused, Error::Exhausted { .. }), "{refused}");
        assert!(refused.to_string().contains("commit earlier"), "{refused}");
        assert!(turns >= 2, "{turns}");
        run(&one, undone).await;
        run(&other, &insert(turns)).await;
        run(&other, "ROLLBACK").await;
        let _ = one.sql("ROLLBACK").await;
    }
    assert!(number(&one, "SELECT count(*) FROM t").await >= 100);
}

/// Transfers between accounts, beside flushes and compactions: the sum stays, at every moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transfers_keep_the_sum() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "INSERT INTO t SELECT value, 100 FROM generate_series(0, 9) AS g(value)").await;
    let writers = (0..4u64).map(|writer| {
        let session = db.session();
        tokio::spawn(async move {
            let mut done = 0;
            for turn in 0..40 {
                let (from, to) = ((writer * 7 + turn * 3) % 10, (writer + turn * 7 + 1) % 10);
                run(&session, "BEGIN").await;
                run(&session, &format!("UPDATE t SET v = v - 1 WHERE id = {from}")).await;
                run(&session, &format!("UPDATE t SET v = v + 1 WHERE id = {to}")).await;
                match session.sql("COMMIT").await.map_err(Error::from) {
                    Ok(_) => done += 1,
                    Err(Error::SerializationFailure(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            done
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..10 {
        assert_eq!(number(&session, "SELECT sum(v) FROM t").await, 1_000);
        db.checkpoint().await.unwrap();
        db.compact().await.unwrap();
    }
    let done: i32 = join_all(writers).await.into_iter().map(Result::unwrap).sum();
    assert!(done > 0);
    assert_eq!(lines(&session, "SELECT sum(v), count(*) FROM t").await, ["1000,10"]);
}

/// Who deletes all rows deletes those that are seen, or none.
#[tokio::test]
async fn a_truncation_takes_no_row_that_was_not_seen() {
    let (db, one, other) = two().await;
    for sql in ["DELETE FROM t", "TRUNCATE TABLE t", "DROP TABLE t"] {
        run(&other, "ROLLBACK").await;
        run(&other, "BEGIN").await;
        run(&other, sql).await;
        run(&db.session(), "UPDATE t SET v = v + 1 WHERE id = 1").await;
        is_overtaken(&other, "COMMIT").await;
        run(&other, "BEGIN").await;
    }
    run(&one, "ROLLBACK").await;
    assert_eq!(rows(&db.session()).await, ["1,13", "2,20"]);
}

/// Whoever stops waiting for a commit does not stop it, nor take from it what it brings.
#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_whole() {
    let store = crate::storage::store::Store::object_store(
        std::sync::Arc::new(object_store::memory::InMemory::new()),
        "db",
    );
    let options = crate::Options { memtable_bytes_max: 64 << 10, ..crate::Options::default() };
    let db = options.clone().open_store(store.clone()).await.unwrap();
    commit_and_leave(&db.session(), "t").await;
    db.checkpoint().await.unwrap();
    assert!(db.verify().await.unwrap().problems.is_empty());
    let session = db.session();
    let count = number(&session, "SELECT count(*) FROM t").await;
    assert_eq!(number(&session, "SELECT count(v) FROM t").await, count);
    assert_eq!(count % 3_000, 0);
    // The log alone names what a table held that is gone.
    commit_and_leave(&session, "gone").await;
    run(&session, "DROP TABLE gone").await;
    commit_and_leave(&session, "other").await;
    let held = number(&session, "SELECT count(*) FROM other").await;
    drop((session, db));
    let again = options.open_store(store).await.unwrap();
    assert_eq!(number(&again.session(), "SELECT count(*) FROM t").await, count);
    assert_eq!(number(&again.session(), "SELECT count(*) FROM other").await, held);
}

/// Transactions of 3,000 rows, the commits of which are left after more and more steps.
async fn commit_and_leave(session: &Session, table: &str) {
    run(session, &format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, v TEXT)")).await;
    for turn in 0..20 {
        run(session, "BEGIN").await;
        let rows = format!(
            "INSERT INTO {table} SELECT value, 'row number ' || value \
             FROM generate_series({}, {}) AS g(value)",
            turn * 3_000,
            turn * 3_000 + 2_999
        );
        run(session, &rows).await;
        let mut commit = Box::pin(session.sql("COMMIT"));
        for _ in 0..turn {
            if futures::poll!(commit.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
        let _ = session.sql("ROLLBACK").await;
    }
}

#[tokio::test]
async fn what_begins_read_only_writes_nothing() {
    let (_db, one, _other) = two().await;
    run(&one, "ROLLBACK").await;
    run(&one, "START TRANSACTION READ ONLY").await;
    let refused = fails(&one, "DELETE FROM t").await.to_string();
    assert!(refused.contains("READ ONLY"), "{refused}");
    fails(&one, "EXPLAIN COMMIT").await;
    assert_eq!(rows(&one).await, ["1,10", "2,20"]);
    run(&one, "COMMIT").await;
    let refused = fails(&one, "BEGIN IMMEDIATE").await.to_string();
    assert!(refused.contains("first to commit wins"), "{refused}");
}
