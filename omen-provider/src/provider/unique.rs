//! UNIQUE, from syntax to the names of columns; and whether the rows that there are keep to it.
//!
//! Called for CREATE TABLE, ALTER TABLE and CREATE INDEX. DataFusion would plan UNIQUE too, and
//! trust in it where NULL is concerned: so it never sees it.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    self, ColumnOption, CreateTable, IndexColumn, NullsDistinctOption, TableConstraint,
    UniqueConstraint,
};

use crate::error::Error;

/// The name of the column that counts.
const COUNT: &str = "_omen_count";

/// Takes the UNIQUE constraints out of a CREATE TABLE: names and columns. Those without a name get
/// one as PostgreSQL gives it.
pub(super) fn take_uniques(
    create: &mut CreateTable,
    table: &str,
    names: &IdentNormalizer,
) -> Result<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    for column in &mut create.columns {
        let is_unique =
            |option: &mut ast::ColumnOptionDef| matches!(option.option, ColumnOption::Unique(_));
        for option in column.options.extract_if(.., is_unique) {
            found.push((option.name, vec![names.normalize(column.name.clone())]));
        }
    }
    let is_unique =
        |constraint: &mut TableConstraint| matches!(constraint, TableConstraint::Unique(_));
    for constraint in create.constraints.extract_if(.., is_unique) {
        if let TableConstraint::Unique(unique) = constraint {
            let columns = unique_columns(&unique, names)?;
            found.push((unique.name, columns));
        }
    }
    let mut uniques: Vec<(String, Vec<String>)> = Vec::with_capacity(found.len());
    for (name, columns) in found {
        let is_taken = |name: &str| uniques.iter().any(|(taken, _)| taken == name);
        let name = match name {
            Some(name) => names.normalize(name),
            None => free_name(&unique_name(table, &columns), is_taken),
        };
        uniques.push((name, columns));
    }
    Ok(uniques)
}

/// `usual`, or if that is taken, with a number behind it.
pub(super) fn free_name(usual: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (1u64..).map(|number| format!("{usual}{number}"));
    let mut names = std::iter::once(usual.to_string()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

/// The name that a UNIQUE over columns has if it is given none.
pub(super) fn unique_name(table: &str, columns: &[String]) -> String {
    format!("{table}_{}_key", columns.join("_"))
}

/// The columns of a UNIQUE.
///
/// # Errors
/// [`Error::InvalidInput`] for what it says besides.
pub(super) fn unique_columns(
    unique: &UniqueConstraint,
    names: &IdentNormalizer,
) -> Result<Vec<String>> {
    if unique.nulls_distinct == NullsDistinctOption::NotDistinct {
        return Err(nulls_not_distinct().into());
    }
    if unique.characteristics.is_some() {
        let what = "DEFERRABLE is not supported: UNIQUE is checked by each statement";
        return Err(Error::invalid(what).into());
    }
    unique.columns.iter().map(|column| index_column(column, names)).collect()
}

/// The error of NULLS NOT DISTINCT.
pub(super) fn nulls_not_distinct() -> Error {
    Error::invalid(
        "NULLS NOT DISTINCT is not supported: rows with NULL are never the same; declare the \
         column NOT NULL, with a DEFAULT that stands for nothing",
    )
}

/// The column that an index names.
///
/// # Errors
/// [`Error::InvalidInput`] for an expression, another order or an operator class.
pub(super) fn index_column(column: &IndexColumn, names: &IdentNormalizer) -> Result<String> {
    let is_usual = column.operator_class.is_none()
        && column.column.with_fill.is_none()
        && column.column.options.asc != Some(false)
        && column.column.options.nulls_first != Some(true);
    match &column.column.expr {
        ast::Expr::Identifier(name) if is_usual => Ok(names.normalize(name.clone())),
        ast::Expr::Identifier(name) => Err(Error::invalid(format!(
            "index column {column}: an index ascends, NULL last, and is read both ways; write \
             {name} alone"
        ))
        .into()),
        _ => Err(Error::invalid(format!(
            "index column {column} is an expression; an index is over columns: keep the value in \
             a column of its own"
        ))
        .into()),
    }
}

/// Refuses rows of which two have the same values in `columns`, none of them NULL.
///
/// # Errors
/// [`Error::NotUnique`].
pub(super) async fn refuse_duplicates(
    rows: DataFrame,
    table: &str,
    constraint: &str,
    columns: &[&str],
) -> Result<()> {
    let mut rows = rows;
    for column in columns {
        rows = rows.filter(ident(*column).is_not_null())?;
    }
    let groups: Vec<Expr> = columns.iter().map(|column| ident(*column)).collect();
    let counted = rows.aggregate(groups, vec![count(lit(1)).alias(COUNT)])?;
    let found = counted.filter(ident(COUNT).gt(lit(1)))?.limit(0, Some(1))?.collect().await?;
    let Some(first) = found.iter().find(|batch| batch.num_rows() > 0) else { return Ok(()) };
    let options = FormatOptions::default();
    let mut values = Vec::with_capacity(columns.len());
    for column in &first.columns()[..columns.len()] {
        values.push(ArrayFormatter::try_new(column.as_ref(), &options)?.value(0).to_string());
    }
    Err(Error::NotUnique {
        table: table.to_string(),
        constraint: constraint.to_string(),
        values: format!("({}) = ({})", columns.join(", "), values.join(", ")),
    }
    .into())
}
