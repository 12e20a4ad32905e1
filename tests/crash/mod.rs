//! The power fails, or the disk does, at every moment of a script and of the recovery after it:
//! nothing acknowledged is lost, nothing is there by halves.
//!
//! A script of fifty statements runs on a faulty disk. Of each run the harness knows how many
//! statements were acknowledged; what is recovered must be the model's state after these, or, where
//! the outcome of the last one was unknown, the state after one more.
//!
//! * `files.rs`: a file system under the engine's own code for the local disk. A script runs once,
//!   and the power is cut before each change it makes, with several seeds; then within recovery.
//! * `failing.rs`: calls of that file system fail, once or for ever, while the power stays on.
//! * `seam.rs`: a disk in the place of the local disk's code, cut and failing likewise.
//! * `may_lose.rs`: the same file system, and a database that may lose its last milliseconds.
//! * `long.rs`: scripts of chance without end, for a run of hours that can be taken up again.
//!
//! `tests/teeth/` plants bugs in the engine and asserts that these harnesses find them.

pub mod failing;
pub mod files;
mod long;
mod may_lose;
pub mod script;
pub mod scripts;
pub mod seam;

use omen_provider::store::Store;
use omen_provider::{Database, Options, Result};

pub use crate::harness::block_on_one_thread as block_on;
use crate::harness::media::small;
use script::{State, read};

/// Options under which a script flushes and merges.
pub fn options() -> Options {
    Options { memtable_bytes_max: 32 << 10, ..small() }
}

/// Opens the database in a store.
pub async fn open(store: Store) -> Result<Database> {
    options().open_store(store).await
}

/// What differs between two states, in a few words.
pub fn difference(found: &State, expected: &State) -> String {
    let names = |state: &State| state.keys().cloned().collect::<Vec<_>>().join(",");
    let mut words = format!("tables {} instead of {}", names(found), names(expected));
    for (name, rows) in expected {
        let Some(there) = found.get(name) else { continue };
        let gone = rows.iter().filter(|(key, text)| there.get(key) != Some(text)).count();
        let more = there.keys().filter(|key| !rows.contains_key(key)).count();
        words.push_str(&format!("; {name}: {gone} rows gone or wrong, {more} too many"));
    }
    words
}

/// Compares what was recovered with the states that are allowed.
pub async fn check(store: Store, allowed: &[&State]) -> std::result::Result<(), String> {
    let database = compare(store, allowed).await?;
    let report = database.verify().await.map_err(|e| format!("cannot be verified: {e}"))?;
    match report.problems.first() {
        Some(problem) => Err(format!("is not sound: {problem}")),
        None => Ok(()),
    }
}

/// The same without reading every byte for its checksum.
pub async fn compare(store: Store, allowed: &[&State]) -> std::result::Result<Database, String> {
    let database = open(store).await.map_err(|e| format!("does not open: {e}"))?;
    let found = read(&database).await.map_err(|e| format!("does not read: {e}"))?;
    if allowed.contains(&&found) { Ok(database) } else { Err(difference(&found, allowed[0])) }
}
