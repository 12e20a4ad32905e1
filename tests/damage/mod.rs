//! Files that were cut, flipped, swapped, emptied, deleted or replaced by somebody else's: opening
//! and reading give the right answer or a clear error, never a wrong answer, a panic, a hang or a
//! gigabyte of memory; and the files are left as they were, so that bringing the right bytes back
//! brings the rows back.
//!
//! [`specimen`] makes databases, [`mutants`] damages them in every way, [`judge`] says what became
//! of one, [`worker`] judges many. The tests of this file are about who opens for writing.

mod judge;
mod mutants;
mod specimen;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};

use omen_provider::{Error, Options, Result};

use crate::harness::block_on;
use crate::harness::media::{Medium, small};
use specimen::{FileList, Specimen, everything, files, put};

async fn look(folder: &Path, read_only: bool) -> Result<String> {
    let database = Options { read_only, ..small() }.open(folder).await?;
    everything(&database).await
}

#[test]
fn a_refused_writer_leaves_the_files_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (made, scratch) = (folder.path().join("made"), folder.path().join("scratch"));
    put(&made, &Specimen::closed().files);
    let right = block_on(look(&made, false)).unwrap();
    let before = files(&made);
    let newest_manifest = before.iter().rposition(|(name, _)| name.starts_with("manifest"));
    let index = newest_manifest.expect("a manifest");
    let mut damaged = before.clone();
    let middle = damaged[index].1.len() / 2;
    damaged[index].1[middle] ^= 0x10;
    put(&scratch, &damaged);
    let refused = block_on(small().open(&scratch)).map(drop).unwrap_err();
    let Error::Corruption { path, .. } = &refused else { panic!("{refused:?}") };
    assert!(path.contains("manifest"), "{path}");
    for (name, bytes) in &before {
        let kept = fs::read(scratch.join(name)).unwrap_or_else(|e| panic!("{name:?}: {e}"));
        assert!(kept == *bytes || *name == before[index].0, "{name:?} was changed");
    }
    // The right bytes come back, and with them the rows.
    fs::write(scratch.join(&before[index].0), &before[index].1).unwrap();
    assert_eq!(block_on(look(&scratch, false)).unwrap(), right);
}

/// The index of the one file in `folder`.
fn only(files: &FileList, folder: &str) -> usize {
    let inside = files.iter().enumerate().filter(|(_, (name, _))| name.starts_with(folder));
    let indices: Vec<_> = inside.map(|(index, _)| index).collect();
    assert_eq!(indices.len(), 1, "files in {folder}");
    indices[0]
}

/// Opening for writing is refused for the file in `folder`.
fn assert_refused(scratch: &Path, damaged: &FileList, folder: &str) {
    put(scratch, damaged);
    match block_on(small().open(scratch)).map(drop) {
        Err(Error::Corruption { path, .. }) => assert!(path.starts_with(folder), "{path}"),
        other => panic!("{folder}: {other:?}"),
    }
}

#[test]
fn a_right_file_in_the_wrong_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Specimen::unclosed().files, Specimen::unclosed().files);
    let log = only(&one, "log");
    assert_eq!(one[log].0, two[log].0, "both logs have one name");
    let scratch = folder.path().join("scratch");

    // The log of another database, made in the same way.
    let mut damaged = one.clone();
    damaged[log].1 = two[log].1.clone();
    assert_refused(&scratch, &damaged, "log");

    // An earlier log of the same database.
    put(&scratch, &one);
    drop(block_on(small().open(&scratch)).unwrap());
    let mut damaged = files(&scratch);
    let next = only(&damaged, "log");
    assert_ne!(damaged[next].0, one[log].0);
    damaged[next].1 = one[log].1.clone();
    assert_refused(&scratch, &damaged, "log");

    // A manifest under the number of the next one.
    let manifest = only(&one, "manifest");
    let number = one[manifest].0.file_stem().unwrap().to_str().unwrap();
    let number = u64::from_str_radix(number, 16).unwrap() + 1;
    let mut damaged = one.clone();
    let copy = PathBuf::from(format!("manifest/{number:016x}.manifest"));
    damaged.push((copy, one[manifest].1.clone()));
    assert_refused(&scratch, &damaged, "manifest");

    // Two segments, one in the place of the other.
    let mut damaged = one.clone();
    let segments: Vec<usize> =
        (0..one.len()).filter(|&i| one[i].0.extension().is_some_and(|e| e == "parquet")).collect();
    let (first, last) = (segments[0], segments[segments.len() - 1]);
    assert_ne!(one[first].1, one[last].1);
    damaged[first].1 = one[last].1.clone();
    damaged[last].1 = one[first].1.clone();
    assert_refused(&scratch, &damaged, "segments");
}

