//! The axis of keys: where each lies, and labels in the key's own terms.
//!
//! Keys of one column that are numbers or times lie by their value. Others (text, several columns)
//! lie by the number that the index sees of them, which is what it has to predict from, and the
//! labels are keys of the sample.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use omen_provider::IndexSample;

use super::calendar::{self, DAY, Shown};
use super::frame::Frame;
use super::scale::{Tick, fraction, grouped, multiples, round_step, round_step_real};
use super::svg::shortened;

/// Labels of an axis at most.
const TICKS_MAX: u32 = 7;
/// Letters of a label that is a key.
const KEY_LETTERS_MAX: usize = 30;

/// Where keys lie on the axis.
#[derive(Debug)]
pub(super) struct KeyAxis {
    /// Of each key of the sample, between 0 and 1.
    pub(super) places: Vec<f64>,
    pub(super) ticks: Vec<Tick>,
    pub(super) title: String,
}

/// The keys as what they are laid out by.
enum Values {
    /// Whole numbers, with so many decimals behind their point.
    Whole(Vec<i128>, i32),
    Real(Vec<f64>),
    /// Nanoseconds.
    Times(Vec<i128>, Shown),
    /// What the index sees.
    Seen,
}

impl KeyAxis {
    /// The axis for a sample of keys of the columns `names`, in `frame`.
    pub(super) fn new(sample: &IndexSample, names: &[String], frame: &Frame) -> Self {
        let key = match names {
            [] => "row id (the table has no primary key)".to_string(),
            [name] => shortened(name, 40),
            names => shortened(&format!("({})", names.join(", ")), 60),
        };
        let values = values(&sample.columns);
        let detail = match (&values, sample.columns.first().map(|array| array.data_type())) {
            (Values::Seen, _) => {
                " – by the first 8 bytes behind those that all keys share, as the index sees it"
            }
            (_, Some(DataType::Timestamp(_, Some(_)))) => " (UTC)",
            (_, Some(DataType::Duration(unit))) => match unit {
                TimeUnit::Second => " (seconds)",
                TimeUnit::Millisecond => " (milliseconds)",
                TimeUnit::Microsecond => " (microseconds)",
                TimeUnit::Nanosecond => " (nanoseconds)",
            },
            _ => "",
        };
        let (places, ticks) = match &values {
            Values::Whole(values, scale) => {
                let ticks = fitting(frame, |n| whole_ticks(values, *scale, n));
                (whole_places(values), or_ends(ticks, sample))
            }
            Values::Times(times, shown) => {
                let (min, max) = ends(times);
                let ticks = fitting(frame, |n| calendar::ticks(min, max, n, *shown));
                (whole_places(times), or_ends(ticks, sample))
            }
            Values::Real(values) => {
                let (places, ticks) = real_axis(values, frame);
                (places, or_ends(ticks, sample))
            }
            Values::Seen => {
                let places = seen_places(sample);
                let ticks = seen_ticks(sample, &places, frame);
                (places, ticks)
            }
        };
        Self { places, ticks, title: format!("{key}{detail}") }
    }
}

/// Key `index` of a sample, as text.
pub(super) fn key_text(sample: &IndexSample, index: usize) -> String {
    let text = |array: &ArrayRef| -> Option<String> {
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(array.as_ref(), &options).ok()?;
        formatter.value(index).try_to_string().ok()
    };
    let values: Vec<String> =
        sample.columns.iter().map(|array| text(array).unwrap_or_default()).collect();
    values.join(", ")
}

fn values(columns: &[ArrayRef]) -> Values {
    match columns {
        [array] => values_of(array).unwrap_or(Values::Seen),
        _ => Values::Seen,
    }
}

