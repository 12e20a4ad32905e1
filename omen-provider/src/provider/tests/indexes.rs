//! Secondary indexes beside the same table without any: they change no answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use object_store::memory::InMemory;

use super::{fails, lines, number, plan, run};
use crate::dice::Dice;
use crate::storage::store::Store;
use crate::{Database, Error, Options, Session};

/// What `x` has indexes over, some of the time; `y` is the same table without.
const INDEXES: [&str; 5] = ["a", "b", "c", "a, b", "c, a"];

fn options() -> Options {
    Options { memtable_bytes_max: 48 << 10, row_group_rows: 4_096, ..Options::default() }
}

/// A value of each column, as SQL.
fn values(dice: &mut Dice) -> [String; 3] {
    let or_null = |value: String, dice: &mut Dice| match dice.below(5) {
        0 => "NULL".to_string(),
        _ => value,
    };
    let a = dice.below(40) as i64 - 20;
    let b = ["''", "'b'", "'ba'", "'b c'", "'\u{e4}'", "'z'"][dice.below(6) as usize];
    let c = ["0.0", "-0.0", "1.5", "-2.25", "1e300", "'NaN'::DOUBLE", "'-NaN'::DOUBLE"]
        [dice.below(7) as usize];
    let (a, b, c) = (a.to_string(), b.to_string(), c.to_string());
    [or_null(a, dice), or_null(b, dice), or_null(c, dice)]
}

/// What must be the same for both tables: a WHERE.
fn condition(dice: &mut Dice) -> String {
    let [a, b, c] = values(dice);
    let [a2, b2, c2] = values(dice);
    let compare = ["=", "<", "<=", ">", ">=", "IS NOT DISTINCT FROM"][dice.below(6) as usize];
    match dice.below(9) {
        0 => format!("a {compare} {a}"),
        1 => format!("b {compare} {b}"),
        2 => format!("c {compare} {c}"),
        3 => format!("a = {a} AND (b {compare} {b})"),
        4 => format!("a IN ({a}, {a2}, 3) OR a BETWEEN {a} AND {a2}"),
        5 => format!("(c = {c} OR c = {c2}) AND (a {compare} {a})"),
        6 => format!("b IN ({b}, {b2}) AND id % 3 = 0"),
        7 => format!("a IS NULL AND (c {compare} {c})"),
        _ => format!("id < 200 AND (a {compare} {a}) AND NOT (b = {b})"),
    }
}

/// A statement for both tables, which `T` stands for.
fn statement(dice: &mut Dice) -> String {
    let [a, b, c] = values(dice);
    let id = dice.below(400);
    match dice.below(8) {
        0..=2 => format!("INSERT OR REPLACE INTO T VALUES ({id}, {a}, {b}, {c})"),
        3 => format!(
            "INSERT OR REPLACE INTO T SELECT value, value % 23 - 11, {b}, value % 5 FROM \
             generate_series({id}, {id} + 70) AS g(value)"
        ),
        4 => format!("UPDATE T SET a = {a}, b = {b} WHERE {}", condition(dice)),
        5 => format!("DELETE FROM T WHERE id = {id}"),
        6 => format!("DELETE FROM T WHERE {} AND id % 7 = 0", condition(dice)),
        _ => format!("UPDATE T SET id = id + 1000 WHERE id = {id} AND a > 0"),
    }
}

