//! ON CONFLICT, OR IGNORE and the like: by what a row is the same as another one, and what is done
//! then.
//!
//! Called by [`super::upserts`].

use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::{
    ConflictTarget, DoUpdate, Insert, OnConflict, OnConflictAction, OnInsert, SqliteOnConflict,
};

use super::edit_statements::normalizer;
use super::session::Session;
use super::table_provider::OmenTable;
use crate::error::Error;

/// What happens to a row whose key is there, or its values in a UNIQUE index.
pub(super) enum OnKey {
    /// The statement fails, or, with INSERT OR REPLACE, the row is written over.
    AsPlanned,
    /// Nothing, where one of these (`None`: the key) is there.
    Nothing(Vec<Option<u32>>),
    /// The row that is there is written over.
    Update(Option<u32>, Box<DoUpdate>),
}

/// Takes ON CONFLICT and the like out of the statement.
pub(super) fn on_key(session: &Session, insert: &mut Insert, table: &OmenTable) -> Result<OnKey> {
    let or = insert.or;
    if matches!(or, Some(SqliteOnConflict::Ignore | SqliteOnConflict::Abort)) {
        insert.or = None;
    }
    let on = match (insert.on.take(), or) {
        (None, Some(SqliteOnConflict::Ignore)) => return Ok(OnKey::Nothing(uniques(table))),
        (None, _) => return Ok(OnKey::AsPlanned),
        (Some(OnInsert::OnConflict(on)), None) if !insert.replace_into => on,
        (Some(on), _) => {
            return Err(Error::invalid(format!(
                "{on} is not supported here; write INSERT INTO ... ON CONFLICT (key) DO UPDATE SET \
                 ..., without OR"
            ))
            .into());
        }
    };
    let by = conflict_target(session, &on, table)?;
    match (on.action, by) {
        (OnConflictAction::DoNothing, None) => Ok(OnKey::Nothing(uniques(table))),
        (OnConflictAction::DoNothing, Some(by)) => Ok(OnKey::Nothing(vec![by])),
        (OnConflictAction::DoUpdate(update), by) => {
            Ok(OnKey::Update(by.flatten(), Box::new(update)))
        }
    }
}

/// All by which rows of a table are unique: its key (`None`) and UNIQUE indexes.
fn uniques(table: &OmenTable) -> Vec<Option<u32>> {
    let schema = table.table_schema();
    let key = (!schema.hidden_key).then_some(None);
    let unique = schema.indexes.iter().filter(|index| index.index.is_unique);
    key.into_iter().chain(unique.map(|index| Some(index.index.id))).collect()
}

/// What makes the conflict that a statement names: the key (`Some(None)`) or a UNIQUE index; `None`
/// if it names nothing.
///
/// # Errors
/// [`Error::InvalidInput`] if nothing of the table makes it.
fn conflict_target(
    session: &Session,
    on: &OnConflict,
    table: &OmenTable,
) -> Result<Option<Option<u32>>> {
    let schema = table.table_schema();
    let names = normalizer(session);
    let unique = || schema.indexes.iter().filter(|index| index.index.is_unique);
    let mut given: Vec<String> = Vec::new();
    let found = match &on.conflict_target {
        None if matches!(on.action, OnConflictAction::DoNothing) => return Ok(None),
        None => (!schema.hidden_key).then_some(None),
        Some(ConflictTarget::OnConstraint(name)) => {
            let name = name.0.last().and_then(|part| part.as_ident()).cloned();
            let name = name.map(|name| names.normalize(name)).unwrap_or_default();
            match !schema.hidden_key && name == schema.constraint_name() {
                true => Some(None),
                false => unique().find(|i| i.index.name == name).map(|i| Some(i.index.id)),
            }
        }
        Some(ConflictTarget::Columns(columns)) => {
            given.extend(columns.iter().map(|column| names.normalize(column.clone())));
            given.sort_unstable();
            let is_given = |mut columns: Vec<&str>| {
                columns.sort_unstable();
                columns == given
            };
            match !schema.hidden_key && is_given(schema.key_names()) {
                true => Some(None),
                false => unique().find(|i| is_given(i.names(schema))).map(|i| Some(i.index.id)),
            }
        }
    };
    if found.is_some() {
        return Ok(found);
    }
    let key = (!schema.hidden_key).then(|| schema.key_names());
    let all = key.into_iter().chain(unique().map(|index| index.names(schema)));
    let all: Vec<String> = all.map(|columns| format!("({})", columns.join(", "))).collect();
    let has = match &all[..] {
        [] => "it has no unique key".to_string(),
        [one] => format!("its unique key is {one}"),
        _ => format!("its unique keys are {}", all.join(", ")),
    };
    let name = &schema.name;
    Err(Error::invalid(format!(
        "ON CONFLICT does not name a unique key of table \"{name}\"; {has}"
    ))
    .into())
}
