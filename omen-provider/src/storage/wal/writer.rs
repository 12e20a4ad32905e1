//! Group commit: statements are queued in order and made durable together.
//!
//! [`LogWriter::encode`] makes the bytes of a statement, [`LogWriter::take_space`] takes space for
//! them, [`LogWriter::enqueue`] queues it: from then on it is accepted, and whatever fails is a
//! failure of the log. [`LogWriter::wait_durable`] returns when it is durable. The first waiter of
//! a group takes the whole queue and runs a *round*: one append, one sync, publication of the
//! newest version of the group, then the other waiters are woken. Statements queued meanwhile form
//! the next group. No thread is involved: on a local disk append and sync complete without
//! suspending, within the first waiter.
//!
//! The round is a shared future that every waiter can drive: a waiter dropped in the middle of an
//! append on an object store neither hangs the others nor loses bytes.
//!
//! Invariants: versions are published in lsn order, only after the sync, before any waiter
//! returns. At most one round runs at a time. What is queued has its space, and so has a seal
//! behind it. After a failed append or sync nothing is ever appended or synced again; every waiter,
//! present and future, gets the same error.

// By path, since the tests compile this file a second time, from another module.
#[path = "writer/space.rs"]
mod space;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::header::{LogHeader, log_name};
use super::queue::{Encoded, Group, Queued, seal_bytes};
use super::record::Op;
use super::sync::{Arc, Mutex, MutexGuard, PoisonError};
use crate::error::{Error, Result};
use crate::storage::store::{LogFile, LogSpace, Store};
use crate::teeth::{Tooth, planted};

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
    space: Option<Arc<dyn LogSpace>>,
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

/// A log file that is to follow on the current one: it has its name and no header yet.
pub(crate) struct NextLog {
    number: u64,
    file: Box<dyn LogFile>,
}

