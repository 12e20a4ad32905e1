//! An identity column: one whose values the table gives, ascending, to rows that bring none.

use arrow::datatypes::DataType;

use super::Column;
use crate::error::{Error, Result};

/// What was declared of an identity column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The id of the column.
    pub column: u32,
    /// Whether rows of INSERT may not bring values of their own.
    pub is_always: bool,
    /// The first number.
    pub start: i64,
    /// From one number to the next; above zero.
    pub increment: i64,
}

impl Identity {
    /// Where the column is among `columns`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is none of integers, or there is none.
    pub(super) fn check(&self, table: &str, columns: &[Column]) -> Result<usize> {
        let place = columns.iter().position(|column| column.id == self.column);
        let Some(place) = place else {
            return Err(Error::invalid(format!(
                "the identity column of table \"{table}\" is gone"
            )));
        };
        let field = &columns[place].field;
        let name = field.name();
        if !holds_numbers(field.data_type()) {
            return Err(Error::invalid(format!(
                "identity column \"{name}\" of table \"{table}\" is of type {}; SMALLINT, INT and \
                 BIGINT can be one",
                field.data_type()
            )));
        }
        if self.increment <= 0 {
            return Err(Error::invalid(format!(
                "identity column \"{name}\" of table \"{table}\": INCREMENT is {}, and numbers \
                 ascend; 1 or more is expected",
                self.increment
            )));
        }
        Ok(place)
    }
}

fn holds_numbers(kind: &DataType) -> bool {
    kind.is_integer()
}
