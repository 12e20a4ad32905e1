use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use omen_provider::store::SystemFiles;

use super::*;

const BLOB: &str = "segments/01.parquet";

/// Runs a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn path(name: &str) -> PathBuf {
    Path::new("/").join(name)
}

/// All of a file, or None if it has no name.
fn contents(files: &dyn Files, path: &Path) -> Option<Vec<u8>> {
    let file = files.open(path).ok()?;
    let mut bytes = vec![0; file.bytes().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    Some(bytes)
}

/// A file with a synced name, 700 synced bytes of 1 and 3,000 unsynced bytes of 2.
fn half_synced(disk: &FaultyFiles) -> Box<dyn FileHandle> {
    let file = disk.create_new(&path("a")).unwrap();
    file.write_at(&[1; 700], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(&path("")).unwrap();
    file.write_at(&[2; 3000], 700).unwrap();
    file
}

#[test]
fn unsynced_bytes_survive_in_sectors_and_the_length_apart() {
    let disk = FaultyFiles::new();
    half_synced(&disk);
    let (mut lost, mut kept, mut torn, mut lengths) = (0, 0, 0, BTreeSet::new());
    let mut reordered = 0;
    for seed in 0..300 {
        let left = contents(&disk.after_power_cut(seed), &path("a")).unwrap();
        assert!(left[..700].iter().all(|byte| *byte == 1));
        for sector in left.chunks(512).skip(2) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is all or nothing");
        }
        match left[700..].iter().filter(|byte| **byte == 2).count() {
            0 => lost += 1,
            3000 => kept += 1,
            _ => torn += 1,
        }
        lengths.insert(left.len());
        let in_order = left.chunks(512).skip(2).is_sorted_by_key(|sector| sector[0] == 0);
        reordered += usize::from(!in_order);
        let again = contents(&disk.after_power_cut(seed), &path("a")).unwrap();
        assert!(left == again, "the same seed, the same disk");
    }
    assert!(lost > 30 && kept > 30 && torn > 30, "{lost} {kept} {torn}");
    assert!(reordered > 20, "later sectors without earlier ones: {reordered}");
    assert!(lengths.len() > 20 && lengths.first() == Some(&700) && lengths.contains(&3700));
}

#[test]
fn synced_bytes_survive_each_cut_of_many() {
    let mut disk = FaultyFiles::new();
    half_synced(&disk).sync_data().unwrap();
    for seed in 0..20 {
        disk = disk.after_power_cut(seed);
        assert_eq!(contents(&disk, &path("a")).unwrap().len(), 3700);
    }
}

#[test]
fn a_name_is_certain_only_after_the_sync_of_its_directory() {
    let disk = FaultyFiles::new();
    disk.make_dir(&path("d")).unwrap();
    disk.sync_dir(&path("")).unwrap();
    let file = disk.create_new(&path("d/a")).unwrap();
    file.write_at(b"bytes", 0).unwrap();
    file.sync_all().unwrap();
    let there = |disk: &FaultyFiles, name: &str| {
        let cut = |seed| contents(&disk.after_power_cut(seed), &path(name)).is_some();
        (0..100).filter(|seed| cut(*seed)).count()
    };
    assert!((1..100).contains(&there(&disk, "d/a")), "the file's own sync is not enough");
    disk.sync_dir(&path("d")).unwrap();
    assert_eq!(there(&disk, "d/a"), 100);
    disk.unlink(&path("d/a")).unwrap();
    assert!((1..100).contains(&there(&disk, "d/a")), "it may come back");
    disk.sync_dir(&path("d")).unwrap();
    assert_eq!(there(&disk, "d/a"), 0);
}

#[test]
fn a_synced_name_may_lead_to_an_empty_file() {
    let disk = FaultyFiles::new();
    disk.create_new(&path("a")).unwrap().write_at(b"bytes", 0).unwrap();
    disk.sync_dir(&path("")).unwrap();
    let left = (0..100).map(|seed| contents(&disk.after_power_cut(seed), &path("a")).unwrap());
    let left: BTreeSet<Vec<u8>> = left.collect();
    assert!(left.contains(b"".as_slice()) && left.contains(b"bytes".as_slice()), "{left:?}");
    assert!(left.contains([0; 5].as_slice()), "the length without the bytes");
}

#[test]
fn the_halves_of_a_rename_survive_together() {
    let disk = FaultyFiles::new();
    for folder in ["d", "e"] {
        disk.make_dir(&path(folder)).unwrap();
    }
    disk.create_new(&path("d/a")).unwrap();
    for folder in ["", "d", "e"] {
        disk.sync_dir(&path(folder)).unwrap();
    }
    disk.rename(&path("d/a"), &path("e/b")).unwrap();
    let names = |disk: &FaultyFiles| {
        (contents(disk, &path("d/a")).is_some(), contents(disk, &path("e/b")).is_some())
    };
    let left: BTreeSet<_> = (0..100).map(|seed| names(&disk.after_power_cut(seed))).collect();
    assert_eq!(left, BTreeSet::from([(true, false), (false, true)]));
    disk.sync_dir(&path("e")).unwrap();
    assert!((0..100).all(|seed| names(&disk.after_power_cut(seed)) == (false, true)));
}

#[test]
fn snapshots_are_of_the_moments_before_the_changes() {
    let disk = FaultyFiles::new();
    disk.record();
    half_synced(&disk).sync_all().unwrap();
    let snapshots = disk.snapshots();
    assert_eq!(snapshots.len(), 7, "6 changes, and the end");
    let length = |snapshot: &Snapshot| {
        let contents = contents(&snapshot.after_power_cut(1), &path("a"));
        contents.map_or(0, |bytes| bytes.len())
    };
    assert_eq!(length(&snapshots[4]), 700);
    assert_eq!(length(&snapshots[6]), 3700);
}

#[test]
fn calls_fail_once_or_for_ever() {
    for lasting in [false, true] {
        let disk = FaultyFiles::new();
        disk.fail_call(5, lasting, Failure::NoEffect(ENOSPC));
        let file = disk.create_new(&path("a")).unwrap();
        file.write_at(b"one", 0).unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.bytes().unwrap(), 3);
        assert_eq!(file.write_at(b"two", 3).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(file.write_at(b"two", 3).is_err(), lasting);
        assert_eq!(disk.calls(), 6);
    }
}

#[test]
fn a_short_write_is_gone_on_with_by_the_log() {
    let disk = FaultyFiles::new();
    let mut log = now(disk.store().logs.create("log/01.log")).unwrap();
    disk.fail_call(disk.calls() + 1, false, Failure::Short(7));
    now(log.append(Bytes::from(vec![5; 1000]))).unwrap();
    let found = now(disk.store().logs.read("log/01.log")).unwrap();
    let (written, rest) = found.split_at(1000);
    assert_eq!(written, [5; 1000]);
    assert!(rest.iter().all(|byte| *byte == 0), "to the end of the block");
}

#[test]
fn bytes_marked_clean_are_never_written() {
    let disk = FaultyFiles::new();
    let file = half_synced(&disk);
    disk.fail_call(disk.calls() + 1, false, Failure::MarksClean);
    assert!(file.sync_data().is_err());
    file.write_at(&[3; 1000], 3700).unwrap();
    file.sync_data().unwrap();
    assert_eq!(contents(&disk, &path("a")).unwrap()[700..3700], [2; 3000], "the cache shows them");
    let left = contents(&disk.after_power_cut(1), &path("a")).unwrap();
    assert_eq!(left[1024..3584], [0; 2560]);
    assert_eq!(left[3700..], [3; 1000]);
}

#[test]
fn readers_of_blobs_give_way_when_descriptors_run_out() {
    let disk = FaultyFiles::new();
    let store = disk.store();
    now(async {
        for number in 0..9 {
            let name = format!("segments/0{number}.parquet");
            store.blobs.put_if_absent(&name, Bytes::from("x")).await.unwrap();
        }
        disk.limit_descriptors(Some(4));
        for number in 0..9 {
            store.blobs.read(&format!("segments/0{number}.parquet")).await.unwrap();
        }
        // Writers get theirs too.
        let mut log = store.logs.create("log/01.log").await.unwrap();
        store.blobs.read(BLOB).await.unwrap();
        store.blobs.put_if_absent("manifest/01.manifest", Bytes::from("m")).await.unwrap();
        log.append(Bytes::from("y")).await.unwrap();
        // With nothing to give back it is an error.
        disk.limit_descriptors(Some(1));
        let result = store.blobs.read("segments/08.parquet").await;
        assert!(matches!(result, Err(omen_provider::Error::Io { .. })), "{result:?}");
    });
}

/// One random call, on either file system; what it answered.
fn call(files: &dyn Files, root: &Path, open: &mut Vec<Box<dyn FileHandle>>, seed: u64) -> String {
    let mut seeded = Seeded::new(seed);
    let mut name = || match seeded.below(8) {
        0 => "f/x".to_string(),
        1 | 2 => format!("{}", seeded.below(3)),
        _ => format!("d{}/{}", seeded.below(2), seeded.below(4)),
    };
    let (from, to) = (root.join(name()), root.join(name()));
    let folder = root.join(format!("d{}", seeded.below(3)));
    let answer = |result: io::Result<String>| result.unwrap_or_else(|e| e.kind().to_string());
    match seeded.below(12) {
        0 | 1 => match files.create_new(&from) {
            Ok(file) => {
                open.push(file);
                "created".to_string()
            }
            Err(error) => error.kind().to_string(),
        },
        2 => answer(files.hard_link(&from, &to).map(|()| "linked".to_string())),
        3 => answer(files.rename(&from, &to).map(|()| "renamed".to_string())),
        4 => answer(files.unlink(&from).map(|()| "gone".to_string())),
        5 => answer(files.make_dir(&folder).map(|()| "made".to_string())),
        6 => answer(files.sync_dir(&folder).map(|()| "synced".to_string())),
        7 => answer(files.metadata(&from).map(|info| info.is_dir.to_string())),
        8 => answer(files.read_dir(&folder).map(|mut entries| {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            format!("{entries:?}")
        })),
        9 | 10 if !open.is_empty() => {
            // The youngest files are most likely to have a name still.
            let file = &open[open.len() - 1 - seeded.below(open.len().min(6) as u64) as usize];
            let bytes = vec![seed as u8; seeded.below(1500) as usize];
            let offset = seeded.below(file.bytes().unwrap() + 1000);
            if seeded.below(5) == 0 {
                let cut = offset.min(file.bytes().unwrap());
                return answer(file.set_len(cut).map(|()| format!("cut at {cut}")));
            }
            let written = file.write_at(&bytes, offset);
            answer(written.map(|count| format!("{count} of {:?}", file.bytes())))
        }
        _ => match files.open(&from) {
            Ok(file) => {
                let mut buffer = [0; 700];
                let offset = seeded.below(1000);
                let count = file.read_at(&mut buffer, offset).unwrap();
                format!("{:?}", &buffer[..count])
            }
            Err(error) => error.kind().to_string(),
        },
    }
}

#[test]
fn what_a_program_sees_is_what_the_kernel_shows() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyFiles::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    disk.create_new(&path("f")).unwrap();
    SystemFiles.create_new(&directory.path().join("f")).unwrap();
    let mut answers = BTreeSet::new();
    for seed in 0..3000 {
        let shown = call(&disk, &path(""), &mut ours, seed);
        let expected = call(&SystemFiles, directory.path(), &mut theirs, seed);
        assert_eq!(shown, expected, "call {seed}");
        answers.insert(expected);
    }
    let seen = ["linked", "renamed", "gone", "entity not found", "entity already exists"];
    assert!(seen.iter().all(|answer| answers.contains(*answer)), "{answers:?}");
    let read = answers.iter().filter(|answer| answer.starts_with('[') && answer.len() > 99);
    assert!(read.count() > 20, "bytes are read");
}
