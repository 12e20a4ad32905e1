//! Cuts a stream of text into statements, with the line each begins at.
//!
//! A statement ends at a `;` outside of strings, quoted identifiers, dollar quotes and comments
//! (the rules of the SQL parser's generic dialect), so text can be executed while more of it is
//! still arriving. Where a statement could begin, a line that starts with `\` or `.` is a command
//! of the shell.
//!
//! Only whole lines are scanned until the end is announced: so no token of more than one byte
//! (`--`, `/*`, `''`, `$tag$`) is ever seen in part.

use crate::failure::{Failure, Result};

/// A unit of work.
#[derive(Debug, PartialEq)]
pub(crate) struct Piece {
    /// The text, without the closing `;`.
    pub(crate) text: String,
    /// The line at which it begins, from 1.
    pub(crate) line: u64,
    /// A command of the shell (`\d`, `.tables`), not SQL.
    pub(crate) command: bool,
}

/// What the scanner is inside of.
#[derive(Debug, Clone, PartialEq)]
enum State {
    Plain,
    /// A string or quoted identifier that ends at this byte; `E'…'` knows backslashes.
    Quoted {
        end: u8,
        backslash: bool,
    },
    /// `$tag$ … $tag$`, with both dollar signs.
    Dollar(Vec<u8>),
    LineComment,
    /// Block comments nest.
    BlockComment(u32),
}

/// Cuts text that is pushed piece by piece.
#[derive(Debug)]
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// Bytes of `buffer` before this one are scanned.
    position: usize,
    /// Bytes of `buffer` from this one on belong to an unfinished line.
    whole_lines: usize,
    state: State,
    line: u64,
    /// Where the current statement begins, and its line.
    start: Option<(usize, u64)>,
    /// The line at which the current string or comment begins.
    state_line: u64,
}

