//! IMPORT DATABASE: what [`super::export`] wrote, or DuckDB, becomes tables and views here, all of
//! them or none. Called by [`super::session`].

use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::Statement as PlainStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::copy_from::plan_copy_from;
use super::copy_to::refuse_remote;
use super::export::{LOAD_FILE, SCHEMA_FILE, beside, blocking};
use super::own_files::refuse_own_path;
use super::session::Session;
use super::statement::{Parsed, Statement};
use super::views;
use crate::error::Error;
use crate::interchange::{Place, read_text};

/// The savepoint to which an import in a transaction falls back.
const SAVEPOINT: &str = "\u{1}import";

/// Carries out an IMPORT DATABASE.
pub(super) async fn import(session: &Session, folder: &str) -> Result<()> {
    refuse_remote(folder)?;
    refuse_own_path(session.handle().engine().location(), folder)?;
    let (schema, load) = (beside(folder, SCHEMA_FILE), beside(folder, LOAD_FILE));
    let texts = blocking(move || Ok([read_text(&schema)?, read_text(&load)?])).await?;
    let mut statements = Vec::new();
    for (text, file) in texts.iter().zip([SCHEMA_FILE, LOAD_FILE]) {
        for text in split(text)? {
            statements.push(checked(session, &text, file, folder)?);
        }
    }
    let current = session.current();
    match current.get().0 {
        Some(transaction) => {
            transaction.savepoint(SAVEPOINT.to_string())?;
            let outcome = carry_out(session, statements).await;
            if outcome.is_err() {
                transaction.rollback_to(SAVEPOINT)?;
            }
            transaction.release(SAVEPOINT)?;
            outcome
        }
        None => {
            current.open(session.handle().engine().begin(false)?)?;
            let outcome = carry_out(session, statements).await;
            let transaction = current.take()?;
            match outcome {
                Ok(()) => Ok(transaction.commit().await?),
                Err(error) => {
                    transaction.rollback()?;
                    Err(error)
                }
            }
        }
    }
}

async fn carry_out(session: &Session, statements: Vec<Statement>) -> Result<()> {
    for statement in statements {
        let frame = match statement.0 {
            Parsed::Plain(statement) => Box::pin(session.plan(*statement)).await?,
            Parsed::Copy(copy) => Box::pin(plan_copy_from(session, *copy)).await?,
            Parsed::Export(..) | Parsed::Import(_) | Parsed::Pragma(_) => continue,
        };
        frame.collect().await?;
    }
    Ok(())
}

/// The statements of a script, as text.
fn split(script: &str) -> Result<Vec<String>> {
    // As it is written: each is parsed by itself later.
    let tokens = Tokenizer::new(&GenericDialect {}, script).with_unescape(false).tokenize();
    let tokens = tokens.map_err(|error| DataFusionError::SQL(Box::new(error.into()), None))?;
    let statements = tokens.split(|token| *token == Token::SemiColon);
    let is_blank = |tokens: &&[Token]| tokens.iter().all(|t| matches!(t, Token::Whitespace(_)));
    let text = |tokens: &[Token]| tokens.iter().map(ToString::to_string).collect::<String>();
    Ok(statements.filter(|tokens| !is_blank(tokens)).map(text).collect())
}

/// A statement that an import may have, with the places of files beside the script.
fn checked(session: &Session, text: &str, file: &str, folder: &str) -> Result<Statement> {
    let mut statement = session.parse(text)?;
    let is_expected = match &mut statement.0 {
        Parsed::Plain(plain) => match plain.as_ref() {
            PlainStatement::Statement(plain) => match plain.as_ref() {
                SqlStatement::CreateTable(table) => !table.temporary,
                SqlStatement::CreateIndex(_)
                | SqlStatement::CreateSchema { .. }
                | SqlStatement::Comment { .. } => true,
                plain => views::of_database(plain).is_some(),
            },
            _ => false,
        },
        Parsed::Copy(copy) if copy.is_from => match &mut copy.place {
            Place::Path(path) => {
                *path = beside(folder, path);
                true
            }
            Place::Standard => false,
        },
        _ => false,
    };
    match is_expected {
        true => Ok(statement),
        false => Err(Error::invalid(format!(
            "{file} may have CREATE SCHEMA, CREATE TABLE, CREATE INDEX, CREATE VIEW, COMMENT ON \
             and COPY … FROM a file; found: {text}"
        ))
        .into()),
    }
}
