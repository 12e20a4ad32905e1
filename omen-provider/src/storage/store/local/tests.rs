use std::fs;

use super::*;
use crate::storage::store::{Store, SystemFiles};

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_look() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("a/b");
    let mode_of = |path: &Path| SystemFiles.metadata(path).unwrap().mode.unwrap();
    let store = Store::local(&root);
    store.blobs.put_if_absent("segments/01.parquet", Bytes::from("x")).await.unwrap();
    store.logs.create("log/01.log").await.unwrap();
    for folder in ["", "log", "segments", "tmp"] {
        assert_eq!(mode_of(&root.join(folder)), 0o700, "{folder}");
    }
    for file in ["log/01.log", "segments/01.parquet"] {
        assert_eq!(mode_of(&root.join(file)), 0o600, "{file}");
    }
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn left_overs_are_cleaned_and_do_not_stop_writers() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("tmp")).unwrap();
    let left = root.path().join("tmp/0000000000000000.tmp");
    fs::write(&left, "half").unwrap();
    let store = Store::local(root.path());
    store.blobs.put_if_absent("manifest/01.manifest", Bytes::from("m")).await.unwrap();
    assert!(left.exists());
    store.blobs.clean().await.unwrap();
    assert!(!left.exists());
}

#[tokio::test]
async fn foreign_files_are_not_listed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::local(root.path());
    store.blobs.put_if_absent("segments/01.parquet", Bytes::from("x")).await.unwrap();
    fs::write(root.path().join("segments/Read me.txt"), "hello").unwrap();
    let listed = store.blobs.list("segments").await.unwrap();
    assert_eq!(listed, [BlobInfo { name: "segments/01.parquet".into(), bytes: 1 }]);
}

#[tokio::test]
async fn an_older_handle_never_names_the_file_of_a_newer_one() {
    let root = tempfile::tempdir().unwrap();
    let (old, new) = (Store::local(root.path()), Store::local(root.path()));
    let mut unfinished = old.blobs.create("segments/01.parquet").await.unwrap();
    unfinished.write(Bytes::from("old")).await.unwrap();
    // A new writer takes the directory, cleans it, and begins a file of its own.
    new.blobs.clean().await.unwrap();
    let mut half = new.blobs.create("segments/02.parquet").await.unwrap();
    half.write(Bytes::from("ne")).await.unwrap();
    assert!(matches!(unfinished.finish().await, Err(Error::NotFound(_))));
    half.write(Bytes::from("w")).await.unwrap();
    half.finish().await.unwrap();
    let listed = new.blobs.list("segments").await.unwrap();
    assert_eq!(listed, [BlobInfo { name: "segments/02.parquet".into(), bytes: 3 }]);
}

#[test]
fn a_listing_never_misses_a_name_that_takes_the_place_of_another() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().to_path_buf();
    let name = |number: u64| folder.join(format!("{number:016x}.manifest"));
    fs::write(name(0), "").unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let is_over = || ended.load(std::sync::atomic::Ordering::SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                fs::write(name(number), "").unwrap();
                fs::remove_file(name(number - 1)).unwrap();
                if is_over() {
                    return;
                }
            }
        });
        let empty = (0..20_000).filter(|_| SystemFiles.read_dir(&folder).unwrap().is_empty());
        let empty = empty.count();
        ended.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(empty, 0);
    });
}

#[tokio::test]
async fn who_deletes_waits_for_who_has_pinned() {
    let root = tempfile::tempdir().unwrap();
    let name = "manifest/01.manifest";
    let (writer, reader) = (Store::local(root.path()), Store::local(root.path()));
    assert!(reader.blobs.pin(name).await.unwrap().is_none());
    writer.blobs.put_if_absent(name, Bytes::from("m")).await.unwrap();
    let pins = [reader.blobs.pin(name).await.unwrap(), reader.blobs.pin(name).await.unwrap()];
    assert!(pins.iter().all(Option::is_some));
    assert!(writer.blobs.unpinned(name).await.unwrap().is_none());
    drop(pins);
    let right = writer.blobs.unpinned(name).await.unwrap();
    assert!(right.is_some());
    assert!(reader.blobs.pin(name).await.unwrap().is_none());
    drop(right);
    assert!(reader.blobs.pin(name).await.unwrap().is_some());
    writer.blobs.delete(name).await.unwrap();
    assert!(writer.blobs.unpinned(name).await.unwrap().is_some());
}

#[tokio::test]
async fn a_reader_of_a_log_stops_where_nothing_is_written_yet() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::local(root.path());
    let mut log = store.logs.create("log/01.log").await.unwrap();
    log.append(Bytes::from(vec![7; 100_000])).await.unwrap();
    // As it is with room behind the end.
    log.append(Bytes::from(vec![0; 1 << 20])).await.unwrap();
    let read = store.logs.read_durable("log/01.log", 99_990).await.unwrap();
    assert!(read.starts_with(&[7; 10]) && read.len() < 300_000);
    assert!(read[10..].iter().all(|byte| *byte == 0));
    let none = store.logs.read_durable("log/01.log", 1 << 30).await.unwrap();
    assert!(none.is_empty());
}