impl Splitter {
    /// A splitter at line 1.
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            position: 0,
            whole_lines: 0,
            state: State::Plain,
            line: 1,
            start: None,
            state_line: 1,
        }
    }

    /// The pieces of a whole text.
    pub(crate) fn split(text: &str) -> Result<Vec<Piece>> {
        let mut splitter = Self::new();
        splitter.push(text.as_bytes());
        let mut pieces = Vec::new();
        while let Some(piece) = splitter.next()? {
            pieces.push(piece);
        }
        while let Some(piece) = splitter.finish()? {
            pieces.push(piece);
        }
        Ok(pieces)
    }

    /// Adds text.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let bytes = match bytes.strip_prefix(b"\xEF\xBB\xBF") {
            Some(rest) if self.line == 1 && self.buffer.is_empty() => rest,
            _ => bytes,
        };
        if let Some(newline) = bytes.iter().rposition(|&b| b == b'\n') {
            self.whole_lines = self.buffer.len() + newline + 1;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete piece, if it has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>> {
        while let Some(&byte) = self.buffer.get(self.position).filter(|_| self.has_line()) {
            if self.state == State::Plain {
                if self.start.is_none() && (byte == b'\\' || byte == b'.') {
                    return self.take_command().map(Some);
                }
                if byte == b';' {
                    if let Some(piece) = self.take_statement()? {
                        return Ok(Some(piece));
                    }
                    continue;
                }
            }
            let length = self.step(byte);
            let passed =
                &self.buffer[self.position..(self.position + length).min(self.buffer.len())];
            self.line += passed.iter().filter(|&&b| b == b'\n').count() as u64;
            self.position += length;
        }
        Ok(None)
    }

    /// The end of the text: the rest is the last piece, even without `;`. Call after `next` has
    /// returned `None`, until this returns `None` too.
    pub(crate) fn finish(&mut self) -> Result<Option<Piece>> {
        self.whole_lines = self.buffer.len();
        if let Some(piece) = self.next()? {
            return Ok(Some(piece));
        }
        let what = match self.state {
            State::Plain | State::LineComment => return self.take_statement(),
            State::Quoted { end: b'\'', .. } => "string",
            State::Quoted { .. } => "quoted identifier",
            State::Dollar(_) => "dollar-quoted string",
            State::BlockComment(_) => "comment",
        };
        Err(Failure::Error(format!("{what} that begins at line {} never ends", self.state_line)))
    }

    /// Whether the text so far ends inside a statement or comment.
    pub(crate) fn is_inside(&self) -> bool {
        self.start.is_some() || matches!(self.state, State::BlockComment(_))
    }

    fn has_line(&self) -> bool {
        self.position < self.whole_lines
    }

    /// Moves the state over the token at the position and returns its length.
    fn step(&mut self, byte: u8) -> usize {
        let rest = &self.buffer[self.position..];
        let next = rest.get(1).copied();
        match &mut self.state {
            State::Plain => self.step_plain(byte, next),
            State::Quoted { backslash: true, .. } if byte == b'\\' => 2,
            State::Quoted { end, .. } if byte == *end && next == Some(*end) => 2,
            State::Quoted { end, .. } if byte == *end => self.leave(1),
            State::Dollar(tag) if rest.starts_with(tag) => {
                let length = tag.len();
                self.leave(length)
            }
            State::LineComment if byte == b'\n' => self.leave(1),
            State::BlockComment(depth) if rest.starts_with(b"/*") => {
                *depth += 1;
                2
            }
            State::BlockComment(1) if rest.starts_with(b"*/") => self.leave(2),
            State::BlockComment(depth) if rest.starts_with(b"*/") => {
                *depth -= 1;
                2
            }
            _ => 1,
        }
    }

    fn step_plain(&mut self, byte: u8, next: Option<u8>) -> usize {
        match (byte, next) {
            (b'-', Some(b'-')) => return self.enter(State::LineComment, 2),
            (b'/', Some(b'*')) => return self.enter(State::BlockComment(1), 2),
            _ if byte.is_ascii_whitespace() => return 1,
            _ => {}
        }
        self.start.get_or_insert((self.position, self.line));
        match byte {
            b'\'' => {
                let backslash = self.follows_escape_prefix();
                self.enter(State::Quoted { end: byte, backslash }, 1)
            }
            b'"' | b'`' => self.enter(State::Quoted { end: byte, backslash: false }, 1),
            b'$' => match self.dollar_tag() {
                Some(tag) => {
                    let length = tag.len();
                    self.enter(State::Dollar(tag), length)
                }
                None => 1,
            },
            _ => 1,
        }
    }

    fn enter(&mut self, state: State, length: usize) -> usize {
        self.state = state;
        self.state_line = self.line;
        length
    }

    fn leave(&mut self, length: usize) -> usize {
        self.state = State::Plain;
        length
    }

    /// Whether an `E` that is a word of its own stands before the position.
    fn follows_escape_prefix(&self) -> bool {
        match &self.buffer[..self.position] {
            [.., before, b'e' | b'E'] => !is_word(*before),
            [b'e' | b'E'] => true,
            _ => false,
        }
    }

    /// `$tag$` at the position, unless it is a placeholder (`$1`, `$name`) or part of a word.
    fn dollar_tag(&self) -> Option<Vec<u8>> {
        if self.position > 0 && is_word(self.buffer[self.position - 1]) {
            return None;
        }
        let rest = &self.buffer[self.position..];
        let length = 1 + rest.get(1..)?.iter().position(|&b| !is_word(b) || b == b'$')?;
        let named = length == 1 || !rest[1].is_ascii_digit();
        (rest[length] == b'$' && named).then(|| rest[..=length].to_vec())
    }

    fn take_command(&mut self) -> Result<Piece> {
        let rest = &self.buffer[self.position..];
        let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let text = decode(&rest[..length], self.line)?.trim().trim_end_matches(';').to_string();
        let piece = Piece { text, line: self.line, command: true };
        // The line break stays: scanning it counts the line.
        self.drop_front(self.position + length);
        Ok(piece)
    }

    /// Ends the current statement at the position; `None` if it is empty.
    fn take_statement(&mut self) -> Result<Option<Piece>> {
        let end = self.position;
        let piece = match self.start.take() {
            Some((start, line)) => {
                let text = decode(&self.buffer[start..end], line)?.trim_end().to_string();
                Some(Piece { text, line, command: false })
            }
            None => None,
        };
        self.drop_front((end + 1).min(self.buffer.len()));
        Ok(piece)
    }

    fn drop_front(&mut self, length: usize) {
        self.buffer.drain(..length);
        self.whole_lines = self.whole_lines.saturating_sub(length);
        self.position = 0;
    }
}

/// A byte of an identifier; bytes beyond ASCII count as letters.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_$@#".contains(&byte) || !byte.is_ascii()
}

