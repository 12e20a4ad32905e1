//! A file written past the page cache of Linux: what is written goes to the disk at once.
//!
//! For logs (`log_file.rs`), whose syncs somebody waits for each time: a write of the cached page
//! and the wait for it fall away, a tenth of a commit on the disk that was measured. The system
//! takes whole blocks, from memory that is aligned to them. So the bytes of the last block are
//! kept, and written again with what follows on them; behind what is written come zeros up to the
//! end of the block.
//!
//! A file system without such writes, or with larger blocks, gets ordinary ones ([`open_log`]).
//!
//! Invariants: what lies behind the last byte written is zeros, or nothing. No block is shared with
//! who else writes to the file, once space was taken for it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::files::FileHandle;

/// What is written is a multiple of it: enough for every disk.
const BLOCK: usize = 4096;
/// The most that one write takes, and the buffer holds.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// A file for a log: written past the cache where the file system allows it.
pub(super) fn open_log(path: &Path) -> io::Result<Box<dyn FileHandle>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    // (What the flag is called as a number fits: it is one of `open`.)
    let direct = options.clone().custom_flags(OFlags::DIRECT.bits() as i32).open(path);
    match direct {
        Ok(file) if file.metadata()?.blksize() <= BLOCK as u64 => {
            Ok(Box::new(DirectFile::new(file)))
        }
        Ok(_) => Ok(Box::new(options.open(path)?)),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(Box::new(options.open(path)?)),
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
struct DirectFile {
    file: File,
    last: Mutex<LastBlock>,
}

/// The buffer of all writes; between them it begins with the last block, as it is on the disk.
#[derive(Debug)]
struct LastBlock {
    memory: Vec<u8>,
    /// Where in it aligned bytes begin.
    aligned: usize,
    /// The offset behind what was written last.
    end: u64,
    /// Whether the file system refused such writes, and now gets ordinary ones.
    is_cached: bool,
}

impl DirectFile {
    fn new(file: File) -> Self {
        let last = LastBlock { memory: Vec::new(), aligned: 0, end: 0, is_cached: false };
        Self { file, last: Mutex::new(last) }
    }

    fn last(&self) -> MutexGuard<'_, LastBlock> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LastBlock {
    /// So many aligned bytes, of which the first block stays what it was.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.memory.len() < self.aligned + bytes {
            let memory = vec![0; bytes.next_power_of_two().max(4 * BLOCK) + BLOCK];
            let aligned = memory.as_ptr().align_offset(BLOCK);
            let old = std::mem::replace(&mut self.memory, memory);
            let kept = old.get(self.aligned..self.aligned + BLOCK).unwrap_or_default();
            self.memory[aligned..aligned + kept.len()].copy_from_slice(kept);
            self.aligned = aligned;
        }
        &mut self.memory[self.aligned..self.aligned + bytes]
    }

    /// Writes a part of `bytes` with the blocks it lies in, and says how much.
    fn write(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let head = (offset % BLOCK as u64) as usize;
        let start = offset - head as u64;
        let count = bytes.len().min(WRITE_BYTES_MAX - head);
        let is_next = offset == self.end;
        let room = self.room((head + count).next_multiple_of(BLOCK));
        if head > 0 && !is_next {
            read_block(file, &mut room[..BLOCK], start)?;
        }
        room[head..head + count].copy_from_slice(&bytes[..count]);
        room[head + count..].fill(0);
        let written = file.write_at(room, start)?.saturating_sub(head).min(count);
        let last = (head + written) / BLOCK * BLOCK;
        if last > 0 && last < room.len() {
            room.copy_within(last..last + BLOCK, 0);
        }
        self.end = offset + written as u64;
        Ok(written)
    }
}

