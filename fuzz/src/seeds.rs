//! What the targets begin with: inputs made of the files of a small database, and statements.
//!
//! Called by the targets, and by the repository's tests, which compile this file too.

use std::fs;
use std::path::Path;

use omen_provider::fuzzing::inputs;
use omen_provider::{Database, Options};

/// What fills the database. A line of dashes is a checkpoint, a line of dots a copy of all files;
/// rows are deleted by key, which is not SQL.
const SCRIPT: &str = "
    CREATE TABLE n (id BIGINT PRIMARY KEY, v INT, s TEXT)
    CREATE TABLE t (k TEXT PRIMARY KEY, d DOUBLE, b BOOLEAN)
    CREATE TABLE c (a INT, b TEXT, x DECIMAL(10, 2) DEFAULT 1.5, PRIMARY KEY (a, b))
    CREATE TABLE h (v BIGINT, l INT[])
    CREATE TABLE w (k TEXT PRIMARY KEY)
    CREATE TABLE p (k TEXT PRIMARY KEY, wide TEXT)
    CREATE TABLE g (id INT PRIMARY KEY, wide TEXT)
    CREATE TABLE q AS SELECT 7 AS n, arrow_cast('red', 'Dictionary(Int32, Utf8)') AS colour
    INSERT INTO n SELECT value, NULLIF(value % 5, 0), 'row ' || value \
        FROM generate_series(1, 24) AS g(value)
    INSERT INTO t VALUES ('', 1.5, true), ('a', NULL, NULL), ('ab', -0.0, false), ('é', 2, true)
    INSERT INTO c VALUES (1, 'x', 1.25), (1, 'y', NULL), (-3, '', 9)
    INSERT INTO h VALUES (1, [1, 2]), (2, NULL), (NULL, [])
    ....
    ----
    ....
    INSERT OR REPLACE INTO n VALUES (3, 1, 'new'), (4, NULL, NULL), (900, 1, 'far')
    delete from t: a
    DROP TABLE q
    ....
    ----
    ....
    INSERT INTO w SELECT '/srv/some/where/' || (value % 7) || '/' || value \
        FROM generate_series(1, 900) AS g(value)
    INSERT INTO p SELECT 'key ' || value, repeat('p', 1000) FROM generate_series(1, 400) AS g(value)
    INSERT INTO g SELECT value * 3, repeat('g', 1000) FROM generate_series(1, 400) AS g(value)
    INSERT INTO n SELECT value * value, 1, 'x' FROM generate_series(40, 300) AS g(value)
    ----
    ....
";

/// Statements, one a line.
const STATEMENTS: &str = include_str!("statements.sql");

/// The seeds of a target; none if there is no such target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "sql" => statements().map(|text| text.as_bytes().to_vec()).collect(),
        target => {
            let mut seeds = from_files();
            seeds.retain(|(name, _)| *name == target);
            let mut seeds: Vec<_> = seeds.into_iter().map(|(_, input)| input).collect();
            seeds.sort_by_key(|input| (input.len(), input.clone()));
            seeds.dedup();
            seeds
        }
    }
}

/// The statements that the target for SQL begins with; all of them are right.
pub fn statements() -> impl Iterator<Item = &'static str> {
    STATEMENTS.lines().filter(|line| !line.is_empty() && !line.starts_with("--"))
}

fn from_files() -> Vec<(&'static str, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("db");
    runtime.expect("a runtime").block_on(async {
        let options = Options { reserve_bytes: 0, row_group_rows: 256, ..Options::default() };
        let database = options.open(&path).await.expect("a database");
        let mut found = Vec::new();
        for line in SCRIPT.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line {
                "----" => database.checkpoint().await.expect("a checkpoint"),
                "...." => found.extend(inputs(&files(&path))),
                line => match line.strip_prefix("delete from t: ") {
                    Some(key) => delete(&database, key).await,
                    None => run(&database, line).await,
                },
            }
        }
        database.close().await.expect("to close");
        found.extend(inputs(&files(&path)));
        found
    })
}

async fn delete(database: &Database, key: &str) {
    let table = database.table("t").expect("a table");
    assert_eq!(table.delete([key]).await.expect("to delete"), 1);
}

async fn run(database: &Database, sql: &str) {
    let frame = database.session().sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// The files of a database, by name.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in ["log", "manifest", "segments"] {
        // (It is made when it is needed.)
        for entry in fs::read_dir(path.join(folder)).into_iter().flatten() {
            let path = entry.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            found.push((format!("{folder}/{name}"), fs::read(&path).expect("a file")));
        }
    }
    found.sort();
    found
}
