//! The metadata of a file as a reader may see it that matches columns by name.
//!
//! Our own reading goes by ids. A reader that goes by names (DataFusion's) gets the metadata with
//! the table's names of today: a renamed column has its new one, and one that the table does not
//! have any more a name that nobody gives. Called where a segment is opened for a schema.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use super::columns::ColumnMap;
use crate::storage::schema::TableSchema;

/// Begins the names of columns that the table does not have.
const DROPPED: &str = "\u{1}dropped ";

/// The metadata with the names that columns have in `schema`.
pub(super) fn with_names_of(
    schema: &TableSchema,
    columns: &ColumnMap,
    parquet: &ArrowReaderMetadata,
) -> Result<Arc<ParquetMetaData>> {
    let metadata = parquet.metadata();
    let file = metadata.file_metadata();
    let fields = file.schema_descr().root_schema().get_fields();
    let names: Vec<String> = (0..fields.len()).map(|root| name(schema, columns, root)).collect();
    if fields.iter().zip(&names).all(|(field, name)| field.name() == name) {
        return Ok(Arc::clone(metadata));
    }
    let renamed: Vec<_> = fields.iter().zip(&names).map(renamed).collect::<Result<_>>()?;
    let root = Type::group_type_builder(file.schema_descr().root_schema().name());
    let root = Arc::new(root.with_fields(renamed).build()?);
    let arrow = parquet.schema().fields().iter().zip(&names);
    let arrow = arrow.map(|(field, name)| Arc::new(Field::clone(field).with_name(name)));
    let arrow = Schema::new(arrow.collect::<Vec<_>>());
    let mut notes = file.key_value_metadata().cloned().unwrap_or_default();
    notes.retain(|note| note.key != ARROW_SCHEMA_META_KEY);
    let arrow = encode_arrow_schema(&arrow);
    notes.push(KeyValue { key: ARROW_SCHEMA_META_KEY.to_string(), value: Some(arrow) });
    let named = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_string),
        Some(notes),
        Arc::new(SchemaDescriptor::new(root)),
        file.column_orders().cloned(),
    );
    let built = ParquetMetaDataBuilder::new(named)
        .set_row_groups(metadata.row_groups().to_vec())
        .set_column_index(metadata.column_index().cloned())
        .set_offset_index(metadata.offset_index().cloned())
        .build();
    Ok(Arc::new(built))
}

/// What a root column of the file is called in the table.
fn name(schema: &TableSchema, columns: &ColumnMap, root: usize) -> String {
    let column = (0..schema.columns.len()).find(|&column| columns.root(column) == Some(root));
    match column {
        Some(column) => schema.columns[column].field.name().clone(),
        None => format!("{DROPPED}{root}"),
    }
}

fn renamed((field, name): (&TypePtr, &String)) -> Result<TypePtr> {
    let info = field.get_basic_info();
    if info.name() == name {
        return Ok(Arc::clone(field));
    }
    let id = info.has_id().then(|| info.id());
    let built = match field.as_ref() {
        Type::PrimitiveType { physical_type, type_length, scale, precision, .. } => {
            Type::primitive_type_builder(name, *physical_type)
                .with_repetition(info.repetition())
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_length(*type_length)
                .with_scale(*scale)
                .with_precision(*precision)
                .with_id(id)
                .build()?
        }
        Type::GroupType { fields, .. } => Type::group_type_builder(name)
            .with_repetition(info.repetition())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_fields(fields.clone())
            .with_id(id)
            .build()?,
    };
    Ok(Arc::new(built))
}
