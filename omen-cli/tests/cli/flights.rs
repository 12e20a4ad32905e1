//! The main job on real data: all flights of a year imported from CSV by the command, then asked
//! the same questions as DataFusion asks the CSV files.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::functions::core::nullif;
use datafusion::logical_expr::cast;
use datafusion::prelude::{CsvReadOptions, SessionContext, ident, lit};
use omen_provider::Database;

use crate::flights_csv::{self, TABLES};
use crate::omen::Place;
use crate::same_rows::assert_same_rows;

/// Questions with one answer: every ORDER BY is total, averages of floats are rounded.
const QUERIES: &[(&str, &str)] = &[
    (
        "lookup by the whole key",
        "SELECT * FROM flights WHERE time_hour = '2013-01-01T10:00:00Z' AND carrier = 'UA' \
         AND flight = 1545",
    ),
    (
        "lookup of a key that is not there",
        "SELECT count(*) FROM flights WHERE time_hour = '2013-01-01T10:30:00Z' \
         AND carrier = 'UA' AND flight = 1545",
    ),
    (
        "prefix of one column",
        "SELECT * FROM flights WHERE time_hour = '2013-07-04T12:00:00Z' ORDER BY carrier, flight",
    ),
    (
        "prefix of two columns",
        "SELECT flight, tailnum, dest, dep_delay FROM flights \
         WHERE carrier = 'DL' AND time_hour = '2013-12-24T13:00:00Z' ORDER BY flight",
    ),
    (
        "prefix, then a range",
        "SELECT carrier, flight, dest FROM flights WHERE time_hour = '2013-03-08T20:00:00Z' \
         AND carrier BETWEEN 'B6' AND 'EV' ORDER BY carrier, flight",
    ),
    (
        "range of the first column",
        "SELECT time_hour, carrier, flight, arr_delay FROM flights \
         WHERE time_hour >= '2013-02-08T00:00:00Z' AND time_hour < '2013-02-10T00:00:00Z' \
         ORDER BY time_hour, carrier, flight",
    ),
    (
        "range of the first column and a filter on another",
        "SELECT time_hour, flight, dep_delay FROM flights \
         WHERE time_hour BETWEEN '2013-06-01T00:00:00Z' AND '2013-06-30T23:59:59Z' \
         AND carrier = 'HA' ORDER BY time_hour, flight",
    ),
    (
        "several keys",
        "SELECT * FROM planes WHERE tailnum IN ('N14228', 'N24211', 'N619AA', 'NOSUCH', 'N3ALAA') \
         ORDER BY tailnum",
    ),
    (
        "ranges joined by OR",
        "SELECT * FROM weather WHERE (origin = 'JFK' AND time_hour < '2013-01-02T00:00:00Z') \
         OR (origin = 'LGA' AND time_hour >= '2013-12-30T12:00:00Z') ORDER BY origin, time_hour",
    ),
    ("key prefix of text", "SELECT * FROM airports WHERE faa >= 'JF' AND faa < 'K' ORDER BY faa"),
    (
        "values that are missing",
        "SELECT count(*), count(dep_time), count(arr_delay), count(tailnum), min(dep_delay), \
         max(dep_delay), sum(distance), count(DISTINCT tailnum) FROM flights",
    ),
    (
        "aggregate by carrier",
        "SELECT carrier, count(*) AS n, avg(arr_delay) AS late, max(arr_delay) AS latest \
         FROM flights GROUP BY carrier ORDER BY carrier",
    ),
    (
        "aggregate with HAVING",
        "SELECT month, origin, count(*) FILTER (WHERE dep_time IS NULL) AS cancelled \
         FROM flights GROUP BY month, origin HAVING count(*) > 9000 ORDER BY month, origin",
    ),
    (
        "join with the names of the carriers",
        "SELECT a.name, count(*) AS n FROM flights f JOIN airlines a ON f.carrier = a.carrier \
         GROUP BY a.name ORDER BY n DESC, a.name",
    ),
    (
        "join on the key of the weather",
        "SELECT w.precip > 0 AS rain, count(*) AS n, avg(f.dep_delay) AS late FROM flights f \
         JOIN weather w ON f.origin = w.origin AND f.time_hour = w.time_hour \
         GROUP BY rain ORDER BY rain",
    ),
    (
        "join with what is not there",
        "SELECT f.carrier, count(*) AS n FROM flights f \
         LEFT JOIN planes p ON f.tailnum = p.tailnum WHERE p.tailnum IS NULL \
         GROUP BY f.carrier ORDER BY f.carrier",
    ),
    (
        "join of four tables, one of them by a range",
        "SELECT f.time_hour, l.name, f.flight, p.model, d.name AS airport, f.arr_delay \
         FROM flights f JOIN airlines l USING (carrier) JOIN planes p ON p.tailnum = f.tailnum \
         JOIN airports d ON d.faa = f.dest \
         WHERE f.time_hour >= '2013-11-27T12:00:00Z' AND f.time_hour < '2013-11-27T16:00:00Z' \
         ORDER BY f.time_hour, l.name, f.flight",
    ),
    (
        "window over each carrier",
        "SELECT * FROM (SELECT carrier, flight, time_hour, arr_delay, row_number() OVER \
         (PARTITION BY carrier ORDER BY arr_delay DESC, time_hour, flight) AS place \
         FROM flights WHERE arr_delay IS NOT NULL) WHERE place <= 3 ORDER BY carrier, place",
    ),
    (
        "window over neighbours in the key's order",
        "SELECT origin, time_hour, temp - lag(temp) OVER (PARTITION BY origin ORDER BY time_hour) \
         AS change FROM weather WHERE time_hour < '2013-01-03T00:00:00Z' \
         ORDER BY origin, time_hour",
    ),
    (
        "subquery on the key",
        "WITH windy AS (SELECT origin, time_hour FROM weather WHERE wind_gust > 45) \
         SELECT f.time_hour, f.carrier, f.flight FROM flights f WHERE EXISTS (SELECT 1 FROM windy \
         WHERE windy.origin = f.origin AND windy.time_hour = f.time_hour) \
         ORDER BY f.time_hour, f.carrier, f.flight",
    ),
    (
        "the last rows by key",
        "SELECT time_hour, carrier, flight, dest FROM flights \
         ORDER BY time_hour DESC, carrier DESC, flight DESC LIMIT 10",
    ),
    ("every row", "SELECT * FROM weather ORDER BY time_hour, origin"),
];

