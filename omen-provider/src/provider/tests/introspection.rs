//! What sessions tell of their database, where a script of SQL cannot look: damage, options,
//! contexts, sessions beside one another.

use std::path::Path;

use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use tempfile::TempDir;

use super::*;
use crate::{Error, Session};

/// A database in a folder, of a table with an index, all of it in files.
async fn in_folder() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).await.unwrap();
    let session = db.session();
    run(&session, "CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    run(&session, "INSERT INTO t SELECT value, value % 7 FROM generate_series(1, 3000)").await;
    run(&session, "CREATE INDEX by_v ON t (v)").await;
    db.checkpoint().await.unwrap();
    (folder, db)
}

async fn read_only(folder: &Path) -> Database {
    Options { read_only: true, ..Options::default() }.open(folder).await.unwrap()
}

async fn file_of(session: &Session, index: &str) -> String {
    let sql = format!("SELECT file FROM omen_indexes WHERE index_name = '{index}'");
    lines(session, &sql).await.remove(0)
}

#[tokio::test]
async fn integrity_check_names_the_damage() {
    let (folder, db) = in_folder().await;
    let session = db.session();
    assert_eq!(lines(&session, "PRAGMA integrity_check").await, ["ok"]);
    let file = file_of(&session, "t_pkey").await;
    assert_eq!(file, lines(&session, "SELECT file FROM omen_parts").await[0]);
    let path = folder.path().join(&file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let problems = lines(&session, "PRAGMA integrity_check").await;
    assert!(problems.iter().any(|problem| problem.contains(&file)), "{problems:?}");
    assert_eq!(lines(&session, "PRAGMA quick_check").await, problems);
}

#[tokio::test]
async fn a_part_without_entries_says_so() {
    let (folder, db) = in_folder().await;
    let parts = "SELECT indexes || '/' || missing_indexes AS i FROM omen_parts";
    let indexes = "SELECT index_name, keys, model_bytes > 0 AS m FROM omen_indexes ORDER BY 1";
    let session = db.session();
    assert_eq!(lines(&session, parts).await, ["by_v/"]);
    assert_eq!(lines(&session, indexes).await, ["by_v,3000,true", "t_pkey,3000,true"]);
    let file = file_of(&session, "by_v").await;
    db.close().await.unwrap();
    std::fs::remove_file(folder.path().join(file)).unwrap();
    let db = read_only(folder.path()).await;
    let session = db.session();
    assert_eq!(lines(&session, parts).await, ["/by_v"]);
    assert_eq!(lines(&session, indexes).await, ["by_v,,", "t_pkey,3000,true"]);
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE v = 3").await, 429);
}

#[tokio::test]
async fn figures_of_indexes_are_those_of_inspection() {
    let (_folder, db) = in_folder().await;
    let session = db.session();
    let inspection = db.inspect().await;
    let (table, part) = (&inspection.tables[0], &inspection.tables[0].parts[0]);
    let names: Vec<_> = table.indexes.iter().map(|index| index.name.as_deref()).collect();
    assert_eq!(names, [Some("t_pkey"), Some("by_v")]);
    for entries in &part.entries {
        let model = entries.model.unwrap();
        let name = entries.name.as_deref().unwrap();
        let shown = format!(
            "SELECT bytes, model_bytes, root_cells, leaves, knots, search_max FROM omen_indexes \
             WHERE index_name = '{name}'"
        );
        let figures = [model.bytes, model.cells, model.leaves, model.knots, model.range_max]
            .map(|n| n as u64);
        let expected: Vec<String> =
            [&[entries.bytes][..], &figures[..]].concat().iter().map(ToString::to_string).collect();
        assert_eq!(lines(&session, &shown).await, [expected.join(",")]);
    }
    assert_eq!(part.index, part.entries[0].model);
    assert!(part.entries[1].bytes > part.entries[1].model.unwrap().bytes as u64);
}

#[tokio::test]
async fn settings_say_how_the_database_was_opened_and_are_of_all_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { row_group_rows: 5_000, ..Options::within_memory(64 << 20) };
    let db = options.may_lose_last_ms(20).open(folder.path()).await.unwrap();
    let (one, other) = (db.session(), db.session());
    let shown = "SELECT name, value, source FROM omen_settings WHERE name IN ('omen.durability', \
                 'omen.row_group_rows', 'omen.reserve_bytes', 'omen.query_bytes_max') ORDER BY 1";
    let opened = [
        "omen.durability,may_lose_last_ms(20),options",
        "omen.query_bytes_max,33554432,options",
        "omen.reserve_bytes,16777216,default",
        "omen.row_group_rows,5000,options",
    ];
    assert_eq!(lines(&one, shown).await, opened);
    run(&one, "SET omen.query_bytes_max = '16M'").await;
    assert_eq!(lines(&other, "SHOW omen.query_bytes_max").await, ["omen.query_bytes_max,16777216"]);
    assert_eq!(lines(&other, shown).await[1], "omen.query_bytes_max,16777216,set");
    // In whatever way DataFusion is told.
    run(&other, "SET datafusion.runtime.memory_limit = '8M'").await;
    assert_eq!(lines(&one, shown).await[1], "omen.query_bytes_max,8388608,set");
    other.context().sql("SET omen.query_bytes_max = 4194304").await.unwrap();
    assert_eq!(lines(&one, shown).await[1], "omen.query_bytes_max,4194304,set");
    run(&one, "RESET omen.query_bytes_max").await;
    assert_eq!(lines(&one, shown).await, opened);
    let refused = fails(&one, "SET omen.durability = 'sync'").await;
    assert!(matches!(&refused, Error::InvalidInput(m) if m.contains("Options::may_lose_last_ms")));
}

