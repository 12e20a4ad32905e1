//! The frame around every record of the log and around the manifest: length, checksums, identity.
//!
//! Called by the log's writer and reader and by the manifest; calls nothing.
//!
//! ```text
//! magic u16 = 0x4D4F ("OM") | kind u8 | flags u8 | length u32 | generation u64 | lsn u64
//! | header crc u32 | payload, `length` bytes, masked | payload crc u32 | end u8 = 0x5A
//! ```
//! (Little-endian; CRC32C. The header crc covers the 24 bytes before it. The payload crc covers
//! generation, lsn and masked payload, so that a payload cannot pass under another header.)
//!
//! A sector that a power cut kept from the medium reads as zeros. So that no sector of a whole
//! frame ever does, whatever the payload, its bytes are combined (exclusive or) with a mask of
//! eight bytes, none of them zero, that the generation gives; and a frame neither begins nor ends
//! with zero.
//!
//! The header's own checksum keeps a rotten length from passing for a torn tail or from driving a
//! huge allocation. Checksums are not chained from frame to frame: each frame stands alone.
//!
//! Invariant: [`decode`] never panics and never looks past its input, whatever the bytes.

use crate::error::{Error, Result};
use crate::teeth::{Tooth, planted};

/// First two bytes of every frame: "OM".
pub(crate) const MAGIC: u16 = u16::from_le_bytes(*b"OM");
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 28;
/// Bytes after the payload.
pub(crate) const TRAILER_BYTES: usize = 5;
/// Last byte of every frame.
const END: u8 = 0x5A;
/// The longest payload.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// A verified header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// What the payload is; the meaning belongs to the file that holds the frame.
    pub(crate) kind: u8,
    /// Bytes of payload.
    pub(crate) length: u32,
    /// Random number of the log file, or the epoch of the manifest's writer.
    pub(crate) generation: u64,
    /// Sequence number, or the number of the manifest.
    pub(crate) lsn: u64,
}

impl FrameHeader {
    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.length as usize + TRAILER_BYTES
    }
}

/// A verified frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The header.
    pub(crate) header: FrameHeader,
    /// The payload as it lies in the file.
    masked: &'a [u8],
    /// The checksum of the masked payload (with generation and lsn).
    pub(crate) payload_crc: u32,
}

impl Frame<'_> {
    /// The payload.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.masked.len());
        append_masked(self.masked, 0, mask(self.header.generation), &mut payload);
        payload
    }
}

/// What stands at some offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameResult<'a> {
    /// A whole, verified frame.
    Frame(Frame<'a>),
    /// The bytes end before the frame does. The header is given if it is whole and verified.
    Torn {
        /// The verified header, if there is one.
        header: Option<FrameHeader>,
    },
    /// The bytes are there and are not a frame.
    Bad {
        /// The verified header, if only the payload is wrong.
        header: Option<FrameHeader>,
        /// What was expected.
        reason: &'static str,
    },
}

/// Appends a frame to `out` and returns its payload checksum. The payload is the concatenation of
/// `parts`.
///
/// # Errors
/// [`Error::InvalidInput`] for a payload above [`PAYLOAD_BYTES_MAX`]; `out` is untouched.
pub(crate) fn encode(
    kind: u8,
    generation: u64,
    lsn: u64,
    parts: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<u32> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length > PAYLOAD_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a record of {length} bytes is too long; at most {PAYLOAD_BYTES_MAX} are allowed"
        )));
    }
    out.reserve(HEADER_BYTES + length + TRAILER_BYTES);
    let start = out.len();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&lsn.to_le_bytes());
    let header_crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&header_crc.to_le_bytes());
    let body = out.len();
    for part in parts {
        append_masked(part, out.len() - body, mask(generation), out);
    }
    let payload_crc = crc32c::crc32c_append(seed(generation, lsn), &out[body..]);
    out.extend_from_slice(&payload_crc.to_le_bytes());
    out.push(END);
    Ok(payload_crc)
}

/// Reads the frame at the beginning of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> FrameResult<'_> {
    let header = match decode_header(bytes) {
        Ok(header) => header,
        Err(result) => return result,
    };
    let Some(body) = bytes.get(HEADER_BYTES..header.frame_bytes()) else {
        return FrameResult::Torn { header: Some(header) };
    };
    let (masked, trailer) = body.split_at(header.length as usize);
    let payload_crc = le_u32(trailer);
    let bad = |reason| FrameResult::Bad { header: Some(header), reason };
    let found = crc32c::crc32c_append(seed(header.generation, header.lsn), masked);
    if found != payload_crc && !planted(Tooth::ChecksumSkipped) {
        return bad("the checksum of the payload differs");
    }
    if trailer.last() != Some(&END) {
        return bad("the end of the record differs");
    }
    FrameResult::Frame(Frame { header, masked, payload_crc })
}

/// Reads and verifies the header at the beginning of `bytes`, which may end behind it.
pub(crate) fn decode_header(bytes: &[u8]) -> std::result::Result<FrameHeader, FrameResult<'_>> {
    let magic = MAGIC.to_le_bytes();
    let seen = bytes.len().min(magic.len());
    if bytes[..seen] != magic[..seen] {
        return Err(FrameResult::Bad { header: None, reason: "no frame begins here" });
    }
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(FrameResult::Torn { header: None });
    };
    let (covered, crc) = bytes.split_at(HEADER_BYTES - 4);
    if crc32c::crc32c(covered) != le_u32(crc) {
        return Err(FrameResult::Bad {
            header: None,
            reason: "the checksum of the frame header differs",
        });
    }
    let header = FrameHeader {
        kind: bytes[2],
        length: le_u32(&bytes[4..]),
        generation: le_u64(&bytes[8..]),
        lsn: le_u64(&bytes[16..]),
    };
    if header.length as usize > PAYLOAD_BYTES_MAX || bytes[3] != 0 {
        return Err(FrameResult::Bad {
            header: None,
            reason: "the frame header has a length or flags that this version never writes",
        });
    }
    Ok(header)
}

