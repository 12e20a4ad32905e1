//! Files and folders that appear whole or not at all.
//!
//! What is written lies beside its place under another name, is synced, and renamed at the end; it
//! is removed if it comes to none. What is no ordinary file (a pipe, a terminal) is written to as
//! it is.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Place;
use crate::error::{Error, Result};

/// A file on its way.
#[derive(Debug)]
pub(super) struct WholeFile {
    out: Option<BufWriter<Out>>,
    /// Where it lies and what it is to be; none for a pipe.
    names: Option<(PathBuf, PathBuf)>,
    shown: String,
}

#[derive(Debug)]
enum Out {
    File(File),
    Standard(io::Stdout),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Standard(out) => out.flush(),
        }
    }
}

impl WholeFile {
    /// Begins a file that is to be at `place`.
    pub(super) fn create(place: &Place) -> Result<Self> {
        let path = match place {
            Place::Path(path) => path,
            Place::Standard => {
                let out = Some(BufWriter::new(Out::Standard(io::stdout())));
                return Ok(Self { out, names: None, shown: "standard output".to_string() });
            }
        };
        let failed = |error| Error::io(path.clone(), error);
        // What a link leads to is written, not the link.
        let target = Path::new(path).canonicalize().unwrap_or_else(|_| PathBuf::from(path));
        let (file, names) = match fs::metadata(&target) {
            _ if path.ends_with('/') => return Err(is_folder(path)),
            Ok(there) if there.is_dir() => return Err(is_folder(path)),
            Ok(there) if !there.is_file() => {
                (File::options().write(true).open(&target).map_err(failed)?, None)
            }
            _ => {
                let partial = beside(&target);
                let above = partial.parent().filter(|above| !above.as_os_str().is_empty());
                if let Some(above) = above {
                    fs::create_dir_all(above).map_err(failed)?;
                }
                let file = File::create_new(&partial).map_err(failed)?;
                (file, Some((partial, target)))
            }
        };
        Ok(Self { out: Some(BufWriter::new(Out::File(file))), names, shown: path.clone() })
    }

    /// Lets it appear, in the place of a file of that name.
    pub(super) fn publish(mut self) -> Result<()> {
        let shown = self.shown.clone();
        let failed = |error| Error::io(shown.clone(), error);
        let Some(mut out) = self.out.take() else { return Ok(()) };
        out.flush().map_err(failed)?;
        let Some((partial, target)) = &self.names else { return Ok(()) };
        if let Out::File(file) = out.get_ref() {
            file.sync_all().map_err(failed)?;
        }
        fs::rename(partial, target).map_err(failed)?;
        self.names = None;
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // Whether it can be removed or not, it is no file of that name.
        if let Some((partial, _)) = &self.names {
            let _ = fs::remove_file(partial);
        }
    }
}

/// A folder on its way.
#[derive(Debug)]
pub struct WholeFolder {
    partial: PathBuf,
    target: PathBuf,
    is_published: bool,
}

impl WholeFolder {
    /// Begins a folder that is to be at `path`, where there is none, or an empty one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there is something already.
    pub fn create(path: &str) -> Result<Self> {
        let failed = |error| Error::io(path.to_string(), error);
        let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        let target = PathBuf::from(trimmed);
        let target = target.canonicalize().unwrap_or(target);
        match fs::read_dir(&target) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Error::invalid(format!(
                        "{path} is not empty; name an empty or a new folder"
                    )));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(Error::invalid(format!("{path} is a file; name a folder")));
            }
            Err(error) => return Err(failed(error)),
        }
        if let Some(above) = target.parent() {
            fs::create_dir_all(above).map_err(failed)?;
        }
        let partial = beside(&target);
        fs::create_dir(&partial).map_err(failed)?;
        Ok(Self { partial, target, is_published: false })
    }

    /// Where it lies meanwhile.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Lets it appear.
    ///
    /// # Errors
    /// [`Error::Io`] if something came to be there meanwhile.
    pub fn publish(mut self) -> Result<()> {
        let failed = |error| Error::io(self.target.display().to_string(), error);
        if self.target.exists() {
            fs::remove_dir(&self.target).map_err(failed)?;
        }
        fs::rename(&self.partial, &self.target).map_err(failed)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for WholeFolder {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Writes a text file whole.
///
/// # Errors
/// [`Error::Io`].
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    let shown = path.display().to_string();
    let mut file = WholeFile::create(&Place::Path(shown.clone()))?;
    file.write_all(text.as_bytes()).map_err(|error| Error::io(shown, error))?;
    file.publish()
}

/// A text file.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Io`].
pub fn read_text(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound(format!("there is no file {path}")),
        _ => Error::io(path, error),
    })
}

/// A name of its own beside `target`.
fn is_folder(path: &str) -> Error {
    Error::invalid(format!(
        "{path} is a folder; name a file, or write many by PARTITION_BY or, with DataFusion's \
         words, STORED AS … OPTIONS (…)"
    ))
}

fn beside(target: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    target.with_file_name(format!(".{name}.{}-{number}.partial", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_at_its_end_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "old").unwrap();
        let place = Place::Path(path.display().to_string());
        let mut file = WholeFile::create(&place).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_text(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(WholeFile::create(&Place::Path(folder.path().display().to_string())).is_err());
    }

    #[test]
    fn a_folder_appears_at_its_end_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x").display().to_string();
        let begun = WholeFolder::create(&path).unwrap();
        fs::write(begun.path().join("a"), "a").unwrap();
        drop(begun);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let begun = WholeFolder::create(&path).unwrap();
        fs::write(begun.path().join("a"), "a").unwrap();
        begun.publish().unwrap();
        assert!(Path::new(&path).join("a").exists());
        assert!(WholeFolder::create(&path).is_err());
        assert!(WholeFolder::create(&format!("{path}/a")).is_err());
    }
}
