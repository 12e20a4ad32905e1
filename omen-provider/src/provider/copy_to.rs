//! COPY … TO: the rows of a query into files.
//!
//! The query is planned as any other and so reads one snapshot; its rows go to
//! [`super::copy_sink`]. Called by [`super::session`] and [`super::export`].

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as PlainStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::copy_sink::CopyTarget;
use super::edit_statements::normalizer;
use super::own_files::refuse_own_path;
use super::own_nodes::OwnNode;
use super::session::Session;
use super::statement::{Copy, CopySource};
use crate::error::Error;
use crate::interchange::{FileOptions, Place, check_types};

/// Plans a COPY … TO.
pub(super) async fn plan_copy_to(session: &Session, copy: Copy) -> Result<DataFrame> {
    let Copy { source, place, options, partition_by, .. } = copy;
    if let Place::Path(path) = &place {
        refuse_remote(path)?;
        refuse_own_path(session.handle().engine().location(), path)?;
    }
    let query = match source {
        CopySource::Query(query) => *query,
        CopySource::Table { name, columns } => {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let columns = if columns.is_empty() { "*".to_string() } else { columns.join(", ") };
            select(&columns, &name)?
        }
    };
    let statement = PlainStatement::Statement(Box::new(SqlStatement::Query(Box::new(query))));
    let rows = session.planned_query(statement).await?;
    if matches!(rows, LogicalPlan::Dml(_) | LogicalPlan::Ddl(_)) {
        return Err(Error::invalid("COPY (…) TO takes a query").into());
    }
    let names = normalizer(session);
    let by: Vec<String> = partition_by.into_iter().map(|name| names.normalize(name)).collect();
    let options = match (&place, by.is_empty()) {
        // The name is that of a folder.
        (Place::Path(path), false) => {
            let path = path.trim_end_matches('/').to_string();
            FileOptions::new(&options, &Place::Path(path))?
        }
        (Place::Standard, false) => {
            return Err(Error::invalid("PARTITION_BY writes a folder, not standard output").into());
        }
        _ => FileOptions::new(&options, &place)?,
    };
    let schema = plain_schema(rows.schema());
    check_types(&schema, options.format)?;
    let rows = if by.is_empty() { rows } else { sorted(rows, &by)? };
    let target = CopyTarget { place, options, partition_by: by };
    Ok(DataFrame::new(session.context().state(), OwnNode::copy_to(rows, target)?))
}

/// Refuses what does not lie in the local file system.
pub(super) fn refuse_remote(path: &str) -> Result<()> {
    match path.split_once("://") {
        None => Ok(()),
        Some((scheme, _)) => Err(Error::invalid(format!(
            "this reads and writes local files, not {scheme}://; where the application has \
             registered an object store, an external table reads from it and COPY … TO with \
             DataFusion's words, STORED AS … OPTIONS (…), writes to it"
        ))
        .into()),
    }
}

fn select(columns: &str, table: &ObjectName) -> Result<Query> {
    let text = format!("SELECT {columns} FROM {table}");
    let refused = |error| DataFusionError::SQL(Box::new(error), None);
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(&text).map_err(refused)?;
    parser.parse_query().map(|query| *query).map_err(refused)
}

/// Rows by the columns of a folder, equal ones side by side.
fn sorted(rows: LogicalPlan, by: &[String]) -> Result<LogicalPlan> {
    let schema = Arc::clone(rows.schema());
    let column = |name: &String| match schema.iter().find(|(_, field)| field.name() == name) {
        Some(found) => Ok(Expr::Column(Column::from(found)).sort(true, true)),
        None => Err(Error::invalid(format!(
            "PARTITION_BY {name}: there is no such column; columns are {}",
            schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ")
        ))),
    };
    let keys = by.iter().map(column).collect::<crate::Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(rows).sort(keys)?.build()
}

/// Names and types of the columns.
fn plain_schema(schema: &DFSchema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        Field::new(field.name(), field.data_type().clone(), field.is_nullable())
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}
