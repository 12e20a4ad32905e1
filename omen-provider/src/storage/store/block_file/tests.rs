//! Bytes of any length, on a file that takes blocks alone, and on the disk where it has such files.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::storage::store::files::{Files, SystemFiles, write_all_at, write_zeros};

/// A file that takes whole blocks from aligned memory, until it goes through the cache, and reads
/// and writes less than it is asked to.
#[derive(Debug, Clone, Default)]
struct Blocks {
    content: Arc<Mutex<Vec<u8>>>,
    is_cached: Arc<AtomicBool>,
    /// Refuses everything.
    refuses: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    /// One write in so many does a sector's length of what it is asked to; 0: none.
    short_calls: usize,
}

impl Blocks {
    fn check(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let blocks = [bytes.len(), offset as usize, bytes.as_ptr() as usize];
        let are_whole = blocks.iter().all(|number| number % BLOCK == 0);
        if !self.is_cached.load(SeqCst) && (!are_whole || self.refuses.load(SeqCst)) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        let is_short = call.is_multiple_of(self.short_calls);
        Ok(if is_short { bytes.len().min(512) } else { bytes.len() })
    }

    fn content(&self) -> Vec<u8> {
        self.content.lock().unwrap().clone()
    }
}

impl FileHandle for Blocks {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.content().len() as u64)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content();
        let rest = content.get(offset as usize..).unwrap_or_default();
        // Behind a short read only the rest of a block is asked for.
        let count = rest.len().min(buffer.len()).min(512);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.check(bytes, offset)?;
        let mut content = self.content.lock().unwrap();
        let end = offset as usize + count;
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset as usize..end].copy_from_slice(&bytes[..count]);
        Ok(count)
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.content.lock().unwrap().resize(bytes as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
    fn go_through_cache(&self) -> io::Result<()> {
        self.is_cached.store(true, SeqCst);
        Ok(())
    }
}

/// Lengths around those of blocks and of the longest write, and many that are neither.
fn lengths() -> Vec<usize> {
    let mut lengths = vec![1, 64, BLOCK - 65, 1, BLOCK - 1, BLOCK, 166, 166, 3 * BLOCK + 7];
    lengths.extend([WRITE_BYTES_MAX - 1, WRITE_BYTES_MAX, 2 * WRITE_BYTES_MAX + 5, 9]);
    lengths.extend((0..60).map(|number| number * 97 % 5_000 + 1));
    lengths
}

/// Appends as a log does: a write that writes nothing is an error.
fn append(file: &dyn FileHandle, content: &mut Vec<u8>, length: usize) {
    let part: Vec<u8> = (0..length).map(|i| (i * 7 + content.len()) as u8 | 1).collect();
    write_all_at(file, &part, content.len() as u64).unwrap();
    content.extend_from_slice(&part);
}

/// What the file holds is `content`, and zeros to the end of the block.
fn check(found: &[u8], content: &[u8]) {
    assert!(found.len() >= content.len() && found.len() - content.len() < BLOCK);
    assert!(found[..content.len()] == *content);
    assert!(found[content.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn what_is_appended_is_there_whatever_its_length() {
    let blocks = Blocks::default();
    let mut file = BlockFile::new(Box::new(blocks.clone()));
    let mut content = Vec::new();
    for (number, length) in lengths().into_iter().enumerate() {
        append(&file, &mut content, length);
        let found = blocks.content();
        assert!(found[..content.len()] == content && found.len() - content.len() < BLOCK);
        if number % 5 == 0 {
            file = BlockFile::new(Box::new(blocks.clone()));
        }
        if number % 7 == 0 {
            file.set_len(content.len() as u64).unwrap();
        }
        let (mut read, from) = (vec![0; length + 1], content.len() - length);
        let count = read_full_at(&file, &mut read, from as u64).unwrap();
        assert!(count >= length && read[..length] == content[from..]);
    }
    assert!(!blocks.is_cached.load(SeqCst));
}

/// Blocks that get no further than to what was there before are left; bytes always do.
#[test]
fn what_is_written_a_sector_at_a_time_is_there() {
    for short_calls in [1, 2, 3] {
        let blocks = Blocks { short_calls, ..Blocks::default() };
        let file = BlockFile::new(Box::new(blocks.clone()));
        let mut content = Vec::new();
        for length in lengths() {
            append(&file, &mut content, length);
        }
        assert!(blocks.is_cached.load(SeqCst), "one of {short_calls}");
        check(&blocks.content(), &content);
    }
}

#[test]
fn a_file_that_refuses_goes_through_the_cache() {
    for asked in [false, true] {
        let blocks = Blocks::default();
        let file = BlockFile::new(Box::new(blocks.clone()));
        let mut content = Vec::new();
        append(&file, &mut content, 5_000);
        if asked {
            file.go_through_cache().unwrap();
        } else {
            blocks.refuses.store(true, SeqCst);
        }
        for length in lengths() {
            append(&file, &mut content, length);
        }
        assert!(blocks.is_cached.load(SeqCst));
        check(&blocks.content(), &content);
    }
}

/// A block that cannot be read back is not written with zeros in the place of what was there.
#[test]
fn a_block_that_is_gone_is_an_error() {
    let blocks = Blocks::default();
    let file = BlockFile::new(Box::new(blocks.clone()));
    append(&file, &mut Vec::new(), 3_000);
    blocks.set_len(512).unwrap();
    let next = BlockFile::new(Box::new(blocks.clone()));
    assert_eq!(next.write_at(b"x", 3_000).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(blocks.content().len(), 512);
}

/// A file on the disk; `None` where there are no such files.
fn on_disk(path: &Path) -> Option<BlockFile> {
    let file = SystemFiles.open_uncached(path).unwrap();
    if file.is_none() {
        println!("SKIPPED: no writes past the cache in {}", path.display());
    }
    file.map(BlockFile::new)
}

#[test]
fn blocks_that_another_filled_with_zeros_are_written_over() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("log");
    let other = SystemFiles.create_new(&path).unwrap();
    let Some(file) = on_disk(&path) else { return };
    let mut content = Vec::new();
    append(&file, &mut content, 64);
    let mut end = 64;
    for length in lengths() {
        let next = (content.len() + length).next_multiple_of(16 * BLOCK) as u64;
        write_zeros(other.as_ref(), end, next.max(end)).unwrap();
        other.sync_all().unwrap();
        end = next.max(end);
        append(&file, &mut content, length);
        file.sync_data().unwrap();
        let found = std::fs::read(&path).unwrap();
        assert_eq!(found.len() as u64, end);
        assert!(found[..content.len()] == content);
        assert!(found[content.len()..].iter().all(|byte| *byte == 0));
    }
    file.set_len(content.len() as u64).unwrap();
    append(&file, &mut content, 10);
    check(&std::fs::read(&path).unwrap(), &content);
    file.go_through_cache().unwrap();
    append(&file, &mut content, 10);
    write_all_at(&file, &[], 0).unwrap();
    check(&std::fs::read(&path).unwrap(), &content);
}
