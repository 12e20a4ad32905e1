//! Files that were cut, flipped, swapped, emptied, deleted or replaced by somebody else's: opening
//! and reading give the right answer or a clear error, never a wrong answer and never a panic; and
//! the files are left as they were, so that bringing the right bytes back brings the rows back.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use omen_provider::{Database, Error, Key, Options, Result};

use crate::harness::media::{Medium, small};
use crate::harness::{block_on, run};

/// What became of a damaged database.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Every row is there and right.
    Right,
    /// An error, naming a file.
    Refused(String),
    /// Other rows.
    Wrong(String),
}

/// Makes a database with two tables, segments, marks and a log, closed or only dropped.
async fn make(folder: &Path, close: bool) {
    let database = small().open(folder).await.unwrap();
    run(&database, "CREATE TABLE n (id BIGINT PRIMARY KEY, v BIGINT, s TEXT)").await;
    run(&database, "CREATE TABLE t (k TEXT PRIMARY KEY)").await;
    let series = "generate_series(0, 699) AS g(value)";
    run(
        &database,
        &format!("INSERT INTO n SELECT value, value * 7, 'row ' || value FROM {series}"),
    )
    .await;
    run(&database, "INSERT INTO t VALUES ('a'), ('b'), ('c')").await;
    database.checkpoint().await.unwrap();
    // Marks on the first segment.
    let some = "generate_series(0, 9) AS g(value)";
    run(&database, &format!("INSERT OR REPLACE INTO n SELECT value * 50, 1, 'new' FROM {some}"))
        .await;
    if close {
        database.close().await.unwrap();
        return;
    }
    database.checkpoint().await.unwrap();
    run(&database, "INSERT INTO n VALUES (2000, 1, 'only in the log')").await;
    // Zeros are what a power cut leaves too.
    let zeros = "generate_series(3000, 3299) AS g(value)";
    run(&database, &format!("INSERT INTO n SELECT value, 0, 'zero' FROM {zeros}")).await;
    run(&database, "INSERT INTO t VALUES ('d')").await;
    run(&database, "INSERT INTO t VALUES ('e')").await;
}

/// All rows of a database, printed.
async fn everything(database: &Database) -> Result<String> {
    let mut printed = String::new();
    for table in ["n", "t"] {
        let rows: Vec<_> = database.table(table)?.range::<Key>(..).try_collect().await?;
        printed.push_str(&pretty_format_batches(&rows)?.to_string());
    }
    Ok(printed)
}

async fn look(folder: &Path, read_only: bool) -> Result<String> {
    read(folder, read_only).await?.1
}

/// All rows as they are read, and what verification says of them.
async fn read(folder: &Path, read_only: bool) -> Result<(String, Result<String>)> {
    let database = Options { read_only, ..small() }.open(folder).await?;
    let rows = everything(&database).await?;
    let by_key = database.table("n")?.get(150).await?;
    assert!(by_key.is_some(), "key 150 is gone");
    let verified = match database.verify().await?.problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(rows.clone()),
    };
    Ok((rows, verified))
}

/// Files below a folder, by relative path, but for the reserve, which nobody reads.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("reserve") => {}
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_path_buf();
                    found.push((name, fs::read(&path).unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

/// The same with logs cut off behind what was written: in space that was not used nothing can be
/// damaged.
fn without_space(mut files: Vec<(PathBuf, Vec<u8>)>) -> Vec<(PathBuf, Vec<u8>)> {
    for (_, bytes) in files.iter_mut().filter(|(name, _)| name.starts_with("log")) {
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    }
    files
}

fn put(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    let _ = fs::remove_dir_all(folder);
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Opens and reads a copy of `files` in which one file has other bytes (or none).
fn outcome(
    scratch: &Path,
    files_before: &[(PathBuf, Vec<u8>)],
    (index, bytes): (usize, Option<Vec<u8>>),
    right: &[String],
) -> Outcome {
    let mut damaged = files_before.to_vec();
    match bytes {
        Some(bytes) => damaged[index].1 = bytes,
        None => drop(damaged.remove(index)),
    }
    put(scratch, &damaged);
    // Read-only: what lies there is looked at and not mended.
    let looked = catch_unwind(AssertUnwindSafe(|| block_on(read(scratch, true))));
    damaged.sort();
    assert!(files(scratch) == damaged, "a read-only opener wrote");
    match looked {
        // What nobody noticed while reading must be right, whatever verification finds later.
        Ok(Ok((rows, _))) if !right.contains(&rows) => Outcome::Wrong(rows),
        Ok(Ok((_, Ok(_)))) => Outcome::Right,
        Ok(Err(error) | Ok((_, Err(error)))) => {
            let typed = matches!(
                error,
                Error::Corruption { .. } | Error::NotFound(_) | Error::InvalidInput(_)
            );
            match typed {
                true => Outcome::Refused(error.to_string()),
                false => Outcome::Wrong(format!("not a clear error: {error:?}")),
            }
        }
        Err(_) => Outcome::Wrong("a panic".to_string()),
    }
}

/// Damaged versions of a file, described.
fn mutants(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut mutants = Vec::new();
    let length = bytes.len();
    let step = (length / 60).max(1);
    for at in (0..length).step_by(step).chain(length.saturating_sub(12)..length) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        mutants.push((format!("bit flipped at {at} of {length}"), flipped));
    }
    for cut in [0, 1, length / 3, length / 2, length.saturating_sub(9), length.saturating_sub(1)] {
        mutants.push((format!("cut to {cut} of {length}"), bytes[..cut.min(length)].to_vec()));
    }
    if length > 600 {
        let mut zeroed = bytes.to_vec();
        zeroed[length / 2..length / 2 + 512.min(length / 2)].fill(0);
        mutants.push(("a sector of zeros".to_string(), zeroed));
    }
    mutants.push(("a foreign file".to_string(), b"PAR1 but not really PAR1".to_vec()));
    mutants.push(("longer".to_string(), [bytes, &[0xa5; 100]].concat()));
    mutants
}

#[test]
fn no_damage_to_a_closed_database_gives_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (made, scratch) = (folder.path().join("made"), folder.path().join("scratch"));
    block_on(make(&made, true));
    let right = vec![block_on(look(&made, false)).unwrap()];
    let before = files(&made);
    let (mut wrong, mut unseen, mut tried) = (Vec::new(), Vec::new(), 0);
    for (index, (name, bytes)) in before.iter().enumerate() {
        let deleted = std::iter::once(("deleted".to_string(), None));
        let changed = mutants(bytes).into_iter().map(|(what, bytes)| (what, Some(bytes)));
        for (what, bytes) in deleted.chain(changed) {
            tried += 1;
            let story = format!("{}: {what}", name.display());
            match outcome(&scratch, &before, (index, bytes), &right) {
                Outcome::Wrong(how) => wrong.push(format!("{story}: {how}")),
                // Nobody reads what lies behind the last deletion vector; and LOCK means nothing.
                Outcome::Right if !name.starts_with("LOCK") && what != "longer" => {
                    unseen.push(story);
                }
                _ => {}
            }
        }
    }
    assert!(tried > 200, "only {tried} mutants");
    assert!(
        wrong.is_empty(),
        "{} of {tried}: {}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n")
    );
    // Nothing is outside a checksum.
    assert!(unseen.is_empty(), "not noticed: {}", unseen.join("\n"));
    put(&scratch, &before);
    assert_eq!(block_on(look(&scratch, false)).unwrap(), right[0]);
}

