//! Databases that lie here as files, one for each version of the format: every program since reads
//! them, says the rows that `rows.txt` says, and goes on from them.
//!
//! Each has tables of every type of key and of value, in segments, with rows marked deleted, after
//! a compaction, with entries in indexes and columns that came and went since; views; and a log
//! with statements of every kind that no segment holds: it was never closed. What the power leaves
//! when it fails while such a database is opened is opened again.
//!
//! `OMEN_BLESS=1 cargo test -p omen-tests golden` makes the one of the present version anew. Before
//! the first release that is done whenever the format changes; then never again, but for a version
//! that has not been released.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use futures::TryStreamExt;
use omen_provider::store::Store;
use omen_provider::{Database, Key, Options, TableDefinition};

use crate::arrow_types::{columns, parquet_holds};
use crate::faulty_disk::files::FaultyFiles;
use crate::harness::media::small;
use crate::harness::{assert_sound, block_on, block_on_one_thread, drawn, log_kinds, query, run};

/// The present version of the format.
const FORMAT: &str = "1";
/// Where a database lies, but for what means nothing when it is not open.
const FOLDERS: [&str; 3] = ["log", "manifest", "segments"];
/// The rows, as they are printed.
const ROWS: &str = "rows.txt";
/// The longest line that is printed as it is.
const LINE_BYTES: usize = 160;
/// Power cuts, at most.
const POINTS: usize = 12;
/// Rows of the table with columns of every type.
const COUNT: usize = 5;