fn values_of(array: &ArrayRef) -> Result<Values, ArrowError> {
    use DataType::*;
    let whole = |array: &ArrayRef| -> Result<Vec<i128>, ArrowError> {
        let array = cast(array, &Int64)?;
        Ok(array.as_primitive::<Int64Type>().values().iter().map(|v| i128::from(*v)).collect())
    };
    let times = |unit: i128, shown| -> Result<Values, ArrowError> {
        // Half of the types cast to one width only, all of them by way of the other.
        let array = if array.data_type().primitive_width() == Some(4) {
            cast(array, &Int32)?
        } else {
            ArrayRef::clone(array)
        };
        Ok(Values::Times(whole(&array)?.into_iter().map(|value| value * unit).collect(), shown))
    };
    Ok(match array.data_type() {
        Dictionary(_, values) => return values_of(&cast(array, values)?),
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Duration(_) => {
            Values::Whole(whole(array)?, 0)
        }
        UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values();
            Values::Whole(values.iter().map(|value| i128::from(*value)).collect(), 0)
        }
        Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) => {
            let array = cast(array, &Decimal128(38, *scale))?;
            let values = array.as_primitive::<Decimal128Type>().values().to_vec();
            Values::Whole(values, i32::from(*scale))
        }
        Float16 | Float32 | Float64 | Decimal256(..) => {
            let array = cast(array, &Float64)?;
            Values::Real(array.as_primitive::<Float64Type>().values().to_vec())
        }
        Date32 => times(DAY, Shown::Date)?,
        Date64 => times(nanoseconds(&TimeUnit::Millisecond), Shown::Date)?,
        Time32(unit) | Time64(unit) => times(nanoseconds(unit), Shown::TimeOfDay)?,
        Timestamp(unit, _) => times(nanoseconds(unit), Shown::Moment)?,
        _ => Values::Seen,
    })
}

