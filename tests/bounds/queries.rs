//! Queries stay within the memory and the disk space of the options: they write to files what does
//! not fit, the files are gone afterwards, and what cannot be done within the limits is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures::{StreamExt, stream};
use omen_provider::{Database, Error, Options, Session, TableDefinition};
use tokio::time::{Duration, sleep};

use crate::harness::block_on;

const ROWS: i64 = 80_000;
/// A tenth of what the rows take.
const POOL: usize = 2 << 20;

fn options() -> Options {
    Options { query_bytes_max: POOL, ..Options::default() }
}

/// Where row `id` stands in the order of its note.
fn place(id: i64) -> i64 {
    id * 7_919 % ROWS
}

fn note(id: i64) -> String {
    format!("{:08} {}", place(id), "no two notes are alike, and all are long. ".repeat(6))
}

/// A table `t` of 80,000 rows, 20 MB of them, in segments.
async fn filled(folder: &Path, options: Options) -> Database {
    let database = options.open(folder).await.unwrap();
    let fields = [("id", DataType::Int64), ("note", DataType::Utf8)];
    let fields: Vec<_> = fields.map(|(name, kind)| Field::new(name, kind, false)).into();
    let schema = Arc::new(Schema::new(fields));
    let definition = TableDefinition::new("t", &schema).primary_key(["id"]);
    let batches = (0..ROWS).step_by(1000).map(move |first| {
        let ids: Vec<i64> = (first..first + 1000).collect();
        let notes = StringArray::from_iter_values(ids.iter().map(|&id| note(id)));
        let columns = vec![Arc::new(Int64Array::from(ids)) as _, Arc::new(notes) as _];
        Ok(RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
    });
    database.create_table_from(definition, stream::iter(batches)).await.unwrap();
    database.checkpoint().await.unwrap();
    database
}

/// A session whose batches are small beside the pool.
async fn session(database: &Database) -> Session {
    let session = database.session();
    for setting in ["execution.batch_size = 128", "execution.target_partitions = 2"] {
        session.sql(&format!("SET datafusion.{setting}")).await.unwrap();
    }
    session
}

/// The files that queries of the database have now.
fn spill_files(folder: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    entries(&folder.join("spill")).iter().flat_map(|own| entries(own)).collect()
}

/// What a query held is free soon after its end: its tasks are told to stop, and do so.
async fn assert_all_is_free(folder: &Path, session: &Session) {
    for _ in 0..100 {
        if spill_files(folder).is_empty() && memory_held(session) == 0 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}, {} bytes", spill_files(folder), memory_held(session));
}

/// Files that were written for a plan.
fn spilled(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or(0);
    own + plan.children().into_iter().map(spilled).sum::<usize>()
}

/// The rows of a query, and how many files were written for it.
async fn answered(session: &Session, sql: &str) -> Result<(Vec<RecordBatch>, usize), Error> {
    let frame = session.sql(sql).await?;
    let context = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    let rows = collect(Arc::clone(&plan), context).await?;
    Ok((rows, spilled(&plan)))
}

/// The numbers of the one row of an answer.
fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    batch.columns().iter().map(|column| column.as_primitive::<Int64Type>().value(0)).collect()
}

const SORT: &str = "SELECT id FROM t ORDER BY note";
const AGGREGATE: &str = "SELECT count(*), sum(n), sum(first) FROM \
    (SELECT note, count(*) AS n, min(id) AS first FROM t GROUP BY note)";
const JOIN: &str =
    "SELECT count(*), sum(a.id), sum(b.id) FROM t AS a JOIN t AS b ON a.note = b.note";

const WINDOW: &str = "SELECT CAST(max(place) AS BIGINT) FROM \
    (SELECT row_number() OVER (ORDER BY id % 1000, note DESC) AS place FROM t)";

async fn assert_right(session: &Session) -> usize {
    let (rows, sorting) = answered(session, SORT).await.unwrap();
    let ids = rows.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    assert!(ids.map(|&id| place(id)).eq(0..ROWS), "not in order");
    let total = ROWS * (ROWS - 1) / 2;
    let (rows, aggregating) = answered(session, AGGREGATE).await.unwrap();
    assert_eq!(numbers(&rows), [ROWS, ROWS, total]);
    let (rows, joining) = answered(session, JOIN).await.unwrap();
    assert_eq!(numbers(&rows), [ROWS, total, total]);
    // Keys of two columns are compared in another form.
    let (rows, numbering) = answered(session, WINDOW).await.unwrap();
    assert_eq!(numbers(&rows), [ROWS]);
    println!("files: sort {sorting}, aggregate {aggregating}, join {joining}, window {numbering}");
    sorting.min(aggregating).min(joining).min(numbering)
}

fn memory_held(session: &Session) -> usize {
    session.context().runtime_env().memory_pool.reserved()
}

#[test]
fn sort_join_and_aggregate_of_ten_times_the_memory_use_files() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = filled(folder.path(), options()).await;
        let small = session(&database).await;
        assert!(assert_right(&small).await > 0, "without files");
        assert_all_is_free(folder.path(), &small).await;
        // Another session has no other memory.
        let other = session(&database).await;
        let mut rows = other.sql(SORT).await.unwrap().execute_stream().await.unwrap();
        rows.next().await.unwrap().unwrap();
        assert!(memory_held(&small) > 0);
        assert!(!spill_files(folder.path()).is_empty());
        // Left alone in the middle, it leaves nothing behind.
        drop(rows);
        assert_all_is_free(folder.path(), &other).await;
        // With enough memory there are no files.
        small.sql("SET datafusion.runtime.memory_limit = '512M'").await.unwrap();
        assert_eq!(answered(&other, SORT).await.unwrap().1, 0);
        drop((small, other));
        database.close().await.unwrap();
        drop(database);
        let left = std::fs::read_dir(folder.path().join("spill")).unwrap().count();
        assert_eq!(left, 0, "folders of queries");
    });
}

