//! A panic of whatever DataFusion calls is an error of the statement, and of nothing else.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Volatility, create_udf};

use super::*;

/// A session with functions that panic: `boom` wherever it is called, also by the optimizer;
/// `late_boom` when rows are computed.
async fn explosive() -> (Database, Session) {
    let db = database().await;
    let session = db.session();
    for (name, volatility) in [("boom", Volatility::Immutable), ("late_boom", Volatility::Volatile)]
    {
        let function = create_udf(
            name,
            vec![DataType::Int64],
            DataType::Int64,
            volatility,
            std::sync::Arc::new(|_: &[_]| panic!("a defect")),
        );
        session.context().register_udf(function);
    }
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "INSERT INTO t SELECT value, value FROM generate_series(1, 50000)").await;
    db.checkpoint().await.unwrap();
    (db, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_are_errors() {
    let (db, session) = explosive().await;
    for sql in [
        "SELECT boom(1)",
        "SELECT boom(CAST('1' AS BIGINT) + 1) FROM t WHERE id = 3",
        "SELECT late_boom(1)",
        "SELECT boom(id) FROM t",
        "SELECT v, sum(late_boom(id)) FROM t GROUP BY v ORDER BY 2 LIMIT 3",
        "SELECT * FROM t a JOIN t b ON a.v = late_boom(b.v)",
        "SELECT * FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE boom(u.v) = t.v)",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT late_boom(n) FROM r WHERE n < 5) \
         SELECT * FROM r",
        "EXPLAIN ANALYZE SELECT boom(id) FROM t",
        "INSERT INTO t SELECT 60000 + id, late_boom(id) FROM t",
        "INSERT INTO t VALUES (90000, late_boom(1)) ON CONFLICT (id) DO UPDATE SET v = 1",
        "UPDATE t SET v = boom(v)",
        "UPDATE t SET v = late_boom(v) WHERE id < 9 RETURNING v",
        "DELETE FROM t WHERE late_boom(id) = 2",
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id \
         WHEN MATCHED THEN UPDATE SET v = late_boom(1)",
        "CREATE TABLE u AS SELECT id, late_boom(id) AS v FROM t",
        "COPY (SELECT late_boom(id) FROM t) TO '/dev/null' (FORMAT csv)",
    ] {
        let error = fails(&session, sql).await.to_string();
        assert!(error.contains("a defect"), "{sql}: {error}");
        let sums = text(&run(&session, "SELECT count(*), sum(v) FROM t").await);
        assert!(sums.contains("| 50000    | 1250025000"), "after {sql}: {sums}");
    }
    assert_eq!(db.table_names(), ["t"]);
    assert!(db.verify().await.unwrap().problems.is_empty());
    run(&session, "UPDATE t SET v = 0 WHERE id = 1").await;
}

#[tokio::test]
async fn plans_do_not_show_it() {
    let (_db, session) = explosive().await;
    for sql in ["EXPLAIN SELECT * FROM t", "EXPLAIN ANALYZE SELECT * FROM t WHERE id = 3"] {
        let shown = text(&run(&session, sql).await);
        assert!(shown.contains("DataSourceExec") && !shown.contains("Guarded"), "{shown}");
    }
}
