//! CHECK: conditions on the columns of a row, none of which may be false.
//!
//! A condition is kept as SQL text with the names of its columns. What depends on other rows, on
//! the time or on chance is refused: a row that is taken once stays as good as it was. Called by
//! the engine for all rows that are written, and by the provider for what is declared.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::sql::sqlparser::ast::{self, Ident, visit_expressions_mut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{FUNCTIONS, guard, has_subquery};
use crate::error::{Error, Result};

/// A condition with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The name of the constraint.
    pub name: String,
    /// The condition as SQL text; names of columns are quoted.
    pub sql: String,
}

/// Conditions, ready for rows.
#[derive(Debug)]
pub struct Checks {
    conditions: Vec<(Check, Arc<dyn PhysicalExpr>)>,
}

impl Check {
    /// A condition on rows of `table` as parsed; `normalize` says how names without quotes are
    /// meant.
    pub(crate) fn new(
        name: String,
        condition: &ast::Expr,
        table: &str,
        normalize: impl Fn(&Ident) -> String,
    ) -> Self {
        let mut condition = condition.clone();
        unqualify(&mut condition, |ident| normalize(ident) == table);
        rewrite_names(&mut condition, |ident| {
            *ident = Ident::with_quote('"', normalize(ident));
        });
        Self { name, sql: condition.to_string() }
    }

    /// A condition as text, in which names without quotes are in lower case.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for what is no expression.
    pub(crate) fn parse(name: String, sql: &str, table: &str) -> Result<Self> {
        let given = Self { name, sql: sql.to_string() };
        let condition = given.parsed()?;
        Ok(Self::new(given.name, &condition, table, |ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_ascii_lowercase(),
        }))
    }

    /// The columns that it is about.
    pub(crate) fn columns(&self) -> Result<HashSet<String>> {
        let mut names = HashSet::new();
        rewrite_names(&mut self.parsed()?, |ident| names.extend([ident.value.clone()]));
        Ok(names)
    }

    /// The same with another name for a column.
    pub(crate) fn with_column_renamed(&self, from: &str, to: &str) -> Result<Self> {
        let mut condition = self.parsed()?;
        rewrite_names(&mut condition, |ident| {
            if ident.value == from {
                *ident = Ident::with_quote('"', to);
            }
        });
        Ok(Self { name: self.name.clone(), sql: condition.to_string() })
    }

    fn parsed(&self) -> Result<ast::Expr> {
        guard::tokens(&self.sql, &GenericDialect {})?;
        let parse = || Ok(Parser::new(&GenericDialect {}).try_with_sql(&self.sql)?.parse_expr()?);
        guard::with_stack(parse).map_err(|error| self.wrong(&error.strip_backtrace()))
    }

    /// The condition for rows whose first columns are `columns`.
    fn compiled(&self, columns: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        if has_subquery(&self.parsed()?) {
            return Err(self.wrong("it may not look at other rows"));
        }
        let compile = || -> DataFusionResult<_> {
            let condition = FUNCTIONS.create_logical_expr(&self.sql, columns)?;
            if let Some(reason) = refusal(&condition)? {
                return Ok(Err(self.wrong(reason)));
            }
            match condition.get_type(columns)? {
                DataType::Boolean | DataType::Null => {}
                other => {
                    return Ok(Err(self.wrong(&format!("it is of type {other}, not BOOLEAN"))));
                }
            }
            FUNCTIONS.create_physical_expr(condition, columns).map(Ok)
        };
        guard::with_stack(compile).map_err(|error| self.wrong(&error.strip_backtrace()))?
    }

    fn wrong(&self, reason: &str) -> Error {
        Error::invalid(format!("CHECK ({}), constraint \"{}\": {reason}", self.sql, self.name))
    }
}

/// Why a condition cannot be one; `None` if it can.
fn refusal(condition: &Expr) -> DataFusionResult<Option<&'static str>> {
    let mut reason = None;
    condition.apply(|part| {
        reason = reason.or(match part {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => {
                Some("it may not look at other rows")
            }
            Expr::Placeholder(_) => Some("it may not have parameters"),
            Expr::ScalarFunction(call)
                if call.func.signature().volatility != Volatility::Immutable =>
            {
                Some("it must give the same for the same row, at any time")
            }
            _ => None,
        });
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reason)
}

/// Names columns by themselves that are named with their table.
fn unqualify(condition: &mut ast::Expr, is_table: impl Fn(&Ident) -> bool) {
    let _: ControlFlow<()> = visit_expressions_mut(condition, |part| {
        if let ast::Expr::CompoundIdentifier(path) = part
            && let [table, column] = &path[..]
            && is_table(table)
        {
            *part = ast::Expr::Identifier(column.clone());
        }
        ControlFlow::Continue(())
    });
}

