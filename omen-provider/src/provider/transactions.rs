//! BEGIN, COMMIT, ROLLBACK and savepoints, in a session.
//!
//! A transaction sees the database as it was when it began, and what it has written itself
//! (snapshot isolation). Called by [`super::session`]; the work is the engine's.

use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::{
    Statement, TransactionAccessMode as Access, TransactionIsolationLevel as Level,
    TransactionMode, TransactionModifier as Modifier,
};

use super::edit_statements::normalizer;
use super::session::Session;
use crate::error::Error;

/// Carries out a statement about transactions; false if it is none.
pub(super) async fn carry_out(session: &Session, statement: &Statement) -> Result<bool> {
    let names = normalizer(session);
    match statement {
        Statement::StartTransaction { modes, statements, exception, modifier, .. } => {
            if !statements.is_empty() || exception.is_some() {
                return Err(Error::invalid("BEGIN is a statement of its own; end it with ;").into());
            }
            modes.iter().try_for_each(check_mode)?;
            if let Some(modifier) = modifier.as_ref().filter(|m| **m != Modifier::Deferred) {
                return Err(Error::invalid(format!(
                    "BEGIN {modifier} is not supported: transactions lock nothing, and of two that \
                     write one row the first to commit wins"
                ))
                .into());
            }
            let is_read_only = modes.contains(&TransactionMode::AccessMode(Access::ReadOnly));
            let transaction = session.handle().engine().begin(is_read_only)?;
            session.current().open(transaction)?;
        }
        Statement::Commit { chain: false, .. } => session.current().take()?.commit().await?,
        Statement::Rollback { chain: false, savepoint: None } => {
            session.current().take()?.rollback()?;
        }
        Statement::Rollback { chain: false, savepoint: Some(name) } => {
            session.current().require()?.rollback_to(&names.normalize(name.clone()))?;
        }
        Statement::Commit { .. } | Statement::Rollback { .. } => {
            return Err(Error::invalid("AND CHAIN is not supported; write BEGIN afterwards").into());
        }
        Statement::Savepoint { name } => {
            session.current().require()?.savepoint(names.normalize(name.clone()))?;
        }
        Statement::ReleaseSavepoint { name } => {
            session.current().require()?.release(&names.normalize(name.clone()))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether a statement is about transactions.
pub(super) fn is_one(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. }
    )
}

/// Refuses what is promised by no transaction here.
fn check_mode(mode: &TransactionMode) -> Result<()> {
    match mode {
        TransactionMode::IsolationLevel(Level::Serializable) => Err(Error::invalid(
            "ISOLATION LEVEL SERIALIZABLE is not supported; transactions have snapshot isolation \
             (REPEATABLE READ), in which two of them may each write what the other one has read",
        )
        .into()),
        TransactionMode::IsolationLevel(_) | TransactionMode::AccessMode(_) => Ok(()),
    }
}
