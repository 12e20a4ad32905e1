//! Values of the rows that come first or last by something else: `first(value, time)` and
//! `last(value, time)` as TimescaleDB has them, `arg_min`, `arg_max`, `min_by` and `max_by` as
//! DuckDB has them.
//!
//! Rows for which it is not known where they come do not count; the functions of DuckDB pass over
//! rows without a value too. As aggregates they become DataFusion's `first_value` with an order,
//! which has a fast way for many groups; over windows they are computed here.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_comparator, new_empty_array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Expr, Signature, SortExpr, Volatility,
};

use super::sliding_extreme::SlidingExtreme;
use crate::error::Error;

/// What a function looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// The row that comes last.
    is_last: bool,
    /// Only among rows that have a value.
    has_value: bool,
}

impl Wanted {
    /// Whether a row is to be preferred to one before it, of which the order is known.
    pub(super) fn prefers(self, order: Ordering) -> bool {
        order == if self.is_last { Ordering::Greater } else { Ordering::Less }
    }

    /// The rows that count.
    pub(super) fn rows(self, value: &ArrayRef, by: &ArrayRef) -> impl Iterator<Item = usize> {
        let values = if self.has_value { value.logical_nulls() } else { None };
        let places = by.logical_nulls();
        (0..by.len()).filter(move |&row| {
            values.as_ref().is_none_or(|nulls| nulls.is_valid(row))
                && places.as_ref().is_none_or(|nulls| nulls.is_valid(row))
        })
    }
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Extreme {
    name: &'static str,
    wanted: Wanted,
    signature: Signature,
}

impl Extreme {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let functions = [
            ("first", false, false),
            ("last", true, false),
            ("arg_min", false, true),
            ("min_by", false, true),
            ("arg_max", true, true),
            ("max_by", true, true),
        ];
        functions.into_iter().map(|(name, is_last, has_value)| Self {
            name,
            wanted: Wanted { is_last, has_value },
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }

    fn invalid(&self, message: impl std::fmt::Display) -> DataFusionError {
        Error::invalid(format!("{}: {message}", self.name)).into()
    }

    fn misused(&self, given: usize) -> DataFusionError {
        let name = self.name;
        let instead = match (self.wanted.has_value, self.wanted.is_last) {
            (true, _) => "",
            (false, false) => ", or first_value(value ORDER BY …)",
            (false, true) => ", or last_value(value ORDER BY …)",
        };
        self.invalid(format!(
            "2 arguments are expected, not {given}; write {name}(value, time){instead}"
        ))
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What does not fit is refused by the type of the result, without DataFusion's list of
    /// candidates.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let [value, by] = given else { return Err(self.misused(given.len())) };
        let none = new_empty_array(by);
        if make_comparator(&none, &none, SortOptions::default()).is_err() {
            return Err(self.invalid(format!(
                "the second argument says which row comes first, but {by} has no order"
            )));
        }
        Ok(value.clone())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let [value, by] = args.input_fields else {
            return Err(self.misused(args.input_fields.len()));
        };
        let named = |name, of: &FieldRef| {
            Arc::new(Field::new(format_state_name(args.name, name), of.data_type().clone(), true))
        };
        Ok(vec![named("value", value), named("by", by)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let [value, by] = args.expr_fields else {
            return Err(self.misused(args.expr_fields.len()));
        };
        Ok(Box::new(ExtremeSoFar {
            value: ScalarValue::try_from(value.data_type())?,
            by: ScalarValue::try_from(by.data_type())?,
            wanted: self.wanted,
        }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let none = ScalarValue::try_from(args.return_field.data_type())?;
        Ok(Box::new(SlidingExtreme::new(self.wanted, none)))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let wanted = self.wanted;
        Some(Box::new(move |call, _| as_first_value(wanted, call)))
    }
}

/// The same by DataFusion's own function. What else the call orders by decides between equals.
fn as_first_value(wanted: Wanted, mut call: AggregateFunction) -> Result<Expr> {
    let (Some(by), Some(value)) = (call.params.args.pop(), call.params.args.pop()) else {
        return Err(Error::invalid("2 arguments are expected: a value and a time").into());
    };
    let mut counts = by.clone().is_not_null();
    if wanted.has_value {
        counts = counts.and(value.clone().is_not_null());
    }
    let AggregateFunctionParams { filter, order_by, null_treatment, .. } = call.params;
    let filter = match filter {
        Some(given) => given.and(counts),
        None => counts,
    };
    let order = std::iter::once(SortExpr::new(by, !wanted.is_last, false)).chain(order_by);
    Ok(Expr::AggregateFunction(AggregateFunction::new_udf(
        first_value_udaf(),
        vec![value],
        false,
        Some(Box::new(filter)),
        order.collect(),
        null_treatment,
    )))
}

/// The row wanted among those seen, of which the earliest wins among equals; none while `by` is
/// NULL.
#[derive(Debug)]
struct ExtremeSoFar {
    value: ScalarValue,
    by: ScalarValue,
    wanted: Wanted,
}

impl Accumulator for ExtremeSoFar {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [value, by, ..] = columns else { return Ok(()) };
        let compare = make_comparator(by, by, SortOptions::default())?;
        let better = |best, row| if self.wanted.prefers(compare(row, best)) { row } else { best };
        let Some(row) = self.wanted.rows(value, by).reduce(better) else { return Ok(()) };
        let found = ScalarValue::try_from_array(by, row)?;
        if self.by.is_null() || self.wanted.prefers(found.try_cmp(&self.by)?) {
            self.by = found.compacted();
            self.value = ScalarValue::try_from_array(value, row)?.compacted();
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), self.by.clone()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.value.size() + self.by.size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    fn over(name: &str, rows: &[(Option<i64>, Option<i64>)]) -> ExtremeSoFar {
        let wanted = Extreme::all().find(|function| function.name == name).map(|f| f.wanted);
        let none = ScalarValue::Int64(None);
        let mut found =
            ExtremeSoFar { value: none.clone(), by: none, wanted: wanted.expect("a function") };
        let value: Int64Array = rows.iter().map(|(value, _)| *value).collect();
        let by: Int64Array = rows.iter().map(|(_, by)| *by).collect();
        found.update_batch(&[Arc::new(value), Arc::new(by)]).expect("rows of numbers");
        found
    }

    #[test]
    fn parts_make_the_whole() {
        let rows = [
            (None, Some(1)),
            (Some(10), Some(3)),
            (Some(20), None),
            (Some(30), Some(3)),
            (None, Some(9)),
        ];
        let expected =
            [("first", None), ("last", None), ("arg_min", Some(10)), ("max_by", Some(10))];
        for (name, answer) in expected {
            for cut in 0..=rows.len() {
                let mut whole = over(name, &rows[..cut]);
                let state = over(name, &rows[cut..]).state().expect("a state");
                let state = state.iter().map(|value| value.to_array().expect("a value"));
                whole.merge_batch(&state.collect::<Vec<_>>()).expect("a state");
                let found = whole.evaluate().expect("an answer");
                assert_eq!(found, ScalarValue::Int64(answer), "{name}, cut at {cut}");
            }
        }
    }
}
