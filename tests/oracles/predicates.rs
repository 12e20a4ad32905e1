//! Conditions made up at random, most of them on the key.

use super::keys::{Table, Type};
use crate::differential::dice::Dice;

pub fn predicate(dice: &mut Dice, table: &Table, depth: usize) -> String {
    if depth == 0 {
        return leaf(dice, table);
    }
    let mut part = || predicate(dice, table, depth - 1);
    let (one, other) = (part(), part());
    match dice.below(8) {
        0..=2 => format!("({one} AND {other})"),
        3..=5 => format!("({one} OR {other})"),
        6 => format!("(NOT {one})"),
        _ => format!("(CASE WHEN {one} THEN {other} ELSE {} END)", leaf(dice, table)),
    }
}

fn leaf(dice: &mut Dice, table: &Table) -> String {
    let keys = if dice.once_in(4) { table.columns.len() } else { table.keys };
    let (name, of) = &table.columns[dice.below(keys)];
    let (column, of) = (format!("{}.{name}", table.name), *of);
    let not = dice.word(&["", "", "NOT "]);
    match dice.below(16) {
        0 => format!("({column} {not}BETWEEN {} AND {})", of.constant(dice), of.constant(dice)),
        1..=3 => {
            let count = *dice.of(&[1, 2, 3, 4, 6, 30, 80]);
            let items: Vec<_> = (0..count).map(|_| of.value(dice)).collect();
            let last = if dice.once_in(3) { format!(", {}", of.constant(dice)) } else { "".into() };
            format!("({column} {not}IN ({}{last}))", items.join(", "))
        }
        4 => format!("({column} IS {not}NULL)"),
        5 if of == Type::Text => {
            let pattern = dice.word(&["k-1%", "k-10_", "%", "", "k-11%-%", "_", "a%"]);
            format!("({column} {not}LIKE '{pattern}')")
        }
        5 if of == Type::Boolean => format!("({not}{column})"),
        5 => format!("(-{column} {} {})", comparison(dice), of.constant(dice)),
        6 | 7 if table.keys > 1 => tuple(dice, table),
        8 => {
            let to = dice.word(&["DOUBLE", "TEXT", "BIGINT", "DECIMAL(20, 4)", "DATE", "FLOAT"]);
            format!("(CAST({column} AS {to}) {} {})", comparison(dice), of.constant(dice))
        }
        9 => format!("({} {} {column})", of.constant(dice), comparison(dice)),
        10 => format!("(({column} {} {}) IS TRUE)", comparison(dice), of.constant(dice)),
        11 => {
            // A narrow range, as OR of AND.
            let (a, b) = (of.value(dice), of.value(dice));
            format!("(({column} >= {a} AND {column} < {b}) OR {column} = {})", of.constant(dice))
        }
        _ => format!("({column} {} {})", comparison(dice), of.constant(dice)),
    }
}

fn comparison(dice: &mut Dice) -> &'static str {
    dice.word(&["=", "=", "<", "<=", ">", ">=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
}

/// The first columns of the key together.
fn tuple(dice: &mut Dice, table: &Table) -> String {
    let count = dice.between(2, table.keys as i64) as usize;
    let columns = &table.columns[..count];
    let names: Vec<_> = columns.iter().map(|(name, _)| format!("{}.{name}", table.name)).collect();
    let values: Vec<_> = columns.iter().map(|(_, of)| of.value(dice)).collect();
    match dice.once_in(2) {
        true => format!("(({}) = ({}))", names.join(", "), values.join(", ")),
        false => {
            let equal = names.iter().zip(&values).map(|(name, value)| format!("{name} = {value}"));
            format!("({})", equal.collect::<Vec<_>>().join(" AND "))
        }
    }
}
