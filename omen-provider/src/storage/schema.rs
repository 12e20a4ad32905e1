//! What a table is: named, typed columns with stable ids, and a primary key.
//!
//! A column keeps its id for life; Parquet files carry it as field id, so that later changes of
//! names and columns rewrite nothing. A table without PRIMARY KEY has a hidden ascending row id as
//! key: the last stored column, absent from the schema that SQL sees.
//!
//! Invariant: key columns are NOT NULL and of a type that [`super::key`] can order.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, UInt32Array, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::key::KeyCodec;
mod identity;
mod index;

pub use identity::Identity;
pub use index::{IndexSchema, SecondaryIndex};

use crate::error::{Error, Result};
use crate::expression::check::{Check, Checks};

/// Name of the hidden key column of a table without PRIMARY KEY.
pub const ROW_ID_COLUMN: &str = "_omen_row_id";

/// The metadata key under which Parquet readers and writers keep a field id.
pub const FIELD_ID_KEY: &str = "PARQUET:field_id";

/// Identifies a table for the life of a database; never reused.
pub type TableId = u32;

/// A stored column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Stable id, unique in the table, never reused, starting at 1.
    pub id: u32,
    /// Name, type, nullability.
    pub field: Arc<Field>,
    /// DEFAULT expression as SQL text.
    pub default: Option<String>,
    /// The value, one row, of rows that were written before there was the column; NULL if there is
    /// none.
    pub missing: Option<ArrayRef>,
    /// Whether it was declared NOT NULL when there were rows already. No live row has NULL then,
    /// but deleted ones in files may, so that the field stays nullable.
    pub is_required: bool,
    /// What is said of it.
    pub comment: Option<String>,
}

impl Column {
    /// A column of a new table, without DEFAULT.
    pub fn new(id: u32, field: Arc<Field>) -> Self {
        Self { id, field, default: None, missing: None, is_required: false, comment: None }
    }

    /// Whether rows may have NULL in it.
    pub fn takes_null(&self) -> bool {
        self.field.is_nullable() && !self.is_required
    }

    /// Its values in rows that were written before there was the column.
    pub fn absent(&self, rows: usize) -> Result<ArrayRef> {
        match &self.missing {
            Some(value) => Ok(take(value, &UInt32Array::from(vec![0; rows]), None)?),
            None => Ok(new_null_array(self.field.data_type(), rows)),
        }
    }
}

/// A table's columns and key.
#[derive(Debug, Clone)]
pub struct TableSchema {
    /// The table's id.
    pub id: TableId,
    /// The table's name; `a.t` for the table t of schema a.
    pub name: String,
    /// Whether it is in a schema other than `public`, the one that its name begins with.
    pub in_schema: bool,
    /// All stored columns, the hidden row id (if any) last.
    pub columns: Vec<Column>,
    /// Indices into `columns`, in key order; never empty.
    pub key: Vec<usize>,
    /// Whether the key is the hidden row id.
    pub hidden_key: bool,
    /// The id that the next added column gets.
    pub next_column_id: u32,
    /// Conditions that no row may make false, in the order of their declaration.
    pub checks: Vec<Check>,
    compiled_checks: OnceLock<Arc<Checks>>,
    /// Secondary indexes, in the order of their declaration.
    pub indexes: Vec<IndexSchema>,
    /// The id that the next index gets.
    pub next_index_id: u32,
    /// The column whose values the table gives, if there is one.
    pub identity: Option<Identity>,
    /// What is said of it.
    pub comment: Option<String>,
    stored: SchemaRef,
    visible: SchemaRef,
    codec: Arc<KeyCodec>,
}

impl TableSchema {
    /// Checks and completes a schema. `key` holds indices into `columns`; an empty key adds the
    /// hidden row id. Key columns become NOT NULL.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for duplicate column names, key columns of a type without an order,
    /// or types that Parquet cannot hold.
    pub fn new(
        id: TableId,
        name: impl Into<String>,
        columns: Vec<Column>,
        key: Vec<usize>,
    ) -> Result<Self> {
        let name = name.into();
        let mut columns = columns;
        let mut key = key;
        let mut next_column_id = columns.iter().map(|c| c.id).max().unwrap_or(0) + 1;
        let hidden_key = key.is_empty();
        if hidden_key {
            key.push(columns.len());
            let field = Arc::new(Field::new(ROW_ID_COLUMN, DataType::Int64, false));
            columns.push(Column::new(next_column_id, field));
            next_column_id += 1;
        }
        Self::restore(id, name, columns, key, hidden_key, next_column_id, Vec::new())
    }

