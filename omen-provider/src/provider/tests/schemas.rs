//! Schemas where scripts do not get: in contexts of the application's, in the Rust API, and beside
//! other sessions.

use std::sync::Arc;

use datafusion::catalog::{MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::{database, fails, lines, run, text};
use crate::error::Error;
use crate::storage::database::Database;
use crate::storage::definition::TableDefinition;

async fn answers(ctx: &SessionContext, sql: &str) -> String {
    let frame = ctx.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    text(&frame.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

async fn with_schema() -> Database {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE SCHEMA a").await;
    run(&session, "CREATE TABLE a.t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
    run(&session, "INSERT INTO a.t VALUES (1, 10), (2, 20)").await;
    db
}

#[tokio::test]
async fn a_plain_context_sees_the_schemas_of_the_database() {
    let db = with_schema().await;
    let session = db.session();
    let ctx = SessionContext::new();
    db.register(&ctx).unwrap();
    db.register(&ctx).unwrap();
    assert!(answers(&ctx, "SELECT sum(v) AS s FROM a.t").await.contains("| 30"));
    answers(&ctx, "INSERT INTO a.t VALUES (3, 30)").await;
    answers(&ctx, "UPDATE a.t SET v = v + 1 WHERE id = 3").await;
    answers(&ctx, "DELETE FROM a.t WHERE id = 1").await;
    assert_eq!(lines(&session, "SELECT id, v FROM a.t ORDER BY id").await, ["2,20", "3,31"]);
    assert!(answers(&ctx, "SELECT count(*) AS n FROM t").await.contains("| 0"));
    // Created later.
    run(&session, "CREATE SCHEMA later").await;
    run(&session, "CREATE TABLE later.u AS SELECT 5 AS x").await;
    run(&session, "CREATE VIEW later.v AS SELECT x FROM later.u JOIN public.t AS p ON x = p.id")
        .await;
    assert!(answers(&ctx, "SELECT x FROM later.u").await.contains("| 5"));
    assert!(answers(&ctx, "SELECT count(*) AS n FROM later.v").await.contains("| 0"));
    run(&session, "DROP SCHEMA later CASCADE").await;
    assert!(ctx.sql("SELECT x FROM later.u").await.is_err());
    // What the context makes itself is its own.
    answers(&ctx, "CREATE SCHEMA own").await;
    answers(&ctx, "CREATE TABLE own.t AS SELECT 1 AS x").await;
    assert!(db.schema_names() == ["a"] && db.table_names() == ["a.t", "t"]);
    answers(&ctx, "CREATE TABLE a.own AS SELECT 1 AS x").await;
    assert!(answers(&ctx, "SELECT x FROM a.own").await.contains("| 1"));
    fails(&session, "SELECT x FROM a.own").await;
    assert!(db.table_names() == ["a.t", "t"]);
    for refused in ["CREATE SCHEMA a", "DROP SCHEMA a CASCADE", "DROP TABLE a.t"] {
        assert!(ctx.sql(refused).await.is_err(), "{refused}");
    }
    answers(&ctx, "DROP SCHEMA own CASCADE").await;
}

#[tokio::test]
async fn schemas_come_before_those_of_the_context() {
    let db = with_schema().await;
    let config = SessionConfig::new().with_default_catalog_and_schema("datafusion", "main");
    let ctx = SessionContext::new_with_config(config.with_information_schema(true));
    let below = MemorySchemaProvider::new();
    let one = ctx.sql("SELECT 1 AS x").await.unwrap().collect().await.unwrap();
    for name in ["t", "beside"] {
        let table = MemTable::try_new(one[0].schema(), vec![one.clone()]).unwrap();
        below.register_table(name.to_string(), Arc::new(table)).unwrap();
    }
    ctx.catalog("datafusion").unwrap().register_schema("a", Arc::new(below)).unwrap();
    db.register(&ctx).unwrap();
    assert!(answers(&ctx, "SELECT count(v) AS n FROM a.t").await.contains("| 2"));
    assert!(answers(&ctx, "SELECT x FROM a.beside").await.contains("| 1"));
    // `public` is what the context calls its default schema, and public too.
    for table in ["t", "main.t", "public.t"] {
        assert!(answers(&ctx, &format!("SELECT count(*) AS n FROM {table}")).await.contains("| 0"));
    }
    let schemas = answers(&ctx, "SELECT schema_name FROM information_schema.schemata").await;
    assert!(schemas.contains("| a ") && schemas.contains("| main"), "{schemas}");
    // Of two databases each has its own.
    let other = database().await;
    run(&other.session(), "CREATE SCHEMA z").await;
    run(&other.session(), "CREATE TABLE z.t AS SELECT 9 AS x").await;
    other.register(&ctx).unwrap();
    assert!(answers(&ctx, "SELECT x, v FROM z.t, a.t").await.contains("| 9 | 10"));
}

#[tokio::test]
async fn programs_name_tables_with_their_schema() {
    let db = with_schema().await;
    assert_eq!(db.table("a.t").unwrap().row_count().unwrap(), 2);
    assert!(db.create_schema("b", false).await.unwrap());
    assert!(!db.create_schema("b", true).await.unwrap());
    assert!(matches!(db.create_schema("b", false).await, Err(Error::AlreadyExists(_))));
    let columns = db.table("a.t").unwrap().schema().unwrap();
    let named = |name: &str| TableDefinition::new(name, &columns).primary_key(["id"]);
    assert!(db.create_table(named("b.t"), false).await.unwrap());
    assert_eq!(lines(&db.session(), "SELECT count(*) FROM b.t").await, ["0"]);
    assert!(matches!(db.create_table(named("b.t.u"), false).await, Err(Error::InvalidInput(_))));
    assert!(matches!(db.drop_schema("b", false, false).await, Err(Error::InvalidInput(_))));
    db.drop_schema("b", false, true).await.unwrap();
    db.drop_schema("b", true, true).await.unwrap();
    assert!(matches!(db.drop_schema("b", false, true).await, Err(Error::NotFound(_))));
    // Without the schema the name is one of `public`, as it always was.
    assert!(db.create_table(named("b.t"), false).await.unwrap());
    assert_eq!(lines(&db.session(), "SELECT count(*) FROM \"b.t\"").await, ["0"]);
    assert!(matches!(db.create_schema("b", false).await, Err(Error::InvalidInput(_))));
}

/// Whoever commits first decides what there is.
#[tokio::test]
async fn a_table_is_not_made_in_a_schema_that_is_gone() {
    let db = with_schema().await;
    let (one, other) = (db.session(), db.session());
    run(&one, "CREATE SCHEMA b").await;
    run(&one, "BEGIN").await;
    run(&one, "CREATE TABLE b.t (x INT)").await;
    run(&other, "DROP SCHEMA b").await;
    assert!(matches!(fails(&one, "COMMIT").await, Error::NotFound(_)));
    assert_eq!(db.table_names(), ["a.t", "t"]);
    // What is made in it meanwhile goes too.
    run(&one, "CREATE SCHEMA b").await;
    run(&one, "BEGIN").await;
    run(&one, "DROP SCHEMA b CASCADE").await;
    run(&other, "CREATE TABLE b.t (x INT)").await;
    run(&one, "COMMIT").await;
    assert_eq!(db.table_names(), ["a.t", "t"]);
    assert_eq!(db.schema_names(), ["a"]);
}

/// Like DROP TABLE.
#[tokio::test]
async fn a_schema_is_not_dropped_with_rows_that_others_wrote_meanwhile() {
    let db = with_schema().await;
    let (one, other) = (db.session(), db.session());
    for (id, dropping) in [(8, "DROP TABLE a.t"), (9, "DROP SCHEMA a CASCADE")] {
        run(&one, "BEGIN").await;
        run(&one, dropping).await;
        run(&other, &format!("INSERT INTO a.t VALUES ({id}, 0)")).await;
        let error = fails(&one, "COMMIT").await;
        assert!(matches!(error, Error::SerializationFailure(_)), "{dropping}: {error}");
        assert_eq!(lines(&one, "SELECT max(id) FROM a.t").await, [id.to_string()]);
    }
}

#[tokio::test]
async fn a_transaction_sees_schemas_as_they_were() {
    let db = with_schema().await;
    let (one, other) = (db.session(), db.session());
    run(&one, "BEGIN").await;
    run(&other, "DROP SCHEMA a CASCADE").await;
    assert_eq!(lines(&one, "SELECT count(*) FROM a.t").await, ["2"]);
    let schemas = "SELECT schema_name FROM information_schema.schemata ORDER BY 1";
    assert_eq!(lines(&one, schemas).await, ["a", "public"]);
    run(&one, "ROLLBACK").await;
    assert_eq!(lines(&one, schemas).await, ["public"]);
    fails(&one, "SELECT count(*) FROM a.t").await;
}
