//! The type of a column, from all of its texts.
//!
//! Each text is one kind; a column remembers the set of kinds it has seen, and the set decides.
//! Nothing is lost on the way: a column that no narrower type can hold exactly is text. (A column
//! that mixes whole and other numbers is DOUBLE, as everywhere.)

use std::borrow::Cow;

use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use chrono::{Timelike, Utc};

/// The set of kinds that a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const BOOLEAN: Self = Self(1);
    /// Fits an i64.
    pub(super) const INTEGER: Self = Self(2);
    /// A whole number that does not.
    pub(super) const HUGE: Self = Self(4);
    pub(super) const FLOAT: Self = Self(8);
    const DATE: Self = Self(16);
    /// Without an offset.
    const LOCAL_TIME: Self = Self(32);
    /// With an offset or Z.
    const ZONED_TIME: Self = Self(64);
    /// Found beside a time that has more than six digits after its second.
    const NANOSECONDS: Self = Self(128);
    pub(super) const TEXT: Self = Self(256);

    /// Adds kinds.
    pub(super) fn add(&mut self, kinds: Self) {
        self.0 |= kinds.0;
    }

    /// Whether text is in the set, which no other text can change.
    pub(super) fn is_text(self) -> bool {
        self.has(Self::TEXT)
    }

    fn has(self, kinds: Self) -> bool {
        self.0 & kinds.0 != 0
    }

    /// Whether there is something in the set, and nothing but `kinds`.
    fn only(self, kinds: &[Self]) -> bool {
        let allowed = kinds.iter().fold(0, |bits, kind| bits | kind.0);
        self.0 != 0 && self.0 & !allowed == 0
    }

    /// The type that holds all of the set exactly.
    pub(super) fn data_type(self) -> DataType {
        let unit = match self.has(Self::NANOSECONDS) {
            true => TimeUnit::Nanosecond,
            false => TimeUnit::Microsecond,
        };
        if self.only(&[Self::BOOLEAN]) {
            DataType::Boolean
        } else if self.only(&[Self::INTEGER]) {
            DataType::Int64
        } else if self.has(Self::FLOAT) && self.only(&[Self::INTEGER, Self::HUGE, Self::FLOAT]) {
            DataType::Float64
        } else if self.only(&[Self::DATE]) {
            DataType::Date32
        } else if self.only(&[Self::DATE, Self::LOCAL_TIME, Self::NANOSECONDS]) {
            DataType::Timestamp(unit, None)
        } else if self.only(&[Self::ZONED_TIME, Self::NANOSECONDS]) {
            DataType::Timestamp(unit, Some("UTC".into()))
        } else {
            DataType::Utf8
        }
    }
}

/// The kind of a text that is not empty.
pub(super) fn kind_of(text: &str) -> Kinds {
    let text = text.trim();
    match text.as_bytes() {
        [] => Kinds::TEXT,
        [b't' | b'T' | b'f' | b'F', ..] if is_boolean(text) => Kinds::BOOLEAN,
        [b'0'..=b'9', ..] if text.len() >= 10 && text.as_bytes()[4] == b'-' => time_kind(text),
        [b'0'..=b'9' | b'-' | b'.', ..] => number_kind(text),
        _ if is_special_float(text) => Kinds::FLOAT,
        _ => Kinds::TEXT,
    }
}

/// The kind of a text that is a date or time, or else text.
pub(super) fn time_kind(text: &str) -> Kinds {
    let bytes = text.as_bytes();
    if bytes.len() == 10 {
        let shaped = bytes[4] == b'-' && bytes[7] == b'-';
        let valid = shaped && Date32Type::parse(text).is_some();
        return if valid { Kinds::DATE } else { Kinds::TEXT };
    }
    let shaped = bytes.len() >= 16 && text.is_ascii() && matches!(bytes[10], b'T' | b't' | b' ');
    if !shaped || bytes[13] != b':' {
        return Kinds::TEXT;
    }
    let Ok(time) = string_to_datetime(&Utc, &with_seconds(text)) else { return Kinds::TEXT };
    let clock = &text[11..];
    // An offset, Z, or the name of a zone such as EST or Europe/Paris.
    let zoned = clock.contains(|c: char| c.is_ascii_alphabetic() || matches!(c, '+' | '-'));
    let mut kinds = if zoned { Kinds::ZONED_TIME } else { Kinds::LOCAL_TIME };
    if time.nanosecond() % 1000 != 0 {
        if time.timestamp_nanos_opt().is_none() {
            return Kinds::TEXT;
        }
        kinds.add(Kinds::NANOSECONDS);
    }
    kinds
}

