//! Identity columns in SQL: their clauses in CREATE TABLE, and who may bring values of their own.
//!
//! The engine numbers the rows that have NULL there. Where a statement looks at its own rows before
//! (ON CONFLICT, RETURNING), [`with_numbers`] has them numbered first. Called by
//! [`super::create_table`], [`super::insert_values`], [`super::upserts`] and [`super::merge`].

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    self, ColumnOption, ColumnOptionDef, CreateTable, GeneratedAs, IdentityPropertyFormatKind,
    IdentityPropertyKind, SequenceOptions,
};

use super::table_provider::OmenTable;
use crate::error::Error;
use crate::storage::definition::IdentityColumn;
use crate::storage::schema::TableSchema;
use crate::storage::snapshot::TableSnapshot;

/// PostgreSQL's types that stand for an integer whose values the table gives.
const SERIAL: [(&str, ast::DataType); 6] = [
    ("smallserial", ast::DataType::SmallInt(None)),
    ("serial2", ast::DataType::SmallInt(None)),
    ("serial", ast::DataType::Int(None)),
    ("serial4", ast::DataType::Int(None)),
    ("bigserial", ast::DataType::BigInt(None)),
    ("serial8", ast::DataType::BigInt(None)),
];

/// Takes the identity column of a CREATE TABLE, in whatever spelling: GENERATED … AS IDENTITY,
/// SERIAL, AUTOINCREMENT, AUTO_INCREMENT, IDENTITY(1, 1).
///
/// # Errors
/// [`Error::InvalidInput`] for options that are not supported, and for two such columns.
pub(super) fn take_identity(
    create: &mut CreateTable,
    names: &IdentNormalizer,
) -> Result<Option<IdentityColumn>> {
    let mut found: Option<IdentityColumn> = None;
    for column in &mut create.columns {
        let name = names.normalize(column.name.clone());
        let mut own = None;
        if let ast::DataType::Custom(kind, modifiers) = &column.data_type
            && modifiers.is_empty()
            && let Some((_, stands_for)) = SERIAL.iter().find(|(serial, _)| {
                kind.0.last().is_some_and(|part| part.to_string().eq_ignore_ascii_case(serial))
            })
        {
            column.data_type = stands_for.clone();
            own = Some(numbered_from(&name, false));
        }
        for option in column.options.extract_if(.., is_identity) {
            own = Some(identity(&name, option.option)?);
        }
        let Some(own) = own else { continue };
        if let Some(other) = found.replace(own) {
            return Err(Error::invalid(format!(
                "\"{}\" and \"{name}\": a table has one identity column; DEFAULT may give values \
                 to others",
                other.column
            ))
            .into());
        }
    }
    Ok(found)
}

fn is_identity(option: &mut ColumnOptionDef) -> bool {
    match &option.option {
        ColumnOption::Generated { generation_expr, .. } => generation_expr.is_none(),
        ColumnOption::Identity(_) => true,
        ColumnOption::DialectSpecific(tokens) => tokens.iter().any(|token| {
            let word = token.to_string();
            ["AUTOINCREMENT", "AUTO_INCREMENT"].iter().any(|auto| word.eq_ignore_ascii_case(auto))
        }),
        _ => false,
    }
}

fn numbered_from(column: &str, is_always: bool) -> IdentityColumn {
    IdentityColumn { column: column.to_string(), is_always, start: 1, increment: 1 }
}

fn identity(column: &str, option: ColumnOption) -> Result<IdentityColumn> {
    match option {
        ColumnOption::Generated { generated_as, sequence_options, .. } => {
            let mut identity = numbered_from(column, matches!(generated_as, GeneratedAs::Always));
            for option in sequence_options.unwrap_or_default() {
                match option {
                    SequenceOptions::StartWith(start, _) => identity.start = integer(&start)?,
                    SequenceOptions::IncrementBy(by, _) => identity.increment = integer(&by)?,
                    // How numbers are kept is not seen.
                    SequenceOptions::Cache(_)
                    | SequenceOptions::MinValue(None)
                    | SequenceOptions::MaxValue(None)
                    | SequenceOptions::Cycle(false) => {}
                    other => {
                        return Err(Error::invalid(format!(
                            "identity column \"{column}\":{other} is not supported; START WITH and \
                             INCREMENT BY are, and a CHECK can bound the numbers"
                        ))
                        .into());
                    }
                }
            }
            Ok(identity)
        }
        ColumnOption::Identity(kind) => {
            let (IdentityPropertyKind::Identity(property)
            | IdentityPropertyKind::Autoincrement(property)) = kind;
            let mut identity = numbered_from(column, false);
            if let Some(
                IdentityPropertyFormatKind::FunctionCall(parameters)
                | IdentityPropertyFormatKind::StartAndIncrement(parameters),
            ) = property.parameters
            {
                identity.start = integer(&parameters.seed)?;
                identity.increment = integer(&parameters.increment)?;
            }
            Ok(identity)
        }
        _ => Ok(numbered_from(column, false)),
    }
}

fn integer(value: &ast::Expr) -> Result<i64> {
    let text = value.to_string();
    Ok(text.replace(' ', "").parse().map_err(|_| {
        Error::invalid(format!("{text}: a number that an identity column can have is expected"))
    })?)
}

