//! The syntax of COPY, EXPORT DATABASE and IMPORT DATABASE, as PostgreSQL, DuckDB and DataFusion
//! write them. Pure: tokens in, syntax out. Called by [`super::session`].

use datafusion::error::{DataFusionError, Result};
use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::statement::{Copy, CopyOption, CopySource, Parsed, Statement};
use crate::error::Error;
use crate::interchange::Place;

/// Whether tokens begin a statement that is parsed here.
pub(super) fn is_own(tokens: &[TokenWithSpan]) -> bool {
    let mut words = tokens.iter().filter_map(|token| match &token.token {
        Token::Whitespace(_) => None,
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => Some(String::new()),
    });
    let first = words.next();
    let mut second = words.next();
    match first.as_deref() {
        Some("COPY") => second.as_deref() != Some("INTO"),
        Some("EXPORT" | "IMPORT") => second.as_deref() == Some("DATABASE"),
        Some("EXPLAIN") => {
            while matches!(second.as_deref(), Some("ANALYZE" | "VERBOSE")) {
                second = words.next();
            }
            second.as_deref() == Some("COPY")
        }
        _ => false,
    }
}

/// Parses the statement that a parser stands before, up to its end.
///
/// # Errors
/// The parser's, and [`Error::InvalidInput`] for what is not supported.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Statement> {
    let mut explain = None;
    if parser.parse_keyword(Keyword::EXPLAIN) {
        let mut modes = (false, false);
        while let Some(mode) = parser.parse_one_of_keywords(&[Keyword::ANALYZE, Keyword::VERBOSE]) {
            modes.0 |= mode == Keyword::ANALYZE;
            modes.1 |= mode == Keyword::VERBOSE;
        }
        explain = Some(modes);
    }
    let parsed = if parser.parse_keyword(Keyword::COPY) {
        Parsed::Copy(Box::new(copy(parser, explain)?))
    } else {
        let is_export = word(parser)?.eq_ignore_ascii_case("EXPORT");
        parser.expect_keyword(Keyword::DATABASE).map_err(refused)?;
        let folder = parser.parse_literal_string().map_err(refused)?;
        match is_export {
            true => Parsed::Export(folder, export_options(parser)?),
            false => Parsed::Import(folder),
        }
    };
    while parser.consume_token(&Token::SemiColon) {}
    match parser.peek_token().token {
        Token::EOF => Ok(Statement(parsed)),
        _ => Err(refused(expected(parser, "the end of the statement"))),
    }
}

fn refused(error: ParserError) -> DataFusionError {
    DataFusionError::SQL(Box::new(error), None)
}

fn expected(parser: &Parser<'_>, what: &str) -> ParserError {
    let found = parser.peek_token();
    ParserError::ParserError(format!("Expected: {what}, found: {found}{}", found.span.start))
}

fn word(parser: &mut Parser<'_>) -> Result<String> {
    match parser.peek_token().token {
        Token::Word(word) => {
            parser.next_token();
            Ok(word.value)
        }
        _ => Err(refused(expected(parser, "a word"))),
    }
}

fn export_options(parser: &mut Parser<'_>) -> Result<Vec<CopyOption>> {
    let _ = parser.parse_keyword(Keyword::WITH);
    match parser.peek_token().token {
        Token::LParen => options(parser),
        _ => Ok(Vec::new()),
    }
}

fn copy(parser: &mut Parser<'_>, explain: Option<(bool, bool)>) -> Result<Copy> {
    let source = if parser.consume_token(&Token::LParen) {
        let query = parser.parse_query().map_err(refused)?;
        parser.expect_token(&Token::RParen).map_err(refused)?;
        CopySource::Query(query)
    } else {
        let name = parser.parse_object_name(true).map_err(refused)?;
        let columns = match parser.peek_token().token {
            Token::LParen => columns(parser)?,
            _ => Vec::new(),
        };
        CopySource::Table { name, columns }
    };
    let mut copy = Copy {
        source,
        is_from: false,
        place: Place::Standard,
        options: Vec::new(),
        partition_by: Vec::new(),
        is_partitioned: false,
        explain,
    };
    // DataFusion takes clauses before TO too.
    let mut has_place = false;
    loop {
        let way = parser.parse_one_of_keywords(&[Keyword::TO, Keyword::FROM]);
        if let Some(way) = way.filter(|_| !has_place) {
            copy.is_from = way == Keyword::FROM;
            copy.place = place(parser, copy.is_from)?;
            has_place = true;
        } else if way.is_some() || !clause(parser, &mut copy)? {
            break;
        }
    }
    if !has_place {
        return Err(refused(expected(parser, "TO or FROM and the name of a file")));
    }
    if copy.is_from && matches!(copy.source, CopySource::Query(_)) {
        let text = "COPY … FROM brings rows into a table, not into a query";
        return Err(Error::invalid(text).into());
    }
    if copy.is_from && !copy.partition_by.is_empty() {
        let hint = "folders called column=value are found by themselves";
        let text = format!("PARTITION_BY is an option of COPY … TO; {hint}");
        return Err(Error::invalid(text).into());
    }
    Ok(copy)
}

