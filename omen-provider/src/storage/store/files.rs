//! What the local disk asks of the file system: a seam below the seam.
//!
//! `local.rs` makes every call of the file system through [`Files`], so that a test can put a file
//! system of its own under the very code that writes, syncs and links. Calls block; each method is
//! one call of the operating system (or two that belong together) and repeats nothing: short
//! writes, interruptions and errors are the caller's matter.
//!
//! Invariant: nothing here promises more than POSIX does. A file's sync makes its bytes durable,
//! not its name; only [`Files::sync_dir`] makes names durable.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::lock::{FileLock, Lock, NoLock, lock_file};

/// How often a directory in which names keep going away is read.
const READINGS: usize = 100;
/// What a write of zeros takes its bytes from.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// What is written past the system's cache is a multiple of it: enough for every disk.
pub const UNCACHED_BLOCK: usize = 4096;

/// The calls of a file system that a local disk is made of.
pub trait Files: Debug + Send + Sync + 'static {
    /// A new file for writing, for its owner alone; an error if the name is taken, also by a
    /// symbolic link.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>>;
    /// An existing file for writing. What fails on another handle of it fails there alone.
    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn FileHandle>>;
    /// An existing file for reading and writing past the system's cache: whole blocks of
    /// [`UNCACHED_BLOCK`], from memory that is aligned to them. `None` where there is no such way,
    /// or a file consists of other blocks.
    fn open_uncached(&self, _path: &Path) -> io::Result<Option<Box<dyn FileHandle>>> {
        Ok(None)
    }
    /// An existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>>;
    /// A second name for a file; an error if it is taken.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Another name for a file, in place of whatever has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes the name of a file, and the file if it has no other.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// A new directory for its owner alone.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// What is in a directory at one moment, in any order: if a name goes away while it is read,
    /// it is read again. Who puts a new name in the place of an old one is always seen.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// What lies under a name, symbolic links followed.
    fn metadata(&self, path: &Path) -> io::Result<FileInfo>;
    /// Takes every right in a directory from all but its owner.
    fn make_private(&self, path: &Path) -> io::Result<()>;
    /// Where the numbers of temporary files begin: somewhere else with each call.
    fn first_number(&self) -> u64;
    /// Locks an existing file against who else opens it, in this process too, until what is
    /// returned is dropped; `None` if a lock of theirs excludes it. A file system that knows no
    /// locks, as the default does, grants each.
    fn lock(&self, path: &Path, _lock: Lock) -> io::Result<Option<Box<dyn FileLock>>> {
        self.metadata(path).map(|_| Some(Box::new(NoLock) as _))
    }
}

/// A file that is open.
pub trait FileHandle: Debug + Send + Sync {
    /// The length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Reads from `offset` on, at most a buffer full; 0 is the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes from `offset` on, which makes the file longer where it ends before, and says how many
    /// of the bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts the file off behind so many bytes.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Makes the bytes and the length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes the bytes and all that is known of the file durable, but for its name.
    fn sync_all(&self) -> io::Result<()>;
    /// From now on it is read and written through the system's cache, as most files are, in pieces
    /// of any length.
    fn go_through_cache(&self) -> io::Result<()>;
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: OsString,
    /// The length of what it names.
    pub bytes: u64,
}

/// What lies under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileInfo {
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Who may do what with it, as in `chmod`; None where the system knows no such thing.
    pub mode: Option<u32>,
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        Ok(Box::new(File::open(path)?))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    #[cfg(target_os = "linux")]
    fn open_uncached(&self, path: &Path) -> io::Result<Option<Box<dyn FileHandle>>> {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        let flag = rustix::fs::OFlags::DIRECT.bits() as i32;
        match OpenOptions::new().read(true).write(true).custom_flags(flag).open(path) {
            Ok(file) if file.metadata()?.blksize() == UNCACHED_BLOCK as u64 => {
                Ok(Some(Box::new(file)))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        File::open(path)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        for _ in 1..READINGS {
            if let Some(found) = read_dir_once(path, false)? {
                return Ok(found);
            }
        }
        Ok(read_dir_once(path, true)?.unwrap_or_default())
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        let info = fs::metadata(path)?;
        #[cfg(unix)]
        let mode = Some(std::os::unix::fs::PermissionsExt::mode(&info.permissions()) & 0o7777);
        #[cfg(not(unix))]
        let mode = None;
        Ok(FileInfo { is_dir: info.is_dir(), mode })
    }

    fn make_private(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }

    fn lock(&self, path: &Path, lock: Lock) -> io::Result<Option<Box<dyn FileLock>>> {
        lock_file(path, lock)
    }

    fn first_number(&self) -> u64 {
        // The standard library's source of randomness that cannot fail.
        RandomState::new().hash_one(0)
    }
}

/// Reads a directory; `None` if a name went away meanwhile, which may be left out if that is said.
fn read_dir_once(path: &Path, or_leave_out: bool) -> io::Result<Option<Vec<DirEntry>>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(info) => found.push(DirEntry { name: entry.file_name(), bytes: info.len() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !or_leave_out {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(found))
}

impl FileHandle for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(self, buffer, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(self, buffer, offset);
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_at(self, bytes, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_write(self, bytes, offset);
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    #[cfg(not(target_os = "linux"))]
    fn go_through_cache(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn go_through_cache(&self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(self)?;
        Ok(rustix::fs::fcntl_setfl(self, flags - rustix::fs::OFlags::DIRECT)?)
    }
}

/// Writes all of `bytes` from `offset` on, in as many writes as it takes.
pub(super) fn write_all_at(
    file: &dyn FileHandle,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes zeros from `start` to `end`.
pub(super) fn write_zeros(file: &dyn FileHandle, mut start: u64, end: u64) -> io::Result<()> {
    while start < end {
        let count = ZEROS.len().min(usize::try_from(end - start).unwrap_or(usize::MAX));
        write_all_at(file, &ZEROS[..count], start)?;
        start += count as u64;
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; says how much that was.
pub(super) fn read_full_at(
    file: &dyn FileHandle,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
