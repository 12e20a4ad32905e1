//! What plans look like: the line of EXPLAIN, pages read, orders and counts that cost nothing.

use super::*;

/// 50,000 rows in segments of 4,096-row groups.
async fn large(db: &Database) -> Session {
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v INT, s TEXT)").await;
    run(
        &session,
        "INSERT INTO t SELECT value, value % 7, 'x' || value FROM generate_series(0, 49999)",
    )
    .await;
    db.checkpoint().await.unwrap();
    session
}

/// The lines of a plan that scan a table.
fn scans(plan: &str) -> Vec<String> {
    plan.lines().filter(|line| line.contains("DataSourceExec")).map(str::to_string).collect()
}

/// Adds up a metric of EXPLAIN ANALYZE.
fn metric(plan: &str, name: &str) -> usize {
    let name = format!("{name}=");
    plan.split(&name)
        .skip(1)
        .map(|rest| {
            let digits: String = rest.chars().take_while(|c| c.is_ascii_digit()).collect();
            digits.parse::<usize>().unwrap()
        })
        .sum()
}

#[tokio::test]
async fn explain_shows_one_line_per_scan() {
    let db = database().await;
    let session = large(&db).await;
    let shown = plan(&session, "SELECT * FROM t WHERE id >= 10 AND id < 20").await;
    assert_eq!(shown.matches("key=").count(), 1, "{shown}");
    assert!(shown.contains("key=[10, 20) parts=1/1 rows=10/50000"), "{shown}");
    run(&session, "INSERT INTO t VALUES (70000, 1, 'run')").await;
    let shown = plan(&session, "SELECT * FROM t WHERE id = 70000").await;
    assert!(shown.contains("key=70000 parts=1/2 rows=1/50001"), "{shown}");
    assert_eq!(scans(&shown).len(), 1, "{shown}");
    let shown = plan(&session, "SELECT * FROM t").await;
    assert_eq!(shown.matches("key=all parts=2/2 rows=50001/50001").count(), 1, "{shown}");
    assert_eq!(scans(&shown).len(), 2, "{shown}");
    let shown = plan(&session, "SELECT * FROM t a JOIN t b ON a.id = b.v").await;
    assert_eq!(shown.matches("key=").count(), 2, "{shown}");
    let shown = text(&run(&session, "EXPLAIN FORMAT TREE SELECT v FROM t WHERE id = 5").await);
    assert!(shown.contains("parts: 1/2") || shown.contains("parts=1/2"), "{shown}");
}

#[tokio::test]
async fn exact_key_filters_are_not_applied_again() {
    let db = database().await;
    let session = large(&db).await;
    let shown = plan(&session, "SELECT s FROM t WHERE id BETWEEN 5 AND 9 LIMIT 2").await;
    assert!(!shown.contains("FilterExec") && shown.contains("limit=2"), "{shown}");
    let shown = plan(&session, "SELECT s FROM t WHERE id = 5 AND v = 5").await;
    assert!(shown.contains("FilterExec") && shown.contains("key=5 "), "{shown}");
}

#[tokio::test]
async fn lookups_read_one_page_per_column() {
    let db = database().await;
    let session = large(&db).await;
    for (filter, pages) in [("id = 30000", 3), ("id = 30000 AND s LIKE 'x%'", 3), ("id = -1", 0)] {
        let sql = format!("EXPLAIN ANALYZE SELECT * FROM t WHERE {filter}");
        let shown = text(&run(&session, &sql).await);
        assert_eq!(metric(&shown, "pages_read"), pages, "{filter}\n{shown}");
        assert_eq!(metric(&shown, "bytes_read") > 0, pages > 0, "{filter}\n{shown}");
    }
    let sql = "EXPLAIN ANALYZE SELECT v FROM t WHERE id BETWEEN 30000 AND 30010";
    let shown = text(&run(&session, sql).await);
    assert!((1..=2).contains(&metric(&shown, "pages_read")), "{shown}");
    let all = text(&run(&session, "EXPLAIN ANALYZE SELECT v FROM t").await);
    assert!(metric(&all, "pages_read") > 5, "{all}");
}

#[tokio::test]
async fn other_filters_skip_by_statistics() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, twin BIGINT)").await;
    run(&session, "INSERT INTO t SELECT value, value AS twin FROM generate_series(0, 49999)").await;
    db.checkpoint().await.unwrap();
    let shown = text(&run(&session, "EXPLAIN ANALYZE SELECT * FROM t WHERE twin = 30000").await);
    assert!((2..=4).contains(&metric(&shown, "pages_read")), "{shown}");
}

