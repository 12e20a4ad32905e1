//! The head of a log file: which database and which writer it belongs to.
//!
//! ```text
//! magic "OMENLOG1" | format version u32 | database id, 16 bytes | epoch u64 | number u64
//! | generation u64 | first lsn u64 | crc u32
//! ```
//! (64 bytes, little-endian; the CRC32C covers the 60 bytes before it.)
//!
//! The generation is random. Every frame of the file repeats it, so that bytes of another file
//! that show up behind the last frame are seen to be none of this one's.

use crate::error::{Error, Result};
use crate::storage::frame::{le_u32, le_u64};

/// First bytes of every log file.
const MAGIC: &[u8; 8] = b"OMENLOG1";
/// The version of the format. (Version 1 had no masks: zeros in a payload could pass for a power
/// cut. Version 2 had no plain form of rows.)
const FORMAT_VERSION: u32 = 3;

/// Identity of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogHeader {
    /// The database's random id.
    pub(crate) database: [u8; 16],
    /// Epoch of the writer.
    pub(crate) epoch: u64,
    /// Number of the file; its name is [`log_name`].
    pub(crate) number: u64,
    /// Random number repeated in every frame.
    pub(crate) generation: u64,
    /// Sequence number of the first frame.
    pub(crate) first_lsn: u64,
}

/// The name of log file `number`.
pub(crate) fn log_name(number: u64) -> String {
    format!("log/{number:016x}.log")
}

/// The number of the log file called so.
pub(crate) fn log_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log/")?.strip_suffix(".log")?;
    u64::from_str_radix(digits, 16).ok().filter(|number| log_name(*number) == name)
}

impl LogHeader {
    /// Length of the encoded header.
    pub(crate) const BYTES: usize = 64;

    /// The encoded header.
    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..28].copy_from_slice(&self.database);
        out[28..36].copy_from_slice(&self.epoch.to_le_bytes());
        out[36..44].copy_from_slice(&self.number.to_le_bytes());
        out[44..52].copy_from_slice(&self.generation.to_le_bytes());
        out[52..60].copy_from_slice(&self.first_lsn.to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the head of the log file called `path`.
    ///
    /// # Errors
    /// [`Error::Corruption`] if the bytes are not a header, [`Error::InvalidInput`] if a later
    /// version of the format wrote them.
    pub(crate) fn decode(bytes: &[u8], path: &str) -> Result<Self> {
        let Some(bytes) = bytes.first_chunk::<{ Self::BYTES }>() else {
            return Err(Error::corruption(
                path,
                0,
                format!("a log file begins with {} bytes of header, found {}", 64, bytes.len()),
            ));
        };
        if !bytes.starts_with(MAGIC) {
            return Err(Error::corruption(path, 0, "the file is not a log file"));
        }
        if crc32c::crc32c(&bytes[..60]) != le_u32(&bytes[60..]) {
            return Err(Error::corruption(path, 0, "the checksum of the log header differs"));
        }
        let version = le_u32(&bytes[8..]);
        if version != FORMAT_VERSION {
            return Err(Error::invalid(format!(
                "{path} has format version {version}; this program reads version {FORMAT_VERSION}"
            )));
        }
        let mut database = [0; 16];
        database.copy_from_slice(&bytes[12..28]);
        Ok(Self {
            database,
            epoch: le_u64(&bytes[28..]),
            number: le_u64(&bytes[36..]),
            generation: le_u64(&bytes[44..]),
            first_lsn: le_u64(&bytes[52..]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_comes_back_and_every_flip_is_seen() {
        let header =
            LogHeader { database: [7; 16], epoch: 1, number: 2, generation: 3, first_lsn: 4 };
        let bytes = header.encode();
        assert_eq!(LogHeader::decode(&bytes, "log").unwrap(), header);
        for at in 0..bytes.len() {
            let mut flipped = bytes;
            flipped[at] ^= 0x10;
            assert!(matches!(LogHeader::decode(&flipped, "log"), Err(Error::Corruption { .. })));
            assert!(LogHeader::decode(&bytes[..at], "log").is_err());
        }
    }

    #[test]
    fn later_version_is_named() {
        let header =
            LogHeader { database: [7; 16], epoch: 1, number: 2, generation: 3, first_lsn: 4 };
        let mut bytes = header.encode();
        bytes[8] = 99;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        let error = LogHeader::decode(&bytes, "log").unwrap_err();
        assert!(error.to_string().contains("version 99"), "{error}");
    }
}
