use std::io::ErrorKind;

use super::*;

const LOG: &str = "log/01.log";
const BLOB: &str = "manifest/01.manifest";

/// Runs a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn bytes(value: u8, length: usize) -> Bytes {
    Bytes::from(vec![value; length])
}

/// A log with 700 synced bytes of 1 and 3,000 unsynced bytes of 2.
fn half_synced(disk: &FaultyDisk) -> Box<dyn LogFile> {
    now(async {
        let mut log = disk.store().logs.create(LOG).await.unwrap();
        log.append(bytes(1, 700)).await.unwrap();
        log.sync().await.unwrap();
        log.append(bytes(2, 3000)).await.unwrap();
        log
    })
}

fn log_of(disk: &FaultyDisk) -> Bytes {
    now(disk.store().logs.read(LOG)).unwrap()
}

#[test]
fn synced_bytes_survive_and_unsynced_ones_in_pieces() {
    let disk = FaultyDisk::new();
    half_synced(&disk);
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let image = log_of(&disk.durable_image(seed));
        assert!(image[..700].iter().all(|byte| *byte == 1));
        match image[700..].iter().filter(|byte| **byte == 2).count() {
            0 => lost += 1,
            3000 => kept += 1,
            _ => torn += 1,
        }
        for sector in image.chunks(SECTOR_BYTES).skip(2) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "sectors survive whole");
        }
        assert_eq!(image, log_of(&disk.durable_image(seed)), "the same seed, the same image");
    }
    assert!(lost > 20 && kept > 20 && torn > 20, "{lost} {kept} {torn}");
}

#[test]
fn everything_fails_after_the_crash() {
    let disk = FaultyDisk::new();
    let mut log = half_synced(&disk);
    assert_eq!(disk.calls(), 4);
    disk.crash_at(5, 0);
    assert!(!disk.has_crashed());
    assert!(now(log.sync()).is_err());
    assert!(disk.has_crashed());
    let store = disk.store();
    now(async {
        assert!(log.append(bytes(3, 1)).await.is_err());
        assert!(log.sync().await.is_err());
        assert!(store.logs.read(LOG).await.is_err());
        assert!(store.logs.list().await.is_err());
        assert!(store.logs.delete(LOG).await.is_err());
        assert!(store.blobs.put_if_absent(BLOB, bytes(1, 1)).await.is_err());
        assert!(store.blobs.list("manifest").await.is_err());
        assert!(store.blobs.create(BLOB).await.is_err());
        assert!(store.blobs.clean().await.is_err());
    });
    assert_eq!(disk.calls(), 14);
    assert!(!disk.durable_image(0).has_crashed());
}

#[test]
fn crash_within_an_append_writes_a_prefix() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let disk = FaultyDisk::new();
        disk.crash_at(5, seed);
        let mut log = half_synced(&disk);
        assert!(now(log.append(bytes(3, 1000))).is_err());
        let image = disk.durable_image(1);
        let written = disk.lock().logs[LOG].live.len();
        assert!((3700..=4700).contains(&written));
        lengths.insert(written);
        assert!(log_of(&image).len() <= written);
    }
    assert!(lengths.len() > 20);
}

#[test]
fn crash_within_a_sync_keeps_some_sectors_for_sure() {
    let disk = FaultyDisk::new();
    disk.crash_at(5, 3);
    let mut log = half_synced(&disk);
    assert!(now(log.sync()).is_err());
    let kept = disk.lock().logs[LOG].kept.clone();
    assert!(!kept.is_empty());
    for seed in 0..50 {
        let image = log_of(&disk.durable_image(seed));
        for piece in &kept {
            assert!(image[piece.clone()].iter().all(|byte| *byte == 2));
        }
    }
}

#[test]
fn unacknowledged_names_are_there_or_not() {
    let (mut here, mut gone) = (0, 0);
    for seed in 0..40 {
        let disk = FaultyDisk::new();
        disk.crash_at(1, seed);
        assert!(now(disk.store().blobs.put_if_absent(BLOB, bytes(1, 9))).is_err());
        match now(disk.durable_image(seed).store().blobs.read(BLOB)) {
            Ok(found) => {
                assert_eq!(found, bytes(1, 9), "whole");
                here += 1;
            }
            Err(_) => gone += 1,
        }
    }
    assert!(here > 3 && gone > 3, "{here} {gone}");
}