    /// Rebuilds a schema read from the manifest or the log, with the same checks.
    pub fn restore(
        id: TableId,
        name: String,
        mut columns: Vec<Column>,
        key: Vec<usize>,
        hidden_key: bool,
        next_column_id: u32,
        checks: Vec<Check>,
    ) -> Result<Self> {
        let mut seen = HashMap::new();
        for (index, column) in columns.iter().enumerate() {
            if seen.insert(column.field.name().clone(), index).is_some() {
                return Err(Error::invalid(format!(
                    "table \"{name}\" has two columns named \"{}\"",
                    column.field.name()
                )));
            }
        }
        for &index in &key {
            let Some(column) = columns.get_mut(index) else {
                return Err(Error::invalid(format!("table \"{name}\" has no column {index}")));
            };
            if column.field.is_nullable() {
                column.field = Arc::new(column.field.as_ref().clone().with_nullable(false));
            }
        }
        let stored = Arc::new(Schema::new(
            columns.iter().map(|c| with_field_id(&c.field, c.id)).collect::<Vec<_>>(),
        ));
        let visible_count = columns.len() - usize::from(hidden_key);
        let visible = Arc::new(Schema::new(
            columns[..visible_count].iter().map(|c| Arc::clone(&c.field)).collect::<Vec<_>>(),
        ));
        let codec = Arc::new(KeyCodec::new(key.iter().map(|&i| columns[i].field.as_ref()))?);
        Ok(Self {
            id,
            name,
            in_schema: false,
            columns,
            key,
            hidden_key,
            next_column_id,
            checks,
            compiled_checks: OnceLock::new(),
            indexes: Vec::new(),
            next_index_id: 1,
            identity: None,
            comment: None,
            stored,
            visible,
            codec,
        })
    }

    /// The schema that it is in, if that is another one than `public`.
    pub fn schema_name(&self) -> Option<&str> {
        self.name.split_once('.').filter(|_| self.in_schema).map(|(schema, _)| schema)
    }

    /// Its name within its schema.
    pub fn own_name(&self) -> &str {
        match self.name.split_once('.') {
            Some((_, own)) if self.in_schema => own,
            _ => &self.name,
        }
    }

    /// The same table with these secondary indexes and no others.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for one that cannot be, [`Error::AlreadyExists`] for a name that the
    /// table has twice.
    pub fn with_indexes(mut self, indexes: Vec<SecondaryIndex>, next_id: u32) -> Result<Self> {
        self.indexes = Vec::with_capacity(indexes.len());
        for index in indexes {
            let is_taken = self.has_constraint(&index.name)
                || self.indexes.iter().any(|other| other.index.id == index.id);
            if is_taken || index.id >= next_id {
                return Err(Error::AlreadyExists(format!(
                    "constraint or index \"{}\" of table \"{}\"",
                    index.name, self.name
                )));
            }
            self.indexes.push(IndexSchema::new(&self.name, &self.columns, index)?);
        }
        self.next_index_id = next_id;
        Ok(self)
    }

    /// The same table with this identity column, which takes no NULL, or with none.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for one that cannot be.
    pub fn with_identity(mut self, identity: Option<Identity>) -> Result<Self> {
        if let Some(identity) = &identity {
            identity.check(&self.name, &self.columns)?;
        }
        self.identity = identity;
        Ok(self)
    }

    /// Where the identity column is among the stored ones.
    pub fn identity_place(&self) -> Option<usize> {
        let identity = self.identity.as_ref()?;
        self.columns.iter().position(|column| column.id == identity.column)
    }

    /// The schema of the entries of an index: all columns are its key, and all but the last, the
    /// position of the row, take NULL.
    fn of_entries(index: &str, fields: Vec<Field>) -> Result<Self> {
        let key: Vec<usize> = (0..fields.len()).collect();
        let codec = KeyCodec::of_entries(fields.iter())?;
        let columns = (1..).zip(fields).map(|(id, field)| Column::new(id, Arc::new(field)));
        let columns: Vec<Column> = columns.collect();
        let mut schema = Self::restore(
            0,
            index.to_string(),
            columns.clone(),
            key,
            false,
            columns.len() as u32 + 1,
            Vec::new(),
        )?;
        let stored = columns.iter().map(|c| with_field_id(&c.field, c.id)).collect::<Vec<_>>();
        schema.stored = Arc::new(Schema::new(stored));
        schema.visible = Arc::clone(&schema.stored);
        schema.columns = columns;
        schema.codec = Arc::new(codec);
        Ok(schema)
    }