type Files = BTreeMap<String, Vec<u8>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The versions of which there is a database.
fn versions() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// The files of a database by their names.
fn files(database: &Path) -> Files {
    let mut found = Files::new();
    for folder in FOLDERS.iter().filter(|folder| database.join(folder).is_dir()) {
        for entry in fs::read_dir(database.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

fn write(database: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = database.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn definition(name: &str, batch: &RecordBatch, key: &str) -> TableDefinition {
    let columns = batch.schema().fields().iter().map(|f| (f.as_ref().clone(), None)).collect();
    TableDefinition {
        name: name.to_string(),
        columns,
        key: vec![key.to_string()],
        checks: Vec::new(),
        uniques: Vec::new(),
        identity: None,
    }
}

/// A row for each value of the column, which is the key, repeated or cut to so many rows.
fn resized(column: &ArrayRef) -> ArrayRef {
    let rows = UInt32Array::from_iter_values((0..COUNT).map(|row| (row % column.len()) as u32));
    take(column, &rows, None).unwrap()
}

/// One table with a column of every type.
fn values() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..COUNT as i64));
    let held = columns::all().into_iter().filter(parquet_holds);
    let columns: Vec<ArrayRef> = [ids].into_iter().chain(held.map(|c| resized(&c))).collect();
    let field = |(i, column): (usize, &ArrayRef)| {
        Field::new(format!("c{i}"), column.data_type().clone(), i > 0)
    };
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// A table for every type that can be a key.
async fn make_keys(database: &Database) {
    for (number, column) in columns::all().into_iter().enumerate() {
        let there: Vec<u32> =
            (0..column.len() as u32).filter(|&i| column.is_valid(i as usize)).collect();
        let keys = take(&column, &UInt32Array::from(there), None).unwrap();
        let field = Field::new("k", keys.data_type().clone(), false);
        let schema = Arc::new(Schema::new(vec![field]));
        let Ok(batch) = RecordBatch::try_new(schema, vec![keys]) else { continue };
        let name = format!("k{number}");
        if database.create_table(definition(&name, &batch, "k"), false).await.is_err() {
            continue;
        }
        // Not every value can be a key: of floating-point numbers, NaN cannot.
        for row in 0..batch.num_rows() {
            let _ = database.table(&name).unwrap().upsert(batch.slice(row, 1)).await;
        }
    }
}

/// A table with all that can be declared, in a segment that was written before most of it; its
/// columns afterwards, and those of its identity.
const DECLARED: [&str; 3] = [
    "CREATE TABLE declared (id BIGINT GENERATED BY DEFAULT AS IDENTITY (START WITH 100 \
     INCREMENT BY 10) PRIMARY KEY, mail TEXT UNIQUE, size INT CHECK (size > 0), gone TEXT, \
     day DATE)",
    "INSERT INTO declared (mail, size, gone, day) VALUES ('a', 1, 'x', DATE '2026-11-01'), \
     ('b', 2, NULL, NULL), (NULL, 3, 'z', DATE '2026-11-03')",
    "INSERT INTO declared VALUES (1000, 'far', 4, NULL, NULL)",
];
const ALTERED: [&str; 11] = [
    "CREATE INDEX many_by_n ON many (n, name)",
    "ALTER TABLE declared DROP COLUMN gone, ALTER COLUMN size TYPE BIGINT, \
     RENAME COLUMN mail TO address, ADD COLUMN state TEXT NOT NULL DEFAULT 'old', \
     ALTER COLUMN size SET NOT NULL",
    "ALTER TABLE declared ADD CONSTRAINT short CHECK (char_length(address) < 20)",
    "CREATE VIEW ends AS SELECT id, n FROM many WHERE n IN (777, 1500)",
    "CREATE VIEW dropped AS SELECT 1 AS one",
    "CREATE TABLE emptied (id INT PRIMARY KEY, v TEXT)",
    "CREATE SCHEMA kept",
    "CREATE TABLE kept.k AS SELECT 1 AS id",
    "CREATE SCHEMA passing",
    "COMMENT ON TABLE many IS 'of many rows'",
    "COMMENT ON INDEX many_by_n IS 'by number'",
];

/// Statements for the log alone, the last of them a transaction with a bulk statement, whose
/// segment is named by the log. It asks for a flush, which nobody is there to carry out.
const LOGGED: [&str; 20] = [
    "INSERT INTO declared (address, size, day) VALUES ('in the log', 5, DATE '2026-11-04')",
    "UPDATE declared SET size = size * 2 WHERE address = 'b'",
    "ALTER TABLE declared RENAME COLUMN day TO at, \
     ADD COLUMN later INT DEFAULT 4 CHECK (later < 9)",
    "CREATE VIEW middle AS SELECT id, n FROM many WHERE n BETWEEN 1494 AND 1500",
    "DROP VIEW dropped",
    "CREATE SCHEMA later",
    "DROP SCHEMA passing",
    "COMMENT ON SCHEMA kept IS 'to stay'",
    "COMMENT ON COLUMN many.n IS 'a number'",
    "TRUNCATE TABLE emptied",
    "INSERT INTO emptied VALUES (3, 'after')",
    "CREATE TABLE late (id BIGINT PRIMARY KEY, text TEXT, n SERIAL)",
    "BEGIN",
    "CREATE TABLE made (id INT GENERATED ALWAYS AS IDENTITY, v INT, w FLOAT, UNIQUE (v, id))",
    "INSERT INTO made (v, w) VALUES (1, 0.5), (2, NULL)",
    "CREATE INDEX made_by_v ON made (v)",
    "ALTER TABLE made ALTER COLUMN w TYPE DOUBLE",
    "DELETE FROM many WHERE name = 'name 3' AND id = 3",
    "INSERT INTO late (id, text) SELECT value, lpad(CAST(value AS TEXT), 80, '0') \
     FROM generate_series(0, 3999) AS g(value)",
    "COMMIT",
];

async fn run_all(database: &Database, statements: &[&str]) {
    let session = database.session();
    for sql in statements {
        session.sql(sql).await.unwrap().collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

/// Makes a database and leaves it unclosed.
async fn make(directory: &Path) {
    let options = Options { memtable_bytes_max: 512 << 10, ..small() };
    let database = options.open(directory).await.unwrap();
    make_keys(&database).await;
    run_all(&database, &DECLARED).await;
    let values = values();
    database.create_table(definition("types", &values, "c0"), false).await.unwrap();
    database.table("types").unwrap().insert(values.slice(0, 3)).await.unwrap();
    run(
        &database,
        "CREATE TABLE many (name TEXT, id BIGINT, n BIGINT DEFAULT 7, \
                    PRIMARY KEY (name, id))",
    )
    .await;
    let series = "generate_series(0, 599) AS g(value)";
    let insert = format!("SELECT 'name ' || (value % 7), value, value * 3 FROM {series}");
    run(&database, &format!("INSERT INTO many {insert}")).await;
    run(&database, "CREATE TABLE free (line TEXT)").await;
    run(&database, "INSERT INTO free VALUES ('a'), ('b')").await;
    run(&database, "CREATE TABLE gone (id BIGINT PRIMARY KEY)").await;
    let long = "repeat('long ', 200) || value";
    run(&database, "CREATE TABLE long (id TEXT PRIMARY KEY)").await;
    run(
        &database,
        &format!("INSERT INTO long SELECT {long} FROM generate_series(1, 9) AS g(value)"),
    )
    .await;
    database.compact().await.unwrap();
    run_all(&database, &ALTERED).await;
    run(&database, "INSERT INTO emptied VALUES (1, 'before'), (2, NULL)").await;
    // Marks on segments, and a second segment beside the first.
    let some = format!("SELECT 'name ' || (value % 7), value, 0 - value FROM {series}");
    run(&database, &format!("INSERT OR REPLACE INTO many {some} WHERE value % 9 = 0")).await;
    database.table("types").unwrap().delete([1]).await.unwrap();
    database.checkpoint().await.unwrap();
    // What only the log has: rows of every type, marks, tables made and dropped, segments attached.
    database.table("types").unwrap().upsert(values.slice(2, 3)).await.unwrap();
    run(&database, "INSERT INTO many (name, id) VALUES ('only in the log', 1)").await;
    run(&database, "INSERT OR REPLACE INTO many VALUES ('name 0', 0, 0), ('name 1', 1, 1)").await;
    database.table("many").unwrap().delete([("name 2", 2)]).await.unwrap();
    run(&database, "INSERT INTO free VALUES ('c')").await;
    run(&database, "DROP TABLE gone").await;
    run_all(&database, &LOGGED).await;
}

/// All rows and definitions of a database as text.
async fn rows(database: &Database) -> String {
    let mut text = String::new();
    for name in database.table_names() {
        let batches = match name.as_str() {
            // Enough to tell them.
            "late" => {
                query(database, "SELECT count(*), sum(id), max(text), max(n) FROM late").await
            }
            "long" => query(database, "SELECT substr(id, 996) FROM long ORDER BY id").await,
            "free" => query(database, "SELECT * FROM free ORDER BY line").await,
            name => {
                let rows = database.table(name).unwrap().range::<Key>(..);
                rows.try_collect().await.unwrap()
            }
        };
        // A column at a time: lines are short, and a change shows where it is.
        for column in 0..batches.first().map_or(0, RecordBatch::num_columns) {
            let batches: Vec<_> = batches.iter().map(|b| b.project(&[column]).unwrap()).collect();
            let drawn = pretty_format_batches(&batches).unwrap().to_string();
            let lines = drawn.lines().map(shortened).collect::<String>();
            text.push_str(&format!("{name}\n{lines}\n"));
        }
    }
    // The views are answered by an index.
    for view in ["ends", "middle"] {
        let found = drawn(database, &format!("SELECT * FROM {view} ORDER BY id")).await;
        text.push_str(&format!("{view}\n{found}\n\n"));
    }
    text.push_str(&definitions(database).await);
    text.push_str(&format!("schemas: {:?}\n", database.schema_names()));
    let comments = "SELECT object_type, object_name, comment FROM omen_comments ORDER BY 1, 2";
    text.push_str(&format!("{}\n", drawn(database, comments).await));
    text
}

/// What tables, views and indexes are, one a line.
async fn definitions(database: &Database) -> String {
    let defined = "SELECT definition FROM information_schema.views ORDER BY table_name";
    let mut text = String::new();
    for batch in query(database, defined).await {
        for definition in batch.column(0).as_string::<i32>().iter().flatten() {
            text.push_str(&shortened(definition));
        }
    }
    for table in database.inspect().await.tables {
        for index in table.indexes.iter().filter(|index| !index.is_primary) {
            let (name, unique) = (&index.name, index.is_unique);
            let index = format!("{name:?} {:?} unique {unique}", index.columns);
            text.push_str(&format!("index of {}: {index}\n", table.name));
        }
    }
    text
}

/// What rows get that bring no number, on each identity column, in the database that goes on.
const NUMBERED: [(&str, &str); 3] = [
    ("INSERT INTO declared (address, size) VALUES ('next', 1) RETURNING id", "1020"),
    ("INSERT INTO made (v) VALUES (9) RETURNING id", "3"),
    ("INSERT INTO late (id) VALUES (-1) RETURNING n", "4001"),
];

/// A line that is not too long, or what tells it from others.
fn shortened(line: &str) -> String {
    if line.len() <= LINE_BYTES {
        return format!("{}\n", line.trim_end());
    }
    // FNV-1a.
    let hash = line.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let start: String = line.chars().take(40).collect();
    format!("{start} ... {} bytes, {hash:016x}\n", line.len())
}

async fn open(store: Store, read_only: bool) -> Database {
    Options { read_only, ..small() }.open_store(store).await.unwrap()
}

/// Makes the database of the present version anew, if that is asked for; once for all tests.
fn bless() {
    static BLESSED: Once = Once::new();
    if std::env::var_os("OMEN_BLESS").is_some() {
        BLESSED.call_once(make_golden);
    }
}

fn make_golden() {
    let made = tempfile::tempdir().unwrap();
    // On one thread, where nothing is flushed in the background at the end.
    block_on_one_thread(make(made.path()));
    let target = folder().join(FORMAT);
    let _ = fs::remove_dir_all(&target);
    write(&target, &files(made.path()));
    let text = block_on(async { rows(&open(Store::local(made.path()), true).await).await });
    fs::write(target.join(ROWS), text).unwrap();
}

/// What there may be in a log is in that of the present version, but for what closes a log.
#[test]
fn the_log_has_records_of_every_kind() {
    bless();
    let files = files(&folder().join(FORMAT));
    let logs = files.iter().filter(|(name, _)| name.starts_with("log/"));
    let found: Vec<u8> = logs.flat_map(|(_, bytes)| log_kinds::of_log(bytes)).collect();
    let missing: Vec<u8> =
        log_kinds::of_format().into_iter().filter(|kind| !found.contains(kind)).collect();
    const SEAL: u8 = 16;
    assert_eq!(missing, [SEAL]);
}

#[test]
fn databases_of_every_version_are_read_and_gone_on_from() {
    bless();
    assert!(versions().contains(&folder().join(FORMAT)), "none of the present version");
    for version in versions() {
        let expected = fs::read_to_string(version.join(ROWS)).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let before = files(&version);
        write(scratch.path(), &before);
        block_on(async {
            let said = |found: String, when: &str| {
                assert!(found == expected, "{} {when}:\n{found}", version.display());
            };
            let database = open(Store::local(scratch.path()), true).await;
            assert_sound(&database).await;
            said(rows(&database).await, "read-only");
            drop(database);
            assert!(files(scratch.path()) == before, "a reader writes");

            let database = small().open(scratch.path()).await.unwrap();
            said(rows(&database).await, "opened for writing");
            database.checkpoint().await.unwrap();
            said(rows(&database).await, "flushed");
            database.compact().await.unwrap();
            assert_sound(&database).await;
            said(rows(&database).await, "compacted");
            run(&database, "INSERT INTO free VALUES ('d')").await;
            for (sql, number) in NUMBERED {
                let found = drawn(&database, sql).await;
                assert!(found.contains(&format!("| {number} ")), "{sql}: {found}");
            }
            for sql in [
                "INSERT INTO declared (address, size) VALUES ('b', 1)",
                "INSERT INTO declared (address, size) VALUES ('c', -1)",
                "INSERT INTO declared (address, size) VALUES ('longer than twenty characters', 1)",
                "INSERT INTO made (id, v) VALUES (1, 1)",
            ] {
                let refused = database.session().sql(sql).await;
                let refused = match refused {
                    Ok(frame) => frame.collect().await.map(drop),
                    Err(error) => Err(error),
                };
                assert!(refused.is_err(), "{sql}");
            }
            database.close().await.unwrap();
            let database = small().open(scratch.path()).await.unwrap();
            assert_eq!(database.table("free").unwrap().row_count().unwrap(), 4);
        });
    }
}

/// The first opening for writing is also what brings files to the present version.
#[test]
fn a_power_cut_while_an_older_database_is_opened_loses_nothing() {
    bless();
    for version in versions() {
        let expected = fs::read_to_string(version.join(ROWS)).unwrap();
        block_on(async {
            let disk = FaultyFiles::new();
            let store = disk.store();
            for (name, bytes) in files(&version) {
                let bytes = Bytes::from(bytes);
                if name.starts_with("log/") {
                    let mut log = store.logs.create(&name).await.unwrap();
                    log.append(bytes).await.unwrap();
                    log.sync().await.unwrap();
                } else {
                    store.blobs.put_if_absent(&name, bytes).await.unwrap();
                }
            }
            disk.record();
            drop(open(disk.store(), false).await);
            let snapshots = disk.snapshots();
            assert!(snapshots.len() > 5, "{} changes", snapshots.len());
            let points = snapshots.iter().enumerate().step_by(snapshots.len() / POINTS + 1);
            for (change, snapshot) in points {
                let left = snapshot.after_power_cut(change as u64);
                let database = open(left.store(), false).await;
                let found = rows(&database).await;
                assert!(found == expected, "before change {change}:\n{found}");
            }
        });
    }
}