impl<V: Send + 'static> LogWriter<V> {
    /// Makes a new log file, its header durable, that begins with `header.first_lsn`.
    pub(crate) async fn create(
        store: &Store,
        header: LogHeader,
        publish: Publish<V>,
    ) -> Result<Self> {
        let mut file = store.logs.create(&log_name(header.number)).await?;
        write_header(file.as_mut(), &header).await?;
        let begin = (header.first_lsn, LogHeader::BYTES as u64);
        Ok(Self::new(store, header, file, begin, publish))
    }

    /// Goes on with the file of an earlier writer, as that of `epoch`, where its statements end:
    /// with lsn `next_lsn`, behind `bytes`. What it holds is durable then.
    pub(crate) async fn resume(
        store: &Store,
        header: LogHeader,
        (next_lsn, bytes): (u64, u64),
        epoch: u64,
        publish: Publish<V>,
    ) -> Result<Self> {
        let file = store.logs.resume(&log_name(header.number), bytes).await?;
        // Files that follow are the new writer's.
        Ok(Self::new(store, LogHeader { epoch, ..header }, file, (next_lsn, bytes), publish))
    }

    fn new(
        store: &Store,
        header: LogHeader,
        file: Box<dyn LogFile>,
        (next_lsn, bytes): (u64, u64),
        publish: Publish<V>,
    ) -> Self {
        let order = Order { header, space: file.space(), next_lsn, closed: false };
        let state = State {
            queue: Vec::new(),
            file: Some(file),
            round: None,
            durable_lsn: next_lsn.saturating_sub(1),
            bytes,
            failed: None,
        };
        Self {
            store: store.clone(),
            order: Mutex::new(order),
            shared: Arc::new(Inner { state: Mutex::new(state), publish }),
        }
    }

    /// Encodes a statement that is to be the next one. Until it is queued, the caller's commit lock
    /// keeps all others, and rotation, away.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an operation exceeds the longest record; [`Error::Unavailable`]
    /// after a failure of the log and after close.
    pub(crate) fn encode(&self, ops: &[Op], accepted_ms: u64) -> Result<Encoded> {
        let (generation, first_lsn) = {
            let order = lock(&self.order);
            self.check_open(&order)?;
            (order.header.generation, order.next_lsn)
        };
        Encoded::new(ops, accepted_ms, generation, first_lsn)
    }

    /// Queues a statement for which space was taken, and returns the lsn of its commit frame, which
    /// `version` is given too. Never waits for the medium.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after a failure of the log and after close, [`Error::Conflict`] if
    /// another statement came first: nothing is queued.
    pub(crate) fn enqueue(&self, encoded: Encoded, version: impl FnOnce(u64) -> V) -> Result<u64> {
        let mut order = lock(&self.order);
        self.check_open(&order)?;
        if encoded.first_lsn() != order.next_lsn {
            return Err(Error::Conflict("another statement was logged meanwhile".to_string()));
        }
        let lsn = encoded.lsn();
        order.next_lsn = lsn + 1;
        self.shared.lock().push(Queued::statement(encoded, version(lsn)));
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

    /// Makes the file that is to follow on this one, with its first space, and its name durable.
    /// What takes time is done here, beside statements.
    pub(crate) async fn prepare_next(&self, number: u64) -> Result<NextLog> {
        check_failure(self.failure())?;
        let file = self.store.logs.create(&log_name(number)).await?;
        if let Some(space) = file.space() {
            space.take(LogHeader::BYTES as u64 + seal_bytes()).await?;
        }
        Ok(NextLog { number, file })
    }

    /// Finishes this file with a seal that names the next one, and goes on there, with its header
    /// durable before the seal is written. Database id and epoch stay; the first lsn of the new
    /// file is the seal's plus one. Called under the engine's commit lock: nothing may be queued
    /// meanwhile.
    ///
    /// # Errors
    /// If the new file cannot be written, this file goes on; a failed seal is a failed log.
    pub(crate) async fn rotate(&self, next: NextLog, generation: u64) -> Result<LogHeader> {
        let NextLog { number, mut file } = next;
        let header = {
            let order = lock(&self.order);
            self.check_open(&order)?;
            LogHeader { number, generation, first_lsn: order.next_lsn + 1, ..order.header }
        };
        write_header(file.as_mut(), &header).await?;
        let seal_lsn = {
            let mut order = lock(&self.order);
            self.check_open(&order)?;
            let lsn = order.next_lsn;
            if lsn + 1 != header.first_lsn {
                return Err(Error::Conflict("a statement was logged during rotation".to_string()));
            }
            let old = order.header.generation;
            order.header = header;
            order.space = file.space();
            order.next_lsn = header.first_lsn;
            let mut state = self.shared.lock();
            state.push(Queued::seal(old, lsn, Some((number, file))));
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
                self.shared.lock().push(Queued::seal(generation, lsn, None));
            }
            order.next_lsn - 1
        };
        self.wait_durable(lsn).await
    }

    fn check_open(&self, order: &Order) -> Result<()> {
        check_failure(self.failure())?;
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
        let group = Group::take(&mut state.queue, state.durable_lsn);
        let round = Arc::clone(shared).run_round(file, group).boxed().shared();
        state.round = Some(round.clone());
        Some(round)
    }

    async fn run_round(self: Arc<Self>, mut file: Box<dyn LogFile>, group: Group<V>) {
        let written = write_durably(file.as_mut(), group.bytes).await;
        if written.is_ok() && group.sealed.is_some() {
            // Zeros that stay behind a seal harm nobody.
            let _ = file.trim().await;
        }
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
            Err(_) if planted(Tooth::NoPoisoning) => state.file = Some(file),
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
        self.bytes += queued.bytes();
        self.queue.push(queued);
    }
}

/// Appends a group; when this returns, it is on the medium.
async fn write_durably(file: &mut dyn LogFile, group: Bytes) -> Result<()> {
    if planted(Tooth::AcknowledgedBeforeSync) {
        file.sync().await?;
        return file.append(group).await;
    }
    file.append(group).await?;
    if planted(Tooth::NoLogSync) { Ok(()) } else { file.sync().await }
}

async fn write_header(file: &mut dyn LogFile, header: &LogHeader) -> Result<()> {
    file.append(Bytes::copy_from_slice(&header.encode())).await?;
    file.sync().await
}

fn check_failure(failure: Option<Error>) -> Result<()> {
    if failure.is_some() { Err(Error::Unavailable(FAILED)) } else { Ok(()) }
}

/// No code that holds one of these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
