//! MERGE INTO, as a query of what it does to which row.
//!
//! Source and target are joined; which WHEN applies to a row of the join becomes a number, and with
//! it the row's new columns are chosen. Of several that apply the first one counts. Called by
//! [`super::edits`]; [`super::edit_target`] takes the rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Column, JoinType, Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::conditional_expressions::CaseBuilder;
use datafusion::logical_expr::dml::{
    MergeIntoAction, MergeIntoClause, MergeIntoClauseKind, MergeIntoOp,
};
use datafusion::logical_expr::expr_schema::ExprSchemable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, lit, when};

use super::identity::{changed, is_always, refuse_value};
use super::table_provider::OmenTable;
use crate::error::Error;
use crate::expression::default::parse_default;
use crate::storage::schema::TableSchema;

/// The column that says that a row has a source.
const IS_SOURCE: &str = "\u{1}source";
/// The column with the number of the WHEN that applies, from 1 on.
const ACTION: &str = "\u{1}action";
/// The column that says whether there is a new row.
const IS_WRITTEN: &str = "\u{1}written";

/// What a MERGE does, a row for each row of the target that is deleted, written over or added: the
/// old key, whether there is a new row, and this.
pub(super) fn merge(
    table: &OmenTable,
    name: &TableReference,
    source: LogicalPlan,
    merge: &MergeIntoOp,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(table.table_schema());
    let joined = join(table, name, source, merge)?;
    let in_target = |column: &str| Expr::Column(Column::new(Some(name.clone()), column));
    let keys: Vec<Expr> = schema.key_names().into_iter().map(in_target).collect();
    let action = action(&merge.clauses, &keys[0])?;
    let columns = joined.schema().iter().map(|field| Expr::Column(Column::from(field)));
    let columns: Vec<Expr> = columns.chain([action.alias(ACTION)]).collect();
    let chosen = joined.project(columns)?.filter(ident(ACTION).gt(lit(0)))?;
    let below = Arc::clone(chosen.schema());
    let mut rows: Vec<Expr> = Vec::new();
    rows.extend(keys.into_iter().enumerate().map(|(i, key)| key.alias(format!("\u{1}{i}"))));
    rows.push(is_written(&merge.clauses)?.alias(IS_WRITTEN));
    let values: Vec<HashMap<&str, Expr>> =
        merge.clauses.iter().map(|clause| new_values(clause, &schema)).collect::<Result<_>>()?;
    for field in schema.visible().fields() {
        let column = field.name();
        let mut chosen = CaseBuilder::new(None, Vec::new(), Vec::new(), None);
        for (number, (clause, values)) in (1i32..).zip(merge.clauses.iter().zip(&values)) {
            let value = match (&clause.action, values.get(column.as_str())) {
                (MergeIntoAction::Delete, _) => continue,
                (_, Some(value)) => value.clone(),
                (MergeIntoAction::Update(_), None) => in_target(column),
                (MergeIntoAction::Insert { .. }, None) => default_of(&schema, column)?,
            };
            let value = value.cast_to(field.data_type(), &below)?;
            chosen = chosen.when(ident(ACTION).eq(lit(number)), value);
        }
        let none = lit(datafusion::common::ScalarValue::Null).cast_to(field.data_type(), &below)?;
        rows.push(chosen.otherwise(none)?.alias(column));
    }
    chosen.project(rows)?.build()
}