/// Refuses values of an INSERT for a column that is GENERATED ALWAYS. `rows` has all columns.
///
/// # Errors
/// [`Error::InvalidInput`] naming the column.
pub(super) fn refuse_given(table: &OmenTable, rows: &LogicalPlan) -> Result<()> {
    let schema = table.table_schema();
    match always(schema) {
        Some(place) if !table.takes_identity() && !is_null_in(rows, place) => {
            Err(given(schema, place).into())
        }
        _ => Ok(()),
    }
}

/// Refuses a value that a statement gives to column `place`, unless it is NULL.
pub(super) fn refuse_value(schema: &TableSchema, place: usize, value: &Expr) -> Result<()> {
    match always(schema) == Some(place) && !is_null(value) {
        true => Err(given(schema, place).into()),
        false => Ok(()),
    }
}

fn always(schema: &TableSchema) -> Option<usize> {
    schema.identity.filter(|identity| identity.is_always).and_then(|_| schema.identity_place())
}

/// Whether column `place` is GENERATED ALWAYS.
pub(super) fn is_always(schema: &TableSchema, place: usize) -> bool {
    always(schema) == Some(place)
}

/// The error for an UPDATE of a column that is GENERATED ALWAYS.
pub(super) fn changed(schema: &TableSchema) -> Error {
    let place = always(schema).unwrap_or(0);
    Error::invalid(format!(
        "column \"{}\" of table \"{}\" is GENERATED ALWAYS AS IDENTITY: its values stay as the \
         table has given them",
        schema.columns[place].field.name(),
        schema.name
    ))
}

fn given(schema: &TableSchema, place: usize) -> Error {
    Error::invalid(format!(
        "column \"{}\" of table \"{}\" is GENERATED ALWAYS AS IDENTITY: the table gives its \
         values; leave it out or write DEFAULT (COPY … FROM brings values; BY DEFAULT takes them)",
        schema.columns[place].field.name(),
        schema.name
    ))
}

fn is_null(value: &Expr) -> bool {
    match value {
        Expr::Alias(alias) => is_null(&alias.expr),
        Expr::Cast(cast) => is_null(&cast.expr),
        Expr::TryCast(cast) => is_null(&cast.expr),
        Expr::Literal(value, _) => value.is_null(),
        _ => false,
    }
}

/// Whether column `place` of all rows is written as NULL.
fn is_null_in(rows: &LogicalPlan, place: usize) -> bool {
    match rows {
        LogicalPlan::Projection(projection) => {
            let Some(value) = projection.expr.get(place) else { return false };
            let input = &projection.input;
            match column_of(value).and_then(|column| input.schema().maybe_index_of_column(column)) {
                Some(below) => is_null_in(input, below),
                None => is_null(value),
            }
        }
        LogicalPlan::Values(values) => {
            values.values.iter().all(|row| row.get(place).is_some_and(is_null))
        }
        LogicalPlan::SubqueryAlias(alias) => is_null_in(&alias.input, place),
        LogicalPlan::EmptyRelation(empty) => !empty.produce_one_row,
        _ => false,
    }
}

fn column_of(value: &Expr) -> Option<&Column> {
    match value {
        Expr::Alias(alias) => column_of(&alias.expr),
        Expr::Cast(cast) => column_of(&cast.expr),
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

/// The rows of an INSERT with all columns, numbered.
pub(super) fn with_numbers(table: &OmenTable, rows: LogicalPlan) -> Result<LogicalPlan> {
    let Some(place) = table.table_schema().identity_place() else { return Ok(rows) };
    let numbers = ScalarUDF::new_from_impl(Numbers::new(table.snapshot().clone()));
    let columns = rows.schema().iter().enumerate().map(|(index, field)| {
        let column = Expr::Column(Column::from(field));
        match index == place {
            true => numbers.call(vec![column]).alias(field.1.name()),
            false => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(rows).project(columns)?.build()
}

/// Gives numbers to NULLs. Volatile: each row has its own, and they are computed once.
#[derive(Debug)]
struct Numbers {
    table: TableSnapshot,
    signature: Signature,
}

impl Numbers {
    fn new(table: TableSnapshot) -> Self {
        Self { table, signature: Signature::any(1, Volatility::Volatile) }
    }
}

impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        self.table.schema().id == other.table.schema().id
    }
}

impl Eq for Numbers {}

impl Hash for Numbers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.table.schema().id.hash(state);
    }
}

impl ScalarUDFImpl for Numbers {
    fn name(&self) -> &'static str {
        "next_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [given] = &args.args[..] else {
            return Err(Error::invalid("one column is numbered at a time").into());
        };
        let given = match given {
            ColumnarValue::Array(given) => Arc::clone(given),
            ColumnarValue::Scalar(ScalarValue::Null) => {
                arrow::array::new_null_array(args.return_field.data_type(), args.number_rows)
            }
            ColumnarValue::Scalar(value) => value.to_array_of_size(args.number_rows)?,
        };
        Ok(ColumnarValue::Array(self.table.numbered(&given)?))
    }
}
