//! Statements over three tables, and what the database must hold after each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use futures::{TryStreamExt, stream};
use omen_provider::{Database, Key, Result, Session, TableDefinition};

/// Tables by name; rows by key.
pub type State = BTreeMap<String, BTreeMap<i64, String>>;

/// One statement.
#[derive(Debug, Clone)]
pub enum Statement {
    /// CREATE TABLE.
    Create(&'static str),
    /// DROP TABLE.
    Drop(&'static str),
    /// New rows, in one batch.
    Insert(&'static str, Vec<i64>),
    /// New rows, in many batches.
    InsertMany(&'static str, Vec<i64>),
    /// Rows, new or not.
    Upsert(&'static str, Vec<i64>),
    /// Keys, there or not.
    Delete(&'static str, Vec<i64>),
    /// TRUNCATE.
    Truncate(&'static str),
    /// UPDATE that adds to the keys from the first on, up to the second.
    Move(&'static str, i64, i64, i64),
    /// ALTER TABLE: the column of texts is another one, whose DEFAULT all rows have.
    Renew(&'static str),
    /// CREATE INDEX over the texts, UNIQUE or not; it goes with their column.
    Index(&'static str, bool),
    /// Several of these as one.
    Transaction(Vec<Statement>),
    /// Everything to segments.
    Checkpoint,
    /// Merge the segments.
    Compact,
}

/// Planning takes its time: lookups are tried in one of so many tables.
const LOOKED_UP_EVERY: usize = 16;

use Statement::{
    Checkpoint, Compact, Create, Delete, Drop, Index, Insert, InsertMany, Move, Renew, Transaction,
    Truncate, Upsert,
};

/// A script that meets much in fifty statements.
pub fn thought_of() -> Vec<Statement> {
    let keys = |range: std::ops::Range<i64>| range.collect::<Vec<_>>();
    let scattered = |count: i64, step: i64| (0..count).map(|i| i * step % 997).collect::<Vec<_>>();
    let mut script = vec![
        Create("a"),
        Insert("a", keys(0..5)),
        Create("b"),
        Insert("b", vec![3, 5, 1]),
        Upsert("a", vec![2, 3, 9]),
        Delete("a", vec![0, 4, 77]),
        Insert("a", vec![0]),
        Checkpoint,
        Index("a", false),
        Insert("a", keys(100..140)),
        Upsert("a", scattered(30, 11)),
        Upsert("b", vec![1, 5]),
        Delete("b", vec![3]),
        Delete("a", keys(100..120)),
        Checkpoint,
        Insert("b", vec![3]),
        Index("b", true),
        Upsert("a", keys(110..150)),
        InsertMany("b", keys(1000..2200)),
        Delete("b", keys(1500..1600)),
        Compact,
        Upsert("b", scattered(60, 37)),
        Create("c"),
        Insert("c", keys(-5..5)),
        Drop("c"),
        Create("c"),
        Insert("c", vec![i64::MIN, 0, i64::MAX]),
        Checkpoint,
        Upsert("c", vec![0]),
        Delete("c", vec![i64::MIN]),
        Compact,
    ];
    // A writer in a hurry: small statements, then everything at once.
    for i in 0..9 {
        script.push(match i % 3 {
            0 => Insert("a", vec![5000 + i, 6000 + i]),
            1 => Upsert("a", vec![5000 + i - 1, 7000]),
            _ => Delete("a", vec![6000 + i - 2, i]),
        });
    }
    script.extend([
        InsertMany("c", keys(10..900)),
        Transaction(vec![
            Upsert("a", vec![5000, 1]),
            InsertMany("c", keys(2000..2600)),
            Move("c", 2000, 2300, 5000),
            Delete("b", keys(1000..1400)),
            Create("d"),
            Insert("d", vec![1, 2]),
        ]),
        Renew("b"),
        Transaction(vec![Renew("d"), Truncate("d"), Drop("b"), Insert("d", vec![2])]),
        Renew("a"),
        Checkpoint,
        Delete("c", keys(10..900)),
        Insert("c", keys(10..20)),
        Compact,
        Truncate("c"),
    ]);
    script
}

impl Statement {
    /// Does it; `number` goes into the rows, so that every version of a row differs.
    pub async fn run(&self, database: &Database, number: usize) -> Result<()> {
        match self {
            Create(name) => {
                let column = |name, kind| (Field::new(name, kind, name != "id"), None);
                let columns = vec![column("id", DataType::Int64), column("text", DataType::Utf8)];
                let name = (*name).to_string();
                let definition = TableDefinition {
                    name,
                    columns,
                    key: vec!["id".to_string()],
                    checks: Vec::new(),
                    uniques: Vec::new(),
                    identity: None,
                };
                database.create_table(definition, false).await.map(drop)
            }
            Drop(name) => database.drop_table(name, false).await.map(drop),
            Insert(name, keys) => database.table(name)?.insert(batch(keys, number)).await.map(drop),
            InsertMany(name, keys) => {
                let batches = keys.chunks(100).map(|keys| Ok(batch(keys, number)));
                let batches: Vec<_> = batches.collect();
                database.table(name)?.insert_stream(stream::iter(batches)).await.map(drop)
            }
            Upsert(name, keys) => database.table(name)?.upsert(batch(keys, number)).await.map(drop),
            Delete(name, keys) => {
                database.table(name)?.delete(keys.iter().copied()).await.map(drop)
            }
            Truncate(_) | Move(..) | Renew(_) | Index(..) => {
                run_sql(&database.session(), &self.sql(number)).await
            }
            Transaction(statements) => {
                let session = database.session();
                run_sql(&session, "BEGIN").await?;
                for statement in statements {
                    run_sql(&session, &statement.sql(number)).await?;
                }
                run_sql(&session, "COMMIT").await
            }
            Checkpoint => database.checkpoint().await.map(drop),
            Compact => database.compact().await.map(drop),
        }
    }

    fn sql(&self, number: usize) -> String {
        let values = |keys: &[i64]| {
            let row = |key: &i64| format!("({key}, '{}')", text(*key, number));
            keys.iter().map(row).collect::<Vec<_>>().join(", ")
        };
        match self {
            Create(name) => format!("CREATE TABLE {name} (id BIGINT PRIMARY KEY, text TEXT)"),
            Drop(name) => format!("DROP TABLE {name}"),
            Insert(name, keys) | InsertMany(name, keys) => {
                format!("INSERT INTO {name} VALUES {}", values(keys))
            }
            Upsert(name, keys) => format!(
                "INSERT INTO {name} VALUES {} ON CONFLICT (id) DO UPDATE SET text = excluded.text",
                values(keys)
            ),
            Delete(name, keys) => {
                let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
                format!("DELETE FROM {name} WHERE id IN ({})", keys.join(", "))
            }
            Truncate(name) => format!("TRUNCATE TABLE {name}"),
            Index(name, unique) => format!(
                "CREATE {}INDEX {name}_by_text ON {name} (text, id)",
                if *unique { "UNIQUE " } else { "" }
            ),
            Renew(name) => format!(
                "ALTER TABLE {name} DROP COLUMN text, ADD COLUMN text TEXT DEFAULT '{number}'"
            ),
            Move(name, from, to, by) => {
                format!("UPDATE {name} SET id = id + {by} WHERE id >= {from} AND id < {to}")
            }
            Transaction(_) | Checkpoint | Compact => panic!("{self:?} is no statement of one"),
        }
    }

    /// What it makes of a state.
    pub fn apply(&self, state: &mut State, number: usize) {
        match self {
            Create(name) => {
                assert!(state.insert((*name).to_string(), BTreeMap::new()).is_none());
            }
            Drop(name) => assert!(state.remove(*name).is_some()),
            Insert(name, keys) | InsertMany(name, keys) => {
                let table = state.get_mut(*name).expect("a table");
                for key in keys {
                    assert!(table.insert(*key, text(*key, number)).is_none(), "{self:?}");
                }
            }
            Upsert(name, keys) => {
                let rows = keys.iter().map(|key| (*key, text(*key, number)));
                state.get_mut(*name).expect("a table").extend(rows);
            }
            Delete(name, keys) => {
                state.get_mut(*name).expect("a table").retain(|key, _| !keys.contains(key));
            }
            Truncate(name) => state.get_mut(*name).expect("a table").clear(),
            Renew(name) => {
                let rows = state.get_mut(*name).expect("a table").values_mut();
                rows.for_each(|text| *text = number.to_string());
            }
            Move(name, from, to, by) => {
                let table = state.get_mut(*name).expect("a table");
                let moved: Vec<_> = table.extract_if(from..to, |_, _| true).collect();
                for (key, text) in moved {
                    assert!(table.insert(key + by, text).is_none(), "{self:?}");
                }
            }
            Transaction(statements) => {
                statements.iter().for_each(|statement| statement.apply(state, number));
            }
            Checkpoint | Compact | Index(..) => {}
        }
    }
}

async fn run_sql(session: &Session, sql: &str) -> Result<()> {
    session.sql(sql).await?.collect().await?;
    Ok(())
}

/// Wide enough that a few hundred rows make a flush.
fn text(key: i64, number: usize) -> String {
    format!("{number}:{key}:{}", "x".repeat(key.unsigned_abs() as usize % 60))
}

fn batch(keys: &[i64], number: usize) -> RecordBatch {
    let fields =
        vec![Field::new("id", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    let texts = keys.iter().map(|key| Some(text(*key, number))).collect::<StringArray>();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(keys.to_vec())), Arc::new(texts)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The state before the script and after each of its statements.
pub fn states(script: &[Statement]) -> Vec<State> {
    let mut states = vec![State::new()];
    for (number, statement) in script.iter().enumerate() {
        let mut state = states.last().expect("a state").clone();
        statement.apply(&mut state, number);
        states.push(state);
    }
    states
}

/// What a database holds.
pub async fn read(database: &Database) -> Result<State> {
    let mut state = State::new();
    for name in database.table_names() {
        let table = database.table(&name)?;
        let rows: Vec<RecordBatch> = table.range::<Key>(..).try_collect().await?;
        let mut found = BTreeMap::new();
        for batch in &rows {
            let ids = batch.column(0).as_primitive::<Int64Type>();
            let texts = batch.column(1).as_string::<i32>();
            for row in 0..batch.num_rows() {
                let twice = found.insert(ids.value(row), texts.value(row).to_string());
                assert!(twice.is_none(), "{name}: key {} is there twice", ids.value(row));
            }
        }
        assert_eq!(table.row_count()?, found.len() as u64, "{name}: the count");
        if found.len() % LOOKED_UP_EVERY == 1 {
            check_lookups(database, &name, &found).await?;
        }
        state.insert(name, found);
    }
    Ok(state)
}

/// Whether rows are found by their texts, by an index if there is one.
async fn check_lookups(
    database: &Database,
    name: &str,
    rows: &BTreeMap<i64, String>,
) -> Result<()> {
    let session = database.session();
    for (_, text) in rows.first_key_value().into_iter().chain(rows.last_key_value()) {
        let sql = format!("SELECT id FROM {name} WHERE text = '{text}'");
        let found = session.sql(&sql).await?.collect().await?;
        let ids = found.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values());
        let ids: Vec<i64> = ids.copied().collect();
        let there = rows.iter().filter(|(_, other)| *other == text);
        let mut ids_there: Vec<i64> = there.map(|(id, _)| *id).collect();
        let mut ids = ids;
        ids.sort_unstable();
        ids_there.sort_unstable();
        assert_eq!(ids, ids_there, "{sql}");
    }
    Ok(())
}
