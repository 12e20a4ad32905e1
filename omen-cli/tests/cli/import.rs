//! `omen import`: types, keys, bad rows, existing tables.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::omen::Place;

const MIXED: &str = "\
id,zip,price,day,at,ok,note,none
1,00123,1.5,2013-07-04,2013-07-04T10:00:00Z,true,\"two
lines\",NA
2,04567,2,2013-07-05,2013-07-04T12:00:00+02:00,FALSE,\"\",NA
3,NA,NA,NA,NA,NA,,NA
";

#[test]
fn csv_types_come_from_the_whole_file() {
    let place = Place::new();
    place.file("mixed.csv", MIXED);
    let outcome =
        place.run(&["import", "db", "mixed", "mixed.csv", "--key", "id", "--null", "NA"]).success();
    assert_eq!(outcome.stdout, "");
    assert!(
        outcome.stderr.contains("created table \"mixed\" with primary key (id)"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("imported 3 rows into \"mixed\" in "), "{outcome:?}");
    let types: String = place
        .sql("\\d mixed")
        .lines()
        .skip(1)
        .take_while(|line| *line != "name,definition")
        .map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    let expected = "id BIGINT\nzip TEXT\nprice DOUBLE\nday DATE\n\
                    at TIMESTAMP(6) WITH TIME ZONE (UTC)\nok BOOLEAN\nnote TEXT\nnone TEXT\n";
    assert_eq!(types, expected);
    assert_eq!(
        place.sql("SELECT * FROM mixed ORDER BY id"),
        "id,zip,price,day,at,ok,note,none\n\
         1,00123,1.5,2013-07-04,2013-07-04T10:00:00Z,true,\"two\nlines\",\n\
         2,04567,2.0,2013-07-05,2013-07-04T10:00:00Z,false,\"\",\n3,,,,,,,\n"
    );
}

#[test]
fn printed_csv_can_be_imported_again() {
    let place = Place::new();
    place.file("mixed.csv", MIXED);
    place.run(&["import", "db", "a", "mixed.csv", "--key", "id", "--null", "NA"]).success();
    let printed = place.sql("SELECT * FROM a ORDER BY id");
    place.file("printed.csv", &printed);
    place.run(&["import", "db", "b", "printed.csv", "--key", "id"]).success();
    assert_eq!(place.sql("SELECT * FROM b ORDER BY id"), printed);
}

#[test]
fn bad_row_is_named_and_leaves_the_database_as_it_was() {
    let place = Place::new();
    let good: String = (1..=20_000).map(|id| format!("{id},x\n")).collect();
    for (name, bad, message) in [
        ("fields", "20001\n", "bad.csv: line 20002: expected 2 fields"),
        ("quote", "20001,\"x\n", "bad.csv: line 20002: a quote opens here"),
        ("key", ",x\n", "bad.csv: line 20002: column \"id\" is NULL, but it is part of the key"),
        ("duplicate", "7,y\n", "7"),
    ] {
        place.file("bad.csv", format!("id,name\n{good}{bad}"));
        place.run(&["import", "db", name, "bad.csv", "--key", "id"]).failure(1, message);
        assert_eq!(place.sql("\\dt"), "table,primary key,rows\n", "a failed import left a table");
    }
    place.file("good.csv", format!("id,name\n{good}"));
    place.run(&["import", "db", "t", "good.csv", "--key", "id"]).success();
    place.file("bad.csv", "id,name\n30000,a\nx,b\n");
    let message = "bad.csv: line 3: column \"id\": expected BIGINT, found \"x\"";
    place.run(&["import", "db", "t", "bad.csv"]).failure(1, message);
    for fields in ["30001", "30001,b,c"] {
        place.file("bad.csv", format!("id,name\n30000,a\n{fields}\n30002,d\n"));
        let message = "bad.csv: line 3: expected 2 fields";
        place.run(&["import", "db", "t", "bad.csv"]).failure(1, message);
    }
    place.file("bad.csv", "id,name\n30000,a\n5,b\n");
    place.run(&["import", "db", "t", "bad.csv"]).failure(1, "5");
    assert_eq!(place.sql("SELECT count(*) AS n, max(id) AS m FROM t"), "n,m\n20000,20000\n");
}

#[test]
fn existing_table_takes_columns_by_name() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id INT PRIMARY KEY, price DECIMAL(9, 2), name TEXT)");
    place.file("more.csv", "Name,ID\na,1\n\"\",2\n");
    let outcome = place.run(&["import", "db", "t", "more.csv"]).success();
    assert!(outcome.stderr.starts_with("imported 2 rows into \"t\""), "{outcome:?}");
    assert_eq!(place.sql("SELECT * FROM t ORDER BY id"), "id,price,name\n1,,a\n2,,\"\"\n");
    place.file("other.csv", "id,colour\n3,red\n");
    place.run(&["import", "db", "t", "other.csv"]).failure(1, "\"colour\" is not in the table");
    place.file("keyless.csv", "name\nx\n");
    place.run(&["import", "db", "t", "keyless.csv"]).failure(1, "column \"id\" of the table");
    let changed = place.run(&["import", "db", "t", "more.csv", "--key", "name"]);
    changed.failure(1, "exists with the primary key (id)");
}

