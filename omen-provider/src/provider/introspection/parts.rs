//! What is stored: parts of tables, learned indexes and log files, as rows of system tables.

use super::constraints::Names;
use super::rows::{Cell, Column, Type};
use crate::storage::engine::{
    EntriesInspection, IndexInspection, LogFileInspection, PartInspection, TableInspection,
    inspect_table,
};
use crate::storage::snapshot::Snapshot;

pub(super) const PARTS: &[Column] = &[
    ("table_schema", Type::Text, false),
    ("table_name", Type::Text, false),
    ("part", Type::Number, false),
    ("kind", Type::Text, false),
    ("file", Type::Text, true),
    ("rows", Type::Number, false),
    ("deleted_rows", Type::Number, false),
    ("bytes", Type::Number, false),
    ("first_key", Type::Text, false),
    ("last_key", Type::Text, false),
    ("indexes", Type::Text, false),
    ("missing_indexes", Type::Text, false),
];

pub(super) const INDEXES: &[Column] = &[
    ("table_schema", Type::Text, false),
    ("table_name", Type::Text, false),
    ("index_name", Type::Text, true),
    ("columns", Type::Text, false),
    ("is_primary", Type::Truth, false),
    ("is_unique", Type::Truth, false),
    ("is_constraint", Type::Truth, false),
    ("part", Type::Number, true),
    ("kind", Type::Text, true),
    ("file", Type::Text, true),
    ("keys", Type::Number, true),
    ("bytes", Type::Number, true),
    ("model_bytes", Type::Number, true),
    ("root_cells", Type::Number, true),
    ("leaves", Type::Number, true),
    ("knots", Type::Number, true),
    ("search_max", Type::Number, true),
    ("search_mean", Type::Real, true),
];

pub(super) const LOG: &[Column] = &[
    ("file", Type::Text, false),
    ("bytes", Type::Number, false),
    ("first_lsn", Type::Number, true),
    ("last_lsn", Type::Number, true),
    ("is_written", Type::Truth, true),
];

/// The tables of a snapshot, by name, each with the cells of its schema and its own name.
fn tables(snapshot: &Snapshot, names: &Names) -> Vec<(TableInspection, [Cell; 2])> {
    let tables = snapshot.table_names();
    let inspected = tables.iter().filter_map(|name| {
        let table = snapshot.table(name)?;
        let schema = table.schema();
        let cells = [names.schema(schema.schema_name()).into(), schema.own_name().into()];
        Some((inspect_table(table.version()), cells))
    });
    inspected.collect()
}

/// One row for each part.
pub(super) fn parts(snapshot: &Snapshot, names: &Names) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (table, cells) in tables(snapshot, names) {
        for (number, part) in (1_u64..).zip(&table.parts) {
            rows.push([&cells[..], &part_cells(&table, number, part)].concat());
        }
    }
    rows
}

fn part_cells(table: &TableInspection, number: u64, part: &PartInspection) -> Vec<Cell> {
    let secondary = table.indexes.iter().skip(1);
    let (there, missing): (Vec<_>, Vec<_>) =
        secondary.partition(|index| entries_of(part, index).is_some());
    let names = |indexes: Vec<&IndexInspection>| {
        let names: Vec<&str> = indexes.iter().filter_map(|index| index.name.as_deref()).collect();
        names.join(", ")
    };
    vec![
        number.into(),
        part.kind.into(),
        part.file.clone().into(),
        part.rows.into(),
        part.deleted.into(),
        part.bytes.into(),
        part.min_key.as_str().into(),
        part.max_key.as_str().into(),
        names(there).into(),
        names(missing).into(),
    ]
}

fn entries_of<'a>(
    part: &'a PartInspection,
    index: &IndexInspection,
) -> Option<&'a EntriesInspection> {
    part.entries.iter().find(|entries| entries.name == index.name)
}

/// One row for each index and part; for an index of a table without parts, one without a part.
pub(super) fn indexes(snapshot: &Snapshot, names: &Names) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (table, cells) in tables(snapshot, names) {
        for index in &table.indexes {
            let mut add = |part| rows.push([&cells[..], &index_cells(index, part)].concat());
            if table.parts.is_empty() {
                add(None);
            }
            (1_u64..).zip(&table.parts).for_each(|part| add(Some(part)));
        }
    }
    rows
}

fn index_cells(index: &IndexInspection, part: Option<(u64, &PartInspection)>) -> Vec<Cell> {
    let entries = part.and_then(|(_, part)| entries_of(part, index));
    let model = entries.and_then(|entries| entries.model.as_ref());
    let count = |of: fn(&omen_index::RmiStats) -> usize| Cell::Number(model.map(|m| of(m) as u64));
    vec![
        index.name.clone().into(),
        index.columns.join(", ").into(),
        index.is_primary.into(),
        index.is_unique.into(),
        index.is_constraint.into(),
        part.map(|(number, _)| number).into(),
        part.map(|(_, part)| part.kind.to_string()).into(),
        entries.and_then(|entries| entries.file.clone()).into(),
        entries.map(|entries| entries.keys).into(),
        entries.map(|entries| entries.bytes).into(),
        count(|model| model.bytes),
        count(|model| model.cells),
        count(|model| model.leaves),
        count(|model| model.knots),
        count(|model| model.range_max),
        model.map(|model| model.range_mean).into(),
    ]
}

/// One row for each log file.
pub(super) fn log(files: Vec<LogFileInspection>) -> Vec<Vec<Cell>> {
    let row = |file: LogFileInspection| {
        vec![
            file.file.into(),
            file.bytes.into(),
            file.first_lsn.into(),
            file.last_lsn.into(),
            file.is_written.into(),
        ]
    };
    files.into_iter().map(row).collect()
}
