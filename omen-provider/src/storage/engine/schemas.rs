//! Schemas: names for groups of tables and views. (That of a table is part of the table's name.)
//!
//! Called by the front door and the provider; `change` applies what they ask for.

use std::sync::Arc;

use super::change::Change;
use super::{Engine, Within};
use crate::error::{Error, Result};
use crate::storage::record::SchemaRecord;
use crate::storage::schema::TableId;
use crate::storage::schema_names::{PUBLIC, check_schema_name};
use crate::storage::version::Version;
use crate::storage::wal::Op;

impl Engine {
    /// Creates a schema; false if it existed and `if_not_exists`.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::InvalidInput`] for a name that is reserved, or with which
    /// the name of a table begins.
    pub async fn create_schema(
        self: &Arc<Self>,
        within: &Within,
        name: &str,
        if_not_exists: bool,
    ) -> Result<bool> {
        let created = match check_schema_name(name) {
            Ok(()) => {
                let change = Change::CreateSchema(name.to_string());
                self.carry_out(within, None, vec![change]).await.map(|_| true)
            }
            Err(error) => Err(error),
        };
        match created {
            Err(Error::AlreadyExists(_)) if if_not_exists => Ok(false),
            created => created,
        }
    }

    /// Drops schemas, all of them or none; with `cascade` all that is in them too. Those that are
    /// not there are left out if `if_exists`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidInput`] for `public`, and without `cascade` for one
    /// that is not empty.
    pub async fn drop_schemas(
        self: &Arc<Self>,
        within: &Within,
        names: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        if names.iter().any(|name| name == PUBLIC) {
            return Err(Error::invalid(format!(
                "schema \"{PUBLIC}\" is in every database and cannot be dropped; DROP TABLE and \
                 DROP VIEW drop what is in it"
            )));
        }
        let mut changes = Vec::new();
        if cascade && within.0.is_some() {
            // Like DROP TABLE, a transaction fails if others have written since what it drops.
            let snapshot = self.snapshot_within(within).0;
            let tables = snapshot.table_names();
            let tables = tables.iter().filter(|table| {
                snapshot.schema_of(table).is_some_and(|of| names.iter().any(|name| name == of))
            });
            let ids = tables.filter_map(|table| Some(snapshot.table(table)?.schema().id));
            changes.extend(ids.map(Change::Drop));
        }
        let change = |name: &String| Change::DropSchema { name: name.clone(), if_exists, cascade };
        changes.extend(names.iter().map(change));
        self.carry_out(within, None, changes).await.map(drop)
    }
}

/// Applies the creation of a schema.
pub(super) fn create(version: &mut Version, name: &str, ops: &mut Vec<Op>) -> Result<()> {
    if version.schema(name).is_some() {
        return Err(Error::AlreadyExists(format!("schema \"{name}\"")));
    }
    if let Some(listed) = version.listed_in(name) {
        return Err(Error::invalid(format!(
            "schema \"{name}\" would make the names of {listed} in schema public mean another \
             thing; ALTER TABLE … RENAME TO a name without a dot first"
        )));
    }
    let schema = SchemaRecord { name: name.to_string(), comment: None };
    version.put_schema(schema.clone());
    ops.push(Op::CreateSchema(schema));
    Ok(())
}

/// Applies the dropping of a schema, with all that is in it if `cascade`.
pub(super) fn remove(
    version: &mut Version,
    name: &str,
    cascade: bool,
    ops: &mut Vec<Op>,
) -> Result<()> {
    if version.schema(name).is_none() {
        return Err(version.no_schema(name));
    }
    if let Some(listed) = version.listed_in(name).filter(|_| !cascade) {
        return Err(Error::invalid(format!(
            "schema \"{name}\" is not empty: it has {listed}; DROP SCHEMA … CASCADE drops it with \
             all that is in it"
        )));
    }
    let is_in = |full: &str| version.schema_of(full) == Some(name);
    let views = version.views().filter(|view| is_in(&view.name));
    let views: Vec<String> = views.map(|view| view.name.clone()).collect();
    let tables = version.tables().iter().filter(|table| is_in(&table.schema.name));
    let tables: Vec<TableId> = tables.map(|table| table.schema.id).collect();
    for view in views {
        version.remove_view(&view);
        ops.push(Op::DropView(view));
    }
    for table in tables {
        version.remove_table(table);
        ops.push(Op::DropTable(table));
    }
    version.remove_schema(name);
    ops.push(Op::DropSchema(name.to_string()));
    Ok(())
}
