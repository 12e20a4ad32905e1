//! Names that users give never become names of files, and nobody but the owner reads any of them.

use std::fs;
use std::path::{Path, PathBuf};

use omen_provider::Options;

use crate::harness::{block_on, query, run};

/// Names that would lead elsewhere, or could not be files.
const NAMES: [&str; 9] =
    ["../../x", "/tmp/omen-x", "a/b/../..", ".", "..", "~/x", "nul\u{0}l", "x\ny", "CON:"];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

/// Whether a path is one that the format knows: a folder, the lock, the reserve, or a number.
fn is_known(path: &Path) -> bool {
    let (name, kind) = (path.file_stem().unwrap().to_str().unwrap(), path.extension());
    let is_number = name.len() == 16 && name.chars().all(|c| c.is_ascii_hexdigit());
    let kinds = ["log", "manifest", "parquet", "deletions", "entries", "pin"];
    let folders = ["db", "backup", "log", "manifest", "segments", "tmp", "spill", "pins"];
    match kind.map(|kind| kind.to_str().unwrap()) {
        None if path.is_dir() => folders.contains(&name),
        None => ["lock", "LOCK", "reserve"].contains(&name),
        Some(kind) => is_number && kinds.contains(&kind),
    }
}

#[test]
fn no_name_leads_out_of_the_database_and_all_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let long = "ü".repeat(400);
    let names: Vec<&str> = NAMES.into_iter().chain([long.as_str()]).collect();
    block_on(async {
        let database = Options::default().open(&directory).await.unwrap();
        for (number, name) in names.iter().enumerate() {
            let name = quoted(name);
            run(&database, &format!("CREATE TABLE {name} ({name} BIGINT PRIMARY KEY, v TEXT)"))
                .await;
            run(&database, &format!("INSERT INTO {name} VALUES (1, 'a'), (2, 'b')")).await;
            let index = quoted(&format!("{}-{number}", &name[1..name.len() - 1]));
            run(&database, &format!("CREATE INDEX {index} ON {name} (v)")).await;
            let view = quoted(&format!("../view {number}"));
            run(&database, &format!("CREATE VIEW {view} AS SELECT * FROM {name}")).await;
        }
        database.checkpoint().await.unwrap();
        for name in &names {
            run(&database, &format!("UPDATE {} SET v = 'c' WHERE v = 'a'", quoted(name))).await;
        }
        database.checkpoint().await.unwrap();
        database.backup(parent.path().join("backup")).await.unwrap();
        for name in &names {
            let rows = query(&database, &format!("SELECT * FROM {}", quoted(name))).await;
            assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
        }
    });
    let found = below(parent.path());
    assert!(found.iter().filter(|path| path.is_file()).count() > 40, "{found:?}");
    for path in found {
        assert!(is_known(&path), "{}: from a name?", path.display());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, expected, "{}: {mode:o}", path.display());
        }
    }
    assert!(!Path::new("/tmp/omen-x").exists());
}
