//! CREATE INDEX and DROP INDEX, from syntax to the engine.
//!
//! An index is part of its table's schema, so both are alterations of the table. What is there
//! already gets its entries afterwards, beside readers and writers; an index that is UNIQUE becomes
//! so when it is complete, so that no statement has to look for its rows without it. Called by
//! [`super::session`].

use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::{CreateIndex, IndexType, ObjectName, ObjectType, Statement};

use super::alter_table::{Change, alter};
use super::edit_statements::{normalizer, target};
use super::session::Session;
use super::unique::{free_name, index_column, nulls_not_distinct};
use crate::error::Error;
use crate::storage::alteration::Alteration;
use crate::storage::schema::TableSchema;

/// Whether a statement is about indexes.
pub(super) fn is_one(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateIndex(_) | Statement::Drop { object_type: ObjectType::Index, .. }
    )
}

/// Carries out a statement about indexes; others do nothing.
pub(super) async fn carry_out(session: &Session, statement: &Statement) -> Result<()> {
    match statement {
        Statement::CreateIndex(create) => create_index(session, create).await?,
        Statement::Drop { object_type: ObjectType::Index, if_exists, names, .. } => {
            for name in names {
                drop_index(session, name, *if_exists).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

async fn create_index(session: &Session, create: &CreateIndex) -> Result<()> {
    refuse_clauses(create)?;
    let names = normalizer(session);
    let columns = create.columns.iter().map(|column| index_column(column, &names));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let (engine, within) = (session.handle().engine(), session.current().get());
    let (_, table) = target(session, &create.table_name).await?;
    let (table, schema) = (table.table_schema(), table.table_schema().schema_name());
    let snapshot = engine.snapshot_within(&within).0;
    let name = match &create.name {
        Some(name) => own_part(session, name, table)?,
        None => {
            let usual = format!("{}_{}_idx", table.own_name(), columns.join("_"));
            free_name(&usual, |name| snapshot.table_of_index(schema, name).is_some())
        }
    };
    let table = &table.name;
    if let Some(of) = snapshot.table_of_index(schema, &name) {
        let there = snapshot.require(of)?;
        let is_same = of == table && is_there(there.schema(), &name, &columns, create.unique);
        if create.if_not_exists && is_same {
            return Ok(());
        }
        let other = if create.if_not_exists { ", which is another one" } else { "" };
        let what = format!("index \"{name}\" of table \"{of}\"{other}");
        return Err(Error::AlreadyExists(what).into());
    }
    let is_alone = within.0.is_none();
    let add = Alteration::AddIndex {
        name: name.clone(),
        columns,
        is_unique: create.unique && !is_alone,
        is_constraint: false,
    };
    let on = &create.table_name;
    let mut made = alter(session, on, false, Change::Alterations(&[add])).await;
    if create.unique && is_alone && made.is_ok() {
        let unique = Alteration::MakeUnique(name.clone());
        made = alter(session, on, false, Change::Alterations(&[unique])).await;
    }
    if made.is_err() && is_alone {
        // It was not added, or somebody else dropped it meanwhile, if this fails.
        let drop = Alteration::DropIndex(name);
        let _ = alter(session, on, false, Change::Alterations(&[drop])).await;
    }
    made
}

/// Whether a table has an index over just these columns that is as unique.
fn is_there(table: &TableSchema, name: &str, columns: &[String], is_unique: bool) -> bool {
    let mut named = table.indexes.iter().filter(|index| index.index.name == name);
    named.any(|index| index.names(table) == columns && index.index.is_unique == is_unique)
}

/// Refuses what an index cannot be, instead of building another one.
fn refuse_clauses(create: &CreateIndex) -> Result<()> {
    let using = match &create.using {
        None | Some(IndexType::BTree) => None,
        Some(_) => Some("USING: there is one kind of index, which is learned"),
    };
    let clause = using
        .or_else(|| create.predicate.is_some().then_some("WHERE: an index is over all rows"))
        .or_else(|| (!create.include.is_empty()).then_some("INCLUDE: add the columns behind"))
        .or_else(|| (!create.with.is_empty()).then_some("WITH: an index has no options"))
        .or_else(|| (!create.index_options.is_empty()).then_some("options: an index has none"))
        .or_else(|| (!create.alter_options.is_empty()).then_some("ALGORITHM and LOCK"));
    if let Some(clause) = clause {
        return Err(Error::invalid(format!("CREATE INDEX does not support {clause}")).into());
    }
    if create.nulls_distinct == Some(false) {
        return Err(nulls_not_distinct().into());
    }
    Ok(())
}

async fn drop_index(session: &Session, name: &ObjectName, if_exists: bool) -> Result<()> {
    let within = session.current().get();
    let snapshot = session.handle().engine().snapshot_within(&within).0;
    let reference = session.reference(name)?;
    let own = session.require_engine_name(&reference, "index")?;
    let (schema, name) = (own.schema.as_deref(), reference.table().to_string());
    let Some(table) = snapshot.table_of_index(schema, &name) else {
        if if_exists {
            return Ok(());
        }
        let names = snapshot.index_names(schema).join(", ");
        let have = if names.is_empty() { "none".to_string() } else { names };
        return Err(Error::NotFound(format!("index \"{name}\"; indexes there are: {have}")).into());
    };
    let table = session.object_name(table);
    alter(session, &table, false, Change::Alterations(&[Alteration::DropIndex(name)])).await
}

/// The name of an index, which is in the schema of its table.
fn own_part(session: &Session, name: &ObjectName, table: &TableSchema) -> Result<String> {
    let reference = session.reference(name)?;
    if reference.schema().is_some() {
        let own = session.require_engine_name(&reference, "index")?;
        if own.schema.as_deref() != table.schema_name() {
            return Err(Error::invalid(format!(
                "index {name} would lie in another schema than its table \"{}\"; leave the schema \
                 out, the index is in that of the table",
                table.name
            ))
            .into());
        }
    }
    Ok(reference.table().to_string())
}
