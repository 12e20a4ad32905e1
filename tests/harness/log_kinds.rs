//! The kinds of records that there may be in a log, as FORMAT.md lists them, and those that are in
//! one: so that what is made to be damaged, or to be read for ever, has them all.

use std::fs;
use std::path::Path;

/// Where the first frame lies.
const HEADER_BYTES: usize = 64;
/// Bytes of a frame besides its payload.
const FRAME_BYTES: usize = 33;

/// The kinds of the table in FORMAT.md.
pub fn of_format() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("FORMAT.md")).unwrap();
    let (_, section) = text.split_once("## Log records").unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|'));
    let kinds: Vec<u8> =
        rows.filter_map(|row| row.split('|').nth(1)?.trim().parse().ok()).collect();
    assert!(kinds.len() > 8, "{kinds:?}");
    kinds
}

/// The kinds of the frames of a log file, in order.
pub fn of_log(bytes: &[u8]) -> Vec<u8> {
    let (mut kinds, mut rest) = (Vec::new(), bytes.get(HEADER_BYTES..).unwrap_or_default());
    while rest.starts_with(b"OM") && rest.len() >= FRAME_BYTES {
        kinds.push(rest[2]);
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        rest = rest.get(FRAME_BYTES + length..).unwrap_or_default();
    }
    kinds
}
