//! The files that a path means: itself, those of a folder, or those that fit a pattern; with the
//! values that folders called `column=value` tell.

use std::path::{Path, PathBuf};

use super::options::Format;
use super::{NULL_PARTITION, Place};
use crate::error::{Error, Result};

/// A file to be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataFile {
    /// Where it lies; none for standard input.
    pub(super) path: Option<PathBuf>,
    /// What messages call it.
    pub shown: String,
    /// Columns that its folders tell, and their values.
    pub partitions: Vec<(String, Option<String>)>,
}

/// The files of a place, in the order of their names.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub fn list(place: &Place, format: Format) -> Result<Vec<DataFile>> {
    let path = match place {
        Place::Path(path) => path,
        Place::Standard => {
            let shown = "standard input".to_string();
            return Ok(vec![DataFile { path: None, shown, partitions: Vec::new() }]);
        }
    };
    let whole = Path::new(path);
    if whole.is_dir() {
        return folder(whole, format);
    }
    if whole.exists() || !path.contains(['*', '?', '[']) {
        if !whole.exists() {
            return Err(Error::NotFound(format!("there is no file {path}")));
        }
        return Ok(vec![file(whole, Vec::new())]);
    }
    let found = glob::glob(path)
        .map_err(|error| Error::invalid(format!("{path} is no pattern of names: {error}")))?;
    let mut files = Vec::new();
    for entry in found {
        let entry =
            entry.map_err(|error| Error::io(error.path().display().to_string(), error.into()))?;
        if entry.is_file() {
            let partitions = partitions_of(&entry);
            files.push(file(&entry, partitions));
        }
    }
    match files.is_empty() {
        true => Err(Error::NotFound(format!("no file fits {path}"))),
        false => Ok(files),
    }
}

fn file(path: &Path, partitions: Vec<(String, Option<String>)>) -> DataFile {
    let shown = path.display().to_string();
    DataFile { path: Some(path.to_path_buf()), shown, partitions }
}

fn folder(root: &Path, format: Format) -> Result<Vec<DataFile>> {
    let (mut folders, mut files) = (vec![root.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        let failed = |error| Error::io(folder.display().to_string(), error);
        for entry in folder.read_dir().map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(['.', '_']) && !name.contains('=') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if format.names(&name) {
                let below = path.strip_prefix(root).unwrap_or(&path);
                files.push(file(&path, partitions_of(below)));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    match files.is_empty() {
        true => Err(Error::NotFound(format!(
            "the folder {} has no file whose name ends with .{}",
            root.display(),
            format.extension()
        ))),
        false => Ok(files),
    }
}

/// What the folders above a file tell.
fn partitions_of(path: &Path) -> Vec<(String, Option<String>)> {
    let folders = path.parent().into_iter().flat_map(Path::components);
    let told = folders.filter_map(|folder| {
        let (column, value) = folder.as_os_str().to_str()?.split_once('=')?;
        let value = (value != NULL_PARTITION).then(|| decoded(value));
        Some((decoded(column), value))
    });
    told.collect()
}

/// A text as the name of a folder: what is no letter or digit in `%` and hexadecimal digits.
pub(super) fn encoded(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || "-_. :+".contains(c) {
            name.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    name
}

/// The text behind a name of [`encoded`]; what is no such name stays as it is.
fn decoded(name: &str) -> String {
    let bytes = name.as_bytes();
    let (mut text, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = name.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                text.push(byte);
                at += 3;
            }
            None => {
                text.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(text).unwrap_or_else(|_| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_come_back() {
        for text in ["", "a", "a/b", "..", "50%", "ü = \"x\"", "2020-01-01 10:00:00", "\n"] {
            let name = encoded(text);
            assert!(!name.contains(['/', '=', '\n']), "{name}");
            assert_eq!(decoded(&name), text);
        }
    }

    #[test]
    fn folders_patterns_and_partitions() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a=1/b=x%2Fy/1.csv", "a=2/b=__HIVE_DEFAULT_PARTITION__/2.csv", "_tmp/3.csv"] {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), "").unwrap();
        }
        std::fs::write(root.join("notes.txt.bak"), "").unwrap();
        let list = |path: PathBuf| list(&Place::Path(path.display().to_string()), Format::Csv);
        let files = list(root.to_path_buf()).unwrap();
        let told: Vec<_> = files.iter().map(|file| file.partitions.clone()).collect();
        let part = |column: &str, value: Option<&str>| (column.into(), value.map(str::to_string));
        assert_eq!(told[0], [part("a", Some("1")), part("b", Some("x/y"))]);
        assert_eq!(told[1], [part("a", Some("2")), part("b", None)]);
        assert_eq!(told.len(), 2);
        assert_eq!(list(root.join("a=*/*/*.csv")).unwrap(), files);
        assert!(matches!(list(root.join("*.csv")), Err(Error::NotFound(_))));
        assert!(matches!(list(root.join("x.csv")), Err(Error::NotFound(_))));
    }
}
