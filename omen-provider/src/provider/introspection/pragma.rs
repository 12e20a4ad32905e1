//! PRAGMA, as users of SQLite ask it: what a table is made of, and whether the database is whole.
//!
//! Settings are not read and written so; SHOW and SET do that. Called by the session, which carries
//! them out at once.

use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rows::{Cell, Column, Type, batch};
use crate::error::Error;
use crate::provider::edit_statements::normalizer;
use crate::provider::session::Session;
use crate::provider::table_definition::kind;
use crate::provider::table_provider::OmenTable;
use crate::storage::schema::TableSchema;

/// All of them.
const NAMES: &str = "table_info(TABLE), table_list, index_list(TABLE), index_info(INDEX), \
                     integrity_check, quick_check";

const TABLE_INFO: &[Column] = &[
    ("cid", Type::Number, false),
    ("name", Type::Text, false),
    ("type", Type::Text, false),
    ("notnull", Type::Number, false),
    ("dflt_value", Type::Text, true),
    ("pk", Type::Number, false),
];

const TABLE_LIST: &[Column] = &[
    ("schema", Type::Text, false),
    ("name", Type::Text, false),
    ("type", Type::Text, false),
    ("ncol", Type::Number, false),
];

const INDEX_LIST: &[Column] = &[
    ("seq", Type::Number, false),
    ("name", Type::Text, false),
    ("unique", Type::Number, false),
    ("origin", Type::Text, false),
    ("partial", Type::Number, false),
];

const INDEX_INFO: &[Column] =
    &[("seqno", Type::Number, false), ("cid", Type::Number, false), ("name", Type::Text, false)];

/// A statement: its name in lower case, and the parts of the name that stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Pragma {
    name: String,
    argument: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    text: String,
    /// Whether it is a name without quotes, which means lower case.
    is_plain: bool,
}

/// Whether tokens begin such a statement.
pub(in crate::provider) fn is_one(tokens: &[TokenWithSpan]) -> bool {
    let mut tokens = tokens.iter().map(|token| &token.token);
    let first = tokens.find(|token| !matches!(token, Token::Whitespace(_)));
    matches!(first, Some(Token::Word(word)) if word.keyword == Keyword::PRAGMA)
}

/// Parses the statement that a parser stands before, up to its end.
///
/// # Errors
/// The parser's, and [`Error::InvalidInput`] for a setting.
pub(in crate::provider) fn parse(parser: &mut Parser<'_>) -> Result<Pragma> {
    let refused = |error: ParserError| DataFusionError::SQL(Box::new(error), None);
    parser.expect_keyword(Keyword::PRAGMA).map_err(refused)?;
    let name = parser.parse_object_name(false).map_err(refused)?;
    let name = name.0.last().and_then(|part| part.as_ident());
    let name = name.map(|name| name.value.to_ascii_lowercase()).unwrap_or_default();
    let mut argument = Vec::new();
    if parser.consume_token(&Token::Eq) {
        return Err(Error::invalid(format!(
            "PRAGMA {name} = … sets nothing here; SET omen.… does, SHOW ALL and omen_settings \
             list the settings. PRAGMA knows {NAMES}"
        ))
        .into());
    }
    if parser.consume_token(&Token::LParen) {
        argument.push(part(&name, parser)?);
        while parser.consume_token(&Token::Period) {
            argument.push(part(&name, parser)?);
        }
        parser.expect_token(&Token::RParen).map_err(refused)?;
    }
    while parser.consume_token(&Token::SemiColon) {}
    match parser.peek_token().token {
        Token::EOF => Ok(Pragma { name, argument }),
        other => Err(Error::invalid(format!(
            "PRAGMA {name} is a statement of its own, found {other} behind it"
        ))
        .into()),
    }
}

/// The next part of the name in the brackets.
fn part(name: &str, parser: &mut Parser<'_>) -> Result<Part> {
    match parser.next_token().token {
        Token::Word(word) => Ok(Part { text: word.value, is_plain: word.quote_style.is_none() }),
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::Number(text, _) => Ok(Part { text, is_plain: false }),
        other => Err(Error::invalid(format!(
            "PRAGMA {name} takes a name in its brackets, found {other}"
        ))
        .into()),
    }
}

/// Carries a statement out.
///
/// # Errors
/// [`Error::InvalidInput`] for one that there is not, [`Error::NotFound`] for a table or an index
/// that is not there.
pub(in crate::provider) async fn carry_out(session: &Session, pragma: Pragma) -> Result<DataFrame> {
    let (columns, rows) = match pragma.name.as_str() {
        "table_info" | "table_xinfo" => {
            (TABLE_INFO, table_info(session, &pragma.required(session)?).await?)
        }
        "table_list" => (TABLE_LIST, table_list(session)),
        "index_list" => (INDEX_LIST, index_list(session, &pragma.required(session)?)?),
        "index_info" | "index_xinfo" => {
            (INDEX_INFO, index_info(session, &pragma.required(session)?)?)
        }
        "integrity_check" => (INTEGRITY_CHECK, integrity_check(session).await?),
        "quick_check" => (QUICK_CHECK, integrity_check(session).await?),
        other => {
            return Err(Error::invalid(format!(
                "there is no PRAGMA {other}; there are {NAMES}. Settings are read by SHOW omen.… \
                 and changed by SET omen.… (omen_settings lists them)"
            ))
            .into());
        }
    };
    session.context().read_batch(batch(columns, &rows)?)
}

const INTEGRITY_CHECK: &[Column] = &[("integrity_check", Type::Text, false)];
const QUICK_CHECK: &[Column] = &[("quick_check", Type::Text, false)];

