//! Random filters of SELECT: as SQL, and as what SQL says they mean, NULL being unknown.

use super::kinds::{Kind, Part, Parts, Values, literal};
use super::steps::{number, values};
use crate::faulty_disk::Seeded;

/// A condition. Columns are counted from zero and go round; literals come of keys and values.
#[derive(Debug, Clone)]
pub enum Filter {
    /// `column op value`.
    Is(usize, Op, u32, Values),
    /// `column IN (…)`.
    In(usize, Vec<(u32, Values)>),
    /// `column IS NULL`.
    IsNull(usize),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Equal,
    Less,
    AtMost,
    Above,
    AtLeast,
    NotEqual,
}

impl Op {
    fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::NotEqual => "<>",
        }
    }

    fn holds(self, a: &Part, b: &Part) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Above => a > b,
            Self::AtLeast => a >= b,
            Self::NotEqual => a != b,
        }
    }
}

/// A random filter of so many levels at most; most are about the key.
pub fn filter(dice: &mut Seeded, depth: u32) -> Filter {
    let column = if dice.below(3) > 0 { 0 } else { dice.below(4) as usize };
    if depth > 0 && dice.coin() {
        let a = Box::new(filter(dice, depth - 1));
        return match dice.below(5) {
            0 => Filter::Not(a),
            1 => Filter::Or(a, Box::new(filter(dice, depth - 1))),
            _ => Filter::And(a, Box::new(filter(dice, depth - 1))),
        };
    }
    let ops = [Op::Equal, Op::Less, Op::AtMost, Op::Above, Op::AtLeast, Op::NotEqual];
    match dice.below(8) {
        0 => Filter::In(
            column,
            (0..1 + dice.below(5)).map(|_| (number(dice), values(dice))).collect(),
        ),
        1 => Filter::IsNull(column),
        _ => {
            let op = ops[dice.below(ops.len() as u64) as usize];
            Filter::Is(column, op, number(dice), values(dice))
        }
    }
}

/// The name of a column.
fn name(kind: Kind, column: usize) -> &'static str {
    let names = kind.names();
    names[column % names.len()]
}

/// The value of a column in a row.
fn value(kind: Kind, column: usize, key: &Parts, values: &Values) -> Option<Part> {
    match name(kind, column) {
        "number" => values.0.map(Part::Int),
        "note" => values.1.clone().map(Part::Text),
        _ => Some(key[column % kind.names().len()].clone()),
    }
}

impl Filter {
    /// As SQL.
    pub fn sql(&self, kind: Kind) -> String {
        let text = |column: usize, number: u32, values: &Values| {
            let part = value(kind, column, &kind.key(number), values);
            part.map_or("NULL".to_string(), |part| literal(name(kind, column), &part))
        };
        match self {
            Self::Is(column, op, number, values) => {
                let value = text(*column, *number, values);
                format!("{} {} {value}", name(kind, *column), op.sql())
            }
            Self::In(column, list) => {
                let list: Vec<_> = list.iter().map(|(n, v)| text(*column, *n, v)).collect();
                format!("{} IN ({})", name(kind, *column), list.join(", "))
            }
            Self::IsNull(column) => format!("{} IS NULL", name(kind, *column)),
            Self::And(a, b) => format!("({}) AND ({})", a.sql(kind), b.sql(kind)),
            Self::Or(a, b) => format!("({}) OR ({})", a.sql(kind), b.sql(kind)),
            Self::Not(a) => format!("NOT ({})", a.sql(kind)),
        }
    }

    /// Whether a row passes; `None`: unknown, which is not passing.
    pub fn holds(&self, kind: Kind, key: &Parts, values: &Values) -> Option<bool> {
        let of_row = |column: usize| value(kind, column, key, values);
        let given = |column: usize, n: u32, v: &Values| value(kind, column, &kind.key(n), v);
        match self {
            Self::Is(column, op, number, values) => {
                Some(op.holds(&of_row(*column)?, &given(*column, *number, values)?))
            }
            Self::In(column, list) => {
                let found = of_row(*column)?;
                let list: Vec<_> = list.iter().map(|(n, v)| given(*column, *n, v)).collect();
                match list.contains(&Some(found)) {
                    true => Some(true),
                    false => (!list.contains(&None)).then_some(false),
                }
            }
            Self::IsNull(column) => Some(of_row(*column).is_none()),
            Self::And(a, b) => match (a.holds(kind, key, values), b.holds(kind, key, values)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.holds(kind, key, values), b.holds(kind, key, values)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::Not(a) => a.holds(kind, key, values).map(|holds| !holds),
        }
    }
}
