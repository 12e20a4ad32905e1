//! Queries: SELECT with filters against the model, and whatever else SQL can ask against
//! DataFusion's own tables in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use omen_provider::Database;

use super::Outcome;
use super::case::equal;
use super::filters::Filter;
use super::kinds::{Parts, Values, from_batch, to_batch};
use super::world::{Content, World};

/// `{t}` and `{u}` are tables, `{k}` is the key of the first. Every answer is in one order only.
const QUERIES: &[&str] = &[
    "SELECT count(*), count(number), sum(number % 1000), min(note), max(number) FROM {t}",
    "SELECT number % 7 AS g, count(*), min(note) FROM {t} GROUP BY 1 ORDER BY 1",
    "SELECT a.number, count(*), max(b.note) FROM {t} a JOIN {u} b ON a.number = b.number \
     GROUP BY 1 ORDER BY 1",
    "SELECT * FROM {t} ORDER BY note DESC NULLS LAST, number NULLS FIRST, {k} LIMIT 10 OFFSET 3",
    "SELECT DISTINCT number FROM {t} WHERE note > 'n2' ORDER BY 1",
    "SELECT {k} FROM {t} WHERE number IN (SELECT number FROM {u} WHERE note IS NULL) ORDER BY {k}",
    "SELECT {k}, row_number() OVER (PARTITION BY number ORDER BY {k}) AS r FROM {t} ORDER BY {k}",
    "SELECT {k} FROM {t} WHERE number < (SELECT avg(number % 100) FROM {u}) \
     ORDER BY {k} DESC LIMIT 7",
    "SELECT note FROM {t} UNION SELECT note FROM {u} ORDER BY 1",
    "SELECT count(*) FROM {t} a JOIN {t} b USING ({k})",
    "SELECT min(k), max(k) FROM (SELECT concat({k}) AS k FROM {t} WHERE number > 3)",
];

async fn ask(database: &Database, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let frame = database.session().sql(sql).await.map_err(|e| format!("{sql}: {e}"))?;
    frame.collect().await.map_err(|e| format!("{sql}: {e}"))
}

/// `SELECT *` with a filter, in key order (`true`: ascending) or any, all rows or the first.
pub async fn select(
    database: &Database,
    table: &str,
    content: Option<&Content>,
    filter: &Filter,
    order: Option<bool>,
    limit: Option<usize>,
) -> Outcome {
    let Some(content) = content else {
        return match database.session().sql(&format!("SELECT * FROM {table}")).await {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("{table} is not there, yet it is selected from")),
        };
    };
    let kind = content.kind;
    let mut sql = format!("SELECT * FROM {table} WHERE {}", filter.sql(kind));
    let passes =
        |(key, values): &(&Arc<Parts>, &Arc<Values>)| filter.holds(kind, key, values) == Some(true);
    let rows = content.rows.iter().filter(passes);
    let mut expected: Vec<(Parts, Values)> =
        rows.map(|(k, v)| (Parts::clone(k), Values::clone(v))).collect();
    if let Some(ascending) = order {
        let direction = if ascending { "" } else { " DESC" };
        let by: Vec<_> = kind.key_names().iter().map(|name| format!("{name}{direction}")).collect();
        sql += &format!(" ORDER BY {}", by.join(", "));
        if !ascending {
            expected.reverse();
        }
    }
    if let Some(limit) = limit {
        sql += &format!(" LIMIT {limit}");
        expected.truncate(limit);
    }
    let mut found = Vec::new();
    for batch in ask(database, &sql).await? {
        found.extend(from_batch(kind, &batch)?);
    }
    if order.is_none() {
        found.sort();
    }
    equal(&sql, &found, &expected)?;
    let sql = format!("SELECT count(*) FROM {table} WHERE {}", filter.sql(kind));
    if limit.is_none() {
        let count = pretty(&ask(database, &sql).await?)?;
        let expected = format!("| {:<8} |", expected.len());
        if !count.contains(&expected) {
            return Err(format!("{sql}: found {count}, expected {expected}"));
        }
    }
    Ok(())
}

/// One of the queries, of the database and of DataFusion's tables in memory.
pub async fn compare(
    database: &Database,
    world: &World,
    tables: &[String; 2],
    query: usize,
) -> Outcome {
    let [Some(first), Some(_)] = tables.each_ref().map(|name| world.tables.get(name)) else {
        return Ok(());
    };
    let sql = QUERIES[query % QUERIES.len()]
        .replace("{t}", &tables[0])
        .replace("{u}", &tables[1])
        .replace("{k}", &first.kind.key_names().join(", "));
    let memory = SessionContext::new();
    for (name, content) in &world.tables {
        let batch = to_batch(content.kind, &content.to_rows());
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
        let table = table.map_err(|e| e.to_string())?;
        memory.register_table(name, Arc::new(table)).map_err(|e| e.to_string())?;
    }
    let expected = memory.sql(&sql).await.map_err(|e| format!("{sql}: {e}"))?;
    let expected = expected.collect().await.map_err(|e| format!("{sql}: {e}"))?;
    let found = ask(database, &sql).await?;
    equal(&sql, &pretty(&found)?, &pretty(&expected)?)
}

fn pretty(batches: &[RecordBatch]) -> Result<String, String> {
    // Of an answer without rows there may be a batch or none.
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if rows == 0 {
        return Ok(String::new());
    }
    pretty_format_batches(batches).map(|table| table.to_string()).map_err(|e| e.to_string())
}
