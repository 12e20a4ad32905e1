//! INSERT: rows from a plan into the engine, as one atomic statement.
//!
//! Called by `DataSinkExec`, once per execution. The engine checks columns, NULLs and keys, and
//! names what is wrong; so the sink's own schema allows NULLs everywhere, or DataFusion would
//! refuse them first, by column number.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::datasource::sink::DataSink;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use futures::StreamExt;

use crate::storage::apply::WriteMode;
use crate::storage::engine::{Basis, Within};
use crate::storage::handle::Handle;
use crate::storage::schema::TableSchema;
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
        let schema = Arc::clone(self.table.schema());
        let rows = rows.map(move |batch| in_types_of(&schema, &batch?, 0)).boxed();
        let basis = Basis { within: self.within.clone(), since: 0, table: self.table.clone() };
        // It depends on nothing that is there: whatever others have written since, it is added.
        Ok(self.handle.engine().insert_rows(&basis, rows, self.mode, false).await?)
    }
}

/// `rows`, whose visible columns begin with column `first`, with these in the types of the table:
/// an expression may come to be of another type than it was when casts were planned (a CASE whose
/// first value alone has the column's).
pub(super) fn in_types_of(
    schema: &TableSchema,
    rows: &RecordBatch,
    first: usize,
) -> crate::Result<RecordBatch> {
    let visible = schema.visible().fields();
    let wanted = |at: usize| Some(visible.get(at.checked_sub(first)?)?.data_type());
    let is_other = |(at, array): (usize, &ArrayRef)| {
        wanted(at).is_some_and(|wanted| wanted != array.data_type())
    };
    if !rows.columns().iter().enumerate().any(is_other) {
        return Ok(rows.clone());
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let (mut columns, mut fields) = (Vec::new(), Vec::new());
    for (at, (array, field)) in rows.columns().iter().zip(rows.schema().fields()).enumerate() {
        let wanted = wanted(at).unwrap_or(field.data_type());
        columns.push(cast_with_options(array, wanted, &strict)?);
        fields.push(Field::new(field.name(), wanted.clone(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}
