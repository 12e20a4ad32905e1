//! A disk's files taken out, changed and put on another one, past all that the disk forgets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use omen_provider::store::Files;

use super::{FaultyFiles, Snapshot, State};

/// Files by path, as a program sees them.
pub type FilesByPath = BTreeMap<PathBuf, Vec<u8>>;

impl Snapshot {
    /// A disk as a program saw it at this moment, nothing forgotten.
    pub fn as_it_is(&self) -> FaultyFiles {
        let state = State { tree: self.0.clone(), ..State::default() };
        FaultyFiles { state: Arc::new(Mutex::new(state)) }
    }
}

impl FaultyFiles {
    /// All files.
    pub fn all_files(&self) -> FilesByPath {
        let mut found = FilesByPath::new();
        let mut folders = vec![PathBuf::from("/")];
        while let Some(folder) = folders.pop() {
            for entry in self.read_dir(&folder).unwrap() {
                let path = folder.join(&entry.name);
                if self.metadata(&path).unwrap().is_dir {
                    folders.push(path);
                    continue;
                }
                let file = self.open(&path).unwrap();
                let mut bytes = vec![0; file.bytes().unwrap() as usize];
                assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
                found.insert(path, bytes);
            }
        }
        found
    }

    /// A disk that holds these files, all durable.
    pub fn holding(files: &FilesByPath) -> Self {
        let disk = Self::new();
        for (path, bytes) in files {
            let folder = path.parent().unwrap_or(Path::new("/"));
            for above in folder.ancestors().collect::<Vec<_>>().into_iter().rev().skip(1) {
                if disk.metadata(above).is_err() {
                    disk.make_dir(above).unwrap();
                    disk.sync_dir(above.parent().unwrap()).unwrap();
                }
            }
            let file = disk.create_new(path).unwrap();
            assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
            file.sync_all().unwrap();
            disk.sync_dir(folder).unwrap();
        }
        disk
    }
}

#[test]
fn what_is_taken_out_can_be_put_back() {
    let files: FilesByPath =
        [("/db/log/1.log", vec![1; 700]), ("/db/LOCK", vec![])].map(|(p, b)| (p.into(), b)).into();
    let disk = FaultyFiles::holding(&files);
    assert_eq!(disk.all_files(), files);
    for seed in 0..20 {
        assert_eq!(disk.after_power_cut(seed).all_files(), files);
    }
}
