//! Parquet: the file has its types; columns are matched by name and cast where a table exists.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::source::Sink;
use super::target::Target;
use crate::failure::{Failure, Result};
use crate::progress::Progress;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// The columns of the file.
pub(super) fn infer(file: File) -> Result<SchemaRef> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    // Metadata such as field ids belongs to that file, not to the table.
    let plain = |field: &Arc<Field>| Field::new(field.name(), field.data_type().clone(), true);
    Ok(Arc::new(Schema::new(builder.schema().fields().iter().map(plain).collect::<Vec<_>>())))
}

/// Passes the rows on in the types of `target`.
pub(super) fn load(
    file: File,
    file_bytes: u64,
    target: &Target,
    progress: &Progress,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let rows_total = builder.metadata().file_metadata().num_rows().max(1).unsigned_abs();
    let names: Vec<String> =
        builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let positions = target.positions(&names)?;
    let mut rows = 0;
    for batch in builder.with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let batch_rows = batch.num_rows() as u64;
        if !sink(fit(&batch, &positions, target, rows)?) {
            return Ok(());
        }
        rows += batch_rows;
        progress.add_bytes(share(file_bytes, batch_rows, rows_total));
    }
    Ok(())
}

/// The bytes that stand for some of the rows.
fn share(bytes: u64, rows: u64, rows_total: u64) -> u64 {
    (u128::from(bytes) * u128::from(rows) / u128::from(rows_total)) as u64
}

/// The batch in the columns and types of `target`; `rows` of the file came before it.
pub(crate) fn fit(
    batch: &RecordBatch,
    positions: &[usize],
    target: &Target,
    rows: u64,
) -> Result<RecordBatch> {
    let schema = &target.schema;
    let mut columns: Vec<Option<ArrayRef>> = vec![None; schema.fields().len()];
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    for (column, &position) in batch.columns().iter().zip(positions) {
        let field = schema.field(position);
        if let Some(nulls) = column.logical_nulls().filter(|_| !field.is_nullable())
            && let Some(row) = (0..nulls.len()).find(|&row| nulls.is_null(row))
        {
            let row = rows + row as u64 + 1;
            return Err(Failure::Error(format!("row {row}: {}", target.null_refused(position))));
        }
        let cast = cast_with_options(column, field.data_type(), &strict).map_err(|error| {
            let after = rows + 1;
            Failure::Error(format!("column \"{}\", row {after} or later: {error}", field.name()))
        })?;
        columns[position] = Some(cast);
    }
    let columns = columns.into_iter().zip(schema.fields()).map(|(column, field)| {
        column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::datatypes::DataType;

    #[test]
    fn columns_are_matched_cast_and_checked() {
        let fields = vec![
            Field::new("x", DataType::Int32, false),
            Field::new("y", DataType::Utf8View, true),
            Field::new("z", DataType::Date32, true),
        ];
        let target = Target::of_table(Arc::new(Schema::new(fields)), &["x".to_string()]);
        let batch = |ids: Vec<Option<i64>>| {
            let names = StringArray::from(vec!["a"; ids.len()]);
            let ids: ArrayRef = Arc::new(Int64Array::from(ids));
            RecordBatch::try_from_iter([("y", Arc::new(names) as ArrayRef), ("x", ids)]).unwrap()
        };
        let positions = target.positions(&["y", "x"]).unwrap();
        let fitted = fit(&batch(vec![Some(1)]), &positions, &target, 0).unwrap();
        assert_eq!(fitted.column(0).as_ref(), &Int32Array::from(vec![1]) as &dyn Array);
        assert_eq!(fitted.column(2).null_count(), 1);
        let Err(Failure::Error(message)) =
            fit(&batch(vec![Some(1), None]), &positions, &target, 10)
        else {
            panic!("accepted")
        };
        assert_eq!(message, "row 12: column \"x\" is NULL, but it is part of the key");
        assert!(fit(&batch(vec![Some(1 << 40)]), &positions, &target, 0).is_err());
    }

    #[test]
    fn progress_ends_at_the_size_of_the_file() {
        assert_eq!(share(u64::MAX, 5, 5), u64::MAX);
        assert_eq!(share(100, 1, 4), 25);
    }
}
