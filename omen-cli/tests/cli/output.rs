//! Formats of rows, and what goes to which stream.

use std::io::{BufRead, BufReader, Read};

use crate::omen::Place;

const ROWS: &str = "SELECT * FROM (VALUES (1, 'a,b', 1.5), (2, '', NULL), (30, NULL, 0.25)) \
                    AS t(id, name, x) ORDER BY id";

fn printed(format: &str) -> String {
    let place = Place::new();
    let outcome = place.run(&["db", "--format", format, "-c", ROWS]).success();
    assert_eq!(outcome.stderr, "", "rows alone need no words");
    outcome.stdout
}

#[test]
fn every_format_prints_its_golden_text() {
    let table = "\
+----+------+------+
| id | name |    x |
+----+------+------+
|  1 | a,b  |  1.5 |
|  2 |      | NULL |
| 30 | NULL | 0.25 |
+----+------+------+
";
    let boxed = "\
┌────┬──────┬──────┐
│ id │ name │    x │
├────┼──────┼──────┤
│  1 │ a,b  │  1.5 │
│  2 │      │ NULL │
│ 30 │ NULL │ 0.25 │
└────┴──────┴──────┘
";
    let golden = [
        ("table", table),
        ("box", boxed),
        ("csv", "id,name,x\n1,\"a,b\",1.5\n2,\"\",\n30,,0.25\n"),
        ("tsv", "id\tname\tx\n1\ta,b\t1.5\n2\t\t\\N\n30\t\\N\t0.25\n"),
        (
            "json",
            "[{\"id\":1,\"name\":\"a,b\",\"x\":1.5},{\"id\":2,\"name\":\"\",\"x\":null},\
             {\"id\":30,\"name\":null,\"x\":0.25}]\n",
        ),
        (
            "jsonl",
            "{\"id\":1,\"name\":\"a,b\",\"x\":1.5}\n{\"id\":2,\"name\":\"\",\"x\":null}\n\
             {\"id\":30,\"name\":null,\"x\":0.25}\n",
        ),
        (
            "markdown",
            "| id | name | x |\n| ---: | --- | ---: |\n| 1 | a,b | 1.5 |\n| 2 |  | NULL |\n\
             | 30 | NULL | 0.25 |\n",
        ),
        (
            "line",
            "  id = 1\nname = a,b\n   x = 1.5\n\n  id = 2\nname = \n   x = NULL\n\n  id = 30\n\
             name = NULL\n   x = 0.25\n",
        ),
    ];
    for (format, expected) in golden {
        assert_eq!(printed(format), expected, "--format {format}");
    }
}

#[test]
fn piped_rows_are_csv_unless_asked_otherwise() {
    let place = Place::new();
    assert_eq!(place.run(&["db", "-c", "SELECT 1 AS a"]).success().stdout, "a\n1\n");
}

#[test]
fn statements_without_rows_print_nothing_to_standard_output() {
    let place = Place::new();
    let create = "CREATE TABLE t (id BIGINT PRIMARY KEY, x TEXT)";
    let outcome = place.run(&["db", "-c", create]).success();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    let insert = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')";
    let outcome = place.run(&["db", "-c", insert]).success();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", "3 rows inserted\n"));
}

#[test]
fn what_was_done_to_how_many_rows_goes_to_standard_error() {
    let place = Place::new();
    place.run(&["db", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY, x TEXT)"]).success();
    for (sql, rows, said) in [
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "", "2 rows inserted\n"),
        ("INSERT INTO t VALUES (2, 'c') ON CONFLICT DO NOTHING", "", "0 rows inserted\n"),
        (
            "INSERT INTO t VALUES (2, 'c'), (3, 'd') ON CONFLICT (id) DO UPDATE SET x = excluded.x",
            "",
            "2 rows inserted or updated\n",
        ),
        ("INSERT OR REPLACE INTO t VALUES (3, 'e')", "", "1 row inserted or replaced\n"),
        ("UPDATE t SET x = 'f' WHERE id < 3", "", "2 rows updated\n"),
        ("UPDATE t SET x = o.x FROM t AS o WHERE o.id = t.id + 2", "", "1 row updated\n"),
        (
            "WITH o AS (SELECT 3 AS id) DELETE FROM t USING o WHERE t.id = o.id",
            "",
            "1 row deleted\n",
        ),
        ("DELETE FROM t WHERE id = 2 RETURNING *", "id,x\n2,f\n", ""),
        ("TRUNCATE TABLE t", "", "1 row deleted\n"),
    ] {
        let outcome = place.run(&["db", "-c", sql]).success();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (rows, said), "{sql}");
    }
}

#[test]
fn timing_goes_to_standard_error() {
    let outcome = Place::new().run(&["db", "--timing", "-c", "SELECT 1 AS a"]).success();
    assert_eq!(outcome.stdout, "a\n1\n");
    assert!(outcome.stderr.ends_with("s\n"), "{outcome:?}");
}

#[test]
fn long_results_are_whole_when_piped() {
    let place = Place::new();
    let sql = "SELECT value FROM generate_series(1, 20000) ORDER BY value";
    for (format, other_lines) in [("table", 4), ("box", 4), ("csv", 1), ("jsonl", 0)] {
        let outcome = place.run(&["db", "--format", format, "-c", sql]).success();
        assert_eq!(outcome.stdout.lines().count(), 20_000 + other_lines, "{format}");
    }
}

#[test]
fn closed_pipe_ends_quietly() {
    let place = Place::new();
    let sql = "SELECT value, repeat('x', 100) FROM generate_series(1, 1000000)";
    for format in ["csv", "table", "jsonl"] {
        let mut child = place.command(&["db", "--format", format, "-c", sql]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut String::new()).unwrap();
        drop(lines);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{format}");
    }
}
