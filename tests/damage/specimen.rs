//! Databases to be damaged: each with all that it may say for itself afterwards.
//!
//! Called by the tests of this folder. Everything is made the same way each time but for random
//! identities (database, log, writer): on one thread, and what goes on in the background, which
//! compacts what was emptied, is done before the next statement.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use omen_provider::store::Store;
use omen_provider::{Database, Key, Options, Result, Session};

use crate::harness::failing_store::{Call, Effect, Failing};
use crate::harness::log_kinds;
use crate::harness::media::small;
use crate::harness::{block_on, block_on_one_thread, drawn, let_it_work, run};

/// Files by the path below their database's directory.
pub type FileList = Vec<(PathBuf, Vec<u8>)>;

/// A database on which nobody works.
pub struct Specimen {
    /// What it is like.
    pub name: &'static str,
    /// Its files.
    pub files: FileList,
    /// Earlier contents of these files, and files that it had before.
    pub older: FileList,
    /// All that it says, drawn: as it was before each statement that the newest log alone holds;
    /// the last is what the database holds.
    pub states: Vec<String>,
}

impl Specimen {
    /// One of each kind.
    pub fn all() -> Vec<Self> {
        vec![Self::closed(), Self::unclosed(), Self::two_logs()]
    }

    /// Tables, one of them altered since its segment was written, segments, their entries in
    /// indexes, marks, a view; its log is sealed.
    pub fn closed() -> Self {
        Self::make("closed", |folder, history| {
            block_on_one_thread(async {
                let database = options().open(folder).await.unwrap();
                fill(&database, folder, history).await;
                let state = everything(&database).await.unwrap();
                database.close().await.unwrap();
                vec![state]
            })
        })
    }

    /// The same, with statements that are in the log alone, among them a row full of zeros.
    pub fn unclosed() -> Self {
        Self::make("unclosed", |folder, history| {
            block_on_one_thread(async {
                let database = options().open(folder).await.unwrap();
                fill(&database, folder, history).await;
                database.checkpoint().await.unwrap();
                write(&database, folder, history).await
            })
        })
    }

    /// The same, in the middle of a flush: its log is sealed and its successor holds statements,
    /// the last of which ask for a flush, and one attached a segment.
    pub fn two_logs() -> Self {
        Self::make("two logs", |folder, history| {
            block_on_one_thread(async {
                let failing = Failing::new(Store::local(folder));
                let database = options().open_store(failing.store()).await.unwrap();
                fill(&database, folder, history).await;
                database.checkpoint().await.unwrap();
                run(&database, "INSERT INTO t VALUES ('in the first log')").await;
                let is_manifest =
                    |call, name: &str| call == Call::Put && name.starts_with("manifest");
                failing.fail(is_manifest, Effect::Nothing);
                assert!(database.checkpoint().await.is_err());
                let mut states = write(&database, folder, history).await;
                let flushing = [
                    "BEGIN",
                    "CREATE INDEX l_wide ON l (wide)",
                    // Long enough for a segment of its own.
                    "INSERT INTO l (wide) \
                     SELECT repeat('wide', 3000) FROM generate_series(1, 20)",
                    "COMMIT",
                ];
                carry_out(&database, &flushing, folder, history, &mut states).await;
                states
            })
        })
    }

    fn make(name: &'static str, work: impl FnOnce(&Path, &mut FileList) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut older = FileList::new();
        let states = work(&path, &mut older);
        let files = files(&path);
        older.sort();
        older.dedup();
        older.retain(|old| !files.contains(old));
        Self { name, files, older, states }
    }

    /// The place of the log that was written last.
    pub fn newest_log(&self) -> usize {
        let is_log = |(name, _): &(PathBuf, Vec<u8>)| name.extension().is_some_and(|e| e == "log");
        self.files.iter().rposition(is_log).expect("a log")
    }
}

/// Nothing is flushed but when it is asked for.
fn options() -> Options {
    Options { memtable_bytes_max: 256 << 10, ..small() }
}

