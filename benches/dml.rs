//! What does it cost to change rows? Single rows, durable one by one, and a tenth of all rows at
//! random in one statement, beside SQLite and DuckDB; and whether a larger table makes it dearer.
//!
//! `cargo bench -p omen-benches --features stores --bench dml`. `ENGINES` chooses contenders,
//! `ROWS` the rows of the table, `LARGE` those of the larger one (`LARGE=0` leaves it out),
//! `SINGLES` the statements of one row, `ROUNDS` how often. `PYTHON` names an interpreter that has
//! the package `duckdb`; without one DuckDB sits out. All write to the same disk, under `TMPDIR`,
//! in turn; after each turn every row is read back and compared.

use std::time::Duration;

use omen_benches::engines::{CONTENDERS, Change, Contender, Engine, Result};
use omen_benches::figure::{Table, at_least, at_most, measured, median};
use omen_benches::{Random, reading_value, settings};

/// Of so many rows one is changed by a statement of many.
const BULK_SHARE: usize = 10;
/// At least so many times as fast as the best of the others: single rows beside SQLite, many.
const SINGLE_GOAL: f64 = 1.0;
const BULK_GOAL: f64 = 3.0;
/// At most so much dearer in the larger table.
const GROWTH_GOAL: f64 = 1.5;

/// A database and what it must hold.
struct Case {
    name: &'static str,
    engine: Box<dyn Engine>,
    /// The value of each id, as long as there is a row.
    model: Vec<Option<f64>>,
    random: Random,
    _directory: tempfile::TempDir,
}

fn main() -> Result<()> {
    let names: Vec<&str> = CONTENDERS.iter().map(|contender| contender.name).collect();
    let chosen = settings::chosen("ENGINES", &names);
    let rows = settings::count("ROWS", 1_000_000);
    let singles = settings::count("SINGLES", 1_000);
    let rounds = settings::count("ROUNDS", 3);
    let mut cases = Vec::new();
    for contender in CONTENDERS {
        if chosen.as_ref().is_none_or(|names| names.iter().any(|name| name == contender.name)) {
            match Case::new(contender, rows) {
                Ok(case) => cases.push(case),
                Err(error) => println!("{} sits out: {error}", contender.name),
            }
        }
    }
    let single = rates(&mut cases, rounds, |case, change| case.one_by_one(change, singles))?;
    report("statements of one row in a second, durable", &cases, &single);
    let bulk = rates(&mut cases, rounds, |case, change| case.at_once(change))?;
    report("rows in a second, a tenth of all in one statement, durable", &cases, &bulk);
    figures(&cases, &single, &bulk);
    let large = std::env::var("LARGE").map_or(Ok(10_000_000), |large| match large.as_str() {
        "0" => Ok(0),
        _ => Ok::<usize, std::num::ParseIntError>(settings::count("LARGE", 10_000_000)),
    })?;
    if large > 0 && cases.iter().any(|case| case.name == "omendb") {
        growth(rows, large, singles, rounds)?;
    }
    Ok(())
}

/// The medians of what `turn` measures, for each change and contender.
fn rates(
    cases: &mut [Case],
    rounds: usize,
    mut turn: impl FnMut(&mut Case, Change) -> Result<f64>,
) -> Result<Vec<Vec<f64>>> {
    let mut found = vec![vec![Vec::new(); cases.len()]; Change::ALL.len()];
    for round in 0..rounds {
        for (place, change) in Change::ALL.into_iter().enumerate() {
            for at in 0..cases.len() {
                let who = (at + round) % cases.len();
                found[place][who].push(turn(&mut cases[who], change)?);
            }
        }
    }
    let medians = |rates: &Vec<Vec<f64>>| rates.iter().map(|rates| median(rates)).collect();
    Ok(found.iter().map(medians).collect())
}

