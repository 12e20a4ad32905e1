//! The engines that are asked the same: OmenDB, SQLite, and DataFusion over its tables in memory.
//!
//! SQLite's SQL differs in one thing that cannot be avoided: a date is a text there.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use omen_provider::{Database, Session};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::answers::{Answer, Cell};
use crate::harness::media::{Medium, small};

/// OmenDB on a medium.
pub struct Omen {
    medium: Medium,
    open: Option<(Database, Session)>,
}

impl Omen {
    pub async fn new(medium: Medium) -> Result<Self, String> {
        let mut new = Self { medium, open: None };
        new.reopen().await?;
        Ok(new)
    }

    pub async fn reopen(&mut self) -> Result<(), String> {
        if let Some((database, session)) = self.open.take() {
            drop(session);
            database.close().await.map_err(|error| format!("closing: {error}"))?;
        }
        let database = self.medium.open(small()).await.map_err(|e| format!("opening: {e}"))?;
        let session = database.session();
        self.open = Some((database, session));
        Ok(())
    }

    pub fn database(&self) -> &Database {
        &self.open.as_ref().expect("open").0
    }

    pub async fn ask(&self, sql: &str) -> Answer {
        let session = &self.open.as_ref().expect("open").1;
        let frame = match session.sql(sql).await {
            Ok(frame) => frame,
            Err(error) => return Answer::Error(error.to_string()),
        };
        match frame.collect().await {
            Ok(batches) => rows_or_count(sql, &batches),
            Err(error) => Answer::Error(error.to_string()),
        }
    }
}

fn rows_or_count(sql: &str, batches: &[RecordBatch]) -> Answer {
    let rows = batches.iter().flat_map(cells).collect::<Vec<_>>();
    match (is_read(sql), rows.first().and_then(|row| row.first())) {
        (true, _) => Answer::Rows(rows),
        (false, Some(Cell::Number(count))) => Answer::Count(*count as u64),
        (false, _) => Answer::Count(0),
    }
}

fn is_read(sql: &str) -> bool {
    sql.starts_with("SELECT") || sql.starts_with("WITH") || sql.contains(" RETURNING ")
}

fn cells(batch: &RecordBatch) -> Vec<Vec<Cell>> {
    let columns: Vec<Vec<Cell>> = batch.columns().iter().map(column_cells).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|c| c[row].clone()).collect()).collect()
}

fn column_cells(column: &ArrayRef) -> Vec<Cell> {
    let to = match column.data_type() {
        kind if kind.is_integer() || *kind == DataType::Boolean => DataType::Int64,
        // Numbers without a sign become decimals beside others.
        kind if kind.is_floating() || kind.is_decimal() => DataType::Float64,
        _ => DataType::Utf8,
    };
    let column = cast(column, &to).expect("a cast of a value");
    let cell = |row: usize| match to {
        _ if column.is_null(row) => Cell::Null,
        DataType::Int64 => Cell::Number(column.as_primitive::<Int64Type>().value(row) as f64),
        DataType::Float64 => Cell::Number(column.as_primitive::<Float64Type>().value(row)),
        _ => Cell::Text(column.as_string::<i32>().value(row).to_string()),
    };
    (0..column.len()).map(cell).collect()
}

/// SQLite in memory.
pub struct Sqlite(Connection);

impl Sqlite {
    pub fn new() -> Self {
        let connection = Connection::open_in_memory().expect("SQLite");
        // Others compare letters as they are.
        connection.execute_batch("PRAGMA case_sensitive_like = ON").expect("a setting");
        Self(connection)
    }

    pub fn in_transaction(&self) -> bool {
        !self.0.is_autocommit()
    }

    pub fn ask(&self, sql: &str) -> Answer {
        let sql = sql.replace("DATE '", "'");
        let answer = match is_read(&sql) {
            true => self.rows(&sql).map(Answer::Rows),
            false => self.0.execute(&sql, []).map(|count| match sql.split(' ').next() {
                // Of other statements it says the count of the last one that wrote.
                Some("INSERT" | "UPDATE" | "DELETE") => Answer::Count(count as u64),
                _ => Answer::Count(0),
            }),
        };
        answer.unwrap_or_else(|error| Answer::Error(error.to_string()))
    }

