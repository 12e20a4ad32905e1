//! Transactions: several statements that are one.
//!
//! A transaction begins with the newest version and works on a copy of its own: what its statements
//! write goes to parts that nobody else sees, so it reads what it wrote, and a savepoint is a copy
//! kept. Its commit applies all statements again, in order, to the newest version, as one record of
//! the log; it is refused if a row that the transaction wrote was written by others since it began
//! (first committer wins: snapshot isolation). Dropping it undoes it.
//!
//! A statement that fails changes nothing, and the transaction goes on without it.
//!
//! Called by the provider through `edit`, `load` and `commit`. Invariant: rows of the transaction
//! are in no run that the versions of others share.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use super::Engine;
use super::change::{Change, apply};
use super::load::Unnamed;
use super::recent_writes::Watch;
use super::upkeep::lock;
use crate::error::{Error, Result};
use crate::storage::run::upcoming_id;
use crate::storage::snapshot::Snapshot;
use crate::storage::version::Version;

/// A transaction that has begun.
#[derive(Debug)]
pub struct Transaction {
    engine: Arc<Engine>,
    /// The log position of the version that it began with.
    basis: u64,
    is_read_only: bool,
    /// Keeps what others write in mind.
    _watch: Watch,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    version: Arc<Version>,
    /// How many statements there were, undone ones included.
    steps: u64,
    done: Vec<Done>,
    /// Runs below this id are not the transaction's, or have rows that were undone.
    frozen: u64,
    savepoints: Vec<Savepoint>,
    is_open: bool,
}

/// A statement that is done, to be applied once more at the commit.
#[derive(Debug)]
struct Done {
    changes: Vec<Change>,
    _held: Held,
    /// Segments that it wrote; removed unless the transaction is committed.
    unnamed: Option<Unnamed>,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    version: Arc<Version>,
    /// How many statements were done.
    done: usize,
}

/// The transaction to which a statement belongs; the default: none.
#[derive(Debug, Clone, Default)]
pub struct Within(pub Option<Arc<Transaction>>);

/// Memory of a statement that waits for its transaction's commit.
#[derive(Debug)]
struct Held {
    engine: Arc<Engine>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(writer) = &self.engine.writer {
            writer.held_bytes.fetch_sub(self.bytes, SeqCst);
        }
    }
}

impl Engine {
    /// Refuses a statement for whose rows there is no room beside those that wait for the commits
    /// of all transactions.
    fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held> {
        let (writer, most) = (self.writer()?, self.options().load_bytes_max);
        let all = writer.held_bytes.fetch_add(bytes, SeqCst) + bytes;
        let held = Held { engine: Arc::clone(self), bytes };
        if all <= most {
            return Ok(held);
        }
        let what = format!(
            "the statements of all transactions would hold {all} bytes, at most {most} may be \
             (load_bytes_max); commit earlier"
        );
        let source = Arc::new(Error::invalid("rows wait in memory for the commit"));
        Err(Error::Exhausted { what, source })
    }

    /// What statements see, and of which moment that is, as a [`super::Basis`] has it.
    pub fn snapshot_within(&self, within: &Within) -> (Snapshot, u64) {
        match &within.0 {
            Some(transaction) => transaction.snapshot(),
            None => {
                let snapshot = self.snapshot();
                let lsn = snapshot.lsn();
                (snapshot, lsn)
            }
        }
    }

    /// Whether a table or a view has that name.
    pub(super) fn sees_name(&self, within: &Within, name: &str) -> bool {
        let snapshot = self.snapshot_within(within).0;
        snapshot.table(name).is_some() || snapshot.view(name).is_some()
    }

    /// Begins a transaction. (In a database opened read-only it reads one moment.)
    ///
    /// # Errors
    /// If the database is closed.
    pub fn begin(self: &Arc<Self>, is_read_only: bool) -> Result<Arc<Transaction>> {
        let watch = self.watch()?;
        let version = self.published.get();
        let state = State {
            version: Arc::clone(&version),
            steps: 0,
            done: Vec::new(),
            frozen: upcoming_id(),
            savepoints: Vec::new(),
            is_open: true,
        };
        Ok(Arc::new(Transaction {
            engine: Arc::clone(self),
            basis: version.lsn,
            is_read_only,
            _watch: watch,
            state: Mutex::new(state),
        }))
    }
}

impl Transaction {
    /// What it sees, and after how many of its statements.
    pub fn snapshot(&self) -> (Snapshot, u64) {
        let state = lock(&self.state);
        (Snapshot::new(Arc::clone(&state.version)), state.steps)
    }