impl Case {
    fn new(contender: Contender, rows: usize) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut engine = (contender.open)(directory.path())?;
        engine.load(rows as i64)?;
        let model = (0..rows as i64).map(|id| Some(reading_value(id))).collect();
        let random = Random::new(1);
        let case = Self { name: contender.name, engine, model, random, _directory: directory };
        Ok(case)
    }

    /// Ids of rows that are there, none twice.
    fn some_rows(&mut self, count: usize) -> Vec<usize> {
        let mut taken = vec![false; self.model.len()];
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let id = self.random.below(self.model.len() as u64) as usize;
            if self.model[id].is_some() && !std::mem::replace(&mut taken[id], true) {
                ids.push(id);
            }
        }
        ids
    }

    /// Ids with values that nothing had before.
    fn some_values(&mut self, count: usize) -> Vec<(i64, f64)> {
        let ids = self.some_rows(count);
        ids.into_iter().map(|id| (id as i64, self.random.below(1 << 40) as f64)).collect()
    }

    /// Statements of one row in a second.
    fn one_by_one(&mut self, change: Change, count: usize) -> Result<f64> {
        let rows = self.some_values(count);
        let time = self.engine.one_by_one(change, &rows)?;
        for (id, value) in rows {
            self.model[id as usize] = (change != Change::Delete).then_some(value);
        }
        self.check(count, time)
    }

    /// Rows in a second.
    fn at_once(&mut self, change: Change) -> Result<f64> {
        let count = self.model.len() / BULK_SHARE;
        let rows = self.some_values(count);
        let time = self.engine.at_once(change, &rows)?;
        for (id, value) in rows {
            let before = &mut self.model[id as usize];
            *before = match change {
                Change::Update => before.map(|before| before + 1.0),
                Change::Upsert => Some(value),
                Change::Delete => None,
            };
        }
        self.check(count, time)
    }

    /// Compares every row.
    fn check(&mut self, count: usize, time: Duration) -> Result<f64> {
        let expected = (0..).zip(&self.model).filter_map(|(id, value)| Some((id, (*value)?)));
        let found = self.engine.rows()?;
        if !expected.eq(found) {
            return Err(format!("{} does not hold what was written", self.name).into());
        }
        Ok(count as f64 / time.as_secs_f64())
    }
}

fn report(title: &str, cases: &[Case], rates: &[Vec<f64>]) {
    let columns = Change::ALL.iter().map(|change| change.name().to_string()).collect();
    let mut table = Table::new(title.into(), columns, 0);
    for (place, case) in cases.iter().enumerate() {
        table.row(case.name, rates.iter().map(|rates| rates[place]).collect());
    }
    table.print();
}

fn figures(cases: &[Case], single: &[Vec<f64>], bulk: &[Vec<f64>]) {
    let place = |name: &str| cases.iter().position(|case| case.name == name);
    let Some(ours) = place("omendb") else { return };
    let others: Vec<usize> = (0..cases.len()).filter(|place| *place != ours).collect();
    let best = |rates: &[f64]| others.iter().map(|place| rates[*place]).fold(f64::NAN, f64::max);
    for (change, (single, bulk)) in Change::ALL.iter().zip(single.iter().zip(bulk)) {
        let name = change.name();
        measured(&format!("{name}s_per_s"), single[ours]);
        if let Some(sqlite) = place("sqlite") {
            at_least(&format!("{name}_vs_sqlite"), single[ours] / single[sqlite], SINGLE_GOAL);
        }
        measured(&format!("bulk_{name}_rows_per_s"), bulk[ours]);
        at_least(&format!("bulk_{name}_vs_best"), bulk[ours] / best(bulk), BULK_GOAL);
    }
}

/// What a statement of one row costs in a larger table, in relation to a smaller one.
fn growth(rows: usize, large: usize, singles: usize, rounds: usize) -> Result<()> {
    let mut cases = vec![Case::new(CONTENDERS[0], rows)?, Case::new(CONTENDERS[0], large)?];
    let rates = rates(&mut cases, rounds, |case, change| case.one_by_one(change, singles))?;
    for (change, rates) in Change::ALL.iter().zip(&rates) {
        let name = format!(
            "{}_cost_{}_to_{}",
            change.name(),
            settings::size_name(large),
            settings::size_name(rows)
        );
        at_most(&name, rates[0] / rates[1], GROWTH_GOAL);
    }
    Ok(())
}
