//! Every Arrow type that a table has goes through files and comes back as it was, or is refused
//! before anything is written: COPY in every format, EXPORT and IMPORT DATABASE.

use std::path::Path;

use arrow::array::{Array, ArrayRef};
use omen_provider::{Database, Error, Options};

use super::{batch, check, columns, definition, parquet_holds};
use crate::harness::block_on;
use crate::harness::media::Medium;

/// A table of each type that Parquet holds.
async fn tables(database: &Database) -> Vec<(String, ArrayRef)> {
    let mut tables = Vec::new();
    for (number, column) in columns::all().into_iter().enumerate() {
        if !parquet_holds(&column) {
            continue;
        }
        let name = format!("t{number}");
        database.create_table(definition(&name, &column), false).await.unwrap();
        database.table(&name).unwrap().insert(batch(&column)).await.unwrap();
        tables.push((name, column));
    }
    tables
}

async fn statement(database: &Database, sql: &str) -> Result<(), Error> {
    database.session().sql(sql).await?.collect().await?;
    Ok(())
}

/// Writes and reads a table; false if the format does not hold its type.
async fn goes_through(
    database: &Database,
    table: (&str, &ArrayRef),
    folder: &Path,
    extension: &str,
) -> Result<bool, String> {
    let (name, column) = table;
    let path = folder.join(format!("{name}.{extension}"));
    let path = path.display();
    match statement(database, &format!("COPY {name} TO '{path}'")).await {
        Ok(()) => {}
        Err(error) => {
            let told = error.to_string();
            let is_told = told.contains("not hold") && told.contains("\"v\"");
            assert!(is_told && !folder.join(format!("{name}.{extension}")).exists(), "{told}");
            return Ok(false);
        }
    }
    let other = format!("{name}_{extension}");
    database.create_table(definition(&other, column), false).await.unwrap();
    let read = statement(database, &format!("COPY {other} FROM '{path}'")).await;
    read.map_err(|error| format!("{extension}, {}: {error}", column.data_type()))?;
    let rows = crate::harness::query(database, &format!("SELECT v FROM {other} ORDER BY id")).await;
    let rows = arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
    match rows.column(0) == column {
        true => Ok(true),
        false => Err(format!("{extension}, {}: {:?}", column.data_type(), rows.column(0))),
    }
}

#[test]
fn every_type_goes_through_files_or_is_refused_before() {
    block_on(async {
        let medium = Medium::disk();
        let folder = tempfile::tempdir().unwrap();
        let database = medium.open(Options::default()).await.unwrap();
        let tables = tables(&database).await;
        let mut wrong = Vec::new();
        for (extension, held_min) in [("parquet", 80), ("arrow", 80), ("csv", 45), ("json", 45)] {
            let mut held = 0;
            for (name, column) in &tables {
                // NaN and infinities are null in JSON.
                if extension == "json" && column.data_type().is_floating() {
                    continue;
                }
                let table = (name.as_str(), column);
                match goes_through(&database, table, folder.path(), extension).await {
                    Ok(true) => held += 1,
                    Ok(false) => assert!(extension == "csv" || extension == "json"),
                    Err(error) => wrong.push(error),
                }
            }
            if held < held_min.min(tables.len()) {
                wrong.push(format!("{extension}: {held} of {} types alone", tables.len()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn every_type_is_exported_and_imported() {
    block_on(async {
        let (medium, other) = (Medium::disk(), Medium::disk());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all");
        let (shown, mut refused) = (path.display().to_string(), Vec::new());
        let database = medium.open(Options::default()).await.unwrap();
        let mut tables = tables(&database).await;
        // What SQL cannot say is refused by the name of its table, and nothing is written.
        while let Err(error) = statement(&database, &format!("EXPORT DATABASE '{shown}'")).await {
            let told = error.to_string();
            assert!(!path.exists() && told.contains("cannot be written as SQL"), "{told}");
            let place = tables.iter().position(|(name, _)| told.contains(&format!("\"{name}\"")));
            let (name, column) = tables.remove(place.expect("a table"));
            refused.push(format!("{}: {told}", column.data_type()));
            database.drop_table(&name, false).await.unwrap();
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
        let imported = other.open(Options::default()).await.unwrap();
        statement(&imported, &format!("IMPORT DATABASE '{shown}'")).await.unwrap();
        for (name, column) in &tables {
            let schema = imported.table(name).unwrap().schema().unwrap();
            assert_eq!(schema.field(1).data_type(), column.data_type());
            check(&imported, name, column, "imported").await;
        }
        assert_eq!(imported.table_names().len(), tables.len());
    });
}
