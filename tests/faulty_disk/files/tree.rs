//! Directories and files, with the names that a program sees and those that are on the medium.
//!
//! A change of a name is durable once its directory was synced; until then it may survive a power
//! cut or not, whatever happens to other changes. The two halves of a rename go together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::sync::Arc;

use super::super::{SECTOR_BYTES, Seeded};
use super::contents::Contents;

/// Where an inode lies in [`Tree`].
pub(super) type InodeNumber = usize;
/// The topmost directory.
const ROOT: InodeNumber = 0;

/// A file or a directory, whatever its names.
#[derive(Debug, Clone)]
pub(super) enum Inode {
    File(Contents),
    Directory(Names),
}

/// The names in a directory.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) live: BTreeMap<String, InodeNumber>,
    durable: BTreeMap<String, InodeNumber>,
}

/// A name given or taken and not yet synced.
#[derive(Debug, Clone)]
struct Change {
    directory: InodeNumber,
    name: String,
    to: Option<InodeNumber>,
    /// Changes of one call, which survive together.
    call: u64,
}

/// All there is; a clone costs one counter for each inode.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    inodes: Vec<Arc<Inode>>,
    unsynced: Vec<Arc<Change>>,
    calls: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Arc::new(Inode::Directory(Names::default()));
        Self { inodes: vec![root], unsynced: Vec::new(), calls: 0 }
    }
}

impl Tree {
    /// What lies under a path.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<InodeNumber> {
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let name = name.to_string_lossy();
            at = *self.names(at)?.live.get(name.as_ref()).ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The directory of a path, and the last name of it.
    fn place(&self, path: &Path) -> io::Result<(InodeNumber, String)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let parent = self.resolve(parent)?;
        self.names(parent)?;
        Ok((parent, name.to_string_lossy().into_owned()))
    }

    pub(super) fn inode(&self, number: InodeNumber) -> &Inode {
        &self.inodes[number]
    }

    pub(super) fn names(&self, number: InodeNumber) -> io::Result<&Names> {
        match self.inode(number) {
            Inode::Directory(names) => Ok(names),
            Inode::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// The length of a file.
    pub(super) fn bytes(&self, number: InodeNumber) -> u64 {
        match self.inode(number) {
            Inode::File(contents) => contents.bytes() as u64,
            Inode::Directory(_) => 0,
        }
    }

    /// Bytes of all files that have a name, or are among those that are open.
    pub(super) fn bytes_used(&self, open: &BTreeMap<InodeNumber, usize>) -> u64 {
        let directories = self.inodes.iter().filter_map(|inode| match inode.as_ref() {
            Inode::Directory(names) => Some(names.live.values()),
            Inode::File(_) => None,
        });
        let used: BTreeSet<_> = directories.flatten().chain(open.keys()).copied().collect();
        let sectors = used.into_iter().map(|number| match self.inode(number) {
            Inode::File(contents) => contents.sectors(),
            Inode::Directory(_) => 1,
        });
        (sectors.sum::<usize>() * SECTOR_BYTES) as u64
    }

    pub(super) fn file(&mut self, number: InodeNumber) -> &mut Contents {
        match Arc::make_mut(&mut self.inodes[number]) {
            Inode::File(contents) => contents,
            Inode::Directory(_) => panic!("a directory is never opened as a file"),
        }
    }

    /// A new file or directory under a name that is free.
    pub(super) fn create(&mut self, path: &Path, inode: Inode) -> io::Result<InodeNumber> {
        let (directory, name) = self.place(path)?;
        if self.names(directory)?.live.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.inodes.push(Arc::new(inode));
        let number = self.inodes.len() - 1;
        self.calls += 1;
        self.change(directory, name, Some(number));
        Ok(number)
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.resolve(from)?;
        let (directory, name) = self.place(to)?;
        if self.names(directory)?.live.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if matches!(self.inode(number), Inode::Directory(_)) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.calls += 1;
        self.change(directory, name, Some(number));
        Ok(())
    }

    /// Renames a file.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (old, old_name) = self.place(from)?;
        let (new, new_name) = self.place(to)?;
        let number = self.resolve(from)?;
        let replaced = self.names(new)?.live.get(&new_name).copied();
        if replaced == Some(number) {
            return Ok(());
        }
        if replaced.is_some_and(|there| matches!(self.inode(there), Inode::Directory(_))) {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.calls += 1;
        self.change(old, old_name, None);
        self.change(new, new_name, Some(number));
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        if matches!(self.inode(self.resolve(path)?), Inode::Directory(_)) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let (directory, name) = self.place(path)?;
        self.calls += 1;
        self.change(directory, name, None);
        Ok(())
    }

    fn change(&mut self, directory: InodeNumber, name: String, to: Option<InodeNumber>) {
        set(&mut self.names_mut(directory).live, &name, to);
        self.unsynced.push(Arc::new(Change { directory, name, to, call: self.calls }));
    }

    fn names_mut(&mut self, number: InodeNumber) -> &mut Names {
        match Arc::make_mut(&mut self.inodes[number]) {
            Inode::Directory(names) => names,
            Inode::File(_) => panic!("names are changed in directories"),
        }
    }

    /// Makes the names in one directory durable, and what a rename did elsewhere.
    pub(super) fn sync_dir(&mut self, directory: InodeNumber) {
        let calls: Vec<u64> =
            self.unsynced.iter().filter(|c| c.directory == directory).map(|c| c.call).collect();
        let mut left = Vec::new();
        let changes = std::mem::take(&mut self.unsynced);
        for (at, change) in changes.iter().enumerate() {
            // What a later durable change says of the same name holds.
            let overtaken = changes[at..].iter().any(|later| {
                calls.contains(&later.call)
                    && (later.directory, &later.name) == (change.directory, &change.name)
            });
            match calls.contains(&change.call) || overtaken {
                true => set(&mut self.names_mut(change.directory).durable, &change.name, change.to),
                false => left.push(change.clone()),
            }
        }
        self.unsynced = left;
    }

    /// The disk after a power cut.
    pub(super) fn after_power_cut(&self, seeded: &mut Seeded) -> Self {
        let mut left = self.clone();
        let first = self.unsynced.first().map_or(self.calls, |change| change.call);
        let (mode, kept) = (seeded.below(5), first + seeded.below(self.calls - first + 2));
        let (mut call, mut survives) = (u64::MAX, false);
        for change in std::mem::take(&mut left.unsynced) {
            if call != change.call {
                call = change.call;
                survives = match mode {
                    0 => false,
                    1 => true,
                    2 => call < kept,
                    _ => seeded.coin(),
                };
            }
            if survives {
                set(&mut left.names_mut(change.directory).durable, &change.name, change.to);
            }
        }
        for inode in &mut left.inodes {
            let settled = match inode.as_ref() {
                Inode::File(contents) if contents.is_durable() => continue,
                Inode::File(contents) => Inode::File(contents.after_power_cut(seeded)),
                Inode::Directory(Names { durable, .. }) => {
                    Inode::Directory(Names { live: durable.clone(), durable: durable.clone() })
                }
            };
            *inode = Arc::new(settled);
        }
        left
    }
}

fn set(names: &mut BTreeMap<String, InodeNumber>, name: &str, to: Option<InodeNumber>) {
    match to {
        Some(number) => drop(names.insert(name.to_string(), number)),
        None => drop(names.remove(name)),
    }
}
