//! SQLite with a write-ahead log that is synced at every commit (`synchronous=FULL`).
//!
//! Called by [`super::CONTENDERS`]. All threads share one connection behind a mutex: SQLite has
//! one writer at a time, and connections of their own would wait for one another by sleeping.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::{Result, Statement, Store};
use crate::reading_value;

struct Sqlite(Mutex<Connection>);

const INSERT: &str = "INSERT INTO readings VALUES (?1, ?2, ?3, ?4, ?5)";

pub(super) fn open(path: &Path) -> Result<Box<dyn Store>> {
    let connection = Connection::open(path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("sqlite took the journal mode {mode}").into());
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         CREATE TABLE IF NOT EXISTS readings
         (id INTEGER PRIMARY KEY, ts INTEGER, device INTEGER, value REAL, note TEXT)",
    )?;
    Ok(Box::new(Sqlite(Mutex::new(connection))))
}

impl Store for Sqlite {
    fn statement(&self, ids: Range<i64>) -> Statement<'_> {
        let row = |id: i64| {
            let note = format!("note-{:010}", id.wrapping_mul(7919) % 9_999_991);
            (id, 1_700_000_000_000 + id * 250, id % 97, reading_value(id), note)
        };
        let rows: Vec<(i64, i64, i64, f64, String)> = ids.map(row).collect();
        Box::new(move || {
            let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(INSERT)?;
                for (id, ts, device, value, note) in &rows {
                    insert.execute(params![id, ts, device, value, note])?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn rows(&self) -> Result<Vec<(i64, f64)>> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = connection.prepare("SELECT id, value FROM readings ORDER BY id")?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
