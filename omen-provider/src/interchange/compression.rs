//! Compression: of text files as a whole, of Parquet by its own pages.

use std::io::{self, BufReader, Read, Write};

use super::options::Format;
use super::whole_file::WholeFile;
use crate::error::{Error, Result};

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    Gzip,
    Zstd(i32),
    Snappy,
    Lz4,
}

/// What zstd is told where nobody says more.
const ZSTD_LEVEL: i32 = 3;

impl Compression {
    pub(super) fn named(name: &str) -> Result<Self> {
        let lower = name.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "none" | "uncompressed" => Self::None,
            "gzip" | "gz" => Self::Gzip,
            "zstd" | "zst" => Self::Zstd(ZSTD_LEVEL),
            "snappy" => Self::Snappy,
            "lz4" | "lz4_raw" => Self::Lz4,
            other => {
                let level = other.strip_prefix("zstd(").and_then(|rest| rest.strip_suffix(')'));
                match level.and_then(|level| level.trim().parse().ok()) {
                    Some(level @ 1..=22) => Self::Zstd(level),
                    _ => {
                        return Err(Error::invalid(format!(
                            "COMPRESSION {name} is not supported; none, gzip, zstd (or \
                             'zstd(1)' to 'zstd(22)'), snappy and lz4 are"
                        )));
                    }
                }
            }
        })
    }

    /// Whether files of a format may be compressed so.
    pub(super) fn check(self, format: Format) -> Result<()> {
        let (is_possible, possible) = match format {
            Format::Csv | Format::Json => {
                (matches!(self, Self::None | Self::Gzip | Self::Zstd(_)), "none, gzip and zstd")
            }
            Format::Parquet => (true, "all"),
            Format::Arrow => (self == Self::None, "none"),
        };
        match is_possible {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "COMPRESSION {self:?} is not supported for {}; {possible} can be had",
                format.extension()
            ))),
        }
    }

    /// What the last extension of a name says, and the name without it.
    pub(super) fn split(path: &str) -> (&str, Option<Self>) {
        match path.rsplit_once('.') {
            Some((stem, extension)) if extension.eq_ignore_ascii_case("gz") => {
                (stem, Some(Self::Gzip))
            }
            Some((stem, extension)) if extension.eq_ignore_ascii_case("zst") => {
                (stem, Some(Self::Zstd(ZSTD_LEVEL)))
            }
            _ => (path, None),
        }
    }
}

/// A text file as it is decompressed.
pub(super) fn decompressed(
    input: impl Read + Send + 'static,
    compression: Option<Compression>,
) -> io::Result<BufReader<Box<dyn Read + Send>>> {
    let input: Box<dyn Read + Send> = match compression {
        Some(Compression::Gzip) => {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(input)))
        }
        Some(Compression::Zstd(_)) => Box::new(zstd::Decoder::new(input)?),
        _ => Box::new(input),
    };
    Ok(BufReader::with_capacity(1 << 16, input))
}

/// A file that is compressed as it is written.
pub(super) enum Compressor {
    Plain(WholeFile),
    Gzip(flate2::write::GzEncoder<WholeFile>),
    Zstd(zstd::Encoder<'static, WholeFile>),
}

impl Compressor {
    pub(super) fn new(file: WholeFile, compression: Option<Compression>) -> io::Result<Self> {
        Ok(match compression {
            Some(Compression::Gzip) => {
                Self::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::default()))
            }
            Some(Compression::Zstd(level)) => Self::Zstd(zstd::Encoder::new(file, level)?),
            _ => Self::Plain(file),
        })
    }

    /// The file, with all of it.
    pub(super) fn finish(self) -> io::Result<WholeFile> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
