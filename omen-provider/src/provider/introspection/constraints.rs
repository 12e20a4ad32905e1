//! What tables declare: keys, UNIQUE, CHECK and indexes, as rows of `information_schema`.
//!
//! Columns are those of the SQL standard as PostgreSQL has them; `statistics`, the indexes, is as
//! MySQL has it, for the standard knows no indexes. Names of constraints are unique in a table, so
//! `check_constraints` names it too.

use super::rows::{Cell, Column, Type};
use crate::storage::schema::{IndexSchema, TableSchema};
use crate::storage::snapshot::Snapshot;

pub(super) const TABLE_CONSTRAINTS: &[Column] = &[
    ("constraint_catalog", Type::Text, false),
    ("constraint_schema", Type::Text, false),
    ("constraint_name", Type::Text, false),
    ("table_catalog", Type::Text, false),
    ("table_schema", Type::Text, false),
    ("table_name", Type::Text, false),
    ("constraint_type", Type::Text, false),
    ("is_deferrable", Type::Text, false),
    ("initially_deferred", Type::Text, false),
    ("enforced", Type::Text, false),
    ("nulls_distinct", Type::Text, true),
];

pub(super) const KEY_COLUMN_USAGE: &[Column] = &[
    ("constraint_catalog", Type::Text, false),
    ("constraint_schema", Type::Text, false),
    ("constraint_name", Type::Text, false),
    ("table_catalog", Type::Text, false),
    ("table_schema", Type::Text, false),
    ("table_name", Type::Text, false),
    ("column_name", Type::Text, false),
    ("ordinal_position", Type::Number, false),
    ("position_in_unique_constraint", Type::Number, true),
];

pub(super) const CHECK_CONSTRAINTS: &[Column] = &[
    ("constraint_catalog", Type::Text, false),
    ("constraint_schema", Type::Text, false),
    ("constraint_name", Type::Text, false),
    ("check_clause", Type::Text, false),
    ("table_name", Type::Text, false),
];

pub(super) const STATISTICS: &[Column] = &[
    ("table_catalog", Type::Text, false),
    ("table_schema", Type::Text, false),
    ("table_name", Type::Text, false),
    ("non_unique", Type::Number, false),
    ("index_schema", Type::Text, false),
    ("index_name", Type::Text, false),
    ("seq_in_index", Type::Number, false),
    ("column_name", Type::Text, false),
    ("nullable", Type::Text, false),
    ("index_type", Type::Text, false),
];

/// How SQL names the catalog of the tables, and their schemas.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) catalog: String,
    /// What `public` is called.
    pub(super) public: String,
}

impl Names {
    /// The name of a schema.
    pub(super) fn schema<'a>(&'a self, name: Option<&'a str>) -> &'a str {
        name.unwrap_or(&self.public)
    }

    /// The cells that name something in the schema of a table.
    fn cells(&self, table: &TableSchema, name: &str) -> [Cell; 3] {
        let schema = self.schema(table.schema_name());
        [self.catalog.as_str().into(), schema.into(), name.into()]
    }
}

/// The tables of a snapshot, by name.
fn tables(snapshot: &Snapshot) -> Vec<std::sync::Arc<TableSchema>> {
    let names = snapshot.table_names();
    let tables = names.iter().filter_map(|name| snapshot.table(name));
    tables.map(|table| std::sync::Arc::clone(table.schema())).collect()
}

/// The primary key, if it is declared, and the UNIQUE constraints: names and columns.
fn keys(table: &TableSchema) -> Vec<(String, &'static str, Vec<&str>)> {
    let primary = (table.constraint_name(), "PRIMARY KEY", table.key_names());
    let is_unique = |index: &&IndexSchema| index.index.is_constraint;
    let uniques = table.indexes.iter().filter(is_unique);
    let uniques = uniques.map(|i| (i.index.name.clone(), "UNIQUE", i.names(table)));
    std::iter::once(primary).filter(|_| !table.hidden_key).chain(uniques).collect()
}

/// One row for each constraint.
pub(super) fn table_constraints(snapshot: &Snapshot, names: &Names) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for table in tables(snapshot) {
        let mut add = |name: &str, kind: &str| {
            let mut row = names.cells(&table, name).to_vec();
            row.extend(names.cells(&table, table.own_name()));
            let nulls_distinct = (kind == "UNIQUE").then(|| "YES".to_string());
            row.extend([kind.into(), "NO".into(), "NO".into(), "YES".into()]);
            row.push(nulls_distinct.into());
            rows.push(row);
        };
        keys(&table).iter().for_each(|(name, kind, _)| add(name, kind));
        table.checks.iter().for_each(|check| add(&check.name, "CHECK"));
    }
    rows
}

/// One row for each column of a key, in its order.
pub(super) fn key_column_usage(snapshot: &Snapshot, names: &Names) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for table in tables(snapshot) {
        for (name, _, columns) in keys(&table) {
            for (position, column) in (1_u64..).zip(columns) {
                let mut row = names.cells(&table, &name).to_vec();
                row.extend(names.cells(&table, table.own_name()));
                row.extend([column.into(), position.into(), Cell::Number(None)]);
                rows.push(row);
            }
        }
    }
    rows
}

/// One row for each CHECK.
pub(super) fn check_constraints(snapshot: &Snapshot, names: &Names) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for table in tables(snapshot) {
        for check in &table.checks {
            let mut row = names.cells(&table, &check.name).to_vec();
            row.extend([check.sql.as_str().into(), table.own_name().into()]);
            rows.push(row);
        }
    }
    rows
}

/// One row for each column of an index, that of the primary key included.
pub(super) fn statistics(snapshot: &Snapshot, names: &Names) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for table in tables(snapshot) {
        let primary = (table.constraint_name(), true, table.key.as_slice());
        let others = table.indexes.iter();
        let others = others.map(|i| (i.index.name.clone(), i.index.is_unique, i.places.as_slice()));
        let declared = std::iter::once(primary).filter(|_| !table.hidden_key).chain(others);
        for (name, is_unique, places) in declared {
            for (position, &place) in (1_u64..).zip(places) {
                let column = &table.columns[place];
                let mut row = names.cells(&table, table.own_name()).to_vec();
                row.push(u64::from(!is_unique).into());
                row.push(names.schema(table.schema_name()).into());
                row.extend([name.as_str().into(), position.into()]);
                row.push(column.field.name().as_str().into());
                row.push(if column.takes_null() { "YES" } else { "NO" }.into());
                row.push("LEARNED".into());
                rows.push(row);
            }
        }
    }
    rows
}
