//! SQL of any depth is answered or refused on the stack that a thread of an application has.
//!
//! Statements run in a child process, this test binary itself, so that an overflow of its stack is
//! seen as the signal that ends it. The parser's own limit is lifted: it is a setting.

mod shapes;

use std::process::Command;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::ScalarValue;
use object_store::memory::InMemory;
use omen_provider::store::Store;
use omen_provider::{Database, Error, Options, Session, TableDefinition};

/// By this the child is told what to do: `default:plus:9`, say, with the bytes of its stack.
const TASK: &str = "OMEN_DEEP_SQL";

/// Lifts the parser's own limit.
const LIFT: &str = "SET datafusion.sql_parser.recursion_limit = 1000000";

/// Planning these takes twice as long with each level, so the deepest cannot be awaited.
const SLOW: [&str; 3] = ["scalar", "exists", "mixed"];

/// What a thread gets if nobody asks for more.
const STACK_BYTES: usize = 2 << 20;

/// What the child said of its statement.
fn said(way: &str, kind: &str, terms: usize, stack: usize) -> String {
    let task = format!("{way}:{kind}:{terms}:{stack}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["deep_sql::runs_what_it_is_told", "--exact", "--nocapture"])
        .env(TASK, &task)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{task}: {}: {text}{errors}", output.status);
    text.lines().find(|line| line.starts_with('<')).unwrap_or_default().to_string()
}

fn assert_refused(said: &str, what: &str) {
    let right = said.starts_with("<refused>") && said.contains("the limit is");
    assert!(right, "{what}: {said}");
}

#[test]
fn deep_statements_are_refused() {
    for kind in shapes::KINDS {
        assert_refused(&said("sql", kind, 100_000, STACK_BYTES), kind);
    }
    for way in ["prepare", "default", "stored"] {
        assert_refused(&said(way, "plus", 100_000, STACK_BYTES), way);
    }
}

/// The deepest that are not refused, each with three quarters of the stack it should have.
#[test]
fn what_is_not_refused_is_carried_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = runtime.block_on(async { database().await.session() });
    runtime.block_on(session.sql(LIFT)).unwrap();
    for kind in shapes::KINDS.iter().filter(|kind| !SLOW.contains(kind)) {
        let (mut taken, mut refused) = (1, 1_200);
        while refused - taken > 1 {
            let middle = (taken + refused) / 2;
            match session.parse(&shapes::sql(kind, middle)).map_err(Error::from) {
                Err(Error::InvalidInput(text)) if text.contains("the limit is") => refused = middle,
                _ => taken = middle,
            }
        }
        assert!(taken >= 8 && refused < 1_200, "{kind}: {taken}");
        let said = said("sql", kind, taken, STACK_BYTES / 4 * 3);
        assert!(said.ends_with(" rows>"), "{kind}: {taken}: {said}");
    }
}

#[test]
fn ordinary_statements_are_never_too_deep() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let test = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ordinary_statements());
    };
    thread.spawn(test).unwrap().join().unwrap();
}

async fn ordinary_statements() {
    let database = database().await;
    let session = database.session();
    let list = |count: usize, item: &dyn Fn(usize) -> String| {
        (0..count).map(item).collect::<Vec<_>>().join(", ")
    };
    for (count, from) in [(1_000, 10), (5_000, 2_000)] {
        let rows = list(count, &|i| format!("({}, {}, 'it''s {i}')", i + from, i % 2 == 0));
        let inserted = number(&session, &format!("INSERT INTO t VALUES {rows}")).await;
        assert_eq!(inserted, count as i64);
    }
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 6_001);
    let items = list(50_000, &|i| format!("{}", i * 2));
    let filter = format!("SELECT count(*) FROM t WHERE a IN ({items})");
    assert_eq!(number(&session, &filter).await, 500 + 2_500);
    let terms: Vec<_> = (0..200).map(|i| format!("(t.a = {i} AND t.s IS NOT NULL)")).collect();
    let filter = format!("SELECT count(*) FROM t WHERE {}", terms.join(" OR "));
    assert_eq!(number(&session, &filter).await, 191);
    let columns = list(500, &|i| format!("a + {i} AS c{i}"));
    assert_eq!(
        number(&session, &format!("SELECT {columns} FROM t WHERE a = 7000 - 1")).await,
        6999
    );
    let whens: String = (0..1_000).map(|i| format!(" WHEN a = {i} THEN {}", i + 1)).collect();
    let case = format!("SELECT CASE{whens} ELSE 0 END FROM t WHERE a = 900");
    assert_eq!(number(&session, &case).await, 901);
    let unions = " UNION ALL SELECT a, s FROM t WHERE a = 1 AND s = 'x'".repeat(200);
    let unions = format!("SELECT count(*) FROM (SELECT a, s FROM t WHERE a = 1{unions})");
    assert_eq!(number(&session, &unions).await, 201);
}

