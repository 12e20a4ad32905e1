//! Splits CSV into records (RFC 4180), with the line of each.
//!
//! The `csv` crate hides whether a field was quoted, which here tells the empty text from NULL,
//! and it mends broken quotes in silence, up to taking the rest of a file for one field. This
//! reader keeps the first and refuses the second:
//!
//! * a field that begins with `"` ends at the next lone `"`; `""` inside stands for one; line
//!   breaks and delimiters inside belong to it; only a delimiter or a line end may follow;
//! * a `"` inside an unquoted field is an ordinary character;
//! * lines end with LF or CRLF; blank lines are skipped where a record has several fields.

use std::io::BufRead;

use crate::failure::{Failure, Result};

/// One record; reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Record {
    bytes: Vec<u8>,
    /// The end of each field in `bytes`, and whether it was quoted.
    ends: Vec<(usize, bool)>,
    /// The line it begins at, from 1.
    pub(super) line: u64,
}

impl Record {
    /// The number of fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a field, and whether it was quoted.
    pub(super) fn field(&self, index: usize) -> (&[u8], bool) {
        let (end, quoted) = self.ends[index];
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        (&self.bytes[start..end], quoted)
    }

    /// The text of a field, and whether it was quoted.
    pub(super) fn text(&self, index: usize) -> Result<(&str, bool)> {
        let (bytes, quoted) = self.field(index);
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok((text, quoted)),
            Err(_) => Err(at_line(self.line, format!("field {} is not UTF-8 text", index + 1))),
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn is_blank(&self) -> bool {
        self.ends == [(0, false)]
    }

    fn end_field(&mut self, quoted: bool) {
        self.ends.push((self.bytes.len(), quoted));
    }

    /// Drops the CR of a CRLF from the field being read.
    fn drop_carriage_return(&mut self) {
        let start = self.ends.last().map_or(0, |(end, _)| *end);
        if self.bytes.len() > start && self.bytes.last() == Some(&b'\r') {
            self.bytes.pop();
        }
    }
}

/// An error at a line.
pub(super) fn at_line(line: u64, message: impl std::fmt::Display) -> Failure {
    Failure::Error(format!("line {line}: {message}"))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a `"` inside a quoted field: its end, or the first half of `""`.
    Quote,
    /// After a closing quote and a CR.
    QuoteReturn,
}

/// Reads records.
pub(super) struct Records<R> {
    input: R,
    delimiter: u8,
    /// The line of the next byte.
    line: u64,
    /// Whether blank lines are records: those of a file with one column are.
    pub(super) keep_blank: bool,
}

impl<R: BufRead> Records<R> {
    /// Reads from the start of a file; a byte order mark is skipped.
    pub(super) fn new(mut input: R, delimiter: u8) -> Result<Self> {
        if input.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
            input.consume(3);
        }
        Ok(Self { input, delimiter, line: 1, keep_blank: false })
    }

    /// Reads the next record; false at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool> {
        while self.read_any(record)? {
            if self.keep_blank || !record.is_blank() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_any(&mut self, record: &mut Record) -> Result<bool> {
        record.clear();
        record.line = self.line;
        let mut state = State::FieldStart;
        let mut quote_line = self.line;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return finish(record, state, quote_line);
            }
            let mut used = 0;
            let mut ended = false;
            for &byte in buffer {
                used += 1;
                if byte == b'\n' {
                    self.line += 1;
                    if state != State::Quoted {
                        end_record(record, state);
                        ended = true;
                        break;
                    }
                }
                let before = state;
                state = step(record, state, byte, self.delimiter)
                    .map_err(|message| at_line(self.line, message))?;
                if state == State::Quoted && before == State::FieldStart {
                    quote_line = self.line;
                }
            }
            self.input.consume(used);
            if ended {
                return Ok(true);
            }
        }
    }
}

