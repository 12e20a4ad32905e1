//! `ARROW('…')`: the types of Arrow that SQL has no name for, by the name that Arrow prints, as in
//! `ARROW('Dictionary(Int32, Utf8)')`. Sessions install it; SHOW CREATE TABLE writes it.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::datatype::DataTypeExt;
use datafusion::error::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

use crate::error::Error;

/// Plans these types.
#[derive(Debug)]
pub(super) struct ArrowTypes;

impl TypePlanner for ArrowTypes {
    fn plan_type_field(&self, kind: &SqlType) -> Result<Option<FieldRef>> {
        let SqlType::Custom(name, modifiers) = kind else { return Ok(None) };
        if !name.to_string().eq_ignore_ascii_case("arrow") {
            return Ok(None);
        }
        let [text] = modifiers.as_slice() else {
            return Err(Error::invalid("ARROW takes the name of one type: ARROW('Int64')").into());
        };
        let kind: DataType = text
            .parse()
            .map_err(|error| Error::invalid(format!("ARROW('{text}') is no type: {error}")))?;
        Ok(Some(kind.into_nullable_field_ref()))
    }
}

/// The name of a type, if it is read as that type again.
pub(super) fn arrow_name(kind: &DataType) -> String {
    format!("ARROW('{}')", kind.to_string().replace('\'', "''"))
}
