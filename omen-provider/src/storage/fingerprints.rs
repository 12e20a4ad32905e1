//! A small filter over the keys of a part: answers "certainly not there" without looking.
//!
//! A Bloom filter of 64-bit blocks: a key sets [`BITS_PER_KEY_SET`] bits of one block, so a probe
//! touches one word of memory. About 3 of 100 absent keys pass. Every indexed run has one; in a
//! segment it is written only if its key range may overlap those of others.
//!
//! ```text
//! blocks u32 | block u64 ...          (all integers little-endian)
//! ```
//! Hash of a key of `n` bytes: `h = n * K`; for each 8 bytes as little-endian `c` (the last padded
//! with zeros) `h = (h ^ c) * K; h ^= h >> 32`; at the end `h = h * K; h ^= h >> 29`; arithmetic
//! modulo 2^64, `K = 0x9E3779B97F4A7C15`. Block `(h >> 32) * blocks >> 32`; the bits are the four
//! lowest groups of 6 bits of `h`.

/// Size of the filter.
const BITS_PER_KEY: usize = 10;
/// Bits that one key sets.
const BITS_PER_KEY_SET: u32 = 4;
/// The odd multiplier of the hash: 2^64 divided by the golden ratio.
const HASH_MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The filter of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints {
    blocks: Vec<u64>,
}

impl Fingerprints {
    /// A filter over keys given by their hashes.
    pub fn new(hashes: &[u64]) -> Self {
        let count = (hashes.len() * BITS_PER_KEY).div_ceil(64).max(1);
        let mut blocks = vec![0; count];
        for &hash in hashes {
            blocks[block(hash, count)] |= bits(hash);
        }
        Self { blocks }
    }

    /// False if the key of this hash is certainly not there.
    pub fn may_contain(&self, hash: u64) -> bool {
        let bits = bits(hash);
        self.blocks[block(hash, self.blocks.len())] & bits == bits
    }

    /// Appends the encoded form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        for block in &self.blocks {
            out.extend_from_slice(&block.to_le_bytes());
        }
    }

    /// Reads the encoded form; the error says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (head, body) = bytes.split_first_chunk::<4>().ok_or("fingerprints are cut short")?;
        let count = u32::from_le_bytes(*head) as usize;
        if count == 0 || Some(body.len()) != count.checked_mul(8) {
            return Err(format!("{count} fingerprint blocks in {} bytes", body.len()));
        }
        let (chunks, _) = body.as_chunks::<8>();
        Ok(Self { blocks: chunks.iter().map(|c| u64::from_le_bytes(*c)).collect() })
    }
}

/// The hash of an encoded key.
pub fn hash(key: &[u8]) -> u64 {
    let mut hash = (key.len() as u64).wrapping_mul(HASH_MULTIPLIER);
    let mut mix = |chunk: u64| {
        hash = (hash ^ chunk).wrapping_mul(HASH_MULTIPLIER);
        hash ^= hash >> 32;
    };
    let (chunks, rest) = key.as_chunks::<8>();
    chunks.iter().for_each(|chunk| mix(u64::from_le_bytes(*chunk)));
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        mix(u64::from_le_bytes(last));
    }
    hash = hash.wrapping_mul(HASH_MULTIPLIER);
    hash ^ (hash >> 29)
}

fn block(hash: u64, count: usize) -> usize {
    (((hash >> 32) * count as u64) >> 32) as usize
}

fn bits(hash: u64) -> u64 {
    (0..BITS_PER_KEY_SET).fold(0, |bits, i| bits | 1 << ((hash >> (6 * i)) & 63))
}
