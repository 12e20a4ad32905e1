//! The stores that the engine is compared with, each brought to the same table and durability.
//!
//! Called by the bench `durability`. A store keeps the readings, keyed by their id, and commits
//! so that a commit is on the disk, by fdatasync or fsync, before it returns. The stores of bytes
//! keep the other columns of a row one after the other as its value.
//!
//! Invariant: what [`Store::rows`] gives is what a new process would find, for a store is opened
//! again before it is asked.

mod fjall;
mod omendb;
mod redb;
mod sqlite;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::reading_value;

/// Whatever may go wrong in a bench ends it.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// A commit of rows that are there; fails with whatever the store says.
pub type Statement<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// One store that is open.
pub trait Store: Sync {
    /// Makes the rows of a statement in the form that the store takes; the statement makes them
    /// durable in one commit, on behalf of any thread.
    fn statement(&self, ids: Range<i64>) -> Statement<'_>;

    /// Id and value of each reading, by id.
    ///
    /// # Errors
    /// Whatever the store says.
    fn rows(&self) -> Result<Vec<(i64, f64)>>;

    /// Has `writers` commit one row each, again and again, for a time.
    ///
    /// # Errors
    /// Whatever the store says.
    fn write_one_by_one(&self, writers: usize, time: Duration) -> Result<Written> {
        let turn = Turn::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        while let Some(id) = turn.next(time) {
                            self.statement(id..id + 1)()?;
                        }
                        Ok(())
                    })
                })
                .collect();
            for thread in threads {
                thread.join().map_err(|_| "a writer panicked")??;
            }
            Ok(turn.written())
        })
    }
}

/// What came of writers that took turns.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Rows committed, with the ids from 0 on.
    pub rows: i64,
    /// Time until the last of them was acknowledged.
    pub time: Duration,
}

/// The ids that the writers of one turn share, and its end.
pub(crate) struct Turn {
    started: Instant,
    next: AtomicI64,
    over: AtomicBool,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), next: AtomicI64::new(0), over: AtomicBool::new(false) }
    }

    /// The id of the next row, until the time is over.
    pub(crate) fn next(&self, time: Duration) -> Option<i64> {
        if self.over.load(Ordering::Relaxed) || self.started.elapsed() >= time {
            self.over.store(true, Ordering::Relaxed);
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn written(&self) -> Written {
        Written { rows: self.next.load(Ordering::Relaxed), time: self.started.elapsed() }
    }
}

/// A store that can be opened at a path.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// Its name in tables and figures.
    pub name: &'static str,
    /// Opens it, empty if there is nothing.
    pub open: fn(&Path) -> Result<Box<dyn Store>>,
}

/// All of them, the engine first.
pub const CONTENDERS: [Contender; 4] = [
    Contender { name: "omendb", open: omendb::open },
    Contender { name: "sqlite", open: sqlite::open },
    Contender { name: "redb", open: redb::open },
    Contender { name: "fjall", open: fjall::open },
];

/// Opens the store again and compares all that it holds with `rows` readings from 0 on.
///
/// # Errors
/// A row is missing, too many, or wrong.
pub fn check(contender: Contender, path: &Path, rows: i64) -> Result<()> {
    let found = (contender.open)(path)?.rows()?;
    let name = contender.name;
    if found.len() as i64 != rows {
        return Err(format!("{name} holds {} rows of {rows}", found.len()).into());
    }
    for (expected, (id, value)) in (0..).zip(found) {
        if (id, value) != (expected, reading_value(expected)) {
            return Err(format!("{name} has {id}: {value} in the place of {expected}").into());
        }
    }
    Ok(())
}

/// The columns of a reading but its id, as stores of bytes keep them: ts, device, value, note.
fn value_bytes(id: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(39);
    bytes.extend((1_700_000_000_000 + id * 250).to_le_bytes());
    bytes.extend((id % 97).to_le_bytes());
    bytes.extend(reading_value(id).to_le_bytes());
    bytes.extend(format!("note-{:010}", id.wrapping_mul(7919) % 9_999_991).as_bytes());
    bytes
}

/// The value column of such bytes.
fn value_of(bytes: &[u8]) -> Result<f64> {
    let value = bytes.get(16..24).ok_or("a row is too short")?;
    Ok(f64::from_le_bytes(value.try_into()?))
}