#[test]
fn no_damage_to_an_unclosed_database_gives_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (made, scratch) = (folder.path().join("made"), folder.path().join("scratch"));
    block_on(make(&made, false));
    let before = without_space(files(&made));
    put(&scratch, &before);
    let whole = block_on(look(&scratch, true)).unwrap();
    // A log cut at its end cannot be told from one that was never written further: the rows of
    // the last statements, whole ones, may be missing. Nothing else may.
    let without_last = |lines: &[&str]| {
        let gone = |line: &&str| lines.iter().any(|last| line.contains(last));
        whole.lines().filter(|line| !gone(line)).collect::<Vec<_>>().join("\n")
    };
    let log_lines = ["| e ", "| d ", "| zero ", "| 2000 "];
    let shapes: Vec<String> = (0..=4).map(|n| without_last(&log_lines[..n])).collect();
    let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let shapes: Vec<_> = shapes.iter().map(|s| words(&s.replace('-', ""))).collect();
    let mut wrong = Vec::new();
    for (index, (name, bytes)) in before.iter().enumerate() {
        let is_log = name.extension().is_some_and(|e| e == "log");
        let deleted = std::iter::once(("deleted".to_string(), None));
        let changed = mutants(bytes).into_iter().map(|(what, bytes)| (what, Some(bytes)));
        for (what, bytes) in deleted.chain(changed) {
            let found = outcome(&scratch, &before, (index, bytes), std::slice::from_ref(&whole));
            let could_be_torn = is_log && what != "deleted" && !what.starts_with("bit flipped");
            match found {
                Outcome::Wrong(rows) => {
                    let shape = words(&rows.replace('-', ""));
                    if !(could_be_torn && shapes.contains(&shape)) {
                        wrong.push(format!("{}: {what}: {rows}", name.display()));
                    }
                }
                Outcome::Right if is_log && !could_be_torn => {
                    wrong.push(format!("{}: {what}: not noticed", name.display()));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong[..wrong.len().min(4)].join("\n"));
    put(&scratch, &before);
    assert_eq!(block_on(look(&scratch, false)).unwrap(), whole);
}

#[test]
fn a_refused_writer_leaves_the_files_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (made, scratch) = (folder.path().join("made"), folder.path().join("scratch"));
    block_on(make(&made, true));
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
fn only(files: &[(PathBuf, Vec<u8>)], folder: &str) -> usize {
    let inside = files.iter().enumerate().filter(|(_, (name, _))| name.starts_with(folder));
    let indices: Vec<_> = inside.map(|(index, _)| index).collect();
    assert_eq!(indices.len(), 1, "files in {folder}");
    indices[0]
}

/// Opening for writing is refused for the file in `folder`.
fn assert_refused(scratch: &Path, damaged: &[(PathBuf, Vec<u8>)], folder: &str) {
    put(scratch, damaged);
    match block_on(small().open(scratch)).map(drop) {
        Err(Error::Corruption { path, .. }) => assert!(path.starts_with(folder), "{path}"),
        other => panic!("{folder}: {other:?}"),
    }
}

#[test]
fn a_right_file_in_the_wrong_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["one", "two"] {
        block_on(make(&path(name), false));
    }
    let (one, two) = (files(&path("one")), files(&path("two")));
    let log = only(&one, "log");
    assert_eq!(one[log].0, two[log].0, "both logs have one name");
    let scratch = path("scratch");

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
    let (made, scratch) = (folder.path().join("made"), folder.path().join("scratch"));
    block_on(make(&made, true));
    let before = files(&made);
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

#[test]
fn a_foreign_file_beside_ours_is_left_alone() {
    block_on(async {
        let medium = Medium::disk();
        make(medium.folder(), true).await;
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