#[test]
fn json_lines_keep_order_and_nesting() {
    let place = Place::new();
    place.file(
        "events.jsonl",
        "{\"id\":2,\"at\":\"2013-07-04T10:00:00Z\",\"tags\":[\"a\",\"b\"]}\n\
         {\"id\":1,\"big\":1.5,\"tags\":null}\n",
    );
    place.run(&["import", "db", "events", "events.jsonl", "--key", "id"]).success();
    let printed = place.run(&["db", "--format", "jsonl", "-c", "SELECT * FROM events ORDER BY id"]);
    assert_eq!(
        printed.success().stdout,
        "{\"id\":1,\"at\":null,\"tags\":null,\"big\":1.5}\n\
         {\"id\":2,\"at\":\"2013-07-04T10:00:00Z\",\"tags\":[\"a\",\"b\"],\"big\":null}\n"
    );
    place.file("bad.jsonl", "{\"id\":3}\n{\"id\":4,}\n");
    place.run(&["import", "db", "events", "bad.jsonl"]).failure(1, "bad.jsonl: line 2: ");
    assert_eq!(place.sql("SELECT count(*) AS n FROM events"), "n\n2\n");
}

#[test]
fn parquet_keeps_its_types() {
    let place = Place::new();
    let batch = RecordBatch::try_from_iter([
        ("code", Arc::new(StringArray::from(vec!["b", "a"])) as _),
        ("x", Arc::new(Int32Array::from(vec![Some(5), None])) as _),
    ])
    .unwrap();
    let file = File::create(place.path().join("codes.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    place.run(&["import", "db", "codes", "codes.parquet", "--key", "code"]).success();
    assert_eq!(place.sql("SELECT * FROM codes ORDER BY code"), "code,x\na,\nb,5\n");
    assert!(place.sql("\\d codes").contains("x,INT,true,"));
    place.run(&["import", "db", "n", "codes.parquet", "--key", "x"]).failure(1, "row 2: ");
}

#[test]
fn hidden_row_id_is_said() {
    let place = Place::new();
    place.file("t.csv", "a\n1\n1\n");
    let outcome = place.run(&["import", "db", "t", "t.csv"]).success();
    assert!(outcome.stderr.contains("without a primary key"), "{outcome:?}");
    assert_eq!(place.sql("SELECT * FROM t"), "a\n1\n1\n");
}

#[test]
fn delimiters_can_be_chosen() {
    let place = Place::new();
    place.file("t.tsv", "a\tb\n1\tx,y\n");
    place.run(&["import", "db", "t", "t.tsv", "--key", "a"]).success();
    place.file("u.csv", "a;b\n1;\"x;y\"\n");
    place.run(&["import", "db", "u", "u.csv", "--key", "a", "--delimiter", ";"]).success();
    assert_eq!(
        place.sql("SELECT b FROM t UNION ALL SELECT b FROM u ORDER BY b").lines().count(),
        3
    );
}

#[test]
fn wrong_requests_say_what_was_expected() {
    let place = Place::new();
    place.file("t.csv", "origin,b\n1,2\n");
    place.file("t.xyz", "a\n1\n");
    place.run(&["import", "db", "t", "t.csv", "--key", "orgin"]).failure(1, "did you mean origin?");
    place.run(&["import", "db", "t", "missing.csv"]).failure(1, "cannot read missing.csv");
    place.run(&["import", "db", "t", "-"]).failure(2, "save standard input to a file first");
    place.run(&["import", "db", "t", "t.xyz"]).failure(2, "--format csv, jsonl or parquet");
    place.run(&["import", "db", "t", "."]).failure(1, "not a regular file");
    place.run(&["import", "db"]).failure(2, "Usage");
}