async fn compare(session: &Session, dice: &mut Dice, done: &[String]) {
    let condition = condition(dice);
    let of = |table: &str| {
        let order = if condition.len().is_multiple_of(2) { "id" } else { "a DESC, id LIMIT 7" };
        format!("SELECT id, a, b, c FROM {table} WHERE {condition} ORDER BY {order}")
    };
    let (x, y) = (lines(session, &of("x")).await, lines(session, &of("y")).await);
    assert_eq!(x, y, "{} after {done:#?}", of("x"));
    let columns = INDEXES[dice.below(INDEXES.len() as u64) as usize];
    let way = ["", " DESC", " DESC NULLS LAST"][dice.below(3) as usize];
    let order = columns.replace(", ", &format!("{way}, ")) + way;
    let count = 1 + dice.below(12);
    let of = |table: &str| {
        format!("SELECT {columns} FROM {table} ORDER BY {order} LIMIT {count} OFFSET {}", count / 4)
    };
    let (x, y) = (lines(session, &of("x")).await, lines(session, &of("y")).await);
    assert_eq!(x, y, "{} after {done:#?}", of("x"));
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
async fn answers_are_those_without_an_index() {
    let mut used = 0;
    for seed in 0..4u64 {
        let mut dice = Dice(seed);
        let store = Store::object_store(Arc::new(InMemory::new()), "db");
        let mut done = Vec::new();
        for round in 0..3 {
            let db = Arc::new(options().open_store(store.clone()).await.unwrap());
            let session = db.session();
            if round == 0 {
                for table in ["x", "y"] {
                    let sql = format!(
                        "CREATE TABLE {table} (id BIGINT PRIMARY KEY, a INT, b TEXT, c DOUBLE)"
                    );
                    run(&session, &sql).await;
                }
            }
            let is_done = Arc::new(AtomicBool::new(false));
            let other = tokio::spawn(disturb(Arc::clone(&db), Arc::clone(&is_done)));
            for _ in 0..40 {
                let number = dice.below(INDEXES.len() as u64) as usize;
                match dice.below(8) {
                    0 => {
                        let columns = INDEXES[number];
                        done.push(format!("CREATE INDEX IF NOT EXISTS i{number} ON x ({columns})"));
                        run(&session, done.last().unwrap()).await;
                    }
                    1 => {
                        done.push(format!("DROP INDEX IF EXISTS i{number}"));
                        run(&session, done.last().unwrap()).await;
                    }
                    _ => {
                        let sql = statement(&mut dice);
                        run(
                            &session,
                            &sql.replace("INTO T", "INTO x")
                                .replace("FROM T", "FROM x")
                                .replace("UPDATE T", "UPDATE x"),
                        )
                        .await;
                        run(
                            &session,
                            &sql.replace("INTO T", "INTO y")
                                .replace("FROM T", "FROM y")
                                .replace("UPDATE T", "UPDATE y"),
                        )
                        .await;
                        done.push(sql);
                    }
                }
                compare(&session, &mut dice, &done).await;
            }
            used += usize::from(
                plan(&session, "SELECT * FROM x WHERE a = 19").await.contains("index="),
            );
            is_done.store(true, SeqCst);
            other.await.unwrap();
            let report = db.verify().await.unwrap();
            assert!(report.problems.is_empty(), "{:?}", report.problems);
            drop(session);
            let db = Arc::into_inner(db).unwrap();
            if round % 2 == 0 {
                db.close().await.unwrap();
            }
        }
    }
    assert!(used > 0, "no index was ever used");
}

/// Rows that many statements write at the same time: of equal values one stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn unique_holds_beside_other_writers() {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let db = Arc::new(options().open_store(store).await.unwrap());
    run(&db.session(), "CREATE TABLE t (id BIGINT PRIMARY KEY, v INT UNIQUE, w INT)").await;
    let mut writers = Vec::new();
    for writer in 0..6i64 {
        let db = Arc::clone(&db);
        writers.push(tokio::spawn(async move {
            let (session, mut refused) = (db.session(), 0);
            for i in 0..40i64 {
                let (id, v) = (writer * 100 + i, (i * 7) % 50);
                let ignore = if writer % 2 == 0 { "" } else { " ON CONFLICT (v) DO NOTHING" };
                let sql = format!("INSERT INTO t VALUES ({id}, {v}, {writer}){ignore}");
                let outcome = session.sql(&sql).await.unwrap().collect().await;
                match outcome.map_err(Error::from) {
                    Ok(_) => {}
                    Err(Error::NotUnique { .. }) if ignore.is_empty() => refused += 1,
                    Err(error) => panic!("{sql}: {error}"),
                }
                if i == 20 && writer == 0 {
                    db.checkpoint().await.unwrap();
                }
            }
            refused
        }));
    }
    let mut refused = 0;
    for writer in writers {
        refused += writer.await.unwrap();
    }
    let session = db.session();
    assert!(refused > 0);
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 40);
    assert_eq!(number(&session, "SELECT count(DISTINCT v) FROM t").await, 40);
}

/// Entries that are damaged, or gone, cost no row, and are made anew.
#[tokio::test]
async fn damaged_entries_are_not_used_and_made_anew() {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let db = options().open_store(store.clone()).await.unwrap();
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v INT UNIQUE)").await;
    run(
        &session,
        "INSERT INTO t SELECT value, value * 2 FROM generate_series(1, 9000) AS g(value)",
    )
    .await;
    run(&session, "CREATE INDEX by_v ON t (v, id)").await;
    drop(session);
    db.close().await.unwrap();
    let files = || async {
        let mut names: Vec<_> = store.blobs.list("segments").await.unwrap();
        names.retain(|blob| blob.name.ends_with(".parquet"));
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names
    };
    let there = files().await;
    assert_eq!(there.len(), 3, "the rows, and entries in two indexes");
    for (number, damage) in ["flip", "cut", "gone"].iter().cycle().take(6).enumerate() {
        // The entries are newer than the rows.
        let file = files().await[1 + number % 2].name.clone();
        let mut bytes = store.blobs.read(&file).await.unwrap().to_vec();
        store.blobs.delete(&file).await.unwrap();
        match *damage {
            "flip" => {
                // In the values, or in the tail.
                let at = if number < 3 { bytes.len() / 3 } else { bytes.len() - 20 };
                bytes[at] ^= 0x40;
                store.blobs.put_if_absent(&file, bytes.into()).await.unwrap();
            }
            "cut" => {
                bytes.truncate(bytes.len() - 7);
                store.blobs.put_if_absent(&file, bytes.into()).await.unwrap();
            }
            _ => {}
        }
        let db = options().open_store(store.clone()).await.unwrap();
        let session = db.session();
        assert!(!db.verify().await.unwrap().problems.is_empty(), "{number} {damage}");
        for v in [2i64, 4000, 18_000, 18_002, 5] {
            let sql = format!("SELECT count(*) FROM t WHERE v = {v}");
            let there = i64::from(v % 2 == 0 && v <= 18_000);
            assert_eq!(number_of(&session, &sql).await, there, "{sql}");
        }
        let again = fails(&session, "INSERT INTO t VALUES (10000, 4000)").await;
        assert!(matches!(again, Error::NotUnique { .. }), "{again}");
        db.compact().await.unwrap();
        run(&session, "CREATE INDEX other ON t (id)").await;
        run(&session, "DROP INDEX other").await;
        db.checkpoint().await.unwrap();
        let report = db.verify().await.unwrap();
        assert!(report.problems.is_empty(), "{number} {damage}: {:?}", report.problems);
        drop(session);
        db.close().await.unwrap();
        assert_eq!(files().await.len(), 3, "{number} {damage}");
    }
}

async fn number_of(session: &Session, sql: &str) -> i64 {
    number(session, sql).await
}
