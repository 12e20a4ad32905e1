//! `omen inspect`: what lies in a database, down to the parts of each table.
//!
//! Reads only what the database keeps in memory once it is open: its manifest, its log and the
//! footers of its segments; with `--plot` a sample of the keys too (`plot`).

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use omen_provider::{Inspection, PartInspection, TableInspection, TroubleInspection};

use crate::args::InspectArguments;
use crate::failure::{Failure, Result};
use crate::output::{self, Format, Limits};
use crate::{notes, open, plot};

/// Runs the subcommand.
pub(crate) async fn run(arguments: &InspectArguments) -> Result<()> {
    let database = open::open_read_only(&arguments.path).await?;
    let mut inspection = database.inspect().await;
    if let Some(name) = &arguments.table {
        keep_table(&mut inspection, name)?;
    }
    if let Some((name, file)) = arguments.table.as_ref().zip(arguments.plot.as_ref()) {
        plot::run(&database, name, file).await?;
    }
    let mut out = std::io::stdout().lock();
    let parts = parts(&inspection.tables)?;
    let print = |format, batch: RecordBatch, out: &mut dyn Write| {
        output::print_all(format, Limits::default(), &batch.schema(), &[batch], out)
    };
    if let Some(format) = arguments.format {
        return print(format, parts, &mut out);
    }
    if arguments.table.is_none() {
        out.write_all(database_lines(&inspection).as_bytes())?;
        out.write_all(trouble_lines(&inspection).as_bytes())?;
    }
    print(Format::Table, tables(&inspection.tables)?, &mut out)?;
    if parts.num_rows() > 0 {
        print(Format::Table, parts, &mut out)?;
    }
    database.close().await?;
    Ok(())
}

fn keep_table(inspection: &mut Inspection, name: &str) -> Result<()> {
    let names: Vec<String> = inspection.tables.iter().map(|table| table.name.clone()).collect();
    inspection.tables.retain(|table| table.name == name);
    if inspection.tables.is_empty() {
        let near = notes::nearest(name, names.iter().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        return Err(Failure::Error(format!("there is no table \"{name}\"{hint}")));
    }
    Ok(())
}

fn database_lines(inspection: &Inspection) -> String {
    let log = &inspection.log;
    format!(
        "location      {}\nlog position  {}\ndatabase id   {}\nmanifest      {} (epoch {})\n\
         in segments   up to log position {}\nlog file      {:016x}, {}\n",
        inspection.location,
        notes::grouped(inspection.lsn),
        log.database,
        log.manifest,
        log.epoch,
        notes::grouped(log.flushed_lsn),
        log.file,
        notes::bytes(log.bytes),
    )
}

/// A line for all work that fails.
fn trouble_lines(inspection: &Inspection) -> String {
    let line = |trouble: &TroubleInspection| {
        let times = if trouble.failures == 1 { "once" } else { "again and again" };
        format!("failing       {} ({times}): {}\n", trouble.work, trouble.error)
    };
    inspection.troubles.iter().map(line).collect()
}

fn tables(tables: &[TableInspection]) -> Result<RecordBatch> {
    let sum = |table: &TableInspection, of: fn(&PartInspection) -> u64| {
        table.parts.iter().map(of).sum::<u64>()
    };
    let bytes_per_row = tables.iter().map(|table| {
        (table.rows > 0).then(|| sum(table, |part| part.bytes) as f64 / table.rows as f64)
    });
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("table", texts(tables.iter().map(|table| table.name.clone())), false),
        ("primary key", texts(tables.iter().map(|table| table.key.join(", "))), false),
        ("rows", numbers(tables.iter().map(|table| table.rows)), false),
        ("parts", numbers(tables.iter().map(|table| table.parts.len() as u64)), false),
        ("bytes", numbers(tables.iter().map(|table| sum(table, |part| part.bytes))), false),
        (
            "bytes per row",
            texts(bytes_per_row.map(|b| b.map_or_else(String::new, |b| format!("{b:.1}")))),
            false,
        ),
        ("index bytes", numbers(tables.iter().map(|table| sum(table, index_bytes))), false),
    ])?)
}

/// One row for each part.
fn parts(tables: &[TableInspection]) -> Result<RecordBatch> {
    let parts: Vec<(&TableInspection, &PartInspection)> =
        tables.iter().flat_map(|table| table.parts.iter().map(move |part| (table, part))).collect();
    let number = |of: fn(&PartInspection) -> u64| numbers(parts.iter().map(|(_, part)| of(part)));
    let text = |of: fn(&PartInspection) -> String| texts(parts.iter().map(|(_, part)| of(part)));
    let files = parts.iter().map(|(_, part)| part.file.clone());
    let indexes = || parts.iter().map(|(_, part)| part.index.as_ref());
    let leaves = indexes().map(|index| index.map(|index| index.leaves as u64));
    let knots = indexes().map(|index| index.map(|index| index.knots as u64));
    let search_max = indexes().map(|index| index.map(|index| index.range_max as u64));
    let search_mean =
        indexes().map(|index| index.map(|index| (index.range_mean * 10.0).round() / 10.0));
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("table", texts(parts.iter().map(|(table, _)| table.name.clone())), false),
        ("part", text(|part| part.kind.to_string()), false),
        ("file", Arc::new(files.collect::<StringArray>()) as ArrayRef, true),
        ("rows", number(|part| part.rows), false),
        ("deleted", number(|part| part.deleted), false),
        ("first key", text(|part| part.min_key.clone()), false),
        ("last key", text(|part| part.max_key.clone()), false),
        ("bytes", number(|part| part.bytes), false),
        ("index bytes", number(index_bytes), false),
        ("index leaves", Arc::new(leaves.collect::<UInt64Array>()), true),
        ("index knots", Arc::new(knots.collect::<UInt64Array>()), true),
        ("rows to search, max", Arc::new(search_max.collect::<UInt64Array>()), true),
        ("mean", Arc::new(search_mean.collect::<Float64Array>()), true),
    ])?)
}

fn index_bytes(part: &PartInspection) -> u64 {
    part.index.as_ref().map_or(0, |index| index.bytes as u64)
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<UInt64Array>())
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<StringArray>())
}
