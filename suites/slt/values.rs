//! Values as DataFusion's scripts write them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::ColumnType;

/// What a script says of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Date,
    Integer,
    Timestamp,
    Number,
    Text,
    Other,
}

impl ColumnType for Kind {
    fn from_char(value: char) -> Option<Self> {
        Some(match value {
            'B' => Self::Boolean,
            'D' => Self::Date,
            'I' => Self::Integer,
            'P' => Self::Timestamp,
            'R' => Self::Number,
            'T' => Self::Text,
            _ => Self::Other,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Boolean => 'B',
            Self::Date => 'D',
            Self::Integer => 'I',
            Self::Timestamp => 'P',
            Self::Number => 'R',
            Self::Text => 'T',
            Self::Other => '?',
        }
    }
}

impl Kind {
    pub fn of(data_type: &DataType) -> Self {
        use DataType as D;
        match data_type {
            D::Boolean => Self::Boolean,
            D::Date32 | D::Date64 | D::Time32(_) | D::Time64(_) => Self::Date,
            D::Timestamp(..) => Self::Timestamp,
            D::Utf8 | D::LargeUtf8 | D::Utf8View => Self::Text,
            D::Dictionary(_, values) if Self::of(values) == Self::Text => Self::Text,
            kind if kind.is_integer() => Self::Integer,
            kind if kind.is_floating() || kind.is_decimal() => Self::Number,
            _ => Self::Other,
        }
    }
}

/// The rows of a batch. A last cell of several lines, a plan, becomes a row for each.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Vec<String>>, ArrowError> {
    let mut rows = Vec::new();
    for row in 0..batch.num_rows() {
        let cells = batch.columns().iter().map(|column| cell(column, row));
        let mut cells: Vec<String> = cells.collect::<Result<_, _>>()?;
        match cells.last() {
            Some(last) if last.contains('\n') => {
                let lines: Vec<_> = last.lines().enumerate().map(numbered).collect();
                cells.pop();
                rows.push(cells);
                rows.extend(lines);
            }
            _ => rows.push(cells),
        }
    }
    Ok(rows)
}

fn numbered((index, line): (usize, &str)) -> Vec<String> {
    let text = line.trim_start();
    vec![format!("{:02}){}{text}", index + 1, "-".repeat(line.len() - text.len()))]
}

fn cell(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    if column.is_null(row) {
        return Ok("NULL".to_string());
    }
    Ok(match column.data_type() {
        DataType::Float16 => number(column.as_primitive::<Float16Type>().value(row).to_string()),
        DataType::Float32 => number(column.as_primitive::<Float32Type>().value(row).to_string()),
        DataType::Float64 => number(column.as_primitive::<Float64Type>().value(row).to_string()),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            cell(dictionary.values(), dictionary.normalized_keys()[row])?
        }
        kind => {
            let options = FormatOptions::default().with_null("NULL");
            let text = ArrayFormatter::try_new(column, &options)?.value(row).to_string();
            match kind {
                kind if kind.is_decimal() => trimmed(&text),
                kind if Kind::of(kind) == Kind::Text && text.is_empty() => "(empty)".to_string(),
                kind if Kind::of(kind) == Kind::Text => {
                    text.trim_end_matches('\n').replace('\0', "\\0")
                }
                _ => text,
            }
        }
    })
}

/// A float with at most 12 places.
fn number(text: String) -> String {
    match text.as_str() {
        "NaN" => text,
        "inf" => "Infinity".to_string(),
        "-inf" => "-Infinity".to_string(),
        // The shortest text that is the float: digits and a point.
        _ => trimmed(&rounded(&text, 12)),
    }
}

/// Decimal digits rounded to so many places, half to even.
fn rounded(text: &str, places: usize) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let Some((whole, fraction)) = digits.split_once('.') else { return text.to_string() };
    if fraction.len() <= places {
        return text.to_string();
    }
    let (kept, dropped) = fraction.split_at(places);
    let mut digits: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    let half = format!("5{}", "0".repeat(dropped.len() - 1));
    let odd = digits.last().is_some_and(|digit| digit % 2 == 1);
    if dropped > half.as_str() || (dropped == half && odd) {
        let nines = digits.iter().rev().take_while(|digit| **digit == b'9').count();
        let end = digits.len();
        digits[end - nines..].fill(b'0');
        match digits[..end - nines].last_mut() {
            Some(digit) => *digit += 1,
            None => digits.insert(0, b'1'),
        }
    }
    let fraction = digits.split_off(digits.len() - places);
    let text = |digits: Vec<u8>| String::from_utf8_lossy(&digits).into_owned();
    format!("{sign}{}.{}", text(digits), text(fraction))
}

/// Without zeros at the end.
fn trimmed(text: &str) -> String {
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    };
    match text {
        "-0" => "0".to_string(),
        text => text.to_string(),
    }
}

#[test]
fn floats_have_twelve_places() {
    for (value, text) in [
        (0.1 + 0.2, "0.3"),
        (-0.0, "0"),
        (1e21, "1000000000000000000000"),
        (2.0 / 3.0, "0.666666666667"),
        (0.999_999_999_999_9, "1"),
        (99.999_999_999_999_9, "100"),
        (-1e-13, "0"),
    ] {
        assert_eq!(number(f64::to_string(&value)), text);
    }
}
