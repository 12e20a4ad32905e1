//! A database under test beside its model: each step is done to both, and they must agree.

use std::ops::Bound;
use std::sync::Arc;

use futures::{TryStreamExt, stream};
use omen_provider::{Database, Error, Key, Options, Snapshot, Table};

use super::kinds::{Kind, Parts, Values, from_batch, to_batch, to_key, values_list};
use super::place::Place;
use super::readers::Readers;
use super::reads::{first_difference, read_table, same_rows};
use super::steps::{Change, Ending, Step, Way, Write};
use super::world::{Answer, Content, World};
use super::{Outcome, queries, refused, together};
use crate::harness::media::small;

/// Rows of a batch of a stream.
const BATCH_ROWS: usize = 100;

/// A database and what it must hold.
pub struct Case {
    place: Place,
    options: Options,
    database: Option<Database>,
    readers: Option<Readers>,
    pub world: World,
    /// The newest statement that readers have seen.
    lsn: u64,
}

impl Case {
    pub async fn new(place: Place, seed: u64) -> Result<Self, String> {
        let mut options = small();
        options.memtable_bytes_max = [16 << 10, 64 << 10][seed as usize % 2];
        options.row_group_rows = [64, 256][seed as usize / 2 % 2];
        options.segment_rows_max = [300, 1024][seed as usize / 4 % 2];
        let mut case =
            Self { place, options, database: None, readers: None, world: World::default(), lsn: 0 };
        case.open().await?;
        Ok(case)
    }

    pub fn database(&self) -> &Database {
        self.database.as_ref().expect("an open database")
    }

    /// The model of a table, if there is one.
    pub fn content(&self, table: &str) -> Option<&Content> {
        self.world.tables.get(table)
    }

    async fn open(&mut self) -> Outcome {
        let database = self.place.open(self.options.clone()).await.map_err(|e| e.to_string())?;
        let readers = Readers::start(&database);
        readers.tell(database.snapshot().lsn(), &self.world);
        self.lsn = database.snapshot().lsn();
        self.database = Some(database);
        self.readers = Some(readers);
        Ok(())
    }

    /// Ends reading, and looks whether everything is sound.
    pub async fn finish(mut self) -> Outcome {
        self.check_all().await?;
        let report = self.database().verify().await.map_err(|e| e.to_string())?;
        if !report.problems.is_empty() {
            return Err(format!("{:?}", report.problems));
        }
        self.reopen(Ending::Drop).await?;
        self.readers.take().map_or(Ok(()), Readers::finish)
    }

    pub async fn step(&mut self, step: &Step) -> Outcome {
        let before = self.world.clone();
        match step {
            Step::Create { table, kind, way, rows } => {
                let rows = if *way == Way::Stream { rows.of(*kind) } else { Vec::new() };
                let found = create(self.database(), table, *kind, *way, &rows).await;
                equal("create", &found, &self.world.create(table, *kind, rows))?;
            }
            Step::Drop { table, way } => {
                let found = drop_table(self.database(), table, *way).await;
                equal("drop", &found, &self.world.drop_table(table))?;
            }
            Step::Write(write) => {
                let found = do_write(self.database(), &self.world, write).await;
                equal("statement", &found, &self.world.apply(write))?;
            }
            Step::Edit { table, edit } => {
                let found = match (self.content(table), self.database().table(table)) {
                    (None, Err(_)) => Answer::NoTable,
                    (content, _) => {
                        let kind = content.map_or(Kind::Number, |content| content.kind);
                        by_sql(self.database(), &edit.sql(table, kind)).await
                    }
                };
                equal("edit", &found, &self.world.edit(table, edit))?;
            }
            Step::Together { writes, beside } => {
                let readers = self.readers.as_ref().expect("readers");
                readers.begin_together(self.lsn);
                let database = self.database();
                self.world = together::run(database, &self.world, writes, *beside).await?;
                readers.end_together(self.database().snapshot().lsn());
            }
            Step::Refused { table, what } => {
                refused::check(self.database(), table, self.content(table), *what).await?;
            }
            Step::Get { table, numbers } => self.get(table, numbers).await?,
            Step::Range { table, from, to } => self.range(table, *from, *to).await?,
            Step::Select { table, filter, order, limit } => {
                let content = self.content(table);
                queries::select(self.database(), table, content, filter, *order, *limit).await?;
            }
            Step::Compare { tables, query } => {
                queries::compare(self.database(), &self.world, tables, *query).await?;
            }
            Step::CheckAll => self.check_all().await?,
            Step::Checkpoint => self.database().checkpoint().await.map_err(|e| e.to_string())?,
            Step::Compact => self.database().compact().await.map_err(|e| e.to_string())?,
            Step::Reopen(ending) => return self.reopen(*ending).await,
        }
        self.settle(&before)
    }

