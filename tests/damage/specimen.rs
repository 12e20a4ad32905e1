//! Databases to be damaged: each with all that it may say for itself afterwards.
//!
//! Called by the tests of this folder. Everything is made the same way each time but for random
//! identities (database, log, writer).

use std::fs;
use std::path::{Path, PathBuf};

use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use omen_provider::store::Store;
use omen_provider::{Database, Key, Result};

use crate::harness::failing_store::{Call, Effect, Failing};
use crate::harness::media::small;
use crate::harness::{block_on, run};

/// Files by the path below their database's directory.
pub type FileList = Vec<(PathBuf, Vec<u8>)>;

/// A database on which nobody works.
pub struct Specimen {
    /// What it is like.
    pub name: &'static str,
    /// Its files.
    pub files: FileList,
    /// Earlier contents of these files, and files that it had before.
    pub older: FileList,
    /// All rows, drawn: as they were before each statement that the newest log alone holds; the
    /// last is what the database holds.
    pub states: Vec<String>,
}

impl Specimen {
    /// One of each kind.
    pub fn all() -> Vec<Self> {
        vec![Self::closed(), Self::unclosed(), Self::two_logs()]
    }

    /// Two tables, segments, marks; its log is sealed.
    pub fn closed() -> Self {
        Self::make("closed", |folder, history| {
            block_on(async {
                let database = small().open(folder).await.unwrap();
                fill(&database, folder, history).await;
                let state = everything(&database).await.unwrap();
                database.close().await.unwrap();
                vec![state]
            })
        })
    }

    /// The same, with statements that are in the log alone, among them a row full of zeros.
    pub fn unclosed() -> Self {
        Self::make("unclosed", |folder, history| {
            block_on(async {
                let database = small().open(folder).await.unwrap();
                fill(&database, folder, history).await;
                database.checkpoint().await.unwrap();
                write(&database, folder, history).await
            })
        })
    }

    /// The same, in the middle of a flush: its log is sealed and its successor holds statements.
    pub fn two_logs() -> Self {
        Self::make("two logs", |folder, history| {
            block_on(async {
                let failing = Failing::new(Store::local(folder));
                let database = small().open_store(failing.store()).await.unwrap();
                fill(&database, folder, history).await;
                database.checkpoint().await.unwrap();
                run(&database, "INSERT INTO t VALUES ('in the first log')").await;
                let is_manifest =
                    |call, name: &str| call == Call::Put && name.starts_with("manifest");
                failing.fail(is_manifest, Effect::Nothing);
                assert!(database.checkpoint().await.is_err());
                write(&database, folder, history).await
            })
        })
    }

    fn make(name: &'static str, work: impl FnOnce(&Path, &mut FileList) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut older = FileList::new();
        let states = work(&path, &mut older);
        let files = files(&path);
        older.sort();
        older.dedup();
        older.retain(|old| !files.contains(old));
        Self { name, files, older, states }
    }

    /// The place of the log that was written last.
    pub fn newest_log(&self) -> usize {
        let is_log = |(name, _): &(PathBuf, Vec<u8>)| name.extension().is_some_and(|e| e == "log");
        self.files.iter().rposition(is_log).expect("a log")
    }
}

/// Two tables, segments, and marks on the first of them.
async fn fill(database: &Database, folder: &Path, history: &mut FileList) {
    run(database, "CREATE TABLE n (id BIGINT PRIMARY KEY, v BIGINT, s TEXT)").await;
    run(database, "CREATE TABLE t (k TEXT PRIMARY KEY)").await;
    history.extend(files(folder));
    let series = "generate_series(0, 699) AS g(value)";
    run(database, &format!("INSERT INTO n SELECT value, value * 7, 'row ' || value FROM {series}"))
        .await;
    run(database, "INSERT INTO t VALUES ('a'), ('b'), ('c')").await;
    history.extend(files(folder));
    database.checkpoint().await.unwrap();
    history.extend(files(folder));
    let some = "generate_series(0, 9) AS g(value)";
    run(database, &format!("INSERT OR REPLACE INTO n SELECT value * 50, 1, 'new' FROM {some}"))
        .await;
    history.extend(files(folder));
}

/// Statements for the log; gives the states before and after each.
async fn write(database: &Database, folder: &Path, history: &mut FileList) -> Vec<String> {
    let mut states = vec![everything(database).await.unwrap()];
    for sql in [
        "INSERT INTO n VALUES (2000, 1, 'only in the log')",
        // Zeros are what a power cut leaves too.
        "INSERT INTO n SELECT value, 0, 'zero' FROM generate_series(3000, 3299) AS g(value)",
        "INSERT INTO t VALUES ('d')",
        "INSERT INTO t VALUES ('e')",
    ] {
        history.extend(files(folder));
        run(database, sql).await;
        states.push(everything(database).await.unwrap());
    }
    states
}

/// All rows of a database, drawn.
pub async fn everything(database: &Database) -> Result<String> {
    let mut drawn = String::new();
    for table in ["n", "t"] {
        let rows: Vec<_> = database.table(table)?.range::<Key>(..).try_collect().await?;
        drawn.push_str(&pretty_format_batches(&rows)?.to_string());
    }
    Ok(drawn)
}

/// Bytes of the space that a log has taken and not used: enough to be damaged too.
const UNUSED_BYTES: usize = 600;

/// All files below a folder, but for the reserve, which nobody reads, and most of the unused space
/// of logs.
pub fn files(folder: &Path) -> FileList {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("reserve") => {}
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_path_buf();
                    let mut bytes = fs::read(&path).unwrap();
                    if name.starts_with("log") {
                        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                        bytes.truncate(used + UNUSED_BYTES);
                    }
                    found.push((name, bytes));
                }
            }
        }
    }
    found.sort();
    found
}

/// Puts files into a folder in the place of whatever is there.
pub fn put(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    let _ = fs::remove_dir_all(folder);
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
