//! Bad input is refused with an error that says what is wrong, as a whole, on every medium.

mod bulk;
mod names;
mod opening;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use futures::stream;
use omen_provider::{Database, Error, Key, Options, TableDefinition};

use crate::harness::media::Medium;
use crate::harness::{block_on, drawn, query};

fn table(name: &str, columns: Vec<Field>, key: &[&str]) -> TableDefinition {
    TableDefinition {
        name: name.to_string(),
        columns: columns.into_iter().map(|field| (field, None)).collect(),
        key: key.iter().map(ToString::to_string).collect(),
        checks: Vec::new(),
        uniques: Vec::new(),
        identity: None,
    }
}

fn id_and_name() -> Vec<Field> {
    let name = Field::new("name", DataType::Utf8, false);
    vec![Field::new("id", DataType::Int64, false), name, Field::new("v", DataType::Float64, true)]
}

fn rows(ids: Vec<i64>) -> RecordBatch {
    let names: Vec<_> = ids.iter().map(|id| format!("n{id}")).collect();
    let values = ids.iter().map(|id| *id as f64).collect::<Float64Array>();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(ids)), Arc::new(StringArray::from(names)), Arc::new(values)];
    RecordBatch::try_new(Arc::new(Schema::new(id_and_name())), columns).unwrap()
}

/// A table with keys 1, 2, 3; half of them in a segment.
async fn with_three_rows(medium: &Medium) -> Database {
    let database = medium.open(Options::default()).await.unwrap();
    database.create_table(table("t", id_and_name(), &["id"]), false).await.unwrap();
    let t = database.table("t").unwrap();
    t.insert(rows(vec![1, 2])).await.unwrap();
    database.checkpoint().await.unwrap();
    t.insert(rows(vec![3])).await.unwrap();
    database
}

async fn assert_untouched(database: &Database) {
    let batches = query(database, "SELECT * FROM t ORDER BY id").await;
    let all = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(all.columns(), rows(vec![1, 2, 3]).columns());
    assert_eq!(database.table("t").unwrap().row_count().unwrap(), 3);
}

#[test]
fn a_duplicate_key_names_table_constraint_and_key() {
    for medium in Medium::all() {
        block_on(async {
            let database = with_three_rows(&medium).await;
            let t = database.table("t").unwrap();
            for (ids, key) in [(vec![7, 2], "2"), (vec![3, 8], "3"), (vec![9, 9], "9")] {
                match t.insert(rows(ids)).await {
                    Err(Error::DuplicateKey { table, constraint, key: found }) => {
                        assert_eq!((table.as_str(), constraint.as_str()), ("t", "t_pkey"));
                        assert!(found.contains("id") && found.contains(key), "{found}");
                    }
                    other => panic!("{other:?}"),
                }
                assert_untouched(&database).await;
            }
            // In the second batch of a stream: the first is not kept either.
            let batches = [Ok(rows(vec![11, 12])), Ok(rows(vec![13, 1]))];
            let refused = t.insert_stream(stream::iter(batches)).await;
            assert!(matches!(refused, Err(Error::DuplicateKey { .. })), "{refused:?}");
            assert_untouched(&database).await;
            drop((t, database));
            let database = medium.open(Options::default()).await.unwrap();
            assert_untouched(&database).await;
        });
    }
}

