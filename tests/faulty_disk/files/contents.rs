//! The bytes of one file, as a program sees them and as they are on the medium, sector by sector.
//!
//! Sectors are shared, so that a snapshot of a disk costs next to nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{SECTOR_BYTES, Seeded};

type Sector = Arc<[u8; SECTOR_BYTES]>;

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
            self.sectors.resize(index + 1, Arc::new([0; SECTOR_BYTES]));
        }
        self.sectors[index] = sector;
    }

    /// Sets the length; bytes behind it are gone, bytes that are missing are zero.
    fn set_bytes(&mut self, bytes: usize) {
        self.bytes = bytes;
        let sectors = bytes.div_ceil(SECTOR_BYTES);
        self.sectors.resize(sectors, Arc::new([0; SECTOR_BYTES]));
        if !bytes.is_multiple_of(SECTOR_BYTES) {
            Arc::make_mut(&mut self.sectors[sectors - 1])[bytes % SECTOR_BYTES..].fill(0);
        }
    }
}

impl Contents {
    pub(super) fn bytes(&self) -> usize {
        self.live.bytes
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (index, at) = (self.live.bytes / SECTOR_BYTES, self.live.bytes % SECTOR_BYTES);
            let count = bytes.len().min(SECTOR_BYTES - at);
            if self.live.sectors.len() == index {
                self.live.sectors.push(Arc::new([0; SECTOR_BYTES]));
            }
            let sector = Arc::make_mut(&mut self.live.sectors[index]);
            sector[at..at + count].copy_from_slice(&bytes[..count]);
            self.dirty.insert(index);
            self.live.bytes += count;
            bytes = &bytes[count..];
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

    /// A sync that failed on its way: some sectors are written.
    pub(super) fn sync_some(&mut self, seeded: &mut Seeded) {
        for index in self.dirty.clone() {
            if seeded.coin() {
                self.durable.set(index, Arc::clone(&self.live.sectors[index]));
                self.dirty.remove(&index);
            }
        }
    }

    /// A sync that failed and took the bytes for clean: no later sync writes them.
    pub(super) fn forget(&mut self) {
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
        let (shortest, longest) = (self.durable.bytes, self.live.bytes);
        let written = (left.sectors.len() * SECTOR_BYTES).clamp(shortest, longest);
        let bytes = match seeded.below(6) {
            0 => shortest,
            1 => shortest + seeded.below((longest - shortest) as u64 + 1) as usize,
            2 | 3 => longest,
            _ => written,
        };
        left.set_bytes(bytes);
        Self { live: left.clone(), durable: left, dirty: BTreeSet::new() }
    }
}
