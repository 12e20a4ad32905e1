//! The files of a database, counted: every byte that is written, where it went, and how much lies
//! in the directory at each moment.
//!
//! The seam below the local disk, over the file system of the machine; the bench opens its
//! databases on it. Bytes count for the folder in which the file is named at last: what is written
//! to `tmp/` counts for where it is linked to. Zeros that take space beforehand count like others.
//! The rows of a segment are read from its Parquet footer when it gets its name.
//!
//! Invariant: a file counts as long as it has a name, with the length it has then.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use omen_provider::store::{
    DirEntry, FileHandle, FileInfo, FileLock, Files, Lock, Store, SystemFiles,
};
use parquet::file::reader::{FileReader, SerializedFileReader};

/// What was counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Bytes written to segments.
    pub segments: u64,
    /// Bytes written to logs.
    pub logs: u64,
    /// Bytes written to manifests, deletion vectors and whatever else there is.
    pub others: u64,
    /// Bytes written to the reserve, which are counted nowhere else.
    pub reserve: u64,
    /// Rows of the segments that got their name, and how many of these there were.
    pub segment_rows: u64,
    /// How many segments got their name.
    pub segment_count: u64,
    /// What lies in the directory, but for the reserve.
    pub live: Live,
    /// The most of each that lay there at a time.
    pub peak: Live,
}

/// Bytes that lie in a directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Live {
    /// Bytes of logs.
    pub logs: u64,
    /// Bytes of all else.
    pub data: u64,
}

impl Live {
    /// Both.
    pub fn all(&self) -> u64 {
        self.logs + self.data
    }

    fn of(&mut self, folder: Folder) -> Option<&mut u64> {
        match folder {
            Folder::Logs => Some(&mut self.logs),
            Folder::Reserve => None,
            Folder::Segments | Folder::Others => Some(&mut self.data),
        }
    }
}

impl Totals {
    /// All bytes written, but for the reserve.
    pub fn written(&self) -> u64 {
        self.segments + self.logs + self.others
    }

    /// What was written after `before` was counted; what lies there, and did, is as now.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            segments: self.segments - before.segments,
            logs: self.logs - before.logs,
            others: self.others - before.others,
            reserve: self.reserve - before.reserve,
            segment_rows: self.segment_rows - before.segment_rows,
            segment_count: self.segment_count - before.segment_count,
            ..*self
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    names: HashMap<PathBuf, usize>,
    files: Vec<Counted>,
    totals: Totals,
}

/// What a file counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folder {
    Segments,
    Logs,
    Others,
    Reserve,
}

/// One file.
#[derive(Debug)]
struct Counted {
    folder: Folder,
    bytes: u64,
    written: u64,
    names: usize,
}

/// The file system of this machine, counted. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct CountedFiles(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct CountedFile {
    inner: Box<dyn FileHandle>,
    file: usize,
    all: CountedFiles,
}

impl CountedFiles {
    /// The store in a directory.
    pub fn store(&self, directory: &Path) -> Store {
        Store::on_files(directory, Arc::new(self.clone()))
    }

    /// What was counted so far.
    pub fn totals(&self) -> Totals {
        self.counts().totals
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self, path: &Path, inner: Box<dyn FileHandle>) -> io::Result<Box<dyn FileHandle>> {
        let bytes = inner.bytes()?;
        let file = self.counts().number_of(path, bytes);
        Ok(Box::new(CountedFile { inner, file, all: self.clone() }))
    }
}

impl Counts {
    /// The file of that name, which has so many bytes if it was not known.
    fn number_of(&mut self, path: &Path, bytes: u64) -> usize {
        if let Some(&file) = self.names.get(path) {
            return file;
        }
        let folder = Folder::of(path);
        self.files.push(Counted { folder, bytes: 0, written: 0, names: 1 });
        let file = self.files.len() - 1;
        self.names.insert(path.to_path_buf(), file);
        self.resize(file, bytes);
        file
    }

