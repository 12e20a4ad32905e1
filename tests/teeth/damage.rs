//! Damage to single bytes of a database's files: the harness for checksums.
//!
//! One database, with a log, segments and a deletion vector, left by a dropped handle. In each try
//! one bit of one file differs; the database may be refused, and must not give another answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::crash::script::Statement::{Checkpoint, Create, Delete, Insert, InsertMany, Upsert};
use crate::crash::script::{State, read, states};
use crate::crash::{block_on, difference, open};
use crate::faulty_disk::files::FaultyFiles;
use crate::faulty_disk::files::editing::FilesByPath;

/// A database and what it holds.
pub struct Sound {
    pub files: FilesByPath,
    state: State,
}

/// What a flipped bit does.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Right,
    Refused(String),
    Wrong(String),
}

impl Sound {
    pub fn new() -> Self {
        let script = [
            Create("a"),
            InsertMany("a", (0..900).collect()),
            Checkpoint,
            Delete("a", (100..150).collect()),
            Upsert("a", (300..310).collect()),
            Checkpoint,
            Insert("a", (2000..2040).collect()),
            Delete("a", vec![5, 6]),
        ];
        let disk = FaultyFiles::new();
        block_on(async {
            let database = open(disk.store()).await.unwrap();
            for (number, statement) in script.iter().enumerate() {
                statement.run(&database, number).await.unwrap();
            }
        });
        let state = states(&script).pop().unwrap();
        Self { files: disk.all_files(), state }
    }

    /// The largest file whose name ends so, and how many bytes of it are more than free space.
    pub fn largest(&self, suffix: &str) -> (&Path, usize) {
        let ours = self.files.iter().filter(|(path, _)| path.to_string_lossy().ends_with(suffix));
        let found = ours.map(|(path, bytes)| (path.as_path(), used_bytes(bytes)));
        let largest = found.max_by_key(|(_, bytes)| *bytes);
        largest.unwrap_or_else(|| panic!("no file ends with {suffix}"))
    }

    /// Flips a bit, opens and reads.
    pub fn flipped(&self, path: &Path, at: usize) -> Answer {
        let mut files = self.files.clone();
        files.get_mut(path).expect("a file")[at] ^= 1 << (at % 8);
        let disk = FaultyFiles::holding(&files);
        let read = || block_on(async { read(&open(disk.store()).await?).await });
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(found)) if found == self.state => Answer::Right,
            Ok(Ok(found)) => Answer::Wrong(difference(&found, &self.state)),
            Ok(Err(error)) => Answer::Refused(error.to_string()),
            // As when a key is there twice.
            Err(_) => Answer::Wrong("a panic".to_string()),
        }
    }

    /// Flips bits all over the files of one kind until an answer is wrong, at most `most` of them.
    pub fn first_wrong_answer(&self, suffix: &str, most: usize) -> Option<(u64, String)> {
        let (path, bytes) = self.largest(suffix);
        let places = (0..bytes).step_by((bytes / most).max(1)).take(most);
        (1..).zip(places).find_map(|(tried, at)| match self.flipped(path, at) {
            Answer::Wrong(how) => Some((tried, format!("{}, byte {at}: {how}", path.display()))),
            _ => None,
        })
    }
}

/// How long a file is without the zeros at its end.
pub fn used_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
