//! Group commit: statements are queued in order and made durable together.
//!
//! [`LogWriter::encode`] makes the bytes of a statement, [`LogWriter::take_space`] takes space for
//! them, [`LogWriter::enqueue`] queues it: from then on it is accepted, and whatever fails is a
//! failure of the log. [`LogWriter::wait_committed`] returns when it may be acknowledged: when it
//! is durable. Waiters first gather a group (`gathering`); then the first of them takes the whole
//! queue and runs a *round*: one append, one sync, publication of the newest version of the group,
//! then the others are woken. Statements queued meanwhile form the next group. No thread is
//! involved: on a local disk append and sync complete without suspending, within the first waiter.
//! (Where syncs may come after acknowledgements: see `deferred`.)
//!
//! The round is a shared future that every waiter can drive: a waiter dropped in the middle of an
//! append on an object store neither hangs the others nor loses bytes.
//!
//! Invariants: versions are published in lsn order, only after the sync (where none is deferred),
//! before any waiter returns. At most one round runs at a time. What is queued has its space, and
//! so has a seal behind it. After a failed append or sync nothing is ever appended or synced again;
//! every waiter, present and future, gets the same error.

// By path, since the tests compile this file a second time, from another module.
#[path = "writer/deferred.rs"]
mod deferred;
#[path = "writer/gathering.rs"]
mod gathering;
#[path = "writer/round.rs"]
mod round;
#[path = "writer/space.rs"]
mod space;

use std::sync::OnceLock;

use bytes::Bytes;
use futures::future::{BoxFuture, Shared};

use super::header::{LogHeader, log_name};
use super::queue::{Encoded, Queued, seal_bytes};
use super::record::Op;
use super::sync::{Arc, Mutex, MutexGuard, PoisonError};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::storage::store::{LogFile, LogSpace, Store};
use deferred::Deferred;
use gathering::{Gathering, give_turn};
use round::Failure;

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
    /// Present where syncs come after acknowledgements.
    deferred: OnceLock<Deferred>,
    publish: Publish<V>,
    clock: Clock,
}

