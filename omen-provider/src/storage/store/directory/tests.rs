#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::storage::store::{DirectoryLock, Store, SystemFiles};

/// A directory that somebody made with `mkdir -m`.
fn made_with(mode: u32, contents: &[&str]) -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("db");
    fs::create_dir(&path).unwrap();
    for name in contents {
        fs::write(path.join(name), "x").unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (parent, path)
}

fn mode_of(path: &Path) -> u32 {
    mode(&SystemFiles, path).unwrap()
}

#[test]
fn an_empty_directory_and_one_of_ours_become_private() {
    for (before, contents) in [(0o777, [].as_slice()), (0o755, &[]), (0o750, &[LOCK_FILE])] {
        let (_parent, path) = made_with(before, contents);
        DirectoryLock::acquire(&path).unwrap();
        assert_eq!(mode_of(&path), 0o700, "{before:o}");
    }
}

#[test]
fn a_directory_that_others_may_have_filled_is_refused() {
    for (before, contents) in [(0o777, "log"), (0o770, LOCK_FILE), (0o1777, "notes.txt")] {
        let (_parent, path) = made_with(before, &[contents]);
        let Err(error) = DirectoryLock::acquire(&path) else { panic!("{before:o}") };
        assert!(matches!(error, Error::InvalidInput(_)), "{error}");
        assert!(error.to_string().contains("others may write in it"), "{error}");
        assert_eq!(mode_of(&path), before, "left as it was");
    }
}

#[tokio::test]
async fn a_directory_with_other_things_keeps_its_readers_but_ours_stays_hidden() {
    let (_parent, path) = made_with(0o755, &["notes.txt"]);
    fs::create_dir(path.join("manifest")).unwrap();
    fs::set_permissions(path.join("manifest"), fs::Permissions::from_mode(0o775)).unwrap();
    let store = Store::local(&path);
    store.blobs.put_if_absent("manifest/01.manifest", Bytes::from("m")).await.unwrap();
    assert_eq!(mode_of(&path), 0o755);
    assert_eq!(mode_of(&path.join("manifest")), 0o700);
    assert_eq!(mode_of(&path.join("tmp")), 0o700);
}
