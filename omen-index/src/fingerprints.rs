//! A small filter over the keys of a part: answers "certainly not there" without looking.
//!
//! A Bloom filter of 64-bit blocks: a key sets four bits of one block, so a probe
//! touches one word of memory. About 3 of 100 absent keys pass. The runs in memory have one each;
//! where parts are stored, it is worth its bytes only if their keys overlap.
//!
//! ```text
//! blocks u32 | block u64 ...          (all integers little-endian)
//! ```
//! Hash of a key of `n` bytes: `h = n * K`; for each 8 bytes as little-endian `c` (the last padded
//! with zeros) `h = (h ^ c) * K; h ^= h >> 32`; at the end `h = h * K; h ^= h >> 29`; arithmetic
//! modulo 2^64, `K = 0x9E3779B97F4A7C15`. Block `(h >> 32) * blocks >> 32`; the bits are the four
//! lowest groups of 6 bits of `h`.

use crate::error::Error;
use crate::simd::{self, Isa, Kernel};

/// Size of the filter.
const BITS_PER_KEY: usize = 10;
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
        let mut blocks = vec![0; block_count(hashes.len())];
        let count = blocks.len();
        for &hash in hashes {
            blocks[block(hash, count)] |= bits(hash);
        }
        Self { blocks }
    }

    /// A filter over keys that are numbers, by [`hash_u64`].
    pub fn of_numbers(keys: &[u64]) -> Self {
        let mut blocks = vec![0; block_count(keys.len())];
        simd::dispatch::<SetNumbers, _, _, _>(&mut blocks, keys, ());
        Self { blocks }
    }

    /// Bytes of memory.
    pub fn byte_size(&self) -> usize {
        self.blocks.len() * 8
    }

    /// False if the key of this hash is certainly not there.
    #[inline]
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

    /// Reads the encoded form.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes are not as many as they say.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = |reason| Error::Corrupt { offset: 0, reason };
        let (head, body) =
            bytes.split_first_chunk::<4>().ok_or(corrupt("fingerprints are cut short"))?;
        let count = u32::from_le_bytes(*head) as usize;
        if count == 0 || Some(body.len()) != count.checked_mul(8) {
            return Err(corrupt("another number of fingerprints than stated"));
        }
        let (chunks, _) = body.as_chunks::<8>();
        Ok(Self { blocks: chunks.iter().map(|c| u64::from_le_bytes(*c)).collect() })
    }
}

/// Numbers whose blocks and bits are found together, by arithmetic on many at a time.
const TOGETHER: usize = 64;

/// Sets the bits of keys that are numbers.
struct SetNumbers;

impl Kernel<&mut [u64], &[u64], ()> for SetNumbers {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(_isa: I, blocks: &mut [u64], keys: &[u64], (): ()) {
        let count = blocks.len();
        let (groups, rest) = keys.as_chunks::<TOGETHER>();
        for group in groups {
            let (mut places, mut masks) = ([0; TOGETHER], [0; TOGETHER]);
            for ((place, mask), &key) in places.iter_mut().zip(&mut masks).zip(group) {
                let hash = hash_u64(key);
                (*place, *mask) = (block(hash, count), bits(hash));
            }
            for (&place, mask) in places.iter().zip(masks) {
                blocks[place] |= mask;
            }
        }
        for &key in rest {
            let hash = hash_u64(key);
            blocks[block(hash, count)] |= bits(hash);
        }
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

/// The hash of the eight bytes of `key`, most significant first.
#[inline(always)]
pub fn hash_u64(key: u64) -> u64 {
    let mut hash = 8u64.wrapping_mul(HASH_MULTIPLIER);
    hash = (hash ^ key.swap_bytes()).wrapping_mul(HASH_MULTIPLIER);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(HASH_MULTIPLIER);
    hash ^ (hash >> 29)
}

fn block_count(keys: usize) -> usize {
    (keys * BITS_PER_KEY).div_ceil(64).max(1)
}

#[inline(always)]
fn block(hash: u64, count: usize) -> usize {
    (((hash >> 32) * count as u64) >> 32) as usize
}

#[inline(always)]
fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63) | 1 << (hash >> 18 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_keys_pass_and_few_others_do() {
        let hashes: Vec<u64> = (0..10_000u64).map(|key| hash_u64(key * 977)).collect();
        let filter = Fingerprints::new(&hashes);
        assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
        let absent = (0..100_000u64).map(|key| hash_u64(key * 977 + 1));
        let passed = absent.filter(|&hash| filter.may_contain(hash)).count();
        assert!(passed < 6_000, "{passed} of 100,000 absent keys passed");
    }

    #[test]
    fn the_stored_form_is_read_back_or_refused() {
        let filter = Fingerprints::new(&[hash(b"a"), hash(b"some longer key"), hash(b"")]);
        let mut bytes = Vec::new();
        filter.encode(&mut bytes);
        assert_eq!(Fingerprints::decode(&bytes), Ok(filter));
        for cut in 0..bytes.len() {
            assert!(Fingerprints::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn numbers_have_the_bits_of_their_hashes() {
        for count in [0, 1, 63, 64, 65, 1000] {
            let keys: Vec<u64> = (0..count).map(|key| u64::MAX - key * key * 977).collect();
            let hashes: Vec<u64> = keys.iter().copied().map(hash_u64).collect();
            assert_eq!(Fingerprints::of_numbers(&keys), Fingerprints::new(&hashes));
        }
    }

    #[test]
    fn a_number_is_hashed_as_its_bytes() {
        for key in [0, 1, u64::MAX, 0x0123_4567_89AB_CDEF] {
            assert_eq!(hash_u64(key), hash(&key.to_be_bytes()));
        }
    }
}
