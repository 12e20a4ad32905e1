//! From DataFusion's expressions to regions of keys.
//!
//! Only what an expression must be for a row to be selected is of interest: where it is TRUE. AND
//! and OR of such sets need nothing else, so three-valued logic does not enter. NOT does, and is
//! not followed (DataFusion has pushed it down to the comparisons, except for a boolean column).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

use super::literal::{Comparison, LiteralColumn, keeps_value};
use super::region::{Region, and, or};
use crate::storage::key::{KeyCodec, NULL};
use crate::storage::schema::{IndexSchema, TableSchema};

/// Nested ANDs and ORs that are followed.
const DEPTH_MAX: usize = 64;

/// The key columns of a table.
#[derive(Debug)]
pub(super) struct KeyColumns {
    /// From a column's name to its place in the key and its type.
    names: HashMap<String, (usize, DataType)>,
    literals: Vec<LiteralColumn>,
    codec: Arc<KeyCodec>,
    /// Whether a column may be NULL.
    take_null: bool,
}

impl KeyColumns {
    /// `None` if filters cannot name the key.
    pub(super) fn new(schema: &TableSchema) -> Option<Self> {
        if schema.hidden_key {
            return None;
        }
        Self::of(schema, &schema.key, schema.codec(), false)
    }

    /// The columns of a secondary index.
    pub(super) fn of_index(schema: &TableSchema, index: &IndexSchema) -> Option<Self> {
        Self::of(schema, &index.places, index.entries().codec(), true)
    }

    fn of(
        schema: &TableSchema,
        places: &[usize],
        codec: &Arc<KeyCodec>,
        take_null: bool,
    ) -> Option<Self> {
        let (mut names, mut literals) = (HashMap::new(), Vec::new());
        for (place, &index) in places.iter().enumerate() {
            let field = &schema.columns.get(index)?.field;
            names.insert(field.name().clone(), (place, field.data_type().clone()));
            let codec = KeyCodec::new(std::iter::once(field.as_ref())).ok()?;
            literals.push(LiteralColumn::new(field.data_type(), codec));
        }
        Some(Self { names, literals, codec: Arc::clone(codec), take_null })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.literals.len()
    }

    /// Whether so many values are all that a key has.
    pub(super) fn is_complete(&self, values: usize) -> bool {
        values == self.codec.column_count()
    }

    /// What is not a number, of a column that may have it, as an array of one row.
    pub(super) fn nan(&self, column: usize) -> Option<ArrayRef> {
        let kind = self.literals.get(column).filter(|_| self.take_null)?.data_type();
        ScalarValue::Float64(Some(f64::NAN))
            .cast_to(kind)
            .ok()
            .filter(|_| kind.is_floating())?
            .to_array()
            .ok()
    }

    /// The end of the values of the column behind `prefix` that are not NULL.
    pub(super) fn end_of_values(&self, prefix: &[u8]) -> Option<Vec<u8>> {
        self.take_null.then(|| [prefix, &[NULL]].concat())
    }

    /// Encodes complete keys and prefixes.
    pub(super) fn codec(&self) -> &KeyCodec {
        &self.codec
    }

    /// The keys of rows that can satisfy `filter`.
    pub(super) fn region(&self, filter: &Expr) -> Region {
        self.region_at(filter, 0)
    }

    fn region_at(&self, filter: &Expr, depth: usize) -> Region {
        if depth > DEPTH_MAX {
            return self.anything();
        }
        match filter {
            Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => {
                let parts: Vec<Region> = flatten(filter, *op)
                    .into_iter()
                    .map(|part| self.region_at(part, depth + 1))
                    .collect();
                if *op == Operator::And { and(parts, self.len()) } else { or(parts, self.len()) }
            }
            Expr::Alias(alias) => self.region_at(&alias.expr, depth + 1),
            other => self.leaf(other).unwrap_or_else(|| self.anything()),
        }
    }

    /// A predicate that is neither AND nor OR; `None`: it says nothing about the key.
    fn leaf(&self, filter: &Expr) -> Option<Region> {
        match filter {
            Expr::Literal(ScalarValue::Boolean(value), _) => Some(match value {
                Some(true) => Region::all(self.len(), true),
                _ => Region::none(),
            }),
            Expr::Literal(ScalarValue::Null, _) => Some(Region::none()),
            Expr::Column(_) => self.compare(filter, Comparison::Equal, &true.into()),
            Expr::Not(inner) => match inner.as_ref() {
                Expr::Column(_) => self.compare(inner, Comparison::Equal, &false.into()),
                _ => None,
            },
            Expr::IsNotNull(_) | Expr::IsNull(_) if self.take_null => None,
            Expr::IsNotNull(inner) => self.place_of(inner).map(|_| Region::all(self.len(), true)),
            Expr::IsNull(inner) => match inner.as_ref() {
                Expr::Column(_) => self.place_of(inner).map(|_| Region::none()),
                _ => None,
            },
            Expr::BinaryExpr(binary) => self.binary(binary),
            Expr::Between(between) => self.between(between),
            Expr::InList(list) => self.in_list(list),
            _ => None,
        }
    }