/// Tables with segments and entries, marks on the first of them, and a view; what is altered when
/// the segments are there.
async fn fill(database: &Database, folder: &Path, history: &mut FileList) {
    for sql in [
        "CREATE TABLE n (id BIGINT PRIMARY KEY, v BIGINT, s TEXT)",
        "CREATE TABLE t (k TEXT PRIMARY KEY)",
        "CREATE TABLE u (id INT GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5) \
         PRIMARY KEY, mail TEXT UNIQUE, size INT CHECK (size > 0), gone TEXT)",
        "CREATE TABLE gone (id INT PRIMARY KEY)",
        "CREATE SCHEMA kept",
        "CREATE TABLE kept.k (id INT PRIMARY KEY)",
        "CREATE SCHEMA passing",
        "COMMENT ON TABLE n IS 'numbers'",
    ] {
        run(database, sql).await;
        let_it_work().await;
    }
    history.extend(files(folder));
    for sql in [
        "INSERT INTO n SELECT value, value * 7, 'row ' || value \
         FROM generate_series(0, 699) AS g(value)",
        "INSERT INTO t VALUES ('a'), ('b'), ('c'), (repeat('long ', 60))",
        "INSERT INTO u (mail, size, gone) VALUES ('a', 1, 'x'), ('b', 2, NULL), (NULL, 3, 'z')",
    ] {
        run(database, sql).await;
        let_it_work().await;
    }
    history.extend(files(folder));
    database.checkpoint().await.unwrap();
    history.extend(files(folder));
    for sql in [
        "CREATE INDEX n_v ON n (v)",
        "CREATE VIEW ends AS SELECT id, s FROM n WHERE v IN (777, 1400) \
         UNION ALL (SELECT id, s FROM n ORDER BY v DESC LIMIT 3)",
        "ALTER TABLE u DROP COLUMN gone, ALTER COLUMN size TYPE BIGINT, \
         RENAME COLUMN mail TO address, ADD COLUMN state TEXT NOT NULL DEFAULT 'old', \
         ALTER COLUMN size SET NOT NULL",
        "INSERT OR REPLACE INTO n SELECT value * 50, 1, 'new' \
         FROM generate_series(0, 9) AS g(value)",
    ] {
        run(database, sql).await;
        let_it_work().await;
    }
    history.extend(files(folder));
}

/// Statements for the log, of each kind that it can have but for those that are flushed at once;
/// gives the states before and after each.
async fn write(database: &Database, folder: &Path, history: &mut FileList) -> Vec<String> {
    let mut states = vec![everything(database).await.unwrap()];
    let statements = [
        "INSERT INTO n VALUES (2000, 1, 'only in the log')",
        // Zeros are what a power cut leaves too.
        "INSERT INTO n SELECT value, 0, 'zero' FROM generate_series(3000, 3299) AS g(value)",
        "INSERT INTO t VALUES ('d')",
        "TRUNCATE TABLE t",
        "INSERT INTO t VALUES ('e')",
        "DROP VIEW ends",
        "CREATE VIEW middle AS SELECT id, v FROM n WHERE v BETWEEN 1393 AND 1400",
        "DROP TABLE gone",
        "CREATE SCHEMA later",
        "COMMENT ON SCHEMA kept IS 'to stay'",
        "DROP SCHEMA passing",
        "UPDATE u SET size = size + 1 WHERE address = 'b'",
        "ALTER TABLE u DROP COLUMN state, ADD COLUMN later INT DEFAULT 4",
        "CREATE TABLE l (id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v INT UNIQUE, \
         wide TEXT, CHECK (v < 100))",
        "BEGIN",
        "INSERT INTO l (v) VALUES (1), (2)",
        "ALTER TABLE l ADD COLUMN d DATE DEFAULT DATE '2026-01-01'",
        "DELETE FROM n WHERE id = 77",
        "COMMIT",
    ];
    carry_out(database, &statements, folder, history, &mut states).await;
    states
}

/// Carries statements out in one session, and notes the files before each and the state after it;
/// a transaction is as one statement.
async fn carry_out(
    database: &Database,
    statements: &[&str],
    folder: &Path,
    history: &mut FileList,
    states: &mut Vec<String>,
) {
    let session = database.session();
    for sql in statements {
        if !session.in_transaction() {
            history.extend(files(folder));
        }
        session.sql(sql).await.unwrap().collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let_it_work().await;
        if !session.in_transaction() {
            states.push(everything(database).await.unwrap());
        }
    }
}

/// What tables and views are, as text.
const DEFINITIONS: &str = "SELECT table_name, definition FROM information_schema.views";

