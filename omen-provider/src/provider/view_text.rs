//! The text of a view as it is kept: one that means the same whatever schema names without one lie
//! in.
//!
//! It is planned as of `public`. Where a session has chosen another schema, the names that the
//! statement has without one get it here. Called by [`super::views`].

use std::ops::ControlFlow;

use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    CreateView, Ident, ObjectName, ObjectNamePart, Query, Statement, TableFactor, VisitMut,
    VisitorMut,
};

use crate::error::{Error, Result};

/// The statement with `schema` before all names of tables that have none.
///
/// # Errors
/// [`Error::InvalidInput`] for a table of WITH that has the name of one in the schema, which
/// `is_there` tells: which of them a name means is not looked into.
pub(super) fn qualified(
    view: CreateView,
    schema: &str,
    is_there: impl Fn(&str) -> bool,
) -> Result<CreateView> {
    let mut statement = Statement::CreateView(view);
    let names = IdentNormalizer::new(true);
    let mut visitor = Qualifier { schema, is_there, names, with: Vec::new() };
    if let ControlFlow::Break(error) = statement.visit(&mut visitor) {
        return Err(error);
    }
    match statement {
        Statement::CreateView(mut view) => {
            visitor.qualify(&mut view.name);
            Ok(view)
        }
        other => Err(Error::invalid(format!("{other} is no view"))),
    }
}

struct Qualifier<'a, F> {
    schema: &'a str,
    is_there: F,
    names: IdentNormalizer,
    /// The tables of WITH, of each query around.
    with: Vec<Vec<String>>,
}

impl<F> Qualifier<'_, F> {
    fn qualify(&self, name: &mut ObjectName) {
        if let [ObjectNamePart::Identifier(own)] = &name.0[..] {
            let own = Ident::with_quote('"', self.names.normalize(own.clone()));
            *name = ObjectName::from(vec![Ident::with_quote('"', self.schema), own]);
        }
    }
}

impl<F: Fn(&str) -> bool> VisitorMut for Qualifier<'_, F> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let tables = tables.map(|table| self.names.normalize(table.alias.name.clone()));
        let tables: Vec<String> = tables.collect();
        if let Some(name) = tables.iter().find(|name| (self.is_there)(name)) {
            return ControlFlow::Break(Error::invalid(format!(
                "\"{name}\" is a table of WITH, and one of schema \"{0}\"; give that of WITH \
                 another name, or make the view while names without a schema lie in public (USE \
                 public) and write \"{0}\" before the names of its tables",
                self.schema
            )));
        }
        self.with.push(tables);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.with.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::Table { name, args: None, .. } = factor
            && let [ObjectNamePart::Identifier(own)] = &name.0[..]
        {
            let own = self.names.normalize(own.clone());
            if !self.with.iter().flatten().any(|table| *table == own) {
                self.qualify(name);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn text(sql: &str) -> Result<String> {
        let mut parsed = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        let Some(Statement::CreateView(view)) = parsed.pop() else { panic!("{sql}") };
        qualified(view, "a", |name| name == "there")
            .map(|view| Statement::CreateView(view).to_string())
    }

    #[test]
    fn names_get_the_schema_and_those_of_with_do_not() {
        assert_eq!(
            text("CREATE VIEW V AS SELECT * FROM t JOIN b.u ON x WHERE y IN (SELECT z FROM T)")
                .unwrap(),
            "CREATE VIEW \"a\".\"v\" AS SELECT * FROM \"a\".\"t\" JOIN b.u ON x WHERE y IN (SELECT \
             z FROM \"a\".\"t\")"
        );
        assert_eq!(
            text("CREATE VIEW b.v AS WITH c AS (SELECT * FROM t) SELECT * FROM c, range(3)")
                .unwrap(),
            "CREATE VIEW b.v AS WITH c AS (SELECT * FROM \"a\".\"t\") SELECT * FROM c, range(3)"
        );
        // Behind the query that has it.
        assert_eq!(
            text("CREATE VIEW v AS SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c) d, c")
                .unwrap(),
            "CREATE VIEW \"a\".\"v\" AS SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c) d, \
             \"a\".\"c\""
        );
        let refused = text("CREATE VIEW v AS WITH there AS (SELECT 1) SELECT * FROM there");
        assert!(refused.unwrap_err().to_string().contains("another name"));
    }
}