    /// Does a statement; returns the number of rows deleted. `since`: after how many statements it
    /// was computed, where that matters.
    ///
    /// # Errors
    /// [`Error::SerializationFailure`] if another statement of the transaction came in between.
    pub(super) async fn apply(
        &self,
        since: Option<u64>,
        changes: Vec<Change>,
        unnamed: Option<Unnamed>,
    ) -> Result<u64> {
        if self.is_read_only {
            return Err(Error::invalid("the transaction is READ ONLY; it takes no writes"));
        }
        let (mut version, steps, frozen) = {
            let state = lock(&self.state);
            check_open(&state)?;
            (Version::clone(&state.version), state.steps, state.frozen)
        };
        if since.is_some_and(|since| since != steps) {
            return Err(overtaken());
        }
        let held = self.engine.hold(changes.iter().map(Change::bytes).sum())?;
        let (mut count, mut ops) = (0, Vec::new());
        for change in &changes {
            count += apply(&mut version, change, frozen, &mut ops).await?.count;
        }
        let mut state = lock(&self.state);
        check_open(&state)?;
        if state.steps != steps {
            return Err(overtaken());
        }
        state.steps += 1;
        state.version = Arc::new(version);
        state.done.push(Done { changes, _held: held, unnamed });
        Ok(count)
    }

    /// Makes all of it durable and visible at once.
    ///
    /// # Errors
    /// [`Error::SerializationFailure`] if another one has written a row since that this one wrote.
    /// The transaction is over then, as after any other error, and nothing of it was written (but
    /// see [`Error::OutcomeUnknown`]).
    pub async fn commit(&self) -> Result<()> {
        let done = self.end()?;
        let (mut changes, mut segments) = (Vec::new(), Vec::new());
        for statement in done {
            changes.extend(statement.changes);
            // Whoever stops waiting does not stop the commit, whose record names them.
            segments.extend(statement.unnamed.map(Unnamed::keep).unwrap_or_default());
        }
        if changes.is_empty() {
            return Ok(());
        }
        let outcome = self.engine.commit_since(Some(self.basis), changes).await;
        if outcome.is_err() && !matches!(outcome, Err(Error::OutcomeUnknown(_))) {
            self.engine.medium.discard_segments(segments).await;
        }
        outcome.map(|_| ())
    }

    /// Undoes all of it.
    pub fn rollback(&self) -> Result<()> {
        self.end().map(drop)
    }

    fn end(&self) -> Result<Vec<Done>> {
        let mut state = lock(&self.state);
        check_open(&state)?;
        state.is_open = false;
        state.savepoints.clear();
        Ok(std::mem::take(&mut state.done))
    }

    /// Remembers this moment under a name.
    pub fn savepoint(&self, name: String) -> Result<()> {
        let mut state = lock(&self.state);
        check_open(&state)?;
        let savepoint =
            Savepoint { name, version: Arc::clone(&state.version), done: state.done.len() };
        state.savepoints.push(savepoint);
        Ok(())
    }

    /// Undoes what was done since the newest savepoint of that name, which stays.
    pub fn rollback_to(&self, name: &str) -> Result<()> {
        let mut state = lock(&self.state);
        let place = find(&state, name)?;
        state.savepoints.truncate(place + 1);
        let savepoint = &state.savepoints[place];
        let (version, done) = (Arc::clone(&savepoint.version), savepoint.done);
        state.version = version;
        state.done.truncate(done);
        state.steps += 1;
        // What is written from now on goes to runs of its own: not behind what was undone.
        state.frozen = upcoming_id();
        Ok(())
    }

    /// Forgets the newest savepoint of that name, and those after it; what was done stays.
    pub fn release(&self, name: &str) -> Result<()> {
        let mut state = lock(&self.state);
        let place = find(&state, name)?;
        state.savepoints.truncate(place);
        Ok(())
    }
}

fn find(state: &State, name: &str) -> Result<usize> {
    check_open(state)?;
    let place = state.savepoints.iter().rposition(|savepoint| savepoint.name == name);
    place.ok_or_else(|| {
        let names: Vec<_> = state.savepoints.iter().map(|s| s.name.as_str()).collect();
        let have = if names.is_empty() { "none".to_string() } else { names.join(", ") };
        Error::NotFound(format!("savepoint \"{name}\"; savepoints there are: {have}"))
    })
}

fn check_open(state: &State) -> Result<()> {
    match state.is_open {
        true => Ok(()),
        false => Err(Error::invalid("the transaction of the statement has ended")),
    }
}

fn overtaken() -> Error {
    Error::SerializationFailure("another statement of the transaction came in between".to_string())
}
