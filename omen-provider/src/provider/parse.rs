//! From text to a statement: DataFusion's parser, within bounds, after our own for what it does not
//! know (COPY and its kin, PRAGMA).

use datafusion::error::Result;
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::dialect::dialect_from_str;

use super::copy_syntax;
use super::introspection::pragma;
use super::sequence_options;
use super::session::Session;
use super::statement::{Parsed, Statement};
use crate::error::Error;
use crate::expression::guard;

impl Session {
    /// Parses one SQL statement, for [`Session::execute`].
    ///
    /// # Errors
    /// DataFusion's; [`Error::InvalidInput`] if the text is too long, or nests so deep that the
    /// stack of a thread may not do to carry it out.
    pub fn parse(&self, sql: &str) -> Result<Statement> {
        let state = self.context().state();
        let options = &state.config_options().sql_parser;
        let tokens = match dialect_from_str(options.dialect) {
            Some(dialect) => guard::tokens(sql, dialect.as_ref())?.map(|tokens| (dialect, tokens)),
            None => None,
        };
        let Some((dialect, tokens)) = tokens else {
            // Has an error that DataFusion explains.
            return state.sql_to_statement(sql, &options.dialect).map(Statement::from);
        };
        let tokens = sequence_options::ordered(tokens);
        let parser = |tokens| {
            DFParserBuilder::new(tokens)
                .with_dialect(dialect.as_ref())
                .with_recursion_limit(options.recursion_limit.get())
        };
        if pragma::is_one(&tokens) {
            let parser = parser(tokens);
            let parsed = guard::with_stack(|| pragma::parse(&mut parser.build()?.parser));
            let asked = parsed.map_err(|error| guard::explained(error, options))?;
            return Ok(Statement(Parsed::Pragma(asked)));
        }
        let mut own = None;
        if copy_syntax::is_own(&tokens) {
            let parser = parser(tokens.clone());
            let parsed = guard::with_stack(|| copy_syntax::parse(&mut parser.build()?.parser));
            let parsed = parsed.map_err(|error| guard::explained(error, options))?;
            if !parsed.is_left_to_datafusion() {
                return Ok(parsed);
            }
            own = Some(parsed);
        }
        let parsed = guard::with_stack(|| parser(tokens).build()?.parse_statements());
        if let (Some(own), Err(_)) = (own, &parsed) {
            // Not in DataFusion's words: it says why not.
            return Ok(own);
        }
        let mut statements = parsed.map_err(|error| guard::explained(error, options))?;
        match (statements.pop_front(), statements.len()) {
            (Some(statement), 0) => Ok(statement.into()),
            (None, _) => Err(Error::invalid("a text without a statement").into()),
            (Some(_), more) => {
                let count = more + 1;
                Err(Error::invalid(format!("{count} statements; one at a time is expected")).into())
            }
        }
    }
}
