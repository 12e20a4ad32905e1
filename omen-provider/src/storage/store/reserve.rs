//! The reserve: a file of zeros that is there to be removed when the disk is full, so that what
//! makes room again (deleting rows, flushing, closing, opening) finds some.
//!
//! Called by the local disk for the engine, which decides when. The file is `reserve` in the
//! directory of the database; nothing is ever read from it.
//!
//! Invariant: a reserve that is held has its space on the medium; one that could not be made leaves
//! nothing behind.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::directory::{Directory, failed};
use super::files::{FileHandle, Files, write_zeros};
use crate::error::Result;

/// Name of the file.
const RESERVE_FILE: &str = "reserve";

/// The reserve of one directory.
#[derive(Debug)]
pub(super) struct Reserve {
    directory: Arc<Directory>,
    path: PathBuf,
    /// The length of the file; not known before it was looked at.
    held: Mutex<Option<u64>>,
}

impl Reserve {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        let path = directory.root().join(RESERVE_FILE);
        Self { directory, path, held: Mutex::new(None) }
    }

    /// Makes the reserve at least so large.
    pub(super) fn hold(&self, bytes: u64) -> Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let there = match *held {
            Some(there) => there,
            None => self.look().map_err(|e| failed(&self.path, e))?,
        };
        *held = Some(there);
        if bytes <= there {
            return Ok(());
        }
        let grown = self.directory.with_descriptor(|files| match there {
            0 => make(files, self.directory.root(), &self.path, bytes),
            _ => grow(files.open_to_write(&self.path)?.as_ref(), there, bytes),
        });
        grown.map_err(|e| failed(&self.path, e))?;
        *held = Some(bytes);
        Ok(())
    }

    /// Removes the reserve; false if there was none.
    pub(super) fn give_up(&self) -> Result<bool> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.directory.files.as_ref();
        *held = Some(0);
        match files.unlink(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            removed => removed.map_err(|e| failed(&self.path, e))?,
        }
        // A file system may free the space only with its next transaction.
        self.directory.sync(self.directory.root())?;
        Ok(true)
    }

    /// The length of the file; 0 if there is none.
    fn look(&self) -> io::Result<u64> {
        match self.directory.with_descriptor(|files| files.open(&self.path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            file => file?.bytes(),
        }
    }
}

fn make(files: &dyn Files, root: &Path, path: &Path, bytes: u64) -> io::Result<()> {
    let file = match files.create_new(path) {
        // What a process left behind that died while it made one.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => files.open_to_write(path)?,
        file => file?,
    };
    let made = grow(file.as_ref(), 0, bytes).and_then(|()| files.sync_dir(root));
    if made.is_err() {
        // Left over, it is taken for a smaller reserve by the next process.
        let _ = files.unlink(path);
    }
    made
}

fn grow(file: &dyn FileHandle, start: u64, end: u64) -> io::Result<()> {
    let grown = write_zeros(file, start, end).and_then(|()| file.sync_all());
    if grown.is_err() {
        let _ = file.set_len(start);
    }
    grown
}
