//! `--readonly` beside a process that writes.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::omen::Place;

#[test]
fn a_reading_shell_follows_the_writer() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT PRIMARY KEY)");
    let mut reader = place.command(&["db", "--readonly"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = reader.stdin.take().unwrap();
    let mut output = BufReader::new(reader.stdout.take().unwrap());
    let mut ask = |sql: &str| {
        writeln!(input, "{sql}").unwrap();
        let mut lines = String::new();
        output.read_line(&mut lines).unwrap();
        output.read_line(&mut lines).unwrap();
        lines
    };
    assert_eq!(ask("SELECT count(*) AS n FROM t;"), "n\n0\n");
    for number in 1..6 {
        // Each is a writer of its own, which begins a new log.
        place.sql(&format!("INSERT INTO t VALUES ({number})"));
        assert_eq!(ask("SELECT count(*) AS n FROM t;"), format!("n\n{number}\n"));
    }
    place.sql("CREATE TABLE u (id BIGINT PRIMARY KEY)");
    assert_eq!(ask("SELECT count(*) AS n FROM u;"), "n\n0\n");
    drop(input);
    assert_eq!(reader.wait().unwrap().code(), Some(0));
}
