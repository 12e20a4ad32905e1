//! Statements: what they do, what they refuse, what they see.

use datafusion::prelude::SessionContext;

use super::*;
use crate::Error;

#[tokio::test]
async fn tables_are_created_with_their_clauses() {
    let db = database().await;
    let session = db.session();
    run(
        &session,
        "CREATE TABLE t (a INT, b VARCHAR NOT NULL DEFAULT 'none', c DOUBLE DEFAULT 1.5, PRIMARY \
         KEY (b, a))",
    )
    .await;
    let table = db.table("t").unwrap();
    assert_eq!(table.key_names().unwrap(), ["b", "a"]);
    let schema = table.schema().unwrap();
    let nullable: Vec<bool> = schema.fields().iter().map(|f| f.is_nullable()).collect();
    assert_eq!(nullable, [false, false, true]);
    assert_eq!(schema.field(1).data_type(), &arrow::datatypes::DataType::Utf8);

    run(&session, "INSERT INTO t (a) VALUES (1), (2)").await;
    run(&session, "INSERT INTO t (b, a, c) VALUES ('x', 1, NULL)").await;
    assert_eq!(
        lines(&session, "SELECT * FROM t ORDER BY b, a").await,
        ["1,none,1.5", "2,none,1.5", "1,x,"]
    );
    run(&session, "CREATE TABLE IF NOT EXISTS t (other INT)").await;
    assert!(matches!(fails(&session, "CREATE TABLE t (a INT)").await, Error::AlreadyExists(_)));
    assert_eq!(lines(&session, "SHOW TABLES").await[0], "omen,public,t,BASE TABLE");
    assert_eq!(lines(&session, "DESCRIBE t").await[0], "a,Int32,NO");
    assert_eq!(
        number(&session, "SELECT count(*) FROM information_schema.columns WHERE table_name = 't'")
            .await,
        3
    );
    run(&session, "DROP TABLE t").await;
    assert!(matches!(fails(&session, "DROP TABLE t").await, Error::NotFound(_)));
    run(&session, "DROP TABLE IF EXISTS t").await;
    assert_eq!(db.table_names(), Vec::<String>::new());
}

#[tokio::test]
async fn create_table_as_is_one_statement() {
    let db = database().await;
    let session = db.session();
    run(
        &session,
        "CREATE TABLE t (id BIGINT, v TEXT NOT NULL, PRIMARY KEY (id)) AS
         SELECT value, 'v' || value FROM generate_series(1, 5)",
    )
    .await;
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 5);
    assert_eq!(db.table("t").unwrap().key_names().unwrap(), ["id"]);
    let twice = "CREATE TABLE u (id INT PRIMARY KEY) AS SELECT 1 FROM generate_series(1, 2)";
    assert!(matches!(fails(&session, twice).await, Error::DuplicateKey { .. }));
    let null = "CREATE TABLE u (id INT PRIMARY KEY, v INT NOT NULL) AS SELECT 1, NULL";
    let error = fails(&session, null).await.to_string();
    assert!(error.contains("\"v\""), "{error}");
    assert_eq!(db.table_names(), ["t"]);
    run(&session, "CREATE TABLE plain AS SELECT v, id FROM t WHERE id > 3").await;
    assert_eq!(lines(&session, "SELECT * FROM plain ORDER BY id").await, ["v4,4", "v5,5"]);
    assert_eq!(run(&session, "INSERT INTO plain VALUES (NULL, NULL)").await.len(), 1);
}

#[tokio::test]
async fn inserts_count_and_refuse() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT NOT NULL)").await;
    assert_eq!(number(&session, "INSERT INTO t VALUES (1, 'a'), (2, 'b')").await, 2);
    let error = fails(&session, "INSERT INTO t VALUES (3, 'c'), (2, 'd')").await;
    assert!(matches!(&error, Error::DuplicateKey { table, .. } if table == "t"), "{error}");
    let error = fails(&session, "INSERT INTO t VALUES (4, NULL)").await.to_string();
    assert!(error.contains("\"v\"") && error.contains("NOT NULL"), "{error}");
    let error = fails(&session, "INSERT INTO t (v) VALUES ('x')").await.to_string();
    assert!(error.contains("\"id\""), "{error}");
    assert_eq!(number(&session, "INSERT OR REPLACE INTO t VALUES (2, 'B'), (3, 'C')").await, 2);
    assert_eq!(number(&session, "REPLACE INTO t VALUES (3, 'D')").await, 1);
    assert_eq!(lines(&session, "SELECT * FROM t ORDER BY id").await, ["1,a", "2,B", "3,D"]);
    assert_eq!(number(&session, "INSERT INTO t SELECT id + 10, v FROM t").await, 3);
    assert!(session.sql("INSERT INTO t VALUES ('x', 'y')").await.unwrap().collect().await.is_err());
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 6);
}

#[tokio::test]
async fn statements_that_could_wipe_a_table_are_refused() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    run(&session, "INSERT INTO t VALUES (1, 1), (2, 2)").await;
    let ctx = SessionContext::new();
    db.register(&ctx).unwrap();
    for sql in
        ["INSERT OVERWRITE t VALUES (1, 2)", "CREATE OR REPLACE VIEW t AS SELECT 1", "DROP VIEW t"]
    {
        fails(&session, sql).await;
        let plain = async { ctx.sql(sql).await?.collect().await };
        assert!(plain.await.is_err(), "{sql}");
        assert_eq!(lines(&session, "SELECT * FROM t ORDER BY id").await, ["1,1", "2,2"], "{sql}");
    }
}

