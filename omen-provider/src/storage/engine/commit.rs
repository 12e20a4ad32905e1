//! Committing a statement: applied to the newest accepted version, logged, made durable,
//! acknowledged.
//!
//! Everything that needs only the statement itself (sorting, encoding, indexing) is done before
//! the lock is taken; what needs the table (finding the rows of the keys) is done under it. Space
//! for it is then taken (`room`), it is queued in the log, the lock released, and the caller waits
//! for the group's sync together with others.
//!
//! Invariant: a statement that returns Ok is durable, or, where the options allow its loss for some
//! milliseconds, written; one that returns an error other than
//! [`Error::OutcomeUnknown`] has changed nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use arrow::record_batch::RecordBatch;
use futures::executor::block_on;
use tokio::sync::MutexGuard;

use super::change::{Change, apply, exists, prepare_put};
use super::room::lacks_space;
use super::upkeep::lock;
use super::{Engine, Lease, Within, Writer, now_ms};
use crate::error::{Error, Result};
use crate::storage::apply::WriteMode;
use crate::storage::definition::TableDefinition;
use crate::storage::key::{Key, Keys};
use crate::storage::prepare::{conform, sort_by_key};
use crate::storage::run::batch_bytes;
use crate::storage::schema::TableSchema;
use crate::storage::snapshot::TableSnapshot;
use crate::storage::system_tables::refuse_reserved;
use crate::storage::version::{TableVersion, Version};

/// How often a statement looks whether it is its turn before it sleeps: a few microseconds.
const GLANCES: usize = 100;

/// While this is held, no statement is accepted but the one that it is given to.
#[derive(Debug)]
pub struct Alone<'a>(MutexGuard<'a, Arc<Version>>);

/// A statement that is in the log's queue. If its caller goes away before it is durable, it is
/// carried through in the background: readers must not find it only when the next one comes.
struct Accepted<'a> {
    engine: &'a Arc<Engine>,
    lsn: u64,
    acknowledged: bool,
    lease: Option<Lease>,
}

impl Accepted<'_> {
    async fn acknowledge(mut self) -> Result<()> {
        let outcome = match &self.engine.writer {
            Some(writer) => writer.log.wait_committed(self.lsn).await,
            None => Ok(()),
        };
        self.acknowledged = true;
        outcome
    }
}

impl Drop for Accepted<'_> {
    fn drop(&mut self) {
        if self.acknowledged {
            return;
        }
        let (engine, lsn, lease) = (Arc::clone(self.engine), self.lsn, self.lease.take());
        let carry_through = async move {
            let _lease = lease;
            if let Some(writer) = &engine.writer {
                // Nobody is left to tell; the log keeps the error for the next statement.
                let _ = writer.log.commit_alone(lsn).await;
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(carry_through)),
            Err(_) if !self.engine.medium.store.logs.keeps_unsynced() => {}
            // Not here: it may have to wait for another statement's sync. Where it needs a runtime,
            // or there is no thread, it is carried through with the next statement.
            Err(_) => drop(std::thread::Builder::new().spawn(move || block_on(carry_through))),
        }
    }
}

impl Writer {
    /// The right to be the next statement. It is mostly held for a microsecond or two: who sleeps
    /// meanwhile makes all others queue behind a task that is to be woken first.
    async fn accept(&self) -> MutexGuard<'_, Arc<Version>> {
        for _ in 0..GLANCES {
            if let Ok(accepted) = self.accepted.try_lock() {
                return accepted;
            }
            std::hint::spin_loop();
        }
        self.accepted.lock().await
    }
}

/// What happens to a table that has the name of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The statement is refused.
    Refuse,
    /// It stays, and nothing is created.
    Keep,
    /// It is dropped, in the same statement.
    Replace,
}

impl Engine {
    /// Creates a table; false if there is one that stays. `in_schema`: whether it is in the schema
    /// that its name begins with.
    pub async fn create_table(
        self: &Arc<Self>,
        within: &Within,
        definition: TableDefinition,
        in_schema: bool,
        existing: Existing,
    ) -> Result<bool> {
        let name = definition.name.clone();
        let Some(mut changes) = self.make_way(within, &name, existing)? else { return Ok(false) };
        changes.push(Change::Create(self.new_schema(definition, in_schema)?));
        match self.carry_out(within, None, changes).await {
            Err(Error::AlreadyExists(_))
                if existing == Existing::Keep && self.sees_name(within, &name) =>
            {
                Ok(false)
            }
            other => other.map(|_| true),
        }
    }

