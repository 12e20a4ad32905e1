//! A crash in the middle of a statement: what it left in the log is dropped, and that is said once.

use std::path::PathBuf;

use super::running::Running;
use crate::omen::Place;

#[test]
fn an_incomplete_last_record_is_told() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT PRIMARY KEY)");
    let mut running = Running::start(place.command(&["db"]));
    running.send((0..3).map(|id| format!("INSERT INTO t VALUES ({id});\n")));
    running.wait_for(3).unwrap();
    running.kill();
    let logs = std::fs::read_dir(place.path().join("db/log")).unwrap();
    let logs: Vec<PathBuf> = logs.map(|entry| entry.unwrap().path()).collect();
    let log = logs.iter().max().unwrap();
    let mut bytes = std::fs::read(log).unwrap();
    // The commit of the last statement is gone.
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() - 19);
    std::fs::write(log, &bytes).unwrap();

    let count = ["db", "--format", "csv", "-c", "SELECT count(*) AS n FROM t"];
    let outcome = place.run(&count).success();
    let name = log.file_name().unwrap().to_str().unwrap();
    let said = format!("the last record of log/{name} was incomplete: ");
    assert!(outcome.stderr.starts_with(&said), "{outcome:?}");
    assert_eq!(outcome.stdout, "n\n2\n");
    let again = place.run(&count).success();
    assert!(!again.stderr.contains("incomplete"), "{again:?}");
}
