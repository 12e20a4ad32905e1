//! The query that gives the rows of an UPDATE or DELETE, for clauses that DataFusion does not plan:
//! FROM and USING, ORDER BY, LIMIT, RETURNING, aliases, DEFAULT, several columns at once.
//!
//! Pure: syntax in, syntax out. Called by [`super::edit_statements`], which plans the query and
//! hands its rows to [`super::edit_target`].

use datafusion::error::Result;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Distinct, Expr, FromTable, Ident, LimitClause,
    ObjectName, ObjectNamePart, OrderBy, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr,
    Statement, TableAlias, TableFactor, TableWithJoins, Update, UpdateTableFromKind, Value, With,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::edit_target::Edit;
use super::identity::{changed, is_always};
use crate::error::Error;
use crate::storage::schema::{ROW_ID_COLUMN, TableSchema};

/// Begins the names of new values.
const NEW: &str = "\u{2}";

/// An UPDATE or DELETE, taken apart.
pub(super) struct EditSyntax {
    /// The table that is edited.
    pub(super) table: ObjectName,
    /// What its columns are qualified with.
    pub(super) qualifier: Ident,
    /// The items of RETURNING.
    pub(super) returning: Option<Vec<SelectItem>>,
    /// None: DELETE.
    assignments: Option<Vec<Assignment>>,
    relation: TableWithJoins,
    beside: Vec<TableWithJoins>,
    selection: Option<Expr>,
    order_by: Vec<OrderByExpr>,
    limit: Option<Expr>,
    with: Option<With>,
}

