//! `time_bucket(width, time [, origin])`: the beginning of the bucket in which a time lies, as
//! TimescaleDB and DuckDB have it.
//!
//! DataFusion's `date_bin` counts in nanoseconds of 64 bits: times before 1677 or after 2262 are
//! NULL to it. Here all is counted in nanoseconds of 128 bits, in which every timestamp fits.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray, PrimitiveBuilder};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use chrono::{DateTime, Datelike, Months, Utc};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;

/// Nanoseconds of a second and of a day.
const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// 2000-01-03, a Monday: where buckets of days and less are counted from, so that weeks begin on
/// Mondays.
const MONDAY: i128 = 10_959 * DAY;

/// 2000-01-01: where buckets of months and years are counted from.
const NEW_YEAR: i128 = 10_957 * DAY;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

const USAGE: &str = "write time_bucket(INTERVAL '1 hour', ts) or, with a time at which some bucket \
                     begins, time_bucket(INTERVAL '1 hour', ts, TIMESTAMP '2000-01-01 00:30:00')";

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeBucket {
    signature: Signature,
}

impl TimeBucket {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &'static str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What does not fit is refused by the type of the result, without DataFusion's list of
    /// candidates.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(argument_types(given).unwrap_or_else(|_| given.to_vec()))
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(argument_types(arguments)?.swap_remove(1))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|given| matches!(given, ColumnarValue::Scalar(_)));
        let given = ColumnarValue::values_to_arrays(&args.args)?;
        let begins = match &given[..] {
            [width, time] => begins(width, time, None)?,
            [width, time, origin] => begins(width, time, Some(origin))?,
            _ => return Err(invalid(USAGE)),
        };
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&begins, 0)?),
            false => ColumnarValue::Array(begins),
        })
    }

    /// Later times are in later buckets, as long as these are the same for all rows.
    fn output_ordering(&self, arguments: &[ExprProperties]) -> Result<SortProperties> {
        let [width, time, origin @ ..] = arguments else { return Ok(SortProperties::Unordered) };
        let is_constant = |of: &ExprProperties| of.sort_properties == SortProperties::Singleton;
        Ok(match is_constant(width) && origin.iter().all(is_constant) {
            true => time.sort_properties,
            false => SortProperties::Unordered,
        })
    }
}

fn invalid(message: impl std::fmt::Display) -> datafusion::error::DataFusionError {
    Error::invalid(format!("time_bucket: {message}")).into()
}

/// In which types arguments of these are taken: width, time, and perhaps origin.
fn argument_types(given: &[DataType]) -> Result<Vec<DataType>> {
    let (width, time, origin) = match given {
        [width, time] => (width, time, None),
        [width, time, origin] => (width, time, Some(origin)),
        _ => {
            let given = given.len();
            return Err(invalid(format!("2 or 3 arguments are expected, not {given}; {USAGE}")));
        }
    };
    let time = time_type(time)?;
    let mut types = vec![width_type(width)?, time.clone()];
    if let Some(origin) = origin {
        types.push(origin_type(origin, &time)?);
    }
    Ok(types)
}

fn width_type(given: &DataType) -> Result<DataType> {
    match given {
        DataType::Interval(_) | DataType::Null | DataType::Duration(_) => Ok(INTERVAL),
        text if text.is_string() => Ok(INTERVAL),
        other => Err(invalid(format!("the width is {other}, not an INTERVAL; {USAGE}"))),
    }
}

/// In which type buckets of times of that type are given.
fn time_type(given: &DataType) -> Result<DataType> {
    match given {
        DataType::Timestamp(..) => Ok(given.clone()),
        DataType::Date32 | DataType::Date64 => Ok(DataType::Date32),
        DataType::Null => Ok(DataType::Timestamp(TimeUnit::Nanosecond, None)),
        text if text.is_string() => Err(invalid(
            "the time is text, not a TIMESTAMP or DATE; write CAST(… AS TIMESTAMP) around it",
        )),
        other => Err(invalid(format!("the time is {other}, not a TIMESTAMP or DATE; {USAGE}"))),
    }
}

