//! The scripts in which the power fails: one that was thought of, four that each dwell on one
//! thing, and any number of others as chance has them, the same for the same seed.
//!
//! Between some statements the database is closed and opened again, or dropped as it is and opened
//! again at once, or looked at by a reader beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::script::Statement::{
    self, Checkpoint, Compact, Create, Delete, Drop, Index, Insert, InsertMany, Move, Renew,
    Transaction, Truncate, Upsert,
};
use super::script::{State, states, thought_of};
use crate::faulty_disk::Seeded;

/// Statements in a script.
pub const STATEMENTS: usize = 50;

/// What happens to the handle before a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is closed, and the database opened again.
    Close,
    /// It is dropped, and the database opened again.
    Drop,
    /// Another one, read-only, looks at the rows.
    Look,
}

/// A script and what it makes of an empty database.
#[derive(Debug, Clone)]
pub struct Script {
    pub name: String,
    pub statements: Vec<Statement>,
    /// Turns by the number of the statement that they come before.
    pub turns: BTreeMap<usize, Turn>,
    /// The state before the script and after each of its statements.
    pub states: Vec<State>,
}

/// How often what kind of statement comes, and of how many rows.
struct Mix {
    name: &'static str,
    rows_max: u64,
    bulk: u64,
    insert: u64,
    upsert: u64,
    delete: u64,
    drop: u64,
    renew: u64,
    index: u64,
    truncate: u64,
    shift: u64,
    transaction: u64,
    checkpoint: u64,
    compact: u64,
    /// Statements between two turns, on average.
    turn_every: u64,
}

const MIXES: [Mix; 5] = [
    Mix {
        name: "small commits",
        rows_max: 3,
        bulk: 0,
        insert: 8,
        upsert: 8,
        delete: 6,
        drop: 0,
        renew: 0,
        index: 0,
        truncate: 0,
        shift: 1,
        transaction: 1,
        checkpoint: 1,
        compact: 0,
        turn_every: 25,
    },
    Mix {
        name: "bulk loads",
        rows_max: 40,
        bulk: 4,
        insert: 3,
        upsert: 3,
        delete: 4,
        drop: 1,
        renew: 1,
        index: 1,
        truncate: 1,
        shift: 0,
        transaction: 0,
        checkpoint: 2,
        compact: 3,
        turn_every: 15,
    },
    Mix {
        name: "tables made and dropped",
        rows_max: 20,
        bulk: 1,
        insert: 4,
        upsert: 3,
        delete: 2,
        drop: 6,
        renew: 4,
        index: 3,
        truncate: 2,
        shift: 0,
        transaction: 1,
        checkpoint: 3,
        compact: 2,
        turn_every: 12,
    },
    Mix {
        name: "handles in turn",
        rows_max: 40,
        bulk: 1,
        insert: 5,
        upsert: 5,
        delete: 4,
        drop: 1,
        renew: 1,
        index: 1,
        truncate: 0,
        shift: 0,
        transaction: 1,
        checkpoint: 2,
        compact: 2,
        turn_every: 3,
    },
    Mix {
        name: "of everything",
        rows_max: 40,
        bulk: 1,
        insert: 5,
        upsert: 5,
        delete: 4,
        drop: 1,
        renew: 1,
        index: 1,
        truncate: 1,
        shift: 1,
        transaction: 2,
        checkpoint: 2,
        compact: 2,
        turn_every: 15,
    },
];

impl Script {
    pub fn new(name: String, statements: Vec<Statement>, turns: BTreeMap<usize, Turn>) -> Self {
        let states = states(&statements);
        Self { name, statements, turns, states }
    }

    /// The one that was thought of.
    pub fn thought_of() -> Self {
        let turns = [(9, Turn::Close), (24, Turn::Drop), (33, Turn::Look), (44, Turn::Close)];
        Self::new("thought of".to_string(), thought_of(), turns.into())
    }

    /// Any other.
    pub fn of_chance(seed: u64) -> Self {
        let mix = &MIXES[(seed % MIXES.len() as u64) as usize];
        let mut seeded = Seeded::new(seed);
        let (mut state, mut statements, mut turns) = (State::new(), Vec::new(), BTreeMap::new());
        let mut indexed = BTreeSet::new();
        while statements.len() < STATEMENTS {
            let number = statements.len();
            if seeded.below(mix.turn_every) == 0 {
                let turn = [Turn::Close, Turn::Drop, Turn::Look][seeded.below(3) as usize];
                turns.insert(number, turn);
            }
            let name = ["a", "b", "c"][seeded.below(3) as usize];
            let statement = match state.get(name) {
                None => Create(name),
                Some(rows) => mix.statement(&mut seeded, name, rows, number),
            };
            // A table has one index, which goes with its column.
            let statement = match statement {
                Index(name, _) if indexed.contains(name) => Checkpoint,
                other => other,
            };
            match &statement {
                Index(name, _) => _ = indexed.insert(*name),
                Drop(name) | Renew(name) => _ = indexed.remove(name),
                _ => {}
            }
            statement.apply(&mut state, number);
            statements.push(statement);
        }
        Self::new(format!("{} {seed}", mix.name), statements, turns)
    }

