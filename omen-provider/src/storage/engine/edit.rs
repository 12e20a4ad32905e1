//! Statements that are computed from rows that are there: DELETE and UPDATE.
//!
//! Their rows come from a snapshot; at the commit they are refused if any of these rows was written
//! since ([`Error::SerializationFailure`]). Called by the provider, which then computes them anew.
//!
//! Invariant: rows are named by key. An update that gives a row another key is a deletion and an
//! insertion: it meets the keys of all other rows, but not its own old ones.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use arrow::array::AsArray;
use arrow::compute::{filter_record_batch, is_not_null};
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::change::Change;
use super::upkeep::lock;
use super::{Engine, Within};
use crate::error::{Error, Result};
use crate::storage::apply::WriteMode;
use crate::storage::key::Keys;
use crate::storage::snapshot::TableSnapshot;
use crate::storage::version::TableVersion;

/// What a deletion takes for each key beside the key itself, which it has three times: in its list,
/// in the records of the log and in what is written there.
const KEY_OVERHEAD_BYTES: usize = 12;

/// Rows that a statement works on, as of one moment.
#[derive(Debug, Clone)]
pub struct Basis {
    /// The transaction that it belongs to, if any.
    pub within: Within,
    /// The log position of the snapshot, or how many statements of the transaction it has seen.
    pub since: u64,
    /// The table in it.
    pub table: TableSnapshot,
}