impl FileHandle for DirectFile {
    fn bytes(&self) -> io::Result<u64> {
        FileHandle::bytes(&self.file)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let head = (offset % BLOCK as u64) as usize;
        let mut block = LastBlock { end: 0, aligned: 0, memory: Vec::new(), is_cached: false };
        let room = block.room(BLOCK);
        let read = read_block(&self.file, room, offset - head as u64)?;
        let found = room[..read].get(head..).unwrap_or_default();
        let count = found.len().min(buffer.len());
        buffer[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut last = self.last();
        if !last.is_cached {
            match last.write(&self.file, bytes, offset) {
                // Refused whole, since the file system wants other blocks than it said.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    let flags = fcntl_getfl(&self.file)?;
                    fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
                    *last = LastBlock { is_cached: true, memory: Vec::new(), aligned: 0, end: 0 };
                }
                written => return written,
            }
        }
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        // Who writes next reads the block that it goes on in.
        self.last().end = u64::MAX;
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Reads the block at `start`, zeros behind the end of the file, and says how many bytes it has.
fn read_block(file: &File, block: &mut [u8], start: u64) -> io::Result<usize> {
    let count = file.read_at(block, start)?;
    block[count..].fill(0);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::files::{read_full_at, write_all_at, write_zeros};

    /// Lengths around those of blocks and of the longest write, and the file that they make.
    fn lengths() -> Vec<usize> {
        let mut lengths = vec![1, 64, BLOCK - 65, 1, BLOCK - 1, BLOCK, 166, 166, 3 * BLOCK + 7];
        lengths.extend([WRITE_BYTES_MAX - 1, WRITE_BYTES_MAX, 2 * WRITE_BYTES_MAX + 5, 9]);
        lengths.extend((0..60).map(|number| number * 97 % 5_000 + 1));
        lengths
    }

    fn append(file: &dyn FileHandle, content: &mut Vec<u8>, length: usize) {
        let part: Vec<u8> = (0..length).map(|i| (i * 7 + content.len()) as u8 | 1).collect();
        write_all_at(file, &part, content.len() as u64).unwrap();
        content.extend_from_slice(&part);
    }

    /// What the file holds for everyone else is `content`, and zeros to the end of the block.
    fn check(path: &Path, content: &[u8]) {
        let found = std::fs::read(path).unwrap();
        assert!(found.len() >= content.len() && found.len() - content.len() < BLOCK);
        assert!(found[..content.len()] == *content);
        assert!(found[content.len()..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_is_appended_is_there_whatever_its_length() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        File::create_new(&path).unwrap();
        let mut file = open_log(&path).unwrap();
        let mut content = Vec::new();
        for (number, length) in lengths().into_iter().enumerate() {
            append(file.as_ref(), &mut content, length);
            check(&path, &content);
            if number % 5 == 0 {
                file.sync_data().unwrap();
                file = open_log(&path).unwrap();
            }
            let (mut found, from) = (vec![0; length + 1], content.len() - length);
            let count = read_full_at(file.as_ref(), &mut found, from as u64).unwrap();
            assert!(count >= length && found[..length] == content[from..]);
        }
    }

    #[test]
    fn blocks_that_another_filled_with_zeros_are_written_over() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        let other = File::create_new(&path).unwrap();
        let file = open_log(&path).unwrap();
        let mut content = Vec::new();
        append(file.as_ref(), &mut content, 64);
        let mut end = 64;
        for length in lengths() {
            let next = (content.len() + length).next_multiple_of(16 * BLOCK) as u64;
            write_zeros(&other, end, next.max(end)).unwrap();
            other.sync_all().unwrap();
            end = next.max(end);
            append(file.as_ref(), &mut content, length);
            let found = std::fs::read(&path).unwrap();
            assert_eq!(found.len() as u64, end);
            assert!(found[..content.len()] == content);
            assert!(found[content.len()..].iter().all(|byte| *byte == 0));
        }
        file.set_len(content.len() as u64).unwrap();
        append(file.as_ref(), &mut content, 10);
        check(&path, &content);
    }

    #[test]
    fn a_file_system_that_refuses_such_writes_gets_others() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        File::create_new(&path).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        // A file that is open for reading alone refuses with another error, which is told.
        let unwritable = DirectFile::new(File::open(&path).unwrap());
        assert!(unwritable.write_at(b"x", 0).is_err() && !unwritable.last().is_cached);
        fcntl_setfl(&file, fcntl_getfl(&file).unwrap() | OFlags::DIRECT).unwrap();
        let file = DirectFile::new(file);
        let mut content = Vec::new();
        append(&file, &mut content, 5_000);
        assert!(!file.last().is_cached);
        // Memory that is not aligned is refused as other blocks would be.
        file.last().aligned += 1;
        append(&file, &mut content, 5_000);
        assert!(file.last().is_cached, "this file system takes what is not aligned");
        append(&file, &mut content, 5_000);
        check(&path, &content);
    }
}