fn place(parser: &mut Parser<'_>, is_from: bool) -> Result<Place> {
    let token = parser.peek_token().token;
    let named = match &token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        _ => String::new(),
    };
    match (named.as_str(), is_from) {
        ("STDIN", true) | ("STDOUT", false) => {
            parser.next_token();
            Ok(Place::Standard)
        }
        ("PROGRAM", _) => {
            Err(Error::invalid("PROGRAM is not supported; use STDIN or STDOUT and a pipe").into())
        }
        _ => {
            let path = parser.parse_literal_string().map_err(refused)?;
            let path = path.strip_prefix("file://").map(str::to_string).unwrap_or(path);
            match path.is_empty() {
                true => Err(Error::invalid("the name of the file is empty").into()),
                false => Ok(Place::Path(path)),
            }
        }
    }
}

/// One clause behind the place; false if there is none.
fn clause(parser: &mut Parser<'_>, copy: &mut Copy) -> Result<bool> {
    match parser.peek_token().token {
        Token::LParen => return add_options(parser, copy).map(|()| true),
        Token::Word(_) => {}
        _ => return Ok(false),
    }
    let name = word(parser)?.to_ascii_uppercase();
    match name.as_str() {
        "WITH" | "OPTIONS" => {}
        "STORED" => {
            parser.expect_keyword(Keyword::AS).map_err(refused)?;
            copy.options.push(("FORMAT".to_string(), vec![word(parser)?]));
        }
        "PARTITIONED" => {
            parser.expect_keyword(Keyword::BY).map_err(refused)?;
            copy.partition_by = columns(parser)?;
            copy.is_partitioned = true;
        }
        "CSV" | "JSON" | "PARQUET" => copy.options.push(("FORMAT".to_string(), vec![name])),
        "HEADER" => {
            let values = match parser.peek_token().token {
                Token::Word(word) if ["true", "false"].contains(&&*word.value.to_lowercase()) => {
                    parser.next_token();
                    vec![word.value]
                }
                _ => Vec::new(),
            };
            copy.options.push((name, values));
        }
        "DELIMITER" | "DELIMITERS" | "NULL" | "QUOTE" | "ESCAPE" | "ENCODING" | "FORMAT"
        | "COMPRESSION" => {
            let _ = parser.parse_keyword(Keyword::AS);
            let name = if name == "DELIMITERS" { "DELIMITER".to_string() } else { name };
            let values = value(parser)?;
            copy.options.push((name, values));
        }
        other => {
            return Err(Error::invalid(format!(
                "{other} is no clause of COPY; write (FORMAT csv, HEADER true, DELIMITER ';')"
            ))
            .into());
        }
    }
    Ok(true)
}

fn add_options(parser: &mut Parser<'_>, copy: &mut Copy) -> Result<()> {
    for (name, values) in options(parser)? {
        if name.eq_ignore_ascii_case("PARTITION_BY") || name.eq_ignore_ascii_case("PARTITIONED_BY")
        {
            let column = |name| Ident::with_quote('"', name);
            copy.partition_by = values.into_iter().map(column).collect();
        } else {
            copy.options.push((name, values));
        }
    }
    Ok(())
}

/// `(name value, …)`.
fn options(parser: &mut Parser<'_>) -> Result<Vec<CopyOption>> {
    parser.expect_token(&Token::LParen).map_err(refused)?;
    let mut options = Vec::new();
    while !parser.consume_token(&Token::RParen) {
        let mut name = match parser.peek_token().token {
            Token::SingleQuotedString(name) => {
                parser.next_token();
                name
            }
            _ => word(parser)?,
        };
        while parser.consume_token(&Token::Period) {
            name = format!("{name}.{}", word(parser)?);
        }
        let _ = parser.consume_token(&Token::Eq);
        let values = match parser.peek_token().token {
            Token::Comma | Token::RParen => Vec::new(),
            _ => value(parser)?,
        };
        options.push((name, values));
        if !parser.consume_token(&Token::Comma) && parser.peek_token().token != Token::RParen {
            return Err(refused(expected(parser, ", or ) after an option")));
        }
    }
    Ok(options)
}

/// One value, or a list of them in brackets.
fn value(parser: &mut Parser<'_>) -> Result<Vec<String>> {
    if parser.consume_token(&Token::LParen) {
        let mut values = Vec::new();
        loop {
            values.extend(value(parser)?);
            if parser.consume_token(&Token::RParen) {
                return Ok(values);
            }
            parser.expect_token(&Token::Comma).map_err(refused)?;
        }
    }
    let text = match parser.peek_token().token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text,
        Token::Number(text, _) => text,
        Token::Word(word) if word.quote_style.is_none() => {
            parser.next_token();
            // As names are taken in SQL; words that are values mean the same either way.
            return Ok(vec![word.value.to_lowercase()]);
        }
        Token::Word(word) => word.value,
        _ => return Err(refused(expected(parser, "a value"))),
    };
    parser.next_token();
    Ok(vec![text])
}

fn columns(parser: &mut Parser<'_>) -> Result<Vec<Ident>> {
    parser.expect_token(&Token::LParen).map_err(refused)?;
    let columns = parser.parse_comma_separated(Parser::parse_identifier).map_err(refused)?;
    parser.expect_token(&Token::RParen).map_err(refused)?;
    Ok(columns)
}