    /// What is to be seen now has a number, a larger one if it is not what it was.
    fn settle(&mut self, before: &World) -> Outcome {
        let lsn = self.database().snapshot().lsn();
        let changed = *before != self.world;
        if lsn < self.lsn || changed && lsn == self.lsn {
            return Err(format!("lsn {lsn} after {}; changed: {changed}", self.lsn));
        }
        self.lsn = lsn;
        self.readers.as_ref().expect("readers").tell(lsn, &self.world);
        for (name, content) in &self.world.tables {
            let rows = self.table(name)?.row_count().map_err(|e| e.to_string())?;
            equal("row count", &rows, &(content.rows.len() as u64))?;
        }
        Ok(())
    }

    fn table(&self, name: &str) -> Result<Table, String> {
        self.database().table(name).map_err(|error| error.to_string())
    }

    async fn get(&self, name: &str, numbers: &[u32]) -> Outcome {
        let Some(content) = self.content(name) else { return self.no_table(name) };
        let (kind, table) = (content.kind, self.table(name)?);
        let keys: Vec<Parts> = numbers.iter().map(|n| kind.key(*n)).collect();
        let many = table.get_many(keys.iter().map(|key| to_key(key))).await;
        let many = many.map_err(|e| e.to_string())?;
        equal("rows of get_many", &many.len(), &keys.len())?;
        for (key, of_many) in keys.iter().zip(many) {
            let values = content.rows.get(key);
            let expected: Vec<_> =
                values.map(|values| (key.clone(), Values::clone(values))).into_iter().collect();
            let alone = table.get(to_key(key)).await.map_err(|e| e.to_string())?;
            for (what, found) in [("get_many", of_many), ("get", alone)] {
                let found = found.map_or(Ok(Vec::new()), |batch| from_batch(kind, &batch))?;
                equal(&format!("{what} {key:?}"), &found, &expected)?;
            }
        }
        Ok(())
    }

    async fn range(&self, name: &str, from: u32, to: u32) -> Outcome {
        let Some(content) = self.content(name) else { return self.no_table(name) };
        let (from, to) = (content.kind.key(from), content.kind.key(to));
        let table = self.table(name)?;
        for bounds in [
            (Bound::Included(&from), Bound::Excluded(&to)),
            (Bound::Excluded(&from), Bound::Included(&to)),
            (Bound::Unbounded, Bound::Included(&to)),
            (Bound::Included(&from), Bound::Unbounded),
        ] {
            let own = |bound: Bound<&Parts>| bound.map(|key| to_key(key));
            let stream = table.range::<Key>((own(bounds.0), own(bounds.1)));
            let batches: Vec<_> = stream.try_collect().await.map_err(|e| e.to_string())?;
            same_rows(&format!("range {bounds:?}"), &batches, content, bounds)?;
        }
        Ok(())
    }

    fn no_table(&self, name: &str) -> Outcome {
        match self.database().table(name) {
            Err(Error::NotFound(_)) => Ok(()),
            other => Err(format!("table {name} is not there, yet {other:?}")),
        }
    }

    async fn reopen(&mut self, ending: Ending) -> Outcome {
        self.readers.take().map_or(Ok(()), Readers::finish)?;
        let database = self.database.take().expect("an open database");
        match ending {
            Ending::Close => database.close().await.map_err(|e| e.to_string())?,
            Ending::Drop => drop(database),
            Ending::PowerCut(seed) => {
                // What the old one still does in the background, it does to the old disk.
                self.place.cut_power(seed);
                drop(database);
            }
        }
        self.open().await?;
        self.check_all().await
    }

    async fn check_all(&self) -> Outcome {
        same_world(&self.database().snapshot(), &self.world).await
    }
}

