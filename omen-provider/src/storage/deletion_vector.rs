//! The deleted positions of one part.
//!
//! Chunks of 65,536 rows behind `Arc`s: a commit copies only the chunks it touches, readers of an
//! older version keep theirs. Sorted by chunk number; a chunk without deletions is absent.
//!
//! ```text
//! encoded: count u32 | per chunk: number u32, length u32, Roaring bitmap (portable format)
//! file: magic "OMENDEAD" | format version u32 | crc u32 of the 12 bytes before | vectors
//! ```
//! (All integers little-endian. Where a vector lies in a file, and its checksum, are in the
//! manifest.)

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::frame::le_u32;
use crate::error::{Error, Result};

/// Rows per chunk.
const CHUNK_ROWS: u32 = 1 << 16;

/// First bytes of every file of deletion vectors.
const MAGIC: &[u8; 8] = b"OMENDEAD";
/// Version of such files.
const FORMAT_VERSION: u32 = 1;
/// Length of the head of such a file.
const HEAD_BYTES: usize = 16;

/// What a file of deletion vectors begins with.
pub fn file_head() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    let crc = crc32c::crc32c(&head[..12]);
    head[12..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Checks the head of the file called `name`.
///
/// # Errors
/// [`Error::Corruption`] if it is none, [`Error::InvalidInput`] if another version of the format
/// wrote it.
pub fn check_file_head(name: &str, file: &[u8]) -> Result<()> {
    let whole = file.first_chunk::<HEAD_BYTES>().filter(|head| {
        head.starts_with(MAGIC) && crc32c::crc32c(&head[..12]) == le_u32(&head[12..])
    });
    match whole.map(|head| le_u32(&head[8..])) {
        Some(FORMAT_VERSION) => Ok(()),
        Some(version) => Err(Error::invalid(format!(
            "{name} has format version {version}; this program reads version {FORMAT_VERSION}"
        ))),
        None => {
            Err(Error::corruption(name, 0, "the file does not begin with the head of its kind"))
        }
    }
}

/// A persistent set of deleted row positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeletionVector {
    chunks: Vec<(u32, Arc<RoaringBitmap>)>,
    count: u64,
}

impl DeletionVector {
    /// How many positions are deleted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether `position` is deleted.
    pub fn contains(&self, position: u32) -> bool {
        self.chunk(position / CHUNK_ROWS).is_some_and(|c| c.contains(position % CHUNK_ROWS))
    }

    /// Marks `position`; false if it was marked already.
    pub fn insert(&mut self, position: u32) -> bool {
        let number = position / CHUNK_ROWS;
        let index = match self.chunks.binary_search_by_key(&number, |(n, _)| *n) {
            Ok(index) => index,
            Err(index) => {
                self.chunks.insert(index, (number, Arc::default()));
                index
            }
        };
        let added = Arc::make_mut(&mut self.chunks[index].1).insert(position % CHUNK_ROWS);
        self.count += u64::from(added);
        added
    }

    /// Marks all of the first `rows` positions, which are all there are.
    pub fn fill(&mut self, rows: u32) {
        let chunk = |number: u32| {
            let mut chunk = RoaringBitmap::new();
            chunk.insert_range(0..CHUNK_ROWS.min(rows - number * CHUNK_ROWS));
            (number, Arc::new(chunk))
        };
        self.chunks = (0..rows.div_ceil(CHUNK_ROWS)).map(chunk).collect();
        self.count = u64::from(rows);
    }

