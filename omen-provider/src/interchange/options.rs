//! What COPY may be told about a file: its format, compression, and the dialect of CSV.
//!
//! Options come as words with values, in the spellings of PostgreSQL, DuckDB and DataFusion
//! (`format.delimiter`). What an option does not say, the file's name does.

use super::Place;
use super::compression::Compression;
use crate::error::{Error, Result};

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text with delimiters.
    Csv,
    /// One JSON object a line.
    Json,
    /// Parquet.
    Parquet,
    /// Arrow IPC, the file format.
    Arrow,
}

impl Format {
    fn named(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "csv" | "tsv" => Ok(Self::Csv),
            "json" | "jsonl" | "ndjson" => Ok(Self::Json),
            "parquet" => Ok(Self::Parquet),
            "arrow" | "ipc" | "feather" => Ok(Self::Arrow),
            _ => Err(Error::invalid(format!(
                "FORMAT {name} is not supported; csv, json, parquet and arrow are"
            ))),
        }
    }

    fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "pq" => Some(Self::Parquet),
            "txt" => Some(Self::Csv),
            other => Self::named(other).ok(),
        }
    }

    /// Its usual extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// Whether a file with that name is called as files of this format are.
    pub(super) fn names(self, path: &str) -> bool {
        Compression::split(path).0.rsplit_once('.').and_then(|(_, e)| Self::of_extension(e))
            == Some(self)
    }
}

/// How a file is written or read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileOptions {
    /// The format.
    pub format: Format,
    /// `None`: as the name of the file says.
    pub(super) compression: Option<Compression>,
    /// Whether the first record of CSV is the names of the columns.
    pub(super) header: bool,
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
    /// What stands for NULL in CSV, without quotes.
    pub(super) null: String,
}

/// All options of files, by the name that messages use.
const NAMES: &str = "FORMAT, COMPRESSION, and for CSV HEADER, DELIMITER, QUOTE, ESCAPE, NULL";

impl FileOptions {
    /// The options of a statement for a place. Each is a name with its values, which are none for
    /// a word by itself.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the option and what there is.
    pub fn new(given: &[(String, Vec<String>)], place: &Place) -> Result<Self> {
        let path = match place {
            Place::Path(path) => path.as_str(),
            Place::Standard => "",
        };
        let mut options = Self::for_path(path, given)?;
        let mut escape = None;
        let mut seen: Vec<&str> = Vec::new();
        for (name, values) in given {
            let kind = canonical(name)?;
            if seen.contains(&kind) {
                return Err(Error::invalid(format!("{kind} is given twice; once will do")));
            }
            seen.push(kind);
            let value = match values.as_slice() {
                [] => None,
                [one] => Some(one.as_str()),
                _ => return Err(Error::invalid(format!("{kind} has one value"))),
            };
            if !matches!(kind, "FORMAT" | "COMPRESSION" | "ENCODING")
                && options.format != Format::Csv
            {
                return Err(Error::invalid(format!(
                    "{kind} is an option of CSV, and the format is {}",
                    options.format.extension()
                )));
            }
            match kind {
                "COMPRESSION" => {
                    let codec = Compression::named(required(kind, value)?)?;
                    codec.check(options.format)?;
                    options.compression = Some(codec);
                }
                "HEADER" => options.header = switch(kind, value)?,
                "DELIMITER" => options.delimiter = byte(kind, value)?,
                "QUOTE" => options.quote = byte(kind, value)?,
                "ESCAPE" => escape = Some(byte(kind, value)?),
                "NULL" => options.null = required(kind, value)?.to_string(),
                "ENCODING" => {
                    let name = required(kind, value)?;
                    if !name.replace('-', "").eq_ignore_ascii_case("utf8") {
                        return Err(Error::invalid(format!(
                            "ENCODING {name} is not supported; files are UTF-8"
                        )));
                    }
                }
                _ => {}
            }
        }
        options.escape = escape.unwrap_or(options.quote);
        options.check_dialect()?;
        Ok(options)
    }

    fn for_path(path: &str, given: &[(String, Vec<String>)]) -> Result<Self> {
        let (stem, compression) = Compression::split(path);
        let extension = stem.rsplit_once('.').map(|(_, e)| e).filter(|e| !e.contains('/'));
        let mut named = None;
        for (name, values) in given {
            if canonical(name)? == "FORMAT" {
                let Some(value) = values.first() else {
                    return Err(Error::invalid("FORMAT needs a value: csv, json, parquet, arrow"));
                };
                named = Some((Format::named(value)?, value.eq_ignore_ascii_case("tsv")));
            }
        }
        let is_tsv = extension.is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
        let of_name = extension.and_then(Format::of_extension).map(|format| (format, is_tsv));
        let Some((format, is_tsv)) = named.or(of_name) else {
            return Err(Error::invalid(format!(
                "the name {path:?} does not tell a format; add (FORMAT csv), json, parquet or arrow"
            )));
        };
        let compression = match format {
            Format::Csv | Format::Json => compression,
            Format::Parquet | Format::Arrow => None,
        };
        let delimiter = if is_tsv { b'\t' } else { b',' };
        let (quote, null) = (b'"', String::new());
        Ok(Self { format, compression, header: true, delimiter, quote, escape: quote, null })
    }