#[test]
fn acknowledged_names_stay_and_unfinished_ones_do_not() {
    let disk = FaultyDisk::new();
    let blobs = disk.store().blobs;
    now(async {
        blobs.put_if_absent(BLOB, bytes(1, 9)).await.unwrap();
        let again = blobs.put_if_absent(BLOB, bytes(2, 9)).await;
        assert!(matches!(again, Err(Error::AlreadyExists(_))));
        let mut finished = blobs.create("segments/01.parquet").await.unwrap();
        finished.write(bytes(3, 5)).await.unwrap();
        finished.write(bytes(4, 5)).await.unwrap();
        finished.finish().await.unwrap();
        let mut open = blobs.create("segments/02.parquet").await.unwrap();
        open.write(bytes(3, 5)).await.unwrap();
    });
    for seed in 0..20 {
        let image = disk.durable_image(seed).store().blobs;
        assert_eq!(now(image.read(BLOB)).unwrap(), bytes(1, 9));
        let segments = now(image.list("segments")).unwrap();
        assert_eq!(segments, [BlobInfo { name: "segments/01.parquet".into(), bytes: 10 }]);
    }
}

#[test]
fn deleted_names_may_come_back() {
    let disk = FaultyDisk::new();
    let store = disk.store();
    now(async {
        store.blobs.put_if_absent(BLOB, bytes(1, 9)).await.unwrap();
        store.blobs.delete(BLOB).await.unwrap();
        store.blobs.delete(BLOB).await.unwrap();
        store.logs.create(LOG).await.unwrap();
        store.logs.delete(LOG).await.unwrap();
        assert!(matches!(store.blobs.read(BLOB).await, Err(Error::NotFound(_))));
    });
    let back = |seed| now(disk.durable_image(seed).store().blobs.list("manifest")).unwrap().len();
    let logs = |seed| now(disk.durable_image(seed).store().logs.list()).unwrap().len();
    assert!((1..39).contains(&(0..40).map(back).sum::<usize>()));
    assert!((1..39).contains(&(0..40).map(logs).sum::<usize>()));
}

#[test]
fn faults_come_once_or_for_ever() {
    for lasting in [false, true] {
        let disk = FaultyDisk::new();
        disk.fail_call(5, lasting, Fault::NoEffect(ErrorKind::StorageFull));
        let mut log = half_synced(&disk);
        let error = now(log.append(bytes(3, 10))).unwrap_err();
        let Error::Io { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.kind(), ErrorKind::StorageFull);
        assert_eq!(now(log.append(bytes(3, 10))).is_err(), lasting);
    }
}

#[test]
fn short_write_leaves_a_prefix_and_the_disk_goes_on() {
    let disk = FaultyDisk::new();
    disk.fail_call(5, false, Fault::Partial(ErrorKind::StorageFull, 1));
    let mut log = half_synced(&disk);
    assert!(now(log.append(bytes(3, 1000))).is_err());
    let written = log_of(&disk).len();
    assert!((3701..4700).contains(&written), "{written}");
    now(log.append(bytes(4, 1))).unwrap();
    assert_eq!(log_of(&disk).len(), written + 1);
}

#[test]
fn lost_answer_leaves_the_effect() {
    let disk = FaultyDisk::new();
    disk.fail_call(1, false, Fault::FullEffect(ErrorKind::TimedOut));
    let blobs = disk.store().blobs;
    assert!(now(blobs.put_if_absent(BLOB, bytes(1, 1))).is_err());
    assert_eq!(now(blobs.read(BLOB)).unwrap(), bytes(1, 1));
}

#[test]
fn bytes_marked_clean_by_a_failed_sync_are_never_written() {
    let disk = FaultyDisk::new();
    disk.fail_call(5, false, Fault::MarksClean);
    let mut log = half_synced(&disk);
    assert!(now(log.sync()).is_err());
    now(log.append(bytes(3, 100))).unwrap();
    now(log.sync()).unwrap();
    assert_eq!(log_of(&disk)[700..3700], bytes(2, 3000), "the cache still shows them");
    let image = log_of(&disk.durable_image(7));
    assert_eq!(image[..700], bytes(1, 700));
    assert_eq!(image[700..3700], bytes(0, 3000));
    assert_eq!(image[3700..], bytes(3, 100));
}
