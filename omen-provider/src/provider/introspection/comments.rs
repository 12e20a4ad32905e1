//! What is said of tables, columns, indexes, views and schemas: the rows of `omen_comments`.

use super::constraints::Names;
use super::rows::{Cell, Column, Type};
use crate::storage::snapshot::Snapshot;

pub(super) const COMMENTS: &[Column] = &[
    ("object_type", Type::Text, false),
    ("object_schema", Type::Text, false),
    ("object_name", Type::Text, false),
    ("table_name", Type::Text, true),
    ("comment", Type::Text, false),
];

/// One row for each comment: schemas, then tables with what is theirs, then views.
pub(super) fn comments(snapshot: &Snapshot, names: &Names) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let mut add = |kind: &str, schema: &str, name: &str, table: Option<&str>, text: &str| {
        let table = Cell::Text(table.map(str::to_string));
        rows.push(vec![kind.into(), schema.into(), name.into(), table, text.into()]);
    };
    let [schemas, views] = snapshot.comments();
    schemas.iter().for_each(|(name, text)| add("SCHEMA", name, name, None, text));
    for table in snapshot.table_names().iter().filter_map(|name| snapshot.table(name)) {
        let table = table.schema();
        let (schema, own) = (names.schema(table.schema_name()), table.own_name());
        let mut add = |kind: &str, name: &str, text: &Option<String>| {
            text.iter().for_each(|text| add(kind, schema, name, Some(own), text));
        };
        add("TABLE", own, &table.comment);
        table.columns.iter().for_each(|it| add("COLUMN", it.field.name(), &it.comment));
        table.indexes.iter().for_each(|it| add("INDEX", &it.index.name, &it.index.comment));
    }
    for (full, text) in views {
        let schema = snapshot.schema_of(full);
        let own = schema.map_or(full, |schema| &full[schema.len() + 1..]);
        add("VIEW", names.schema(schema), own, None, text);
    }
    rows
}
