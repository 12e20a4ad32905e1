//! EXPORT DATABASE: all tables and views as a folder of files that any database reads.
//!
//! `schema.sql` makes schemas, tables and views, `load.sql` brings the rows, one file holds those
//! of each table; all of one snapshot. The folder appears when it is complete. Called by
//! [`super::session`]; [`super::import`] reads it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::sql::parser::Statement as PlainStatement;

use super::copy_to::{plan_copy_to, refuse_remote};
use super::create_table::TableClauses;
use super::own_files::refuse_own_path;
use super::session::Session;
use super::statement::{Copy, CopyOption, CopySource};
use super::table_definition::{
    comment_statement, comment_statements, definition, index_definitions, quoted, table_name,
    within,
};
use super::views;
use crate::error::Error;
use crate::interchange::{FileOptions, Format, Place, WholeFolder, check_types, write_text};
use crate::storage::schema::TableSchema;
use crate::storage::snapshot::Snapshot;

/// The file that makes tables and views.
pub(super) const SCHEMA_FILE: &str = "schema.sql";
/// The file that brings the rows.
pub(super) const LOAD_FILE: &str = "load.sql";

/// Carries out an EXPORT DATABASE.
pub(super) async fn export(session: &Session, path: &str, options: &[CopyOption]) -> Result<()> {
    refuse_remote(path)?;
    refuse_own_path(session.handle().engine().location(), path)?;
    let mut options = options.to_vec();
    if !options.iter().any(|(name, _)| name.eq_ignore_ascii_case("format")) {
        options.insert(0, ("FORMAT".to_string(), vec!["parquet".to_string()]));
    }
    let of_files = FileOptions::new(&options, &Place::Path("x".to_string()))?;
    if of_files.format == Format::Json {
        return Err(Error::invalid(
            "EXPORT DATABASE … (FORMAT json) is not supported: JSON does not hold every value; \
             parquet, arrow and csv do",
        )
        .into());
    }
    let moment = session.at_one_moment()?;
    let snapshot = moment.handle().engine().snapshot_within(&moment.current().get()).0;
    let tables = tables(&snapshot)?;
    let mut script = String::new();
    for schema in snapshot.schema_names() {
        script.push_str(&format!("CREATE SCHEMA {};\n", quoted(&schema)));
    }
    for table in &tables {
        let text = definition(table);
        check_table(&moment, table, &text).await?;
        check_types(table.visible(), of_files.format)
            .map_err(|error| Error::invalid(format!("table \"{}\": {error}", table.name)))?;
        script.push_str(&format!("{text};\n"));
        index_definitions(table).for_each(|text| script.push_str(&format!("{text};\n")));
        comment_statements(table).iter().for_each(|text| script.push_str(&format!("{text};\n")));
    }
    for text in views_in_order(&moment, &snapshot).await? {
        script.push_str(&format!("{text};\n"));
    }
    let [of_schemas, of_views] = snapshot.comments();
    for (schema, text) in of_schemas {
        let statement = comment_statement(&format!("SCHEMA {}", quoted(schema)), text);
        script.push_str(&format!("{statement};\n"));
    }
    for (view, text) in of_views {
        let schema = snapshot.schema_of(view);
        let own = schema.map_or(view, |schema| &view[schema.len() + 1..]);
        let statement = comment_statement(&format!("VIEW {}", within(schema, own)), text);
        script.push_str(&format!("{statement};\n"));
    }
    let target = path.to_string();
    let folder = blocking(move || WholeFolder::create(&target)).await?;
    let (mut load, mut taken) = (String::new(), HashSet::new());
    for table in &tables {
        let file = file_name(&table.name, of_files.format.extension(), &mut taken);
        let place = folder.path().join(&file).display().to_string();
        let name = moment.object_name(&table.name);
        let copy = Copy {
            source: CopySource::Table { name, columns: Vec::new() },
            is_from: false,
            place: Place::Path(place),
            options: options.clone(),
            partition_by: Vec::new(),
            is_partitioned: false,
            explain: None,
        };
        plan_copy_to(&moment, copy).await?.collect().await?;
        let options = shown(&options);
        load.push_str(&format!("COPY {} FROM '{file}' ({options});\n", table_name(table)));
    }
    blocking(move || {
        write_text(&folder.path().join(SCHEMA_FILE), &script)?;
        write_text(&folder.path().join(LOAD_FILE), &load)?;
        folder.publish()
    })
    .await
}