impl Engine {
    /// Deletes the rows whose keys a stream brings, each as the key columns in key order; returns
    /// how many there were.
    pub async fn delete_rows(
        self: &Arc<Self>,
        basis: &Basis,
        mut keys: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<u64> {
        self.writer()?;
        let table = Arc::clone(basis.table.version());
        let mut gone = Gone::new(&table, self.options().load_bytes_max);
        while let Some(batch) = keys.try_next().await? {
            gone.add(&batch)?;
        }
        let _share = self.medium.share_for(gone.bytes()).await;
        match gone.sorted() {
            None => Ok(0),
            Some(deletion) => {
                self.carry_out(&basis.within, Some(basis.since), vec![deletion]).await
            }
        }
    }

    /// Writes over rows; returns how many. Each comes with all columns, and with its hidden row id
    /// where that is the key. With `moves`, the columns of its old key come before them in key
    /// order, and the new one may be another.
    pub async fn update_rows(
        self: &Arc<Self>,
        basis: &Basis,
        rows: BoxStream<'static, Result<RecordBatch>>,
        moves: bool,
    ) -> Result<u64> {
        let table = Arc::clone(basis.table.version());
        if !moves {
            let loaded = self.load(&basis.within, &table, WriteMode::Update, rows).await?;
            let since = Some(basis.since);
            return self.commit_loaded(&basis.within, since, Vec::new(), loaded).await;
        }
        let gone = Arc::new(Mutex::new(Gone::new(&table, self.options().load_bytes_max)));
        let noted = Arc::clone(&gone);
        let key_columns = table.schema.key.len();
        let rows = rows.map(move |batch| {
            let batch = batch?;
            let (old, new): (Vec<_>, Vec<_>) =
                (0..batch.num_columns()).partition(|&column| column < key_columns);
            lock(&noted).add(&batch.project(&old)?)?;
            Ok(batch.project(&new)?)
        });
        let loaded = self.load(&basis.within, &table, WriteMode::Insert, rows.boxed()).await?;
        let deletion = lock(&gone).sorted();
        let (since, deletion) = (Some(basis.since), deletion.into_iter().collect());
        self.commit_loaded(&basis.within, since, deletion, loaded).await
    }

    /// Deletes, writes over and adds rows; returns how many. Each has the columns of its old key,
    /// NULL if it is new, then whether there is a new row, then all columns of this.
    pub async fn merge_rows(
        self: &Arc<Self>,
        basis: &Basis,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<u64> {
        let table = Arc::clone(basis.table.version());
        let gone = Arc::new(Mutex::new(Gone::new(&table, self.options().load_bytes_max)));
        let count = Arc::new(AtomicU64::new(0));
        let (noted, counted) = (Arc::clone(&gone), Arc::clone(&count));
        let keys = table.schema.key.len();
        let rows = rows.map(move |batch| {
            let batch = batch?;
            counted.fetch_add(batch.num_rows() as u64, Relaxed);
            let is_old = is_not_null(batch.column(0))?;
            let old = batch.project(&(0..keys).collect::<Vec<_>>())?;
            lock(&noted).add(&filter_record_batch(&old, &is_old)?)?;
            let is_written = batch.column(keys).as_boolean();
            let new = batch.project(&(keys + 1..batch.num_columns()).collect::<Vec<_>>())?;
            Ok(filter_record_batch(&new, is_written)?)
        });
        let loaded = self.load(&basis.within, &table, WriteMode::Insert, rows.boxed()).await?;
        let deletion = lock(&gone).sorted().into_iter().collect();
        self.commit_loaded(&basis.within, Some(basis.since), deletion, loaded).await?;
        Ok(count.load(Relaxed))
    }

    /// Adds rows; returns how many. `looked_up`: they depend on what was there.
    pub async fn insert_rows(
        self: &Arc<Self>,
        basis: &Basis,
        rows: BoxStream<'static, Result<RecordBatch>>,
        mode: WriteMode,
        looked_up: bool,
    ) -> Result<u64> {
        let loaded = self.load(&basis.within, basis.table.version(), mode, rows).await?;
        let since = looked_up.then_some(basis.since);
        self.commit_loaded(&basis.within, since, Vec::new(), loaded).await
    }

    /// Deletes all rows of a table; returns how many there were.
    pub async fn truncate(self: &Arc<Self>, basis: &Basis) -> Result<u64> {
        let truncation = Change::Truncate(basis.table.schema().id);
        self.carry_out(&basis.within, None, vec![truncation]).await
    }

    /// The right to compute a statement anew that was overtaken: one at a time.
    pub async fn turn_to_retry(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        Ok(self.writer()?.retrying.lock().await)
    }

    /// Returns when all that was accepted is to be seen.
    pub async fn wait_published(&self) -> Result<()> {
        self.writer()?.log.wait_published().await
    }

    /// Does what was computed `since`: at once, or within a transaction; returns the number of rows
    /// deleted.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        within: &Within,
        since: Option<u64>,
        changes: Vec<Change>,
    ) -> Result<u64> {
        match &within.0 {
            Some(transaction) => transaction.apply(since, changes, None).await,
            None => self.commit_since(since, changes).await,
        }
    }
}

/// Keys of rows that go, collected in any order.
struct Gone {
    table: Arc<TableVersion>,
    keys: Keys,
    bytes_max: usize,
}

impl Gone {
    fn new(table: &Arc<TableVersion>, bytes_max: usize) -> Self {
        let keys = Keys::new(table.schema.codec().fixed_width());
        Self { table: Arc::clone(table), keys, bytes_max }
    }

    /// What the statement must hold for them.
    fn bytes(&self) -> usize {
        3 * self.keys.byte_size() + self.keys.len() * KEY_OVERHEAD_BYTES
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = self.table.schema.codec().encode(batch.columns())?;
        (0..keys.len()).for_each(|index| self.keys.push_from(&keys, index));
        if self.bytes() <= self.bytes_max {
            return Ok(());
        }
        let what = format!(
            "the keys of {} rows to be deleted from table \"{}\" or moved in it take more than {} \
             bytes; do it in parts (LIMIT), delete all with TRUNCATE, or raise load_bytes_max",
            self.keys.len(),
            self.table.schema.name,
            self.bytes_max
        );
        let source = Arc::new(Error::invalid("one statement is one record of the log"));
        Err(Error::Exhausted { what, source })
    }

    /// The deletion of these rows; none if there are none.
    fn sorted(&mut self) -> Option<Change> {
        let keys = std::mem::replace(&mut self.keys, Keys::new(None));
        if keys.is_empty() {
            return None;
        }
        let mut order = keys.sorted_order();
        order.dedup_by(|a, b| keys.compare(*a as usize, &keys, *b as usize).is_eq());
        Some(Change::Delete { table: self.table.schema.id, keys: keys.take(&order) })
    }
}
