//! Which Arrow types a table can have: those that Parquet gives back unchanged.
//!
//! Asked once per column when a table is created. The answer is not a list that could differ from
//! what the Parquet library does: one row of the type is written and read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use crate::error::{Error, Result};

/// Refuses a column whose values would not come back from a segment as they were.
///
/// # Errors
/// [`Error::InvalidInput`] naming column and type.
pub fn check_storable(field: &Field) -> Result<()> {
    let refuse = |reason: String| {
        Error::invalid(format!(
            "column \"{}\" is of type {}, which Parquet cannot hold: {reason}",
            field.name(),
            field.data_type()
        ))
    };
    if let Some(scale) = negative_scale(field.data_type()) {
        return Err(refuse(format!("its scale {scale} is negative")));
    }
    // The libraries answer some types with a panic instead of an error.
    match catch_unwind(AssertUnwindSafe(|| write_and_read(field.data_type()))) {
        Ok(Ok(read)) if read == *field.data_type() => Ok(()),
        Ok(Ok(read)) => Err(refuse(format!("it comes back as {read}"))),
        Ok(Err(error)) => Err(refuse(error.to_string())),
        Err(_) => Err(refuse("there is no encoding for it".to_string())),
    }
}

/// The type that a column of `data_type` has when it is read from a Parquet file.
fn write_and_read(data_type: &DataType) -> Result<DataType, ParquetError> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", data_type.clone(), true)]));
    let row = RecordBatch::try_new(Arc::clone(&schema), vec![new_null_array(data_type, 1)])?;
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, schema, None)?;
    writer.write(&row)?;
    writer.close()?;
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file))?.build()?;
    match reader.next() {
        Some(batch) => Ok(batch?.schema().field(0).data_type().clone()),
        None => Err(ParquetError::General("the row does not come back".to_string())),
    }
}

/// Parquet's decimals have no negative scale; the writer does not notice.
fn negative_scale(data_type: &DataType) -> Option<i8> {
    use DataType::*;
    match data_type {
        Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale) => {
            (*scale < 0).then_some(*scale)
        }
        Dictionary(_, values) => negative_scale(values),
        List(f)
        | LargeList(f)
        | ListView(f)
        | LargeListView(f)
        | FixedSizeList(f, _)
        | Map(f, _) => negative_scale(f.data_type()),
        Struct(fields) => fields.iter().find_map(|f| negative_scale(f.data_type())),
        _ => None,
    }
}
