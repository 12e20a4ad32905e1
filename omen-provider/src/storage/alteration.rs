//! ALTER TABLE: the schema of a table with one thing changed.
//!
//! No row is written anew: columns are matched by id, so that parts which were written before read
//! as the schema of today says. Pure: schema in, schema out. Called by the engine, whose statement
//! logs the whole new schema.
//!
//! Invariant: the key stays: its columns, their types and their order. (They may be renamed.)

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field};

use super::comment::comment as checked_comment;
use super::schema::{Column, IndexSchema, ROW_ID_COLUMN, SecondaryIndex, TableSchema};
use super::schema_names::full_name;
use super::storable::check_storable;
use super::system_tables::refuse_reserved;
use crate::error::{Error, Result};
use crate::expression::check::Check;

mod widening;

use widening::is_wider;

/// Memory of the value of a new column in rows that there are: each of those in memory has it.
const MISSING_BYTES_MAX: usize = 4 << 10;

/// One change of a table.
#[derive(Debug, Clone)]
pub enum Alteration {
    /// A further column, behind all others.
    AddColumn {
        /// Name, type, nullability.
        field: Field,
        /// The SQL text of its DEFAULT.
        default: Option<String>,
        /// The value, one row, of the rows that there are; none: NULL.
        missing: Option<ArrayRef>,
    },
    /// A column less.
    DropColumn(String),
    /// Another name for a column.
    RenameColumn {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// Another name for the table, in its schema.
    RenameTable(String),
    /// Another DEFAULT, or none.
    SetDefault {
        /// The column.
        column: String,
        /// The SQL text.
        default: Option<String>,
    },
    /// NULL is not taken any more; no row has it.
    SetNotNull(String),
    /// NULL is taken.
    DropNotNull(String),
    /// A condition that no row may make false; none does.
    AddCheck(Check),
    /// A condition or a UNIQUE less.
    DropConstraint(String),
    /// A secondary index.
    AddIndex {
        /// Its name.
        name: String,
        /// Its columns, in order.
        columns: Vec<String>,
        /// Whether no two rows may have the same values; none do.
        is_unique: bool,
        /// Whether it goes by DROP CONSTRAINT.
        is_constraint: bool,
    },
    /// An index less.
    DropIndex(String),
    /// No two rows may have the same values in an index that there is; none do.
    MakeUnique(String),
    /// What is said of it, or nothing.
    Comment {
        /// Of what.
        on: Commented,
        /// The text.
        text: Option<String>,
    },
    /// A type that has all values of the old one.
    Widen {
        /// The column.
        column: String,
        /// The new type.
        to: DataType,
    },
}

/// What a comment is about.
#[derive(Debug, Clone)]
pub enum Commented {
    /// The table.
    Table,
    /// A column.
    Column(String),
    /// An index.
    Index(String),
}

impl Alteration {
    /// The schema of `table` with this changed.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] saying why it cannot be, [`Error::NotFound`] for a column that there
    /// is not.
    pub fn apply(&self, table: &TableSchema) -> Result<TableSchema> {
        let mut columns = table.columns.clone();
        let mut key = table.key.clone();
        let mut name = table.name.clone();
        let mut next_column_id = table.next_column_id;
        let mut checks = table.checks.clone();
        let mut added_check = None;
        let mut indexes: Vec<SecondaryIndex> =
            table.indexes.iter().map(|index| index.index.clone()).collect();
        let mut next_index_id = table.next_index_id;
        let mut identity = table.identity;
        let mut comment = table.comment.clone();
        match self {
            Self::AddColumn { field, default, missing } => {
                let column = added(table, field, default, missing)?;
                let place = table.visible().fields().len();
                columns.insert(place, column);
                key.iter_mut().filter(|index| **index >= place).for_each(|index| *index += 1);
                next_column_id += 1;
            }
            Self::DropColumn(column) => {
                let place = place(table, column)?;
                refuse_key(table, place, "cannot be dropped")?;
                if table.visible().fields().len() == 1 {
                    return Err(Error::invalid(format!(
                        "column \"{column}\" is the only one of table \"{}\"; DROP TABLE drops \
                         the whole table",
                        table.name
                    )));
                }
                let dropped = columns.remove(place).id;
                // As PostgreSQL does: what is about the column goes with it.
                indexes.retain(|index| !index.columns.contains(&dropped));
                identity = identity.filter(|identity| identity.column != dropped);
                checks = without_column(checks, column)?;
                key.iter_mut().filter(|index| **index > place).for_each(|index| *index -= 1);
            }
            Self::RenameColumn { from, to } => {
                check_name(table, to)?;
                let column = &mut columns[place(table, from)?];
                column.field = Arc::new(column.field.as_ref().clone().with_name(to));
                let renamed = checks.iter().map(|check| check.with_column_renamed(from, to));
                checks = renamed.collect::<Result<_>>()?;
            }
            Self::RenameTable(to) => {
                if to.is_empty() {
                    return Err(Error::invalid("a table needs a name"));
                }
                if to == table.own_name() {
                    return Err(Error::AlreadyExists(format!("table \"{to}\", which is this one")));
                }
                refuse_reserved(to)?;
                name = full_name(table.schema_name(), to);
            }
            Self::SetDefault { column, default } => {
                let place = place(table, column)?;
                refuse_identity(table, place, "has no DEFAULT")?;
                columns[place].default.clone_from(default);
            }
            Self::SetNotNull(column) => {
                let column = &mut columns[place(table, column)?];
                column.is_required |= column.field.is_nullable();
            }
            Self::DropNotNull(column) => {
                let place = place(table, column)?;
                refuse_key(table, place, "is always NOT NULL")?;
                refuse_identity(table, place, "is always NOT NULL")?;
                let column = &mut columns[place];
                column.is_required = false;
                column.field = Arc::new(column.field.as_ref().clone().with_nullable(true));
            }
            Self::AddCheck(check) => added_check = Some(check.clone()),
            Self::DropConstraint(name) => {
                let count = checks.len() + indexes.len();
                checks.retain(|check| check.name != *name);
                indexes.retain(|index| !(index.is_constraint && index.name == *name));
                if checks.len() + indexes.len() == count {
                    return Err(no_constraint(table, name));
                }
            }
            Self::AddIndex { name, columns, is_unique, is_constraint } => {
                let id = |column: &String| Ok(table.columns[place(table, column)?].id);
                indexes.push(SecondaryIndex {
                    id: next_index_id,
                    name: name.clone(),
                    columns: columns.iter().map(id).collect::<Result<_>>()?,
                    is_unique: *is_unique,
                    is_constraint: *is_constraint,
                    comment: None,
                });
                next_index_id += 1;
            }
            Self::DropIndex(name) => {
                let place = index_place(table, name)?;
                if indexes.remove(place).is_constraint {
                    return Err(Error::invalid(format!(
                        "index \"{name}\" is a constraint of table \"{0}\"; ALTER TABLE {0} DROP \
                         CONSTRAINT {name} drops it",
                        table.name
                    )));
                }
            }
            Self::MakeUnique(name) => indexes[index_place(table, name)?].is_unique = true,
            Self::Comment { on, text } => {
                let text = checked_comment(text.as_deref())?;
                match on {
                    Commented::Table => comment = text,
                    Commented::Column(column) => columns[place(table, column)?].comment = text,
                    Commented::Index(name) => indexes[index_place(table, name)?].comment = text,
                }
            }
            Self::Widen { column, to } => {
                let place = place(table, column)?;
                refuse_indexed(table, place, to)?;
                widen(table, place, &mut columns[place], to)?;
            }
        }
        let (id, hidden_key) = (table.id, table.hidden_key);
        let mut altered =
            TableSchema::restore(id, name, columns, key, hidden_key, next_column_id, checks)?
                .with_indexes(indexes, next_index_id)?
                .with_identity(identity)?;
        (altered.in_schema, altered.comment) = (table.in_schema, comment);
        added_check.map_or(Ok(()), |check| altered.add_check(check))?;
        altered.check_conditions()?;
        Ok(altered)
    }
}

fn without_column(checks: Vec<Check>, column: &str) -> Result<Vec<Check>> {
    let mut kept = Vec::with_capacity(checks.len());
    for check in checks {
        if !check.columns()?.contains(column) {
            kept.push(check);
        }
    }
    Ok(kept)
}

fn no_constraint(table: &TableSchema, name: &str) -> Error {
    let constraints = table.indexes.iter().filter(|index| index.index.is_constraint);
    let unique = constraints.map(|index| index.index.name.as_str());
    let names: Vec<_> =
        table.checks.iter().map(|check| check.name.as_str()).chain(unique).collect();
    let have = if names.is_empty() { "none".to_string() } else { names.join(", ") };
    let of = &table.name;
    Error::NotFound(format!("constraint \"{name}\" of table \"{of}\"; constraints to drop: {have}"))
}

/// Where an index is among those of its table.
fn index_place(table: &TableSchema, name: &str) -> Result<usize> {
    let place = table.indexes.iter().position(|index| index.index.name == name);
    place.ok_or_else(|| Error::NotFound(format!("index \"{name}\" of table \"{}\"", table.name)))
}

/// Entries are of the type that the column had when they were made.
fn refuse_indexed(table: &TableSchema, place: usize, to: &DataType) -> Result<()> {
    let is_over = |index: &&IndexSchema| index.places.contains(&place);
    match table.indexes.iter().find(is_over) {
        Some(index) if table.columns[place].field.data_type() != to => {
            Err(Error::invalid(format!(
                "column \"{}\" of table \"{}\" is in index \"{}\" and keeps its type; drop the \
                 index first, and create it again afterwards",
                table.columns[place].field.name(),
                table.name,
                index.index.name
            )))
        }
        _ => Ok(()),
    }
}

fn added(
    table: &TableSchema,
    field: &Field,
    default: &Option<String>,
    missing: &Option<ArrayRef>,
) -> Result<Column> {
    check_name(table, field.name())?;
    check_storable(field)?;
    if let Some(value) = missing
        && value.get_array_memory_size() > MISSING_BYTES_MAX
    {
        return Err(Error::invalid(format!(
            "the DEFAULT of column \"{}\" is too long for the rows that there are (limit: \
             {MISSING_BYTES_MAX} bytes); ADD COLUMN without it, then ALTER COLUMN … SET DEFAULT",
            field.name()
        )));
    }
    // Rows that are deleted have NULL where there is no value.
    let is_required = !field.is_nullable() && missing.is_none();
    let field = field.clone().with_nullable(field.is_nullable() || is_required);
    Ok(Column {
        default: default.clone(),
        missing: missing.clone(),
        is_required,
        ..Column::new(table.next_column_id, Arc::new(field))
    })
}

/// Where a column is that SQL sees.
fn place(table: &TableSchema, name: &str) -> Result<usize> {
    let found = table.visible().column_with_name(name);
    found.map(|(place, _)| place).ok_or_else(|| {
        let names: Vec<_> = table.visible().fields().iter().map(|f| f.name().as_str()).collect();
        Error::NotFound(format!(
            "column \"{name}\" of table \"{}\"; its columns: {}",
            table.name,
            names.join(", ")
        ))
    })
}

fn check_name(table: &TableSchema, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(format!("a column of table \"{}\" needs a name", table.name)));
    }
    if name == ROW_ID_COLUMN {
        return Err(Error::invalid(format!("the column name {ROW_ID_COLUMN} is reserved")));
    }
    if table.visible().column_with_name(name).is_some() {
        let of = &table.name;
        return Err(Error::AlreadyExists(format!("column \"{name}\" of table \"{of}\"")));
    }
    Ok(())
}

