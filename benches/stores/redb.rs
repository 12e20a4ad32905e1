//! redb with its default durability: a commit is synced before it returns.
//!
//! Called by [`super::CONTENDERS`].

use std::ops::Range;
use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Result, Statement, Store, value_bytes, value_of};

const READINGS: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("readings");

struct Redb(Database);

pub(super) fn open(path: &Path) -> Result<Box<dyn Store>> {
    let database = Database::create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(READINGS)?;
    transaction.commit()?;
    Ok(Box::new(Redb(database)))
}

impl Store for Redb {
    fn statement(&self, ids: Range<i64>) -> Statement<'_> {
        let rows: Vec<(i64, Vec<u8>)> = ids.map(|id| (id, value_bytes(id))).collect();
        Box::new(move || {
            let mut transaction = self.0.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            {
                let mut table = transaction.open_table(READINGS)?;
                for (id, value) in &rows {
                    table.insert(id, value.as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn rows(&self) -> Result<Vec<(i64, f64)>> {
        let table = self.0.begin_read()?.open_table(READINGS)?;
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (id, bytes) = row?;
            rows.push((id.value(), value_of(bytes.value())?));
        }
        Ok(rows)
    }
}