/// The mask of a generation: well mixed (the finalizer of SplitMix64: Steele, Lea, Flood, 2014),
/// zero bytes replaced.
fn mask(generation: u64) -> [u8; 8] {
    let mut mixed = generation.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)).to_le_bytes().map(|byte| if byte == 0 { 0xFF } else { byte })
}

/// Appends `bytes`, masked; they stand `position` bytes behind the beginning of the payload.
fn append_masked(bytes: &[u8], position: usize, mut mask: [u8; 8], out: &mut Vec<u8>) {
    mask.rotate_left(position % 8);
    let start = out.len();
    out.extend_from_slice(bytes);
    let word_mask = u64::from_le_bytes(mask);
    let (words, rest) = out[start..].as_chunks_mut::<8>();
    words.iter_mut().for_each(|w| *w = (u64::from_le_bytes(*w) ^ word_mask).to_le_bytes());
    rest.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

fn seed(generation: u64, lsn: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&generation.to_le_bytes()), &lsn.to_le_bytes())
}

/// The first four bytes as an integer; missing bytes count as zero.
pub(crate) fn le_u32(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b))
}

/// The first eight bytes as an integer; missing bytes count as zero.
pub(crate) fn le_u64(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(3, 0x1122, 7, &[b"hello ", b"world"], &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn frame_comes_back_whole() {
        let mut bytes = sample();
        bytes.extend_from_slice(b"behind");
        let FrameResult::Frame(frame) = decode(&bytes) else { panic!("no frame") };
        assert_eq!(frame.payload(), b"hello world");
        let header = FrameHeader { kind: 3, length: 11, generation: 0x1122, lsn: 7 };
        assert_eq!(frame.header, header);
        assert_eq!(header.frame_bytes() + 6, bytes.len());
    }

    #[test]
    fn bytes_of_the_format_do_not_change() {
        let mut bytes = Vec::new();
        encode(1, 2, 3, &[b"x"], &mut bytes).unwrap();
        let expected =
            [0x4F, 0x4D, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes[..24], expected);
        assert_eq!(bytes[24..28], crc32c::crc32c(&expected).to_le_bytes());
        assert_eq!(bytes[28], b'x' ^ 0xCE);
        let covered = [2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, bytes[28]];
        assert_eq!(bytes[29..33], crc32c::crc32c(&covered).to_le_bytes());
        assert_eq!(bytes[33..], [0x5A]);
    }

    #[test]
    fn payloads_in_parts_are_masked_as_one() {
        let payload: Vec<u8> = (0..100).collect();
        let encoded = |parts: &[&[u8]]| {
            let mut bytes = Vec::new();
            encode(1, 77, 3, parts, &mut bytes).unwrap();
            bytes
        };
        let whole = encoded(&[&payload]);
        for (a, b) in [(0, 0), (1, 9), (7, 8), (8, 16), (13, 99), (50, 100)] {
            let parts = [&payload[..a], &payload[a..b], &payload[b..]];
            assert_eq!(encoded(&parts), whole);
        }
        let FrameResult::Frame(frame) = decode(&whole) else { panic!("no frame") };
        assert_eq!(frame.payload(), payload);
    }

    /// What a power cut leaves of a sector must never be what was written there.
    #[test]
    fn no_part_of_a_frame_is_zero() {
        for generation in (0..2000).chain([u64::MAX]) {
            assert!(!mask(generation).contains(&0), "generation {generation}");
        }
        for length in [0, 1, 3, 4, 100, 467, 468, 469, 2000] {
            let mut bytes = Vec::new();
            encode(1, length, 3, &[&vec![0; length as usize]], &mut bytes).unwrap();
            // Wherever a sector ends and the next begins.
            for offset in 0..512 {
                let mut start = 0;
                while start < bytes.len() {
                    let end = (start + 512 - (offset + start) % 512).min(bytes.len());
                    assert!(bytes[start..end].iter().any(|byte| *byte != 0), "{length} {offset}");
                    start = end;
                }
            }
        }
    }

    #[test]
    fn every_cut_is_torn_and_every_flip_is_bad() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..cut]), FrameResult::Torn { .. }), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(matches!(decode(&flipped), FrameResult::Bad { .. }), "flip at {at}");
            }
        }
    }

    #[test]
    fn payload_of_another_frame_is_refused() {
        let mut other = Vec::new();
        encode(3, 0x1122, 8, &[b"hello world"], &mut other).unwrap();
        let mut mixed = sample();
        let length = mixed.len();
        mixed[HEADER_BYTES..].copy_from_slice(&other[HEADER_BYTES..length]);
        assert!(matches!(decode(&mixed), FrameResult::Bad { header: Some(_), .. }));
    }

    #[test]
    fn too_long_a_payload_is_refused_and_writes_nothing() {
        let part = vec![0; PAYLOAD_BYTES_MAX / 2 + 1];
        let mut out = Vec::new();
        assert!(encode(1, 1, 1, &[&part, &part], &mut out).is_err());
        assert!(out.is_empty());
    }
}