#[test]
fn wrong_columns_are_refused_by_name() {
    block_on(async {
        let medium = Medium::disk();
        let database = with_three_rows(&medium).await;
        let t = database.table("t").unwrap();
        let nulls = Field::new("id", DataType::Int64, true);
        let schema = Schema::new([vec![nulls], id_and_name()[1..].to_vec()].concat());
        let good = rows(vec![5]);
        let null_key = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from(vec![None])),
                Arc::clone(good.column(1)),
                Arc::clone(good.column(2)),
            ],
        );
        let (id, name, v) = (good.column(0), good.column(1), good.column(2));
        let named = |columns: &[(&str, &ArrayRef)]| {
            RecordBatch::try_from_iter(columns.iter().map(|(n, c)| (*n, Arc::clone(c)))).unwrap()
        };
        let missing = named(&[("id", id)]);
        let wrong_type = named(&[("id", name), ("name", name), ("v", v)]);
        let unknown = named(&[("id", id), ("name", name), ("v", v), ("w", id)]);
        let nothing = Arc::new(StringArray::from(vec![None::<&str>])) as ArrayRef;
        let null_name = named(&[("id", id), ("name", &nothing), ("v", v)]);
        let cases = [
            (null_key.unwrap(), "id"),
            (null_name, "name"),
            (missing, "name"),
            (wrong_type, "id"),
            (unknown, "w"),
        ];
        for (batch, column) in cases {
            for upsert in [false, true] {
                let outcome = match upsert {
                    true => t.upsert(batch.clone()).await,
                    false => t.insert(batch.clone()).await,
                };
                match outcome {
                    Err(Error::InvalidInput(message)) => {
                        assert!(message.contains(column), "{column} in {message}");
                    }
                    other => panic!("{column}: {other:?}"),
                }
            }
            assert_untouched(&database).await;
        }
        // An Int32 key is another type than the column's; a narrower one is not silently taken
        // for text.
        for wrong in [Key::from("three"), Key::from(3.5), Key::from(u64::MAX)] {
            let refused = t.get(wrong).await;
            assert!(matches!(refused, Err(Error::InvalidInput(_))), "{refused:?}");
        }
        let long_key = t.get(Key::from((3, 4))).await;
        assert!(matches!(long_key, Err(Error::InvalidInput(_))), "{long_key:?}");
        let narrow = t.get(Key::from(Arc::new(Int32Array::from(vec![3])) as ArrayRef)).await;
        assert_eq!(narrow.unwrap().unwrap().columns(), rows(vec![3]).columns());
    });
}

/// DataFusion's planner answers the first with a panic.
#[test]
fn statements_without_sense_are_errors() {
    block_on(async {
        let database = with_three_rows(&Medium::disk()).await;
        for sql in [
            "SELECT (SELECT FROM t) + 1",
            "SELECT (SELECT id, name FROM t WHERE id = 1) + 1",
            "SELECT * FROM (SELECT FROM t) a JOIN t ON a.id = t.id",
        ] {
            let frame = database.session().sql(sql).await;
            assert!(frame.is_err(), "{sql}");
        }
        assert_untouched(&database).await;
    });
}

#[test]
fn files_of_the_database_are_kept_from_statements() {
    block_on(async {
        let medium = Medium::disk();
        let database = with_three_rows(&medium).await;
        let own = medium.folder().display();
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("a.parquet");
        for sql in [
            format!("COPY (SELECT 1 AS a) TO '{own}/segments/0000000100000001.parquet'"),
            format!("EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO '{own}/segments/new.parquet'"),
            format!("COPY t TO 'file://{own}/manifest/new' STORED AS CSV"),
            format!("CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION '{own}/segments/'"),
            format!("COPY t TO '{own}/new' (FORMAT csv, PARTITION_BY (name))"),
            format!("COPY t FROM '{own}/segments/*.parquet'"),
            format!("EXPORT DATABASE '{own}/exported'"),
            format!("IMPORT DATABASE '{own}'"),
        ] {
            let refused = database.session().sql(&sql).await.unwrap_err().to_string();
            assert!(refused.contains("lies in the directory of"), "{sql}: {refused}");
        }
        query(&database, &format!("COPY t TO '{}'", file.display())).await;
        assert!(file.exists());
        assert_untouched(&database).await;
    });
}

#[test]
fn columns_are_matched_by_name() {
    block_on(async {
        let medium = Medium::disk();
        let database = medium.open(Options::default()).await.unwrap();
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let fields = vec![field("id"), field("a"), field("b")];
        database.create_table(table("t", fields, &["id"]), false).await.unwrap();
        let t = database.table("t").unwrap();
        let column = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        let rows = [("b", column(3)), ("id", column(1)), ("a", column(2))];
        t.insert(RecordBatch::try_from_iter(rows).unwrap()).await.unwrap();
        let found = t.get(1).await.unwrap().unwrap();
        assert_eq!(found.columns(), [column(1), column(2), column(3)]);
        // A column that may be NULL must be given all the same.
        let missing = RecordBatch::try_from_iter([("id", column(2)), ("a", column(2))]).unwrap();
        match t.insert(missing).await {
            Err(Error::InvalidInput(message)) => assert!(message.contains("\"b\""), "{message}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(t.row_count().unwrap(), 1);
    });
}

#[test]
fn nan_is_no_key_and_zero_is_one() {
    block_on(async {
        let medium = Medium::disk();
        let database = medium.open(Options::default()).await.unwrap();
        let fields = vec![Field::new("k", DataType::Float64, false)];
        database.create_table(table("f", fields.clone(), &["k"]), false).await.unwrap();
        let f = database.table("f").unwrap();
        let batch = |values: Vec<f64>| {
            let column = Arc::new(Float64Array::from(values)) as ArrayRef;
            RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), vec![column]).unwrap()
        };
        let refused = [
            f.insert(batch(vec![1.0, f64::NAN])).await.err(),
            f.upsert(batch(vec![-f64::NAN])).await.err(),
            f.get(f64::NAN).await.err(),
        ];
        for refusal in refused {
            assert!(matches!(refusal, Some(Error::InvalidInput(_))), "{refusal:?}");
        }
        assert_eq!(f.row_count().unwrap(), 0);
        f.insert(batch(vec![0.0, f64::INFINITY, f64::NEG_INFINITY])).await.unwrap();
        let refused = f.insert(batch(vec![-0.0])).await;
        assert!(matches!(refused, Err(Error::DuplicateKey { .. })), "{refused:?}");
        assert!(f.get(-0.0).await.unwrap().is_some());
    });
}

