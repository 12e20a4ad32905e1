//! What scans return, whatever lies in segments, in runs and in deletion vectors.

use super::*;

/// 20,000 rows in segments, some deleted and some written over, 1,000 more in runs.
async fn mixed(db: &Database) -> Session {
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v INT, s TEXT)").await;
    run(
        &session,
        "INSERT INTO t SELECT value * 2, value % 7, 'x' || value FROM generate_series(0, 19999)",
    )
    .await;
    db.checkpoint().await.unwrap();
    let table = db.table("t").unwrap();
    table.delete((100..200i64).map(|i| i * 10)).await.unwrap();
    run(
        &session,
        "INSERT OR REPLACE INTO t SELECT value * 20, 99, 'new' FROM generate_series(500, 599)",
    )
    .await;
    run(&session, "INSERT INTO t SELECT value * 2 + 1, 5, 'odd' FROM generate_series(0, 899)")
        .await;
    session
}

/// The same rows in a table of DataFusion.
async fn copy(session: &Session) {
    let rows = run(session, "SELECT * FROM t").await;
    let table = datafusion::datasource::MemTable::try_new(rows[0].schema(), vec![rows]).unwrap();
    session.context().register_table("copy", Arc::new(table)).unwrap();
}

#[tokio::test]
async fn queries_agree_with_a_plain_table() {
    let db = database().await;
    let session = mixed(&db).await;
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 20_000 - 100 + 900);
    copy(&session).await;
    for filter in [
        "id = 40",
        "id = 41",
        "id = 1000",
        "id = 10000",
        "id BETWEEN 990 AND 1010",
        "id > 39990",
        "id < 5 OR id > 39995",
        "id IN (1, 2, 3, 4, 5, 1000, 39998, 77777)",
        "id = 5.0",
        "id < 10.5 AND v = 5",
        "v = 99",
        "v = 99 AND id > 11000",
        "s = 'x77'",
        "s LIKE 'new%' AND id < 10100",
        "id IS NULL",
        "1 = 0",
        "id + 1 = 4",
        "id % 1000 = 0",
        "(id = 3 AND s = 'odd') OR id = 10020",
    ] {
        for select in ["*", "count(*)", "s, id", "sum(v), min(id)"] {
            let tail = if select == "*" || select == "s, id" { " ORDER BY id" } else { "" };
            let of = |table| format!("SELECT {select} FROM {table} WHERE {filter}{tail}");
            let (ours, plain) =
                (lines(&session, &of("t")).await, lines(&session, &of("copy")).await);
            assert_eq!(ours, plain, "SELECT {select} WHERE {filter}");
        }
    }
    for query in [
        "SELECT id, s FROM # ORDER BY id LIMIT 7",
        "SELECT id, s FROM # ORDER BY id DESC LIMIT 7",
        "SELECT id FROM # WHERE id > 100 ORDER BY id LIMIT 3 OFFSET 2",
        "SELECT v, count(*) FROM # GROUP BY v ORDER BY v",
        "SELECT count(*) FROM # a JOIN # b ON a.id = b.id + 1",
        "SELECT a.id FROM # a JOIN (VALUES (4), (1001), (1003)) b(x) ON a.id = b.x ORDER BY 1",
        "SELECT id, lag(v) OVER (ORDER BY id) FROM # WHERE id < 50 ORDER BY id",
        "SELECT count(*) FROM (SELECT * FROM # LIMIT 30)",
        "SELECT count(*) FROM (SELECT * FROM # WHERE id > 500 LIMIT 30)",
        "SELECT DISTINCT v FROM # ORDER BY v",
        "SELECT max(id) FROM # WHERE id IN (SELECT id + 2 FROM # WHERE v = 99)",
    ] {
        let ours = lines(&session, &query.replace('#', "t")).await;
        assert_eq!(ours, lines(&session, &query.replace('#', "copy")).await, "{query}");
    }
}

#[tokio::test]
async fn composite_keys_are_selected_by_prefix() {
    let db = database().await;
    let session = db.session();
    run(
        &session,
        "CREATE TABLE w (origin TEXT, at TIMESTAMP, temp DOUBLE, PRIMARY KEY (origin, at))",
    )
    .await;
    run(
        &session,
        "INSERT INTO w SELECT o, to_timestamp(n.value * 3600), n.value
         FROM unnest(['LGA', 'EWR', 'JFK']) u(o) CROSS JOIN generate_series(0, 1999) n",
    )
    .await;
    db.checkpoint().await.unwrap();
    let of_jfk = "FROM w WHERE origin = 'JFK' AND at >= '1970-01-02' AND at < '1970-01-03'";
    assert_eq!(number(&session, &format!("SELECT count(*) {of_jfk}")).await, 24);
    let plan = plan(&session, &format!("SELECT temp {of_jfk}")).await;
    assert!(
        plan.contains(
            "key=[(JFK, 1970-01-02T00:00:00), (JFK, 1970-01-03T00:00:00)) parts=1/1 rows=24/6000"
        ),
        "{plan}"
    );
}

#[tokio::test]
async fn a_plan_executed_twice_gives_its_rows_twice() {
    use datafusion::physical_plan::collect;

    let db = database().await;
    let session = mixed(&db).await;
    run(&session, "CREATE TABLE big AS SELECT value FROM generate_series(1, 140000)").await;
    db.checkpoint().await.unwrap();
    let config = Session::default_config().with_target_partitions(4);
    let session = db.session_with_config(config);
    let ctx = session.context();
    for sql in [
        "SELECT * FROM t",
        "SELECT * FROM t WHERE id < 1000",
        "SELECT s FROM t LIMIT 5",
        "SELECT * FROM big",
    ] {
        let frame = session.sql(sql).await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        let count = |rows: Vec<RecordBatch>| rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        let first = count(collect(Arc::clone(&plan), ctx.task_ctx()).await.unwrap());
        let second = count(collect(plan, ctx.task_ctx()).await.unwrap());
        assert!(first > 0 && first == second, "{sql}: {first}, then {second}");
    }
}

