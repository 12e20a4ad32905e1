//! Files that queries write when memory does not do.
//!
//! DataFusion asks for a file and writes and reads it; where it lies and how much space all files
//! take together is decided here. The folder is made when the first file is asked for. DataFusion's
//! own disk manager makes the files in a folder of its own therein and removes each with its last
//! user, so that nothing is left when a query ends, however it ends; what a killed process left
//! behind, the next opening removes.
//!
//! Made by `runtime`, called by DataFusion's operators. Errors travel through arrow as errors of
//! the system with ours inside; `errors` finds it there.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::common::human_readable_size;
use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManager, DiskManagerMode};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;

use super::errors::is_out_of_space;
use crate::error::Error;

/// Where files lie: made when first needed.
type Folder = Box<dyn Fn() -> crate::Result<Option<PathBuf>> + Send + Sync>;

/// Makes the files of a database's queries.
pub(super) struct SpillFiles {
    folder: Folder,
    disk: Mutex<Option<Arc<DiskManager>>>,
    space: Arc<Space>,
}

/// The bytes of all files together.
#[derive(Debug)]
pub(super) struct Space {
    used: AtomicU64,
    limit: AtomicU64,
}

/// The bytes of one file, given back with it.
struct Taken {
    space: Arc<Space>,
    bytes: AtomicU64,
}

struct File {
    inner: Arc<dyn SpillFile>,
    taken: Arc<Taken>,
}

struct Writer {
    inner: Box<dyn SpillWriter>,
    taken: Arc<Taken>,
}

impl SpillFiles {
    /// Files of at most `limit` bytes together, in `folder`; in the system's folder for temporary
    /// files if there is none.
    pub(super) fn new(folder: Folder, limit: u64) -> Self {
        let space = Arc::new(Space { used: AtomicU64::new(0), limit: AtomicU64::new(limit) });
        Self { folder, disk: Mutex::new(None), space }
    }

    pub(super) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    fn disk(&self) -> Result<Arc<DiskManager>> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = disk.as_ref() {
            return Ok(Arc::clone(disk));
        }
        let mode = match (self.folder)().map_err(Error::in_spilling)? {
            Some(folder) => DiskManagerMode::Directories(vec![folder]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        // The limit is ours to keep.
        let builder = DiskManager::builder().with_max_temp_directory_size(u64::MAX);
        let made = Arc::new(builder.with_mode(mode).build()?);
        Ok(Arc::clone(disk.insert(made)))
    }
}

impl TempFileFactory for SpillFiles {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        let made = self.disk().and_then(|disk| disk.create_tmp_file(description));
        let inner = made.map_err(|error| Error::from(error).in_spilling())?;
        let taken = Taken { space: Arc::clone(&self.space), bytes: AtomicU64::new(0) };
        Ok(Arc::new(File { inner, taken: Arc::new(taken) }))
    }
}

impl Space {
    /// The most bytes that all files together may have.
    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }

    /// The most bytes that all files together may have.
    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Bytes of all files that are there.
    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    fn refusal(&self, limit: u64) -> Error {
        let shown = human_readable_size(usize::try_from(limit).unwrap_or(usize::MAX));
        let what = format!(
            "the files that queries write when memory does not do may take {shown}; the limit is \
             the option spill_bytes_max, or SET datafusion.runtime.max_temp_directory_size = '100G'"
        );
        let source = io::Error::new(ErrorKind::QuotaExceeded, "a query needs more");
        Error::Exhausted { what, source: Arc::new(Error::io("spill", source)) }
    }
}

impl Taken {
    fn add(&self, bytes: u64) -> io::Result<()> {
        let limit = self.space.limit.load(Relaxed);
        let used = self.space.used.fetch_add(bytes, Relaxed).saturating_add(bytes);
        self.bytes.fetch_add(bytes, Relaxed);
        match used > limit {
            true => Err(io::Error::other(self.space.refusal(limit))),
            false => Ok(()),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.space.used.fetch_sub(self.bytes.load(Relaxed), Relaxed);
    }
}

impl SpillFile for File {
    fn path(&self) -> Option<&Path> {
        self.inner.path()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        self.inner.read_stream()
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        let inner = self.inner.open_writer()?;
        Ok(Box::new(Writer { inner, taken: Arc::clone(&self.taken) }))
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken.add(bytes.len() as u64)?;
        // DataFusion's writer takes all bytes or none.
        self.inner.write(bytes).map_err(|error| match is_out_of_space(&error) {
            true => io::Error::other(Error::io("spill", error).in_spilling()),
            false => error,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        self.inner.finish()
    }
}

impl Error {
    /// The same error, met while a query wrote to files: a full disk is a limit that was reached.
    fn in_spilling(self) -> Self {
        let full = matches!(&self, Self::Io { source, .. } if is_out_of_space(source))
            || matches!(&self, Self::DataFusion(source) if is_out_of_space(source.as_ref()));
        if !full {
            return self;
        }
        let what = "a query needs more memory than queries may hold (option query_bytes_max, omen \
                    --memory-limit), and the disk has no room for the rest"
            .to_string();
        Self::Exhausted { what, source: Arc::new(self) }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;

    use super::*;

    struct FullDisk;

    impl Write for FullDisk {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            // As DataFusion's writer says it.
            let full = DataFusionError::IoError(ErrorKind::StorageFull.into());
            Err(io::Error::other(full))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl SpillWriter for FullDisk {
        fn finish(&mut self) -> Result<()> {
            Ok(())
        }
    }

    /// As a writer's error comes out of arrow and DataFusion.
    fn carried(error: io::Error) -> Error {
        DataFusionError::from(arrow::error::ArrowError::from(error)).context("sorting").into()
    }

    #[test]
    fn a_full_disk_is_a_limit_that_was_reached() {
        let files = SpillFiles::new(Box::new(|| Ok(None)), 1000);
        let taken = Taken { space: Arc::clone(files.space()), bytes: AtomicU64::new(0) };
        let mut writer = Writer { inner: Box::new(FullDisk), taken: Arc::new(taken) };
        let error = carried(writer.write(b"rows").unwrap_err());
        assert!(matches!(&error, Error::Exhausted { .. }), "{error:?}");
        assert!(error.to_string().contains("the disk has no room"), "{error}");
    }

    #[test]
    fn space_is_bounded_and_given_back_with_the_file() {
        let files = SpillFiles::new(Box::new(|| Ok(None)), 1000);
        let file = files.create_temp_file("sorting").unwrap();
        let path = file.path().unwrap().to_path_buf();
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&[1; 600]).unwrap();
        assert_eq!(files.space().used(), 600);
        let other = files.create_temp_file("sorting").unwrap();
        let error = carried(other.open_writer().unwrap().write_all(&[1; 401]).unwrap_err());
        assert!(error.to_string().contains("spill_bytes_max"), "{error}");
        drop(other);
        writer.write_all(&[1; 400]).unwrap();
        drop((writer, file));
        assert_eq!(files.space().used(), 0);
        assert!(!path.exists());
    }
}
