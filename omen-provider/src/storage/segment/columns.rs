//! Which column of the file holds which column of the table.
//!
//! Columns are matched by id, never by name or place: a renamed column is found, one that was added
//! later is absent from the file and reads as [`Column::absent`] says, a dropped one is left alone.
//!
//! [`Column::absent`]: crate::storage::schema::Column::absent

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use crate::error::{Error, Result};
use crate::storage::schema::TableSchema;

/// The match of a table's columns and a file's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ColumnMap {
    /// For each stored column of the table: the root column of the file.
    roots: Vec<Option<usize>>,
    /// For each root column of the file: its leaf columns.
    leaves: Vec<Range<usize>>,
}

impl ColumnMap {
    /// Matches by id; the error says which key column is missing.
    pub(super) fn new(schema: &TableSchema, parquet: &ArrowReaderMetadata) -> Result<Self, String> {
        let file = parquet.parquet_schema();
        let fields = file.root_schema().get_fields();
        let ids: HashMap<i32, usize> = (fields.iter().enumerate())
            .filter(|(_, field)| field.get_basic_info().has_id())
            .map(|(root, field)| (field.get_basic_info().id(), root))
            .collect();
        let mut leaves = vec![0..0; fields.len()];
        for leaf in 0..file.num_columns() {
            let range: &mut Range<usize> = &mut leaves[file.get_column_root_idx(leaf)];
            let start = if range.end == 0 { leaf } else { range.start };
            *range = start..leaf + 1;
        }
        let root = |id: u32| i32::try_from(id).ok().and_then(|id| ids.get(&id).copied());
        let roots: Vec<_> = schema.columns.iter().map(|column| root(column.id)).collect();
        match schema.key.iter().find(|&&key| roots[key].is_none()) {
            Some(&key) => Err(format!("no key column \"{}\"", schema.columns[key].field.name())),
            None => Ok(Self { roots, leaves }),
        }
    }

    /// The root column of the file that holds stored column `column`.
    pub(super) fn root(&self, column: usize) -> Option<usize> {
        self.roots[column]
    }

    /// Whether the file has the table's columns in their order, and no others.
    pub(super) fn is_straight(&self) -> bool {
        self.roots.len() == self.leaves.len()
            && self.roots.iter().enumerate().all(|(column, root)| *root == Some(column))
    }

    /// The leaf columns of a root column of the file.
    pub(super) fn leaves(&self, root: usize) -> Range<usize> {
        self.leaves[root].clone()
    }

    /// Root columns of the file.
    pub(super) fn roots(&self) -> usize {
        self.leaves.len()
    }
}

/// What a read returns: stored columns of the table in the order asked for.
#[derive(Debug, Clone)]
pub(super) struct Projection {
    /// Indices into the stored schema.
    pub columns: Vec<usize>,
    /// The schema of the answer.
    pub schema: SchemaRef,
}

impl Projection {
    /// `columns` of the table, or all; an error for an index past the last.
    pub(super) fn new(table: &TableSchema, columns: Option<&[usize]>) -> Result<Self> {
        let stored = table.stored();
        let Some(columns) = columns else {
            let columns = (0..stored.fields().len()).collect();
            return Ok(Self { columns, schema: Arc::clone(stored) });
        };
        let field = |&column: &usize| stored.fields().get(column).cloned();
        let fields: Option<Vec<_>> = columns.iter().map(field).collect();
        let fields = fields.ok_or_else(|| Error::invalid(format!("columns {columns:?}")))?;
        let schema = Arc::new(Schema::new_with_metadata(fields, stored.metadata().clone()));
        Ok(Self { columns: columns.to_vec(), schema })
    }
}

/// `array` as the table declares it.
pub(super) fn conform(array: ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    match array.data_type() == wanted {
        true => Ok(array),
        false => Ok(cast(&array, wanted)?),
    }
}