#[tokio::test]
async fn every_scan_shows_one_schema() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE h (a TEXT NOT NULL, b TIMESTAMP, c DECIMAL(10, 2))").await;
    run(&session, "INSERT INTO h VALUES ('x', now(), 1.25)").await;
    let in_runs = run(&session, "SELECT * FROM h").await;
    db.checkpoint().await.unwrap();
    let in_segments = run(&session, "SELECT * FROM h").await;
    run(&session, "INSERT INTO h VALUES ('y', NULL, NULL)").await;
    let in_both = run(&session, "SELECT * FROM h").await;
    let visible = db.table("h").unwrap().schema().unwrap();
    for rows in [&in_runs, &in_segments, &in_both] {
        assert_eq!(rows[0].schema(), visible);
    }
    assert_eq!(in_runs, in_segments);
    assert_eq!(number(&session, "SELECT count(*) FROM h").await, 2);
}

#[tokio::test]
async fn empty_tables_can_be_read() {
    let session = database().await.session();
    run(&session, "CREATE TABLE e (id INT PRIMARY KEY)").await;
    assert_eq!(number(&session, "SELECT count(*) FROM e").await, 0);
    assert_eq!(lines(&session, "SELECT * FROM e WHERE id = 1").await, Vec::<String>::new());
    assert!(plan(&session, "SELECT * FROM e").await.contains("key=all parts=0/0 rows=0/0"));
}

#[tokio::test]
async fn partitions_cut_from_overlapping_segments_keep_the_key_order() {
    let db = database().await;
    let config = Session::default_config().with_target_partitions(4);
    let session = db.session_with_config(config);
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v INT)").await;
    for odd in [0, 1] {
        let insert =
            format!("INSERT INTO t SELECT value * 2 + {odd}, {odd} FROM generate_series(0, 79999)");
        run(&session, &insert).await;
        db.checkpoint().await.unwrap();
    }
    db.table("t").unwrap().delete((0..1_000i64).map(|i| i * 37)).await.unwrap();
    run(&session, "INSERT INTO t VALUES (-5, 7), (37, 7), (1000000, 7)").await;

    let ordered = "SELECT id FROM t ORDER BY id";
    let shown = plan(&session, ordered).await;
    assert!(!shown.contains("SortExec") && shown.contains("SortPreservingMerge"), "{shown}");
    assert!(shown.contains("4 groups") || shown.contains("5 groups"), "{shown}");
    let expected: Vec<i64> = std::iter::once(-5)
        .chain((0..160_000).filter(|id| id % 37 > 0 || *id >= 37_000 || *id == 37))
        .chain([1_000_000])
        .collect();
    let ids: Vec<i64> = run(&session, ordered)
        .await
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(ids, expected);
    assert_eq!(number(&session, "SELECT sum(id) FROM t").await, expected.iter().sum::<i64>());
    assert_eq!(number(&session, "SELECT count(v) FROM t").await, expected.len() as i64);
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE v = 7").await, 3);
}

/// Rows in memory that arrived in no order are scanned as they lie; whoever needs an order still
/// gets it, alone and beside segments.
#[tokio::test]
async fn rows_that_arrived_in_no_order_are_sorted_where_that_is_asked() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (v INT, b BIGINT, a INT, PRIMARY KEY (a, b))").await;
    let insert = |from: i64, to: i64| {
        format!(
            "INSERT INTO t SELECT value % 11, (value * 7919) % 20011, value % 3 \
             FROM generate_series({from}, {to})"
        )
    };
    run(&session, &insert(0, 9_999)).await;
    for part in 0..20 {
        run(&session, &insert(10_000 + part * 500, 10_499 + part * 500)).await;
    }
    for round in 0..3 {
        copy(&session).await;
        for query in [
            "SELECT a, b, v FROM # ORDER BY a, b",
            "SELECT b FROM # ORDER BY b",
            "SELECT v, a FROM # ORDER BY a, v",
            "SELECT b, a FROM # ORDER BY a DESC, b DESC LIMIT 9",
            "SELECT a, b FROM # ORDER BY a, b LIMIT 9 OFFSET 9000",
            "SELECT v, b FROM # WHERE a = 1 ORDER BY b LIMIT 5000",
            "SELECT a, count(*), min(b), max(b) FROM # GROUP BY a ORDER BY a",
            "SELECT count(*) FROM #",
            "SELECT sum(v) FROM # WHERE a >= 1 AND b < 9000",
            "SELECT count(*) FROM # x JOIN # y ON x.a = y.a AND x.b = y.b + 1",
        ] {
            let (ours, plain) = (query.replace('#', "t"), query.replace('#', "copy"));
            let (ours, plain) = (lines(&session, &ours).await, lines(&session, &plain).await);
            assert_eq!(ours, plain, "{query}, round {round}");
        }
        session.context().deregister_table("copy").unwrap();
        match round {
            0 => {
                db.checkpoint().await.unwrap();
                run(&session, "INSERT OR REPLACE INTO t SELECT 99, b, a FROM t WHERE b % 2 = 0")
                    .await;
            }
            _ => drop(db.table("t").unwrap().delete((0..3i64).map(|a| (a, 12i64))).await),
        }
    }
}
