//! TPC-H: keyed tables, written to by SQL until they lie in segments with deletion vectors and in
//! runs, answer the 22 queries as plain Parquet of the same rows does in DataFusion as it is.
//!
//! `OMEN_TPCH=1` is the scale, of which 1 is about a gigabyte.

mod answers;
mod queries;
mod tables;

use std::path::Path;
use std::time::Instant;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use omen_provider::{Database, Options};
use parquet::arrow::ArrowWriter;

use answers::compare;
use queries::QUERIES;
use tables::{TABLES, Table};

/// If nothing else is asked for.
const SCALE: f64 = 0.1;

/// So many of the queries have rows at any scale from a hundredth on.
const WITH_ROWS: usize = 18;

fn scale() -> f64 {
    let asked = std::env::var("OMEN_TPCH").ok();
    asked.map_or(SCALE, |text| text.parse().expect("OMEN_TPCH: a scale, such as 0.1"))
}

/// Text as OmenDB's SQL declares it.
fn with_plain_text(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()).expect("a cast"));
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("rows of the table")
}

/// Every other batch first, so that the keys of segments overlap.
async fn load(database: &Database, table: &Table, scale: f64) -> u64 {
    run(database, &table.definition()).await;
    let stored = database.table(table.name).expect("the table");
    let schema = stored.schema().expect("its schema");
    for half in 0..2 {
        let batches =
            table.rows(scale).into_iter().enumerate().filter(|(number, _)| number % 2 == half);
        for (_, batch) in batches {
            stored.insert(with_plain_text(&batch, &schema)).await.expect("an insert");
        }
        database.checkpoint().await.expect("a checkpoint");
    }
    stored.row_count().expect("a count")
}

/// Changes a tenth of the rows; deletes a twentieth and brings them back.
async fn edit(database: &Database, table: &Table, rows: u64) {
    let name = table.name;
    let (column, value) = table.changed;
    let (changed, back) = (table.is_changed(), table.comes_back());
    let update = format!("UPDATE {name} SET {column} = {value} WHERE {changed}");
    assert!(run(database, &update).await > 0 || rows < 10, "{name}: nothing was changed");
    database.checkpoint().await.expect("a checkpoint");
    run(database, &format!("CREATE TABLE kept AS SELECT * FROM {name} WHERE {back}")).await;
    let gone = run(database, &format!("DELETE FROM {name} WHERE {back}")).await;
    let left = database.table(name).expect("the table").row_count().expect("a count");
    assert_eq!(left + gone, rows, "{name}");
    let again = run(database, &format!("INSERT INTO {name} SELECT * FROM kept")).await;
    assert_eq!(again, gone, "{name}");
    run(database, "DROP TABLE kept").await;
}

/// Runs a statement; says how many rows it wrote.
async fn run(database: &Database, sql: &str) -> u64 {
    let frame = database.session().sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let count = |batch: &RecordBatch| {
        Some(
            batch
                .columns()
                .first()?
                .as_any()
                .downcast_ref::<UInt64Array>()?
                .iter()
                .flatten()
                .sum::<u64>(),
        )
    };
    batches.iter().filter_map(count).sum()
}

/// The same rows as a Parquet file, changed in the same way by DataFusion.
async fn write_plain(table: &Table, scale: f64, path: &Path) {
    let context = SessionContext::new();
    let batches = table.rows(scale);
    let schema = batches[0].schema();
    let memory = datafusion::datasource::MemTable::try_new(schema.clone(), vec![batches]);
    context.register_table("source", std::sync::Arc::new(memory.expect("a table"))).expect("new");
    let columns = schema.fields().iter().map(|field| {
        let (name, data_type) = (field.name(), field.data_type());
        let (changed, value) = table.changed;
        match name == changed {
            false if *data_type == DataType::Utf8View => {
                format!("arrow_cast({name}, 'Utf8') AS {name}")
            }
            false => name.clone(),
            true if *data_type == DataType::Int32 => format!(
                "CAST(CASE WHEN {} THEN {value} ELSE {name} END AS INT) AS {name}",
                table.is_changed()
            ),
            true => {
                format!("CASE WHEN {} THEN {value} ELSE {name} END AS {name}", table.is_changed())
            }
        }
    });
    let sql = format!("SELECT {} FROM source", columns.collect::<Vec<_>>().join(", "));
    let batches = context.sql(&sql).await.expect(&sql).collect().await.expect(&sql);
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).expect("a writer");
    for batch in &batches {
        writer.write(batch).expect("written");
    }
    writer.close().expect("closed");
}

async fn agree(scale: f64) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let options = || Options {
        segment_rows_max: 40_000,
        row_group_rows: 10_000,
        memtable_bytes_max: 4 << 20,
        ..Options::default()
    };
    let location = folder.path().join("tpch.db");
    let mut database = options().open(&location).await.expect("a database");
    let plain = SessionContext::new();
    let started = Instant::now();
    for table in &TABLES {
        let rows = load(&database, table, scale).await;
        edit(&database, table, rows).await;
        let path = folder.path().join(format!("{}.parquet", table.name));
        write_plain(table, scale, &path).await;
        let path = path.to_str().expect("a path in UTF-8");
        plain
            .register_parquet(table.name, path, ParquetReadOptions::default())
            .await
            .expect("read");
        eprintln!("{}: {rows} rows, {:.1?}", table.name, started.elapsed());
    }
    // Rows of before may have gone to disk by now; these have not.
    let same = "UPDATE lineitem SET l_tax = l_tax WHERE l_orderkey < 100";
    assert!(run(&database, same).await > 0, "nothing was written again");
    let plan = explained(&database).await;
    assert!(
        plan.contains("runs, ") && plan.contains(".parquet"),
        "not in memory and on disk: {plan}"
    );
    for pass in ["as written", "reopened", "compacted"] {
        let mut with_rows = 0;
        for query in &QUERIES {
            let started = Instant::now();
            let ours = database.session().sql(query.sql).await.expect("a plan").collect().await;
            let elapsed = started.elapsed();
            let ours = ours.unwrap_or_else(|error| panic!("query {}: {error}", query.number));
            let theirs = plain.sql(query.sql).await.expect("a plan").collect().await.expect("rows");
            let rows = compare(&ours, &theirs, query.ordered_by)
                .unwrap_or_else(|error| panic!("query {}, {pass}: {error}", query.number));
            with_rows += usize::from(rows > 0);
            eprintln!("query {}, {pass}: {rows} rows in {elapsed:.1?}", query.number);
        }
        assert!(with_rows >= WITH_ROWS, "only {with_rows} queries have rows");
        match pass {
            "as written" => {
                database.close().await.expect("closed");
                drop(database);
                database = options().open(&location).await.expect("a database");
            }
            _ => database.compact().await.expect("compacted"),
        }
    }
}

/// How the largest table lies.
async fn explained(database: &Database) -> String {
    let sql = "EXPLAIN SELECT * FROM lineitem";
    let frame = database.session().sql(sql).await.expect(sql);
    pretty_format_batches(&frame.collect().await.expect(sql)).expect("a table").to_string()
}

#[test]
fn every_query_answers_as_plain_parquet_does() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_stack_size(8 << 20).enable_all();
    let runtime = builder.build().expect("a runtime");
    let work = runtime.spawn(agree(scale()));
    runtime.block_on(work).expect("the same answers");
}
