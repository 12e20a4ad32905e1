//! What a query reads of a large table of many segments: a key one page of each column, a range the
//! pages that hold its rows. And what lies there: plain Parquet, for any reader.
//!
//! EXPLAIN ANALYZE counts the pages that a scan asks for; `requested` asks the medium.

mod requested;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use omen_provider::{Database, Options, Table, TableDefinition};

use crate::harness::media::Medium;
use crate::harness::{block_on, drawn, query};

const ROWS: i64 = 1_000_000;
const BATCH: i64 = 20_000;
const COLUMNS: u64 = 4;

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("device", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
        Field::new("at", DataType::Int64, true),
    ]))
}

/// Rows with the keys `3 * i` for `i` in the range.
fn batch(range: std::ops::Range<i64>) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(range.clone().map(|i| Some(i * 3)).collect::<Int64Array>()),
        Arc::new(range.clone().map(|i| Some(format!("d{}", i % 97))).collect::<StringArray>()),
        Arc::new(range.clone().map(|i| Some(i as f64 * 0.37)).collect::<Float64Array>()),
        Arc::new(range.map(|i| Some(i * 7919 % 1_000_003)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// Options under which the table is several segments, which nothing has a reason to merge.
fn options() -> Options {
    Options { memtable_bytes_max: 8 << 20, segment_rows_max: 200_000, ..Options::default() }
}

async fn large(medium: &Medium) -> Database {
    let database = medium.open(options()).await.unwrap();
    let columns = schema().fields().iter().map(|f| (f.as_ref().clone(), None)).collect();
    let key = vec!["id".to_string()];
    let definition = TableDefinition {
        name: "m".to_string(),
        columns,
        key,
        checks: Vec::new(),
        uniques: Vec::new(),
        identity: None,
    };
    database.create_table(definition, false).await.unwrap();
    let table = database.table("m").unwrap();
    for start in (0..ROWS).step_by(BATCH as usize) {
        table.insert(batch(start..start + BATCH)).await.unwrap();
    }
    database.checkpoint().await.unwrap();
    database
}

/// A number that a plan reports, summed over its scans: `pages_read=3`.
fn metric(plan: &str, name: &str) -> u64 {
    let mark = format!("{name}=");
    let values = plan.match_indices(&mark).map(|(at, _)| {
        let digits =
            plan[at + mark.len()..].chars().take_while(|c| c.is_ascii_digit() || *c == '_');
        digits.filter(|c| *c != '_').collect::<String>().parse::<u64>().unwrap_or(0)
    });
    values.sum()
}

async fn pages_of(database: &Database, sql: &str) -> u64 {
    let plan = drawn(database, &format!("EXPLAIN ANALYZE {sql}")).await;
    // A scan that no part is left for counts nothing.
    let counted = plan.contains("pages_read=") || plan.contains("parts=0/");
    assert!(counted, "no count of pages in {plan}");
    metric(&plan, "pages_read")
}

/// A database opened anew has no page in its cache.
async fn cold(medium: &Medium, database: Database) -> Database {
    database.close().await.unwrap();
    medium.open(options()).await.unwrap()
}

#[test]
fn a_key_reads_one_page_of_each_column_and_a_range_its_own_pages() {
    block_on(async {
        let medium = Medium::disk();
        let mut database = large(&medium).await;
        let plan = drawn(&database, "EXPLAIN SELECT * FROM m WHERE id = 1500000").await;
        let parts = &plan[plan.find("parts=1/").expect("one part")..];
        let of: u64 = parts[8..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap();
        assert!(of >= 4, "several segments: {plan}");

        for id in [0, 1_500_000, 2_999_997] {
            database = cold(&medium, database).await;
            let sql = format!("SELECT * FROM m WHERE id = {id}");
            assert_eq!(pages_of(&database, &sql).await, COLUMNS, "{sql}");
            let found = query(&database, &sql).await;
            assert_eq!(found[0].columns(), batch(id / 3..id / 3 + 1).columns());
        }
        // A key between two others: one page of the key at most, none of the rest.
        database = cold(&medium, database).await;
        let absent = "SELECT * FROM m WHERE id = 1500001";
        let plan = drawn(&database, &format!("EXPLAIN ANALYZE {absent}")).await;
        assert!(metric(&plan, "pages_read") <= 1, "{plan}");

        // 30,000 rows of pages of p rows, of each column: as many as hold them, and no more.
        database = cold(&medium, database).await;
        let one = pages_of(&database, "SELECT value FROM m WHERE id = 3000").await;
        assert!(one <= 2, "the key and the value");
        database = cold(&medium, database).await;
        let sql = "SELECT value FROM m WHERE id >= 900000 AND id < 990000";
        let pages = pages_of(&database, sql).await;
        let rows = query(&database, sql).await.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(rows, 30_000);
        let page_rows = page_rows(&medium);
        let most = 2 * (30_000 / page_rows + 2);
        assert!(pages > 0 && pages <= most, "{pages} pages of {page_rows} rows");
        database.close().await.unwrap();
    });
}

/// Rows of the largest page of any segment, by its Parquet page index.
fn page_rows(medium: &Medium) -> u64 {
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
    let mut most = 0;
    for entry in std::fs::read_dir(medium.folder().join("segments")).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        let metadata = reader.parse_and_finish(&file).unwrap();
        for row_group in metadata.offset_index().expect("an offset index") {
            for pair in row_group[0].page_locations().windows(2) {
                most = most.max(pair[1].first_row_index - pair[0].first_row_index);
            }
        }
    }
    u64::try_from(most).unwrap()
}

/// A new database in `medium` with an empty table `m`.
async fn new_table(medium: &Medium) -> (Database, Table) {
    let database = medium.open(Options::default()).await.unwrap();
    let columns = schema().fields().iter().map(|f| (f.as_ref().clone(), None)).collect();
    let definition = TableDefinition {
        name: "m".to_string(),
        columns,
        key: vec!["id".to_string()],
        checks: Vec::new(),
        uniques: Vec::new(),
        identity: None,
    };
    database.create_table(definition, false).await.unwrap();
    let table = database.table("m").unwrap();
    (database, table)
}

#[test]
fn compacted_segments_are_plain_parquet_with_the_same_rows() {
    block_on(async {
        let medium = Medium::disk();
        let (database, table) = new_table(&medium).await;
        // Out of order, written over and deleted in part, so that the segments hold dead rows.
        for start in [40_000, 0, 20_000] {
            table.insert(batch(start..start + 20_000)).await.unwrap();
            database.checkpoint().await.unwrap();
        }
        table.upsert(batch(10_000..50_000)).await.unwrap();
        table.delete((0..500).map(|i| i * 30)).await.unwrap();
        database.compact().await.unwrap();
        let sql = "SELECT * FROM m ORDER BY id";
        let ours = query(&database, sql).await;
        database.close().await.unwrap();

        let plain = SessionContext::new();
        let folder = medium.folder().join("segments");
        let options = ParquetReadOptions::default();
        plain.register_parquet("m", folder.to_str().unwrap(), options).await.unwrap();
        let theirs = plain.sql(sql).await.unwrap().collect().await.unwrap();
        let text = |batches: &[RecordBatch]| {
            let all = arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap();
            let device = arrow::compute::cast(all.column(1), &DataType::Utf8).unwrap();
            let mut columns = all.columns().to_vec();
            columns[1] = device;
            columns
        };
        assert_eq!(text(&theirs).len(), text(&ours).len());
        assert!(text(&theirs) == text(&ours), "other rows");
        let count = theirs.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(count, 59_500);
        let sorted = text(&theirs)[0].as_primitive::<Int64Type>().values().is_sorted();
        assert!(sorted);
    });
}

#[test]
fn compacting_leaves_no_deleted_row_in_a_file() {
    block_on(async {
        let medium = Medium::disk();
        let (database, table) = new_table(&medium).await;
        table.insert(batch(0..5000)).await.unwrap();
        database.compact().await.unwrap();
        // One segment, few of its rows deleted: nothing else calls for a new file.
        table.delete((0..50).map(|i| i * 30)).await.unwrap();
        database.compact().await.unwrap();
        database.close().await.unwrap();

        let plain = SessionContext::new();
        let folder = medium.folder().join("segments");
        let options = ParquetReadOptions::default();
        plain.register_parquet("m", folder.to_str().unwrap(), options).await.unwrap();
        let sql = "SELECT count(*), count(*) FILTER (WHERE id % 30 = 0 AND id < 1500) FROM m";
        let counts = plain.sql(sql).await.unwrap().collect().await.unwrap();
        let count = |column: usize| counts[0].column(column).as_primitive::<Int64Type>().value(0);
        assert_eq!((count(0), count(1)), (4950, 0));
    });
}