/// All that a database says of itself, drawn: the rows of all tables, their definitions, and the
/// rows of its views, which are found by an index.
pub async fn everything(database: &Database) -> Result<String> {
    let mut drawn = String::new();
    for table in database.table_names() {
        let rows: Vec<_> = database.table(&table)?.range::<Key>(..).try_collect().await?;
        drawn.push_str(&pretty_format_batches(&rows)?.to_string());
    }
    for table in database.inspect().await.tables {
        drawn.push_str(&format!("\n{}: {:?}", table.name, table.indexes));
    }
    drawn.push_str(&format!("\n{:?}\n", database.schema_names()));
    let session = database.session();
    quick(&session);
    drawn.push_str(&answer(&session, "SELECT * FROM omen_comments").await?);
    let (definitions, names) = definitions(&session).await?;
    drawn.push_str(&definitions);
    for view in names {
        drawn.push_str(&answer(&session, &format!("SELECT * FROM {view}")).await?);
    }
    Ok(drawn)
}

/// Lets a session plan with as little ado as it can: thousands of databases are asked.
fn quick(session: &Session) {
    let state = session.context().state_ref();
    let mut state = state.write();
    let options = state.config_mut().options_mut();
    options.optimizer.max_passes = 1;
    options.execution.target_partitions = 1;
}

/// The definitions of all tables and views, drawn, and the names of the views.
async fn definitions(session: &Session) -> Result<(String, Vec<String>)> {
    let batches = session.sql(DEFINITIONS).await?.collect().await?;
    let mut views = Vec::new();
    for batch in &batches {
        let (names, texts) = (batch.column(0).as_string::<i32>(), batch.column(1));
        let texts = texts.as_string::<i32>();
        let pairs = names.iter().zip(texts).map(|(name, text)| (name.unwrap(), text.unwrap()));
        let of_views = pairs.filter(|(_, text)| text.starts_with("CREATE VIEW"));
        views.extend(of_views.map(|(name, _)| name.to_string()));
    }
    Ok((pretty_format_batches(&batches)?.to_string(), views))
}

/// The answer to a query, drawn; the rows in order of their text.
async fn answer(session: &Session, sql: &str) -> Result<String> {
    let batches = session.sql(sql).await?.collect().await?;
    let drawn = pretty_format_batches(&batches)?.to_string();
    let mut lines: Vec<&str> = drawn.lines().collect();
    lines.sort_unstable();
    Ok(lines.join("\n"))
}

/// Bytes of the space that a log has taken and not used: enough to be damaged too.
const UNUSED_BYTES: usize = 600;

/// All files below a folder, but for the reserve, which nobody reads, and most of the unused space
/// of logs.
pub fn files(folder: &Path) -> FileList {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("reserve") => {}
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_path_buf();
                    let mut bytes = fs::read(&path).unwrap();
                    if name.starts_with("log") {
                        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                        bytes.truncate(used + UNUSED_BYTES);
                    }
                    found.push((name, bytes));
                }
            }
        }
    }
    found.sort();
    found
}

/// Puts files into a folder in the place of whatever is there.
pub fn put(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    let _ = fs::remove_dir_all(folder);
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What there may be in a log is in one, and what `everything` asks an index for is found by it.
#[test]
fn specimens_have_all_that_there_is() {
    let specimens = Specimen::all();
    let is_log = |name: &Path| name.starts_with("log");
    let all = specimens.iter().flat_map(|specimen| specimen.files.iter().chain(&specimen.older));
    let logs = all.filter(|(name, _)| is_log(name));
    let found: Vec<u8> = logs.flat_map(|(_, bytes)| log_kinds::of_log(bytes)).collect();
    for kind in log_kinds::of_format() {
        assert!(found.contains(&kind), "no log has a record of kind {kind}");
    }
    // Statements that are in the log alone; bulk statements ask for a flush, which only fails in
    // the last of the three.
    let [_, unclosed, two_logs] = &specimens[..] else { panic!("{} specimens", specimens.len()) };
    for (specimen, missing) in [(unclosed, &[3, 16][..]), (two_logs, &[16])] {
        let newest = log_kinds::of_log(&specimen.files[specimen.newest_log()].1);
        for kind in log_kinds::of_format() {
            assert_eq!(newest.contains(&kind), !missing.contains(&kind), "{kind}: {newest:?}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &specimens[0].files);
    block_on(async {
        let database = small().open(folder.path()).await.unwrap();
        let plan = drawn(&database, "EXPLAIN SELECT * FROM ends").await;
        assert!(plan.matches("index=n_v").count() > 1, "{plan}");
        let parts = database.inspect().await.tables.into_iter().flat_map(|table| table.parts);
        let entries: usize = parts.map(|part| part.entries.len() - 1).sum();
        assert_eq!(entries, 3, "the entries of n's two segments and of u's");
    });
}