#[test]
fn every_column_of_a_key_is_checked() {
    block_on(async {
        let medium = Medium::disk();
        let database = medium.open(Options::default()).await.unwrap();
        let fields = vec![
            Field::new("name", DataType::Utf8, false),
            Field::new("x", DataType::Float32, false),
        ];
        database.create_table(table("c", fields, &["name", "x"]), false).await.unwrap();
        let c = database.table("c").unwrap();
        let insert = async |values: Vec<Option<f32>>| {
            let x = Arc::new(Float32Array::from(values)) as ArrayRef;
            let name = Arc::new(StringArray::from(vec!["a"; x.len()])) as ArrayRef;
            c.insert(RecordBatch::try_from_iter([("name", name), ("x", x)]).unwrap()).await
        };
        insert(vec![Some(1.0), Some(2.0)]).await.unwrap();
        for values in [vec![Some(3.0), Some(f32::NAN)], vec![Some(3.0), None]] {
            match insert(values).await {
                Err(Error::InvalidInput(message)) => {
                    assert!(message.contains("\"x\""), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
        let refused = insert(vec![Some(3.0), Some(2.0)]).await;
        assert!(matches!(refused, Err(Error::DuplicateKey { .. })), "{refused:?}");
        let refused = insert(vec![Some(3.0), Some(3.0)]).await;
        assert!(matches!(refused, Err(Error::DuplicateKey { .. })), "{refused:?}");
        // A part of a key is no key.
        let refused = [c.get("a").await.err(), c.delete(["a"]).await.err()];
        for refusal in refused {
            assert!(matches!(refusal, Some(Error::InvalidInput(_))), "{refusal:?}");
        }
        assert_eq!(c.row_count().unwrap(), 2);
    });
}

#[test]
fn a_table_that_cannot_be_is_refused() {
    block_on(async {
        let medium = Medium::disk();
        let database = with_three_rows(&medium).await;
        let again = database.create_table(table("t", id_and_name(), &["name"]), false).await;
        assert!(matches!(again, Err(Error::AlreadyExists(_))), "{:?}", again.err());
        database.create_table(table("t", id_and_name(), &["name"]), true).await.unwrap();
        let list = DataType::new_list(DataType::Int64, true);
        let cases = [
            table("a", id_and_name(), &["nosuch"]),
            table("a", id_and_name(), &["id", "id"]),
            table("a", vec![Field::new("k", list, false)], &["k"]),
            table("a", [id_and_name(), id_and_name()].concat(), &["id"]),
            table("a", vec![], &[]),
            table("", id_and_name(), &["id"]),
        ];
        for case in cases {
            let what = format!("{case:?}");
            let made = database.create_table(case, false).await;
            assert!(matches!(made, Err(Error::InvalidInput(_))), "{what}: {:?}", made.err());
        }
        assert_eq!(database.table_names(), ["t"]);
        assert!(matches!(database.table("nosuch").err(), Some(Error::NotFound(_))));
        assert_untouched(&database).await;
    });
}

#[test]
fn a_failing_stream_leaves_nothing() {
    for medium in Medium::all() {
        block_on(async {
            let database = with_three_rows(&medium).await;
            let t = database.table("t").unwrap();
            let mut batches: Vec<_> = (0..50).map(|i| Ok(rows(vec![100 + i]))).collect();
            batches.push(Err(Error::InvalidInput("line 51 is bad".to_string())));
            let refused = t.insert_stream(stream::iter(batches)).await.unwrap_err();
            assert!(refused.to_string().contains("line 51 is bad"), "{refused}");
            assert_untouched(&database).await;
            let plan = drawn(&database, "EXPLAIN SELECT * FROM t WHERE id = 120").await;
            assert!(plan.contains("rows=0/3"), "{plan}");
        });
    }
}
