//! INSERT: rows from a plan into the engine, as one atomic statement.
//!
//! Called by `DataSinkExec`, once per execution. The engine checks columns, NULLs and keys, and
//! names what is wrong; so the sink's own schema allows NULLs everywhere, or DataFusion would
//! refuse them first, by column number.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::sink::DataSink;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use futures::StreamExt;

use crate::error::Error;
use crate::storage::apply::WriteMode;
use crate::storage::engine::{Basis, Within};
use crate::storage::handle::Handle;
use crate::storage::snapshot::TableSnapshot;

/// Writes rows into one table.
#[derive(Debug)]
pub(super) struct InsertSink {
    handle: Arc<Handle>,
    table: TableSnapshot,
    within: Within,
    mode: WriteMode,
    schema: SchemaRef,
}

impl InsertSink {
    pub(super) fn new(
        handle: Arc<Handle>,
        table: TableSnapshot,
        within: Within,
        mode: WriteMode,
    ) -> Self {
        let fields = table.schema().visible().fields().iter();
        let nullable: Vec<_> = fields.map(|f| f.as_ref().clone().with_nullable(true)).collect();
        Self { handle, table, within, mode, schema: Arc::new(Schema::new(nullable)) }
    }
}

impl DisplayAs for InsertSink {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        let verb = match self.mode {
            WriteMode::Insert => "insert",
            WriteMode::Upsert | WriteMode::Update | WriteMode::Merge => "upsert",
        };
        write!(f, "{verb} into {}", self.table.schema().name)
    }
}

#[async_trait]
impl DataSink for InsertSink {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(
        &self,
        rows: SendableRecordBatchStream,
        _context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let rows = rows.map(|batch| batch.map_err(Error::from)).boxed();
        let basis = Basis { within: self.within.clone(), since: 0, table: self.table.clone() };
        // It depends on nothing that is there: whatever others have written since, it is added.
        Ok(self.handle.engine().insert_rows(&basis, rows, self.mode, false).await?)
    }
}