/// Carries out what waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> crate::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| DataFusionError::External(Box::new(error)))??)
}

fn tables(snapshot: &Snapshot) -> Result<Vec<Arc<TableSchema>>> {
    let names = snapshot.table_names();
    let tables = names.iter().map(|name| Ok(Arc::clone(snapshot.require(name)?.schema())));
    tables.collect()
}

/// Refuses a table that its definition would not make again.
async fn check_table(session: &Session, table: &TableSchema, text: &str) -> Result<()> {
    let refused = |reason: String| {
        Error::invalid(format!("table \"{}\" cannot be written as SQL: {reason}", table.name))
    };
    let parsed = session.parse(text)?;
    let Some(plain) = parsed.as_datafusion() else { return Ok(()) };
    let mut statement: PlainStatement = plain.clone();
    TableClauses::take(&mut statement, true)?;
    let plan = session.context().state().statement_to_plan(statement).await;
    let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(command)) =
        plan.map_err(|error| refused(error.strip_backtrace()))?
    else {
        return Err(refused(text.to_string()).into());
    };
    let made: &Schema = command.input.schema().as_arrow();
    for (field, made) in table.visible().fields().iter().zip(made.fields()) {
        if field.data_type() != made.data_type() {
            return Err(refused(format!(
                "column \"{}\" is of type {}, for which {} would be made",
                field.name(),
                field.data_type(),
                made.data_type()
            ))
            .into());
        }
    }
    Ok(())
}

/// The views, each after those that it names.
async fn views_in_order(session: &Session, snapshot: &Snapshot) -> Result<Vec<String>> {
    let mut left: Vec<(String, String, Vec<String>)> = Vec::new();
    for name in snapshot.view_names() {
        let Some(text) = snapshot.view(&name) else { continue };
        let planned = views::named(session.context().table_provider(session.reference_of(&name)));
        planned.await.map_err(|error| {
            Error::invalid(format!(
                "view \"{name}\" makes no sense any more, and nothing could make it again; DROP \
                 VIEW, or mend what it names: {}",
                error.strip_backtrace()
            ))
        })?;
        let named = views::names_in(session, text)?;
        left.push((name, text.to_string(), named));
    }
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |named: &[String]| left.iter().any(|(name, ..)| named.contains(name));
        let (ready, waiting): (Vec<_>, Vec<_>) =
            left.iter().cloned().partition(|(_, _, named)| !waits(named));
        if ready.is_empty() {
            return Err(Error::invalid("views are made of each other").into());
        }
        ordered.extend(ready.into_iter().map(|(_, text, _)| text));
        left = waiting;
    }
    Ok(ordered)
}

/// A name that every file system takes, and that no other table has.
fn file_name(table: &str, extension: &str, taken: &mut HashSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let stem: String = table.chars().take(100).map(plain).collect();
    let stem = if stem.is_empty() { "table".to_string() } else { stem };
    let mut name = format!("{stem}.{extension}");
    let mut number = 1;
    // File systems may not tell upper from lower case.
    while !taken.insert(name.to_lowercase()) {
        number += 1;
        name = format!("{stem}_{number}.{extension}");
    }
    name
}

fn shown(options: &[CopyOption]) -> String {
    let one = |(name, values): &CopyOption| {
        let quoted = |value: &String| format!("'{}'", value.replace('\'', "''"));
        let values: Vec<_> = values.iter().map(quoted).collect();
        format!("\"{name}\" {}", values.join(", ")).trim_end().to_string()
    };
    options.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A path that a script names, as it lies beside the script.
pub(super) fn beside(folder: &str, path: &str) -> String {
    Path::new(folder).join(path).display().to_string()
}