fn decode(bytes: &[u8], line: u64) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let line = line + valid.iter().filter(|&&b| b == b'\n').count() as u64;
        Failure::Error(format!("line {line} is not UTF-8 text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        Splitter::split(sql).unwrap().into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn semicolons_inside_tokens_do_not_split() {
        for statement in [
            "SELECT ';'",
            "SELECT 'it''s; fine'",
            "SELECT E'it\\'s; fine'",
            "SELECT \"a;b\"\"c;\"",
            "SELECT `a;b`",
            "SELECT $$a;'b$$",
            "SELECT $tag$a;$$;$tag$",
            "SELECT 1 -- a; b\n + 2",
            "SELECT 1 /* a; /* b; */ c; */ + 2",
            "SELECT $1, $2",
            "SELECT 'a\\'",
            "SELECT name'x'",
            "SELECT a$b$",
        ] {
            assert_eq!(texts(&format!("{statement};SELECT 2;")), [statement, "SELECT 2"]);
            assert_eq!(texts(&format!("{statement};\nSELECT 2")), [statement, "SELECT 2"]);
        }
    }

    #[test]
    fn statements_know_their_lines() {
        let pieces = Splitter::split("\n-- note\nSELECT 1;\n\n;/* a\nb */ SELECT\n2; SELECT 3\n");
        let lines: Vec<_> = pieces.unwrap().into_iter().map(|p| (p.line, p.text)).collect();
        let expected = [(3, "SELECT 1"), (6, "SELECT\n2"), (7, "SELECT 3")];
        assert_eq!(lines, expected.map(|(line, text)| (line, text.to_string())));
    }

    #[test]
    fn blank_text_and_comments_are_nothing() {
        for text in ["", " \n", ";;\n;", "-- x", "/* x */", "-- x\n;"] {
            assert_eq!(texts(text), Vec::<String>::new(), "{text:?}");
        }
    }

    #[test]
    fn commands_end_with_their_line() {
        let pieces = Splitter::split("\\d t;\n.mode csv\nSELECT a\n.b;\n  \\q").unwrap();
        let found: Vec<_> = pieces.iter().map(|p| (p.line, p.command, p.text.as_str())).collect();
        let expected = [
            (1, true, "\\d t"),
            (2, true, ".mode csv"),
            (3, false, "SELECT a\n.b"),
            (5, true, "\\q"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn pieces_are_the_same_however_the_text_arrives() {
        let text = "SELECT 'a;''b' -- c;\n, \"d;\";\n\\dt\nSELECT $x$ ; $x$;/* ; */ SELECT 'é;';\n";
        let whole = Splitter::split(text).unwrap();
        for size in 1..text.len() {
            let mut splitter = Splitter::new();
            let mut pieces = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                splitter.push(chunk);
                while let Some(piece) = splitter.next().unwrap() {
                    pieces.push(piece);
                }
            }
            pieces.extend(splitter.finish().unwrap());
            assert_eq!(pieces, whole, "chunks of {size}");
        }
    }

    #[test]
    fn statement_is_complete_before_the_next_line_arrives() {
        let mut splitter = Splitter::new();
        splitter.push(b"SELECT 1;\nSELECT");
        assert_eq!(splitter.next().unwrap().unwrap().text, "SELECT 1");
        assert!(splitter.next().unwrap().is_none());
        assert!(!splitter.is_inside());
        splitter.push(b" 2\n");
        assert!(splitter.next().unwrap().is_none());
        assert!(splitter.is_inside());
    }

    #[test]
    fn open_ends_are_named_with_their_line() {
        for (text, what) in [
            ("SELECT 1;\nSELECT 'a;\n", "string that begins at line 2"),
            ("SELECT \"a", "quoted identifier that begins at line 1"),
            ("\nSELECT $$a", "dollar-quoted string that begins at line 2"),
            ("/* a /* b */", "comment that begins at line 1"),
        ] {
            let Err(Failure::Error(message)) = Splitter::split(text) else { panic!("{text:?}") };
            assert!(message.contains(what), "{message}");
        }
    }

    #[test]
    fn byte_order_mark_is_skipped_and_bad_text_refused() {
        assert_eq!(texts("\u{feff}SELECT 1"), ["SELECT 1"]);
        let mut splitter = Splitter::new();
        splitter.push(b"SELECT\n'\xff';\n");
        let Err(Failure::Error(message)) = splitter.next() else { panic!("accepted") };
        assert_eq!(message, "line 2 is not UTF-8 text");
    }
}
