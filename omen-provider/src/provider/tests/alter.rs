//! Tables that are altered while they are written, flushed and compacted, beside a model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use object_store::memory::InMemory;

use super::{fails, lines, number, run};
use crate::dice::Dice;
use crate::storage::store::Store;
use crate::{Database, Error, Options, Session};

/// What the table should be: columns of integers beside the key, and rows.
#[derive(Debug, Clone, Default)]
struct Model {
    columns: Vec<String>,
    rows: BTreeMap<i64, Vec<Option<i64>>>,
    names: u64,
}

fn value(dice: &mut Dice) -> Option<i64> {
    (dice.below(10) < 7).then(|| dice.below(9) as i64)
}

fn shown(value: Option<i64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn sql(value: Option<i64>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

impl Model {
    fn lines(&self) -> Vec<String> {
        let line = |(id, row): (&i64, &Vec<Option<i64>>)| {
            let values = row.iter().map(|value| format!(",{}", shown(*value)));
            format!("{id}{}", values.collect::<String>())
        };
        self.rows.iter().map(line).collect()
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("c{}", self.names % 7)
    }

    /// A statement, done here: what it is in SQL; none if it makes no sense now.
    fn step(&mut self, dice: &mut Dice) -> Option<String> {
        let place = dice.below(self.columns.len().max(1) as u64) as usize;
        let id = dice.below(60) as i64;
        match dice.below(12) {
            0..=3 => {
                let row: Vec<_> = self.columns.iter().map(|_| value(dice)).collect();
                let values: String = row.iter().map(|value| format!(", {}", sql(*value))).collect();
                self.rows.insert(id, row);
                Some(format!("INSERT OR REPLACE INTO t VALUES ({id}{values})"))
            }
            4 => {
                let (column, value) = (self.columns.get(place)?, value(dice));
                for (_, row) in self.rows.iter_mut().filter(|(other, _)| *other % 3 == id % 3) {
                    row[place] = value;
                }
                let (value, rest) = (sql(value), id % 3);
                Some(format!("UPDATE t SET {column} = {value} WHERE id % 3 = {rest}"))
            }
            5 => {
                self.rows.retain(|other, _| !(id..id + 5).contains(other));
                Some(format!("DELETE FROM t WHERE id >= {id} AND id < {id} + 5"))
            }
            6 | 7 if self.columns.len() < 6 => {
                let name = self.new_name();
                if self.columns.contains(&name) {
                    return None;
                }
                let (missing, kind) = (value(dice), ["INT", "BIGINT"][place % 2]);
                self.columns.push(name.clone());
                self.rows.values_mut().for_each(|row| row.push(missing));
                let default = missing.map_or(String::new(), |value| format!(" DEFAULT {value}"));
                Some(format!("ALTER TABLE t ADD COLUMN {name} {kind}{default}"))
            }
            8 if self.columns.len() > 1 => {
                let name = self.columns.remove(place);
                for row in self.rows.values_mut() {
                    row.remove(place);
                }
                Some(format!("ALTER TABLE t DROP COLUMN {name}"))
            }
            9 => {
                let to = self.new_name();
                if self.columns.contains(&to) {
                    return None;
                }
                let from = std::mem::replace(self.columns.get_mut(place)?, to.clone());
                Some(format!("ALTER TABLE t RENAME COLUMN {from} TO {to}"))
            }
            10 => {
                let column = self.columns.get(place)?;
                Some(format!("ALTER TABLE t ALTER COLUMN {column} TYPE BIGINT"))
            }
            11 => {
                let column = self.columns.get(place)?;
                Some(match self.rows.values().all(|row| row[place].is_some()) {
                    true => format!(
                        "ALTER TABLE t ALTER COLUMN {column} SET NOT NULL, \
                         ALTER COLUMN {column} DROP NOT NULL"
                    ),
                    false => format!("ALTER TABLE t ALTER COLUMN {column} SET DEFAULT {id}"),
                })
            }
            _ => None,
        }
    }

    async fn check(&self, session: &Session, dice: &mut Dice, done: &[String]) {
        let found = lines(session, "SELECT * FROM t ORDER BY id").await;
        assert_eq!(found, self.lines(), "after {done:#?}");
        let Some(column) = self.columns.first() else { return };
        let wanted = dice.below(9) as i64;
        let equal = self.rows.values().filter(|row| row[0] == Some(wanted)).count();
        let sql = format!("SELECT count(*) FROM t WHERE {column} = {wanted}");
        assert_eq!(number(session, &sql).await, equal as i64, "{sql} after {done:#?}");
        let sql = format!("SELECT count(*) FROM t WHERE {column} IS NULL");
        let null = self.rows.values().filter(|row| row[0].is_none()).count();
        assert_eq!(number(session, &sql).await, null as i64, "{sql} after {done:#?}");
    }
}

fn options() -> Options {
    Options { memtable_bytes_max: 32 << 10, row_group_rows: 4_096, ..Options::default() }
}

/// Flushes and compacts over and over.
async fn disturb(db: Arc<Database>, is_done: Arc<AtomicBool>) {
    while !is_done.load(SeqCst) {
        db.checkpoint().await.unwrap();
        db.compact().await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn tables_are_altered_beside_flushes_and_compactions() {
    for seed in 0..6u64 {
        let mut dice = Dice(seed);
        let store = Store::object_store(Arc::new(InMemory::new()), "db");
        let (mut model, mut done) = (Model::default(), Vec::new());
        for round in 0..3 {
            let db = Arc::new(options().open_store(store.clone()).await.unwrap());
            let session = db.session();
            if round == 0 {
                run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
            }
            let is_done = Arc::new(AtomicBool::new(false));
            let other = tokio::spawn(disturb(Arc::clone(&db), Arc::clone(&is_done)));
            for _ in 0..60 {
                let before = model.clone();
                let Some(sql) = model.step(&mut dice) else { continue };
                let undone = dice.below(5) == 0;
                done.push(sql.clone());
                if undone {
                    run(&session, "BEGIN").await;
                }
                run(&session, &sql).await;
                model.check(&session, &mut dice, &done).await;
                if undone {
                    run(&session, "ROLLBACK").await;
                    model = Model { names: model.names, ..before };
                    done.pop();
                }
            }
            is_done.store(true, SeqCst);
            other.await.unwrap();
            drop(session);
            let db = Arc::into_inner(db).unwrap();
            // In every other round the log is all there is.
            if round % 2 == 0 {
                db.close().await.unwrap();
            }
        }
    }
}

/// Who wrote rows for the table as it was is told so, and whoever computes them from rows that are
/// there computes them anew.
#[tokio::test]
async fn statements_for_the_table_as_it_was_are_refused() {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let db = options().open_store(store).await.unwrap();
    let (one, other) = (db.session(), db.session());
    run(&one, "CREATE TABLE t (id BIGINT PRIMARY KEY, v INT)").await;
    run(&one, "BEGIN").await;
    run(&one, "INSERT INTO t VALUES (1, 1)").await;
    run(&other, "ALTER TABLE t ADD COLUMN w INT").await;
    assert_eq!(lines(&one, "SELECT * FROM t").await, ["1,1"]);
    assert!(matches!(fails(&one, "COMMIT").await, Error::SerializationFailure(_)));
    // The other way round.
    run(&one, "BEGIN").await;
    run(&one, "ALTER TABLE t ALTER COLUMN v SET NOT NULL").await;
    run(&other, "INSERT INTO t VALUES (2, NULL, 2)").await;
    assert!(matches!(fails(&one, "COMMIT").await, Error::SerializationFailure(_)));
    // Of two, the first.
    run(&one, "BEGIN").await;
    run(&one, "ALTER TABLE t DROP COLUMN w").await;
    run(&other, "ALTER TABLE t RENAME COLUMN w TO x").await;
    assert!(matches!(fails(&one, "COMMIT").await, Error::SerializationFailure(_)));
    assert_eq!(lines(&one, "SELECT id, v, x FROM t").await, ["2,,2"]);
    // What was planned before sees the table as it is, or says that it cannot.
    let planned = one.sql("INSERT INTO t VALUES (3, 3, 3)").await.unwrap();
    run(&other, "ALTER TABLE t ALTER COLUMN v TYPE BIGINT").await;
    let refused = Error::from(planned.collect().await.unwrap_err());
    assert!(matches!(refused, Error::Conflict(_)), "{refused}");
    let planned = one.sql("INSERT INTO t VALUES (3, 3, 3)").await.unwrap();
    let planned = planned.create_physical_plan().await.unwrap();
    run(&other, "ALTER TABLE t RENAME COLUMN x TO y").await;
    let context = one.context().task_ctx();
    let refused = datafusion::physical_plan::collect(planned, context).await.unwrap_err();
    assert!(matches!(Error::from(refused), Error::SerializationFailure(_)));
}

/// What was made ready before a condition was there is not written without it.
#[tokio::test]
async fn no_row_comes_past_a_condition_that_is_new() {
    for condition in ["ADD CHECK (v > 0)", "ALTER COLUMN v SET NOT NULL"] {
        let store = Store::object_store(Arc::new(InMemory::new()), "db");
        let db = options().open_store(store).await.unwrap();
        let (one, other) = (db.session(), db.session());
        run(&one, "CREATE TABLE t (id BIGINT PRIMARY KEY, v INT)").await;
        let wrong = if condition.starts_with("ADD") { "-1" } else { "NULL" };
        // In a transaction, in a plan, and in a bulk statement.
        run(&one, "BEGIN").await;
        run(&one, &format!("INSERT INTO t VALUES (1, {wrong})")).await;
        let planned = other.sql(&format!("INSERT INTO t VALUES (2, {wrong})")).await.unwrap();
        let planned = planned.create_physical_plan().await.unwrap();
        let many = format!(
            "INSERT INTO t SELECT value, {wrong} FROM generate_series(10, 9000) AS g(value)"
        );
        let bulk = other.sql(&many).await.unwrap().create_physical_plan().await.unwrap();
        run(&other, &format!("ALTER TABLE t {condition}")).await;
        assert!(matches!(fails(&one, "COMMIT").await, Error::SerializationFailure(_)));
        for plan in [planned, bulk] {
            let context = other.context().task_ctx();
            let refused = datafusion::physical_plan::collect(plan, context).await.unwrap_err();
            assert!(matches!(Error::from(refused), Error::SerializationFailure(_)));
        }
        assert_eq!(number(&one, "SELECT count(*) FROM t").await, 0);
        // A condition less is in nobody's way.
        run(&one, "BEGIN").await;
        run(&one, "INSERT INTO t VALUES (1, 1)").await;
        run(&other, "ALTER TABLE t ALTER COLUMN v SET DEFAULT 7").await;
        run(&one, "COMMIT").await;
    }
}

/// Inserts beside alterations: each is whole, with the columns of before or after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_are_written_while_columns_come_and_go() {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let db = Arc::new(options().open_store(store).await.unwrap());
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)").await;
    let writers = (0..3i64).map(|writer| {
        let session = db.session();
        tokio::spawn(async move {
            let mut written = 0;
            for id in 0..60 {
                let id = writer * 1_000 + id;
                let sql = format!("INSERT INTO t (id, v) VALUES ({id}, {id})");
                let outcome = match session.sql(&sql).await {
                    Ok(frame) => frame.collect().await,
                    Err(error) => Err(error),
                };
                match outcome.map_err(Error::from) {
                    Ok(_) => written += 1,
                    Err(Error::SerializationFailure(_) | Error::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    for turn in 0..10 {
        run(&session, &format!("ALTER TABLE t ADD COLUMN w INT DEFAULT {turn}")).await;
        db.checkpoint().await.unwrap();
        run(&session, "ALTER TABLE t ALTER COLUMN v SET NOT NULL").await;
        run(&session, "ALTER TABLE t ALTER COLUMN v DROP NOT NULL").await;
        let wrong = number(&session, "SELECT count(*) FROM t WHERE w IS NULL").await;
        assert_eq!(wrong, 0, "all of them have the default");
        run(&session, "ALTER TABLE t DROP COLUMN w").await;
    }
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE v = id").await, written);
}

/// Another tool reads the table from files that were compacted, and nothing of what was before.
#[tokio::test]
async fn compacted_files_have_the_columns_of_the_table() {
    use futures::TryStreamExt;
    use object_store::{ObjectStore, ObjectStoreExt};
    let objects = Arc::new(InMemory::new());
    let store = Store::object_store(Arc::clone(&objects) as Arc<dyn ObjectStore>, "db");
    let db = options().open_store(store).await.unwrap();
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, b TEXT, c INT)").await;
    run(&session, "INSERT INTO t VALUES (1, 10, 'secret', 3)").await;
    db.checkpoint().await.unwrap();
    for alteration in [
        "RENAME a TO x, RENAME c TO a, RENAME x TO c",
        "DROP COLUMN b",
        "ADD COLUMN d INT DEFAULT 7",
        "ALTER COLUMN a TYPE BIGINT",
    ] {
        run(&session, &format!("ALTER TABLE t {alteration}")).await;
        db.compact().await.unwrap();
        let wanted = run(&session, "SELECT * FROM t").await;
        let prefix = object_store::path::Path::from("db/segments");
        let files: Vec<_> = objects.list(Some(&prefix)).try_collect().await.unwrap();
        let parquet = files.iter().filter(|file| file.location.as_ref().ends_with(".parquet"));
        let parquet: Vec<_> = parquet.collect();
        assert_eq!(parquet.len(), 1, "{alteration}");
        let bytes = objects.get(&parquet[0].location).await.unwrap().bytes().await.unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes);
        let rows: Vec<_> = reader.unwrap().build().unwrap().map(Result::unwrap).collect();
        assert_eq!(super::text(&rows), super::text(&wanted), "{alteration}");
    }
    // There is nothing to do for a table that was not altered.
    let before =
        db.inspect().await.tables[0].parts.iter().map(|p| p.file.clone()).collect::<Vec<_>>();
    db.compact().await.unwrap();
    let after =
        db.inspect().await.tables[0].parts.iter().map(|p| p.file.clone()).collect::<Vec<_>>();
    assert_eq!(before, after);
}
