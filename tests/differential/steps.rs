//! A history: statements made up from a seed, with queries and maintenance in between.
//!
//! The schema is followed while they are made up, through transactions that are rolled back too,
//! so that nearly all statements name what is there; the rows are not.

use super::dice::Dice;
use super::expressions::{Scope, literal, predicate, value};
use super::queries::{Query, query};
use super::schema::{Column, Kind, Schema, Table};

/// One step, in OmenDB's SQL.
#[derive(Debug, Clone)]
pub enum Step {
    /// A statement that defines, writes, or begins or ends a transaction.
    Write(String),
    /// A query; `memory`: also of DataFusion's own tables in memory.
    Query {
        query: Query,
        memory: bool,
    },
    /// All rows of all tables.
    CompareAll,
    Checkpoint,
    Compact,
    /// Closed, and opened again.
    Reopen,
}

/// What is made up.
struct Story {
    dice: Dice,
    schema: Schema,
    /// The schemas of before BEGIN and of each savepoint.
    before: Vec<Schema>,
    steps: Vec<Step>,
}

pub fn history(seed: u64, length: usize) -> Vec<Step> {
    let dice = Dice::new(seed);
    let mut story = Story { dice, schema: Schema::default(), before: vec![], steps: vec![] };
    story.create_table();
    story.create_table();
    while story.steps.len() < length {
        story.next();
    }
    story.steps.push(Step::CompareAll);
    story.steps
}

impl Story {
    fn write(&mut self, sql: String) {
        self.steps.push(Step::Write(sql));
    }

    fn next(&mut self) {
        match self.dice.below(100) {
            0..=33 => {
                let query = query(&mut self.dice, &self.schema);
                let memory = self.dice.once_in(4);
                self.steps.push(Step::Query { query, memory });
            }
            34..=52 => self.insert(),
            53..=60 => self.upsert(),
            61..=72 => self.update(),
            73..=79 => self.delete(),
            80..=83 => self.alter(),
            84 => self.create_table(),
            85 => self.drop_table(),
            86 | 87 => self.view(),
            88..=94 => self.transaction(),
            95 | 96 => self.steps.push(Step::Checkpoint),
            97 if self.before.is_empty() => self.steps.push(Step::Reopen),
            97 | 98 => self.steps.push(Step::Compact),
            _ => self.steps.push(Step::CompareAll),
        }
    }

    fn create_table(&mut self) {
        if self.schema.tables.len() > 5 {
            return;
        }
        let dice = &mut self.dice;
        let name = self.schema.fresh_name(dice, 't');
        let keys = dice.below(4);
        let mut table = Table { name, columns: Vec::new(), keys, is_view: false };
        for at in 0..keys {
            let kind =
                *dice.of(&[Kind::Int, Kind::Text, Kind::Double, Kind::Int, Kind::Date, Kind::Bool]);
            let name = format!("k{at}");
            table.columns.push(Column { name, kind, not_null: true, default: None });
        }
        for _ in 0..1 + dice.below(5) {
            let column = column(dice, &table);
            table.columns.push(column);
        }
        let mut parts: Vec<String> = table.columns.iter().map(definition).collect();
        if keys > 0 {
            parts.push(format!("PRIMARY KEY ({})", table.key_names().join(", ")));
        }
        let sql = format!("CREATE TABLE {} ({})", table.name, parts.join(", "));
        self.schema.tables.push(table);
        self.write(sql);
        self.insert();
    }

    fn drop_table(&mut self) {
        let tables = self.schema.tables.iter().filter(|table| !table.is_view).count();
        if tables < 3 {
            return;
        }
        self.drop_views();
        let Some(name) = self.schema.table(&mut self.dice).map(|table| table.name.clone()) else {
            return;
        };
        self.schema.tables.retain(|table| table.name != name);
        self.write(format!("DROP TABLE {name}"));
    }

