//! Group commit: statements are queued in order and made durable together.
//!
//! [`LogWriter::enqueue`] encodes a statement and queues it; [`LogWriter::wait_durable`] returns
//! when it is durable. The first waiter of a group takes the whole queue and runs a *round*: one
//! append, one sync, publication of the newest version of the group, then the other waiters are
//! woken. Statements queued meanwhile form the next group. No thread is involved: on a local disk
//! append and sync complete without suspending, within the first waiter.
//!
//! The round is a shared future that every waiter can drive: a waiter dropped in the middle of an
//! append on an object store neither hangs the others nor loses bytes.
//!
//! Invariants: versions are published in lsn order, only after the sync, before any waiter
//! returns. At most one round runs at a time. After a failed append or sync nothing is ever
//! appended or synced again; every waiter, present and future, gets the same error.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::header::{LogHeader, log_name};
use super::record::{Commit, KIND_COMMIT, KIND_SEAL, Op, Seal};
use super::sync::{Arc, Mutex, MutexGuard, PoisonError};
use crate::error::{Error, Result};
use crate::storage::frame;
use crate::storage::store::{LogFile, Store};

/// Room for what an operation's frame holds besides rows; an estimate.
const OTHER_BYTES: usize = 64;

/// What a statement is told that comes after a failure.
const FAILED: &str = "closed to writes by a failure of its log; open it again";

/// Makes a version visible to readers.
type Publish<V> = Box<dyn Fn(V) + Send + Sync>;
/// One append and sync, driven by whoever waits for it.
type Round = Shared<BoxFuture<'static, ()>>;

/// The writing end of the log. `V` is what becomes visible when a statement is durable.
pub(crate) struct LogWriter<V> {
    store: Store,
    /// Held while a statement is encoded, so that lsns follow the order of the queue.
    order: Mutex<Order>,
    shared: Arc<Inner<V>>,
}

struct Order {
    header: LogHeader,
    next_lsn: u64,
    closed: bool,
}

struct Inner<V> {
    state: Mutex<State<V>>,
    publish: Publish<V>,
}

struct State<V> {
    queue: Vec<Queued<V>>,
    /// Absent while a round runs, and after a clean close.
    file: Option<Box<dyn LogFile>>,
    round: Option<Round>,
    durable_lsn: u64,
    /// Bytes of the current file, queued ones included.
    bytes: u64,
    failed: Option<Error>,
}

/// Encoded frames that wait for their group. The last frame is left out: it says what is durable
/// when it is written.
struct Queued<V> {
    frames: Vec<u8>,
    generation: u64,
    lsn: u64,
    last: Last<V>,
}

enum Last<V> {
    Commit { commit: Commit, version: V },
    Seal { next: Option<(u64, Box<dyn LogFile>)> },
}

