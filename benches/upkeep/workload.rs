//! What a database is filled with: rows in commits of a thousand, by one writer, each workload the
//! same in every run.
//!
//! Every column is a function of the id and of how often the row was written, so that whatever is
//! found in the end can be checked, row by row.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use omen_benches::{mixed, reading_value, readings};
use omen_provider::Table;

use super::Result;

/// Rows of a commit.
pub const COMMIT_ROWS: u64 = 1_000;
/// How often each key is written by [`Workload::Upserts`].
const TIMES: u64 = 5;
/// How far apart keys are on average, but for those of a time series.
const SPREAD: u64 = 1_009;
/// Bytes of a row as its user sees it: four columns of 8 bytes, and a text of 15.
pub const ROW_BYTES: u64 = 47;
/// Bytes of a key, which is all that a deletion brings.
const KEY_BYTES: u64 = 8;

/// In which order which keys come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Each key above all before it: a time series.
    InOrder,
    /// Keys spread over all others, in no order.
    Random,
    /// A fifth as many keys, each written five times, in no order.
    Upserts,
    /// As `Random`, and then every second row is deleted, in no order.
    Deletes,
}

/// What a load brought, and how long its commits took.
#[derive(Debug, Default)]
pub struct Load {
    /// Rows inserted or upserted.
    pub rows: u64,
    /// Rows deleted, or written over by later ones.
    pub replaced: u64,
    /// Bytes of both: of rows all columns, of deletions the keys.
    pub user_bytes: u64,
    /// Time until the last commit was acknowledged.
    pub time: Duration,
    /// The commit that took longest.
    pub longest: Duration,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::InOrder, Self::Random, Self::Upserts, Self::Deletes];

    /// The name in settings, tables and figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::InOrder => "in_order",
            Self::Random => "random",
            Self::Upserts => "upserts",
            Self::Deletes => "deletes",
        }
    }

    /// Whether rows are deleted or written over.
    pub fn replaces(self) -> bool {
        matches!(self, Self::Upserts | Self::Deletes)
    }

    /// How many keys there are in the end, dead ones included, if `rows` rows are written.
    fn keys(self, rows: u64) -> u64 {
        match self {
            Self::Upserts => rows / TIMES,
            _ => rows,
        }
    }

    /// The key at a place in the order of all keys: a time series leaves no gaps, others do, each
    /// another one.
    pub fn key(self, place: u64) -> i64 {
        match self {
            Self::InOrder => place as i64,
            _ => (place * SPREAD + mixed(place) % SPREAD) as i64,
        }
    }

    /// The value of key `id` in the end; `None` if it is deleted.
    pub fn value(self, id: i64) -> Option<f64> {
        match self {
            Self::InOrder | Self::Random => Some(reading_value(id)),
            Self::Upserts => Some(written_value(id, TIMES - 1)),
            Self::Deletes => is_kept(id).then(|| reading_value(id)),
        }
    }

    /// Writes `rows` rows.
    pub async fn load(self, table: &Table, rows: u64) -> Result<Load> {
        let keys = self.keys(rows);
        let mut load = Load::default();
        let started = Instant::now();
        for time in 0..rows.checked_div(keys).unwrap_or(0) {
            let order = Shuffled::new(keys, time);
            for first in (0..keys).step_by(COMMIT_ROWS as usize) {
                let places = first..keys.min(first + COMMIT_ROWS);
                let count = places.end - places.start;
                let ids = places.map(|place| match self {
                    Self::InOrder => self.key(place),
                    _ => self.key(order.at(place)),
                });
                let batch = written(readings(ids), time)?;
                let committing = Instant::now();
                match self {
                    Self::Upserts => table.upsert(batch).await?,
                    _ => table.insert(batch).await?,
                };
                load.longest = load.longest.max(committing.elapsed());
                load.rows += count;
                load.replaced += if time > 0 { count } else { 0 };
                load.user_bytes += count * ROW_BYTES;
            }
        }
        if self == Self::Deletes {
            self.delete_half(table, keys, &mut load).await?;
        }
        load.time = started.elapsed();
        Ok(load)
    }

    async fn delete_half(self, table: &Table, keys: u64, load: &mut Load) -> Result<()> {
        let order = Shuffled::new(keys, TIMES);
        let ids = (0..keys).map(|place| self.key(order.at(place))).filter(|id| !is_kept(*id));
        let mut ids = ids.peekable();
        while ids.peek().is_some() {
            let some: Vec<i64> = ids.by_ref().take(COMMIT_ROWS as usize).collect();
            let committing = Instant::now();
            let count = table.delete(some.iter().copied()).await?;
            load.longest = load.longest.max(committing.elapsed());
            if count != some.len() as u64 {
                return Err(format!("{count} rows deleted of {}", some.len()).into());
            }
            load.replaced += count;
            load.user_bytes += count * KEY_BYTES;
        }
        Ok(())
    }

    /// Writes a row once more as it is: with a commit the background looks for what there is to do.
    pub async fn touch(self, table: &Table, rows: u64) -> Result<()> {
        let mut ids = (0..self.keys(rows)).map(|place| self.key(place));
        let times = if self == Self::Upserts { TIMES - 1 } else { 0 };
        if let Some(id) = ids.find(|id| self.value(*id).is_some()) {
            table.upsert(written(readings([id]), times)?).await?;
        }
        Ok(())
    }

    /// Compares every row of the table with what should be there.
    pub async fn check(self, table: &Table, rows: u64) -> Result<()> {
        let mut expected = (0..self.keys(rows)).filter_map(|place| {
            let id = self.key(place);
            Some((id, self.value(id)?))
        });
        let mut batches = table.range(i64::MIN..i64::MAX);
        while let Some(batch) = batches.try_next().await? {
            let ids = batch.column(0).as_primitive::<Int64Type>().values();
            let values = batch.column(3).as_primitive::<Float64Type>().values();
            for found in ids.iter().copied().zip(values.iter().copied()) {
                let right = expected.next();
                if right != Some(found) {
                    return Err(format!("{found:?} in the place of {right:?}").into());
                }
            }
        }
        match expected.next() {
            None => Ok(()),
            Some(missing) => Err(format!("{missing:?} is missing, and what follows").into()),
        }
    }
}