/// A time with its seconds: `2013-07-04 10:15` becomes `2013-07-04 10:15:00`, which the parser
/// wants.
pub(super) fn with_seconds(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let ends_at_minutes = bytes.len() == 16
        || bytes.get(16).is_some_and(|b| matches!(b, b'Z' | b'z' | b'+' | b'-' | b' '));
    if bytes.len() >= 16 && bytes[13] == b':' && ends_at_minutes && text.is_ascii() {
        return Cow::Owned(format!("{}:00{}", &text[..16], &text[16..]));
    }
    Cow::Borrowed(text)
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

fn is_special_float(text: &str) -> bool {
    matches!(text, "NaN" | "nan" | "inf" | "Inf" | "Infinity" | "infinity")
}

/// `-?digits`, or with fraction and exponent; whole numbers without leading zeros.
fn number_kind(text: &str) -> Kinds {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if is_special_float(digits) {
        return Kinds::FLOAT;
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let empty = whole.is_empty() && fraction.is_none_or(str::is_empty);
    if leading_zero || empty || !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return Kinds::TEXT;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let valid = !exponent.is_empty() && all_digits(exponent);
        return if valid { Kinds::FLOAT } else { Kinds::TEXT };
    }
    match fraction {
        Some(_) => Kinds::FLOAT,
        None if text.parse::<i64>().is_ok() => Kinds::INTEGER,
        None => Kinds::HUGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, StringArray};
    use arrow::compute::cast;

    fn inferred(texts: &[&str]) -> DataType {
        let mut kinds = Kinds::default();
        texts.iter().for_each(|text| kinds.add(kind_of(text)));
        kinds.data_type()
    }

    const UTC_MICROS: fn() -> DataType =
        || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));

    fn samples() -> Vec<(Vec<&'static str>, DataType)> {
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        vec![
            (vec!["1", "-5", "0", "9223372036854775807", "-9223372036854775808"], DataType::Int64),
            (vec!["1", "2.5", "-0.5", ".5", "5.", "1e9", "2E-3"], DataType::Float64),
            (vec!["1.5", "NaN", "-inf", "99999999999999999999"], DataType::Float64),
            (vec!["true", "FALSE", "True"], DataType::Boolean),
            (vec!["2013-07-04", "2012-02-29"], DataType::Date32),
            (vec!["2013-01-01T06:00:00Z", "2013-01-01T06:00:00.25+02:00"], UTC_MICROS()),
            (vec!["2013-01-01 06:00Z", "2013-01-01T06:00-05:00"], UTC_MICROS()),
            (vec!["2013-01-01T06:00:00", "2013-01-01 06:00:00.5", "2013-01-01"], local.clone()),
            (vec!["2013-01-01 06:00"], local),
            (vec!["2013-01-01T06:00:00.123456789Z"], nanos),
            (vec![" 12", "13 "], DataType::Int64),
        ]
    }

    #[test]
    fn columns_get_the_narrowest_type() {
        for (texts, expected) in samples() {
            assert_eq!(inferred(&texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn whatever_is_inferred_can_be_loaded() {
        for (texts, data_type) in samples() {
            for text in texts {
                let text = with_seconds(text.trim()).into_owned();
                let array: ArrayRef = Arc::new(StringArray::from(vec![text.clone()]));
                let loaded = cast(&array, &data_type).unwrap();
                assert_eq!(loaded.null_count(), 0, "{text} as {data_type}");
            }
        }
    }

    #[test]
    fn what_a_type_would_change_stays_text() {
        for texts in [
            vec!["00123"],
            vec!["+5"],
            vec!["1", "x"],
            vec!["99999999999999999999"],
            vec!["1", "true"],
            vec!["2013-02-30"],
            vec!["2013-1-1"],
            vec!["2013-01-01T06:00:00Z", "2013-01-01T06:00:00"],
            vec!["2013-01-01", "5"],
            vec!["2013-01-01T25:00:00"],
            vec!["1,5"],
            vec!["-"],
            vec!["."],
            vec!["1e"],
            vec!["1.2.3"],
            vec!["0x10"],
            vec!["NA"],
            vec!["1234-5678-9012"],
            vec!["é123-56-78"],
            vec![],
        ] {
            assert_eq!(inferred(&texts), DataType::Utf8, "{texts:?}");
        }
    }
}
