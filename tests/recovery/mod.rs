//! What other databases failed at when they were opened after an accident.
//!
//! `tails.rs` has ends of logs that power cuts leave; here are files that were cut or damaged, and
//! what follows a recovery.

mod tails;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use omen_provider::store::Store;
use omen_provider::teeth::{Tooth, plant};
use omen_provider::{Error, Options};

use crate::crash::files::Recorded;
use crate::crash::script::Statement::{self, Checkpoint, Create, Delete, Insert, Upsert};
use crate::crash::script::{State, read, states};
use crate::crash::scripts::{Script, Turn};
use crate::crash::{block_on, compare, open, options};
use crate::faulty_disk::Seeded;
use crate::faulty_disk::files::FaultyFiles;
use crate::faulty_disk::files::editing::FilesByPath;
use crate::teeth::damage::{Answer, Sound, used_bytes};

/// Runs statements on a disk, one by one, and leaves the database as it is.
fn run(disk: &FaultyFiles, options: Options, script: &[Statement]) {
    block_on(async {
        let database = options.open_store(disk.store()).await.unwrap();
        for (number, statement) in script.iter().enumerate() {
            statement.run(&database, number).await.unwrap();
        }
    });
}

/// The newest log among files.
fn newest_log(files: &FilesByPath) -> PathBuf {
    let logs = files.keys().filter(|path| path.extension().is_some_and(|e| e == "log"));
    logs.max().expect("a log").clone()
}

/// Changes files as `seed` says, in one to three places.
fn maul(files: &mut FilesByPath, seed: u64) {
    let mut seeded = Seeded::new(seed);
    let names: Vec<PathBuf> = files.keys().cloned().collect();
    for _ in 0..1 + seeded.below(3) {
        let name = &names[seeded.below(names.len() as u64) as usize];
        let other = files[&names[seeded.below(names.len() as u64) as usize]].clone();
        let bytes = files.get_mut(name).expect("a file");
        let length = bytes.len() as u64 + 1;
        let (start, end) = (seeded.below(length) as usize, seeded.below(length) as usize);
        let range = start.min(end)..start.max(end);
        match seeded.below(7) {
            0 => bytes.truncate(start),
            1 => bytes[range].fill(0),
            2 => bytes[range].iter_mut().for_each(|byte| *byte = seeded.next() as u8),
            3 => drop(bytes.drain(range)),
            4 => *bytes = other,
            _ if start < bytes.len() => bytes[start] ^= 1 << seeded.below(8),
            _ => bytes.extend_from_slice(&other),
        }
    }
}

/// With checksums that nobody compares, damage gets as far as to whatever decodes the bytes.
#[test]
fn recovery_never_panics() {
    let sound = Sound::new();
    let (mut opened, mut panics) = (0, Vec::new());
    for seed in 0..800 {
        let mut files = sound.files.clone();
        maul(&mut files, seed);
        let _planted = plant((seed % 2 == 1).then_some(Tooth::ChecksumSkipped));
        let store = FaultyFiles::holding(&files).store();
        match catch_unwind(AssertUnwindSafe(|| block_on(open(store)).map(drop))) {
            Ok(outcome) => opened += u64::from(outcome.is_ok()),
            Err(_) => panics.push(seed),
        }
    }
    println!("{opened} of 800 opened");
    assert!(panics.is_empty(), "seeds {panics:?}");
    assert!((20..780).contains(&opened), "{opened} opened: the damage is of one kind");
}

/// What is read past a checksum that nobody compares was guarded by that checksum alone.
#[test]
fn checksums_are_read() {
    let sound = Sound::new();
    for kind in [".log", ".parquet", ".deletions", ".manifest"] {
        let (path, bytes) = sound.largest(kind);
        let places: Vec<usize> = (0..bytes).step_by((bytes / 60).max(1)).collect();
        let refused = |at: &usize| matches!(sound.flipped(path, *at), Answer::Refused(_));
        for at in &places {
            let answer = sound.flipped(path, *at);
            assert!(!matches!(answer, Answer::Wrong(_)), "{kind}, byte {at}: {answer:?}");
        }
        let found = places.iter().filter(|at| refused(at)).count();
        let planted = plant(Tooth::ChecksumSkipped);
        let found_without = places.iter().filter(|at| refused(at)).count();
        drop(planted);
        println!("{kind}: {found} of {} refused, {found_without} unchecked", places.len());
        assert!(found_without < found, "{kind}: {found} refused, and {found_without} unchecked");
    }
}

