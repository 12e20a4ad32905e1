//! Bounds on the text of a statement, and the stack it is parsed and planned on.
//!
//! Parsing, planning, optimising, even dropping a statement recurses as deep as its expressions
//! nest: a chain of a hundred thousand `+` is a tree as deep, and would end the process. So depth
//! is taken from the tokens, before there is a tree. Called by `session` and `defaults`.
//!
//! What is counted is never less than the depth of the tree: every operator, keyword and bracket
//! counts as if it held all that stands beside it, up to a comma or to a word that begins another
//! clause. So items of lists and rows of VALUES do not add up, however many there are. Plans nest
//! where texts do not (one query reads another by its name, joins are left-deep), so the words that
//! make a step of a plan are counted apart, in the whole statement.

use std::future::{Future, poll_fn};
use std::pin::pin;

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result};

/// Bytes of a statement.
const BYTES_MAX: usize = 16 << 20;
/// Operators, keywords and brackets, one within the other.
const DEPTH_MAX: usize = 1_000;
/// Steps of a plan.
const STEPS_MAX: usize = 500;

/// Stack that parsing and planning find at least, and what they get otherwise.
const STACK_BYTES: (usize, usize) = (4 << 20, 8 << 20);

/// Calls `f` with room on the stack.
pub(super) fn with_stack<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_BYTES.0, STACK_BYTES.1, f)
}

/// Polls `future` with room on the stack.
pub(super) async fn polled_with_stack<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| with_stack(|| future.as_mut().poll(context))).await
}

/// The tokens of a text within the bounds; `None` if it has none, which the parser explains.
///
/// # Errors
/// [`Error::InvalidInput`] if the text is too long or nests too deep.
pub(super) fn tokens(sql: &str, dialect: &dyn Dialect) -> Result<Option<Vec<TokenWithSpan>>> {
    if sql.len() > BYTES_MAX {
        return Err(Error::invalid(format!(
            "a statement of {} bytes; the limit is {BYTES_MAX}: send it in parts, or bring rows by \
             Table::insert or by the import of a file",
            sql.len()
        )));
    }
    let Ok(tokens) = Tokenizer::new(dialect, sql).tokenize_with_location() else {
        return Ok(None);
    };
    let mut meter = Meter::default();
    tokens.iter().for_each(|token| meter.take(&token.token));
    meter.check()?;
    Ok(Some(tokens))
}

/// What stands within one pair of brackets, or within CASE and END.
#[derive(Debug, Default)]
struct Level {
    /// Whether END closes it.
    case: bool,
    /// Whether commas join tables.
    from: bool,
    /// Operators, keywords and brackets since the last comma or clause.
    chain: usize,
    /// The deepest level inside since then.
    inner: usize,
    /// The deepest of what came before.
    deepest: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.deepest.max(self.chain + self.inner)
    }

    /// What follows is not nested in what came before, nor the other way round.
    fn begin_item(&mut self) {
        self.deepest = self.depth();
        (self.chain, self.inner) = (0, 0);
    }
}

/// Takes the tokens of a statement one by one.
#[derive(Debug, Default)]
struct Meter {
    /// The levels around the innermost one, outermost first.
    around: Vec<Level>,
    level: Level,
    steps: usize,
    /// Whether the last token ended an operand. Only then is a keyword that follows surely no
    /// name: names may be keywords.
    operand: bool,
    /// Whether the name that goes on here has a dot already.
    dotted: bool,
}