fn refuse_key(table: &TableSchema, place: usize, what: &str) -> Result<()> {
    if !table.key.contains(&place) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "column \"{}\" is in the PRIMARY KEY of table \"{}\" and {what}; for another key, CREATE \
         TABLE … AS SELECT",
        table.columns[place].field.name(),
        table.name
    )))
}

fn refuse_identity(table: &TableSchema, place: usize, what: &str) -> Result<()> {
    match table.identity_place() == Some(place) {
        false => Ok(()),
        true => Err(Error::invalid(format!(
            "column \"{}\" of table \"{}\" is an identity column, whose values the table gives, \
             and {what}",
            table.columns[place].field.name(),
            table.name
        ))),
    }
}

fn widen(table: &TableSchema, place: usize, column: &mut Column, to: &DataType) -> Result<()> {
    let from = column.field.data_type().clone();
    if from == *to {
        return Ok(());
    }
    refuse_key(table, place, "keeps its type")?;
    if !is_wider(to, &from) {
        return Err(Error::invalid(format!(
            "column \"{}\" of table \"{}\" is of type {from}, which does not become {to}: numbers \
             become wider ones, texts and bytes longer ones; ADD COLUMN of that type and UPDATE, \
             which can say what becomes of the values",
            column.field.name(),
            table.name
        )));
    }
    column.field = Arc::new(column.field.as_ref().clone().with_data_type(to.clone()));
    check_storable(&column.field)?;
    if let Some(value) = &mut column.missing {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        *value = cast_with_options(value, to, &strict)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
