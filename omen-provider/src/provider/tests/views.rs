//! Views of the database, where scripts do not get: in contexts of the application's, and defined
//! by each other at once.

use datafusion::prelude::SessionContext;

use super::{database, fails, lines, run};

#[tokio::test]
async fn a_context_sees_the_views_of_the_database() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "CREATE VIEW doubled AS SELECT id, 2 * v AS w FROM t").await;
    run(&session, "CREATE VIEW four AS SELECT 2 * w AS x FROM doubled").await;
    let ctx = SessionContext::new();
    db.register(&ctx).unwrap();
    run(&session, "INSERT INTO t VALUES (1, 10)").await;
    let rows = ctx.sql("SELECT x FROM four").await.unwrap().collect().await.unwrap();
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    assert!(ctx.table_exist("doubled").unwrap());
    // Dropped in a session of the database alone.
    assert!(ctx.sql("DROP VIEW four").await.is_err());
    ctx.sql("SELECT x FROM four").await.unwrap().collect().await.unwrap();
    // Its own come behind them.
    ctx.sql("CREATE VIEW own AS SELECT 1 AS one").await.unwrap();
    ctx.sql("SELECT one FROM own").await.unwrap().collect().await.unwrap();
    fails(&session, "SELECT one FROM own").await;
}

/// A statement sees a view and its tables as of one moment.
#[tokio::test]
async fn a_transaction_sees_views_as_they_were() {
    let db = database().await;
    let (one, other) = (db.session(), db.session());
    run(&one, "CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
    run(&one, "CREATE VIEW v AS SELECT count(*) AS n FROM t").await;
    run(&one, "BEGIN").await;
    run(&other, "INSERT INTO t VALUES (1)").await;
    run(&other, "CREATE OR REPLACE VIEW v AS SELECT 7 AS n").await;
    assert_eq!(lines(&one, "SELECT n FROM v").await, ["0"]);
    run(&one, "COMMIT").await;
    assert_eq!(lines(&one, "SELECT n FROM v").await, ["7"]);
}

/// Nobody saw that they would name each other.
#[tokio::test]
async fn views_that_name_each_other_are_an_error_and_can_be_mended() {
    let db = database().await;
    let (one, other) = (db.session(), db.session());
    run(&one, "CREATE VIEW a AS SELECT 1 AS x").await;
    run(&one, "CREATE VIEW b AS SELECT 1 AS x").await;
    run(&one, "BEGIN").await;
    run(&other, "BEGIN").await;
    run(&one, "CREATE OR REPLACE VIEW a AS SELECT x FROM b").await;
    run(&other, "CREATE OR REPLACE VIEW b AS SELECT x FROM a").await;
    run(&one, "COMMIT").await;
    run(&other, "COMMIT").await;
    for sql in ["SELECT * FROM a", "SELECT * FROM b", "CREATE VIEW c AS SELECT * FROM a"] {
        let error = fails(&one, sql).await.to_string();
        assert!(error.contains("made of itself"), "{sql}: {error}");
    }
    run(&one, "DROP VIEW b").await;
    run(&one, "CREATE VIEW b AS SELECT 2 AS x").await;
    assert_eq!(lines(&one, "SELECT x FROM a").await, ["2"]);
}

/// The text is planned once per mention: no stack and no memory go by how views are nested.
#[tokio::test]
async fn views_nest_as_deep_as_they_may() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE VIEW v0 AS SELECT 1 AS x").await;
    let create = |level: u64| {
        let below = level - 1;
        format!("CREATE VIEW v{level} AS SELECT x + 1 AS x FROM v{below}")
    };
    for level in 1..40 {
        run(&session, &create(level)).await;
    }
    assert_eq!(lines(&session, "SELECT x FROM v39").await, ["40"]);
    let refused = fails(&session, &create(40)).await.to_string();
    assert!(refused.contains("more than 40 joins") || refused.contains("deep"), "{refused}");
}