/// Rows of the source with those of the target that they match, and, if a WHEN is about them, the
/// rows of the target that match none.
fn join(
    table: &OmenTable,
    name: &TableReference,
    source: LogicalPlan,
    merge: &MergeIntoOp,
) -> Result<LogicalPlanBuilder> {
    let target = match table.table_schema().hidden_key {
        true => table.with_row_ids(),
        false => table.clone(),
    };
    let target =
        LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::new(target)), None)?;
    let columns = source.schema().iter().map(|field| Expr::Column(Column::from(field)));
    let marked = columns.chain([lit(true).alias(IS_SOURCE)]).collect::<Vec<_>>();
    let source = LogicalPlanBuilder::from(source).project(marked)?;
    let is_of_target =
        |clause: &MergeIntoClause| matches!(clause.kind, MergeIntoClauseKind::NotMatchedBySource);
    let kind = match merge.clauses.iter().any(is_of_target) {
        true => JoinType::Full,
        false => JoinType::Left,
    };
    source.join_on(target.build()?, kind, [merge.on.clone()])
}

/// The number of the WHEN that applies to a row of the join, 0 if none does.
fn action(clauses: &[MergeIntoClause], key: &Expr) -> Result<Expr> {
    let mut action = CaseBuilder::new(None, Vec::new(), Vec::new(), None);
    for (number, clause) in (1i32..).zip(clauses) {
        let applies = match clause.kind {
            MergeIntoClauseKind::Matched => {
                key.clone().is_not_null().and(ident(IS_SOURCE).is_not_null())
            }
            MergeIntoClauseKind::NotMatched | MergeIntoClauseKind::NotMatchedByTarget => {
                key.clone().is_null()
            }
            MergeIntoClauseKind::NotMatchedBySource => ident(IS_SOURCE).is_null(),
        };
        let applies = match &clause.predicate {
            Some(predicate) => applies.and(predicate.clone()),
            None => applies,
        };
        action = action.when(applies, lit(number));
    }
    action.otherwise(lit(0))
}

fn is_written(clauses: &[MergeIntoClause]) -> Result<Expr> {
    let deletions = (1i32..)
        .zip(clauses)
        .filter(|(_, clause)| matches!(clause.action, MergeIntoAction::Delete));
    let numbers: Vec<Expr> = deletions.map(|(number, _)| lit(number)).collect();
    match numbers.is_empty() {
        true => Ok(lit(true)),
        false => when(ident(ACTION).in_list(numbers, false), lit(false)).otherwise(lit(true)),
    }
}

/// What a WHEN gives to which column.
fn new_values<'a>(
    clause: &'a MergeIntoClause,
    schema: &'a TableSchema,
) -> Result<HashMap<&'a str, Expr>> {
    match &clause.action {
        MergeIntoAction::Delete => Ok(HashMap::new()),
        MergeIntoAction::Update(values) => {
            let place = |column: &str| schema.visible().column_with_name(column).map(|(at, _)| at);
            let mut places = values.iter().filter_map(|(column, _)| place(column));
            if places.any(|place| is_always(schema, place)) {
                return Err(changed(schema).into());
            }
            Ok(values.iter().map(|(column, value)| (column.as_str(), value.clone())).collect())
        }
        MergeIntoAction::Insert { columns, values } => {
            let visible = schema.visible().fields().iter().map(|field| field.name().as_str());
            let columns: Vec<&str> = match columns.is_empty() {
                true => visible.collect(),
                false => columns.iter().map(String::as_str).collect(),
            };
            if columns.len() != values.len() {
                return Err(Error::invalid(format!(
                    "{} values for {} columns of table \"{}\" in MERGE",
                    values.len(),
                    columns.len(),
                    schema.name
                ))
                .into());
            }
            for (place, field) in schema.visible().fields().iter().enumerate() {
                let given = columns.iter().position(|column| column == field.name());
                given.map_or(Ok(()), |given| refuse_value(schema, place, &values[given]))?;
            }
            Ok(columns.into_iter().zip(values.iter().cloned()).collect())
        }
    }
}

fn default_of(schema: &TableSchema, name: &str) -> Result<Expr> {
    let column = schema.columns.iter().find(|column| column.field.name() == name);
    match column.and_then(|column| column.default.as_deref()) {
        Some(sql) => parse_default(sql),
        None => Ok(lit(datafusion::common::ScalarValue::Null)),
    }
}