/// Calls `rewrite` with the name of each column.
fn rewrite_names(condition: &mut ast::Expr, mut rewrite: impl FnMut(&mut Ident)) {
    let _: ControlFlow<()> = visit_expressions_mut(condition, |part| {
        match part {
            ast::Expr::Identifier(ident) => rewrite(ident),
            // Behind the column comes a field of it.
            ast::Expr::CompoundIdentifier(path) => {
                path.first_mut().into_iter().for_each(&mut rewrite)
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

impl Checks {
    /// # Errors
    /// [`Error::InvalidInput`] for a condition that cannot be one, saying why.
    pub(crate) fn compile(checks: &[Check], columns: &SchemaRef) -> Result<Self> {
        let columns = DFSchema::try_from(Arc::clone(columns)).map_err(Error::from)?;
        let compiled = checks.iter().map(|check| Ok((check.clone(), check.compiled(&columns)?)));
        Ok(Self { conditions: compiled.collect::<Result<_>>()? })
    }

    /// Refuses rows for which a condition is false. (One that is NULL says nothing.)
    ///
    /// # Errors
    /// [`Error::CheckViolation`] of the first row.
    pub(crate) fn check(&self, table: &str, visible: usize, rows: &RecordBatch) -> Result<()> {
        for (check, condition) in &self.conditions {
            let wrong =
                |error: datafusion::error::DataFusionError| check.wrong(&error.strip_backtrace());
            let holds = condition.evaluate(rows).map_err(wrong)?;
            let holds = holds.into_array(rows.num_rows()).map_err(wrong)?;
            let Some(holds) = holds.as_boolean_opt() else { continue };
            let is_false = |row: &usize| holds.is_valid(*row) && !holds.value(*row);
            if let Some(row) = (0..rows.num_rows()).find(is_false) {
                return Err(Error::CheckViolation {
                    table: table.to_string(),
                    constraint: check.name.clone(),
                    condition: check.sql.clone(),
                    row: described(rows, visible, row),
                });
            }
        }
        Ok(())
    }
}

/// A row as `(value, ...)`, its first columns.
fn described(rows: &RecordBatch, columns: usize, row: usize) -> String {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let options = FormatOptions::default().with_null("NULL");
    let shown = rows.columns().iter().take(columns).map(|column| {
        let formatter = ArrayFormatter::try_new(column, &options);
        formatter.map_or("…".to_string(), |values| values.value(row).to_string())
    });
    format!("({})", shown.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn columns() -> SchemaRef {
        let fields = [("a", DataType::Int64), ("B", DataType::Utf8)];
        let fields = fields.map(|(name, kind)| Field::new(name, kind, true));
        Arc::new(Schema::new(fields.to_vec()))
    }

    fn check(sql: &str) -> Check {
        let condition = Parser::new(&GenericDialect {}).try_with_sql(sql).unwrap().parse_expr();
        let normalize = |ident: &Ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        };
        Check::new("c".to_string(), &condition.unwrap(), "t", normalize)
    }

    fn verdict(sql: &str, a: Option<i64>, b: Option<&str>) -> Result<()> {
        let arrays: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![a])), Arc::new(StringArray::from(vec![b]))];
        let rows = RecordBatch::try_new(columns(), arrays).unwrap();
        Checks::compile(&[check(sql)], &columns())?.check("t", 2, &rows)
    }

    #[test]
    fn what_is_false_is_refused_and_null_is_not() {
        for (sql, holds) in [
            ("A > 0", true),
            ("a > 5", false),
            ("a > 0 AND \"B\" <> 'x'", false),
            ("a > NULL", true),
            ("T.a > 5", false),
            ("NULL", true),
            ("a IN (1, 2, 3) OR length(\"B\") = 4", true),
            ("a BETWEEN -1.5 AND 2.5", false),
        ] {
            assert_eq!(verdict(sql, Some(3), Some("x")).is_ok(), holds, "{sql}");
        }
        assert!(verdict("a > 5", None, None).is_ok());
        let error = verdict("a > 5", Some(3), None).unwrap_err().to_string();
        assert!(error.contains("(3, NULL)") && error.contains("\"a\" > 5"), "{error}");
    }

    #[test]
    fn what_cannot_be_a_condition_is_refused() {
        for sql in [
            "a + 1",
            "c > 0",
            "random() > 0.5",
            "now() > '2026-01-01'",
            "a > (SELECT 1)",
            "sum(a) > 0",
            "a > $1",
        ] {
            let refused = verdict(sql, Some(1), None).unwrap_err();
            assert!(matches!(refused, Error::InvalidInput(_)), "{sql}: {refused}");
        }
    }

    #[test]
    fn names_are_known_and_can_be_others() {
        let condition = check("abs(A) > 0 OR \"B\" = 'a'");
        let set = |names: [&str; 2]| HashSet::from(names.map(str::to_string));
        assert_eq!(condition.columns().unwrap(), set(["B", "a"]));
        let renamed = condition.with_column_renamed("a", "new \"name").unwrap();
        assert_eq!(renamed.columns().unwrap(), set(["B", "new \"name"]));
        assert!(renamed.sql.contains("= 'a'"), "{}", renamed.sql);
    }
}
