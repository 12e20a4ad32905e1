//! `omen backup` and `omen restore`.

use crate::omen::Place;

fn count(place: &Place, database: &str) -> String {
    let sql = "SELECT count(*) FROM t";
    let outcome = place.run(&[database, "--readonly", "--format", "csv", "-c", sql]).success();
    outcome.stdout.lines().last().unwrap().to_string()
}

#[test]
fn backup_copies_what_is_new_and_restore_makes_a_database_of_it() {
    let place = Place::with_rows();
    let outcome = place.run(&["backup", "db", "copy"]).success();
    assert!(outcome.stderr.contains("copied 1 file,"), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    // Nobody has closed the database: the row is in the log alone.
    let insert = "INSERT INTO t VALUES (9000, 'later')";
    let child = place.command(&["db", "-c", insert, "-c", "SELECT 1"]).output().unwrap();
    assert!(child.status.success());
    let outcome = place.run(&["backup", "db", "copy"]).success();
    assert!(outcome.stderr.contains("skipped 1 file,"), "{outcome:?}");
    assert_eq!(count(&place, "copy"), "5001");
    place.run(&["verify", "copy"]).success();

    let outcome = place.run(&["restore", "copy", "restored"]).success();
    assert!(outcome.stderr.contains("a database of its own"), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    place.run(&["restored", "-c", "INSERT INTO t VALUES (9001, 'more')"]).success();
    assert_eq!(count(&place, "restored"), "5002");
    place.run(&["verify", "restored"]).success();
    place.run(&["restore", "copy", "restored"]).failure(1, "not empty");
    place.run(&["backup", "restored", "copy"]).failure(1, "another database");
    place.run(&["backup", "db", "db/backup"]).failure(1, "name another one");
    place.run(&["backup", "missing", "copy"]).failure(1, "missing");
}

#[test]
fn damaged_backup_is_not_restored() {
    let place = Place::with_rows();
    place.run(&["backup", "db", "copy"]).success();
    let entries = std::fs::read_dir(place.path().join("copy/segments")).unwrap();
    let segment = entries.map(|entry| entry.unwrap().path()).next().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    place.run(&["restore", "copy", "restored"]).failure(1, name);
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    place.run(&["restore", "copy", "restored"]).success();
    assert_eq!(count(&place, "restored"), "5000");
}