    /// What is to be done before a table of that name is created; `None`: it is not.
    pub(super) fn make_way(
        &self,
        within: &Within,
        name: &str,
        existing: Existing,
    ) -> Result<Option<Vec<Change>>> {
        if !self.sees_name(within, name) {
            refuse_reserved(name)?;
            return Ok(Some(Vec::new()));
        }
        match (existing, self.snapshot_within(within).0.table(name)) {
            (Existing::Keep, _) => Ok(None),
            (Existing::Replace, Some(table)) => Ok(Some(vec![Change::Drop(table.schema().id)])),
            (Existing::Replace, None) => Err(Error::AlreadyExists(format!("view \"{name}\""))),
            (Existing::Refuse, _) => Err(exists(name)),
        }
    }

    /// Drops a table; false if there was none and `if_exists`.
    pub async fn drop_table(
        self: &Arc<Self>,
        within: &Within,
        name: &str,
        if_exists: bool,
    ) -> Result<bool> {
        let table = match self.snapshot_within(within).0.require(name) {
            Err(Error::NotFound(_)) if if_exists => return Ok(false),
            other => other?,
        };
        match self.carry_out(within, None, vec![Change::Drop(table.schema().id)]).await {
            Err(Error::NotFound(_)) if if_exists => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Inserts or upserts the rows of one batch as one statement; returns how many rows it gave.
    /// A long batch is written as segments.
    pub async fn write(
        self: &Arc<Self>,
        table: &str,
        mode: WriteMode,
        batch: &RecordBatch,
    ) -> Result<u64> {
        self.writer()?;
        let bytes = batch_bytes(batch);
        // One row cannot be written in portions.
        if bytes > self.medium.portion_bytes_max() && batch.num_rows() > 1 {
            let rows = futures::stream::iter([Ok(batch.clone())]);
            return self.write_stream(table, mode, Box::pin(rows)).await;
        }
        let _share = self.medium.share_for(bytes).await;
        let version = self.require_named(table)?;
        let rows = conform(&version, batch, mode)?;
        let sorted = sort_by_key(&version, &rows, mode)?;
        match prepare_put(&version.schema, sorted, mode)? {
            Some(change) => self.commit(vec![change]).await?,
            None => 0,
        };
        Ok(batch.num_rows() as u64)
    }

    /// Deletes the rows of these keys; returns how many there were.
    pub async fn delete(self: &Arc<Self>, table: &str, keys: &[Key]) -> Result<u64> {
        let version = self.require_named(table)?;
        let codec = version.schema.codec();
        let mut encoded = Keys::new(codec.fixed_width());
        for key in keys {
            encoded.push(&codec.encode_key(key)?);
        }
        let mut order = encoded.sorted_order();
        order.dedup_by(|a, b| encoded.compare(*a as usize, &encoded, *b as usize).is_eq());
        let keys = encoded.take(&order);
        self.commit(vec![Change::Delete { table: version.schema.id, keys }]).await
    }

    /// A schema for a new table, under an id that was never used.
    pub(super) fn new_schema(
        &self,
        definition: TableDefinition,
        in_schema: bool,
    ) -> Result<Arc<TableSchema>> {
        let id = self.writer()?.next_table_id.fetch_add(1, SeqCst);
        definition.into_schema(id, in_schema)
    }

    pub(super) fn require_named(&self, name: &str) -> Result<Arc<TableVersion>> {
        self.table(name).map(TableSnapshot::into_version)
    }

    /// Applies, logs and acknowledges a statement; returns the number of rows deleted. Where the
    /// options name a runtime, it runs there, with what it sets going in the background: once begun
    /// it does not depend on the caller's.
    pub(super) async fn commit(self: &Arc<Self>, changes: Vec<Change>) -> Result<u64> {
        self.commit_since(None, changes).await
    }

    /// As [`Engine::commit`], for a statement that was computed from the version at `basis`.
    ///
    /// # Errors
    /// [`Error::SerializationFailure`] if a row that it writes was written since.
    pub(super) async fn commit_since(
        self: &Arc<Self>,
        basis: Option<u64>,
        changes: Vec<Change>,
    ) -> Result<u64> {
        let Some(runtime) = &self.medium.options.runtime else {
            return self.commit_here(basis, changes, None).await;
        };
        // Whoever was told to stop while preparing the statement stops here: it never begins.
        tokio::task::yield_now().await;
        let engine = Arc::clone(self);
        let task = runtime.spawn(async move { engine.commit_here(basis, changes, None).await });
        task.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::OutcomeUnknown("the runtime of the database ended".to_string())),
        })
    }

    /// The right to be the next statement, with all before it to be seen.
    pub async fn alone(&self) -> Result<Alone<'_>> {
        let writer = self.writer()?;
        self.wait_for_room(false).await?;
        let accepted = writer.accept().await;
        writer.log.wait_published().await?;
        Ok(Alone(accepted))
    }

    /// Commits as [`Engine::commit_since`] does, in the task that calls, by the right of `alone` or
    /// when it is its turn.
    pub(super) async fn commit_here(
        self: &Arc<Self>,
        basis: Option<u64>,
        changes: Vec<Change>,
        alone: Option<Alone<'_>>,
    ) -> Result<u64> {
        let lease = self.lease()?;
        let writer = self.writer()?;
        let frees = changes.iter().all(Change::frees);
        let is_bulk = changes.iter().any(|change| matches!(change, Change::Attach { .. }));
        let alone = match alone {
            Some(alone) => alone,
            None => {
                self.wait_for_room(frees).await?;
                Alone(writer.accept().await)
            }
        };
        let accepted = self.accept(writer, alone, basis, changes, frees).await;
        if lacks_space(&accepted) {
            self.schedule_maintenance();
        }
        let (lsn, count) = accepted?;
        let accepted = Accepted { engine: self, lsn, acknowledged: false, lease: Some(lease) };
        accepted.acknowledge().await?;
        if is_bulk {
            // Its segments are durable, whatever the log may lose.
            writer.log.wait_durable(lsn).await?;
        }
        self.schedule_maintenance();
        Ok(count)
    }

    /// Applies a statement to the newest accepted version and queues it in the log; returns what to
    /// wait for, and the number of rows deleted.
    async fn accept(
        &self,
        writer: &Writer,
        alone: Alone<'_>,
        basis: Option<u64>,
        changes: Vec<Change>,
        frees: bool,
    ) -> Result<(u64, u64)> {
        let mut accepted = alone.0;
        self.check_open()?;
        if let Some(basis) = basis {
            writer.refuse_overtaken(basis, &accepted, &changes).await?;
        }
        let mut version = Version::clone(&accepted);
        let (mut ops, mut written) = (Vec::new(), Vec::new());
        let mut count = 0;
        let adds_index = changes.iter().any(Change::adds_index);
        let attached = changes.iter().any(|c| matches!(c, Change::Attach { .. }));
        // Parts in memory below this id are being flushed or merged.
        let frozen = writer.frozen_runs.load(SeqCst);
        for mut change in changes {
            if let Change::Attach { segments, .. } = &mut change {
                let pin = lock(&self.pin).clone();
                for segment in segments {
                    *segment = segment.pinned(pin.as_ref());
                }
            }
            let applied = apply(&mut version, &change, frozen, &mut ops).await;
            let applied = applied.map_err(|error| overtaken(error, basis, accepted.lsn))?;
            count += applied.count;
            written.extend(applied.wrote.then(|| change.into_written()).flatten());
        }
        if ops.is_empty() {
            // Nothing changed, but what was found may not be durable yet.
            return Ok((accepted.lsn, count));
        }
        let encoded = writer.log.encode(&ops, now_ms())?;
        self.take_log_space(writer, &encoded, frees).await?;
        let mut next = None;
        let lsn = writer.log.enqueue(encoded, |lsn| {
            version.lsn = lsn;
            let version = Arc::new(version);
            next = Some(Arc::clone(&version));
            version
        })?;
        if adds_index {
            // Entries are made when a manifest knows the index.
            writer.flush_wanted.store(true, SeqCst);
        }
        if attached {
            // Compaction sees segments only once a manifest names them.
            writer.flush_wanted.store(true, SeqCst);
        }
        *accepted = next.unwrap_or_else(|| Arc::clone(&accepted));
        writer.upkeep.note_attached(&accepted, lsn, &ops);
        lock(&writer.recent).note(lsn, written);
        Ok((lsn, count))
    }
}

/// A row with the values of another one, where the statement was computed from a version before the
/// newest: it may not have seen that one, and is to be computed anew.
fn overtaken(error: Error, basis: Option<u64>, newest: u64) -> Error {
    match error {
        Error::NotUnique { .. } if basis.is_some_and(|basis| basis < newest) => {
            Error::SerializationFailure(error.to_string())
        }
        error => error,
    }
}