    fn check_dialect(&self) -> Result<()> {
        let marks = [self.delimiter, self.quote];
        if self.delimiter == self.quote || self.delimiter == self.escape {
            return Err(Error::invalid("DELIMITER differs from QUOTE and ESCAPE"));
        }
        if marks.contains(&b'\n') || marks.contains(&b'\r') {
            return Err(Error::invalid("DELIMITER and QUOTE are no line breaks"));
        }
        if self.null.bytes().any(|b| marks.contains(&b) || b == b'\n' || b == b'\r') {
            return Err(Error::invalid("NULL has neither delimiter, quote nor line break in it"));
        }
        Ok(())
    }
}

/// Whether there is an option of that name.
pub fn is_option(name: &str) -> bool {
    canonical(name).is_ok()
}

/// The name of an option, whichever spelling it is given in.
fn canonical(name: &str) -> Result<&'static str> {
    let lower = name.to_ascii_lowercase();
    Ok(match lower.strip_prefix("format.").unwrap_or(&lower) {
        "format" => "FORMAT",
        "compression" | "codec" => "COMPRESSION",
        "header" | "has_header" => "HEADER",
        "delimiter" | "delim" | "sep" => "DELIMITER",
        "quote" => "QUOTE",
        "escape" => "ESCAPE",
        "null" | "nullstr" | "null_value" => "NULL",
        "encoding" => "ENCODING",
        _ => {
            return Err(Error::invalid(format!(
                "there is no option {name}; options are {NAMES}; COPY … TO has PARTITION_BY too"
            )));
        }
    })
}

fn required<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str> {
    value.ok_or_else(|| Error::invalid(format!("{name} needs a value")))
}

fn switch(name: &str, value: Option<&str>) -> Result<bool> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("true" | "on" | "1" | "yes" | "match") => Ok(true),
        Some("false" | "off" | "0" | "no") => Ok(false),
        Some(other) => Err(Error::invalid(format!("{name} {other}: true or false is expected"))),
    }
}

fn byte(name: &str, value: Option<&str>) -> Result<u8> {
    let text = required(name, value)?;
    match (text, text.as_bytes()) {
        ("\\t", _) => Ok(b'\t'),
        (_, [one]) if one.is_ascii() => Ok(*one),
        _ => Err(Error::invalid(format!("{name} {text:?}: one ASCII character is expected"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(path: &str, given: &[(&str, &str)]) -> Result<FileOptions> {
        let given: Vec<_> =
            given.iter().map(|(name, value)| (name.to_string(), vec![value.to_string()])).collect();
        FileOptions::new(&given, &Place::Path(path.to_string()))
    }

    #[test]
    fn the_name_says_what_options_do_not() {
        assert_eq!(options("a.b/x.parquet", &[]).unwrap().format, Format::Parquet);
        assert_eq!(options("x.csv.gz", &[]).unwrap().compression, Some(Compression::Gzip));
        assert_eq!(options("x.tsv", &[]).unwrap().delimiter, b'\t');
        assert_eq!(options("x.csv", &[("format", "json")]).unwrap().format, Format::Json);
        assert!(options("a.csv/x", &[]).is_err());
    }

    #[test]
    fn every_spelling_is_one_option() {
        let expected = options("x.csv", &[("DELIMITER", ";"), ("NULL", "NA"), ("header", "off")]);
        let other = [("format.delimiter", ";"), ("nullstr", "NA"), ("format.has_header", "FALSE")];
        assert_eq!(options("x.csv", &other).unwrap(), expected.unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (path, given) in [
            ("x.csv", ("speed", "fast")),
            ("x.csv", ("delimiter", ";;")),
            ("x.csv", ("delimiter", "\"")),
            ("x.csv", ("null", "a,b")),
            ("x.csv", ("compression", "snappy")),
            ("x.arrow", ("compression", "zstd")),
            ("x.parquet", ("delimiter", ";")),
            ("x.csv", ("header", "maybe")),
            ("x.csv", ("encoding", "latin1")),
        ] {
            assert!(options(path, &[given]).is_err(), "{path} {given:?}");
        }
        assert!(options("x.csv", &[("sep", ";"), ("delim", ";")]).is_err());
    }
}