fn nanoseconds(unit: &TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// As many ticks as fit.
fn fitting(frame: &Frame, ticks: impl Fn(u32) -> Vec<Tick>) -> Vec<Tick> {
    let most_first = (1..=TICKS_MAX).rev().map(ticks);
    let mut fewer = most_first.skip_while(|ticks| !frame.fit(ticks));
    fewer.next().unwrap_or_default()
}

/// The ticks; the first and the last key if there are too few.
fn or_ends(ticks: Vec<Tick>, sample: &IndexSample) -> Vec<Tick> {
    let last = sample.entries.len().saturating_sub(1);
    let tick = |at, index| Tick { at, label: shortened(&key_text(sample, index), KEY_LETTERS_MAX) };
    match (ticks.len(), last) {
        (0, 0) if !sample.entries.is_empty() => vec![tick(0.5, 0)],
        (0 | 1, 1..) => vec![tick(0.0, 0), tick(1.0, last)],
        _ => ticks,
    }
}

fn ends(values: &[i128]) -> (i128, i128) {
    let (first, last) = (values.first(), values.last());
    (first.copied().unwrap_or(0), last.copied().unwrap_or(0))
}

fn whole_places(values: &[i128]) -> Vec<f64> {
    let (min, max) = ends(values);
    values.iter().map(|value| fraction(min, max, *value)).collect()
}

fn whole_ticks(values: &[i128], scale: i32, parts: u32) -> Vec<Tick> {
    let (min, max) = ends(values);
    let step = round_step(max.saturating_sub(min).unsigned_abs(), parts);
    let decimals = scale - step.ilog10() as i32;
    let tick = |value| Tick {
        at: fraction(min, max, value),
        label: with_point(value, scale, decimals.max(0) as usize),
    };
    multiples(min, max, step).into_iter().map(tick).collect()
}

/// A number of `10^-scale`s with some decimals.
fn with_point(value: i128, scale: i32, decimals: usize) -> String {
    let Some(unit) = 10_i128.checked_pow(scale.unsigned_abs()) else { return value.to_string() };
    if scale <= 0 {
        return value.checked_mul(unit).map_or_else(|| value.to_string(), grouped);
    }
    let rest = format!("{:0width$}", (value % unit).unsigned_abs(), width = scale as usize);
    let sign = if value < 0 && value / unit == 0 { "−" } else { "" };
    match rest.get(..decimals) {
        Some("") | None => grouped(value / unit),
        Some(rest) => format!("{sign}{}.{rest}", grouped(value / unit)),
    }
}

/// Places and ticks of numbers with a fraction; infinite ones lie at the ends.
fn real_axis(values: &[f64], frame: &Frame) -> (Vec<f64>, Vec<Tick>) {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let first = finite().next().unwrap_or(0.0);
    let last = finite().next_back().unwrap_or(0.0);
    // Halved, so that the span of the largest numbers is a number.
    let (min, max) = (first / 2.0, last / 2.0);
    let span = max - min;
    let place = |value: f64| match span > 0.0 {
        true => ((value / 2.0 - min) / span).clamp(0.0, 1.0),
        false => 0.5,
    };
    let ticks = |parts| {
        let Some((step, decimals)) = round_step_real(span * 2.0, parts) else { return Vec::new() };
        let first = (min * 2.0 / step).ceil();
        let values = (0..=parts + 1).map(|i| (first + f64::from(i)) * step);
        let inside = values.filter(|value| value / 2.0 <= max + span * 1e-9);
        let label = |value: f64| real_label(value, step, decimals);
        inside.map(|value| Tick { at: place(value), label: label(value) }).collect()
    };
    (values.iter().map(|value| place(*value)).collect(), fitting(frame, ticks))
}

fn real_label(value: f64, step: f64, decimals: usize) -> String {
    if value.abs() < step / 2.0 {
        return "0".to_string();
    }
    if value.abs() >= 1e12 || step < 1e-6 {
        return format!("{value:.3e}").replace('-', "−");
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let sign = if value < 0.0 { "−" } else { "" };
    let whole = whole.parse::<i128>().map_or_else(|_| whole.to_string(), grouped);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{rest}")
}

fn seen_places(sample: &IndexSample) -> Vec<f64> {
    let numbers: Vec<i128> = sample.entries.iter().map(|key| i128::from(key.number)).collect();
    whole_places(&numbers)
}

/// The first and the last key, and those nearest to even places between, as many as fit.
fn seen_ticks(sample: &IndexSample, places: &[f64], frame: &Frame) -> Vec<Tick> {
    let last = places.len().saturating_sub(1);
    let nearest = |wanted: f64| {
        let after = places.partition_point(|place| *place < wanted).min(last);
        let before = after.saturating_sub(1);
        match places.get(after).zip(places.get(before)) {
            Some((above, below)) if wanted - below < above - wanted => before,
            _ => after,
        }
    };
    let ticks = |parts: u32, letters: usize| {
        let mut chosen: Vec<usize> =
            (0..=parts).map(|i| nearest(f64::from(i) / f64::from(parts))).collect();
        chosen.dedup();
        let tick = |index: usize| {
            Some(Tick { at: *places.get(index)?, label: key_label(sample, index, letters) })
        };
        chosen.into_iter().filter_map(tick).collect::<Vec<_>>()
    };
    let letters = [KEY_LETTERS_MAX, 24, 18, 14];
    let mut tries = (1..=TICKS_MAX).rev().flat_map(|n| letters.map(|letters| ticks(n, letters)));
    tries.find(|ticks| frame.fit(ticks)).unwrap_or_default()
}

/// Key `index`, shortened; what all keys begin with is left out if that is much.
fn key_label(sample: &IndexSample, index: usize, letters_max: usize) -> String {
    const MUCH: usize = 8;
    let last = sample.entries.len().saturating_sub(1);
    let (first, last) = (key_text(sample, 0), key_text(sample, last));
    let shared = first.chars().zip(last.chars()).take_while(|(a, b)| a == b).count();
    let text = key_text(sample, index);
    match shared {
        MUCH.. if first != last => shortened(
            &['…'].into_iter().chain(text.chars().skip(shared)).collect::<String>(),
            letters_max,
        ),
        _ => shortened(&text, letters_max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_point() {
        assert_eq!(with_point(123_450, 2, 1), "1,234.5");
        assert_eq!(with_point(-5, 2, 2), "−0.05");
        assert_eq!(with_point(-12_345, 2, 2), "−123.45");
        assert_eq!(with_point(12, -3, 0), "12,000");
        assert_eq!(with_point(700, 2, 0), "7");
    }

    #[test]
    fn floats_are_labelled_roundly() {
        assert_eq!(real_label(0.30000000000000004, 0.1, 1), "0.3");
        assert_eq!(real_label(-1_234_567.5, 0.5, 1), "−1,234,567.5");
        assert_eq!(real_label(2e300, 1e300, 0), "2.000e300");
        assert_eq!(real_label(1e-17, 0.1, 1), "0");
    }

    #[test]
    fn infinite_and_extreme_floats_have_places() {
        let frame = Frame { left: 0.0, top: 0.0, width: 500.0, height: 100.0 };
        let values = [f64::NEG_INFINITY, f64::MIN, 0.0, f64::MAX, f64::INFINITY];
        let (places, ticks) = real_axis(&values, &frame);
        assert_eq!(places, [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert!(ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.at)), "{ticks:?}");
        assert_eq!(real_axis(&[7.5], &frame).0, [0.5]);
    }
}
