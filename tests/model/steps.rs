//! Random histories: lists of steps, each as data, so that a history that fails can be made shorter
//! by leaving steps out. Keys meet again, statements fail, tables come and go.

use std::fmt;

use super::edits::{Edit, edit};
use super::filters::{Filter, filter};
use super::kinds::{Kind, NUMBERS, Parts, Values};
use crate::faulty_disk::Seeded;

/// How many names tables have.
pub const TABLES: u64 = 4;

/// One step.
#[derive(Debug, Clone)]
pub enum Step {
    /// CREATE TABLE, with rows or without.
    Create { table: String, kind: Kind, way: Way, rows: RowList },
    /// DROP TABLE.
    Drop { table: String, way: Way },
    /// Rows in, over others, or out.
    Write(Write),
    /// A statement computed from the rows that are there, in SQL.
    Edit { table: String, edit: Edit },
    /// Statements at the same time, on any tables, beside a flush or a compaction.
    Together { writes: Vec<Write>, beside: Beside },
    /// A statement that must fail.
    Refused { table: String, what: Refused },
    /// Look up keys, one by one and together.
    Get { table: String, numbers: Vec<u32> },
    /// Read the rows between two keys.
    Range { table: String, from: u32, to: u32 },
    /// SELECT with a filter, in key order or not, all rows or the first.
    Select { table: String, filter: Filter, order: Option<bool>, limit: Option<usize> },
    /// A query that DataFusion answers from its own memory as well.
    Compare { tables: [String; 2], query: usize },
    /// Everything, by key range and by count.
    CheckAll,
    /// Bring everything to segments.
    Checkpoint,
    /// Merge the segments.
    Compact,
    /// Open again after this.
    Reopen(Ending),
}

/// A statement that writes.
#[derive(Debug, Clone)]
pub struct Write {
    pub table: String,
    pub change: Change,
    pub way: Way,
}

/// What a statement does.
#[derive(Debug, Clone)]
pub enum Change {
    /// Refused as a whole if a key is known.
    Insert(RowList),
    /// Writes over rows of the same key.
    Upsert(RowList),
    /// By key.
    Delete(Vec<u32>),
}

/// How a statement is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One batch.
    Batch,
    /// Many batches.
    Stream,
    /// SQL.
    Sql,
}

/// Rows; keys are numbers that the kind of the table turns into keys.
#[derive(Clone)]
pub enum RowList {
    /// Any.
    Listed(Vec<(u32, Values)>),
    /// `count` rows from `first` on, `step` apart, with notes of `note` bytes.
    Stretch { first: u32, count: u32, step: u32, note: usize },
}

/// What goes on beside statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    Checkpoint,
    Compaction,
}

/// Why a statement must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// NULL in the key, given so.
    NullKey(Way, u32),
    /// A key column of another type.
    WrongType(Way, u32),
    /// A column of the key is not given.
    MissingColumn(u32),
    /// A column that the table does not have.
    UnknownColumn(u32),
    /// A key twice in one statement.
    KeyTwice(Way, u32),
    /// A stream that fails after so many rows.
    StreamFails(u32),
    /// A long stream whose last row has the key of its first.
    LateDuplicate(u32),
    /// CREATE TABLE of a table that is there.
    CreateAgain(Way),
    /// CREATE TABLE with a bad key.
    BadDefinition,
    /// Statements that there are not.
    Sql(&'static str),
    /// A lookup by a key of too many columns.
    WrongKey,
}

/// How a database ends before it is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Close,
    Drop,
    /// The power fails; the number says what is lost of what was not synced.
    PowerCut(u64),
}

impl RowList {
    /// The rows, for a table of a kind.
    pub fn of(&self, kind: Kind) -> Vec<(Parts, Values)> {
        match self {
            Self::Listed(rows) => rows.iter().map(|(n, v)| (kind.key(*n), v.clone())).collect(),
            Self::Stretch { first, count, step, note } => {
                let text = |i: u32| format!("{i:0>width$}", width = *note);
                let row = |i: u32| (kind.key(first + i * step), (Some(i.into()), Some(text(i))));
                (0..*count).map(row).collect()
            }
        }
    }
}

impl fmt::Debug for RowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(rows) => f.debug_list().entries(rows).finish(),
            Self::Stretch { first, count, step, note } => {
                write!(f, "Stretch{{first: {first}, count: {count}, step: {step}, note: {note}}}")
            }
        }
    }
}

impl Step {
    /// How many statements it is.
    pub fn statements(&self) -> u64 {
        match self {
            Self::Together { writes, .. } => writes.len() as u64,
            Self::Get { numbers, .. } => numbers.len() as u64 + 1,
            Self::Range { .. } => 4,
            _ => 1,
        }
    }
}

/// A history: first the tables, then anything.
pub fn history(seed: u64, length: usize) -> Vec<Step> {
    let dice = &mut Seeded::new(seed);
    let kinds = (0..TABLES).map(|i| Kind::ALL[((seed + i) % Kind::ALL.len() as u64) as usize]);
    let create = |(i, kind): (usize, Kind)| Step::Create {
        table: format!("t{i}"),
        kind,
        way: if i % 2 == 0 { Way::Batch } else { Way::Sql },
        rows: RowList::Listed(Vec::new()),
    };
    let mut steps: Vec<Step> = kinds.enumerate().map(create).collect();
    steps.extend((0..length).map(|_| step(dice)));
    steps
}