#[tokio::test]
async fn counts_need_no_scan() {
    let db = database().await;
    let session = large(&db).await;
    db.table("t").unwrap().delete([3i64, 4]).await.unwrap();
    run(&session, "INSERT INTO t VALUES (70000, 1, 'run')").await;
    for (sql, count) in [
        ("SELECT count(*) FROM t", 49_999),
        ("SELECT count(*) FROM t WHERE id < 10", 8),
        ("SELECT count(*) FROM t WHERE id >= 49999", 2),
    ] {
        let shown = plan(&session, sql).await;
        assert_eq!(scans(&shown), Vec::<String>::new(), "{shown}");
        assert_eq!(number(&session, sql).await, count, "{sql}");
    }
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE v = 3 AND id < 10").await, 0);
}

#[tokio::test]
async fn counts_show_what_was_counted() {
    let db = database().await;
    let session = large(&db).await;
    run(&session, "CREATE TABLE other (id INT PRIMARY KEY)").await;
    run(&session, "INSERT INTO other VALUES (1), (2)").await;
    let ctx = datafusion::prelude::SessionContext::new();
    let id = ctx.session_id();
    db.register(&ctx).unwrap();
    db.register(&ctx).unwrap();
    assert_eq!(ctx.session_id(), id);
    for (sql, counted, count) in [
        ("SELECT count(*) FROM t", "key=all parts=1/1 rows=50000/50000", 50_000),
        ("SELECT count(*) FROM t WHERE id < 10", "key=[-inf, 10) parts=1/1 rows=10/50000", 10),
        ("SELECT count(id) FROM t WHERE id < 0", "key=[-inf, 0) parts=0/1 rows=0/50000", 0),
        ("SELECT count(*) FROM other", "key=all parts=1/1 rows=2/2", 2),
        ("SELECT (SELECT count(*) FROM other) + 1", "key=all parts=1/1 rows=2/2", 3),
    ] {
        let explained = format!("EXPLAIN {sql}");
        let shown = plan(&session, sql).await;
        let plain = text(&ctx.sql(&explained).await.unwrap().collect().await.unwrap());
        for shown in [&shown, &plain] {
            assert_eq!(scans(shown), Vec::<String>::new(), "{shown}");
            let line = shown.lines().find(|line| line.contains("key="));
            assert!(line.is_some_and(|line| line.contains(counted)), "{shown}");
        }
        assert_eq!(number(&session, sql).await, count, "{sql}");
        let rows = ctx.sql(sql).await.unwrap().collect().await.unwrap();
        assert!(text(&rows).contains(&format!(" {count} ")), "{sql}");
    }
    let both = "SELECT count(*) FROM (SELECT id FROM t UNION ALL SELECT id FROM other)";
    let shown = plan(&session, both).await;
    assert_eq!(shown.matches("key=all").count(), 2, "{shown}");
    assert_eq!(number(&session, both).await, 50_002);
    let shown = text(&run(&session, "EXPLAIN FORMAT TREE SELECT count(*) FROM other").await);
    assert!(shown.contains("rows=2/2") || shown.contains("rows: 2/2"), "{shown}");
    let shown = text(&run(&session, "EXPLAIN ANALYZE SELECT count(*) FROM t").await);
    assert!(shown.contains("rows=50000/50000") && metric(&shown, "pages_read") == 0, "{shown}");
    // Of other tables nothing is said.
    let shown = plan(&session, "SELECT count(*) FROM (VALUES (1), (2))").await;
    assert!(!shown.contains("key="), "{shown}");
}

#[tokio::test]
async fn key_order_needs_no_sort() {
    let db = database().await;
    let session = large(&db).await;
    run(&session, "INSERT INTO t VALUES (70000, 1, 'run')").await;
    let shown = plan(&session, "SELECT id, s FROM t ORDER BY id LIMIT 5").await;
    assert!(!shown.contains("SortExec"), "{shown}");
    let shown = plan(&session, "SELECT s FROM t WHERE id > 5 ORDER BY id").await;
    assert!(!shown.contains("SortExec"), "{shown}");
    assert_eq!(
        lines(&session, "SELECT id FROM t ORDER BY id DESC LIMIT 2").await,
        ["70000", "49999"]
    );
}
