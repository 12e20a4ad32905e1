//! The tail of a segment file: our sections, and how a file says where they lie.
//!
//! ```text
//! tail: hints | core
//! hints: section ...
//! core: section ... | Parquet column indexes, offset indexes, footer, footer length, "PAR1"
//! section: kind u32 | length u32 | payload | crc32c of kind, length and payload u32
//! kinds of hints: 1 key width and learned index, 4 fingerprints (optional)
//! kinds of the core: 2 page layout and checksums, 3 page fences, 5 last key (if it is long)
//! ```
//! (All integers little-endian.) Unknown kinds are skipped; of a kind written twice the last
//! counts. The footer's key-value metadata carries `omendb.tail`, the offset and the length of the
//! sections as `"<offset> <length>"`, and `omendb.format`, the version of all of this.
//!
//! Hints save time, and every answer is the same without them. So each of the two parts has a
//! checksum of its own in the segment's record, and damage in the hints costs no row.

use parquet::file::metadata::{KeyValue, ParquetMetaData};

use super::bytes_reader::BytesReader;
use crate::error::{Error, Result};

/// Version of the sections, as the footer's metadata carries it; the only one read.
pub(super) const FORMAT_VERSION: &str = "3";
/// Metadata key of [`FORMAT_VERSION`].
pub(super) const FORMAT_KEY: &str = "omendb.format";
/// Metadata key of offset and length of the sections.
pub(super) const TAIL_KEY: &str = "omendb.tail";

/// Section of the learned index.
const KIND_INDEX: u32 = 1;
/// Section of the page layout.
const KIND_LAYOUT: u32 = 2;
/// Section of the page fences.
const KIND_FENCES: u32 = 3;
/// Section of the fingerprints.
const KIND_FINGERPRINTS: u32 = 4;
/// Section of the last key, if it is too long for the segment's record.
const KIND_LAST_KEY: u32 = 5;

/// The payloads of the hints.
#[derive(Debug)]
pub(super) struct Hints<'a> {
    pub index: &'a [u8],
    pub fingerprints: Option<&'a [u8]>,
}

/// The payloads of the core's sections.
#[derive(Debug)]
pub(super) struct Core<'a> {
    pub layout: &'a [u8],
    pub fences: &'a [u8],
    pub last_key: Option<&'a [u8]>,
}

/// The encoded sections of a segment.
#[derive(Debug)]
pub(super) struct EncodedSections {
    pub hints: Vec<u8>,
    pub core: Vec<u8>,
}

impl EncodedSections {
    pub(super) fn new(hints: &Hints<'_>, core: &Core<'_>) -> Self {
        let mut encoded = Self { hints: Vec::new(), core: Vec::new() };
        push(&mut encoded.hints, KIND_INDEX, hints.index);
        if let Some(fingerprints) = hints.fingerprints {
            push(&mut encoded.hints, KIND_FINGERPRINTS, fingerprints);
        }
        push(&mut encoded.core, KIND_LAYOUT, core.layout);
        push(&mut encoded.core, KIND_FENCES, core.fences);
        if let Some(last_key) = core.last_key {
            push(&mut encoded.core, KIND_LAST_KEY, last_key);
        }
        encoded
    }
}

impl<'a> Hints<'a> {
    /// Finds the sections in their encoded form; the error says what is wrong.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, String> {
        let [index, fingerprints] = find(bytes, [KIND_INDEX, KIND_FINGERPRINTS])?;
        Ok(Self { index: index.ok_or("no index section")?, fingerprints })
    }
}

impl<'a> Core<'a> {
    /// Finds the sections in their encoded form; the error says what is wrong.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, String> {
        let kinds = [KIND_LAYOUT, KIND_FENCES, KIND_LAST_KEY];
        let [layout, fences, last_key] = find(bytes, kinds)?;
        let layout = layout.ok_or("no page layout section")?;
        Ok(Self { layout, fences: fences.ok_or("no fences section")?, last_key })
    }
}

/// The payloads of the sections of some kinds.
fn find<const N: usize>(bytes: &[u8], kinds: [u32; N]) -> Result<[Option<&[u8]>; N], String> {
    let mut found = [None; N];
    let mut reader = BytesReader::new(bytes);
    while reader.remaining() > 0 {
        let (kind, payload) = next(&mut reader)?;
        if let Some(index) = kinds.iter().position(|wanted| *wanted == kind) {
            found[index] = Some(payload);
        }
    }
    Ok(found)
}

fn push(out: &mut Vec<u8>, kind: u32, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

fn next<'a>(reader: &mut BytesReader<'a>) -> Result<(u32, &'a [u8]), String> {
    let (kind, length) = (reader.u32()?, reader.u32()?);
    let payload = reader.take(length as usize)?;
    let expected = reader.u32()?;
    let head = crc32c::crc32c_append(crc32c::crc32c(&kind.to_le_bytes()), &length.to_le_bytes());
    let found = crc32c::crc32c_append(head, payload);
    match found == expected {
        true => Ok((kind, payload)),
        false => Err(format!("checksum of section {kind} is {found:08x}, expected {expected:08x}")),
    }
}

/// The metadata entries that lead a reader of the file to its sections.
pub(super) fn metadata_entries(offset: u64, length: usize) -> [KeyValue; 2] {
    [
        KeyValue::new(FORMAT_KEY.to_string(), FORMAT_VERSION.to_string()),
        KeyValue::new(TAIL_KEY.to_string(), format!("{offset} {length}")),
    ]
}

/// Refuses a file called `name` that another version of the format wrote.
pub(super) fn check_version(name: &str, metadata: &ParquetMetaData) -> Result<()> {
    match value(metadata, FORMAT_KEY) {
        // Without a version it is damaged, which is found out next.
        Some(FORMAT_VERSION) | None => Ok(()),
        Some(version) => Err(Error::invalid(format!(
            "{name} has format version {version}; this program reads version {FORMAT_VERSION}"
        ))),
    }
}

/// Offset and length of the sections; the error says what is missing.
pub(super) fn sections_location(metadata: &ParquetMetaData) -> Result<(u64, u64), String> {
    if value(metadata, FORMAT_KEY).is_none() {
        return Err(format!("no {FORMAT_KEY} in the footer"));
    }
    let tail = value(metadata, TAIL_KEY).ok_or(format!("no {TAIL_KEY} in the footer"))?;
    tail.split_once(' ')
        .and_then(|(offset, length)| Some((offset.parse().ok()?, length.parse().ok()?)))
        .ok_or_else(|| format!("{TAIL_KEY} is {tail:?}"))
}

/// An entry of the footer's key-value metadata.
fn value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    entries.iter().find(|entry| entry.key == key)?.value.as_deref()
}