impl<V: Send + 'static> LogWriter<V> {
    /// Makes a new log file, its header durable, that begins with `header.first_lsn`.
    pub(crate) async fn create(
        store: &Store,
        header: LogHeader,
        publish: Publish<V>,
    ) -> Result<Self> {
        let file = create_file(store, &header).await?;
        let order = Order { header, next_lsn: header.first_lsn, closed: false };
        let state = State {
            queue: Vec::new(),
            file: Some(file),
            round: None,
            durable_lsn: header.first_lsn.saturating_sub(1),
            bytes: LogHeader::BYTES as u64,
            failed: None,
        };
        Ok(Self {
            store: store.clone(),
            order: Mutex::new(order),
            shared: Arc::new(Inner { state: Mutex::new(state), publish }),
        })
    }

    /// Encodes and queues a statement and returns the lsn of its commit frame, which `version` is
    /// given too. Never waits for the medium. The caller's commit lock keeps statements in order.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an operation exceeds the longest record (nothing is queued);
    /// [`Error::Unavailable`] after a failure of the log and after close: nothing is queued.
    pub(crate) fn enqueue(
        &self,
        ops: &[Op],
        accepted_ms: u64,
        version: impl FnOnce(u64) -> V,
    ) -> Result<u64> {
        let mut order = lock(&self.order);
        self.check_open(&order)?;
        let generation = order.header.generation;
        let first_lsn = order.next_lsn;
        // Room for the commit frame too: it must not move the rows of a large statement.
        let rows: usize = ops.iter().map(|op| op.rows_bytes() + OTHER_BYTES).sum();
        let mut frames = Vec::with_capacity(rows + OTHER_BYTES);
        let (mut lsn, mut crc) = (first_lsn, 0);
        for op in ops {
            let (head, body) = op.payload();
            let payload_crc =
                frame::encode(op.kind(), generation, lsn, &[&head, body], &mut frames)?;
            crc = crc32c::crc32c_append(crc, &payload_crc.to_le_bytes());
            lsn += 1;
        }
        // The durable lsn is filled in when the group is written.
        let commit =
            Commit { first_lsn, frames: ops.len() as u32, crc, accepted_ms, durable_lsn: 0 };
        order.next_lsn = lsn + 1;
        let last = Last::Commit { commit, version: version(lsn) };
        self.shared.lock().push(Queued { frames, generation, lsn, last });
        Ok(lsn)
    }

    /// Returns when everything up to `lsn` is durable and published.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the log failed before that was known.
    pub(crate) async fn wait_durable(&self, lsn: u64) -> Result<()> {
        loop {
            let round = {
                let mut state = self.shared.lock();
                if state.durable_lsn >= lsn {
                    return Ok(());
                }
                if let Some(error) = &state.failed {
                    return Err(error.clone());
                }
                match &state.round {
                    Some(round) => round.clone(),
                    None => match Inner::start_round(&self.shared, &mut state) {
                        Some(round) => round,
                        None => return Err(Error::invalid(format!("lsn {lsn} was never logged"))),
                    },
                }
            };
            round.await;
        }
    }

    /// Returns when everything queued so far is durable and published.
    pub(crate) async fn wait_all(&self) -> Result<()> {
        let last = self.next_lsn().saturating_sub(1);
        self.wait_durable(last).await
    }

    /// The lsn that the next frame gets.
    pub(crate) fn next_lsn(&self) -> u64 {
        lock(&self.order).next_lsn
    }

    /// The number of the file being written.
    pub(crate) fn number(&self) -> u64 {
        lock(&self.order).header.number
    }

    /// Bytes of the file being written, queued ones included.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.lock().bytes
    }

    /// The last lsn that is known to be durable.
    #[cfg(test)]
    pub(crate) fn durable_lsn(&self) -> u64 {
        self.shared.lock().durable_lsn
    }

    /// Why the log takes no more statements, if it failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.lock().failed.clone()
    }

    /// Finishes this file with a seal that names the next one, and goes on there. The next file
    /// exists, header durable, before the seal is written. Database id and epoch stay; the first
    /// lsn of the new file is the seal's plus one. Called under the engine's commit lock: nothing
    /// may be queued meanwhile.
    ///
    /// # Errors
    /// If the new file cannot be made, this file goes on; a failed seal is a failed log.
    pub(crate) async fn rotate(&self, number: u64, generation: u64) -> Result<LogHeader> {
        let header = {
            let order = lock(&self.order);
            self.check_open(&order)?;
            LogHeader { number, generation, first_lsn: order.next_lsn + 1, ..order.header }
        };
        let file = create_file(&self.store, &header).await?;
        let seal_lsn = {
            let mut order = lock(&self.order);
            self.check_open(&order)?;
            let lsn = order.next_lsn;
            if lsn + 1 != header.first_lsn {
                return Err(Error::Conflict("a statement was logged during rotation".to_string()));
            }
            let old = order.header.generation;
            order.header = header;
            order.next_lsn = header.first_lsn;
            let last = Last::Seal { next: Some((number, file)) };
            let mut state = self.shared.lock();
            state.push(Queued { frames: Vec::new(), generation: old, lsn, last });
            state.bytes = LogHeader::BYTES as u64;
            lsn
        };
        self.wait_durable(seal_lsn).await?;
        Ok(header)
    }

    /// Finishes the log with a seal that names no next file: everything in it is known to be
    /// whole. No statement is taken any more.
    pub(crate) async fn close(&self) -> Result<()> {
        let lsn = {
            let mut order = lock(&self.order);
            if !order.closed {
                self.check_open(&order)?;
                order.closed = true;
                let (lsn, generation) = (order.next_lsn, order.header.generation);
                order.next_lsn += 1;
                let last = Last::Seal { next: None };
                self.shared.lock().push(Queued { frames: Vec::new(), generation, lsn, last });
            }
            order.next_lsn - 1
        };
        self.wait_durable(lsn).await
    }

    fn check_open(&self, order: &Order) -> Result<()> {
        if self.failure().is_some() {
            return Err(Error::Unavailable(FAILED));
        }
        if order.closed { Err(Error::Unavailable("closed")) } else { Ok(()) }
    }
}

