//! The data inside the program: New York airport weather of 2013, hour by hour, and airports.
//!
//! Parquet files of `data/`, whose README names source and licence (CC0).

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::stream;
use omen_provider::{Database, Error, TableDefinition};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::failure::Result;
use crate::progress::Progress;

/// A table of the demo.
pub(super) struct DemoTable {
    /// Its name.
    pub(super) name: &'static str,
    /// Its primary key.
    pub(super) key: &'static [&'static str],
    /// Its rows.
    pub(super) rows: u64,
    parquet: &'static [u8],
}

/// Both tables.
pub(super) const TABLES: [DemoTable; 2] = [
    DemoTable {
        name: "weather",
        key: &["origin", "time_hour"],
        rows: 26_115,
        parquet: include_bytes!("../../../data/weather.parquet"),
    },
    DemoTable {
        name: "airports",
        key: &["faa"],
        rows: 1_458,
        parquet: include_bytes!("../../../data/airports.parquet"),
    },
];

impl DemoTable {
    /// Creates and fills the table, as one atomic statement.
    pub(super) async fn import(&self, database: &Database) -> Result<u64> {
        const BATCH_ROWS: usize = 1024;
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from_static(self.parquet))?;
        let definition = TableDefinition::new(self.name, builder.schema());
        let definition = definition.primary_key(self.key.to_vec());
        // The bar counts rows here: the data is in memory, and what takes time is storing it.
        let progress = Progress::new(self.name, self.rows);
        let counter = progress.clone();
        let batches = builder.with_batch_size(BATCH_ROWS).build()?.map(
            move |batch: Result<RecordBatch, ArrowError>| {
                let rows = batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                counter.add_bytes(rows);
                counter.add_rows(rows);
                batch.map_err(Error::from)
            },
        );
        let outcome = database.create_table_from(definition, stream::iter(batches)).await;
        progress.clear();
        Ok(outcome?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_data_is_whole() {
        for table in &TABLES {
            let bytes = Bytes::from_static(table.parquet);
            let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
            for key in table.key {
                assert!(builder.schema().column_with_name(key).is_some(), "{key}");
            }
            let rows: usize = builder.build().unwrap().map(|b| b.unwrap().num_rows()).sum();
            assert_eq!(rows as u64, table.rows, "{}", table.name);
        }
    }
}