#[test]
fn a_file_that_looks_like_ours_and_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    let before = Specimen::closed().files;
    // Among the manifests it refuses to open: it may be the newest one, renamed.
    let mut strange = before.clone();
    strange.push((PathBuf::from("manifest/00000000000000ff.old"), b"mine".to_vec()));
    assert_refused(&scratch, &strange, "manifest");
    // Elsewhere a writer that was cut short left it.
    let mut strange = before.clone();
    let left = ["log/00000000000000ff.log", "segments/00000000000000ff.parquet"];
    let left = [&left[..], &["segments/00000000000000ff.deletions", "tmp/00000000000000ff.tmp"]];
    let left: Vec<_> = left.concat().into_iter().map(PathBuf::from).collect();
    strange.extend(left.iter().map(|name| (name.clone(), b"half".to_vec())));
    put(&scratch, &strange);
    let right = block_on(look(&scratch, false)).unwrap();
    assert!(files(&scratch).iter().all(|(name, _)| !left.contains(name)), "left-overs stay");
    put(&scratch, &before);
    assert_eq!(block_on(look(&scratch, false)).unwrap(), right);
}

/// A unique index asks the entries of segments: damaged ones are not believed.
#[test]
fn damaged_entries_let_no_duplicate_in() {
    let folder = tempfile::tempdir().unwrap();
    let made = Specimen::closed().files;
    put(folder.path(), &made);
    let inspection = block_on(async { small().open(folder.path()).await.unwrap().inspect().await });
    let parts = inspection.tables.into_iter().flat_map(|table| table.parts);
    let mut entries = parts.flat_map(|part| part.entries);
    let unique = entries.find(|entries| entries.name.as_deref() == Some("u_mail_key")).unwrap();
    let name = PathBuf::from(unique.file.unwrap());
    let (_, whole) = made.iter().find(|(other, _)| *other == name).unwrap();
    let mut flipped = whole.clone();
    flipped[10] ^= 1;
    let other = made.iter().find(|(other, _)| other.extension() == name.extension()).unwrap();
    let damages = [Some(flipped), Some(other.1.clone()), Some(Vec::new()), None];
    for (number, damage) in damages.into_iter().enumerate() {
        put(folder.path(), &made);
        match damage {
            Some(bytes) => fs::write(folder.path().join(&name), bytes).unwrap(),
            None => fs::remove_file(folder.path().join(&name)).unwrap(),
        }
        block_on(async {
            let database = small().open(folder.path()).await.unwrap();
            let insert = |address: &str| {
                let sql = format!("INSERT INTO u (address, size) VALUES ('{address}', 9)");
                let session = database.session();
                async move { session.sql(&sql).await?.collect().await }
            };
            let error = insert("b").await.unwrap_err().to_string();
            assert!(error.contains("u_mail_key"), "damage {number}: {error}");
            insert("new").await.unwrap();
        });
    }
}

#[test]
fn a_foreign_file_beside_ours_is_left_alone() {
    let right_files = Specimen::closed().files;
    block_on(async {
        let medium = Medium::disk();
        put(medium.folder(), &right_files);
        let right = look(medium.folder(), false).await.unwrap();
        let foreign = ["notes.txt", "segments/thesis.txt", "segments/ffffffff.parquet.bak"];
        for name in foreign {
            fs::write(medium.folder().join(name), "mine").unwrap();
        }
        let database = medium.open(Options::default()).await.unwrap();
        database.compact().await.unwrap();
        assert_eq!(everything(&database).await.unwrap(), right);
        database.close().await.unwrap();
        for name in foreign {
            assert_eq!(fs::read_to_string(medium.folder().join(name)).unwrap(), "mine", "{name}");
        }
    });
}
