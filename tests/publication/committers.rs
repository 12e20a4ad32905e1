//! Writers that open one database at the same time, over requests that get lost or come late: one
//! version after the other, each acknowledged statement in it, none that was refused.
//!
//! `OMEN_COMMITTER_SEEDS=50000` looks longer.

use std::cell::RefCell;

use omen_provider::Error;

use super::objects::View;
use super::*;
use crate::faulty_disk::Seeded;

/// Statements that a writer tries before it opens anew.
const STATEMENTS: u64 = 12;
/// Keys, few enough that statements write over each other.
const KEYS: u64 = 200;

/// So few bytes in memory that much is flushed unasked.
fn hurried() -> Options {
    Options { memtable_bytes_max: 8 << 10, ..options() }
}

/// What became of the statements.
#[derive(Debug, Default)]
struct Told {
    acknowledged: usize,
    unknown: usize,
    refused: usize,
    opened: usize,
    /// Of each key, the statements that may have written it last, in order.
    keys: BTreeMap<i64, Vec<i64>>,
}

impl Told {
    /// Whether a database may hold these rows.
    fn allows(&self, rows: &Rows) -> Result<(), String> {
        for (key, numbers) in &self.keys {
            let found = rows.get(key).copied();
            // The first of the list is what certainly was there: 0 is nothing.
            let found = found.unwrap_or(0);
            if !numbers.contains(&found) {
                return Err(format!("key {key} has {found}, one of {numbers:?} was written"));
            }
        }
        match rows.keys().find(|key| !self.keys.contains_key(key)) {
            Some(key) => Err(format!("key {key} was never written")),
            None => Ok(()),
        }
    }
}

/// A process that opens the database, writes, and opens it anew.
async fn writer(view: View, seed: u64, told: &RefCell<Told>, next: &RefCell<i64>) {
    let mut seeded = Seeded::new(seed);
    for _ in 0..3 {
        for _ in 0..seeded.below(40) {
            tokio::task::yield_now().await;
        }
        let Ok(database) = hurried().open_store(view.store()).await else { continue };
        told.borrow_mut().opened += 1;
        for _ in 0..seeded.below(STATEMENTS) {
            match seeded.below(8) {
                0 => drop(database.checkpoint().await),
                1 => drop(database.compact().await),
                _ => {
                    let number = next.replace_with(|number| *number + 1);
                    let start = seeded.below(KEYS) as i64;
                    let keys = start..start + 1 + seeded.below(30) as i64;
                    let outcome = upsert(&database, keys.clone(), number).await;
                    tell(&mut told.borrow_mut(), keys, number, &outcome);
                }
            }
        }
        if seeded.coin() {
            let _ = database.close().await;
        }
    }
}

fn tell(told: &mut Told, keys: std::ops::Range<i64>, number: i64, outcome: &Result<u64>) {
    match outcome {
        Ok(_) => told.acknowledged += 1,
        Err(Error::OutcomeUnknown(_)) => told.unknown += 1,
        Err(_) => told.refused += 1,
    }
    for key in keys {
        let numbers = told.keys.entry(key).or_insert_with(|| vec![0]);
        match outcome {
            // Of a later acknowledgement nothing before it is left, but for what comes late: a
            // writer that lost its place, whose requests are still on their way.
            Ok(_) => *numbers = vec![number],
            Err(Error::OutcomeUnknown(_)) => numbers.push(number),
            Err(_) => {}
        }
    }
}

/// Some writers at once; what they were told must be what is there.
fn run(seed: u64, writers: u64) -> Result<Told, String> {
    block_on(async {
        let objects = Arc::new(InMemory::new());
        made(View::new(&objects).store()).await.close().await.unwrap();
        let (told, next) = (RefCell::new(Told::default()), RefCell::new(1));
        let views = (0..writers).map(|i| View::unsteady(&objects, seed * 10 + i));
        let work = views.enumerate().map(|(i, view)| {
            writer(view, seed.wrapping_mul(31).wrapping_add(i as u64), &told, &next)
        });
        futures::future::join_all(work).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let told = told.into_inner();
        let rows = seen(&objects).await;
        told.allows(&rows)?;
        // Whoever opens it next finds the same, and leaves nothing that is not named.
        let store = View::new(&objects).store();
        let database = hurried().open_store(store.clone()).await.map_err(|e| e.to_string())?;
        if rows_of(&database).await != rows {
            return Err("the next writer has other rows than a reader".to_string());
        }
        database.compact().await.map_err(|e| e.to_string())?;
        drop(database);
        let database = hurried().open_store(store.clone()).await.map_err(|e| e.to_string())?;
        let parts = database.inspect().await.tables.remove(0).parts.len();
        let files = store.blobs.list("segments").await.map_err(|e| e.to_string())?;
        let segments = files.iter().filter(|file| file.name.ends_with(".parquet")).count();
        match segments == parts && rows_of(&database).await == rows {
            true => Ok(told),
            false => Err(format!("{segments} files for {parts} parts")),
        }
    })
}

#[test]
fn two_committers_one_version() {
    let seeds = std::env::var("OMEN_COMMITTER_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let mut sum = Told::default();
    for seed in 0..seeds.unwrap_or(200) {
        let told = run(seed, 2 + seed % 2).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        sum.acknowledged += told.acknowledged;
        sum.unknown += told.unknown;
        sum.refused += told.refused;
        sum.opened += told.opened;
    }
    let Told { acknowledged, unknown, refused, opened, .. } = sum;
    println!("{opened} opened; {acknowledged} acknowledged, {unknown} unknown, {refused} refused");
    assert!(acknowledged > 0 && unknown > 0 && refused > 0 && opened > 0);
}
