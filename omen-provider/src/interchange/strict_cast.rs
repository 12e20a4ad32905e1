//! Values of a file in the type of a column, or an error: never another value, never a NULL.

use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::DataType;

use crate::error::{Error, Result};

/// Casts strictly.
///
/// # Errors
/// [`Error::Arrow`] or [`Error::InvalidInput`] for values that the type does not hold.
pub(super) fn strict_cast(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let from = values.data_type();
    if from == to {
        return Ok(values.clone());
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(values, to, &strict)?;
    // Text that has the form of the type loses nothing; a number may lose its fraction.
    if from.is_primitive() && to.is_primitive() && can_cast_types(to, from) {
        let back = cast_with_options(&cast, from, &strict)?;
        let differing = distinct(&back, values)?;
        if let Some(row) = differing.values().set_indices().next() {
            let value = arrow::util::display::array_value_to_string(values, row)?;
            return Err(Error::invalid(format!("{to} does not hold the {from} {value}")));
        }
    }
    Ok(cast)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};

    use super::*;

    #[test]
    fn no_value_becomes_another() {
        let halves: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(1.5)]));
        let whole = halves.slice(0, 2);
        assert_eq!(strict_cast(&whole, &DataType::Int64).unwrap().null_count(), 1);
        let error = strict_cast(&halves, &DataType::Int64).unwrap_err().to_string();
        assert!(error.contains("1.5"), "{error}");
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1", "abc"]));
        assert!(strict_cast(&text, &DataType::Int64).is_err());
        let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 2.5]));
        assert!(strict_cast(&nan, &DataType::Float32).is_ok());
    }
}
