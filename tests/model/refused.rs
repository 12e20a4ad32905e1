//! Statements that must fail, with an error of the right kind, and change nothing.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use futures::stream;
use omen_provider::{Database, Error, Key, KeyValue, Result};

use super::Outcome;
use super::case::by_sql;
use super::kinds::{Kind, Parts, Values, to_batch, to_key, values_list};
use super::reads::{first_difference, read_table};
use super::steps::{Refused, RowList, Way};
use super::world::{Answer, Content};

/// How a statement failed.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It did not.
    None,
    InvalidInput,
    DuplicateKey,
    AlreadyExists,
    NotFound,
    /// DataFusion, or the stream, says what is wrong.
    Other,
}

/// Does it, on a table that may not be there; it must fail as it should and leave all as it was.
pub async fn check(
    database: &Database,
    table: &str,
    content: Option<&Content>,
    what: Refused,
) -> Outcome {
    let lsn = database.snapshot().lsn();
    let (found, expected) = match content {
        Some(content) => on_table(database, table, content.kind, what).await,
        None => without_table(database, table, what).await,
    };
    if !expected.contains(&found) {
        return Err(format!("{what:?} ended with {found:?}, expected one of {expected:?}"));
    }
    let after = database.snapshot();
    if after.lsn() != lsn {
        return Err(format!("{what:?} failed and moved lsn {lsn} to {}", after.lsn()));
    }
    let Some(content) = content else { return Ok(()) };
    let rows = read_table(&after, table, content.kind).await?;
    match rows == *content.rows {
        true => Ok(()),
        false => Err(format!("{what:?}: {}", first_difference(&rows, &content.rows))),
    }
}

async fn without_table(database: &Database, table: &str, what: Refused) -> (Failure, Vec<Failure>) {
    match what {
        Refused::Sql(sql) => {
            (sql_failure(database, sql, table).await, vec![Failure::Other, Failure::NotFound])
        }
        _ => (failure(database.drop_table(table, false).await), vec![Failure::NotFound]),
    }
}

