//! Expressions made up at random, of a kind that is asked for.
//!
//! They are of the part of SQL in which SQLite, DataFusion and OmenDB mean the same:
//! * no division: of integers SQLite cuts off, by zero it gives NULL where others fail;
//! * remainders by a number that is not zero, for the same reason;
//! * no expression mixes text with numbers, which SQLite compares by affinity;
//! * text without letters beyond ASCII that have two cases, which SQLite does not change;
//! * floats are multiples of a quarter, added and never multiplied: their sums are exact, whatever
//!   the order, and none is minus zero, which SQLite does not keep;
//! * integers stay small, since SQLite makes floats of those that overflow;
//! * subqueries stand in WHERE under AND, OR and NOT only: DataFusion plans no others in
//!   conditions;
//! * IN with a subquery stands where NULL and false are the same: DataFusion takes NULL for false
//!   there unless the condition is that alone;
//! * IS DISTINCT FROM stands in parentheses, or what follows would be its operand in DataFusion;
//! * text without a backslash, which LIKE takes for an escape in DataFusion alone.

use super::dice::Dice;
use super::schema::{Column, Kind, Schema, Table};

const TEXTS: [&str; 14] = [
    "", "a", "b", "ab", "Abc", "aab", "a%b", "x_y", "zz top", "k-000100", "k-000200", "k-000201",
    "日本", "€",
];
const PATTERNS: [&str; 9] = ["a%", "%b", "%", "_", "k-0002%", "%日%", "A%", "a_b", ""];

/// What an expression can name.
pub struct Scope<'a> {
    pub columns: Vec<(String, Kind)>,
    pub schema: &'a Schema,
    /// How deep subqueries are nested already.
    pub depth: usize,
    /// Within a NOT.
    pub negated: bool,
}

impl<'a> Scope<'a> {
    /// The columns of a table, under its name or another.
    pub fn of(schema: &'a Schema, table: &Table, alias: Option<&str>) -> Self {
        let mut scope = Self { columns: Vec::new(), schema, depth: 0, negated: false };
        scope.add(table, alias);
        scope
    }

    pub fn add(&mut self, table: &Table, alias: Option<&str>) {
        let named = |column: &Column| match alias {
            Some(alias) => (format!("{alias}.{}", column.name), column.kind),
            None => (column.name.clone(), column.kind),
        };
        self.columns.extend(table.columns.iter().map(named));
    }

    /// The same without subqueries.
    pub fn plain(&self) -> Self {
        Self { columns: self.columns.clone(), depth: usize::MAX, ..*self }
    }

    fn column(&self, dice: &mut Dice, kind: Kind) -> Option<&str> {
        let columns: Vec<_> = self.columns.iter().filter(|(_, k)| *k == kind).collect();
        (!columns.is_empty()).then(|| dice.of(&columns).0.as_str())
    }
}

pub fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub fn literal(dice: &mut Dice, kind: Kind) -> String {
    match kind {
        Kind::Int if dice.once_in(4) => dice.between(-1000, 1000).to_string(),
        Kind::Int => dice.between(-5, 40).to_string(),
        Kind::Text if dice.once_in(4) => text(&format!("k-000{:03}", dice.below(300))),
        Kind::Text if dice.once_in(12) => text("it's"),
        Kind::Text => text(dice.word(&TEXTS)),
        Kind::Double => format!("{:?}", quarter(dice)),
        Kind::Bool => (dice.word(&["TRUE", "FALSE"])).to_string(),
        Kind::Date => format!(
            "DATE '20{:02}-{:02}-1{}'",
            20 + dice.below(3),
            1 + dice.below(12),
            dice.below(4)
        ),
    }
}

fn quarter(dice: &mut Dice) -> f64 {
    dice.between(-30, 80) as f64 / 4.0
}

/// A value of a kind, possibly NULL.
pub fn value(dice: &mut Dice, scope: &Scope, kind: Kind, depth: usize) -> String {
    if depth == 0 || dice.once_in(3) {
        let column = scope.column(dice, kind).map(String::from);
        return match column {
            Some(column) if !dice.once_in(4) => column,
            _ => literal(dice, kind),
        };
    }
    let less = depth - 1;
    match dice.below(6) {
        0 => {
            let condition = predicate(dice, &scope.plain(), less);
            let (one, other) = (value(dice, scope, kind, less), value(dice, scope, kind, less));
            match dice.once_in(3) {
                true => format!("CASE WHEN {condition} THEN {one} END"),
                false => format!("CASE WHEN {condition} THEN {one} ELSE {other} END"),
            }
        }
        1 => {
            let (one, other) = (value(dice, scope, kind, less), value(dice, scope, kind, less));
            format!("{}({one}, {other})", dice.word(&["coalesce", "nullif"]))
        }
        _ => computed(dice, scope, kind, less),
    }
}

