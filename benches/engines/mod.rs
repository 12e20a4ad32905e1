//! Databases that speak SQL, each with the same table of readings, asked to change rows of it.
//!
//! Called by the bench `dml`. Every statement is durable when it returns, one commit each, and is
//! given as SQL: prepared where the database's client prepares, as text where it does not.
//!
//! Invariant: what [`Engine::rows`] gives is read back from the database, not remembered.

mod duckdb;
mod omendb;
mod sqlite;

use std::path::Path;
use std::time::Duration;

pub use crate::stores::Result;

/// What is done to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Gives a row another value.
    Update,
    /// Removes a row.
    Delete,
    /// Puts a row whether or not there is one.
    Upsert,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Update, Self::Upsert, Self::Delete];

    /// In names of figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Upsert => "upsert",
        }
    }

    /// The statement for all rows whose ids the table `chosen` has; that table has all columns of
    /// the readings.
    pub(crate) fn bulk_sql(self) -> &'static str {
        match self {
            Self::Update => {
                "UPDATE readings SET value = value + 1 WHERE id IN (SELECT id FROM chosen)"
            }
            Self::Delete => "DELETE FROM readings WHERE id IN (SELECT id FROM chosen)",
            Self::Upsert => {
                "INSERT INTO readings SELECT id, ts, device, value, note FROM chosen \
                 WHERE true ON CONFLICT (id) DO UPDATE SET value = excluded.value"
            }
        }
    }
}

/// A database that is open.
pub trait Engine {
    /// Fills the table with readings 0 to `rows`.
    ///
    /// # Errors
    /// Whatever the database says.
    fn load(&mut self, rows: i64) -> Result<()>;

    /// Changes rows one by one, giving each the value beside its id; the time of all.
    ///
    /// # Errors
    /// Whatever the database says; a statement that changed no row.
    fn one_by_one(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration>;

    /// Changes rows in one statement: an update adds 1 to the value, an upsert gives the value
    /// beside the id. The time of the statement alone.
    ///
    /// # Errors
    /// As [`Engine::one_by_one`].
    fn at_once(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration>;

    /// Id and value of each reading, by id.
    ///
    /// # Errors
    /// Whatever the database says.
    fn rows(&mut self) -> Result<Vec<(i64, f64)>>;
}

/// A database that can be opened in a folder.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// Its name in tables and figures.
    pub name: &'static str,
    /// Opens it, empty.
    pub open: fn(&Path) -> Result<Box<dyn Engine>>,
}

/// All of them, ours first.
pub const CONTENDERS: [Contender; 3] = [
    Contender { name: "omendb", open: omendb::open },
    Contender { name: "sqlite", open: sqlite::open },
    Contender { name: "duckdb", open: duckdb::open },
];

/// The columns of a reading with a value of its own.
pub(crate) fn reading(id: i64, value: f64) -> (i64, i64, i64, f64, String) {
    let note = format!("note-{:010}", id.wrapping_mul(7919) % 9_999_991);
    (id, 1_700_000_000_000 + id * 250, id % 97, value, note)
}

/// Refuses a statement that did not change what it was to change.
pub(crate) fn expect_changed(changed: u64, expected: usize) -> Result<()> {
    match changed == expected as u64 {
        true => Ok(()),
        false => Err(format!("{changed} rows changed, {expected} were to be").into()),
    }
}