    fn rows(&self, sql: &str) -> rusqlite::Result<Vec<Vec<Cell>>> {
        let mut statement = self.0.prepare(sql)?;
        let width = statement.column_count();
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let cells = (0..width).map(|at| row.get_ref(at).map(cell));
            rows.push(cells.collect::<rusqlite::Result<_>>()?);
        }
        Ok(rows)
    }

    fn texts(&self, sql: &str) -> Vec<Vec<String>> {
        let text = |cell| match cell {
            Cell::Text(text) => text,
            other => format!("{other:?}"),
        };
        let rows = self.rows(sql).expect("SQLite's own tables");
        rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect()
    }

    /// Names of tables and views.
    pub fn relations(&self) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid";
        self.texts(sql).concat()
    }

    /// Its tables, as DataFusion has them in memory, and its views.
    pub async fn to_memory(&self) -> Result<SessionContext, String> {
        let context = SessionContext::new();
        let relations = "SELECT type, name, sql FROM sqlite_master \
                         WHERE type IN ('table', 'view') ORDER BY rowid";
        for relation in self.texts(relations) {
            let [kind, name, sql] = relation.as_slice() else { panic!("three columns") };
            if kind == "view" {
                let sql = with_dates(sql);
                context.sql(&sql).await.map_err(|error| format!("{sql}: {error}"))?;
                continue;
            }
            let columns =
                self.texts(&format!("SELECT name, type FROM pragma_table_info('{name}')"));
            let rows = self.rows(&format!("SELECT * FROM {name}")).map_err(|e| e.to_string())?;
            let batch = to_batch(&columns, &rows);
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
            let table = table.map_err(|error| error.to_string())?;
            context.register_table(name, Arc::new(table)).map_err(|error| error.to_string())?;
        }
        Ok(context)
    }
}

fn cell(value: ValueRef) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Number(number as f64),
        ValueRef::Real(number) => Cell::Number(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Cell::Text(String::from_utf8_lossy(text).into_owned())
        }
    }
}

/// Texts that are dates are so again.
fn with_dates(sql: &str) -> String {
    let is_date = |text: &str| {
        text.len() == 10 && text.starts_with("20") && text.ends_with(|c: char| c.is_ascii_digit())
    };
    let parts: Vec<&str> = sql.split('\'').collect();
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        match at % 2 == 1 {
            true if is_date(part) => text += &format!("DATE '{part}'"),
            true => text += &format!("'{part}'"),
            false => text += part,
        }
    }
    text
}

fn to_batch(columns: &[Vec<String>], rows: &[Vec<Cell>]) -> RecordBatch {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let numbers = rows.iter().map(|row| match &row[at] {
            Cell::Number(number) => Some(*number),
            _ => None,
        });
        let texts = rows.iter().map(|row| match &row[at] {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let array: ArrayRef = match column[1].as_str() {
            "BIGINT" => Arc::new(numbers.map(|n| n.map(|n| n as i64)).collect::<Int64Array>()),
            "DOUBLE" => Arc::new(numbers.collect::<Float64Array>()),
            "BOOLEAN" => Arc::new(numbers.map(|n| n.map(|n| n != 0.0)).collect::<BooleanArray>()),
            "DATE" => {
                let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
                let dates = cast(&texts, &DataType::Date32).expect("dates");
                Arc::new(Date32Array::from(dates.to_data()))
            }
            _ => Arc::new(texts.collect::<StringArray>()),
        };
        fields.push(Field::new(&column[0], array.data_type().clone(), true));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("rows of SQLite")
}

/// What DataFusion's tables in memory answer.
pub async fn ask_memory(context: &SessionContext, sql: &str) -> Answer {
    let frame = match context.sql(sql).await {
        Ok(frame) => frame,
        Err(error) => return Answer::Error(error.to_string()),
    };
    match frame.collect().await {
        Ok(batches) => rows_or_count(sql, &batches),
        Err(error) => Answer::Error(error.to_string()),
    }
}