impl Pragma {
    /// The name in the brackets.
    fn required(&self, session: &Session) -> Result<TableReference> {
        let name = &self.name;
        let names = normalizer(session);
        let parts = self.argument.iter().map(|part| match part.is_plain {
            true => names.normalize(part.text.as_str().into()),
            false => part.text.clone(),
        });
        let parts: Vec<String> = parts.collect();
        match &parts[..] {
            // As DuckDB takes it: a table with its schema in one string.
            [name] => Ok(match session.snapshot().schema_of(name) {
                Some(_) => session.reference_of(name),
                None => TableReference::bare(name.as_str()),
            }),
            [schema, name] => Ok(TableReference::partial(schema.as_str(), name.as_str())),
            [_, _, ..] => Err(Error::invalid(format!(
                "PRAGMA {name} takes a name, or one with its schema (a.t), in its brackets"
            ))
            .into()),
            [] => {
                let what = if name.starts_with("index_") && name != "index_list" {
                    "an index"
                } else {
                    "a table"
                };
                Err(Error::invalid(format!(
                    "PRAGMA {name} needs the name of {what}: PRAGMA {name}(NAME)"
                ))
                .into())
            }
        }
    }
}

/// One row for each column; of a table or view of the session too.
async fn table_info(session: &Session, name: &TableReference) -> Result<Vec<Vec<Cell>>> {
    let provider = match session.context().table_provider(name.clone()).await {
        Ok(provider) => provider,
        Err(error) => {
            // Which names the tables there are.
            session.snapshot().require(&full_name_of(session, name)?)?;
            return Err(error);
        }
    };
    let table = provider.downcast_ref::<OmenTable>().map(OmenTable::table_schema);
    let schema = provider.schema();
    let row = |(place, field): (usize, &std::sync::Arc<arrow::datatypes::Field>)| {
        let column = table.map(|table| &table.columns[place]);
        let takes_null = column.map_or(field.is_nullable(), |column| column.takes_null());
        let key = table.filter(|table| !table.hidden_key);
        let key = key.and_then(|table| table.key.iter().position(|key| *key == place));
        vec![
            (place as u64).into(),
            field.name().as_str().into(),
            kind(field.data_type()).into(),
            u64::from(!takes_null).into(),
            column.and_then(|column| column.default.clone()).into(),
            key.map_or(0, |position| position as u64 + 1).into(),
        ]
    };
    Ok(schema.fields().iter().enumerate().map(row).collect())
}

fn table_list(session: &Session) -> Vec<Vec<Cell>> {
    let snapshot = session.snapshot();
    let public = session.public_name();
    let names = snapshot.table_names();
    let tables = names.iter().filter_map(|name| {
        let table = snapshot.table(name)?;
        let (schema, columns) = (table.schema(), table.columns().fields().len() as u64);
        let of = schema.schema_name().unwrap_or(&public);
        Some(vec![of.into(), schema.own_name().into(), "table".into(), columns.into()])
    });
    tables.collect()
}

/// An index as PRAGMA has it: name, whether it is unique, what made it, places of its columns.
type Index<'a> = (String, bool, &'static str, &'a [usize]);

fn indexes(table: &TableSchema) -> Vec<Index<'_>> {
    let primary = (table.constraint_name(), true, "pk", table.key.as_slice());
    let others = table.indexes.iter().map(|index| {
        let origin = if index.index.is_constraint { "u" } else { "c" };
        (index.index.name.clone(), index.index.is_unique, origin, index.places.as_slice())
    });
    std::iter::once(primary).filter(|_| !table.hidden_key).chain(others).collect()
}

/// What the engine calls a table.
fn full_name_of(session: &Session, name: &TableReference) -> Result<String> {
    Ok(session.require_engine_name(name, "table")?.full)
}

fn index_list(session: &Session, name: &TableReference) -> Result<Vec<Vec<Cell>>> {
    let table = session.snapshot().require(&full_name_of(session, name)?)?;
    let rows = (0_u64..).zip(indexes(table.schema())).map(|(number, (name, unique, origin, _))| {
        let unique = u64::from(unique);
        vec![number.into(), name.into(), unique.into(), origin.into(), 0.into()]
    });
    Ok(rows.collect())
}

fn index_info(session: &Session, name: &TableReference) -> Result<Vec<Vec<Cell>>> {
    let snapshot = session.snapshot();
    let own = session.require_engine_name(name, "index")?;
    let name = name.table();
    let mut all = Vec::new();
    for table in snapshot.table_names().iter().filter_map(|table| snapshot.table(table)) {
        let schema = table.schema();
        if schema.schema_name() != own.schema.as_deref() {
            continue;
        }
        for (index, _, _, places) in indexes(schema) {
            if index == name {
                let column = |(number, &place): (u64, &usize)| {
                    let name = schema.columns[place].field.name().as_str();
                    vec![number.into(), (place as u64).into(), name.into()]
                };
                return Ok((0_u64..).zip(places).map(column).collect());
            }
            all.push(index);
        }
    }
    all.sort_unstable();
    let have = if all.is_empty() { "none".to_string() } else { all.join(", ") };
    Err(Error::NotFound(format!("index \"{name}\"; indexes there are: {have}")).into())
}

/// What is damaged, or `ok`.
async fn integrity_check(session: &Session) -> Result<Vec<Vec<Cell>>> {
    let report = session.handle().engine().verify().await?;
    Ok(match report.problems.is_empty() {
        true => vec![vec!["ok".into()]],
        false => report.problems.iter().map(|p| vec![p.to_string().into()]).collect(),
    })
}
