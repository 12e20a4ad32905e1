//! Every way in which the files of a specimen are damaged, each with a number.
//!
//! Called by [`super::worker`]. One round holds, for every file: a bit flipped in each byte, a cut
//! at each length, each sector full of zeros, bytes behind the end, a foreign file, nothing at all,
//! every other file of its kind in its place (also both exchanged), and every older file of its
//! kind. A later round flips other bits and is otherwise the same.

use std::path::{Path, PathBuf};

use super::specimen::{FileList, Specimen};

/// Bytes that a disk writes or loses as one.
const SECTOR: usize = 512;

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One bit of this byte is another.
    Flipped { at: usize, bit: u8 },
    /// Only so many bytes are left.
    Cut(usize),
    /// A sector reads as zeros.
    Zeroed(usize),
    /// Bytes follow the end.
    Longer,
    /// Somebody else's file has the name.
    Foreign,
    /// It is gone.
    Deleted,
    /// This other file of the specimen has the name.
    Copied(usize),
    /// It and this other file have each other's names.
    Exchanged(usize),
    /// This one of the older files has the name.
    Replaced(usize),
    /// It is gone, and this one of the older files is back under the name it had.
    Returned(usize),
}

/// All damage of one round to one specimen.
pub struct Mutants<'a> {
    specimen: &'a Specimen,
    /// Per file, the kinds of change and how many there are of each.
    counts: Vec<Vec<(Kind, usize)>>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Flipped,
    Cut,
    Zeroed,
    Longer,
    Foreign,
    Deleted,
    Copied,
    Exchanged,
    Replaced,
    Returned,
}

impl<'a> Mutants<'a> {
    /// Of this specimen.
    pub fn of(specimen: &'a Specimen) -> Self {
        let counts = |(_, bytes): &(PathBuf, Vec<u8>)| {
            let (files, older) = (specimen.files.len(), specimen.older.len());
            vec![
                (Kind::Flipped, bytes.len()),
                (Kind::Cut, bytes.len()),
                (Kind::Zeroed, bytes.len().div_ceil(SECTOR)),
                (Kind::Longer, 1),
                (Kind::Foreign, 1),
                (Kind::Deleted, 1),
                (Kind::Copied, files),
                (Kind::Exchanged, files),
                (Kind::Replaced, older),
                (Kind::Returned, older),
            ]
        };
        Self { specimen, counts: specimen.files.iter().map(counts).collect() }
    }

    /// How many there are in a round; some of them change nothing.
    pub fn len(&self) -> usize {
        self.counts.iter().flatten().map(|(_, count)| count).sum()
    }

    /// The mutant of this number: which file, and what happens to it.
    pub fn get(&self, number: usize) -> (usize, Change) {
        let (round, mut rest) = (number / self.len(), number % self.len());
        for (file, counts) in self.counts.iter().enumerate() {
            for &(kind, count) in counts {
                if rest < count {
                    return (file, change(kind, rest, round));
                }
                rest -= count;
            }
        }
        unreachable!("numbers end at {}", self.len())
    }

    /// The damaged files; nothing if they are as before, or of kinds that do not mix.
    pub fn files(&self, file: usize, change: Change) -> Option<FileList> {
        let Specimen { files, older, .. } = self.specimen;
        let mut damaged = files.clone();
        let bytes = &mut damaged[file].1;
        match change {
            Change::Flipped { at, bit } => bytes[at] ^= 1 << bit,
            Change::Cut(length) => bytes.truncate(length),
            Change::Zeroed(sector) => {
                let start = sector * SECTOR;
                let end = bytes.len().min(start + SECTOR);
                bytes[start..end].fill(0);
            }
            Change::Longer => bytes.extend([0xA5; 100]),
            Change::Foreign => *bytes = b"PAR1 but not really PAR1".to_vec(),
            Change::Deleted => drop(damaged.remove(file)),
            Change::Copied(other) => {
                same_kind(&files[file].0, &files[other].0)?;
                *bytes = files[other].1.clone();
            }
            Change::Exchanged(other) => {
                same_kind(&files[file].0, &files[other].0)?;
                *bytes = files[other].1.clone();
                damaged[other].1 = files[file].1.clone();
            }
            Change::Replaced(old) => {
                same_kind(&files[file].0, &older[old].0)?;
                *bytes = older[old].1.clone();
            }
            Change::Returned(old) => {
                same_kind(&files[file].0, &older[old].0)?;
                let has_the_name = |(name, _): &(PathBuf, Vec<u8>)| *name == older[old].0;
                if files.iter().position(has_the_name).is_some_and(|other| other != file) {
                    return None;
                }
                damaged[file] = older[old].clone();
            }
        }
        (damaged != *files).then_some(damaged)
    }
}

fn change(kind: Kind, number: usize, round: usize) -> Change {
    match kind {
        Kind::Flipped => Change::Flipped { at: number, bit: ((number + 3 * round) % 8) as u8 },
        Kind::Cut => Change::Cut(number),
        Kind::Zeroed => Change::Zeroed(number),
        Kind::Longer => Change::Longer,
        Kind::Foreign => Change::Foreign,
        Kind::Deleted => Change::Deleted,
        Kind::Copied => Change::Copied(number),
        Kind::Exchanged => Change::Exchanged(number),
        Kind::Replaced => Change::Replaced(number),
        Kind::Returned => Change::Returned(number),
    }
}

fn same_kind(one: &Path, other: &Path) -> Option<()> {
    (one.extension() == other.extension()).then_some(())
}

#[test]
fn every_number_is_another_mutant() {
    let file = |name: &str, length| (PathBuf::from(name), (0..length).map(|b| b as u8).collect());
    let specimen = Specimen {
        name: "small",
        files: vec![file("a.log", 600), file("b.log", 3), file("c.parquet", 2)],
        older: vec![file("a.log", 7)],
        states: Vec::new(),
    };
    let mutants = Mutants::of(&specimen);
    let all: Vec<_> = (0..mutants.len())
        .filter_map(|number| {
            let (file, change) = mutants.get(number);
            mutants.files(file, change)
        })
        .collect();
    // Cuts to what is left of b.log and the like may meet; most do not.
    let mut distinct = all.clone();
    distinct.sort();
    distinct.dedup();
    assert!(all.len() > 1_200 && distinct.len() > all.len() - 10, "{}", distinct.len());
    let next_round = mutants.get(mutants.len() + 5);
    assert_eq!(next_round, (0, Change::Flipped { at: 5, bit: 0 }));
}