impl<V> Drop for LogWriter<V> {
    fn drop(&mut self) {
        // An unfinished round holds the shared state that holds the round.
        let round = self.shared.lock().round.take();
        drop(round);
    }
}

impl<V> std::fmt::Debug for LogWriter<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter").field("header", &lock(&self.order).header).finish()
    }
}

/// What a round appends and what it leaves behind.
struct Group<V> {
    bytes: Bytes,
    lsn: u64,
    version: Option<V>,
    /// After a seal: the next file, if any.
    sealed: Option<Option<Box<dyn LogFile>>>,
}

impl<V> Inner<V> {
    fn lock(&self) -> MutexGuard<'_, State<V>> {
        lock(&self.state)
    }
}

impl<V: Send + 'static> Inner<V> {
    /// Takes the queue and begins to write it; none if there is nothing to write.
    fn start_round(shared: &Arc<Self>, state: &mut State<V>) -> Option<Round> {
        if state.queue.is_empty() {
            return None;
        }
        let file = state.file.take()?;
        let group = state.take_group();
        let round = Arc::clone(shared).run_round(file, group).boxed().shared();
        state.round = Some(round.clone());
        Some(round)
    }

    async fn run_round(self: Arc<Self>, mut file: Box<dyn LogFile>, group: Group<V>) {
        let written = async {
            file.append(group.bytes).await?;
            file.sync().await
        }
        .await;
        if written.is_ok()
            && let Some(version) = group.version
        {
            (self.publish)(version);
        }
        let mut state = self.lock();
        state.round = None;
        match written {
            Ok(()) => {
                state.durable_lsn = group.lsn;
                state.file = group.sealed.unwrap_or(Some(file));
            }
            Err(error) => {
                state.failed = Some(Error::OutcomeUnknown(format!(
                    "the log failed and takes no more statements: {error}"
                )));
                state.queue = Vec::new();
            }
        }
    }
}

impl<V> State<V> {
    fn push(&mut self, queued: Queued<V>) {
        let last = match &queued.last {
            Last::Commit { .. } => Commit::BYTES,
            Last::Seal { .. } => Seal::BYTES,
        };
        let bytes = queued.frames.len() + frame::HEADER_BYTES + last + frame::TRAILER_BYTES;
        self.bytes += bytes as u64;
        self.queue.push(queued);
    }

    /// Takes what is queued, up to a seal. All that is taken goes in one append; what is
    /// durable is known only now, so the last frame of each entry is made here.
    fn take_group(&mut self) -> Group<V> {
        let durable_lsn = self.durable_lsn;
        let seal = self.queue.iter().position(|q| matches!(q.last, Last::Seal { .. }));
        let count = seal.map_or(self.queue.len(), |index| index + 1);
        let mut group = Group { bytes: Bytes::new(), lsn: 0, version: None, sealed: None };
        let mut bytes = Vec::new();
        for Queued { frames, generation, lsn, last } in self.queue.drain(..count) {
            // A single statement, however large, is not copied.
            if bytes.is_empty() {
                bytes = frames;
            } else {
                bytes.extend_from_slice(&frames);
            }
            group.lsn = lsn;
            let (kind, payload): (u8, &[u8]) = match last {
                Last::Commit { commit, version } => {
                    group.version = Some(version);
                    (KIND_COMMIT, &Commit { durable_lsn, ..commit }.encode())
                }
                Last::Seal { next } => {
                    let (number, file) = next.unzip();
                    group.sealed = Some(file);
                    (KIND_SEAL, &Seal { next: number, durable_lsn }.encode())
                }
            };
            // Far below the longest payload: cannot fail.
            let _ = frame::encode(kind, generation, lsn, &[payload], &mut bytes);
        }
        group.bytes = Bytes::from(bytes);
        group
    }
}

async fn create_file(store: &Store, header: &LogHeader) -> Result<Box<dyn LogFile>> {
    let mut file = store.logs.create(&log_name(header.number)).await?;
    file.append(Bytes::copy_from_slice(&header.encode())).await?;
    file.sync().await?;
    Ok(file)
}

/// No code that holds one of these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