    /// What a view becomes when its tables change differs: so there is none then.
    fn drop_views(&mut self) {
        let views: Vec<_> = self.schema.tables.iter().filter(|table| table.is_view).collect();
        // The newest first: views name views.
        let names: Vec<_> = views.iter().rev().map(|view| view.name.clone()).collect();
        self.schema.tables.retain(|table| !table.is_view);
        for name in names {
            self.write(format!("DROP VIEW {name}"));
        }
    }

    fn view(&mut self) {
        if self.schema.tables.len() > 6 {
            return;
        }
        let name = self.schema.fresh_name(&mut self.dice, 'w');
        let query = query(&mut self.dice, &self.schema);
        // The columns of others have names of their tables.
        if !query.sql.contains(" AS c0") || query.sql.contains(" LIMIT ") {
            return;
        }
        let named = |(at, kind): (usize, &Kind)| Column {
            name: format!("c{at}"),
            kind: *kind,
            not_null: false,
            default: None,
        };
        let columns = query.kinds.iter().enumerate().map(named).collect();
        self.write(format!("CREATE VIEW {name} AS {}", query.sql));
        self.schema.tables.push(Table { name, columns, keys: 0, is_view: true });
    }

    fn insert(&mut self) {
        let dice = &mut self.dice;
        let Some(table) = self.schema.table(dice) else { return };
        let columns = inserted_columns(dice, table);
        let names = columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
        let how = match dice.below(10) {
            0 if table.keys > 0 => "INSERT OR REPLACE INTO",
            1 if table.keys > 0 => "INSERT OR IGNORE INTO",
            _ => "INSERT INTO",
        };
        // OR IGNORE passes over rows with NULL in SQLite, and OR REPLACE takes the default then.
        let refused = how == "INSERT INTO";
        let rows = if refused && dice.once_in(5) {
            let from = self.schema.relation(dice);
            let scope = Scope::of(&self.schema, from, Some("f"));
            let values = columns.iter().map(|column| assigned(dice, &scope, column));
            let values = values.collect::<Vec<_>>().join(", ");
            format!("SELECT {values} FROM {} AS f WHERE {}", from.name, predicate(dice, &scope, 1))
        } else {
            let count = if dice.once_in(6) { 25 } else { 1 + dice.below(4) };
            let rows: Vec<_> = (0..count).map(|_| row(dice, &columns, refused)).collect();
            format!("VALUES {}", rows.join(", "))
        };
        let mut sql = format!("{how} {} ({names}) {rows}", table.name);
        if how == "INSERT INTO" && dice.once_in(10) {
            sql += " RETURNING *";
        }
        self.write(sql);
    }

    fn upsert(&mut self) {
        let dice = &mut self.dice;
        let Some(table) = self.schema.table(dice).filter(|table| table.keys > 0) else { return };
        let columns = inserted_columns(dice, table);
        let names = columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
        let keys = table.key_names().join(", ");
        if dice.once_in(4) {
            let rows: Vec<_> = (0..1 + dice.below(4)).map(|_| row(dice, &columns, true)).collect();
            let target = if dice.once_in(2) { format!(" ({keys})") } else { String::new() };
            let sql = format!("INSERT INTO {} ({names}) VALUES {}", table.name, rows.join(", "));
            return self.write(format!("{sql} ON CONFLICT{target} DO NOTHING"));
        }
        // One row, or rows of the table: of a key twice in a statement SQLite takes both in turn.
        let rows = if dice.once_in(3) {
            let scope = Scope::of(&self.schema, table, Some("f"));
            let values = columns.iter().enumerate().map(|(at, column)| match at < table.keys {
                true => format!("f.{}", column.name),
                // Whether NULL is refused before a conflict is looked for differs.
                false if column.not_null => literal(dice, column.kind),
                false => assigned(dice, &scope, column),
            });
            let values = values.collect::<Vec<_>>().join(", ");
            format!("SELECT {values} FROM {} AS f WHERE {}", table.name, predicate(dice, &scope, 1))
        } else {
            format!("VALUES {}", row(dice, &columns, true))
        };
        let mut scope = Scope::of(&self.schema, table, Some(&table.name));
        // Not of the subqueries' concern.
        scope.depth = usize::MAX;
        scope.add(table, Some("excluded"));
        let mut set = Vec::new();
        for column in &table.columns[table.keys..] {
            if dice.once_in(2) || set.is_empty() {
                set.push(format!("{} = {}", column.name, assigned(dice, &scope, column)));
            }
        }
        let mut sql = format!(
            "INSERT INTO {} ({names}) {rows} ON CONFLICT ({keys}) DO UPDATE SET {}",
            table.name,
            set.join(", ")
        );
        if dice.once_in(3) {
            sql += &format!(" WHERE {}", predicate(dice, &scope, 1));
        }
        self.write(sql);
    }

