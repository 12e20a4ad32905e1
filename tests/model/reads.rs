//! Reading a snapshot as plain rows, and comparing them with those of the model.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use omen_provider::{Key, Snapshot, TableSnapshot};

use super::Outcome;
use super::kinds::{Kind, Parts, from_batch};
use super::world::{Content, Rows};

/// All rows of a table.
pub async fn read_table(snapshot: &Snapshot, name: &str, kind: Kind) -> Result<Rows, String> {
    let table = snapshot.table(name).ok_or(format!("{name} is not in its snapshot"))?;
    read_rows(&table, kind).await
}

/// All rows of a table, whose keys must ascend and be as many as it says.
pub async fn read_rows(table: &TableSnapshot, kind: Kind) -> Result<Rows, String> {
    let batches: Vec<_> = table.range::<Key>(..).try_collect().await.map_err(|e| e.to_string())?;
    let mut rows = Rows::new();
    for batch in &batches {
        for (key, values) in from_batch(kind, batch)? {
            if let Some((last, _)) = rows.last_key_value()
                && **last >= key
            {
                return Err(format!("{key:?} comes after {last:?}"));
            }
            rows.insert(Arc::new(key), Arc::new(values));
        }
    }
    match rows.len() as u64 == table.live_rows() {
        true => Ok(rows),
        false => Err(format!("{} rows, said to be {}", rows.len(), table.live_rows())),
    }
}

/// Compares batches with the rows of the model between two keys.
pub fn same_rows(
    what: &str,
    batches: &[RecordBatch],
    content: &Content,
    bounds: (Bound<&Parts>, Bound<&Parts>),
) -> Outcome {
    let mut expected = content.rows.iter().filter(|(key, _)| bounds.contains(&***key));
    for batch in batches {
        for (key, values) in from_batch(content.kind, batch)? {
            let next = expected.next();
            if next.is_none_or(|(k, v)| **k != key || **v != values) {
                return Err(format!("{what}: found {key:?}: {values:?}, expected {next:?}"));
            }
        }
    }
    expected.next().map_or(Ok(()), |missing| Err(format!("{what}: {missing:?} is missing")))
}

/// The first row that two tables do not share.
pub fn first_difference(found: &Rows, expected: &Rows) -> String {
    let extra = found.iter().find(|(key, values)| expected.get(*key) != Some(values));
    let missing = expected.iter().find(|(key, _)| !found.contains_key(*key));
    let (found, expected) = (found.len(), expected.len());
    format!("{found} rows for {expected}; wrong: {extra:?}; missing: {missing:?}")
}
