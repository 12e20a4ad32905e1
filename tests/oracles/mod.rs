//! Two oracles that need no second database (Rigger and Su, 2020). NoREC: as many rows pass a
//! filter as there are rows of which the condition, computed for each, is true. TLP: rows for
//! which a condition is true, false and unknown together are all rows; and so for aggregates,
//! DISTINCT and joins.
//!
//! Tables have keys of every type and lie in segments with deletion vectors and in memory; most
//! conditions are on the key, so what turns filters into key ranges is what is tested.
//! `OMEN_ORACLES=300` goes on for so many seconds, `OMEN_ORACLES_SEED=57` begins there.

mod keys;
mod predicates;

use std::io::Write;
use std::time::{Duration, Instant};

use arrow::util::display::array_value_to_string;
use omen_provider::{Database, Session};

use crate::differential::dice::Dice;
use crate::harness::block_on;
use crate::harness::media::{Medium, small};
use keys::Table;
use predicates::predicate;

/// If nothing else is asked for.
const SECONDS: u64 = 20;

/// And at most so many seeds.
const SEEDS: u64 = 6;

/// Conditions for each pair of tables.
const CONDITIONS: usize = 40;

type Rows = Vec<Vec<String>>;

/// Two tables of a seed.
struct Case {
    database: Database,
    session: Session,
    tables: [Table; 2],
    /// Conditions that could not be computed for every row, such as casts that overflow.
    refused: usize,
    done: usize,
}

impl Case {
    async fn new(dice: &mut Dice) -> Result<Self, String> {
        let database = Medium::objects().open(small()).await.map_err(|e| e.to_string())?;
        let tables = [Table::made_up(dice, "t"), Table::made_up(dice, "u")];
        let session = database.session();
        let case = Self { database, session, tables, refused: 0, done: 0 };
        for statement in case.tables.iter().flat_map(|table| &table.statements) {
            let outcome = match statement.as_str() {
                "" => Ok(()),
                "checkpoint" => case.database.checkpoint().await.map_err(|e| e.to_string()),
                "compact" => case.database.compact().await.map_err(|e| e.to_string()),
                sql => case.ask(sql).await.map(drop),
            };
            outcome.map_err(|error| format!("{statement}: {error}"))?;
        }
        Ok(case)
    }

    /// Rows in any order.
    async fn ask(&self, sql: &str) -> Result<Rows, String> {
        let frame = self.session.sql(sql).await.map_err(|e| e.to_string())?;
        let batches = frame.collect().await.map_err(|e| e.to_string())?;
        let mut rows = Rows::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().map(|c| match c.is_null(row) {
                    true => "NULL".to_string(),
                    false => array_value_to_string(c, row).expect("a value"),
                });
                rows.push(cells.collect());
            }
        }
        rows.sort();
        Ok(rows)
    }

    async fn number(&self, sql: &str) -> Result<i64, String> {
        let rows = self.ask(sql).await.map_err(|error| format!("{sql}: {error}"))?;
        let cell = rows.first().and_then(|row| row.first());
        Ok(cell.and_then(|cell| cell.parse().ok()).unwrap_or(0))
    }

    /// One condition on the first table, or on both joined.
    async fn check(&mut self, condition: &str, joined: bool) -> Result<(), String> {
        let (t, u) = (&self.tables[0], &self.tables[1]);
        let from = match joined {
            false => t.name.to_string(),
            true => format!("{} JOIN {} ON {}.w = {}.w", t.name, u.name, t.name, u.name),
        };
        // First what computes it for every row: if that is refused nothing is asked of the filter.
        let computed = format!("SELECT ({condition}) IS TRUE FROM {from}");
        let Ok(computed) = self.ask(&computed).await else {
            self.refused += 1;
            return Ok(());
        };
        let expected = computed.iter().filter(|row| row[0] == "true").count() as i64;
        let count = self.number(&format!("SELECT count(*) FROM {from} WHERE {condition}")).await?;
        if count != expected {
            return Err(format!("count(*) is {count}; computed row by row it is {expected}"));
        }
        let parts =
            [condition.to_string(), format!("NOT {condition}"), format!("{condition} IS NULL")];
        self.rows_of_parts(&from, &parts, "*", false).await?;
        self.rows_of_parts(&from, &parts, "DISTINCT t.v", true).await?;
        self.aggregates_of_parts(&from, &parts).await?;
        self.done += 1;
        Ok(())
    }

    async fn rows_of_parts(
        &self,
        from: &str,
        parts: &[String; 3],
        what: &str,
        distinct: bool,
    ) -> Result<(), String> {
        let all = self.ask(&format!("SELECT {what} FROM {from}")).await?;
        let mut together = Rows::new();
        for part in parts {
            together.extend(self.ask(&format!("SELECT {what} FROM {from} WHERE {part}")).await?);
        }
        together.sort();
        if distinct {
            together.dedup();
        }
        match together == all {
            true => Ok(()),
            false => Err(format!(
                "SELECT {what}: {} rows in all, {} in the three parts",
                all.len(),
                together.len()
            )),
        }
    }

    async fn aggregates_of_parts(&self, from: &str, parts: &[String; 3]) -> Result<(), String> {
        let select = |part: &str| {
            format!(
                "SELECT min(t.v), max(t.v), sum(t.v % 100000), count(t.v), min(t.k0), max(t.k0) \
                 FROM {from}{part}"
            )
        };
        let all = self.ask(&select("")).await?;
        let mut found = Vec::new();
        for part in parts {
            found.extend(self.ask(&select(&format!(" WHERE {part}"))).await?);
        }
        let number = |row: &Vec<String>, at: usize| row[at].parse::<i128>().ok();
        let numbers = |at: usize| found.iter().filter_map(move |row| number(row, at));
        let sums = (numbers(2).sum::<i128>(), numbers(3).sum::<i128>());
        let together = (numbers(0).min(), numbers(1).max(), sums);
        let zero = |at| number(&all[0], at).unwrap_or(0);
        let whole = (number(&all[0], 0), number(&all[0], 1), (zero(2), zero(3)));
        if together != whole {
            return Err(format!("min, max, sum, count: {together:?}, not {whole:?}"));
        }
        // Whatever the type of the key: the least of all is the least of a part.
        for at in [4, 5] {
            if !found.iter().any(|row| row[at] == all[0][at]) {
                return Err(format!("{} of k0 is of no part", ["min", "max"][at - 4]));
            }
        }
        Ok(())
    }
}

