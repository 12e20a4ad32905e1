//! What tables there are, as far as statements that are made up need to know it.

use super::dice::Dice;

/// Kinds of values that all engines have. A date is text in SQLite, a truth value a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Text,
    Double,
    Bool,
    Date,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Int, Self::Text, Self::Double, Self::Bool, Self::Date];

    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "BIGINT",
            Self::Text => "TEXT",
            Self::Double => "DOUBLE",
            Self::Bool => "BOOLEAN",
            Self::Date => "DATE",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub not_null: bool,
    pub default: Option<String>,
}

/// A table or view. The first columns of a table are its key.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub keys: usize,
    pub is_view: bool,
}

impl Table {
    pub fn key_names(&self) -> Vec<&str> {
        self.columns[..self.keys].iter().map(|column| column.name.as_str()).collect()
    }

    /// Names that no column has.
    pub fn fresh_column(&self, dice: &mut Dice) -> String {
        let taken = |name: &String| self.columns.iter().any(|column| column.name == *name);
        loop {
            let name = format!("v{}", dice.below(30));
            if !taken(&name) {
                return name;
            }
        }
    }
}

/// All tables and views.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub tables: Vec<Table>,
}

impl Schema {
    /// One that can be written to.
    pub fn table(&self, dice: &mut Dice) -> Option<&Table> {
        let tables: Vec<_> = self.tables.iter().filter(|table| !table.is_view).collect();
        (!tables.is_empty()).then(|| *dice.of(&tables))
    }

    /// One that can be read.
    pub fn relation(&self, dice: &mut Dice) -> &Table {
        dice.of(&self.tables)
    }

    pub fn fresh_name(&self, dice: &mut Dice, letter: char) -> String {
        let taken = |name: &String| self.tables.iter().any(|table| table.name == *name);
        loop {
            let name = format!("{letter}{}", dice.below(40));
            if !taken(&name) {
                return name;
            }
        }
    }
}