async fn number(session: &Session, sql: &str) -> i64 {
    let start: String = sql.chars().take(60).collect();
    let frame = session.sql(sql).await.unwrap_or_else(|error| panic!("{start}: {error}"));
    let rows = frame.collect().await.unwrap_or_else(|error| panic!("{start}: {error}"));
    let rows = rows.iter().find(|batch| batch.num_rows() > 0).unwrap();
    let value = ScalarValue::try_from_array(rows.column(0), 0).unwrap();
    let value = value.cast_to(&DataType::Int64).unwrap().to_array().unwrap();
    value.as_primitive::<Int64Type>().value(0)
}

async fn database() -> Database {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let database = Options::default().open_store(store).await.unwrap();
    let session = database.session();
    session.sql("CREATE TABLE t (a BIGINT PRIMARY KEY, b BOOLEAN, s TEXT)").await.unwrap();
    assert_eq!(number(&session, "INSERT INTO t VALUES (1, true, 'x')").await, 1);
    database
}

/// The child.
#[test]
fn runs_what_it_is_told() {
    let Ok(task) = std::env::var(TASK) else { return };
    let parts: Vec<&str> = task.split(':').collect();
    let [way, kind, terms, stack] = parts.as_slice() else { panic!("{task}") };
    let sql = shapes::sql(kind, terms.parse().unwrap());
    let (way, stack) = (way.to_string(), stack.parse().unwrap());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match runtime.block_on(answer(&way, &sql)) {
            Ok(rows) => println!("\n<{rows} rows>"),
            Err(error @ Error::InvalidInput(_)) => println!("\n<refused> {error}"),
            Err(error) => println!("\n<failed> {error}"),
        }
    };
    std::thread::Builder::new().stack_size(stack).spawn(run).unwrap().join().unwrap();
}

async fn answer(way: &str, sql: &str) -> omen_provider::Result<usize> {
    let database = database().await;
    let session = database.session();
    session.sql(LIFT).await?;
    let expression = || sql.trim_start_matches("SELECT a").trim_end_matches("FROM t").to_string();
    let sql = match way {
        "prepare" => format!("PREPARE p AS {sql}"),
        "default" => {
            format!("CREATE TABLE d (a BIGINT PRIMARY KEY, b BIGINT DEFAULT 1{})", expression())
        }
        "stored" => {
            // The engine stores a text; what it means is seen when the table is read.
            let default = format!("1{}", expression().replace(" a", " 1"));
            let key = (Field::new("a", DataType::Int64, false), None);
            let columns = vec![key, (Field::new("b", DataType::Int64, true), Some(default))];
            let definition = TableDefinition {
                name: "d".into(),
                columns,
                key: vec!["a".to_string()],
                checks: Vec::new(),
                uniques: Vec::new(),
                identity: None,
            };
            database.create_table(definition, false).await?;
            "SELECT a FROM d".to_string()
        }
        _ => sql.to_string(),
    };
    let rows = session.sql(&sql).await?.collect().await?;
    Ok(rows.iter().map(|batch| batch.num_rows()).sum())
}