#[tokio::test]
async fn clauses_that_would_not_hold_are_refused() {
    let session = database().await.session();
    for sql in [
        "CREATE TABLE t (id INT PRIMARY KEY, u INT[] UNIQUE)",
        "CREATE TABLE t (id INT PRIMARY KEY, u INT CHECK (w > 0))",
        "CREATE TABLE t (id INT PRIMARY KEY, u INT REFERENCES o (id))",
        "CREATE TABLE t (id INT PRIMARY KEY, UNIQUE (x))",
        "CREATE TABLE t (id INT PRIMARY KEY, u INT, PRIMARY KEY (u))",
        "CREATE TABLE t (id INT PRIMARY KEY, u INT DEFAULT 'word')",
        "CREATE TABLE t (id INT PRIMARY KEY, u INT DEFAULT id)",
        "CREATE TABLE t (id INT, id INT)",
        "CREATE TABLE t (ids INT[] PRIMARY KEY)",
        "CREATE TABLE elsewhere.t (id INT)",
        "CREATE TEMPORARY TABLE t (id INT)",
    ] {
        fails(&session, sql).await;
    }
    assert_eq!(
        lines(&session, "SHOW TABLES").await.iter().filter(|l| l.contains("BASE")).count(),
        0
    );
}

#[tokio::test]
async fn a_plain_context_reads_and_writes() {
    let db = database().await;
    let ctx = SessionContext::new();
    ctx.sql("CREATE TABLE mine AS VALUES (1), (2)").await.unwrap().collect().await.unwrap();
    db.register(&ctx).unwrap();
    db.register(&ctx).unwrap();
    run(&db.session(), "CREATE TABLE late (id INT PRIMARY KEY)").await;
    for (sql, rows) in [
        ("INSERT INTO late VALUES (1), (2), (3)", 1),
        ("SELECT * FROM late JOIN mine ON id = column1", 2),
        ("CREATE TABLE second AS SELECT * FROM late", 0),
        ("SELECT * FROM second", 3),
    ] {
        let result = ctx.sql(sql).await.unwrap().collect().await.unwrap();
        assert_eq!(result.iter().map(RecordBatch::num_rows).sum::<usize>(), rows, "{sql}");
    }
    assert_eq!(db.table_names(), ["late"]);
    assert!(ctx.sql("DROP TABLE late").await.is_err());
    assert!(ctx.sql("CREATE TABLE late AS SELECT 1").await.is_err());
    assert_eq!(db.table("late").unwrap().row_count().unwrap(), 3);
}

#[tokio::test]
async fn a_statement_sees_one_moment_and_views_the_newest() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&session, "CREATE VIEW v AS SELECT count(*) AS n FROM t").await;
    run(&session, "PREPARE p AS SELECT count(*) FROM t WHERE id > $1").await;
    // Planned before the row exists, pinned when it runs: both references agree.
    let both = session
        .sql("SELECT (SELECT count(*) FROM t) AS a, count(*) AS b FROM t WHERE id > 0")
        .await
        .unwrap();
    run(&session, "INSERT INTO t VALUES (1)").await;
    assert!(text(&both.collect().await.unwrap()).contains("| 1 | 1 |"));
    assert_eq!(number(&session, "SELECT n FROM v").await, 1);
    assert_eq!(number(&session, "EXECUTE p(0)").await, 1);
    let stale = session.sql("SELECT * FROM t").await.unwrap();
    run(&session, "DROP TABLE t").await;
    let error = Error::from(stale.collect().await.unwrap_err());
    assert!(matches!(error, Error::Conflict(_)), "{error}");
}

#[tokio::test]
async fn objects_of_the_session_stay_out_of_the_way() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE VIEW taken AS SELECT 1 AS x").await;
    assert!(matches!(
        fails(&session, "CREATE TABLE taken (id INT)").await,
        Error::AlreadyExists(_)
    ));
    run(&session, "CREATE TABLE IF NOT EXISTS taken (id INT)").await;
    run(&session, "DROP VIEW taken").await;
    run(&session, "CREATE TEMPORARY VIEW taken AS SELECT 1 AS x").await;
    assert!(matches!(
        fails(&session, "CREATE TABLE taken (id INT)").await,
        Error::AlreadyExists(_)
    ));
    run(&session, "DROP VIEW taken").await;
    run(&session, "CREATE TABLE \"Mixed Case\" (\"Id\" INT PRIMARY KEY DEFAULT 7)").await;
    run(&session, "INSERT INTO \"Mixed Case\" (\"Id\") VALUES (7)").await;
    assert_eq!(lines(&session, "SELECT \"Id\" FROM \"Mixed Case\" WHERE \"Id\" = 7").await, ["7"]);
    run(&session, "SET datafusion.execution.target_partitions = 1").await;
    assert_eq!(db.table_names(), ["Mixed Case"]);
}
