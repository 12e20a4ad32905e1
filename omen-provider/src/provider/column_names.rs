//! Columns of one name in a SELECT: each gets a name of its own.
//!
//! DataFusion refuses a list of columns in which two have one name (`SELECT a, a`), also where
//! names do not matter, as in INSERT ... SELECT. The later ones are called `a_1`, `a_2` here, as
//! DuckDB does. Pure: syntax in, syntax out. Called by [`super::session`] before a statement is
//! planned.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
    visit_expressions_mut,
};

/// Gives columns that share a name with one before it in their list a name of their own.
/// `normalize_names`: whether names without quotes are taken in lower case.
pub(super) fn give_own_names(statement: &mut Statement, normalize_names: bool) {
    match statement {
        Statement::Statement(statement) => {
            let _: ControlFlow<()> = statement.visit(&mut OwnNames { normalize_names });
        }
        Statement::Explain(explain) => give_own_names(&mut explain.statement, normalize_names),
        _ => {}
    }
}

struct OwnNames {
    normalize_names: bool,
}

impl VisitorMut for OwnNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.rename_body(&mut query.body);
        ControlFlow::Continue(())
    }
}

impl OwnNames {
    fn rename_body(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.rename_columns(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.rename_body(left);
                self.rename_body(right);
            }
            _ => {}
        }
    }

    fn rename_columns(&self, select: &mut Select) {
        let mut taken: HashSet<String> = HashSet::with_capacity(select.projection.len());
        for item in &mut select.projection {
            let Some((whole, name)) = self.names(item) else { continue };
            if taken.insert(whole) {
                continue;
            }
            let free = (1..).map(|number| format!("{name}_{number}"));
            // There are more numbers than columns.
            let Some(own) = free.take(taken.len() + 1).find(|own| !taken.contains(own)) else {
                continue;
            };
            taken.insert(own.clone());
            let alias = Ident::with_quote('"', own);
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
    }

    /// By what DataFusion tells a column from others, roughly, and its name alone.
    fn names(&self, item: &SelectItem) -> Option<(String, String)> {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => Some((self.name(alias), self.name(alias))),
            SelectItem::UnnamedExpr(expr) => Some(self.names_of(expr)),
            _ => None,
        }
    }

    fn names_of(&self, expr: &Expr) -> (String, String) {
        let text = self.normalized(expr).to_string();
        match expr {
            Expr::Nested(inner) => self.names_of(inner),
            Expr::CompoundIdentifier(idents) => {
                let last = idents.last().map_or(text.clone(), |ident| self.name(ident));
                (text, last)
            }
            Expr::Identifier(ident) => (self.name(ident), self.name(ident)),
            // It is called as its one column is.
            Expr::Subquery(query) => match query.body.as_ref() {
                SetExpr::Select(select) => {
                    let first = select.projection.first().and_then(|item| self.names(item));
                    first.unwrap_or((text.clone(), text))
                }
                _ => (text.clone(), text),
            },
            _ => (text.clone(), text),
        }
    }

    /// An expression with its names as they are meant.
    fn normalized(&self, expr: &Expr) -> Expr {
        let mut normalized = expr.clone();
        let _: ControlFlow<()> = visit_expressions_mut(&mut normalized, |part| {
            match part {
                Expr::Identifier(ident) => ident.value = self.name(ident),
                Expr::CompoundIdentifier(idents) => {
                    idents.iter_mut().for_each(|ident| ident.value = self.name(ident));
                }
                Expr::Function(function) => {
                    for part in &mut function.name.0 {
                        if let ObjectNamePart::Identifier(ident) = part {
                            ident.value = self.name(ident);
                        }
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        normalized
    }

    fn name(&self, ident: &Ident) -> String {
        match ident.quote_style {
            None if self.normalize_names => ident.value.to_ascii_lowercase(),
            _ => ident.value.clone(),
        }
    }
}