/// Compares all of a snapshot with a model.
pub async fn same_world(snapshot: &Snapshot, world: &World) -> Outcome {
    let names: Vec<&String> = world.tables.keys().collect();
    equal("tables", &snapshot.table_names().iter().collect::<Vec<_>>(), &names)?;
    same_tables(snapshot, world).await
}

/// Compares tables of a snapshot with a model that knows no others.
pub async fn same_tables(snapshot: &Snapshot, world: &World) -> Outcome {
    for (name, content) in &world.tables {
        let found = read_table(snapshot, name, content.kind).await?;
        if found != *content.rows {
            return Err(format!("all of {name}: {}", first_difference(&found, &content.rows)));
        }
    }
    Ok(())
}

/// Compares what was found with what was expected.
pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: found {found:?}, expected {expected:?}")),
    }
}

/// Carries a statement out; `world` says of which kind its table is.
pub async fn do_write(database: &Database, world: &World, write: &Write) -> Answer {
    let Ok(table) = database.table(&write.table) else { return Answer::NoTable };
    let kind = world.tables.get(&write.table).map_or(Kind::Number, |content| content.kind);
    let (rows, upsert) = match &write.change {
        Change::Delete(numbers) => {
            let keys = numbers.iter().map(|n| to_key(&kind.key(*n)));
            return answer(table.delete(keys).await);
        }
        Change::Insert(rows) => (rows.of(kind), false),
        Change::Upsert(rows) => (rows.of(kind), true),
    };
    match write.way {
        // SQL knows no empty list.
        Way::Sql if !rows.is_empty() => {
            let verb = if upsert { "INSERT OR REPLACE" } else { "INSERT" };
            let rows = values_list(kind, &rows);
            by_sql(database, &format!("{verb} INTO {} VALUES {rows}", write.table)).await
        }
        Way::Stream => {
            let batches: Vec<_> =
                rows.chunks(BATCH_ROWS).map(|rows| Ok(to_batch(kind, rows))).collect();
            answer(match upsert {
                true => table.upsert_stream(stream::iter(batches)).await,
                false => table.insert_stream(stream::iter(batches)).await,
            })
        }
        _ => answer(match upsert {
            true => table.upsert(to_batch(kind, &rows)).await,
            false => table.insert(to_batch(kind, &rows)).await,
        }),
    }
}

async fn create(
    database: &Database,
    name: &str,
    kind: Kind,
    way: Way,
    rows: &[(Parts, Values)],
) -> Answer {
    match way {
        Way::Sql => by_sql(database, &kind.create_sql(name)).await,
        Way::Batch => answer(database.create_table(kind.definition(name), false).await.map(|_| 0)),
        Way::Stream => {
            let batches: Vec<_> =
                rows.chunks(BATCH_ROWS).map(|rows| Ok(to_batch(kind, rows))).collect();
            let rows = stream::iter(batches);
            answer(database.create_table_from(kind.definition(name), rows).await)
        }
    }
}

async fn drop_table(database: &Database, name: &str, way: Way) -> Answer {
    match way {
        Way::Sql => by_sql(database, &format!("DROP TABLE {name}")).await,
        _ => answer(database.drop_table(name, false).await.map(|_| 0)),
    }
}

/// Runs a statement; its answer is a count of rows or nothing.
pub async fn by_sql(database: &Database, sql: &str) -> Answer {
    let batches = match database.session().sql(sql).await {
        Ok(frame) => frame.collect().await,
        Err(error) => Err(error),
    };
    answer(batches.map_err(Error::from).map(|batches| {
        let counts = batches.iter().filter(|b| b.num_rows() == 1 && b.num_columns() == 1);
        let column = |b: &arrow::array::RecordBatch| Arc::clone(b.column(0));
        counts.map(|b| count_of(&column(b))).sum()
    }))
}

fn count_of(column: &arrow::array::ArrayRef) -> u64 {
    use arrow::array::AsArray;
    column.as_primitive_opt::<arrow::datatypes::UInt64Type>().map_or(0, |counts| counts.value(0))
}

fn answer(outcome: Result<u64, Error>) -> Answer {
    match outcome {
        Ok(count) => Answer::Count(count),
        Err(Error::DuplicateKey { .. }) => Answer::Duplicate,
        Err(Error::NotFound(_)) => Answer::NoTable,
        Err(Error::AlreadyExists(_)) => Answer::TableExists,
        Err(error) => Answer::Other(error.to_string()),
    }
}