/// Whether the row stays when every second one is deleted.
fn is_kept(id: i64) -> bool {
    mixed(id as u64) & 1 == 0
}

/// The value of a row that was written `times` times before.
fn written_value(id: i64, times: u64) -> f64 {
    reading_value(id) + 10_000.0 * times as f64
}

/// Readings as they are when they were written `times` times before.
pub fn written(batch: RecordBatch, times: u64) -> Result<RecordBatch> {
    if times == 0 {
        return Ok(batch);
    }
    let ids = batch.column(0).as_primitive::<Int64Type>().values();
    let values = ids.iter().map(|&id| written_value(id, times));
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(values));
    let mut columns = batch.columns().to_vec();
    columns[3] = values;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// The numbers below a limit in no order, each once, without a list of them: a Feistel network
/// over the next power of four, left out what is too large.
#[derive(Debug, Clone, Copy)]
pub struct Shuffled {
    limit: u64,
    half_bits: u32,
    seed: u64,
}

impl Shuffled {
    /// An order that depends on `seed`.
    pub fn new(limit: u64, seed: u64) -> Self {
        let bits = u64::BITS - limit.saturating_sub(1).leading_zeros();
        Self { limit, half_bits: bits.div_ceil(2).max(1), seed: mixed(seed) }
    }

    /// The number at a place, which lies below the limit.
    pub fn at(&self, place: u64) -> u64 {
        let mut number = self.permuted(place);
        while number >= self.limit {
            number = self.permuted(number);
        }
        number
    }

    fn permuted(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for round in 0..4 {
            let turned = left ^ mixed(right ^ self.seed.rotate_left(round * 16)) & mask;
            (left, right) = (right, turned);
        }
        left << self.half_bits | right
    }
}
