//! fjall with every commit synced (`PersistMode::SyncData`).
//!
//! Called by [`super::CONTENDERS`]. Keys are big-endian, whose order is that of the numbers from 0.

use std::ops::Range;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Result, Statement, Store, value_bytes, value_of};

struct Fjall {
    database: Database,
    readings: Keyspace,
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Store>> {
    let database = Database::builder(path).open()?;
    let readings = database.keyspace("readings", KeyspaceCreateOptions::default)?;
    Ok(Box::new(Fjall { database, readings }))
}

impl Store for Fjall {
    fn statement(&self, ids: Range<i64>) -> Statement<'_> {
        let rows: Vec<(i64, Vec<u8>)> = ids.map(|id| (id, value_bytes(id))).collect();
        Box::new(move || {
            let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
            for (id, value) in rows {
                batch.insert(&self.readings, id.to_be_bytes(), value);
            }
            Ok(batch.commit()?)
        })
    }

    fn rows(&self) -> Result<Vec<(i64, f64)>> {
        let mut rows = Vec::new();
        for row in self.readings.iter() {
            let (key, bytes) = row.into_inner()?;
            let key: [u8; 8] = key.as_ref().try_into()?;
            rows.push((i64::from_be_bytes(key), value_of(&bytes)?));
        }
        Ok(rows)
    }
}
