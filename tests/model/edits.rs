//! UPDATE, DELETE, TRUNCATE and ON CONFLICT: as SQL, and as what they do to a model.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::filters::{Filter, filter};
use super::kinds::{Kind, Part, Values, literal, values_list};
use super::steps::{RowList, values};
use super::world::{Answer, Content, Rows};
use crate::faulty_disk::Seeded;

/// A statement that is computed from the rows that are there.
#[derive(Debug, Clone)]
pub enum Edit {
    /// DELETE, with a filter or without.
    Delete(Option<Filter>),
    /// UPDATE.
    Update(Setting, Option<Filter>),
    /// TRUNCATE.
    Truncate,
    /// INSERT ... ON CONFLICT.
    Insert(RowList, OnKey),
}

/// What an UPDATE sets.
#[derive(Debug, Clone)]
pub enum Setting {
    /// Both columns behind the key.
    Both(Values),
    /// The note, to what the number says.
    NoteOfNumber,
    /// The number, to the length of the note, and the note to nothing.
    NumberOfNote,
}

/// What an INSERT does about keys that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnKey {
    /// DO NOTHING.
    Nothing,
    /// DO UPDATE, of the number.
    Number,
    /// DO UPDATE of the note, where the number that is there is less.
    NoteIfLess,
}

/// A random one.
pub fn edit(dice: &mut Seeded) -> Edit {
    let filter = |dice: &mut Seeded| (dice.below(12) > 0).then(|| filter(dice, 2));
    match dice.below(20) {
        0..=5 => Edit::Delete(filter(dice)),
        6..=12 => {
            let setting = match dice.below(3) {
                0 => Setting::Both(values(dice)),
                1 => Setting::NoteOfNumber,
                _ => Setting::NumberOfNote,
            };
            Edit::Update(setting, filter(dice))
        }
        13 => Edit::Truncate,
        _ => {
            let count = 1 + dice.below(40);
            let row = |dice: &mut Seeded| (super::steps::number(dice), values(dice));
            let rows = RowList::Listed((0..count).map(|_| row(dice)).collect());
            let on_key = [OnKey::Nothing, OnKey::Number, OnKey::NoteIfLess][dice.below(3) as usize];
            Edit::Insert(rows, on_key)
        }
    }
}

impl Edit {
    /// As SQL.
    pub fn sql(&self, table: &str, kind: Kind) -> String {
        let condition = |filter: &Option<Filter>| match filter {
            Some(filter) => format!(" WHERE {}", filter.sql(kind)),
            None => String::new(),
        };
        match self {
            Self::Delete(filter) => format!("DELETE FROM {table}{}", condition(filter)),
            Self::Update(setting, filter) => {
                format!("UPDATE {table} SET {}{}", setting.sql(), condition(filter))
            }
            Self::Truncate => format!("TRUNCATE TABLE {table}"),
            Self::Insert(rows, on_key) => {
                let rows = values_list(kind, &self.rows(kind, rows, *on_key));
                let key = kind.key_names().join(", ");
                let action = match on_key {
                    OnKey::Nothing => "NOTHING".to_string(),
                    OnKey::Number => "UPDATE SET number = excluded.number".to_string(),
                    OnKey::NoteIfLess => format!(
                        "UPDATE SET note = excluded.note WHERE {table}.number < excluded.number"
                    ),
                };
                format!("INSERT INTO {table} VALUES {rows} ON CONFLICT ({key}) DO {action}")
            }
        }
    }

    /// The rows of an INSERT: for an update, no key twice.
    fn rows(&self, kind: Kind, rows: &RowList, on_key: OnKey) -> Vec<(Vec<Part>, Values)> {
        let mut seen = BTreeSet::new();
        let mut rows = rows.of(kind);
        rows.retain(|(key, _)| seen.insert(key.clone()) || on_key == OnKey::Nothing);
        rows
    }

    /// What it must answer; its effect is taken in.
    pub fn apply(&self, content: &mut Content) -> Answer {
        let kind = content.kind;
        let rows = Arc::make_mut(&mut content.rows);
        match self {
            Self::Truncate => {
                let count = rows.len() as u64;
                rows.clear();
                Answer::Count(count)
            }
            Self::Delete(filter) => {
                let before = rows.len();
                rows.retain(|key, values| !passes(filter, kind, key, values));
                Answer::Count((before - rows.len()) as u64)
            }
            Self::Update(setting, filter) => {
                let mut count = 0;
                for (key, values) in rows.iter_mut() {
                    if passes(filter, kind, key, values) {
                        *values = Arc::new(setting.of(values));
                        count += 1;
                    }
                }
                Answer::Count(count)
            }
            Self::Insert(list, on_key) => {
                let given = self.rows(kind, list, *on_key);
                Answer::Count(
                    given.into_iter().filter(|row| merge(rows, row, *on_key)).count() as u64
                )
            }
        }
    }
}

impl Setting {
    fn sql(&self) -> String {
        match self {
            Self::Both((number, note)) => {
                let number =
                    number.map_or("NULL".to_string(), |n| literal("number", &Part::Int(n)));
                let note =
                    note.clone().map_or("NULL".to_string(), |n| literal("note", &Part::Text(n)));
                format!("number = {number}, note = {note}")
            }
            Self::NoteOfNumber => "note = 'of ' || number".to_string(),
            Self::NumberOfNote => "number = char_length(note), note = NULL".to_string(),
        }
    }

    fn of(&self, (number, note): &Values) -> Values {
        match self {
            Self::Both(values) => values.clone(),
            Self::NoteOfNumber => (*number, number.map(|number| format!("of {number}"))),
            Self::NumberOfNote => (note.as_ref().map(|note| note.chars().count() as i64), None),
        }
    }
}

fn passes(filter: &Option<Filter>, kind: Kind, key: &Vec<Part>, values: &Values) -> bool {
    filter.as_ref().is_none_or(|filter| filter.holds(kind, key, values) == Some(true))
}

/// Whether the row is written.
fn merge(rows: &mut Rows, (key, given): &(Vec<Part>, Values), on_key: OnKey) -> bool {
    let Some(there) = rows.get(key).cloned() else {
        rows.insert(Arc::new(key.clone()), Arc::new(given.clone()));
        return true;
    };
    let merged = match on_key {
        OnKey::Nothing => None,
        OnKey::Number => Some((given.0, there.1.clone())),
        OnKey::NoteIfLess => match (there.0, given.0) {
            (Some(a), Some(b)) if a < b => Some((there.0, given.1.clone())),
            _ => None,
        },
    };
    let Some(merged) = merged else { return false };
    rows.insert(Arc::new(key.clone()), Arc::new(merged));
    true
}
