//! `omen inspect` and `omen verify`.

use std::path::{Path, PathBuf};

use crate::omen::Place;

#[test]
fn inspect_shows_tables_and_parts() {
    let place = Place::with_rows();
    let outcome = place.run(&["inspect", "db"]).success();
    for text in ["log position", "primary key", "5000", "4999", "index bytes", "to search"] {
        assert!(outcome.stdout.contains(text), "{text} is missing in {}", outcome.stdout);
    }
    let outcome = place.run(&["inspect", "db", "t", "--format", "jsonl"]).success();
    let rows: u64 = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|part| part["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(rows, 5000);
    place.run(&["inspect", "db", "tt"]).failure(1, "did you mean \"t\"?");
    place.run(&["inspect", "missing"]).failure(1, "missing");
}

#[test]
fn verify_finds_a_flipped_bit_in_any_large_file() {
    let place = Place::with_rows();
    let outcome = place.run(&["verify", "db"]).success();
    assert!(outcome.stdout.ends_with("no problems\n"), "{outcome:?}");
    let mut files = Vec::new();
    collect(&place.path().join("db"), &mut files);
    let large = files.into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&large).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&large, &bytes).unwrap();
    let name = large.file_name().unwrap().to_str().unwrap().to_string();
    place.run(&["verify", "db"]).failure(1, &name);
}

/// Of a database that does not open too, and of all its files.
#[test]
fn verify_names_every_damaged_file() {
    let place = Place::with_rows();
    let mut files = Vec::new();
    collect(&place.path().join("db"), &mut files);
    let damaged: Vec<_> = (files.iter())
        .filter(|path| ["segments", "log"].iter().any(|f| path.parent().unwrap().ends_with(f)))
        .collect();
    assert!(damaged.len() > 1, "{files:?}");
    for path in &damaged {
        let mut bytes = std::fs::read(path).unwrap();
        // In the last record of a log, in what a segment needs to be opened.
        let at = bytes.len() - 10;
        bytes[at] ^= 4;
        std::fs::write(path, &bytes).unwrap();
    }
    for path in damaged {
        let name = path.file_name().unwrap().to_str().unwrap();
        place.run(&["verify", "db"]).failure(1, name);
    }
}

#[test]
fn repair_cuts_a_damaged_log_only_when_told_to() {
    let place = Place::with_rows();
    let outcome = place.run(&["repair", "db"]).success();
    assert!(outcome.stderr.contains("nothing to repair"), "{outcome:?}");
    place.run(&["db", "-c", "INSERT INTO t VALUES (90001, 'x')"]).success();
    let mut files = Vec::new();
    collect(&place.path().join("db"), &mut files);
    let log = files.iter().find(|path| path.parent().unwrap().ends_with("log")).unwrap();
    let mut bytes = std::fs::read(log).unwrap();
    let end = bytes.len() - 8;
    bytes[end] ^= 1;
    std::fs::write(log, &bytes).unwrap();
    let count = &["db", "-c", "SELECT count(*) FROM t"];
    place.run(count).failure(1, "corruption in log/");
    let outcome = place.run(&["repair", "db"]).failure(1, "nothing was changed");
    assert!(outcome.stderr.contains("at offset ") && outcome.stderr.contains("--cut-log"));
    assert_eq!(std::fs::read(log).unwrap(), bytes);
    place.run(&["repair", "db", "--cut-log"]).success();
    let name = log.file_name().unwrap();
    assert_eq!(std::fs::read(place.path().join("db/lost").join(name)).unwrap(), bytes);
    place.run(count).success();
    place.run(&["repair", "missing"]).failure(1, "missing");
    place.run(&["repair", "missing", "--cut-log"]).failure(1, "missing");
    assert!(!place.path().join("missing").exists());
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() {
    let place = Place::with_rows();
    let mut files = Vec::new();
    collect(&place.path().join("db"), &mut files);
    place.file("more.csv", "id,name\n9000,x\n");
    let requests: [&[&str]; 5] = [
        &["db", "-c", "SELECT count(*) FROM t"],
        &["db", "--readonly", "-c", "SELECT count(*) FROM t"],
        &["import", "db", "t", "more.csv"],
        &["inspect", "db"],
        &["verify", "db"],
    ];
    for folder in ["manifest", "segments", "log"] {
        let inside = |path: &&PathBuf| path.parent().is_some_and(|p| p.ends_with(folder));
        let path = files.iter().find(inside).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let mut flipped = bytes.clone();
        // Not far from the end: in a segment, what is read when it is opened.
        let at = bytes.len() - 10;
        flipped[at] ^= 4;
        for damaged in [flipped, bytes[..bytes.len() / 2].to_vec(), b"a foreign file".to_vec()] {
            std::fs::write(path, &damaged).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            for request in requests {
                let outcome = place.run(request).failure(1, name);
                assert!(outcome.stderr.contains("at offset "));
                // A verification says what it has checked.
                assert!(outcome.stdout.is_empty() || request[0] == "verify", "{outcome:?}");
            }
            assert_eq!(std::fs::read(path).unwrap(), damaged);
        }
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(place.sql("SELECT count(*) AS n FROM t"), "n\n5000\n");
}

/// All files but the reserve, of which nothing is read.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if !path.ends_with("reserve") {
            files.push(path);
        }
    }
}