    /// Whether the primary key, a CHECK or an index has this name.
    pub fn has_constraint(&self, name: &str) -> bool {
        name == self.constraint_name()
            || self.checks.iter().any(|check| check.name == name)
            || self.indexes.iter().any(|other| other.index.name == name)
    }

    /// The Arrow schema of stored rows, field ids in its metadata, hidden row id included.
    pub fn stored(&self) -> &SchemaRef {
        &self.stored
    }

    /// The Arrow schema that SQL and callers see.
    pub fn visible(&self) -> &SchemaRef {
        &self.visible
    }

    /// One more condition.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it cannot be one, [`Error::AlreadyExists`] if its name is taken.
    pub fn add_check(&mut self, check: Check) -> Result<()> {
        if self.has_constraint(&check.name) {
            return Err(Error::AlreadyExists(format!(
                "constraint \"{}\" of table \"{}\"",
                check.name, self.name
            )));
        }
        Checks::compile(std::slice::from_ref(&check), &self.visible)?;
        self.checks.push(check);
        self.compiled_checks = OnceLock::new();
        Ok(())
    }

    /// Whether all conditions make sense.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for the first one that does not.
    pub fn check_conditions(&self) -> Result<()> {
        Checks::compile(&self.checks, &self.visible).map(drop)
    }

    /// Refuses stored rows for which a CHECK is false.
    ///
    /// # Errors
    /// [`Error::CheckViolation`], [`Error::InvalidInput`] if a condition does not make sense any
    /// more.
    pub fn check(&self, rows: &RecordBatch) -> Result<()> {
        if self.checks.is_empty() {
            return Ok(());
        }
        let compiled = match self.compiled_checks.get() {
            Some(compiled) => compiled,
            None => {
                let compiled = Arc::new(Checks::compile(&self.checks, &self.visible)?);
                self.compiled_checks.get_or_init(|| compiled)
            }
        };
        compiled.check(&self.name, self.visible.fields().len(), rows)
    }

    /// Encodes the keys of this table.
    pub fn codec(&self) -> &Arc<KeyCodec> {
        &self.codec
    }

    /// Whether its keys are those of `other`: the same columns, of the same types.
    pub fn has_key_of(&self, other: &Self) -> bool {
        let key = |schema: &Self| -> Vec<(u32, DataType)> {
            let columns = schema.key.iter().map(|&index| &schema.columns[index]);
            columns.map(|column| (column.id, column.field.data_type().clone())).collect()
        };
        self.id == other.id && self.hidden_key == other.hidden_key && key(self) == key(other)
    }

    /// Whether all rows that were made ready for `other` may be written as they are. (Entries in
    /// indexes are made when they are written.)
    pub fn takes_rows_of(&self, other: &Self) -> bool {
        let required = |schema: &Self| -> Vec<bool> {
            schema.columns.iter().map(Column::takes_null).collect()
        };
        self.stored == other.stored
            && self.checks == other.checks
            && required(self) == required(other)
    }

    /// Stored rows of the table as it was, `before`, as it is now.
    pub fn converted(&self, before: &Self, rows: &RecordBatch) -> Result<RecordBatch> {
        let convert = |column: &Column| -> Result<ArrayRef> {
            let found = before.columns.iter().position(|before| before.id == column.id);
            let Some(found) = found.map(|index| rows.column(index)) else {
                return column.absent(rows.num_rows());
            };
            match found.data_type() == column.field.data_type() {
                true => Ok(Arc::clone(found)),
                false => Ok(cast(found, column.field.data_type())?),
            }
        };
        let columns = self.columns.iter().map(convert).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.stored), columns, &options)?)
    }

    /// The name of the primary key constraint, as PostgreSQL would call it.
    pub fn constraint_name(&self) -> String {
        format!("{}_pkey", self.own_name())
    }

    /// The key columns' names, in key order.
    pub fn key_names(&self) -> Vec<&str> {
        self.key.iter().map(|&i| self.columns[i].field.name().as_str()).collect()
    }
}

fn with_field_id(field: &Field, id: u32) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(FIELD_ID_KEY.to_string(), id.to_string());
    field.clone().with_metadata(metadata)
}
