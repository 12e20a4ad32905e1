//! The transaction that a session has open, if any.
//!
//! Shared by the clones of a session, its catalog and its analyzer rules; a plain context has none.
//! Statements that are planned take it with them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::storage::engine::{Transaction, Within};

/// Where the open transaction of a session is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct CurrentTransaction(Arc<Mutex<Option<Arc<Transaction>>>>);

impl CurrentTransaction {
    /// What statements belong to that are planned now.
    pub(super) fn get(&self) -> Within {
        Within(self.lock().clone())
    }

    /// Opens one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if one is open.
    pub(super) fn open(&self, transaction: Arc<Transaction>) -> Result<()> {
        let mut open = self.lock();
        match *open {
            Some(_) => Err(Error::invalid(
                "a transaction is open already; COMMIT or ROLLBACK ends it, SAVEPOINT begins a \
                 part of it",
            )),
            None => {
                *open = Some(transaction);
                Ok(())
            }
        }
    }

    /// The open one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if none is open.
    pub(super) fn require(&self) -> Result<Arc<Transaction>> {
        self.lock().clone().ok_or_else(none_open)
    }

    /// Takes the open one, so that none is.
    pub(super) fn take(&self) -> Result<Arc<Transaction>> {
        self.lock().take().ok_or_else(none_open)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Transaction>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn none_open() -> Error {
    Error::invalid("no transaction is open; BEGIN opens one")
}