/// What computing a condition fails with: nothing that a filter could pass or not.
const NOT_COMPUTED: [&str; 5] = [
    "Cast error",
    "verflow",
    "Invalid arithmetic operation",
    "is too small to store in",
    "is too large to store in",
];

async fn round(seed: u64) -> Result<(usize, usize), String> {
    let mut dice = Dice::new(seed);
    let mut case = Case::new(&mut dice).await.map_err(|error| format!("seed {seed}: {error}"))?;
    for number in 0..CONDITIONS {
        let depth = *dice.of(&[0, 0, 1, 2, 3]);
        let condition = predicate(&mut dice, &case.tables[0], depth);
        let joined = dice.once_in(8);
        let outcome = match case.check(&condition, joined).await {
            // A filter may be computed for rows that a join leaves out, and casts fail there.
            Err(error) if NOT_COMPUTED.iter().any(|what| error.contains(what)) => {
                case.refused += 1;
                Ok(())
            }
            outcome => outcome,
        };
        outcome.map_err(|error| {
            let statements = case.tables.iter().flat_map(|table| &table.statements);
            let statements = statements.map(|sql| format!("{sql};\n")).collect::<String>();
            format!(
                "seed {seed}, condition {number}, joined: {joined}: {error}\n{condition}\n\
                 after:\n{statements}\n\
                 OMEN_ORACLES=1 OMEN_ORACLES_SEED={seed} cargo test -p omen-tests oracles"
            )
        })?;
    }
    Ok((case.done, case.refused))
}

#[test]
fn filters_pass_what_their_condition_is_true_for() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name}: a number")))
    };
    let asked = number("OMEN_ORACLES");
    let time = Duration::from_secs(asked.unwrap_or(SECONDS));
    let mut seed = number("OMEN_ORACLES_SEED").unwrap_or(1);
    // So that a faster machine tries no other seeds unless it is asked to.
    let end = seed + number("OMEN_ORACLES_SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let (mut done, mut refused) = (0, 0);
    loop {
        let (more, less) = block_on(round(seed)).unwrap_or_else(|error| panic!("{error}"));
        (done, refused) = (done + more, refused + less);
        seed += 1;
        if asked.is_some() {
            // Not by a macro: what those print of a test is kept back.
            let line = format!("oracles: {done} conditions, {refused} refused, next seed {seed}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        if started.elapsed() > time || seed == end {
            break;
        }
    }
    assert!(done > refused, "{done} conditions were looked at, {refused} could not be computed");
}