impl EditSyntax {
    /// The parts of a statement; `None` if it is no UPDATE or DELETE, or one that DataFusion plans.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for clauses that mean nothing here.
    pub(super) fn of(statement: &Statement) -> Result<Option<Self>> {
        match statement {
            Statement::Update(update) if is_beyond_update(update) => {
                Self::of_update(update.clone()).map(Some)
            }
            Statement::Delete(delete) if is_beyond_delete(delete) => {
                Self::of_delete(delete.clone()).map(Some)
            }
            Statement::Query(query) => match query.body.as_ref() {
                SetExpr::Update(inner) | SetExpr::Delete(inner) => {
                    Self::with_tables(query, inner).map(Some)
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// WITH in front of an UPDATE or DELETE.
    fn with_tables(query: &Query, statement: &Statement) -> Result<Self> {
        let edit = match statement.clone() {
            Statement::Update(update) => Self::of_update(update)?,
            Statement::Delete(delete) => Self::of_delete(delete)?,
            other => return Err(Error::invalid(format!("WITH cannot stand before {other}")).into()),
        };
        Ok(Self { with: query.with.clone(), ..edit })
    }

    fn of_update(update: Update) -> Result<Self> {
        if update.or.is_some() || update.output.is_some() {
            return Err(Error::invalid(
                "UPDATE OR ... and OUTPUT are not supported; an UPDATE that meets a key that is \
                 there fails whole, RETURNING gives the rows back",
            )
            .into());
        }
        let (table, qualifier) = target(&update.table)?;
        let beside = match update.from {
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => {
                from
            }
            None => Vec::new(),
        };
        Ok(Self {
            table,
            qualifier,
            returning: update.returning,
            assignments: Some(update.assignments),
            relation: update.table,
            beside,
            selection: update.selection,
            order_by: update.order_by,
            limit: update.limit,
            with: None,
        })
    }

    fn of_delete(delete: Delete) -> Result<Self> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = delete.from;
        let mut from = from.into_iter();
        let (Some(relation), None, true, None) =
            (from.next(), from.next(), delete.tables.is_empty(), delete.output)
        else {
            return Err(Error::invalid(
                "DELETE takes rows from one table: DELETE FROM t USING other WHERE ...",
            )
            .into());
        };
        let (table, qualifier) = target(&relation)?;
        Ok(Self {
            table,
            qualifier,
            returning: delete.returning,
            assignments: None,
            relation,
            beside: delete.using.unwrap_or_default(),
            selection: delete.selection,
            order_by: delete.order_by,
            limit: delete.limit,
            with: None,
        })
    }

    /// Whether tables of WITH may hide the one that is edited.
    pub(super) fn has_tables_of_its_own(&self) -> bool {
        self.with.is_some()
    }

    /// What is done with the rows of the query.
    pub(super) fn edit(&self, schema: &TableSchema, names: &IdentNormalizer) -> Result<Edit> {
        let Some(assignments) = &self.assignments else { return Ok(Edit::Delete) };
        let assigned = assigned(assignments, schema, names)?;
        let moves =
            schema.key.iter().any(|&column| assigned.get(column).is_some_and(Option::is_some));
        Ok(Edit::Update { moves })
    }

    /// The query whose rows the edit takes: old keys first where it needs them, then all columns,
    /// then the hidden row id where that is the key of rows that are written over. `renamed`: under
    /// which name the table shows its hidden row ids.
    pub(super) fn query(
        self,
        schema: &TableSchema,
        names: &IdentNormalizer,
        edit: Edit,
        renamed: Option<Ident>,
    ) -> Result<Query> {
        let is_alone = self.beside.is_empty() && self.relation.joins.is_empty();
        if !is_alone && !self.order_by.is_empty() {
            return Err(Error::invalid(
                "ORDER BY in an UPDATE or DELETE of rows that meet those of other tables is not \
                 supported; choose the rows in a subquery: WHERE key IN (SELECT ...)",
            )
            .into());
        }
        let old = |name: &str| column(&self.qualifier, name);
        let keys: Vec<Expr> = schema.key_names().into_iter().map(old).collect();
        let is_deletion = self.assignments.is_none();
        let mut items = Vec::new();
        if is_deletion || edit == (Edit::Update { moves: true }) {
            let keys = keys.iter().cloned().enumerate();
            items.extend(keys.map(|(index, key)| item(key, &format!("\u{1}{index}"))));
        }
        let visible = schema.visible().fields().iter().map(|field| field.name());
        match &self.assignments {
            Some(assignments) => {
                let mut assigned = assigned(assignments, schema, names)?;
                for (name, value) in visible.zip(&mut assigned) {
                    items.push(match value.take() {
                        Some(value) => item(value, &new_name(name)),
                        None => item(old(name), name),
                    });
                }
                if schema.hidden_key {
                    items.push(item(old(ROW_ID_COLUMN), ROW_ID_COLUMN));
                }
            }
            None if self.returning.is_some() => {
                items.extend(visible.map(|name| item(old(name), name)))
            }
            None => {}
        }
        // A row that meets several others is edited once.
        let distinct = (!is_alone).then_some(Distinct::On(keys));
        let mut relation = self.relation;
        if let (Some(renamed), TableFactor::Table { name, alias, .. }) =
            (renamed, &mut relation.relation)
        {
            *name = beside_schema(&self.table, renamed);
            let name = self.qualifier.clone();
            alias.get_or_insert(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        }
        let from = std::iter::once(relation).chain(self.beside).collect();
        let mut query = template()?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            (select.projection, select.from) = (items, from);
            (select.selection, select.distinct) = (self.selection, distinct);
        }
        query.with = self.with;
        query.order_by = (!self.order_by.is_empty()).then_some(OrderBy {
            kind: OrderByKind::Expressions(self.order_by),
            interpolate: None,
        });
        query.limit_clause = self.limit.map(|limit| LimitClause::LimitOffset {
            limit: Some(limit),
            offset: None,
            limit_by: Vec::new(),
        });
        Ok(query)
    }
}

fn is_beyond_update(update: &Update) -> bool {
    let is_odd = |assignment: &Assignment| {
        matches!(assignment.target, AssignmentTarget::Tuple(_)) || is_default(&assignment.value)
    };
    let targets: Vec<String> =
        update.assignments.iter().map(|assignment| assignment.target.to_string()).collect();
    let is_twice = (1..targets.len()).any(|i| targets[..i].contains(&targets[i]));
    update.from.is_some()
        || is_twice
        || update.returning.is_some()
        || update.limit.is_some()
        || update.or.is_some()
        || !update.order_by.is_empty()
        || !update.table.joins.is_empty()
        || update.assignments.iter().any(is_odd)
}

fn is_beyond_delete(delete: &Delete) -> bool {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let has_alias = |table: &TableWithJoins| match &table.relation {
        TableFactor::Table { alias, .. } => alias.is_some(),
        _ => true,
    };
    delete.using.is_some()
        || delete.returning.is_some()
        || !delete.order_by.is_empty()
        || !delete.tables.is_empty()
        || from.len() != 1
        || from.iter().any(|table| has_alias(table) || !table.joins.is_empty())
}

/// The table that is edited, and what its columns are qualified with.
fn target(relation: &TableWithJoins) -> Result<(ObjectName, Ident)> {
    let TableFactor::Table { name, alias, args: None, .. } = &relation.relation else {
        return Err(Error::invalid(format!("{relation} is no table that could be edited")).into());
    };
    let last = name.0.last().and_then(|part| part.as_ident());
    match (alias, last) {
        (Some(alias), _) => Ok((name.clone(), alias.name.clone())),
        (None, Some(last)) => Ok((name.clone(), last.clone())),
        (None, None) => Err(Error::invalid(format!("{name} is no name of a table")).into()),
    }
}

/// The new value of each visible column, if it has one.
///
/// # Errors
/// [`Error::InvalidInput`] for a column that is not there, is given two values, or whose values are
/// the table's alone.
pub(super) fn assigned(
    assignments: &[Assignment],
    schema: &TableSchema,
    names: &IdentNormalizer,
) -> Result<Vec<Option<Expr>>> {
    let mut values = vec![None; schema.visible().fields().len()];
    for (name, value) in assignments.iter().map(pairs).collect::<Result<Vec<_>>>()?.concat() {
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else {
            return Err(Error::invalid(format!("{name} is no name of a column")).into());
        };
        let name = names.normalize(ident.clone());
        let Some((index, _)) = schema.visible().column_with_name(&name) else {
            let columns = schema.visible().fields().iter().map(|field| field.name().as_str());
            let columns = columns.collect::<Vec<_>>().join(", ");
            return Err(Error::invalid(format!(
                "table \"{}\" has no column \"{name}\"; its columns: {columns}",
                schema.name
            ))
            .into());
        };
        if is_always(schema, index) {
            return Err(changed(schema).into());
        }
        let value = match is_default(&value) {
            true => default_of(schema, index)?,
            false => value,
        };
        if values[index].replace(value).is_some() {
            return Err(Error::invalid(format!("column \"{name}\" is given two values")).into());
        }
    }
    Ok(values)
}

/// The columns of one assignment with their values.
fn pairs(assignment: &Assignment) -> Result<Vec<(ObjectName, Expr)>> {
    match (&assignment.target, &assignment.value) {
        (AssignmentTarget::ColumnName(name), value) => Ok(vec![(name.clone(), value.clone())]),
        (AssignmentTarget::Tuple(names), Expr::Tuple(values)) if names.len() == values.len() => {
            Ok(names.iter().cloned().zip(values.iter().cloned()).collect())
        }
        (AssignmentTarget::Tuple(names), value) => Err(Error::invalid(format!(
            "{} columns are given {value}; as many values are expected, in brackets",
            names.len()
        ))
        .into()),
    }
}

/// Whether the value is the word DEFAULT.
pub(super) fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// The default of a column, NULL if it has none.
pub(super) fn default_of(schema: &TableSchema, column: usize) -> Result<Expr> {
    match &schema.columns[column].default {
        Some(sql) => Ok(Parser::new(&GenericDialect {}).try_with_sql(sql)?.parse_expr()?),
        None => Ok(Expr::value(Value::Null)),
    }
}

/// What the new value of a column is called in the query: ORDER BY means the old one.
fn new_name(column: &str) -> String {
    format!("{NEW}{column}")
}

/// The column that a value of the query is for.
pub(super) fn column_of(name: &str) -> &str {
    name.strip_prefix(NEW).unwrap_or(name)
}

fn column(qualifier: &Ident, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![qualifier.clone(), Ident::with_quote('"', name)])
}

fn item(expr: Expr, alias: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) }
}

/// A name in the schema in which `table` is.
fn beside_schema(table: &ObjectName, name: Ident) -> ObjectName {
    let mut parts = table.0.clone();
    parts.pop();
    parts.push(ObjectNamePart::Identifier(name));
    ObjectName(parts)
}

/// A query to be filled in.
fn template() -> Result<Query> {
    Ok(*Parser::new(&GenericDialect {}).try_with_sql("SELECT 1")?.parse_query()?)
}
