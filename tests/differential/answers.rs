//! Answers of different engines, brought to one form.

use std::cmp::Ordering;

/// Averages may differ by so much of their value.
const TOLERANCE: f64 = 1e-9;

/// A value: truth is a number and a date is text, as SQLite has them.
#[derive(Debug, Clone)]
pub enum Cell {
    Null,
    Number(f64),
    Text(String),
}

#[derive(Debug, Clone)]
pub enum Answer {
    Rows(Vec<Vec<Cell>>),
    /// Of rows written.
    Count(u64),
    /// What it says is for whoever reads of a failure.
    Error(#[allow(dead_code)] String),
}

impl Cell {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) if close(*a, *b) => Ordering::Equal,
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn order(a: &[Cell], b: &[Cell]) -> Ordering {
    let cells = a.iter().zip(b).map(|(a, b)| a.order(b));
    cells.fold(a.len().cmp(&b.len()), |before, next| before.then(next))
}

impl Answer {
    /// Whether they say the same; errors do, whatever they say.
    pub fn is(&self, other: &Self, ordered: bool) -> bool {
        match (self, other) {
            (Self::Rows(a), Self::Rows(b)) => {
                let (mut a, mut b) = (a.clone(), b.clone());
                if !ordered {
                    a.sort_by(|a, b| order(a, b));
                    b.sort_by(|a, b| order(a, b));
                }
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| order(a, b).is_eq())
            }
            (Self::Count(a), Self::Count(b)) => a == b,
            (Self::Error(_), Self::Error(_)) => true,
            _ => false,
        }
    }
}

#[test]
fn rows_in_another_order_are_the_same_unless_there_is_an_order() {
    let row = |n: f64| vec![Cell::Number(n), Cell::Text("a".to_string()), Cell::Null];
    let (one, other) =
        (Answer::Rows(vec![row(1.0), row(2.0)]), Answer::Rows(vec![row(2.0), row(1.0)]));
    assert!(one.is(&other, false));
    assert!(!one.is(&other, true));
    assert!(!one.is(&Answer::Rows(vec![row(1.0), row(1.0)]), false));
    assert!(!one.is(&Answer::Error(String::new()), false));
}