impl Meter {
    fn take(&mut self, token: &Token) {
        match token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::Word(word) => {
                self.dotted &= !self.operand;
                self.word(word.keyword);
            }
            Token::Period => {
                self.level.chain += usize::from(self.dotted);
                (self.dotted, self.operand) = (true, false);
            }
            Token::Comma => {
                self.steps += usize::from(self.level.from);
                self.level.begin_item();
                (self.operand, self.dotted) = (false, false);
            }
            Token::LParen | Token::LBracket | Token::LBrace => self.open(false),
            Token::RParen | Token::RBracket | Token::RBrace => {
                while self.level.case && self.close() {}
                self.close();
            }
            Token::SemiColon if self.around.is_empty() => {
                self.level.begin_item();
                (self.level.from, self.operand) = (false, false);
            }
            token if is_literal(token) => (self.operand, self.dotted) = (true, false),
            token => {
                self.steps += usize::from(*token == Token::VerticalBarRightAngleBracket);
                self.count();
            }
        }
    }

    fn word(&mut self, keyword: Keyword) {
        self.steps += usize::from(makes_step(keyword));
        let in_case = self.level.case;
        match keyword {
            Keyword::NoKeyword => self.operand = true,
            Keyword::CASE => self.open(true),
            Keyword::END if in_case && self.operand => _ = self.close(),
            Keyword::WHEN | Keyword::THEN | Keyword::ELSE if in_case && self.operand => {
                self.level.begin_item();
                self.operand = false;
            }
            keyword => {
                if self.operand && begins_clause(keyword) {
                    self.level.begin_item();
                    self.level.from &= !ends_tables(keyword);
                }
                self.level.from |= keyword == Keyword::FROM;
                self.count();
                self.operand = may_be_operand(keyword);
            }
        }
    }

    /// Something that holds what stands beside it.
    fn count(&mut self) {
        self.level.chain += 1;
        (self.operand, self.dotted) = (false, false);
    }

    fn open(&mut self, case: bool) {
        self.count();
        let level = Level { case, ..Level::default() };
        self.around.push(std::mem::replace(&mut self.level, level));
    }

    /// Whether there was a level to close.
    fn close(&mut self) -> bool {
        let Some(outer) = self.around.pop() else { return false };
        let inner = std::mem::replace(&mut self.level, outer).depth();
        self.level.inner = self.level.inner.max(inner);
        (self.operand, self.dotted) = (true, false);
        true
    }

    fn check(mut self) -> Result<()> {
        while self.close() {}
        let (depth, steps) = (self.level.depth(), self.steps);
        if depth > DEPTH_MAX {
            return Err(Error::invalid(format!(
                "a statement that nests {depth} deep (operators, keywords and brackets between \
                 two commas); the limit is {DEPTH_MAX}: write lists as IN (...) or VALUES, or \
                 split the statement"
            )));
        }
        if steps > STEPS_MAX {
            return Err(Error::invalid(format!(
                "a statement with {steps} steps (SELECT, FROM, JOIN, UNION, OVER and the like); \
                 the limit is {STEPS_MAX}: write rows as VALUES, or split the statement"
            )));
        }
        Ok(())
    }
}

fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

/// Whether a plan may have a step for the word, around those of the words before it.
fn makes_step(keyword: Keyword) -> bool {
    use Keyword::{
        APPLY, EXCEPT, FROM, INTERSECT, JOIN, LATERAL, MINUS, OVER, PIVOT, SELECT, TABLE, UNION,
        UNNEST, UNPIVOT,
    };
    matches!(
        keyword,
        APPLY
            | EXCEPT
            | FROM
            | INTERSECT
            | JOIN
            | LATERAL
            | MINUS
            | OVER
            | PIVOT
            | SELECT
            | TABLE
            | UNION
            | UNNEST
            | UNPIVOT
    )
}

/// Whether the word, after an operand, ends the expression that the operand ends.
fn begins_clause(keyword: Keyword) -> bool {
    use Keyword::{
        CROSS, EXCEPT, FROM, FULL, INNER, INTERSECT, JOIN, LEFT, MINUS, NATURAL, ON, RIGHT, UNION,
        USING,
    };
    let joins_tables = matches!(keyword, CROSS | FULL | INNER | JOIN | LEFT | NATURAL | ON | RIGHT);
    let joins_queries = matches!(keyword, EXCEPT | INTERSECT | MINUS | UNION);
    joins_tables || joins_queries || matches!(keyword, FROM | USING) || ends_tables(keyword)
}

/// Whether no more tables follow the word, which begins a clause.
fn ends_tables(keyword: Keyword) -> bool {
    use Keyword::{GROUP, HAVING, LIMIT, ORDER, QUALIFY, WHERE};
    matches!(keyword, GROUP | HAVING | LIMIT | ORDER | QUALIFY | WHERE)
}

/// Whether the word may be an operand or a type, and nothing after which an operand must follow.
fn may_be_operand(keyword: Keyword) -> bool {
    use Keyword::{
        BIGINT, BOOLEAN, CURRENT_DATE, CURRENT_TIME, CURRENT_TIMESTAMP, DATE, DAY, DOUBLE, FALSE,
        FLOAT, HOUR, ID, INT, INTEGER, KEY, LEVEL, MINUTE, MONTH, NAME, NULL, SECOND, SMALLINT,
        STATUS, TEXT, TIME, TIMESTAMP, TRUE, TYPE, USER, VALUE, VARCHAR, YEAR,
    };
    let literal =
        matches!(keyword, CURRENT_DATE | CURRENT_TIME | CURRENT_TIMESTAMP | FALSE | NULL | TRUE);
    let data_type = matches!(
        keyword,
        BIGINT | BOOLEAN | DATE | DOUBLE | FLOAT | INT | INTEGER | SMALLINT | TEXT | TIME
    );
    let column = matches!(
        keyword,
        DAY | HOUR | ID | KEY | LEVEL | MINUTE | MONTH | NAME | SECOND | STATUS | TYPE | USER
    );
    literal || data_type || column || matches!(keyword, TIMESTAMP | VALUE | VARCHAR | YEAR)
}

#[cfg(test)]
mod tests;