fn computed(dice: &mut Dice, scope: &Scope, kind: Kind, less: usize) -> String {
    let one = value(dice, scope, kind, less);
    match (kind, dice.below(4)) {
        (Kind::Int, 0) => format!("({one} % {})", dice.between(2, 9)),
        (Kind::Int, 1) => format!("abs({one})"),
        (Kind::Int, 2) if less > 0 => format!("length({})", value(dice, scope, Kind::Text, less)),
        (Kind::Int | Kind::Double, _) => {
            let other = value(dice, scope, kind, less);
            format!("({one} {} {other})", dice.word(&["+", "-"]))
        }
        (Kind::Text, 0) => format!("substr({one}, 1, {})", dice.between(1, 3)),
        (Kind::Text, 1) => format!("{}({one})", dice.word(&["upper", "lower"])),
        (Kind::Text, 2) => {
            // A cast alone has no part in the name of an aggregate, which DataFusion knows it by.
            format!("(CAST({} AS TEXT) || '')", value(dice, scope, Kind::Int, less))
        }
        (Kind::Text, _) => format!("({one} || {})", value(dice, scope, Kind::Text, less)),
        (Kind::Bool, _) => format!("({})", predicate(dice, &scope.plain(), less)),
        (Kind::Date, _) => one,
    }
}

/// A condition: true, false or NULL.
pub fn predicate(dice: &mut Dice, scope: &Scope, depth: usize) -> String {
    if depth == 0 {
        return simple(dice, scope);
    }
    let less = depth - 1;
    match dice.below(14) {
        0..=2 => format!("({} AND {})", predicate(dice, scope, less), predicate(dice, scope, less)),
        3 | 4 => format!("({} OR {})", predicate(dice, scope, less), predicate(dice, scope, less)),
        5 => {
            let negated = Scope { columns: scope.columns.clone(), negated: true, ..*scope };
            format!("(NOT {})", predicate(dice, &negated, less))
        }
        6 => {
            let test = dice.word(&["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NULL", "IS NOT NULL"]);
            format!("({}) {test}", predicate(dice, &scope.plain(), less))
        }
        7 => format!(
            "CASE WHEN {} THEN {} ELSE {} END",
            predicate(dice, &scope.plain(), less),
            simple(dice, scope),
            simple(dice, scope)
        ),
        8 if scope.depth < 2 => subquery(dice, scope, less),
        9 => {
            let kind = *dice.of(&Kind::ALL);
            let (one, other) = (value(dice, scope, kind, less), value(dice, scope, kind, less));
            format!("({one} {} {other})", comparison(dice))
        }
        _ => simple(dice, scope),
    }
}

fn comparison(dice: &mut Dice) -> &'static str {
    dice.word(&["=", "<>", "<", "<=", ">", ">=", "=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
}

/// A column and constants: what key ranges are made of.
fn simple(dice: &mut Dice, scope: &Scope) -> String {
    let (column, kind) = match dice.once_in(2) {
        // The first columns are the key's.
        true => scope.columns[0].clone(),
        false => dice.of(&scope.columns).clone(),
    };
    let not = dice.word(&["", "", "NOT "]);
    match dice.below(12) {
        0 => format!("{column} IS {not}NULL"),
        1 => {
            let (low, high) = (literal(dice, kind), literal(dice, kind));
            format!("{column} {not}BETWEEN {low} AND {high}")
        }
        2 | 3 => {
            let count = if dice.once_in(6) { 30 } else { 1 + dice.below(5) };
            let mut items: Vec<_> = (0..count).map(|_| literal(dice, kind)).collect();
            if dice.once_in(8) {
                items.push("NULL".to_string());
            }
            format!("{column} {not}IN ({})", items.join(", "))
        }
        4 if kind == Kind::Text => format!("{column} {not}LIKE {}", text(dice.word(&PATTERNS))),
        4 if kind == Kind::Bool => column,
        5 if kind == Kind::Int => format!("({column} {} {:?})", comparison(dice), quarter(dice)),
        5 if kind == Kind::Double => {
            format!("({column} {} {})", comparison(dice), dice.between(-5, 20))
        }
        6 => format!("({} {} {column})", literal(dice, kind), comparison(dice)),
        _ => format!("({column} {} {})", comparison(dice), literal(dice, kind)),
    }
}

/// EXISTS, IN and comparisons with what another query gives.
fn subquery(dice: &mut Dice, scope: &Scope, less: usize) -> String {
    let table = scope.schema.relation(dice);
    let alias = format!("s{}", scope.depth);
    let mut inner = Scope::of(scope.schema, table, Some(&alias));
    inner.depth = scope.depth + 1;
    let condition = predicate(dice, &inner, less.min(1));
    let from = format!("{} AS {alias}", table.name);
    let (column, kind) = dice.of(&inner.columns).clone();
    let not = dice.word(&["", "NOT "]);
    match (dice.below(4), scope.column(dice, kind).map(String::from)) {
        (0 | 1, Some(outer)) => {
            format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {column} = {outer} AND {condition})")
        }
        (2, Some(outer)) if scope.negated || not.is_empty() => format!(
            "({outer} IS NOT NULL AND {outer} {not}IN \
             (SELECT {column} FROM {from} WHERE {column} IS NOT NULL AND {condition}))"
        ),
        (2, Some(outer)) => {
            format!("{outer} IN (SELECT {column} FROM {from} WHERE {condition})")
        }
        _ => {
            let one = value(dice, scope, kind, 0);
            let which = dice.word(&["min", "max"]);
            let compared = dice.word(&["=", "<", "<=", ">"]);
            format!("{one} {compared} (SELECT {which}({column}) FROM {from} WHERE {condition})")
        }
    }
}
