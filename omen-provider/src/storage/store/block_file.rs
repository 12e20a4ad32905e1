//! A log file that is written past the system's cache, in whole blocks.
//!
//! For `local.rs`, where the file system has such writes ([`super::Files::open_uncached`]) and
//! somebody waits for each sync: writing the cached page and waiting for it falls away, a tenth of
//! a commit on the disk that was measured. The bytes of the last block are kept, and written again
//! with what follows on them; behind what is written come zeros up to the end of the block. Where
//! syncs come later, or a write is refused after all or adds nothing, the file goes through the
//! cache from then on.
//!
//! Bytes that are written again are the same: a block that is torn on its way holds what it held.
//!
//! Invariants: what lies behind the last byte written is zeros, or nothing. Whoever writes zeros to
//! the file meanwhile writes to other blocks.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::{FileHandle, UNCACHED_BLOCK as BLOCK, read_full_at};

/// The most that one write takes, and the buffer holds.
const WRITE_BYTES_MAX: usize = 256 << 10;

/// A file from [`super::Files::open_uncached`], for bytes at any place, in order.
#[derive(Debug)]
pub(super) struct BlockFile {
    file: Box<dyn FileHandle>,
    last: Mutex<LastBlock>,
}

/// The buffer of all writes; between them it begins with the last block, as it is on the disk.
#[derive(Debug, Default)]
struct LastBlock {
    memory: Vec<u8>,
    /// Where in it aligned bytes begin.
    aligned: usize,
    /// The offset behind what was written last.
    end: u64,
    /// Whether the file goes through the cache, and needs no blocks.
    is_cached: bool,
}

impl BlockFile {
    pub(super) fn new(file: Box<dyn FileHandle>) -> Self {
        Self { file, last: Mutex::default() }
    }

    fn last(&self) -> MutexGuard<'_, LastBlock> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave_blocks(&self, last: &mut LastBlock) -> io::Result<()> {
        self.file.go_through_cache()?;
        *last = LastBlock { is_cached: true, ..LastBlock::default() };
        Ok(())
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

    /// Writes a part of `bytes` with the blocks it lies in, and says how much; `None` if that leads
    /// nowhere: blocks are refused, or the write ended within the bytes that are written again, as
    /// it would the next time.
    fn write(
        &mut self,
        file: &dyn FileHandle,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<Option<usize>> {
        let head = (offset % BLOCK as u64) as usize;
        let start = offset - head as u64;
        let count = bytes.len().min(WRITE_BYTES_MAX - head);
        let is_next = offset == self.end;
        let room = self.room((head + count).next_multiple_of(BLOCK));
        if head > 0 && !is_next && read_full_at(file, &mut room[..BLOCK], start)? < head {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        room[head..head + count].copy_from_slice(&bytes[..count]);
        room[head + count..].fill(0);
        let reached = match file.write_at(room, start) {
            // Refused whole: other blocks are wanted than it was said.
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(None),
            reached => reached?,
        };
        if reached <= head {
            return Ok(None);
        }
        let written = (reached - head).min(count);
        let last = (head + written) / BLOCK * BLOCK;
        if last > 0 && last < room.len() {
            room.copy_within(last..last + BLOCK, 0);
        }
        self.end = offset + written as u64;
        Ok(Some(written))
    }
}

impl FileHandle for BlockFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let head = (offset % BLOCK as u64) as usize;
        let mut block = LastBlock::default();
        let room = block.room(BLOCK);
        let read = read_full_at(self.file.as_ref(), room, offset - head as u64)?;
        let found = room[..read].get(head..).unwrap_or_default();
        let count = found.len().min(buffer.len());
        buffer[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut last = self.last();
        if !last.is_cached {
            if let Some(written) = last.write(self.file.as_ref(), bytes, offset)? {
                return Ok(written);
            }
            self.leave_blocks(&mut last)?;
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

    fn go_through_cache(&self) -> io::Result<()> {
        self.leave_blocks(&mut self.last())
    }
}

#[cfg(test)]
mod tests;
