//! Splits CSV into records, with the line that each begins at.
//!
//! A field that begins with a quote ends at the next lone one; only a delimiter or a line end may
//! follow. Quoted or not is kept: the empty text is quoted, NULL is not. Lines end with LF or CRLF;
//! a blank line is a record where there is one column, and skipped elsewhere.

use std::io::BufRead;

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
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of a field, and whether it was quoted; an error if it is none.
    pub(super) fn text(&self, index: usize) -> Result<(&str, bool), String> {
        let (end, quoted) = self.ends[index];
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        match std::str::from_utf8(&self.bytes[start..end]) {
            Ok(text) => Ok((text, quoted)),
            Err(_) => Err(format!("field {} is not UTF-8 text", index + 1)),
        }
    }

    fn begin(&mut self, line: u64) {
        self.bytes.clear();
        self.ends.clear();
        self.line = line;
    }

    fn end_field(&mut self, quoted: bool) {
        self.ends.push((self.bytes.len(), quoted));
    }

    fn is_blank(&self) -> bool {
        self.ends == [(0, false)]
    }
}

/// The marks of a dialect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Start,
    Plain,
    Quoted,
    /// After an escape that is no quote, inside of a quoted field.
    Escaped,
    /// After a quote inside of a quoted field: its end, or half of an escaped one.
    Closed,
}

/// What is wrong, and at which line.
pub(super) type Wrong = (u64, String);

/// Reads records.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: R,
    marks: Marks,
    line: u64,
    keeps_blank: bool,
}

impl<R: BufRead> Records<R> {
    /// Reads from the start of a file; a byte order mark is skipped.
    pub(super) fn new(mut input: R, marks: Marks) -> Result<Self, Wrong> {
        let buffer = input.fill_buf().map_err(|error| (1, error.to_string()))?;
        if buffer.starts_with(b"\xEF\xBB\xBF") {
            input.consume(3);
        }
        Ok(Self { input, marks, line: 1, keeps_blank: false })
    }

    /// Blank lines are records from now on.
    pub(super) fn keep_blank(&mut self) {
        self.keeps_blank = true;
    }

    /// Reads the next record; false at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, Wrong> {
        while self.read_any(record)? {
            if self.keeps_blank || !record.is_blank() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_any(&mut self, record: &mut Record) -> Result<bool, Wrong> {
        record.begin(self.line);
        let (mut state, mut is_begun) = (State::Start, false);
        loop {
            let buffer = self.input.fill_buf().map_err(|error| (self.line, error.to_string()))?;
            if buffer.is_empty() {
                if matches!(state, State::Quoted | State::Escaped) {
                    return Err((record.line, "a quote opens here and never closes".to_string()));
                }
                if is_begun {
                    end_record(record, state);
                }
                return Ok(is_begun);
            }
            is_begun = true;
            let (mut used, mut is_ended) = (0, false);
            for &byte in buffer {
                used += 1;
                if byte == b'\n' {
                    self.line += 1;
                    if !matches!(state, State::Quoted | State::Escaped) {
                        end_record(record, state);
                        is_ended = true;
                        break;
                    }
                }
                state = step(record, state, byte, self.marks)
                    .map_err(|wrong| (self.line, wrong.to_string()))?;
            }
            self.input.consume(used);
            if is_ended {
                return Ok(true);
            }
        }
    }
}

/// Takes one byte that does not end the record.
fn step(record: &mut Record, state: State, byte: u8, marks: Marks) -> Result<State, &'static str> {
    let mut keep = |state| {
        record.bytes.push(byte);
        Ok(state)
    };
    match state {
        State::Start | State::Plain if byte == marks.delimiter => {
            record.end_field(false);
            Ok(State::Start)
        }
        State::Start if byte == marks.quote => Ok(State::Quoted),
        State::Start | State::Plain => keep(State::Plain),
        State::Quoted if byte == marks.escape && marks.escape != marks.quote => Ok(State::Escaped),
        State::Quoted if byte == marks.quote => Ok(State::Closed),
        State::Quoted | State::Escaped => keep(State::Quoted),
        State::Closed if byte == marks.quote && marks.escape == marks.quote => keep(State::Quoted),
        State::Closed if byte == marks.delimiter => {
            record.end_field(true);
            Ok(State::Start)
        }
        State::Closed if byte == b'\r' => Ok(State::Closed),
        State::Closed => Err("a delimiter or the end of the line is expected after the quote"),
    }
}

fn end_record(record: &mut Record, state: State) {
    let start = record.ends.last().map_or(0, |(end, _)| *end);
    if state == State::Plain && record.bytes[start..].last() == Some(&b'\r') {
        record.bytes.pop();
    }
    record.end_field(state == State::Closed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    const MARKS: Marks = Marks { delimiter: b',', quote: b'"', escape: b'"' };

    fn read(text: &str, marks: Marks, capacity: usize) -> Result<Vec<(u64, Vec<String>)>, Wrong> {
        let mut records = Records::new(BufReader::with_capacity(capacity, text.as_bytes()), marks)?;
        let (mut record, mut rows) = (Record::default(), Vec::new());
        while records.read(&mut record)? {
            let field = |index| match record.text(index).unwrap() {
                (text, true) => format!("<{text}>"),
                (text, false) => text.to_string(),
            };
            rows.push((record.line, (0..record.len()).map(field).collect()));
        }
        Ok(rows)
    }

    #[test]
    fn records_and_their_lines() {
        let text = "\u{feff}a,b\r\n1,\"x\ny\"\n\n\"\",\n\"\"\"no\"\"\",5\" pipe\r\n7,\"8\"";
        let expected: Vec<(u64, Vec<String>)> = [
            (1, ["a", "b"]),
            (2, ["1", "<x\ny>"]),
            (5, ["<>", ""]),
            (6, ["<\"no\">", "5\" pipe"]),
            (7, ["7", "<8>"]),
        ]
        .map(|(line, fields)| (line, fields.map(str::to_string).to_vec()))
        .to_vec();
        for capacity in [3, 5, 64] {
            assert_eq!(read(text, MARKS, capacity).unwrap(), expected, "{capacity}");
        }
        let other = Marks { delimiter: b';', quote: b'\'', escape: b'\\' };
        let rows = read("'a\\'b';c\n", other, 4).unwrap();
        assert_eq!(rows, [(1, vec!["<a'b>".to_string(), "c".to_string()])]);
    }

    #[test]
    fn broken_quotes_are_named_with_their_line() {
        assert_eq!(read("a\nb,\"x\ny", MARKS, 64).unwrap_err().0, 2);
        assert_eq!(read("a\n\"x\"y\n", MARKS, 64).unwrap_err().0, 2);
    }
}
