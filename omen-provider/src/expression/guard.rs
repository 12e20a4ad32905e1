//! Bounds on the text of a statement, and the stack it is parsed and planned on.
//!
//! Parsing, planning, optimising, even dropping a statement recurses as deep as its expressions
//! nest: a chain of a hundred thousand `+` is a tree as deep, and would end the process. So depth
//! is taken from the tokens, before there is a tree. Called by sessions, and for expressions.
//!
//! What is counted is never less than the depth of the tree: every operator, keyword and bracket
//! counts as if it held all that stands beside it, up to a comma or to a word that begins another
//! clause. So items of lists and rows of VALUES do not add up, however many there are. Plans nest
//! where texts do not (one query reads another by its name, joins are left-deep), so the words that
//! make a step of a plan are counted apart, in the whole statement.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use datafusion::config::SqlParserOptions;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use futures::FutureExt;

use crate::error::{Error, Result};

/// Bytes of a statement.
const BYTES_MAX: usize = 16 << 20;
/// Operators, keywords and brackets, one within the other. What is not refused by this and the
/// next two is carried out, in a build without optimisation, on three quarters of a stack of 2 MiB.
const DEPTH_MAX: usize = 250;
/// Joins, windows and subqueries: one may read the other.
const JOINS_MAX: usize = 40;
/// UNION and its like.
const UNIONS_MAX: usize = 500;

/// Stack that parsing and planning find at least, and what they get otherwise. Planning takes more
/// of it than execution.
const STACK_BYTES: (usize, usize) = (12 << 20, 16 << 20);

/// Calls `f` with room on the stack. DataFusion answers some statements that make no sense with a
/// panic: an error like others.
pub(crate) fn with_stack<T>(f: impl FnOnce() -> DataFusionResult<T>) -> DataFusionResult<T> {
    stacker::maybe_grow(STACK_BYTES.0, STACK_BYTES.1, || caught(f))
}

/// Calls what plans a statement: a panic is an error.
pub(crate) fn caught<T>(f: impl FnOnce() -> DataFusionResult<T>) -> DataFusionResult<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(caused(PLANNED, &*panic)))
}

/// Calls what computes the rows of a statement, likewise.
pub(crate) fn executed<T>(f: impl FnOnce() -> DataFusionResult<T>) -> DataFusionResult<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(caused(CARRIED_OUT, &*panic)))
}

/// Polls `future` with room on the stack.
pub(crate) async fn polled_with_stack<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        stacker::maybe_grow(STACK_BYTES.0, STACK_BYTES.1, || future.as_mut().poll(context))
    })
    .await
}

/// What DataFusion plans: a panic is an error, as in [`with_stack`]. Not for what changes tables,
/// whose outcome would not be known.
pub(crate) async fn planned<T>(
    future: impl Future<Output = DataFusionResult<T>>,
) -> DataFusionResult<T> {
    let caught = AssertUnwindSafe(future).catch_unwind().await;
    caught.unwrap_or_else(|panic| Err(caused(PLANNED, &*panic)))
}

/// What a panic kept from being done, and what to do.
const PLANNED: (&str, &str) = ("planned", "write it in another way");
const CARRIED_OUT: (&str, &str) =
    ("carried out to the end", "if it writes, look whether it did; write it in another way");

fn caused((what, then): (&str, &str), panic: &(dyn Any + Send)) -> DataFusionError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    DataFusionError::Internal(format!(
        "the statement could not be {what}: {}; {then}",
        text.unwrap_or("a panic without a message")
    ))
}

/// The tokens of a text within the bounds; `None` if it has none, which the parser explains.
///
/// # Errors
/// [`Error::InvalidInput`] if the text is too long or nests too deep.
pub(crate) fn tokens(sql: &str, dialect: &dyn Dialect) -> Result<Option<Vec<TokenWithSpan>>> {
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

/// The parser's refusal of what recurses in it, with what to do about it.
pub(crate) fn explained(error: DataFusionError, options: &SqlParserOptions) -> DataFusionError {
    match error {
        DataFusionError::SQL(inner, _) if *inner == ParserError::RecursionLimitExceeded => {
            Error::invalid(format!(
                "a statement in which the parser recurses too deep (brackets, subqueries, NOT, \
                 CASE); the limit is {}: nest less, or SET datafusion.sql_parser.recursion_limit",
                options.recursion_limit
            ))
            .into()
        }
        other => other,
    }
}

/// What stands within one pair of brackets, or within CASE and END.
#[derive(Debug, Default)]
struct Level {
    /// Whether END closes it.
    case: bool,
    /// Whether it was found to be a query.
    query: bool,
    /// Whether commas join tables.
    from: bool,
    /// Whether the item has something that may bind looser than AND and OR.
    odd: bool,
    /// AND and OR of the item since the last comma or clause.
    loose: usize,
    /// Operators, keywords and brackets since the last AND or OR.
    chain: usize,
    /// The deepest level inside since then.
    inner: usize,
    /// The deepest of what AND and OR connect.
    operand: usize,
    /// The deepest item before.
    deepest: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.deepest.max(self.loose + self.operand.max(self.chain + self.inner))
    }

    fn is_empty(&self) -> bool {
        self.depth() == 0
    }

    /// What follows is not nested in what came before, nor the other way round.
    fn begin_item(&mut self) {
        self.deepest = self.depth();
        (self.loose, self.chain, self.inner, self.operand) = (0, 0, 0, 0);
        self.odd = false;
    }

    /// AND or OR: nothing that binds tighter reaches from one side to the other.
    fn connect(&mut self) {
        if self.odd {
            self.chain += 1;
            return;
        }
        self.loose += 1;
        self.operand = self.operand.max(self.chain + self.inner);
        (self.chain, self.inner) = (0, 0);
    }
}

