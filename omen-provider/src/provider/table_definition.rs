//! The statement that would create a table as it is: what SHOW CREATE TABLE shows.
//!
//! Called by [`super::table_provider`].

use std::fmt::Write;

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

use super::arrow_type::arrow_name;
use crate::storage::schema::{Column, Identity, TableSchema};

/// `CREATE TABLE …` with all that is declared. Types that SQL has no name for are `ARROW('…')`.
pub(super) fn definition(schema: &TableSchema) -> String {
    let visible = &schema.columns[..schema.visible().fields().len()];
    let mut parts: Vec<String> = visible.iter().map(column).collect();
    if let (Some(place), Some(identity)) = (schema.identity_place(), schema.identity) {
        let kind = if identity.is_always { "ALWAYS" } else { "BY DEFAULT" };
        let Identity { start, increment, .. } = identity;
        let options = match (start, increment) {
            (1, 1) => String::new(),
            _ => format!(" (INCREMENT BY {increment} START WITH {start})"),
        };
        parts[place].push_str(&format!(" GENERATED {kind} AS IDENTITY{options}"));
    }
    if !schema.hidden_key {
        let key: Vec<String> = schema.key_names().into_iter().map(quoted).collect();
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    for index in schema.indexes.iter().filter(|index| index.index.is_constraint) {
        let (name, columns) = (quoted(&index.index.name), index.names(schema));
        let columns: Vec<String> = columns.into_iter().map(quoted).collect();
        parts.push(format!("CONSTRAINT {name} UNIQUE ({})", columns.join(", ")));
    }
    for check in &schema.checks {
        parts.push(format!("CONSTRAINT {} CHECK ({})", quoted(&check.name), check.sql));
    }
    format!("CREATE TABLE {} ({})", table_name(schema), parts.join(", "))
}

/// `CREATE INDEX …` for each index of a table that is no constraint of it.
pub(super) fn index_definitions(schema: &TableSchema) -> impl Iterator<Item = String> + '_ {
    let indexes = schema.indexes.iter().filter(|index| !index.index.is_constraint);
    indexes.map(|index| {
        let unique = if index.index.is_unique { "UNIQUE " } else { "" };
        let columns: Vec<String> = index.names(schema).into_iter().map(quoted).collect();
        let (name, table) = (quoted(&index.index.name), table_name(schema));
        format!("CREATE {unique}INDEX {name} ON {table} ({})", columns.join(", "))
    })
}

/// `COMMENT ON …` for what is said of a table, its columns and its indexes.
pub(super) fn comment_statements(schema: &TableSchema) -> Vec<String> {
    let table = table_name(schema);
    let mut statements = Vec::new();
    let mut add = |what: String, text: &Option<String>| {
        statements.extend(text.as_ref().map(|text| comment_statement(&what, text)));
    };
    add(format!("TABLE {table}"), &schema.comment);
    for column in &schema.columns {
        add(format!("COLUMN {table}.{}", quoted(column.field.name())), &column.comment);
    }
    for index in &schema.indexes {
        let name = within(schema.schema_name(), &index.index.name);
        add(format!("INDEX {name}"), &index.index.comment);
    }
    statements
}

/// `COMMENT ON …`: what is said of something.
pub(super) fn comment_statement(what: &str, text: &str) -> String {
    format!("COMMENT ON {what} IS '{}'", text.replace('\'', "''"))
}

fn column(column: &Column) -> String {
    let mut text = format!("{} {}", quoted(column.field.name()), kind(column.field.data_type()));
    if !column.takes_null() {
        text.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default {
        // Writing to a String does not fail.
        let _ = write!(text, " DEFAULT {default}");
    }
    text
}

/// The name of a table, with that of its schema unless that is `public`.
pub(super) fn table_name(schema: &TableSchema) -> String {
    within(schema.schema_name(), schema.own_name())
}

/// A name, with that of its schema unless that is `public`.
pub(super) fn within(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(name)),
        None => quoted(name),
    }
}

/// A name, in quotes where it would mean another without, or a word of SQL.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_word = name.chars().all(is_plain) && name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_keyword = ALL_KEYWORDS.binary_search(&name.to_ascii_uppercase().as_str()).is_ok();
    match is_word && !is_keyword {
        true => name.to_string(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The name of a type in CREATE TABLE.
pub(super) fn kind(kind: &DataType) -> String {
    let unsigned = |name: &str| format!("{name} UNSIGNED");
    match kind {
        DataType::Boolean => "BOOLEAN".to_string(),
        DataType::Int8 => "TINYINT".to_string(),
        DataType::Int16 => "SMALLINT".to_string(),
        DataType::Int32 => "INT".to_string(),
        DataType::Int64 => "BIGINT".to_string(),
        DataType::UInt8 => unsigned("TINYINT"),
        DataType::UInt16 => unsigned("SMALLINT"),
        DataType::UInt32 => unsigned("INT"),
        DataType::UInt64 => unsigned("BIGINT"),
        DataType::Float32 => "REAL".to_string(),
        DataType::Float64 => "DOUBLE".to_string(),
        DataType::Utf8 => "TEXT".to_string(),
        DataType::Binary => "BYTEA".to_string(),
        DataType::Date32 => "DATE".to_string(),
        DataType::Time64(TimeUnit::Nanosecond) => "TIME".to_string(),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        // More digits make the wider type.
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Decimal256(precision, scale) if *precision > 38 && *scale >= 0 => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => "INTERVAL".to_string(),
        DataType::List(item) if item.is_nullable() && item.name() == "item" => {
            match self::kind(item.data_type()) {
                named if named.starts_with("ARROW") => arrow_name(kind),
                named => format!("{named}[]"),
            }
        }
        other => arrow_name(other),
    }
}

/// Digits of a second.
fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}
