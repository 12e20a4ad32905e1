//! The model: what every table must hold, and what a statement must do to it.
//!
//! A clone is a snapshot and costs a few reference counts; a statement copies the table it changes
//! if an older state of it is still held.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::edits::Edit;
use super::kinds::{Kind, Parts, Values};
use super::steps::{Change, Write};

/// Rows by key.
pub type Rows = BTreeMap<Arc<Parts>, Arc<Values>>;

/// What a table must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    pub kind: Kind,
    pub rows: Arc<Rows>,
}

/// What a database must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    pub tables: BTreeMap<String, Content>,
}

/// What a statement answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// So many rows.
    Count(u64),
    /// A key is there already.
    Duplicate,
    /// There is no such table.
    NoTable,
    /// The table is there already.
    TableExists,
    /// Anything else: never expected.
    Other(String),
}

impl Content {
    /// A table without rows.
    pub fn new(kind: Kind) -> Self {
        Self { kind, rows: Arc::default() }
    }

    /// The rows in key order.
    pub fn to_rows(&self) -> Vec<(Parts, Values)> {
        self.rows.iter().map(|(k, v)| (Parts::clone(k), Values::clone(v))).collect()
    }

    fn insert(&mut self, rows: Vec<(Parts, Values)>) -> Answer {
        let count = rows.len();
        let mut after = Rows::clone(&self.rows);
        for (key, values) in rows {
            if after.insert(Arc::new(key), Arc::new(values)).is_some() {
                return Answer::Duplicate;
            }
        }
        self.rows = Arc::new(after);
        Answer::Count(count as u64)
    }

    fn upsert(&mut self, rows: Vec<(Parts, Values)>) -> Answer {
        let count = rows.len();
        // Of a key that is there twice the last row stays.
        let rows = rows.into_iter().map(|(key, values)| (Arc::new(key), Arc::new(values)));
        Arc::make_mut(&mut self.rows).extend(rows);
        Answer::Count(count as u64)
    }

    fn delete(&mut self, numbers: &[u32]) -> Answer {
        let kind = self.kind;
        let rows = Arc::make_mut(&mut self.rows);
        let deleted = numbers.iter().filter(|n| rows.remove(&kind.key(**n)).is_some()).count();
        Answer::Count(deleted as u64)
    }
}

impl World {
    /// What the statement must answer; its effect, if it has one, is taken in.
    pub fn apply(&mut self, write: &Write) -> Answer {
        let Some(content) = self.tables.get_mut(&write.table) else { return Answer::NoTable };
        match &write.change {
            Change::Insert(rows) => content.insert(rows.of(content.kind)),
            Change::Upsert(rows) => content.upsert(rows.of(content.kind)),
            Change::Delete(numbers) => content.delete(numbers),
        }
    }

    /// The same for a statement computed from what is there.
    pub fn edit(&mut self, table: &str, edit: &Edit) -> Answer {
        match self.tables.get_mut(table) {
            Some(content) => edit.apply(content),
            None => Answer::NoTable,
        }
    }

    /// The same for a table that is created with its first rows.
    pub fn create(&mut self, name: &str, kind: Kind, rows: Vec<(Parts, Values)>) -> Answer {
        if self.tables.contains_key(name) {
            return Answer::TableExists;
        }
        let mut content = Content::new(kind);
        let answer = content.insert(rows);
        if answer != Answer::Duplicate {
            self.tables.insert(name.to_string(), content);
        }
        answer
    }

    /// The same for a table that is dropped.
    pub fn drop_table(&mut self, name: &str) -> Answer {
        match self.tables.remove(name) {
            Some(_) => Answer::Count(0),
            None => Answer::NoTable,
        }
    }
}