#[cfg(unix)]
#[test]
fn folder_of_files_is_private() {
    use std::os::unix::fs::MetadataExt;
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = filled(folder.path(), options()).await;
        let session = session(&database).await;
        assert!(!folder.path().join("spill").exists(), "made before it is needed");
        answered(&session, SORT).await.unwrap();
        let mode = std::fs::metadata(folder.path().join("spill")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    });
}

#[test]
fn files_of_a_killed_process_are_removed_by_the_next_writer() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        drop(Options::default().open(folder.path()).await.unwrap());
        let left = folder.path().join("spill/datafusion-1/sub");
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join("file"), "rows").unwrap();
        let read_only = Options { read_only: true, ..Options::default() };
        drop(read_only.open(folder.path()).await.unwrap());
        assert!(left.join("file").exists(), "a reader writes nothing");
        drop(Options::default().open(folder.path()).await.unwrap());
        assert!(!folder.path().join("spill").exists());
    });
}

#[test]
fn read_only_queries_write_elsewhere() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), options()).await.close().await.unwrap();
        let options = Options { read_only: true, ..options() };
        let database = options.open(folder.path()).await.unwrap();
        let (_, files) = answered(&session(&database).await, SORT).await.unwrap();
        assert!(files > 0, "without files");
        assert!(!folder.path().join("spill").exists());
    });
}

#[test]
fn a_query_that_finds_no_room_for_files_ends_and_all_else_goes_on() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { spill_bytes_max: 4 << 20, ..options() };
        let database = filled(folder.path(), options).await;
        let session = session(&database).await;
        for sql in [SORT, AGGREGATE, JOIN] {
            let refused = answered(&session, sql).await.unwrap_err();
            assert!(matches!(&refused, Error::Exhausted { .. }), "{refused:?}");
            assert!(refused.to_string().contains("spill_bytes_max"), "{refused}");
            assert_all_is_free(folder.path(), &session).await;
        }
        session
            .sql("INSERT INTO t VALUES (-1, 'one more')")
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        assert_eq!(database.table("t").unwrap().row_count().unwrap(), ROWS as u64 + 1);
        database.table("t").unwrap().delete([-1]).await.unwrap();
        let more = "SET datafusion.runtime.max_temp_directory_size = '1G'";
        session.sql(more).await.unwrap();
        assert!(answered(&session, SORT).await.unwrap().1 > 0);
    });
}

#[test]
fn what_cannot_be_written_to_files_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = filled(folder.path(), options()).await;
        let session = session(&database).await;
        let refused = answered(&session, "SELECT array_agg(note) FROM t").await.unwrap_err();
        assert!(matches!(&refused, Error::Exhausted { .. }), "{refused:?}");
        assert!(refused.to_string().contains("query_bytes_max"), "{refused}");
        assert_all_is_free(folder.path(), &session).await;
    });
}

#[test]
fn what_nearly_fits_is_answered_whatever_the_memory() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = filled(folder.path(), options()).await;
        let session = session(&database).await;
        for memory in [3, 5, 8, 13, 21, 34, 55, 89] {
            let set = format!("SET datafusion.runtime.memory_limit = '{memory}M'");
            session.sql(&set).await.unwrap();
            let (rows, _) = answered(&session, SORT).await.unwrap();
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), ROWS as usize);
            let (rows, _) = answered(&session, WINDOW).await.unwrap();
            assert_eq!(numbers(&rows), [ROWS], "{memory} MiB");
        }
    });
}

/// What SHOW says of a setting.
async fn shown(session: &Session, setting: &str) -> String {
    let rows = session.sql(&format!("SHOW datafusion.runtime.{setting}")).await.unwrap();
    let rows = rows.collect().await.unwrap();
    arrow::util::display::array_value_to_string(rows[0].column(1), 0).unwrap()
}

#[test]
fn settings_change_the_limits_of_the_database_and_show_says_so() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = options().open(folder.path()).await.unwrap();
        let (one, other) = (database.session(), database.session());
        assert_eq!(shown(&one, "memory_limit").await, "2M");
        assert_eq!(shown(&one, "max_temp_directory_size").await, "64G");
        one.sql("SET datafusion.runtime.memory_limit = '3M'").await.unwrap();
        one.sql("SET datafusion.runtime.max_temp_directory_size = '5G'").await.unwrap();
        one.sql("SET datafusion.runtime.max_spill_merge_fan_in = 8").await.unwrap();
        for session in [&one, &other, &database.session()] {
            assert_eq!(shown(session, "memory_limit").await, "3M");
            assert_eq!(shown(session, "max_temp_directory_size").await, "5G");
        }
        for setting in ["memory_limit", "max_temp_directory_size", "max_spill_merge_fan_in"] {
            other.sql(&format!("RESET datafusion.runtime.{setting}")).await.unwrap();
        }
        assert_eq!(shown(&one, "memory_limit").await, "2M");
        assert_eq!(shown(&one, "max_temp_directory_size").await, "64G");
        let refused = one.sql("SET datafusion.runtime.temp_directory = '/tmp'").await.unwrap_err();
        assert!(refused.to_string().contains("spill"), "{refused}");
        let shared = &one.context().runtime_env().memory_pool;
        assert!(Arc::ptr_eq(shared, &other.context().runtime_env().memory_pool));
    });
}
