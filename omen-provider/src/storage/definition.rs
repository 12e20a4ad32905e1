//! What a caller asks for when creating a table, before it has ids.

use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};

use super::schema::{Column, Identity, ROW_ID_COLUMN, SecondaryIndex, TableId, TableSchema};
use super::storable::check_storable;
use crate::error::{Error, Result};
use crate::expression::check::Check;

/// A table to be created.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// Its columns, each with the SQL text of its DEFAULT expression if it has one.
    pub columns: Vec<(Field, Option<String>)>,
    /// Names of the key columns, in key order; empty: a hidden ascending row id.
    pub key: Vec<String>,
    /// Conditions that no row may make false, each with the name of its constraint, as SQL text.
    pub checks: Vec<(String, String)>,
    /// The column whose values the table gives to rows that bring none.
    pub identity: Option<IdentityColumn>,
    /// Columns in which no two rows may have the same values, each with the name of the constraint.
    pub uniques: Vec<(String, Vec<String>)>,
}

/// An identity column to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityColumn {
    /// Its name.
    pub column: String,
    /// Whether rows of INSERT may not bring values of their own (those of an Arrow batch, of COPY
    /// and of UPDATE may).
    pub is_always: bool,
    /// The first number.
    pub start: i64,
    /// From one number to the next; above zero.
    pub increment: i64,
}

impl TableDefinition {
    /// A table with the columns of an Arrow schema and no primary key yet.
    pub fn new(name: impl Into<String>, schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|f| (f.as_ref().clone(), None)).collect();
        Self {
            name: name.into(),
            columns,
            key: Vec::new(),
            checks: Vec::new(),
            identity: None,
            uniques: Vec::new(),
        }
    }

    /// Sets the primary key.
    #[must_use]
    pub fn primary_key<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The schema of the table under `id`. `in_schema`: see [`TableSchema::in_schema`].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a definition that makes no table.
    pub(crate) fn into_schema(self, id: TableId, in_schema: bool) -> Result<Arc<TableSchema>> {
        if self.name.is_empty() {
            return Err(Error::invalid("a table needs a name"));
        }
        if self.columns.is_empty() {
            return Err(Error::invalid(format!("table \"{}\" needs a column", self.name)));
        }
        if self.columns.iter().any(|(field, _)| field.name() == ROW_ID_COLUMN) {
            return Err(Error::invalid(format!("the column name {ROW_ID_COLUMN} is reserved")));
        }
        if self.columns.iter().any(|(field, _)| field.name().is_empty()) {
            return Err(Error::invalid(format!(
                "a column of table \"{}\" needs a name",
                self.name
            )));
        }
        for (field, _) in &self.columns {
            check_storable(field)?;
        }
        let mut key = Vec::with_capacity(self.key.len());
        for name in &self.key {
            let index = self.columns.iter().position(|(f, _)| f.name() == name).ok_or_else(|| {
                Error::invalid(format!(
                    "the primary key of table \"{}\" names \"{name}\", which is no column of it",
                    self.name
                ))
            })?;
            if key.contains(&index) {
                return Err(Error::invalid(format!("the primary key names \"{name}\" twice")));
            }
            key.push(index);
        }
        let identity = self.identity.as_ref().map(|identity| identity.column.clone());
        let columns = self
            .columns
            .into_iter()
            .zip(1..)
            .map(|((field, default), id)| {
                let takes_null = field.is_nullable() && identity.as_ref() != Some(field.name());
                let field = Arc::new(field.with_nullable(takes_null));
                Column { default, ..Column::new(id, field) }
            })
            .collect();
        let mut schema = TableSchema::new(id, self.name, columns, key)?;
        schema.in_schema = in_schema;
        for (name, condition) in self.checks {
            let check = Check::parse(name, &condition, schema.own_name())?;
            schema.add_check(check)?;
        }
        let identity = match self.identity {
            Some(identity) => Some(identity_of(&schema, &identity)?),
            None => None,
        };
        let uniques = (1..).zip(self.uniques).map(|(id, (name, columns))| {
            let columns = columns.iter().map(|column| column_id(&schema, column));
            let columns = columns.collect::<Result<_>>()?;
            let (is_unique, is_constraint, comment) = (true, true, None);
            Ok(SecondaryIndex { id, name, columns, is_unique, is_constraint, comment })
        });
        let uniques = uniques.collect::<Result<Vec<_>>>()?;
        let next_id = uniques.len() as u32 + 1;
        Ok(Arc::new(schema.with_indexes(uniques, next_id)?.with_identity(identity)?))
    }
}

fn identity_of(schema: &TableSchema, identity: &IdentityColumn) -> Result<Identity> {
    let mut columns = schema.columns.iter();
    let name = &identity.column;
    let Some(column) = columns.find(|column| column.field.name() == name) else {
        let of = &schema.name;
        return Err(Error::invalid(format!(
            "table \"{of}\" has no column \"{name}\", which is to be its identity column"
        )));
    };
    if column.default.is_some() {
        return Err(Error::invalid(format!(
            "column \"{name}\" of table \"{}\" has a DEFAULT and is an identity column; one of \
             both gives its values",
            schema.name
        )));
    }
    let IdentityColumn { is_always, start, increment, .. } = *identity;
    Ok(Identity { column: column.id, is_always, start, increment })
}

/// The id of a column that UNIQUE names.
fn column_id(schema: &TableSchema, name: &str) -> Result<u32> {
    let mut columns = schema.columns.iter();
    let column = columns.find(|column| column.field.name() == name);
    column.map(|column| column.id).ok_or_else(|| {
        let of = &schema.name;
        Error::invalid(format!(
            "UNIQUE of table \"{of}\" names \"{name}\", which is no column of it"
        ))
    })
}