/// DataFusion on the CSV files alone, with the types of `data/`.
async fn plain_datafusion(folder: &Path) -> SessionContext {
    let context = SessionContext::new();
    for (table, _) in TABLES {
        let (schema, _) = flights_csv::read(table);
        // DataFusion's reader takes no word for NULL: every column is read as text and cast.
        let text = |f: &Arc<Field>| Field::new(f.name(), DataType::Utf8, true);
        let texts = Schema::new(schema.fields().iter().map(text).collect::<Vec<_>>());
        let options = CsvReadOptions::new().schema(&texts);
        let path = folder.join(format!("{table}.csv"));
        let frame = context.read_csv(path.to_str().unwrap(), options).await.unwrap();
        let typed = schema.fields().iter().map(|f| {
            cast(nullif().call(vec![ident(f.name()), lit("NA")]), f.data_type().clone())
                .alias(f.name())
        });
        let rows = frame.select(typed).unwrap().cache().await.unwrap();
        context.register_table(table, rows.into_view()).unwrap();
    }
    context
}

async fn ask(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    let frame = context.sql(sql).await.unwrap();
    let schema = frame.schema().inner().clone();
    let mut batches = frame.collect().await.unwrap();
    batches.push(RecordBatch::new_empty(schema));
    batches
}

async fn ask_omen(session: &omen_provider::Session, sql: &str) -> Vec<RecordBatch> {
    let frame = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let schema = frame.schema().inner().clone();
    let mut batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    batches.push(RecordBatch::new_empty(schema));
    batches
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_of_flights_answers_like_the_csv_files() {
    let place = Place::new();
    for (table, key) in TABLES {
        flights_csv::write(table, place.path());
        let csv = format!("{table}.csv");
        place.run(&["import", "db", table, &csv, "--key", key, "--null", "NA"]).success();
    }

    let plain = plain_datafusion(place.path()).await;
    let database = Database::open(place.path().join("db")).await.unwrap();
    let session = database.session();
    let counted = ask_omen(&session, "SELECT count(*) FROM flights").await;
    assert_eq!(counted[0].column(0).as_primitive::<Int64Type>().value(0), 336_776);
    for (what, sql) in QUERIES {
        let rows = assert_same_rows(what, &ask_omen(&session, sql).await, &ask(&plain, sql).await);
        assert!(rows > 0, "{what}: a question without an answer tests nothing");
    }

    // Merged parts answer alike.
    database.compact().await.unwrap();
    for (what, sql) in QUERIES {
        let actual = ask_omen(&session, sql).await;
        assert_same_rows(&format!("{what}, compacted"), &actual, &ask(&plain, sql).await);
    }
    database.close().await.unwrap();

    assert_eq!(
        place.sql(
            "SELECT carrier, flight, dest FROM flights WHERE time_hour = '2013-01-01T10:00:00Z' \
             ORDER BY carrier, flight"
        ),
        "carrier,flight,dest\nAA,1141,MIA\nB6,725,BQN\nB6,1806,BOS\nUA,1545,IAH\nUA,1696,ORD\n\
         UA,1714,IAH\n"
    );
    place.run(&["verify", "db"]).success();
}

#[test]
fn a_bad_row_is_named_and_the_import_leaves_nothing() {
    let place = Place::new();
    place.file("good.csv", "id,v\n1,10\n2,20\n");
    let import = |file| place.run(&["import", "db", "t", file, "--key", "id"]);
    let count = || place.sql("SELECT count(*) AS n, sum(v) AS v FROM t");
    import("good.csv").success();
    assert_eq!(count(), "n,v\n2,30\n");

    // Line 4 has the key of a row that the table holds.
    place.file("bad.csv", "id,v\n7,70\n8,80\n2,21\n9,90\n");
    let refused = import("bad.csv").failure(1, "duplicate key in table \"t\"");
    for word in ["t_pkey", "(id) = (2)"] {
        assert!(refused.stderr.contains(word), "{word} in {refused:?}");
    }
    assert_eq!(count(), "n,v\n2,30\n");

    place.file("bad.csv", "id,v\n7,70\n8,eighty\n");
    import("bad.csv").failure(1, "line 3");
    assert_eq!(count(), "n,v\n2,30\n");
}

#[test]
fn a_second_process_is_told_that_the_database_is_open() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT PRIMARY KEY); INSERT INTO t VALUES (1)");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::open(place.path().join("db"))).unwrap();
    let insert = "INSERT INTO t VALUES (2)";
    place.run(&["db", "-c", insert]).failure(1, "is open for writing elsewhere");
    place.run(&["db", "--readonly", "-c", "SELECT * FROM t"]).success();
    place.run(&["db", "--readonly", "-c", insert]).failure(1, "read-only");
    drop(database);
    place.run(&["db", "-c", insert]).success();
    assert_eq!(place.sql("SELECT count(*) AS n FROM t"), "n\n2\n");
}
