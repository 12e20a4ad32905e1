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
pub(super) fn give_own_names(statement: &mut Statement) {
    match statement {
        Statement::Statement(statement) => {
            let _: ControlFlow<()> = statement.visit(&mut OwnNames);
        }
        Statement::Explain(explain) => give_own_names(&mut explain.statement),
        _ => {}
    }
}

struct OwnNames;

impl VisitorMut for OwnNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        rename_body(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn rename_body(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => rename_columns(select),
        SetExpr::SetOperation { left, right, .. } => {
            rename_body(left);
            rename_body(right);
        }
        _ => {}
    }
}

fn rename_columns(select: &mut Select) {
    let mut taken: HashSet<String> = HashSet::with_capacity(select.projection.len());
    for item in &mut select.projection {
        let Some((whole, name)) = names(item) else { continue };
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

/// By what DataFusion tells a column from others, roughly, and its name alone. What is not quoted
/// is in lower case there.
fn names(item: &SelectItem) -> Option<(String, String)> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some((folded(alias), folded(alias))),
        SelectItem::UnnamedExpr(expr) => Some(names_of(expr)),
        _ => None,
    }
}

fn names_of(expr: &Expr) -> (String, String) {
    let mut plain = expr.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut plain, |expr| {
        match expr {
            Expr::Identifier(ident) => fold(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(fold),
            Expr::Function(function) => {
                function.name.0.iter_mut().for_each(|part| {
                    if let ObjectNamePart::Identifier(ident) = part {
                        fold(ident);
                    }
                });
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let text = plain.to_string();
    match expr {
        Expr::Nested(inner) => names_of(inner),
        Expr::CompoundIdentifier(idents) => {
            let last = idents.last().map_or(text.clone(), folded);
            (text, last)
        }
        Expr::Identifier(ident) => (folded(ident), folded(ident)),
        // It is called as its one column is.
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => {
                select.projection.first().and_then(names).unwrap_or((text.clone(), text))
            }
            _ => (text.clone(), text),
        },
        _ => (text.clone(), text),
    }
}

fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

fn fold(ident: &mut Ident) {
    ident.value = folded(ident);
}