/// A recovery that stops at a torn statement has seen higher numbers than it has replayed. A flush
/// right after it must not claim them: what comes next gets them.
#[test]
fn flush_in_replay_records_last_replayed_lsn() {
    let mut script = vec![Create("a")];
    script.extend((0..12).map(|i| Insert("a", vec![i, 100 + i])));
    let disk = FaultyFiles::new();
    run(&disk, Options { memtable_bytes_max: 8 << 20, ..options() }, &script);
    let mut files = disk.all_files();
    let log = files.get_mut(&newest_log(&files)).unwrap();
    // The commit of the last statement is gone, its rows are there.
    log.truncate(used_bytes(log) - 20);
    let end = log.len() as u64;
    let expected = &states(&script)[script.len() - 1];

    let disk = FaultyFiles::holding(&files);
    let mut after = expected.clone();
    block_on(async {
        let tiny = Options { memtable_bytes_max: 1 << 10, ..options() };
        let database = tiny.open_store(disk.store()).await.unwrap();
        assert_eq!(read(&database).await.unwrap(), *expected);
        let dropped = database.dropped_tail().expect("it is told");
        assert!(dropped.bytes > 0 && dropped.offset + dropped.bytes == end, "{dropped:?}");
        let replayed = database.inspect().await.lsn;
        database.checkpoint().await.unwrap();
        let inspection = database.inspect().await;
        assert_eq!(inspection.log.flushed_lsn, replayed);
        assert!(inspection.tables[0].parts.iter().all(|part| part.file.is_some()), "in segments");
        for (number, statement) in [Insert("a", vec![50]), Upsert("a", vec![3])].iter().enumerate()
        {
            statement.run(&database, 90 + number).await.unwrap();
            statement.apply(&mut after, 90 + number);
        }
        assert!(database.inspect().await.lsn > replayed);
    });
    block_on(async {
        let again = compare(disk.after_power_cut(1).store(), &[&after]).await.unwrap();
        assert_eq!(again.dropped_tail(), None, "of a whole log nothing is dropped");
    });

    // The same, with the power cut at every change of it.
    let script = [script, vec![Checkpoint, Insert("a", vec![50]), Delete("a", vec![3])]].concat();
    let turns = [(13, Turn::Drop)].into();
    let recorded = Recorded::new(Script::new("flush after replay".to_string(), script, turns));
    for point in 0..recorded.points() {
        recorded.cut(point, point as u64).unwrap();
        assert_eq!(recorded.cut_in_recovery(point, 7, usize::MAX).losses, [""; 0]);
    }
}

/// Puts files below a directory of the local disk.
fn put(folder: &Path, files: &FilesByPath) {
    for (path, bytes) in files {
        let path = folder.join(path.strip_prefix("/db").unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A log that was cut anywhere opens by itself or can be repaired, and is a beginning of what was.
#[test]
fn truncated_log_is_repairable() {
    let script: Vec<Statement> =
        [vec![Create("a")], (0..6).map(|i| Insert("a", (i * 10..i * 10 + 9).collect())).collect()]
            .concat();
    let states: Vec<State> = states(&script);
    let disk = FaultyFiles::new();
    run(&disk, options(), &script);
    let files = disk.all_files();
    let log = newest_log(&files);
    let (mut by_itself, mut repaired) = (0, 0);
    for length in (0..used_bytes(&files[&log])).step_by(37) {
        let mut files = files.clone();
        files.get_mut(&log).unwrap().truncate(length);
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &files);
        let found = block_on(async {
            let database = match options().open(folder.path()).await {
                Ok(database) => {
                    by_itself += 1;
                    database
                }
                Err(Error::Corruption { .. }) => {
                    repaired += 1;
                    let cut = options().cut_damaged_log(folder.path()).await.unwrap();
                    assert!(cut.is_some(), "cut to {length}: nothing to repair?");
                    options().open(folder.path()).await.unwrap()
                }
                Err(error) => panic!("cut to {length}: {error:?}"),
            };
            read(&database).await.unwrap()
        });
        assert!(states.contains(&found), "cut to {length}: {found:?}");
    }
    println!("{by_itself} opened, {repaired} repaired");
    assert!(by_itself > 10 && repaired > 0, "{by_itself} opened, {repaired} repaired");
}

/// Offsets beyond 32 bits, in a file with a hole. (Layouts of such files are tested where they are
/// made.)
#[test]
fn over_4_gib() {
    use std::os::unix::fs::FileExt;

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("segments")).unwrap();
    let name = "segments/00000000000000ff.parquet";
    let file = std::fs::File::create(folder.path().join(name)).unwrap();
    let (length, far) = (5 << 30, (4 << 30) + 123);
    file.set_len(length).unwrap();
    file.write_all_at(b"far", far).unwrap();
    file.write_all_at(b"near", 123).unwrap();
    let blobs = Store::local(folder.path()).blobs;
    let ranges = [far..far + 3, 123..127, length - 2..length];
    let read = block_on(blobs.read_ranges(name, &ranges)).unwrap();
    assert_eq!(read, [&b"far"[..], b"near", &[0, 0]]);
    assert_eq!(block_on(blobs.list("segments")).unwrap()[0].bytes, length);
    let beyond = block_on(blobs.read_ranges(name, std::slice::from_ref(&(length - 1..length + 1))));
    assert!(matches!(beyond, Err(Error::Corruption { .. })), "{beyond:?}");
}