async fn on_table(
    database: &Database,
    table: &str,
    kind: Kind,
    what: Refused,
) -> (Failure, Vec<Failure>) {
    use Failure::{AlreadyExists, DuplicateKey, InvalidInput, NotFound, Other};
    let name = kind.key_names()[0];
    let row = |number: u32| vec![(kind.key(number), (Some(1), None))];
    let with_key = |number: u32, column: ArrayRef| {
        let good = to_batch(kind, &row(number));
        let columns = std::iter::once((name, column));
        let rest = kind.names().into_iter().zip(good.columns().iter().cloned()).skip(1);
        RecordBatch::try_from_iter_with_nullable(columns.chain(rest).map(|(n, c)| (n, c, true)))
    };
    let behind_key = ["0", "'x'", "to_timestamp_micros(0)"];
    let rest = |first: &str| {
        let of_key = kind.key_names()[1..].iter().map(|name| match *name {
            "name" => behind_key[1],
            "at" => behind_key[2],
            _ => behind_key[0],
        });
        let values: Vec<&str> = std::iter::once(first).chain(of_key).collect();
        format!("INSERT INTO {table} VALUES ({}, 1, 'n')", values.join(", "))
    };
    match what {
        Refused::NullKey(Way::Sql, _) => {
            (sql_failure(database, &rest("NULL"), table).await, vec![InvalidInput, Other])
        }
        Refused::NullKey(way, number) => {
            let good = to_batch(kind, &row(number));
            let nothing = new_null_array(good.column(0).data_type(), 1);
            let bad = with_key(number, nothing).unwrap();
            (put(database, table, way, vec![Ok(good), Ok(bad)]).await, vec![InvalidInput])
        }
        Refused::WrongType(Way::Sql, _) if name != "name" => (
            sql_failure(database, &rest("'no such value'"), table).await,
            vec![InvalidInput, Other],
        ),
        Refused::WrongType(way, number) => {
            let bad = with_key(number, Arc::new(BooleanArray::from(vec![true]))).unwrap();
            let good = to_batch(kind, &row(number));
            (put(database, table, way, vec![Ok(good), Ok(bad)]).await, vec![InvalidInput])
        }
        Refused::MissingColumn(number) => {
            let bad = to_batch(kind, &row(number)).project(&[0]).unwrap();
            (put(database, table, Way::Batch, vec![Ok(bad)]).await, vec![InvalidInput])
        }
        Refused::UnknownColumn(number) => {
            let good = to_batch(kind, &row(number));
            let named = kind.names().into_iter().zip(good.columns().iter().cloned());
            let more = named.chain([("unknown", Arc::clone(good.column(0)))]);
            let bad = RecordBatch::try_from_iter(more).unwrap();
            (put(database, table, Way::Batch, vec![Ok(bad)]).await, vec![InvalidInput])
        }
        Refused::KeyTwice(Way::Sql, number) => {
            let rows: Vec<(Parts, Values)> = [row(number), row(number)].concat();
            let sql = format!("INSERT INTO {table} VALUES {}", values_list(kind, &rows));
            (sql_failure(database, &sql, table).await, vec![DuplicateKey])
        }
        Refused::KeyTwice(way, number) => {
            let batch = || Ok(to_batch(kind, &row(number)));
            (put(database, table, way, vec![batch(), batch()]).await, vec![DuplicateKey])
        }
        Refused::StreamFails(count) => {
            let mut batches = long(kind, count);
            batches.push(Err(Error::InvalidInput("the source failed".to_string())));
            let upsert = count % 2 == 0;
            let table = database.table(table).unwrap();
            let outcome = match upsert {
                true => table.upsert_stream(stream::iter(batches)).await,
                false => table.insert_stream(stream::iter(batches)).await,
            };
            // A key that is there may be met first.
            (failure(outcome), vec![InvalidInput, DuplicateKey])
        }
        Refused::LateDuplicate(count) => {
            let mut batches = long(kind, count);
            batches.push(Ok(to_batch(kind, &row(0))));
            (put(database, table, Way::Stream, batches).await, vec![DuplicateKey])
        }
        Refused::CreateAgain(Way::Sql) => {
            (sql_failure(database, &kind.create_sql(table), table).await, vec![AlreadyExists])
        }
        Refused::CreateAgain(Way::Batch) => {
            let made = database.create_table(Kind::Number.definition(table), false).await;
            (failure(made), vec![AlreadyExists])
        }
        Refused::CreateAgain(Way::Stream) => {
            let rows = stream::iter(long(kind, 200));
            let made = database.create_table_from(kind.definition(table), rows).await;
            (failure(made), vec![AlreadyExists])
        }
        Refused::BadDefinition => {
            let definition = kind.definition("bad").primary_key(["nothing"]);
            (failure(database.create_table(definition, false).await), vec![InvalidInput])
        }
        Refused::Sql(sql) => {
            (sql_failure(database, sql, table).await, vec![Other, InvalidInput, NotFound])
        }
        Refused::WrongKey => {
            let table = database.table(table).unwrap();
            let longer = [to_key(&kind.key(5)).0, vec![KeyValue::Int(1)]].concat();
            let got = table.get(Key(longer));
            (failure(got.await), vec![InvalidInput])
        }
    }
}

/// A stream that may be longer than memory holds, with the key of number 0 in front.
fn long(kind: Kind, count: u32) -> Vec<Result<RecordBatch>> {
    let list = RowList::Stretch { first: 0, count, step: 2, note: 50 };
    list.of(kind).chunks(100).map(|rows| Ok(to_batch(kind, rows))).collect()
}

async fn put(
    database: &Database,
    table: &str,
    way: Way,
    batches: Vec<Result<RecordBatch>>,
) -> Failure {
    let table = database.table(table).unwrap();
    if way == Way::Batch {
        let whole: Result<Vec<_>> = batches.into_iter().collect();
        let whole = whole.unwrap();
        // Batches of different columns cannot be put together: the last one is the bad one.
        let schema = whole.last().unwrap().schema();
        let same: Vec<_> = whole.iter().filter(|batch| batch.schema() == schema).collect();
        return match arrow::compute::concat_batches(&schema, same) {
            Ok(batch) => failure(table.insert(batch).await),
            Err(error) => panic!("{error}"),
        };
    }
    failure(table.insert_stream(stream::iter(batches)).await)
}

async fn sql_failure(database: &Database, sql: &str, table: &str) -> Failure {
    match by_sql(database, &sql.replace("{t}", table)).await {
        Answer::Count(_) => Failure::None,
        Answer::Duplicate => Failure::DuplicateKey,
        Answer::NoTable => Failure::NotFound,
        Answer::TableExists => Failure::AlreadyExists,
        Answer::Other(_) => Failure::Other,
    }
}

fn failure<T>(outcome: Result<T>) -> Failure {
    match outcome {
        Ok(_) => Failure::None,
        Err(Error::InvalidInput(_)) => Failure::InvalidInput,
        Err(Error::DuplicateKey { .. }) => Failure::DuplicateKey,
        Err(Error::AlreadyExists(_)) => Failure::AlreadyExists,
        Err(Error::NotFound(_)) => Failure::NotFound,
        Err(_) => Failure::Other,
    }
}