    fn update(&mut self) {
        let dice = &mut self.dice;
        let Some(table) = self.schema.table(dice) else { return };
        let scope = Scope::of(&self.schema, table, None);
        let scope = qualified(scope, table);
        let mut set = Vec::new();
        for column in &table.columns[table.keys..] {
            if dice.once_in(2) || set.is_empty() {
                set.push(format!("{} = {}", column.name, assigned(dice, &scope, column)));
            }
        }
        let depth = dice.below(3);
        let mut condition = predicate(dice, &scope, depth);
        if table.keys > 0 && dice.once_in(5) {
            // Of one row only: SQLite checks the key row by row, others when all rows are there.
            let key = &table.columns[dice.below(table.keys)];
            set.push(format!("{} = {}", key.name, literal(dice, key.kind)));
            let one = table.columns[..table.keys].iter();
            let one = one.map(|key| format!("{} = {}", key.name, literal(dice, key.kind)));
            condition = one.collect::<Vec<_>>().join(" AND ");
        }
        let mut sql = format!("UPDATE {} SET {}", table.name, set.join(", "));
        if !dice.once_in(10) {
            sql += &format!(" WHERE {condition}");
        } else if set.len() > table.columns.len() - table.keys {
            return;
        }
        if dice.once_in(8) {
            sql += " RETURNING *";
        }
        self.write(sql);
    }

    fn delete(&mut self) {
        let dice = &mut self.dice;
        let Some(table) = self.schema.table(dice) else { return };
        let scope = qualified(Scope::of(&self.schema, table, None), table);
        let depth = dice.below(3);
        let mut sql = format!("DELETE FROM {}", table.name);
        if !dice.once_in(20) {
            // Two conditions, so that some rows are left.
            let two = (simple(dice, &scope), predicate(dice, &scope, depth));
            sql += &format!(" WHERE {} AND {}", two.0, two.1);
        }
        if dice.once_in(8) {
            sql += " RETURNING *";
        }
        self.write(sql);
    }

    fn alter(&mut self) {
        self.drop_views();
        let dice = &mut self.dice;
        let Some(table) = self.schema.table(dice) else { return };
        let name = table.name.clone();
        let renamed = self.schema.fresh_name(dice, 't');
        let at = |table: &Table, dice: &mut Dice| dice.below(table.columns.len());
        let Some(table) = self.schema.tables.iter_mut().find(|table| table.name == name) else {
            return;
        };
        let sql = match dice.below(5) {
            0 | 1 if table.columns.len() < 9 => {
                let column = column(dice, table);
                let sql = format!("ALTER TABLE {name} ADD COLUMN {}", definition(&column));
                table.columns.push(column);
                sql
            }
            2 => {
                let (at, new) = (at(table, dice), table.fresh_column(dice));
                let old = std::mem::replace(&mut table.columns[at].name, new.clone());
                format!("ALTER TABLE {name} RENAME COLUMN {old} TO {new}")
            }
            3 if table.columns.len() > table.keys + 1 => {
                let at = table.keys + dice.below(table.columns.len() - table.keys);
                let column = table.columns.remove(at);
                format!("ALTER TABLE {name} DROP COLUMN {}", column.name)
            }
            4 => {
                table.name = renamed.clone();
                format!("ALTER TABLE {name} RENAME TO {renamed}")
            }
            _ => return,
        };
        self.write(sql);
    }

