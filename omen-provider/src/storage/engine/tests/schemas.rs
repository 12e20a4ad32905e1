//! Schemas that come back: from the log of a database that was not closed, and from its manifest.

use super::*;

fn named(name: &str) -> TableDefinition {
    TableDefinition::new(name, &rows([1], "a").schema()).primary_key(["id"])
}

async fn run(db: &Database, sql: &str) {
    db.session().sql(sql).await.unwrap().collect().await.unwrap();
}

/// What there is, with the views.
fn names(db: &Database) -> (Vec<String>, Vec<String>, Vec<String>) {
    (db.schema_names(), db.table_names(), db.snapshot().view_names())
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn schemas_and_what_is_in_them_come_back() {
    for checkpoint in [false, true] {
        let blobs = Arc::new(object_store::memory::InMemory::new());
        let open = || Options::default().open_store(Store::object_store(blobs.clone(), "memory"));
        let db = open().await.unwrap();
        for name in ["a", "b", "gone"] {
            db.create_schema(name, false).await.unwrap();
        }
        for name in ["t", "a.t", "b.t", "gone.t", "gone.u"] {
            db.create_table(named(name), false).await.unwrap();
            db.table(name).unwrap().upsert(rows([1], name)).await.unwrap();
        }
        run(&db, "CREATE VIEW a.v AS SELECT count(*) AS n FROM a.t, b.t").await;
        run(&db, "CREATE VIEW gone.v AS SELECT 1 AS x").await;
        db.drop_schema("gone", false, true).await.unwrap();
        run(&db, "ALTER TABLE b.t RENAME TO u").await;
        if checkpoint {
            // Which would bring about one by itself.
            run(&db, "CREATE INDEX by_note ON b.u (note)").await;
        }
        let mut said = vec!["SCHEMA a", "TABLE a.t", "COLUMN b.u.note", "VIEW a.v"];
        if checkpoint {
            said.insert(3, "INDEX b.by_note");
        }
        for on in &said {
            run(&db, &format!("COMMENT ON {on} IS 'of {on}'")).await;
        }
        let there = (texts(&["a", "b"]), texts(&["a.t", "b.u", "t"]), texts(&["a.v"]));
        assert_eq!(names(&db), there);
        if checkpoint {
            db.checkpoint().await.unwrap();
        }
        // As after a crash: nothing closes it.
        drop(db);
        let db = open().await.unwrap();
        assert_eq!(names(&db), there, "checkpoint: {checkpoint}");
        let schema = Arc::clone(db.snapshot().require("b.u").unwrap().schema());
        assert_eq!((schema.schema_name(), schema.own_name()), (Some("b"), "u"));
        assert_eq!(schema.constraint_name(), "u_pkey");
        let refused = db.drop_schema("a", false, false).await.unwrap_err().to_string();
        assert!(refused.contains("\"a.t\"") && refused.contains("\"a.v\""), "{refused}");
        assert_eq!(db.table("b.u").unwrap().row_count().unwrap(), 1);
        let found = db.session().sql("SELECT comment FROM omen_comments").await.unwrap();
        let found = found.collect().await.unwrap();
        let found: Vec<_> = found[0].column(0).as_string::<i32>().iter().flatten().collect();
        let expected: Vec<_> = said.iter().map(|on| format!("of {on}")).collect();
        assert_eq!(found, expected, "checkpoint: {checkpoint}");
        db.close().await.unwrap();
    }
}

/// One record of the log, which a crash cannot divide.
#[tokio::test]
async fn dropping_a_schema_is_one_statement() {
    let blobs = Arc::new(object_store::memory::InMemory::new());
    let store = Store::object_store(blobs, "memory");
    let db = Options::default().open_store(store).await.unwrap();
    db.create_schema("a", false).await.unwrap();
    for name in ["a.t", "a.u", "a.v"] {
        db.create_table(named(name), false).await.unwrap();
    }
    let before = db.snapshot().lsn();
    db.drop_schema("a", false, true).await.unwrap();
    // Three tables, the schema, and the commit.
    assert_eq!(db.snapshot().lsn() - before, 5);
    assert_eq!(names(&db), (Vec::new(), Vec::new(), Vec::new()));
}