/// An origin is read in the zone of the times.
fn origin_type(given: &DataType, time: &DataType) -> Result<DataType> {
    let zone = match time {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    match given {
        DataType::Timestamp(unit, _) => Ok(DataType::Timestamp(*unit, zone)),
        DataType::Date32 | DataType::Date64 | DataType::Null => {
            Ok(DataType::Timestamp(TimeUnit::Second, zone))
        }
        other => Err(invalid(format!("the origin is {other}, not a TIMESTAMP or DATE; {USAGE}"))),
    }
}

/// The beginnings of buckets, in the type of the times.
fn begins(width: &ArrayRef, time: &ArrayRef, origin: Option<&ArrayRef>) -> Result<ArrayRef> {
    let kind = time.data_type();
    let widths: &PrimitiveArray<IntervalMonthDayNanoType> =
        width.as_primitive_opt().ok_or_else(|| invalid(USAGE))?;
    let (times, unit) = (numbers(time)?, nanoseconds(kind)?);
    let origins = match origin {
        Some(origin) => Some((numbers(origin)?, nanoseconds(origin.data_type())?)),
        None => None,
    };
    let mut begins = PrimitiveBuilder::<Int64Type>::with_capacity(times.len());
    for row in 0..times.len() {
        let has_origin = origins.as_ref().is_none_or(|(origins, _)| origins.is_valid(row));
        if !has_origin || widths.is_null(row) || times.is_null(row) {
            begins.append_null();
            continue;
        }
        let width = Width::of(widths.value(row))?;
        let time = i128::from(times.value(row)) * unit;
        let origin = match &origins {
            Some((origins, unit)) => i128::from(origins.value(row)) * unit,
            None => width.origin(),
        };
        let begin = width.begin(time, origin).map(|begin| begin.div_euclid(unit));
        match begin.and_then(|begin| i64::try_from(begin).ok()) {
            Some(begin) => begins.append_value(begin),
            None => {
                let value = times.value(row);
                return Err(invalid(format!(
                    "a bucket begins beyond what {kind} or the calendar holds (that of value \
                     {value})"
                )));
            }
        }
    }
    of_numbers(&begins.finish(), kind)
}

/// How many nanoseconds the unit of a type has.
fn nanoseconds(kind: &DataType) -> Result<i128> {
    match kind {
        DataType::Timestamp(TimeUnit::Second, _) => Ok(SECOND),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Ok(1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Ok(1),
        DataType::Date32 => Ok(DAY),
        other => Err(invalid(format!("{other} is no time; {USAGE}"))),
    }
}

/// Times as numbers of their units since 1970.
fn numbers(times: &ArrayRef) -> Result<Int64Array> {
    let numbers = match times.data_type() {
        DataType::Date32 => cast(&cast(times, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(times, &DataType::Int64)?,
    };
    Ok(numbers.as_primitive::<Int64Type>().clone())
}

/// The other way round.
fn of_numbers(numbers: &Int64Array, kind: &DataType) -> Result<ArrayRef> {
    Ok(match kind {
        DataType::Date32 => cast(&cast(numbers, &DataType::Int32)?, kind)?,
        _ => cast(numbers, kind)?,
    })
}

/// How long a bucket is: some time, or months, which differ in length.
#[derive(Debug, Clone, Copy)]
enum Width {
    Nanoseconds(i128),
    Months(i64),
}

impl Width {
    fn of(width: IntervalMonthDayNano) -> Result<Self> {
        let time = i128::from(width.days) * DAY + i128::from(width.nanoseconds);
        match (width.months, time) {
            (0, 1..) => Ok(Self::Nanoseconds(time)),
            (1.., 0) => Ok(Self::Months(width.months.into())),
            (0, _) | (_, 0) => Err(invalid(
                "the width is zero or negative; a bucket is at least a nanosecond long",
            )),
            _ => Err(invalid(
                "the width has months and days or hours; a bucket is either months (or years) \
                 long or days, hours and less",
            )),
        }
    }

    /// Where buckets begin if nothing else is said.
    fn origin(self) -> i128 {
        match self {
            Self::Nanoseconds(_) => MONDAY,
            Self::Months(_) => NEW_YEAR,
        }
    }

    /// Where the bucket of a time begins; nothing if the calendar does not reach there.
    fn begin(self, time: i128, origin: i128) -> Option<i128> {
        match self {
            Self::Nanoseconds(width) => Some(time - (time - origin).rem_euclid(width)),
            Self::Months(width) => {
                let origin = moment(origin)?;
                let months = months(moment(time)?) - months(origin);
                let months = months - months.rem_euclid(width);
                let begin = nanoseconds_of(shifted(origin, months)?);
                match begin > time {
                    // The origin is not the first moment of a month.
                    true => Some(nanoseconds_of(shifted(origin, months - width)?)),
                    false => Some(begin),
                }
            }
        }
    }
}

fn moment(time: i128) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(time.div_euclid(SECOND)).ok()?;
    DateTime::from_timestamp(seconds, u32::try_from(time.rem_euclid(SECOND)).ok()?)
}

fn nanoseconds_of(moment: DateTime<Utc>) -> i128 {
    i128::from(moment.timestamp()) * SECOND + i128::from(moment.timestamp_subsec_nanos())
}

fn months(moment: DateTime<Utc>) -> i64 {
    i64::from(moment.year()) * 12 + i64::from(moment.month0())
}

/// The moment so many months later; the last day of a month that is too short for its day.
fn shifted(moment: DateTime<Utc>, months: i64) -> Option<DateTime<Utc>> {
    let distance = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    match months < 0 {
        true => moment.checked_sub_months(distance),
        false => moment.checked_add_months(distance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buckets of times before and after the origin, found by counting instead.
    #[test]
    fn buckets_are_those_that_counting_finds() {
        for width in [1, 3, 7 * 24, 1000] {
            let width = Width::Nanoseconds(width * 3600 * SECOND);
            let mut begins = MONDAY - 2 * 1000 * 3600 * SECOND;
            let Width::Nanoseconds(nanoseconds) = width else { unreachable!() };
            begins -= (begins - MONDAY).rem_euclid(nanoseconds);
            for time in (begins..begins + 5 * nanoseconds).step_by(1_800_000_000_000) {
                if time - begins >= nanoseconds {
                    begins += nanoseconds;
                }
                assert_eq!(width.begin(time, MONDAY), Some(begins), "{time}");
            }
        }
    }
}
