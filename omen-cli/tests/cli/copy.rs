//! COPY through pipes, counts on standard error, and what a reader may.

use crate::omen::Place;

#[test]
fn rows_go_through_pipes() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)");
    let copy = "COPY t FROM STDIN (FORMAT csv)";
    let outcome = place.run_with_input(&["db", "-c", copy], "name,id\nx,1\n\"\",2\n").success();
    assert!(outcome.stderr.contains("2 rows copied"), "{outcome:?}");
    let outcome = place.run(&["db", "-c", "COPY t TO STDOUT (FORMAT csv)"]).success();
    assert_eq!(outcome.stdout, "id,name\n1,x\n2,\"\"\n");
    assert!(outcome.stderr.contains("2 rows copied"), "{outcome:?}");
    // A key twice: nothing of it.
    let outcome = place.run_with_input(&["db", "-c", copy], "name,id\nz,9\nx,1\n");
    outcome.failure(1, "duplicate key");
    assert_eq!(place.sql("SELECT count(*) AS n FROM t"), "n\n2\n");
    let outcome = place.run_with_input(&["db", "-c", copy], "id\n9\n");
    outcome.failure(1, "standard input, line 1: the header lacks the column \"name\"");
    let outcome = place.run_with_input(&["db"], "COPY t FROM STDIN (FORMAT csv);\nid\n9\n");
    outcome.failure(1, "standard input brings the statements already");
}

#[test]
fn a_reader_writes_files_and_no_rows() {
    let place = Place::with_rows();
    let read_only = |sql| place.run(&["db", "--readonly", "-c", sql]);
    read_only("COPY t TO 'rows.parquet'").success();
    read_only("COPY t FROM 'rows.parquet'").failure(1, "read-only");
    read_only("EXPORT DATABASE 'all'").success();
    read_only("IMPORT DATABASE 'all'").failure(1, "");
    let outcome = place.run(&["other", "-c", "IMPORT DATABASE 'all'"]).success();
    assert_eq!(outcome.stdout, "");
    let rows = "SELECT count(*) AS n, max(name) AS name FROM t";
    let copied = place.run(&["other", "--format", "csv", "-c", rows]).success().stdout;
    assert_eq!(copied, place.sql(rows));
}