    fn transaction(&mut self) {
        let open = self.before.len();
        match (open, self.dice.below(6)) {
            (0, _) => {
                self.before.push(self.schema.clone());
                self.write("BEGIN".to_string());
            }
            (_, 0 | 1) => {
                self.before.clear();
                self.write("COMMIT".to_string());
            }
            (_, 2) => {
                self.schema = self.before.swap_remove(0);
                self.before.clear();
                self.write("ROLLBACK".to_string());
            }
            (1..=3, 3 | 4) => {
                self.before.push(self.schema.clone());
                self.write(format!("SAVEPOINT s{open}"));
            }
            (2.., 5) if self.dice.once_in(3) => {
                self.before.pop();
                self.write(format!("RELEASE SAVEPOINT s{}", open - 1));
            }
            (2.., _) => {
                let back = 1 + self.dice.below(open - 1);
                self.before.truncate(back + 1);
                self.schema = self.before[back].clone();
                self.write(format!("ROLLBACK TO SAVEPOINT s{back}"));
            }
            _ => {}
        }
    }
}

/// Columns under the table's name, so that those of subqueries do not hide them.
fn qualified<'a>(mut scope: Scope<'a>, table: &Table) -> Scope<'a> {
    for (name, _) in &mut scope.columns {
        *name = format!("{}.{name}", table.name);
    }
    scope
}

fn simple(dice: &mut Dice, scope: &Scope) -> String {
    predicate(dice, scope, 0)
}

fn column(dice: &mut Dice, table: &Table) -> Column {
    let kind = *dice.of(&Kind::ALL);
    let default = dice.once_in(3).then(|| literal(dice, kind));
    let not_null = default.is_some() && dice.once_in(3);
    Column { name: table.fresh_column(dice), kind, not_null, default }
}

fn definition(column: &Column) -> String {
    let mut text = format!("{} {}", column.name, column.kind.name());
    if column.not_null {
        text += " NOT NULL";
    }
    if let Some(default) = &column.default {
        text += &format!(" DEFAULT {default}");
    }
    text
}

/// The key, and most of the other columns.
fn inserted_columns<'a>(dice: &mut Dice, table: &'a Table) -> Vec<&'a Column> {
    let mut left_out = |at: usize| at > table.keys && dice.once_in(5);
    let columns = table.columns.iter().enumerate();
    columns.filter(|(at, _)| !left_out(*at)).map(|(_, column)| column).collect()
}

/// `refused`: once in a while with NULL where it may not be.
fn row(dice: &mut Dice, columns: &[&Column], refused: bool) -> String {
    let values = columns.iter().map(|column| {
        let null = match column.not_null {
            true => refused && dice.once_in(60),
            false => dice.once_in(6),
        };
        if null { "NULL".to_string() } else { literal(dice, column.kind) }
    });
    format!("({})", values.collect::<Vec<_>>().join(", "))
}

/// What a column may become, without growing.
fn assigned(dice: &mut Dice, scope: &Scope, column: &Column) -> String {
    if !column.not_null && dice.once_in(10) {
        return "NULL".to_string();
    }
    let new = value(dice, scope, column.kind, 2);
    match column.kind {
        Kind::Int => format!("{new} % 997"),
        Kind::Text => format!("substr({new}, 1, 9)"),
        Kind::Double if new.contains('(') => format!(
            "CASE WHEN {new} BETWEEN -999.0 AND 999.0 THEN {new} ELSE {} END",
            literal(dice, Kind::Double)
        ),
        _ => new,
    }
}