    /// The states that are allowed when so many statements were acknowledged and one more may be
    /// under way.
    pub fn allowed(&self, acknowledged: usize) -> [&State; 2] {
        let next = (acknowledged + 1).min(self.statements.len());
        [&self.states[acknowledged], &self.states[next]]
    }
}

/// The scripts of every run of the tests: each mix but the last once.
pub fn five() -> Vec<Script> {
    let others = (0..MIXES.len() as u64 - 1).map(Script::of_chance);
    [Script::thought_of()].into_iter().chain(others).collect()
}

impl Mix {
    fn statement(
        &self,
        seeded: &mut Seeded,
        name: &'static str,
        rows: &BTreeMap<i64, String>,
        number: usize,
    ) -> Statement {
        let kinds = [
            self.bulk,
            self.insert,
            self.upsert,
            self.delete,
            self.drop,
            self.renew,
            self.checkpoint,
            self.compact,
            self.index,
            self.truncate,
            self.shift,
            self.transaction,
        ];
        let mut ticket = seeded.below(kinds.iter().sum());
        let kind = kinds.iter().position(|weight| match ticket.checked_sub(*weight) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        });
        let count = match kind {
            Some(0) => 200 + seeded.below(1200),
            _ => 1 + seeded.below(self.rows_max),
        };
        let keys = some_keys(seeded, count);
        let mut new = keys.clone();
        new.retain(|key| !rows.contains_key(key));
        match kind {
            Some(0) if !new.is_empty() => InsertMany(name, new),
            Some(1) if !new.is_empty() => Insert(name, new),
            Some(3) => Delete(name, keys),
            Some(4) => Drop(name),
            Some(5) => Renew(name),
            Some(6) => Checkpoint,
            Some(7) => Compact,
            Some(8) => Index(name, seeded.below(2) == 0),
            Some(9) => Truncate(name),
            Some(10) => shifted(seeded, name, number),
            Some(11) => transaction(seeded, name, rows, number),
            _ => Upsert(name, keys),
        }
    }
}

/// Moves rows to where no other statement puts any.
fn shifted(seeded: &mut Seeded, name: &'static str, number: usize) -> Statement {
    let from = seeded.below(3000) as i64;
    Move(name, from, from + 1 + seeded.below(800) as i64, 10_000 * (1 + number as i64))
}

/// A few statements on one table, and perhaps a table of its own.
fn transaction(
    seeded: &mut Seeded,
    name: &'static str,
    rows: &BTreeMap<i64, String>,
    number: usize,
) -> Statement {
    let mut rows = rows.clone();
    let mut steps = Vec::new();
    for _ in 0..2 + seeded.below(3) {
        let count = 1 + seeded.below(60);
        let keys = some_keys(seeded, count);
        let mut new = keys.clone();
        new.retain(|key| !rows.contains_key(key));
        let step = match seeded.below(8) {
            0 | 1 if !new.is_empty() => Insert(name, new),
            2 | 3 => Delete(name, keys),
            // Rows are moved to the same place once.
            4 if !steps.iter().any(|step| matches!(step, Move(..))) => {
                shifted(seeded, name, number)
            }
            5 => Truncate(name),
            _ => Upsert(name, keys),
        };
        let mut state = State::from([(name.to_string(), rows)]);
        step.apply(&mut state, number);
        rows = state.remove(name).expect("the table");
        steps.push(step);
    }
    if seeded.below(4) == 0 {
        steps.extend([Create("e"), Insert("e", vec![number as i64]), Drop("e")]);
    }
    Transaction(steps)
}

/// Keys; here and there one behind the other, so that parts come to lie apart.
fn some_keys(seeded: &mut Seeded, count: u64) -> Vec<i64> {
    let (first, step) = (seeded.below(3000), 1 + seeded.below(3) * 7);
    let mut keys: Vec<i64> = (0..count).map(|i| ((first + i * step) % 3001) as i64).collect();
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

#[test]
fn scripts_have_fifty_statements_and_repeat() {
    for (script, again) in five().iter().zip(five()) {
        assert_eq!(script.statements.len(), STATEMENTS, "{}", script.name);
        assert_eq!(format!("{script:?}"), format!("{again:?}"));
        assert!(!script.turns.is_empty(), "{}", script.name);
    }
    let turns: Vec<Turn> = five().iter().flat_map(|s| s.turns.values().copied()).collect();
    for turn in [Turn::Close, Turn::Drop, Turn::Look] {
        assert!(turns.contains(&turn), "{turn:?}");
    }
    let all: String = (0..50).map(|seed| format!("{:?}", Script::of_chance(seed))).collect();
    for kind in ["Index(", "Truncate(", "Move(", "Transaction(", "Renew(", "InsertMany("] {
        assert!(all.matches(kind).count() > 9, "{kind}");
    }
}