/// Takes one byte that does not end the record.
fn step(record: &mut Record, state: State, byte: u8, delimiter: u8) -> Result<State, &'static str> {
    Ok(match (state, byte) {
        (State::FieldStart | State::Unquoted, _) if byte == delimiter => {
            record.end_field(false);
            State::FieldStart
        }
        (State::FieldStart, b'"') => State::Quoted,
        (State::FieldStart | State::Unquoted, _) => {
            record.bytes.push(byte);
            State::Unquoted
        }
        (State::Quoted, b'"') => State::Quote,
        (State::Quoted, _) | (State::Quote, b'"') => {
            record.bytes.push(byte);
            State::Quoted
        }
        (State::Quote, _) if byte == delimiter => {
            record.end_field(true);
            State::FieldStart
        }
        (State::Quote, b'\r') => State::QuoteReturn,
        (State::Quote | State::QuoteReturn, _) => {
            return Err("expected a delimiter or the end of the line after a closing quote");
        }
    })
}

fn end_record(record: &mut Record, state: State) {
    if state == State::Unquoted {
        record.drop_carriage_return();
    }
    record.end_field(matches!(state, State::Quote | State::QuoteReturn));
}

fn finish(record: &mut Record, state: State, quote_line: u64) -> Result<bool> {
    match state {
        State::Quoted => Err(at_line(quote_line, "a quote opens here and never closes")),
        State::FieldStart if record.ends.is_empty() => Ok(false),
        _ => {
            end_record(record, state);
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    type Row = (u64, Vec<(String, bool)>);

    fn read(text: &str, capacity: usize, keep_blank: bool) -> Result<Vec<Row>> {
        let input = BufReader::with_capacity(capacity, text.as_bytes());
        let mut records = Records::new(input, b',')?;
        records.keep_blank = keep_blank;
        let (mut record, mut rows) = (Record::default(), Vec::new());
        while records.read(&mut record)? {
            let fields = (0..record.len()).map(|index| record.text(index).unwrap());
            let fields = fields.map(|(text, quoted)| (text.to_string(), quoted)).collect();
            rows.push((record.line, fields));
        }
        Ok(rows)
    }

    fn plain(fields: &[&str]) -> Vec<(String, bool)> {
        fields.iter().map(|text| (text.to_string(), false)).collect()
    }

    #[test]
    fn records_and_lines_are_told_apart() {
        let text = "\u{feff}a,b\r\n1,\"x\ny\"\n\n\"\",\n\"he said \"\"no\"\"\",5\" pipe\r\n7,8";
        let expected = vec![
            (1, plain(&["a", "b"])),
            (2, vec![("1".into(), false), ("x\ny".into(), true)]),
            (5, vec![(String::new(), true), (String::new(), false)]),
            (6, vec![("he said \"no\"".into(), true), ("5\" pipe".into(), false)]),
            (7, plain(&["7", "8"])),
        ];
        for capacity in [3, 4, 5, 7, 64] {
            assert_eq!(read(text, capacity, false).unwrap(), expected, "capacity {capacity}");
        }
    }

    #[test]
    fn blank_lines_are_rows_of_one_column_only() {
        assert_eq!(read("a\n\nb\n", 9, true).unwrap().len(), 3);
        assert_eq!(read("a\r\n\r\nb\r\n", 9, false).unwrap().len(), 2);
        assert_eq!(read("", 9, true).unwrap().len(), 0);
        assert_eq!(read("a,", 9, false).unwrap(), [(1, plain(&["a", ""]))]);
    }

    #[test]
    fn broken_quotes_are_named_with_their_line() {
        for (text, expected) in [
            ("a,b\n1,\"x\n2,3\n", "line 2: a quote opens here and never closes"),
            ("a,b\n\n1,\"x\" y\n", "line 3: expected a delimiter or the end of the line"),
            ("a\n\"x\"\ry\n", "line 2: expected"),
            ("\"x", "line 1: a quote opens"),
        ] {
            let Err(Failure::Error(message)) = read(text, 64, false) else { panic!("{text:?}") };
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn carriage_return_inside_a_field_is_kept() {
        assert_eq!(read("a\rb,\r\n", 64, false).unwrap(), [(1, plain(&["a\rb", ""]))]);
    }
}