struct State<V> {
    queue: Vec<Queued<V>>,
    /// Absent while a round runs, and after a clean close.
    file: Option<Box<dyn LogFile>>,
    round: Option<Round>,
    /// What is published and may be acknowledged, and, where no sync is deferred, durable.
    committed_lsn: u64,
    /// Bytes of the current file, queued ones included.
    bytes: u64,
    /// How many statements the last round wrote, with those that were queued when it ended.
    together: usize,
    rounds: u64,
    failed: Option<Failure>,
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
        clock: &Clock,
        header: LogHeader,
        publish: Publish<V>,
    ) -> Result<Self> {
        let mut file = store.logs.create(&log_name(header.number)).await?;
        write_header(file.as_mut(), &header).await?;
        let begin = (header.first_lsn, LogHeader::BYTES as u64);
        Ok(Self::new((store, clock), header, file, begin, publish))
    }

    /// Goes on with the file of an earlier writer, as that of `epoch`, where its statements end:
    /// with lsn `next_lsn`, behind `bytes`. What it holds is durable then.
    pub(crate) async fn resume(
        store: &Store,
        clock: &Clock,
        header: LogHeader,
        (next_lsn, bytes): (u64, u64),
        epoch: u64,
        publish: Publish<V>,
    ) -> Result<Self> {
        let file = store.logs.resume(&log_name(header.number), bytes).await?;
        // Files that follow are the new writer's.
        let header = LogHeader { epoch, ..header };
        Ok(Self::new((store, clock), header, file, (next_lsn, bytes), publish))
    }

    fn new(
        (store, clock): (&Store, &Clock),
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
            committed_lsn: next_lsn.saturating_sub(1),
            bytes,
            together: 0,
            rounds: 0,
            failed: None,
        };
        Self {
            store: store.clone(),
            order: Mutex::new(order),
            shared: Arc::new(Inner {
                state: Mutex::new(state),
                deferred: OnceLock::new(),
                publish,
                clock: clock.clone(),
            }),
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

    /// Returns when everything up to `lsn` is published and may be acknowledged: it is durable, or,
    /// where syncs are deferred, written.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the log failed before that was known.
    pub(crate) async fn wait_committed(&self, lsn: u64) -> Result<()> {
        self.wait(lsn, Gathering::new(&self.shared.clock)).await
    }

    /// As [`LogWriter::wait_committed`], without giving others a turn first: on a local disk it
    /// returns without suspending, unless a round runs.
    pub(crate) async fn commit_alone(&self, lsn: u64) -> Result<()> {
        self.wait(lsn, Gathering::none()).await
    }

    async fn wait(&self, lsn: u64, mut gathering: Gathering) -> Result<()> {
        loop {
            let round = {
                let mut state = self.shared.lock();
                if state.committed_lsn >= lsn {
                    return Ok(());
                }
                if let Some(failure) = &state.failed {
                    return Err(failure.error.clone());
                }
                match &state.round {
                    Some(round) => Some(round.clone()),
                    None if self.shared.is_gathering(&state, &mut gathering) => None,
                    None => match Inner::start_round(&self.shared, &mut state) {
                        Some(round) => Some(round),
                        None => return Err(Error::invalid(format!("lsn {lsn} was never logged"))),
                    },
                }
            };
            match round {
                Some(round) => {
                    round.await;
                    gathering.begin_anew();
                }
                None => give_turn().await,
            }
        }
    }

    /// Returns when everything queued so far is durable and published.
    pub(crate) async fn wait_all(&self) -> Result<()> {
        let last = self.next_lsn().saturating_sub(1);
        self.wait_durable(last).await
    }

    /// Returns when everything queued so far is published.
    pub(crate) async fn wait_published(&self) -> Result<()> {
        let last = self.next_lsn().saturating_sub(1);
        self.wait_committed(last).await
    }

    /// The lsn that the next frame gets.
    pub(crate) fn next_lsn(&self) -> u64 {
        lock(&self.order).next_lsn
    }

    /// The number of the file being written.
    pub(crate) fn number(&self) -> u64 {
        lock(&self.order).header.number
    }

    /// The lsn with which the file being written begins.
    pub(crate) fn first_lsn(&self) -> u64 {
        lock(&self.order).header.first_lsn
    }

    /// Bytes of the file being written, queued ones included.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.lock().bytes
    }

    /// The last lsn that is known to be durable.
    #[cfg(test)]
    pub(crate) fn durable_lsn(&self) -> u64 {
        let committed = self.shared.lock().committed_lsn;
        self.shared.synced_lsn(committed)
    }

    /// Why the log takes no more statements, if it failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.failure()
    }

    /// Makes the file that is to follow on this one, with its first space, and its name durable.
    /// What takes time is done here, beside statements.
    pub(crate) async fn prepare_next(&self, number: u64) -> Result<NextLog> {
        self.shared.check_failure()?;
        let mut file = self.store.logs.create(&log_name(number)).await?;
        if self.shared.deferred.get().is_some() {
            file.defer_syncs()?;
        }
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
        self.wait_committed(seal_lsn).await?;
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
        self.wait_committed(lsn).await
    }

    fn check_open(&self, order: &Order) -> Result<()> {
        self.shared.check_failure()?;
        if order.closed { Err(Error::Unavailable("closed")) } else { Ok(()) }
    }
}

impl<V> Drop for LogWriter<V> {
    fn drop(&mut self) {
        self.stop_deferring();
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

    fn failure(&self) -> Option<Error> {
        self.lock().failed.as_ref().map(|failure| failure.error.clone())
    }

    fn check_failure(&self) -> Result<()> {
        match &self.lock().failed {
            None => Ok(()),
            Some(failure) => Err(Error::Unavailable(failure.refusal)),
        }
    }
}

impl<V> State<V> {
    fn push(&mut self, queued: Queued<V>) {
        self.bytes += queued.bytes();
        self.queue.push(queued);
    }
}

async fn write_header(file: &mut dyn LogFile, header: &LogHeader) -> Result<()> {
    file.append(Bytes::copy_from_slice(&header.encode())).await?;
    file.sync().await
}

/// No code that holds one of these locks panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