    fn resize(&mut self, file: usize, bytes: u64) {
        let counted = &mut self.files[file];
        let (before, folder) = (std::mem::replace(&mut counted.bytes, bytes), counted.folder);
        let Some(live) = self.totals.live.of(folder).filter(|_| counted.names > 0) else { return };
        *live = *live + bytes - before;
        let now = *live;
        if let Some(peak) = self.totals.peak.of(folder) {
            *peak = now.max(*peak);
        }
    }

    fn write(&mut self, file: usize, start: u64, count: u64) {
        let counted = &mut self.files[file];
        counted.written += count;
        let bytes = counted.bytes.max(start + count);
        let folder = counted.folder;
        *self.totals.of(folder) += count;
        self.resize(file, bytes);
    }

    /// Another name: what was written counts for its folder.
    fn link(&mut self, from: &Path, to: &Path) {
        let Some(&file) = self.names.get(from) else { return };
        self.names.insert(to.to_path_buf(), file);
        let counted = &mut self.files[file];
        counted.names += 1;
        let written = counted.written;
        let before = std::mem::replace(&mut counted.folder, Folder::of(to));
        let after = counted.folder;
        *self.totals.of(before) -= written;
        *self.totals.of(after) += written;
    }

    fn unlink(&mut self, path: &Path) {
        let Some(file) = self.names.remove(path) else { return };
        let counted = &mut self.files[file];
        counted.names -= 1;
        if let Some(live) = self.totals.live.of(counted.folder).filter(|_| counted.names == 0) {
            *live -= counted.bytes;
        }
    }
}

impl Totals {
    fn of(&mut self, folder: Folder) -> &mut u64 {
        match folder {
            Folder::Segments => &mut self.segments,
            Folder::Logs => &mut self.logs,
            Folder::Others => &mut self.others,
            Folder::Reserve => &mut self.reserve,
        }
    }
}

impl Folder {
    fn of(path: &Path) -> Self {
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        match folder {
            Some("segments") => Self::Segments,
            Some("log") => Self::Logs,
            _ if path.ends_with("reserve") => Self::Reserve,
            _ => Self::Others,
        }
    }
}

fn rows_of(path: &Path) -> io::Result<u64> {
    let reader = SerializedFileReader::new(File::open(path)?).map_err(io::Error::other)?;
    Ok(reader.metadata().file_metadata().num_rows() as u64)
}

impl Files for CountedFiles {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        self.counted(path, SystemFiles.create_new(path)?)
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        self.counted(path, SystemFiles.open_to_write(path)?)
    }

    fn open_uncached(&self, path: &Path) -> io::Result<Option<Box<dyn FileHandle>>> {
        let uncached = SystemFiles.open_uncached(path)?;
        uncached.map(|file| self.counted(path, file)).transpose()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        SystemFiles.open(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemFiles.hard_link(from, to)?;
        let is_segment =
            Folder::of(to) == Folder::Segments && to.extension().is_some_and(|e| e == "parquet");
        let rows = if is_segment { rows_of(to)? } else { 0 };
        let mut counts = self.counts();
        counts.link(from, to);
        counts.totals.segment_rows += rows;
        counts.totals.segment_count += u64::from(is_segment);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemFiles.rename(from, to)?;
        let mut counts = self.counts();
        counts.unlink(to);
        counts.link(from, to);
        counts.unlink(from);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        SystemFiles.unlink(path)?;
        self.counts().unlink(path);
        Ok(())
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        SystemFiles.make_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        SystemFiles.sync_dir(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        SystemFiles.read_dir(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        SystemFiles.metadata(path)
    }

    fn make_private(&self, path: &Path) -> io::Result<()> {
        SystemFiles.make_private(path)
    }

    fn first_number(&self) -> u64 {
        SystemFiles.first_number()
    }

    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Box<dyn FileLock>>> {
        SystemFiles.lock(path, lock)
    }
}

impl FileHandle for CountedFile {
    fn bytes(&self) -> io::Result<u64> {
        self.inner.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.inner.write_at(bytes, offset)?;
        self.all.counts().write(self.file, offset, count as u64);
        Ok(count)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.inner.set_len(bytes)?;
        self.all.counts().resize(self.file, bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }

    fn go_through_cache(&self) -> io::Result<()> {
        self.inner.go_through_cache()
    }
}