#[tokio::test]
async fn contexts_of_applications_stay_as_they_are() {
    let db = database().await;
    let config = SessionContext::new().copied_config().with_information_schema(true);
    let ctx = SessionContext::new_with_config(config);
    db.register(&ctx).unwrap();
    assert!(ctx.sql("SELECT * FROM omen_parts").await.is_err());
    assert!(ctx.sql("SELECT * FROM information_schema.table_constraints").await.is_err());
    ctx.sql("SELECT * FROM information_schema.tables").await.unwrap().collect().await.unwrap();
    ctx.sql("CREATE VIEW omen_parts AS SELECT 1 AS a").await.unwrap();

    let session = db.session();
    let rows = run(&session, "SELECT 1 AS a").await;
    let table = Arc::new(MemTable::try_new(rows[0].schema(), vec![rows]).unwrap());
    let refused = session.context().register_table("omen_parts", table);
    assert!(refused.unwrap_err().to_string().contains("choose another"));

    let config = Session::default_config().with_information_schema(false);
    let session = db.session_with_config(config);
    assert!(session.sql("SELECT * FROM information_schema.tables").await.is_err());
    run(&session, "SELECT * FROM omen_parts").await;
}

#[tokio::test]
async fn a_session_that_told_keeps_nobody_from_opening_the_database() {
    let (folder, db) = in_folder().await;
    {
        let session = db.session();
        run(&session, "SELECT * FROM information_schema.columns").await;
        run(&session, "SHOW ALL").await;
        run(&session, "SELECT * FROM omen_settings, omen_log, omen_parts").await;
    }
    drop(db);
    // Refused while anything holds the database.
    let db = Database::open(folder.path()).await.unwrap();
    assert_eq!(number(&db.session(), "SELECT count(*) FROM t").await, 3000);
}

#[tokio::test]
async fn a_read_only_transaction_is_told_of_its_moment() {
    let (_folder, db) = in_folder().await;
    let (reader, writer) = (db.session(), db.session());
    let rows = "SELECT sum(rows) FROM omen_parts";
    run(&reader, "BEGIN READ ONLY").await;
    run(&writer, "INSERT INTO t VALUES (9999, 1)").await;
    run(&writer, "CREATE TABLE later (id INT PRIMARY KEY)").await;
    let tables = "SELECT count(DISTINCT table_name) FROM information_schema.table_constraints";
    assert_eq!((number(&reader, rows).await, number(&reader, tables).await), (3000, 1));
    run(&reader, "COMMIT").await;
    assert_eq!((number(&reader, rows).await, number(&reader, tables).await), (3001, 2));
}
