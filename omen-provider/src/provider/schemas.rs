//! CREATE SCHEMA and DROP SCHEMA, and which schema names without one lie in: USE, SET search_path.
//!
//! Called by [`super::session`]; the work is the engine's.

use datafusion::error::Result;
use datafusion::sql::parser::Statement as PlainStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectType, SchemaName, Set, Statement, Use, Value,
};

use super::edit_statements::normalizer;
use super::session::Session;
use crate::error::Error;
use crate::storage::schema_names::INFORMATION_SCHEMA;

/// DataFusion's setting for the schema of names without one.
const DEFAULT_SCHEMA: &str = "datafusion.catalog.default_schema";
/// PostgreSQL's.
const SEARCH_PATH: &str = "search_path";

/// Whether a statement makes or drops a schema.
pub(super) fn is_one(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateSchema { .. } | Statement::Drop { object_type: ObjectType::Schema, .. }
    )
}

/// Carries out a statement about schemas; false if it is none, or one of schemas that are not of
/// the database.
pub(super) async fn carry_out(session: &Session, statement: &Statement) -> Result<bool> {
    let (engine, within) = (session.handle().engine(), session.current().get());
    match statement {
        Statement::CreateSchema { schema_name, if_not_exists, .. } => {
            refuse_clauses(statement)?;
            let (SchemaName::Simple(name) | SchemaName::NamedAuthorization(name, _)) = schema_name
            else {
                return Ok(false);
            };
            let Some(name) = schema_name_of(session, name)? else { return Ok(false) };
            if name == session.public_name() {
                return match if_not_exists {
                    true => Ok(true),
                    false => Err(Error::AlreadyExists(format!("schema \"{name}\"")).into()),
                };
            }
            engine.create_schema(&within, &name, *if_not_exists).await?;
        }
        Statement::Drop { object_type: ObjectType::Schema, if_exists, names, cascade, .. } => {
            let mut own = Vec::with_capacity(names.len());
            for name in names {
                let Some(name) = schema_name_of(session, name)? else { return Ok(false) };
                own.push(name);
            }
            if is_other(session, &own) {
                return Ok(false);
            }
            engine.drop_schemas(&within, &own, *if_exists, *cascade).await?;
        }
        Statement::Use(chosen) => choose(session, used(session, chosen)?)?,
        Statement::Set(Set::SingleAssignment { variable, values, scope: None, hivevar: false })
            if is_setting(variable) =>
        {
            choose(session, assigned(session, variable, values)?)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Lets SHOW search_path show the setting that it is.
pub(super) fn give_setting_shown(statement: &mut PlainStatement) {
    if let PlainStatement::Statement(statement) = statement
        && let Statement::ShowVariable { variable } = statement.as_mut()
        && let [name] = &variable[..]
        && name.value.eq_ignore_ascii_case(SEARCH_PATH)
    {
        *variable = DEFAULT_SCHEMA.split('.').map(Ident::new).collect();
    }
}

/// Carries out a RESET of the schema of names without one; false if it is one of anything else.
pub(super) fn reset(session: &Session, variable: &ObjectName) -> Result<bool> {
    if is_setting(variable) {
        choose(session, session.public_name())?;
    }
    Ok(is_setting(variable))
}

/// Refuses what would mean nothing.
fn refuse_clauses(statement: &Statement) -> Result<()> {
    let Statement::CreateSchema { schema_name, with, options, default_collate_spec, clone, .. } =
        statement
    else {
        return Ok(());
    };
    let clause = match schema_name {
        SchemaName::Simple(_) => None,
        _ => Some("AUTHORIZATION: there are no roles"),
    };
    let clause = clause
        .or_else(|| with.is_some().then_some("WITH: a schema has no options"))
        .or_else(|| options.is_some().then_some("OPTIONS: a schema has none"))
        .or_else(|| default_collate_spec.is_some().then_some("DEFAULT COLLATE"))
        .or_else(|| clone.is_some().then_some("CLONE: CREATE TABLE … AS copies a table"));
    match clause {
        Some(clause) => {
            Err(Error::invalid(format!("CREATE SCHEMA does not support {clause}")).into())
        }
        None => Ok(()),
    }
}

/// The name of a schema in the default catalog.
///
/// # Errors
/// [`Error::InvalidInput`] if it is in another one.
pub(super) fn require_name(session: &Session, name: &ObjectName) -> Result<String> {
    let other = || Error::invalid(format!("schema {name} is not of the database"));
    Ok(schema_name_of(session, name)?.ok_or_else(other)?)
}

/// The name of a schema in the default catalog; `None` if it is in another one.
fn schema_name_of(session: &Session, name: &ObjectName) -> Result<Option<String>> {
    let names = normalizer(session);
    let parts = name.0.iter().map(|part| part.as_ident().cloned());
    let parts: Option<Vec<String>> =
        parts.map(|part| part.map(|part| names.normalize(part))).collect();
    match parts.as_deref() {
        Some([schema]) => Ok(Some(schema.clone())),
        Some([catalog, schema]) if *catalog == session.default_catalog() => {
            Ok(Some(schema.clone()))
        }
        Some([_, _]) => Ok(None),
        _ => {
            Err(Error::invalid(format!("{name} is no name of a schema: one word is expected"))
                .into())
        }
    }
}

/// Whether these are schemas that the application has registered, not those of the database.
fn is_other(session: &Session, names: &[String]) -> bool {
    let snapshot = session.snapshot();
    let catalog = session.context().catalog(&session.default_catalog());
    names.iter().any(|name| {
        let is_own = snapshot.has_schema(name) || *name == session.public_name();
        let is_there = || catalog.as_ref().is_some_and(|catalog| catalog.schema(name).is_some());
        !is_own && *name != INFORMATION_SCHEMA && is_there()
    })
}

fn is_setting(variable: &ObjectName) -> bool {
    let name = variable.to_string();
    name.eq_ignore_ascii_case(DEFAULT_SCHEMA) || name.eq_ignore_ascii_case(SEARCH_PATH)
}

/// The schema that a SET names.
fn assigned(session: &Session, variable: &ObjectName, values: &[Expr]) -> Result<String> {
    let is_default =
        |name: &Ident| name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default");
    match values {
        [Expr::Identifier(name)] if is_default(name) => Ok(session.public_name()),
        [Expr::Identifier(name)] => Ok(normalizer(session).normalize(name.clone())),
        [Expr::Value(value)] => match &value.value {
            Value::SingleQuotedString(name) | Value::DoubleQuotedString(name) => Ok(name.clone()),
            other => {
                Err(Error::invalid(format!("{variable} is the name of a schema, found {other}"))
                    .into())
            }
        },
        _ => Err(Error::invalid(format!(
            "{variable} is the name of one schema, in which names without a schema lie; those of \
             others are written with it (a.t)"
        ))
        .into()),
    }
}

/// The schema that a USE names; that of a catalog is `public`.
fn used(session: &Session, chosen: &Use) -> Result<String> {
    let name = match chosen {
        Use::Object(name) | Use::Schema(name) => name,
        Use::Default => return Ok(session.public_name()),
        other => {
            return Err(Error::invalid(format!("{other} is not supported; USE a schema")).into());
        }
    };
    let refused =
        || Error::invalid(format!("USE {name}: there is one catalog in a session; USE a schema"));
    let schema = schema_name_of(session, name)?.ok_or_else(refused)?;
    let is_catalog = schema == session.default_catalog() && !session.snapshot().has_schema(&schema);
    Ok(if is_catalog { session.public_name() } else { schema })
}

/// Makes a schema the one of names without one.
fn choose(session: &Session, schema: String) -> Result<()> {
    let catalog = session.context().catalog(&session.default_catalog());
    if catalog.is_none_or(|catalog| catalog.schema(&schema).is_none()) {
        return Err(session.snapshot().no_schema(&schema).into());
    }
    let state = session.context().state_ref();
    state.write().config_mut().options_mut().catalog.default_schema = schema;
    Ok(())
}
