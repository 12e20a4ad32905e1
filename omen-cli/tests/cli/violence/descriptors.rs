//! The command may have so few files open that it cannot do what it is asked: it says so, and loses
//! nothing.

use crate::omen::{Outcome, Place};

/// How the system says it.
const TOO_MANY: &str = "Too many open files";

/// Runs the command with at most so many open files.
fn limited(place: &Place, files: u32, arguments: &[&str]) -> Outcome {
    let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    let binary = crate::omen::binary();
    let arguments = [&["-c", script.as_str(), binary.as_str()], arguments].concat();
    Outcome::of(place.program("sh", &arguments).output().unwrap())
}

#[test]
fn too_few_open_files_lose_nothing() {
    let place = Place::with_rows();
    for table in 0..12 {
        place.sql(&format!(
            "CREATE TABLE t{table} AS SELECT value AS id, 'x' AS v FROM generate_series(1, 9)"
        ));
        place.sql(&format!("CREATE INDEX by_v{table} ON t{table} (v)"));
        place.run(&["compact", "db"]).success();
    }
    let (mut refused, mut done) = (0, 0);
    for files in 3..40 {
        let insert = format!("INSERT INTO t VALUES ({}, 'more')", 10_000 + files);
        let deletion = format!("DELETE FROM t WHERE id = {files}");
        let sql = format!("{insert}; {deletion}; SELECT count(*) FROM t1, t2, t3, t4, t5, t6");
        let outcome = limited(&place, files, &["db", "-c", &sql]);
        if outcome.code != Some(0) {
            refused += 1;
            let said = &outcome.stderr;
            assert!(said.contains(TOO_MANY) || files < 10, "{files} files: {outcome:?}");
            assert!(!said.contains("panicked"), "{files} files: {outcome:?}");
        } else {
            done += 1;
        }
        let count = format!("SELECT count(*) FROM t WHERE id = {}", 10_000 + files);
        let inserted = place.sql(&count).ends_with("\n1\n");
        assert_eq!(inserted, outcome.stderr.contains("1 row inserted"), "{files}: {outcome:?}");
        let left = place.sql(&format!("SELECT count(*) FROM t WHERE id = {files}"));
        let deleted = outcome.stderr.contains("row deleted");
        assert_eq!(left.ends_with("\n0\n"), deleted, "{files}: {outcome:?}");
        println!("{files} files: code {:?}, {}", outcome.code, outcome.stderr.trim());
    }
    assert!(refused > 3 && done > 3, "{refused} refused, {done} done");
    place.run(&["verify", "db"]).success();
}