fn step(dice: &mut Seeded) -> Step {
    let table = table(dice);
    match dice.below(200) {
        0..=69 => Step::Write(write(dice)),
        70..=89 => Step::Edit { table, edit: edit(dice) },
        90..=93 => {
            let way = [Way::Batch, Way::Stream, Way::Sql][dice.below(3) as usize];
            let rows = if way == Way::Stream { stretch(dice) } else { RowList::Listed(vec![]) };
            Step::Create { table, kind: Kind::ALL[dice.below(5) as usize], way, rows }
        }
        94..=96 => Step::Drop { table, way: if dice.coin() { Way::Batch } else { Way::Sql } },
        97..=108 => Step::Together {
            writes: (0..2 + dice.below(3)).map(|_| write(dice)).collect(),
            beside: [Beside::Nothing, Beside::Checkpoint, Beside::Compaction]
                [dice.below(3) as usize],
        },
        109..=123 => Step::Refused { table, what: refused(dice) },
        124..=151 => Step::Get { table, numbers: numbers(dice, 8) },
        152..=169 => Step::Range { table, from: number(dice), to: number(dice) },
        170..=181 => {
            let order = (dice.below(3) > 0).then(|| dice.coin());
            let limit = (order.is_some() && dice.coin()).then(|| dice.below(30) as usize);
            Step::Select { table, filter: filter(dice, 2), order, limit }
        }
        182..=184 => {
            Step::Compare { tables: [table, self::table(dice)], query: dice.next() as usize }
        }
        185..=187 => Step::CheckAll,
        188..=192 => Step::Checkpoint,
        193..=195 => Step::Compact,
        _ => Step::Reopen(match dice.below(3) {
            0 => Ending::Close,
            1 => Ending::Drop,
            _ => Ending::PowerCut(dice.next()),
        }),
    }
}

fn table(dice: &mut Seeded) -> String {
    format!("t{}", dice.below(TABLES))
}

/// Half of the keys come from few, so that they meet again.
pub fn number(dice: &mut Seeded) -> u32 {
    let bound = if dice.coin() { 200 } else { u64::from(NUMBERS) };
    dice.below(bound) as u32
}

fn numbers(dice: &mut Seeded, most: u64) -> Vec<u32> {
    (0..1 + dice.below(most)).map(|_| number(dice)).collect()
}

fn write(dice: &mut Seeded) -> Write {
    let table = table(dice);
    let way = match dice.below(10) {
        0 => Way::Sql,
        1 | 2 => Way::Stream,
        _ => Way::Batch,
    };
    let change = match dice.below(20) {
        0..=5 => Change::Insert(listed(dice, 6)),
        6..=11 => Change::Upsert(listed(dice, 40)),
        12..=15 => Change::Delete(numbers(dice, 30)),
        16 | 17 => Change::Upsert(stretch(dice)),
        _ => Change::Insert(stretch(dice)),
    };
    Write { table, change, way }
}

fn listed(dice: &mut Seeded, most: u64) -> RowList {
    RowList::Listed((0..dice.below(most + 1)).map(|_| (number(dice), values(dice))).collect())
}

/// Mostly short; now and then one that memory does not hold. No key is there twice.
fn stretch(dice: &mut Seeded) -> RowList {
    let count = if dice.below(5) == 0 { 200 + dice.below(400) } else { 1 + dice.below(100) } as u32;
    let step = 1 + dice.below(3) as u32;
    let first = dice.below(u64::from(NUMBERS)) as u32;
    RowList::Stretch { first, count, step, note: 1 + dice.below(60) as usize }
}

pub fn values(dice: &mut Seeded) -> Values {
    let number = match dice.below(5) {
        0 => None,
        1 => Some(dice.next() as i64),
        _ => Some(dice.below(50) as i64 - 10),
    };
    let note = match dice.below(6) {
        0 => None,
        1 => Some(String::new()),
        2 => Some("ü".repeat(40)),
        _ => Some(format!("n{}", dice.below(500))),
    };
    (number, note)
}

fn refused(dice: &mut Seeded) -> Refused {
    let way = [Way::Batch, Way::Stream, Way::Sql][dice.below(3) as usize];
    let number = number(dice);
    let statements = [
        "DELETE FROM {t} WHERE nothing = 1",
        "UPDATE {t} SET nothing = 0",
        "INSERT OVERWRITE {t} SELECT * FROM {t}",
        "INSERT INTO {t} VALUES (1)",
        "INSERT INTO {t} SELECT nothing FROM {t}",
        "SELEC 1",
        "DROP TABLE nothing",
        "CREATE TABLE x (a BIGINT, PRIMARY KEY (b))",
    ];
    match dice.below(11) {
        0 => Refused::NullKey(way, number),
        1 => Refused::WrongType(way, number),
        2 => Refused::MissingColumn(number),
        3 => Refused::UnknownColumn(number),
        4 => Refused::KeyTwice(way, number),
        5 => Refused::StreamFails(dice.below(900) as u32),
        6 => Refused::LateDuplicate(1 + dice.below(900) as u32),
        7 => Refused::CreateAgain(way),
        8 => Refused::BadDefinition,
        9 => Refused::WrongKey,
        _ => Refused::Sql(statements[dice.below(statements.len() as u64) as usize]),
    }
}
