//! SQLite with a write-ahead log that is synced at every commit, statements prepared once.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::{Change, Engine, Result, expect_changed, reading};
use crate::reading_value;

struct Sqlite(Connection);

const COLUMNS: &str = "(id INTEGER PRIMARY KEY, ts INTEGER, device INTEGER, value REAL, note TEXT)";

pub(super) fn open(path: &Path) -> Result<Box<dyn Engine>> {
    let connection = Connection::open(path.join("sqlite"))?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("sqlite took the journal mode {mode}").into());
    }
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    Ok(Box::new(Sqlite(connection)))
}

impl Sqlite {
    fn fill(&mut self, table: &str, rows: impl Iterator<Item = (i64, f64)>) -> Result<()> {
        self.0.execute_batch(&format!("CREATE TABLE {table} {COLUMNS}"))?;
        let transaction = self.0.transaction()?;
        {
            let sql = format!("INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5)");
            let mut insert = transaction.prepare(&sql)?;
            for (id, value) in rows {
                let (id, ts, device, value, note) = reading(id, value);
                insert.execute(params![id, ts, device, value, note])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Engine for Sqlite {
    fn load(&mut self, rows: i64) -> Result<()> {
        self.fill("readings", (0..rows).map(|id| (id, reading_value(id))))
    }

    fn one_by_one(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration> {
        let sql = match change {
            Change::Update => "UPDATE readings SET value = ?2 WHERE id = ?1",
            Change::Delete => "DELETE FROM readings WHERE id = ?1",
            Change::Upsert => {
                "INSERT INTO readings VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (id) DO UPDATE SET value = excluded.value"
            }
        };
        let mut statement = self.0.prepare(sql)?;
        let started = Instant::now();
        for &(id, value) in rows {
            let changed = match change {
                Change::Update => statement.execute(params![id, value])?,
                Change::Delete => statement.execute(params![id])?,
                Change::Upsert => {
                    let (id, ts, device, value, note) = reading(id, value);
                    statement.execute(params![id, ts, device, value, note])?
                }
            };
            expect_changed(changed as u64, 1)?;
        }
        Ok(started.elapsed())
    }

    fn at_once(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration> {
        self.fill("chosen", rows.iter().copied())?;
        let started = Instant::now();
        let changed = self.0.execute(change.bulk_sql(), [])?;
        let elapsed = started.elapsed();
        expect_changed(changed as u64, rows.len())?;
        self.0.execute_batch("DROP TABLE chosen")?;
        Ok(elapsed)
    }

    fn rows(&mut self) -> Result<Vec<(i64, f64)>> {
        let mut all = self.0.prepare("SELECT id, value FROM readings ORDER BY id")?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