    /// The deleted positions, ascending.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.chunks.iter().flat_map(|(n, chunk)| chunk.iter().map(move |p| n * CHUNK_ROWS + p))
    }

    /// The deleted positions in a range, ascending.
    pub fn within(&self, rows: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let (start, end) = (rows.start, rows.end);
        let first = self.chunks.partition_point(|(number, _)| *number < start / CHUNK_ROWS);
        let chunks = self.chunks[first..].iter();
        chunks.take_while(move |(number, _)| number * CHUNK_ROWS < end).flat_map(
            move |(number, chunk)| {
                let base = number * CHUNK_ROWS;
                let rows = start.saturating_sub(base)..end - base;
                chunk.range(rows).map(move |position| base + position)
            },
        )
    }

    /// The positions deleted here and not in `base`, an earlier state of this vector.
    pub fn since<'a>(&'a self, base: &'a Self) -> impl Iterator<Item = u32> + 'a {
        self.chunks.iter().flat_map(move |(number, chunk)| {
            let new = match base.chunk(*number) {
                Some(old) if Arc::ptr_eq(old, chunk) => RoaringBitmap::new(),
                Some(old) => chunk.as_ref() - old.as_ref(),
                None => chunk.as_ref().clone(),
            };
            new.into_iter().map(move |p| number * CHUNK_ROWS + p)
        })
    }

    /// Appends the encoded form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        for (number, chunk) in &self.chunks {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&(chunk.serialized_size() as u32).to_le_bytes());
            // Writing to a Vec cannot fail.
            let _ = chunk.serialize_into(&mut *out);
        }
    }

    /// Reads an encoded vector for a part of `rows` rows; the error says what is wrong.
    pub fn decode(mut bytes: &[u8], rows: u32) -> Result<Self, String> {
        let mut vector = Self::default();
        let count = take_u32(&mut bytes)?;
        for _ in 0..count {
            let number = take_u32(&mut bytes)?;
            let length = take_u32(&mut bytes)? as usize;
            let (body, rest) =
                bytes.split_at_checked(length).ok_or("deletion vector is cut short")?;
            bytes = rest;
            if vector.chunks.last().is_some_and(|(last, _)| *last >= number) {
                return Err("chunks of a deletion vector are out of order".to_string());
            }
            let chunk = RoaringBitmap::deserialize_from(body).map_err(|e| e.to_string())?;
            let past = chunk.max().is_none_or(|p| {
                u64::from(number) * u64::from(CHUNK_ROWS) + u64::from(p) >= u64::from(rows)
                    || p >= CHUNK_ROWS
            });
            if past {
                return Err(format!("a deletion vector marks a row past the {rows} of its part"));
            }
            vector.count += chunk.len();
            vector.chunks.push((number, Arc::new(chunk)));
        }
        if bytes.is_empty() { Ok(vector) } else { Err("bytes after a deletion vector".to_string()) }
    }

    fn chunk(&self, number: u32) -> Option<&Arc<RoaringBitmap>> {
        let index = self.chunks.binary_search_by_key(&number, |(n, _)| *n).ok()?;
        Some(&self.chunks[index].1)
    }
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, String> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or("deletion vector is cut short")?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*head))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn head_of_a_file_is_checked() {
        let head = file_head();
        check_file_head("f", &[&head[..], b"vectors"].concat()).unwrap();
        for at in 0..head.len() {
            let mut flipped = head;
            flipped[at] ^= 4;
            let damage = check_file_head("f", &flipped);
            assert!(matches!(damage, Err(Error::Corruption { .. })), "{at}: {damage:?}");
            assert!(check_file_head("f", &head[..at]).is_err());
        }
        let mut later = head;
        later[8] += 1;
        let crc = crc32c::crc32c(&later[..12]);
        later[12..].copy_from_slice(&crc.to_le_bytes());
        let error = check_file_head("f", &later).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(first in prop::collection::vec(0u32..300_000, 0..60),
                             second in prop::collection::vec(0u32..300_000, 0..60),
                             span in (0u32..300_000, 0u32..300_000)) {
            let mut vector = DeletionVector::default();
            let mut model = BTreeSet::new();
            for p in first {
                prop_assert_eq!(vector.insert(p), model.insert(p));
            }
            let (base, base_model) = (vector.clone(), model.clone());
            for p in second {
                prop_assert_eq!(vector.insert(p), model.insert(p));
                prop_assert!(vector.contains(p));
            }
            prop_assert!(vector.iter().eq(model.iter().copied()));
            prop_assert!(base.iter().eq(base_model.iter().copied()));
            let (start, end) = (span.0.min(span.1), span.0.max(span.1));
            prop_assert!(vector.within(start..end).eq(model.range(start..end).copied()));
            let new: Vec<u32> = model.difference(&base_model).copied().collect();
            prop_assert_eq!(vector.since(&base).collect::<Vec<_>>(), new);
            let mut bytes = Vec::new();
            vector.encode(&mut bytes);
            prop_assert_eq!(DeletionVector::decode(&bytes, 300_000).unwrap(), vector);
            for cut in 0..bytes.len() {
                prop_assert!(DeletionVector::decode(&bytes[..cut], 300_000).is_err());
            }
        }
    }
}
