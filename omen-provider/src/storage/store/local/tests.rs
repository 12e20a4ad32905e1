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
