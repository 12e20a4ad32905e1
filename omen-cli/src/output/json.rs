//! JSON: one array of objects, or one object a line, through Arrow's own encoders.
//!
//! NULL is written as `null`, never left out. Columns of the same name (`SELECT a.id, b.id`) get
//! `_1`, `_2`, … so that no value is lost. NaN and infinities, which JSON lacks, become `null`.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::writer::{JsonArray, LineDelimited, Writer, WriterBuilder};

use super::Printer;
use super::cell::Cells;
use crate::failure::Result;

enum Encoder {
    Array(Writer<Vec<u8>, JsonArray>),
    Lines(Writer<Vec<u8>, LineDelimited>),
}

/// Prints JSON.
pub(super) struct JsonPrinter {
    encoder: Encoder,
    schema: SchemaRef,
}

impl JsonPrinter {
    /// One array.
    pub(super) fn array(schema: &SchemaRef) -> Self {
        Self { encoder: Encoder::Array(builder().build(Vec::new())), schema: encodable(schema) }
    }

    /// One object a line.
    pub(super) fn lines(schema: &SchemaRef) -> Self {
        Self { encoder: Encoder::Lines(builder().build(Vec::new())), schema: encodable(schema) }
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        match &mut self.encoder {
            Encoder::Array(writer) => writer.get_mut(),
            Encoder::Lines(writer) => writer.get_mut(),
        }
    }

    fn pass_on(&mut self, out: &mut dyn Write) -> Result<()> {
        let bytes = self.bytes();
        out.write_all(bytes)?;
        bytes.clear();
        Ok(())
    }
}

impl Printer for JsonPrinter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let batch = encodable_batch(batch, &self.schema)?;
        match &mut self.encoder {
            Encoder::Array(writer) => writer.write(&batch)?,
            Encoder::Lines(writer) => writer.write(&batch)?,
        }
        self.pass_on(out)
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<u64> {
        match &mut self.encoder {
            Encoder::Array(writer) => {
                writer.finish()?;
                writer.get_mut().push(b'\n');
            }
            Encoder::Lines(writer) => writer.finish()?,
        }
        self.pass_on(out)?;
        Ok(0)
    }
}

fn builder() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true)
}

/// The schema with unique names, and text in place of types that the encoder refuses.
fn encodable(schema: &SchemaRef) -> SchemaRef {
    let mut taken: HashSet<String> = HashSet::new();
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let mut name = field.name().clone();
            let mut count = 0;
            while !taken.insert(name.clone()) {
                count += 1;
                name = format!("{}_{count}", field.name());
            }
            let text = matches!(field.data_type(), DataType::Union(_, _));
            let data_type = if text { DataType::Utf8 } else { field.data_type().clone() };
            Field::new(name, data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn encodable_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (index, cells) in Cells::of_batch(batch)?.iter().enumerate() {
        let (Some(column), field) = (columns.get_mut(index), schema.field(index)) else { continue };
        if column.data_type() != field.data_type() {
            let texts: StringArray = (0..batch.num_rows()).map(|row| cells.text(row)).collect();
            *column = Arc::new(texts);
        }
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
