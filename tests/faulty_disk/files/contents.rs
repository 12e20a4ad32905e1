//! The bytes of one file, as a program sees them and as they are on the medium, sector by sector.
//!
//! A sector that is written over has its old bytes on the medium or its new ones: a write of many
//! may be torn anywhere between them.
//!
//! Sectors are shared, so that a snapshot of a disk costs next to nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::super::{SECTOR_BYTES, Seeded};

type Sector = Arc<[u8; SECTOR_BYTES]>;

/// A sector that nothing was written to.
fn zeros() -> Sector {
    static ZEROS: OnceLock<Sector> = OnceLock::new();
    Arc::clone(ZEROS.get_or_init(|| Arc::new([0; SECTOR_BYTES])))
}

/// One version of the bytes.
#[derive(Debug, Clone, Default)]
struct Version {
    sectors: Vec<Sector>,
    bytes: usize,
}

/// The bytes of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    live: Version,
    durable: Version,
    /// The sectors that the next sync writes.
    dirty: BTreeSet<usize>,
    /// How many syncs have failed; every open file is told once of those since it was opened.
    failed_syncs: u64,
}

/// Which of the unsynced sectors had been written back when the power went.
#[derive(Clone, Copy)]
enum WrittenBack {
    None,
    All,
    Beginning,
    Any,
}

impl Version {
    /// Sets a sector; those before it that are missing are zero.
    fn set(&mut self, index: usize, sector: Sector) {
        if self.sectors.len() <= index {
            self.sectors.resize(index + 1, zeros());
        }
        self.sectors[index] = sector;
    }

    /// Sets the length; bytes behind it are gone, bytes that are missing are zero.
    fn set_bytes(&mut self, bytes: usize) {
        self.bytes = bytes;
        let sectors = bytes.div_ceil(SECTOR_BYTES);
        self.sectors.resize(sectors, zeros());
        if !bytes.is_multiple_of(SECTOR_BYTES) {
            let (last, at) = (&mut self.sectors[sectors - 1], bytes % SECTOR_BYTES);
            if last[at..].iter().any(|byte| *byte != 0) {
                Arc::make_mut(last)[at..].fill(0);
            }
        }
    }
}

impl Contents {
    pub(super) fn bytes(&self) -> usize {
        self.live.bytes
    }

    /// How many sectors the file takes.
    pub(super) fn sectors(&self) -> usize {
        self.live.sectors.len()
    }

    /// Writes from `offset` on; what is missing before that is zero.
    pub(super) fn write_at(&mut self, mut bytes: &[u8], offset: u64) {
        let mut start = offset as usize;
        while !bytes.is_empty() {
            let (index, at) = (start / SECTOR_BYTES, start % SECTOR_BYTES);
            let count = bytes.len().min(SECTOR_BYTES - at);
            if self.live.sectors.len() <= index {
                let new = self.live.sectors.len()..=index;
                self.dirty.extend(new);
                self.live.sectors.resize(index + 1, zeros());
            }
            self.dirty.insert(index);
            let (part, sector) = (&bytes[..count], &mut self.live.sectors[index]);
            // Sectors of zeros stay one and the same.
            if sector[at..at + count] != *part {
                Arc::make_mut(sector)[at..at + count].copy_from_slice(part);
            }
            start += count;
            self.live.bytes = self.live.bytes.max(start);
            bytes = &bytes[count..];
        }
    }

    /// Cuts the file off.
    pub(super) fn cut(&mut self, bytes: u64) {
        let bytes = bytes as usize;
        if bytes < self.live.bytes {
            self.live.set_bytes(bytes);
            self.dirty.retain(|index| index * SECTOR_BYTES < bytes);
        }
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.live.bytes);
        let count = buffer.len().min(self.live.bytes - start);
        let mut filled = 0;
        while filled < count {
            let (index, at) = ((start + filled) / SECTOR_BYTES, (start + filled) % SECTOR_BYTES);
            let piece = (count - filled).min(SECTOR_BYTES - at);
            let sector = &self.live.sectors[index][at..at + piece];
            buffer[filled..filled + piece].copy_from_slice(sector);
            filled += piece;
        }
        count
    }

    /// Makes everything durable that was not forgotten.
    pub(super) fn sync(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            self.durable.set(index, Arc::clone(&self.live.sectors[index]));
        }
        self.durable.set_bytes(self.live.bytes);
    }

    pub(super) fn failed_syncs(&self) -> u64 {
        self.failed_syncs
    }

    /// A sync that failed on its way: some sectors are written.
    pub(super) fn sync_some(&mut self, seeded: &mut Seeded) {
        self.failed_syncs += 1;
        for index in self.dirty.clone() {
            if seeded.coin() {
                self.durable.set(index, Arc::clone(&self.live.sectors[index]));
                self.dirty.remove(&index);
            }
        }
    }

    /// A sync that failed and took the bytes for clean: no later sync writes them.
    pub(super) fn forget(&mut self) {
        self.failed_syncs += 1;
        self.dirty.clear();
    }

    /// Whether a power cut leaves all as it is.
    pub(super) fn is_durable(&self) -> bool {
        let same = |(a, b)| Arc::ptr_eq(a, b);
        let (live, durable) = (&self.live, &self.durable);
        live.bytes == durable.bytes && live.sectors.iter().zip(&durable.sectors).all(same)
    }

    /// What a power cut leaves: any of the unsynced sectors, and a length of its own, for the file
    /// system writes that down apart from the bytes.
    pub(super) fn after_power_cut(&self, seeded: &mut Seeded) -> Self {
        let mut left = self.durable.clone();
        let modes = [WrittenBack::None, WrittenBack::All, WrittenBack::Beginning, WrittenBack::Any];
        let mode = modes[seeded.below(4) as usize];
        let beginning = seeded.below(self.dirty.len() as u64 + 1) as usize;
        for (order, &index) in self.dirty.iter().enumerate() {
            let survives = match mode {
                WrittenBack::None => false,
                WrittenBack::All => true,
                WrittenBack::Beginning => order < beginning,
                WrittenBack::Any => seeded.coin(),
            };
            if survives {
                left.set(index, Arc::clone(&self.live.sectors[index]));
            }
        }
        // A file that was cut has the one length or the other.
        let (shortest, longest) = match self.live.bytes < self.durable.bytes {
            true if seeded.coin() => (self.live.bytes, self.live.bytes),
            true => (self.durable.bytes, self.durable.bytes),
            false => (self.durable.bytes, self.live.bytes),
        };
        let written = (left.sectors.len() * SECTOR_BYTES).clamp(shortest, longest);
        let bytes = match seeded.below(6) {
            0 => shortest,
            1 => shortest + seeded.below((longest - shortest) as u64 + 1) as usize,
            2 | 3 => longest,
            _ => written,
        };
        left.set_bytes(bytes);
        Self { live: left.clone(), durable: left, dirty: BTreeSet::new(), failed_syncs: 0 }
    }
}