    fn binary(&self, binary: &BinaryExpr) -> Option<Region> {
        let (forward, backward) = match binary.op {
            Operator::Eq | Operator::IsNotDistinctFrom => (Comparison::Equal, Comparison::Equal),
            Operator::Lt => (Comparison::Less, Comparison::Greater),
            Operator::LtEq => (Comparison::LessOrEqual, Comparison::GreaterOrEqual),
            Operator::Gt => (Comparison::Greater, Comparison::Less),
            Operator::GtEq => (Comparison::GreaterOrEqual, Comparison::LessOrEqual),
            _ => return None,
        };
        let is_null = |side: &Expr| literal_of(side).is_some_and(|literal| literal.is_null());
        if self.take_null
            && binary.op == Operator::IsNotDistinctFrom
            && (is_null(&binary.left) || is_null(&binary.right))
        {
            return None;
        }
        if let Some(literal) = literal_of(&binary.right) {
            self.compare(&binary.left, forward, &literal)
        } else {
            self.compare(&binary.right, backward, &literal_of(&binary.left)?)
        }
    }

    fn between(&self, between: &Between) -> Option<Region> {
        if between.negated {
            return None;
        }
        let bound = |comparison, literal: &Expr| {
            literal_of(literal)
                .and_then(|literal| self.compare(&between.expr, comparison, &literal))
                .unwrap_or_else(|| self.anything())
        };
        let low = bound(Comparison::GreaterOrEqual, &between.low);
        let high = bound(Comparison::LessOrEqual, &between.high);
        Some(and(vec![low, high], self.len()))
    }

    fn in_list(&self, list: &InList) -> Option<Region> {
        if list.negated {
            return None;
        }
        let equal = |item: &Expr| self.compare(&list.expr, Comparison::Equal, &literal_of(item)?);
        let regions = list.list.iter().map(equal).collect::<Option<Vec<_>>>()?;
        Some(or(regions, self.len()))
    }

    /// The keys for which `side <comparison> literal` can be true.
    fn compare(
        &self,
        side: &Expr,
        comparison: Comparison,
        literal: &ScalarValue,
    ) -> Option<Region> {
        if let (Comparison::Equal, Expr::ScalarFunction(function)) = (comparison, side) {
            return match function.func.name() {
                "struct" => self.equal_tuple(&function.args, literal),
                _ => None,
            };
        }
        let place = self.place_of(side)?;
        let (values, exact) = self.literals.get(place)?.values(comparison, literal)?;
        // Compared as floats, an integer zero differs from minus zero; on the line they are one.
        let exact = exact && !is_minus_zero(literal);
        Some(Region::of_column(self.len(), place, values, exact))
    }

    /// `(a, b) = (1, 2)`, which DataFusion plans as a comparison of structs.
    fn equal_tuple(&self, sides: &[Expr], literal: &ScalarValue) -> Option<Region> {
        let ScalarValue::Struct(tuple) = literal else { return None };
        if tuple.len() != 1 || tuple.is_null(0) || tuple.num_columns() != sides.len() {
            return None;
        }
        let parts = sides.iter().zip(tuple.columns()).map(|(side, value)| {
            ScalarValue::try_from_array(value, 0)
                .ok()
                .and_then(|value| self.compare(side, Comparison::Equal, &value))
                .unwrap_or_else(|| self.anything())
        });
        Some(and(parts.collect(), self.len()))
    }

    /// The place in the key of the column that `side` is, possibly under a cast that changes
    /// neither order nor identity of the values.
    fn place_of(&self, side: &Expr) -> Option<usize> {
        let (column, cast_to) = match side {
            Expr::Cast(cast) => (cast.expr.as_ref(), Some(cast.field.data_type())),
            // Not TRY_CAST: what does not fit becomes NULL instead of an error.
            other => (other, None),
        };
        let Expr::Column(column) = column else { return None };
        let (place, data_type) = self.names.get(&column.name)?;
        cast_to.is_none_or(|to| keeps_value(data_type, to)).then_some(*place)
    }

    /// Nothing is known.
    fn anything(&self) -> Region {
        Region::all(self.len(), false)
    }
}

fn is_minus_zero(literal: &ScalarValue) -> bool {
    match literal {
        ScalarValue::Float16(Some(value)) => value.to_bits() == 0x8000,
        ScalarValue::Float32(Some(value)) => *value == 0.0 && value.is_sign_negative(),
        ScalarValue::Float64(Some(value)) => *value == 0.0 && value.is_sign_negative(),
        _ => false,
    }
}

/// The operands of a chain of one operator, without recursion along the chain.
fn flatten(filter: &Expr, operator: Operator) -> Vec<&Expr> {
    let (mut stack, mut parts) = (vec![filter], Vec::new());
    while let Some(next) = stack.pop() {
        match next {
            Expr::BinaryExpr(binary) if binary.op == operator => {
                stack.push(&binary.right);
                stack.push(&binary.left);
            }
            other => parts.push(other),
        }
    }
    parts
}

/// A literal, possibly still under a cast.
fn literal_of(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(cast.field.data_type()).ok(),
            _ => None,
        },
        _ => None,
    }
}
