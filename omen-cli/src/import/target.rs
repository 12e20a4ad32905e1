//! The columns that rows are loaded into.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use crate::failure::{Failure, Result};
use crate::notes;

/// The table's columns; those of its key are NOT NULL.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// All columns, in the table's order.
    pub(super) schema: SchemaRef,
    key: Vec<String>,
    /// Whether the table exists, so that columns must be found in it by name.
    exists: bool,
}

impl Target {
    /// The columns of an existing table.
    pub(super) fn of_table(schema: SchemaRef, key: &[String]) -> Self {
        Self { schema, key: key.to_vec(), exists: true }
    }

    /// The inferred columns, with the key's made NOT NULL.
    pub(super) fn new_table(inferred: SchemaRef, key: &[String]) -> Result<Self> {
        for (index, name) in key.iter().enumerate() {
            let names = || inferred.fields().iter().map(|field| field.name().as_str());
            if !names().any(|known| known == name) {
                let hint = match notes::nearest(name, names()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("columns: {}", names().collect::<Vec<_>>().join(", ")),
                };
                return Err(Failure::Error(format!("--key: there is no column {name}; {hint}")));
            }
            if key[..index].contains(name) {
                return Err(Failure::Error(format!("--key names the column {name} twice")));
            }
        }
        let with_nullability = |field: &FieldRef| -> Field {
            field.as_ref().clone().with_nullable(!key.contains(field.name()))
        };
        let fields: Vec<Field> = inferred.fields().iter().map(with_nullability).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), key: key.to_vec(), exists: false })
    }

    /// For each column of a file, its position in the schema. Names match exactly, or else in one
    /// way with case aside. Fails if a column is unknown, or if one that must not be NULL is
    /// missing.
    pub(super) fn positions<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<usize>> {
        let mut positions = Vec::with_capacity(names.len());
        for name in names {
            let position = self.position(name.as_ref())?;
            if positions.contains(&position) {
                let name = name.as_ref();
                return Err(Failure::Error(format!("column \"{name}\" is there twice")));
            }
            positions.push(position);
        }
        for (index, field) in self.schema.fields().iter().enumerate() {
            if !field.is_nullable() && !positions.contains(&index) {
                let name = field.name();
                return Err(Failure::Error(format!(
                    "column \"{name}\" of the table is missing, and it must not be NULL"
                )));
            }
        }
        Ok(positions)
    }

    fn position(&self, name: &str) -> Result<usize> {
        let fields = self.schema.fields();
        if let Some(index) = fields.iter().position(|field| field.name() == name) {
            return Ok(index);
        }
        let alike: Vec<usize> = (0..fields.len())
            .filter(|index| fields[*index].name().eq_ignore_ascii_case(name))
            .collect();
        match alike.as_slice() {
            [index] if self.exists => Ok(*index),
            _ => Err(Failure::Error(format!(
                "column \"{name}\" is not in the table; its columns are {}",
                fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// How a NULL in a NOT NULL column is reported.
    pub(super) fn null_refused(&self, position: usize) -> String {
        let name = self.schema.field(position).name();
        let why = if self.key.contains(name) { "it is part of the key" } else { "it is NOT NULL" };
        format!("column \"{name}\" is NULL, but {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;

    fn schema(names: &[&str]) -> SchemaRef {
        let field = |name: &&str| Field::new(*name, DataType::Int64, true);
        Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
    }

    #[test]
    fn keys_become_not_null_and_must_exist() {
        let key = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let target = Target::new_table(schema(&["origin", "b"]), &key(&["b"])).unwrap();
        assert!(target.schema.field(0).is_nullable() && !target.schema.field(1).is_nullable());
        let Err(Failure::Error(message)) = Target::new_table(schema(&["origin"]), &key(&["orgin"]))
        else {
            panic!("accepted")
        };
        assert!(message.ends_with("did you mean origin?"), "{message}");
        assert!(Target::new_table(schema(&["a"]), &key(&["a", "a"])).is_err());
    }

    #[test]
    fn columns_are_matched_by_name() {
        let table = Target::of_table(schema(&["id", "name", "x"]), &[]);
        assert_eq!(table.positions(&["NAME", "id"]).unwrap(), [1, 0]);
        assert!(table.positions(&["id", "other"]).is_err());
        assert!(table.positions(&["id", "ID"]).is_err());
        let keyed = Target::new_table(schema(&["id", "name"]), &["id".to_string()]).unwrap();
        assert!(keyed.positions(&["name"]).is_err());
    }
}