/// Takes the tokens of a statement one by one.
#[derive(Debug, Default)]
struct Meter {
    /// The levels around the innermost one, outermost first.
    around: Vec<Level>,
    level: Level,
    joins: usize,
    unions: usize,
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
                self.joins += usize::from(self.level.from);
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
                self.joins += usize::from(*token == Token::VerticalBarRightAngleBracket);
                self.level.odd |= !binds_tighter(token);
                self.count();
            }
        }
    }

    fn word(&mut self, keyword: Keyword) {
        let (in_case, operand) = (self.level.case, self.operand);
        self.count_step(keyword);
        match keyword {
            Keyword::NoKeyword => self.operand = true,
            Keyword::CASE => self.open(true),
            Keyword::END if in_case && operand => _ = self.close(),
            Keyword::WHEN | Keyword::THEN | Keyword::ELSE if in_case && operand => {
                self.level.begin_item();
                self.operand = false;
            }
            Keyword::AND | Keyword::OR if operand => {
                self.level.connect();
                self.operand = false;
            }
            keyword => {
                if operand && begins_clause(keyword) {
                    self.level.begin_item();
                    self.level.from &= !ends_tables(keyword);
                } else {
                    self.level.odd |= !is_tight(keyword) && !may_be_operand(keyword);
                }
                self.level.from |= keyword == Keyword::FROM;
                self.count();
                self.operand = may_be_operand(keyword);
            }
        }
    }

    /// Counts what makes a step of a plan.
    fn count_step(&mut self, keyword: Keyword) {
        let first = self.level.is_empty();
        match keyword {
            Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS | Keyword::UNION => {
                self.unions += 1;
            }
            Keyword::JOIN | Keyword::LATERAL | Keyword::OVER | Keyword::UNNEST => self.joins += 1,
            Keyword::APPLY | Keyword::PIVOT | Keyword::UNPIVOT => self.joins += 1,
            _ => {}
        }
        let begins_query = match keyword {
            Keyword::SELECT | Keyword::WITH => true,
            Keyword::FROM | Keyword::TABLE => first,
            _ => false,
        };
        if begins_query && !self.level.query && !self.around.is_empty() {
            self.level.query = true;
            self.joins += 1;
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
        let depth = self.level.depth();
        let refusal = if depth > DEPTH_MAX {
            format!(
                "a statement that nests {depth} deep (operators, keywords and brackets between \
                 two commas); the limit is {DEPTH_MAX}: write lists as IN (...), or split it"
            )
        } else if self.joins > JOINS_MAX {
            format!(
                "a statement with {} joins, windows and subqueries; the limit is {JOINS_MAX}: keep \
                 results in between in tables",
                self.joins
            )
        } else if self.unions > UNIONS_MAX {
            format!(
                "a statement with {} UNION, INTERSECT and EXCEPT; the limit is {UNIONS_MAX}: write \
                 rows as VALUES, or split it",
                self.unions
            )
        } else {
            return Ok(());
        };
        Err(Error::invalid(refusal))
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

/// Whether the operator binds tighter than AND and OR, on both sides.
fn binds_tighter(token: &Token) -> bool {
    let compares =
        matches!(token, Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq);
    let computes = matches!(
        token,
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat
    );
    compares || computes || *token == Token::DoubleColon
}

/// Whether the word binds tighter than AND and OR, on both sides.
fn is_tight(keyword: Keyword) -> bool {
    use Keyword::{ILIKE, IN, IS, LIKE, NOT, SELECT, WHERE};
    matches!(keyword, ILIKE | IN | IS | LIKE | NOT | SELECT | WHERE)
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
